"""`gcsim watch`."""

from __future__ import annotations

from typing import Any

import click

from gcsim.cli import exit_codes
from gcsim.cli.remote import connect, describe, server_options


@click.command("watch")
@click.argument("run_id")
@server_options
@click.pass_context
def command(ctx: click.Context, /, run_id: str, **server: Any) -> None:
    """Follow RUN_ID on a server until it is finished.  Leaving does not cancel it.

    Exit code 1: it failed or was cancelled.
    """
    state = ""
    with connect(**server) as client:
        for run in client.watch(run_id):
            line = describe(run)
            click.echo(line)
            state = line.split("  ")[1]
    if state != "SUCCEEDED":
        ctx.exit(exit_codes.RUN_FAILED)
