"""`gcsim get`."""

from __future__ import annotations

from typing import Any

import click

from gcsim.cli.remote import connect, run_json, server_options


@click.command("get")
@click.argument("run_id")
@server_options
def command(run_id: str, **server: Any) -> None:
    """Print the run RUN_ID of a server as JSON: spec, state, error, summary."""
    with connect(**server) as client:
        click.echo(run_json(client.run(run_id).message))
