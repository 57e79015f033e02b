"""`gcsim cancel`."""

from __future__ import annotations

from typing import Any

import click

from gcsim.cli.remote import connect, describe, describe_sweep, is_sweep_name, server_options


@click.command("cancel")
@click.argument("run_ids", nargs=-1, required=True, metavar="NAME...")
@server_options
def command(run_ids: tuple[str, ...], **server: Any) -> None:
    """Cancel runs (by their ids) and sweeps (sweeps/ID) on a server; one that is finished stays as it is."""
    with connect(**server) as client:
        for run_id in run_ids:
            if is_sweep_name(run_id):
                click.echo(describe_sweep(client.cancel_sweep(run_id)))
            else:
                click.echo(describe(client.cancel(run_id)))
