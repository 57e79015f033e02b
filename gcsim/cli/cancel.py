"""`gcsim cancel`."""

from __future__ import annotations

from typing import Any

import click

from gcsim.cli.remote import connect, describe, server_options


@click.command("cancel")
@click.argument("run_ids", nargs=-1, required=True, metavar="RUN_ID...")
@server_options
def command(run_ids: tuple[str, ...], **server: Any) -> None:
    """Cancel runs on a server; one that is finished stays as it is."""
    with connect(**server) as client:
        for run_id in run_ids:
            click.echo(describe(client.cancel(run_id)))
