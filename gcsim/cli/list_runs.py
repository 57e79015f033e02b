"""`gcsim list`."""

from __future__ import annotations

import json
from typing import Any

import click

from gcsim.cli.remote import connect, describe, describe_sweep, run_data, server_options, sweep_data


@click.command("list")
@server_options
@click.option(
    "--filter",
    "filter_text",
    default="",
    help='Terms joined by AND: state = FAILED, workload = "cache", labels.team = "x", sweep = "ID".',
)
@click.option("--sweeps", is_flag=True, help="Sweeps instead of runs.")
@click.option("--newest-first", is_flag=True, help="Latest submitted first.")
@click.option(
    "--output",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="Form of the list.",
)
def command(filter_text: str, sweeps: bool, newest_first: bool, output: str, **server: Any) -> None:
    """List the runs of a server, or its sweeps, in the order of submission."""
    with connect(**server) as client:
        if sweeps:
            found = client.sweeps(filter_text, newest_first=newest_first)
            if output == "json":
                click.echo(json.dumps([sweep_data(sweep) for sweep in found], indent=2))
            else:
                for sweep in found:
                    click.echo(describe_sweep(sweep))
            return
        runs = client.runs(filter_text, newest_first=newest_first)
    if output == "json":
        click.echo(json.dumps([run_data(run) for run in runs], indent=2))
    else:
        for run in runs:
            click.echo(describe(run))
