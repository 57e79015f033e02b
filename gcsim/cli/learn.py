"""`gcsim learn`."""

from __future__ import annotations

from pathlib import Path

import click
from rich.table import Table

from gcsim.cli import exit_codes
from gcsim.cli.output import format_value, stdout_console
from gcsim.interop.files import write_whole
from gcsim.lessons.catalog import LESSONS
from gcsim.lessons.compare import NUMBERS, changed_lines, run_lesson
from gcsim.lessons.picture import html
from gcsim.lessons.systems import by_system


@click.command("learn")
@click.argument("lesson", required=False, type=click.Choice(list(LESSONS)), metavar="LESSON")
@click.option(
    "--html",
    "page",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Also write a picture of both sides, one HTML file that opens offline.",
)
@click.pass_context
def command(ctx: click.Context, lesson: str | None, page: Path | None) -> None:
    """List the lessons, or run one.

    A LESSON simulates a program before and after a change and prints both side by side, and why they differ.
    The two workloads are in workloads/lessons/ of the source and can be run and changed like any other.
    """
    console = stdout_console()
    if lesson is None:
        if page is not None:
            raise click.UsageError("--html needs a LESSON")
        table = Table(box=None, pad_edge=False)
        for column in ("lesson", "what it shows"):
            table.add_column(column, no_wrap=column == "lesson")
        table.add_column("about", style="dim")
        for about, names in by_system().items():
            for name in names:
                table.add_row(name, LESSONS[name].title, about if name == names[0] else "")
        console.print(table)
        console.print("\nNext: gcsim learn pool", markup=False)
        return
    chosen = LESSONS[lesson]
    outcome = run_lesson(chosen)
    console.print(f"{chosen.title}\n\n{chosen.change}\n", markup=False)
    for line in changed_lines(chosen):
        console.print(f"  {line}", markup=False, style="red" if line[0] == "-" else "green")
    console.print()
    table = Table(box=None, pad_edge=False)
    table.add_column("number", no_wrap=True)
    for side in ("before", "after"):
        table.add_column(side, justify="right", no_wrap=True)
    table.add_column("what", style="dim")
    for name in chosen.numbers:
        number = NUMBERS[name]
        before, after = (format_value(number, side[name]) for side in (outcome.before, outcome.after))
        table.add_row(name, before, after, number.description)
    console.print(table)
    console.print(f"\nWhy: {chosen.why}", markup=False)
    if chosen.precise:
        console.print(f"\nPrecisely: {chosen.precise}", markup=False)
    console.print()
    verdicts = outcome.verdicts()
    for claim, seen in verdicts:
        console.print(f"{'seen    ' if seen else 'NOT SEEN'}  {claim}", markup=False)
    if page is not None:
        write_whole(page, html(outcome, format_value).encode())
        click.echo(f"{page} written", err=True)
    if not all(seen for _, seen in verdicts):
        ctx.exit(exit_codes.RUN_FAILED)
