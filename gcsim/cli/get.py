"""`gcsim get`."""

from __future__ import annotations

import json
from typing import Any

import click

from gcsim.cli.remote import connect, is_sweep_name, run_json, server_options, sweep_data


@click.command("get")
@click.argument("run_id", metavar="NAME")
@server_options
def command(run_id: str, **server: Any) -> None:
    """Print NAME, a run's id or sweeps/ID, of a server as JSON.

    A run has its spec, state, error and summary; a sweep its spec, state and the counts of its runs.
    """
    with connect(**server) as client:
        if is_sweep_name(run_id):
            click.echo(json.dumps(sweep_data(client.sweep(run_id).message), indent=2))
            return
        click.echo(run_json(client.run(run_id).message))
