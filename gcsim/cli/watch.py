"""`gcsim watch`."""

from __future__ import annotations

from typing import Any

import click

from gcsim.cli import exit_codes
from gcsim.cli.output import echo_thresholds
from gcsim.cli.remote import (
    connect,
    describe,
    describe_sweep,
    is_sweep_name,
    server_options,
    thresholds_of,
)


@click.command("watch")
@click.argument("run_id", metavar="NAME")
@server_options
@click.pass_context
def command(ctx: click.Context, /, run_id: str, **server: Any) -> None:
    """Follow NAME, a run's id or sweeps/ID, on a server until it is finished.  Leaving does not cancel it.

    Exit code 1: it failed or was cancelled; 4: some runs of the sweep did; 99: the run misses a threshold of its spec.
    """
    state = ""
    with connect(**server) as client:
        if is_sweep_name(run_id):
            for sweep in client.watch_sweep(run_id):
                line = describe_sweep(sweep)
                click.echo(line)
            state = line.split("  ")[1]
            if state != "SUCCEEDED":
                ctx.exit(exit_codes.PARTIAL if state == "PARTIAL" else exit_codes.RUN_FAILED)
            return
        for run in client.watch(run_id):
            line = describe(run)
            click.echo(line)
            state = line.split("  ")[1]
        if state == "SUCCEEDED" and not echo_thresholds(thresholds_of(client.run(run_id).message)):
            ctx.exit(exit_codes.THRESHOLD_FAILED)
    if state != "SUCCEEDED":
        ctx.exit(exit_codes.RUN_FAILED)
