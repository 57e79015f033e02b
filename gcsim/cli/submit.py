"""`gcsim submit`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from gcsim.cli import exit_codes
from gcsim.cli.output import echo_thresholds, stdout_console, summary_json, summary_table
from gcsim.cli.remote import connect, describe, server_options
from gcsim.datasets.thresholds import evaluate_thresholds
from gcsim.spec.load import load_spec
from gcsim.spec.overrides import apply_overrides


@click.command("submit")
@click.argument("spec", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@server_options
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="PATH=VALUE",
    help="Change a field of the spec, such as gogc=200. Repeatable.",
)
@click.option("--run-id", default="", help="Id for the run. [default: a random one]")
@click.option(
    "--request-id", help="Makes repeating safe: the same id gives the same run. [default: a random one]"
)
@click.option("--label", "labels", multiple=True, metavar="KEY=VALUE", help="Label of the run. Repeatable.")
@click.option("--skip-cache", is_flag=True, help="Compute it even if the server has the result.")
@click.option(
    "--wait", is_flag=True, help="Wait until it is finished, download the result and print the summary."
)
@click.option(
    "--out", type=click.Path(path_type=Path), help="With --wait: directory to make. [default: runs/<run_id>]"
)
@click.option(
    "--output",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="With --wait: form of the summary.",
)
@click.pass_context
def command(
    ctx: click.Context,
    /,
    spec: Path,
    overrides: tuple[str, ...],
    run_id: str,
    request_id: str | None,
    labels: tuple[str, ...],
    skip_cache: bool,
    wait: bool,
    out: Path | None,
    output: str,
    **server: Any,
) -> None:
    """Submit SPEC to a server and print the run's id.

    When the id is printed, the run is on the server's disk and will reach a final state. With --wait, exit code 99 says that
    a threshold of the spec is not met.
    """
    pairs = dict(label.partition("=")[::2] for label in labels)
    loaded = apply_overrides(load_spec(spec), overrides)
    with connect(**server) as client:
        run = client.submit(loaded, run_id=run_id, request_id=request_id, labels=pairs, skip_cache=skip_cache)
        if not wait:
            click.echo(run.id)
            return
        click.echo(f"run {run.id}", err=True)
        for message in run.watch():
            click.echo(describe(message), err=True)
        result = run.result(
            out
            if out is not None
            else Path("runs") / run.message.dataset.removeprefix("datasets/")
            if run.message.dataset
            else None
        )
    outcomes = evaluate_thresholds(loaded.thresholds, result.summary)
    if output == "json":
        click.echo(summary_json(result.summary, outcomes), nl=False)
    else:
        stdout_console().print(summary_table(result.summary))
    click.echo(f"run directory: {result.path}", err=True)
    if not echo_thresholds(outcomes):
        ctx.exit(exit_codes.THRESHOLD_FAILED)
