"""What the commands that talk to a server share: options, the connection, how a run is shown."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from gcsim.cli.serve import DEFAULT_LISTEN

if TYPE_CHECKING:
    from gcsim.api.v1.run_pb2 import Run
    from gcsim.client import Client

F = TypeVar("F", bound=Callable[..., Any])
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


def server_options(function: F) -> F:
    """Where the server is, and what to show it.  The command gets a `client`."""
    for option in (
        click.option("--key", type=_FILE, help="PEM file of its key."),
        click.option("--cert", type=_FILE, help="PEM file of the client's certificate, for mutual TLS."),
        click.option(
            "--ca", type=_FILE, help="PEM file of the authority of the server's certificate; uses TLS."
        ),
        click.option(
            "--token-file",
            type=_FILE,
            envvar="GCSIM_TOKEN_FILE",
            help="File with the token. [env: GCSIM_TOKEN_FILE]",
        ),
        click.option(
            "--server",
            envvar="GCSIM_SERVER",
            default=DEFAULT_LISTEN,
            show_default=True,
            help="Address of the server. [env: GCSIM_SERVER]",
        ),
    ):
        function = option(function)
    return function


def connect(
    server: str, token_file: Path | None, ca: Path | None, cert: Path | None, key: Path | None
) -> Client:
    from gcsim.client import Client

    token = None if token_file is None else (token_file.read_text().split() or [""])[0]
    return Client(server, ca=ca, cert=cert, key=key, token=token)


def run_data(run: Run) -> dict[str, Any]:
    """A run as plain data, for JSON: names as in the API."""
    from google.protobuf.json_format import MessageToDict

    data: dict[str, Any] = MessageToDict(run, preserving_proto_field_name=True)
    data["state"] = data["state"].removeprefix("RUN_STATE_")
    if "summary" in data:
        data["summary"] = {
            metric.name: None
            if metric.WhichOneof("value") is None
            else getattr(metric, metric.WhichOneof("value"))
            for metric in run.summary
        }
    return data


def run_json(run: Run) -> str:
    return json.dumps(run_data(run), indent=2)


def describe(run: Run) -> str:
    """One line: id, state, how far or why."""
    data = run_data(run)
    parts = [data["name"].removeprefix("runs/"), data["state"]]
    if run.attempt > 1:
        parts.append(f"attempt {run.attempt}")
    if run.HasField("progress") and run.progress.end_ns:
        percent = 100 * run.progress.sim_time_ns / run.progress.end_ns
        parts.append(f"{percent:.0f} % simulated, {run.progress.gc_cycles} GC cycles")
        if run.progress.HasField("eta_s"):
            parts.append(f"{run.progress.eta_s:.0f} s to go")
    if run.cached_result:
        parts.append("result was there")
    if run.error.reason:
        parts.append(f"{run.error.reason}: {run.error.message}")
    return "  ".join(parts)
