"""`gcsim delete`."""

from __future__ import annotations

from typing import Any

import click

from gcsim.cli.remote import connect, is_sweep_name, server_options


@click.command("delete")
@click.argument("run_ids", nargs=-1, required=True, metavar="NAME...")
@server_options
def command(run_ids: tuple[str, ...], **server: Any) -> None:
    """Delete finished runs (by their ids) and sweeps (sweeps/ID) on a server, with results that no other run has."""
    with connect(**server) as client:
        for run_id in run_ids:
            if is_sweep_name(run_id):
                client.delete_sweep(run_id)
            else:
                client.delete(run_id)
            click.echo(f"{run_id}  deleted")
