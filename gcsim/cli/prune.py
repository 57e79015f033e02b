"""`gcsim prune`."""

from __future__ import annotations

import re
from pathlib import Path

import click

from gcsim.cli.serve import Size

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


class Age(click.ParamType):  # type: ignore[type-arg]
    """A span of wall-clock time such as 30d, in seconds."""

    name = "age"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        match = re.fullmatch(r"([0-9]{1,9})([smhd])", str(value))
        if match is None:
            self.fail(f"{value!r} is no age; write a number and s, m, h or d, such as 30d", param, ctx)
        return float(int(match[1]) * _SECONDS[match[2]])


@click.command("prune")
@click.option(
    "--data-dir",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=Path("gcsim-data"),
    show_default=True,
    help="Directory of the runs.",
)
@click.option("--older-than", type=Age(), help="Delete runs that ended longer ago, such as 30d.")
@click.option("--max-bytes", type=Size(), help="Then delete the oldest until the results fit, such as 50GiB.")
def command(data_dir: Path, older_than: float | None, max_bytes: int | None) -> None:
    """Delete finished runs and sweeps of a data directory, sweeps as a whole.  Nothing is deleted that is not asked for; the server must be stopped."""
    from gcsim.sweep.store import Store

    if older_than is None and max_bytes is None:
        raise click.UsageError("say what may go: --older-than or --max-bytes")
    with Store.open(data_dir) as store:
        for run_id in store.prune(older_than_s=older_than, max_bytes=max_bytes):
            click.echo(f"{run_id}  deleted")
