"""`gcsim delete`."""

from __future__ import annotations

from typing import Any

import click

from gcsim.cli.remote import connect, is_sweep_name, server_options


@click.command("delete")
@click.argument("run_ids", nargs=-1, required=True, metavar="RUN_ID|sweeps/ID...")
@server_options
def command(run_ids: tuple[str, ...], **server: Any) -> None:
    """Delete finished runs and sweeps on a server, with their results unless another run has the same."""
    with connect(**server) as client:
        for run_id in run_ids:
            if is_sweep_name(run_id):
                client.delete_sweep(run_id)
            else:
                client.delete(run_id)
            click.echo(f"{run_id}  deleted")
