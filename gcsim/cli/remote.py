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
    from gcsim.api.v1.sweep_pb2 import Sweep
    from gcsim.client import Client
    from gcsim.datasets.thresholds import ThresholdOutcome

F = TypeVar("F", bound=Callable[..., Any])
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


def server_options(function: F) -> F:
    """Where the server is, and what to show it.  The command gets a `client`."""
    return _access_options(
        click.option(
            "--server",
            envvar="GCSIM_SERVER",
            default=DEFAULT_LISTEN,
            show_default=True,
            help="Address of the server. [env: GCSIM_SERVER]",
        )(function)
    )


def optional_server_options(function: F) -> F:
    """The same for a command that works on this machine unless it is told otherwise."""
    return _access_options(
        click.option(
            "--server", help="Address of a server (`gcsim serve`) that is to do it. [default: none]"
        )(function)
    )


def _access_options(function: F) -> F:
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
    ):
        function = option(function)
    return function


def is_sweep_name(name: str) -> bool:
    """Whether an argument names a sweep rather than a run."""
    return name.startswith("sweeps/")


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


def sweep_data(sweep: Sweep) -> dict[str, Any]:
    """A sweep as plain data, for JSON: names as in the API."""
    from google.protobuf.json_format import MessageToDict

    data: dict[str, Any] = MessageToDict(sweep, preserving_proto_field_name=True)
    data["state"] = data["state"].removeprefix("SWEEP_STATE_")
    data["layout"] = data["layout"].removeprefix("SWEEP_LAYOUT_")
    # Zeros are left out on the wire; a script should find every count.
    data["counts"] = {
        field.name: getattr(sweep.counts, field.name) for field in sweep.counts.DESCRIPTOR.fields
    }
    return data


def thresholds_of(run: Run) -> list[ThresholdOutcome]:
    """The thresholds of a finished run's spec, judged by its summary."""
    from gcsim.datasets.thresholds import evaluate_thresholds

    return evaluate_thresholds(dict(sorted(run.spec.thresholds.items())), run_data(run).get("summary", {}))


def describe_sweep(sweep: Sweep) -> str:
    """One line: name, state, how many of its runs are done."""
    data, counts = sweep_data(sweep), sweep.counts
    parts = [
        data["name"],
        data["state"],
        f"{counts.succeeded} of {counts.total - counts.skipped} runs succeeded",
    ]
    parts += [
        f"{count} {word}"
        for count, word in (
            (counts.failed, "failed"),
            (counts.cancelled, "cancelled"),
            (counts.running, "running"),
            (counts.skipped, "not needed"),
        )
        if count
    ]
    return "  ".join(parts)
