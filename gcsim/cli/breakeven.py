"""``gcsim breakeven``: from which size on a pointer to the heap is cheaper than copying a struct."""

from __future__ import annotations

import json
from dataclasses import asdict

import click
from rich.table import Table

from gcsim.cli.output import stdout_console
from gcsim.fit.breakeven import Program, break_even
from gcsim.spec.models import GO_RELEASES
from gcsim.spec.profile import load_profile
from gcsim.units import format_bytes, format_ns

_CALLS = (1, 2, 5, 10, 20, 50, 100)


@click.command("breakeven")
@click.option("--profile", default="epyc-genoa-kvm", show_default=True, help="Machine profile: name or path.")
@click.option("--go", "release", type=click.Choice(GO_RELEASES), default="1.27", help="Go release.")
@click.option(
    "--gogc", type=click.IntRange(0), default=100, show_default=True, help="GOGC; 0 stands for off."
)
@click.option(
    "--calls",
    type=click.IntRange(1),
    multiple=True,
    help="Calls that a struct is passed through (repeatable).",
)
@click.option(
    "--pointer-words",
    type=click.IntRange(0),
    default=1,
    show_default=True,
    help="Words up to its last pointer.",
)
@click.option(
    "--live-object-bytes",
    type=click.IntRange(8),
    default=64,
    show_default=True,
    help="Typical object of the live heap, which each collection marks.",
)
@click.option(
    "--copy-ns-per-byte",
    type=click.FloatRange(0, min_open=True),
    help="What copying costs.  [default: the profile's copy_ns_per_byte]",
)
@click.option(
    "--output", type=click.Choice(["table", "json"]), default="table", show_default=True, help="Form."
)
def command(
    profile: str,
    release: str,
    gogc: int,
    calls: tuple[int, ...],
    pointer_words: int,
    live_object_bytes: int,
    copy_ns_per_byte: float | None,
    output: str,
) -> None:
    """Show from which size on a pointer to the heap is cheaper than a value, by the calls it is passed through.

    A pointer that does not escape is cheaper at any size: `gcsim escape` says which do.
    """
    program = Program(
        go=release,
        gogc_percent=gogc or None,
        live_object_bytes=live_object_bytes,
        pointer_words=pointer_words,
        copy_ns_per_byte=copy_ns_per_byte,
    )
    machine = load_profile(profile, release)
    found = [(each, break_even(each, program, machine)) for each in calls or _CALLS]
    if output == "json":
        rows = [
            {"calls": each, "break_even": None if costs is None else asdict(costs)} for each, costs in found
        ]
        click.echo(json.dumps(rows, indent=2))
        return
    table = Table(box=None, pad_edge=False)
    for column in ("calls", "pointer cheaper from", "copying", "allocating", "sweeping", "marking"):
        table.add_column(column, justify="right")
    for each, costs in found:
        if costs is None:
            table.add_row(str(each), "never", "-", "-", "-", "-")
        else:
            parts = (costs.copy_ns, costs.alloc_ns, costs.sweep_ns, costs.mark_ns)
            table.add_row(str(each), format_bytes(costs.size_bytes), *map(format_ns, parts))
    stdout_console().print(table)
