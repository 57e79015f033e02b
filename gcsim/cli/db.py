"""`gcsim db`: the store of a data directory."""

from __future__ import annotations

from pathlib import Path

import click

from gcsim.errors import DatasetError

_data_dir = click.option(
    "--data-dir",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=Path("gcsim-data"),
    show_default=True,
    help="Directory of the runs.",
)


@click.group("db")
def command() -> None:
    """Check or rebuild the store of a data directory.  The server must be stopped."""


@command.command("check")
@_data_dir
def check(data_dir: Path) -> None:
    """Check the store, and every result against its SHA-256."""
    from gcsim.datasets.reader import load
    from gcsim.sweep.schema import examine
    from gcsim.sweep.store import Store, database_path

    if not database_path(data_dir).exists():
        raise click.UsageError(f"{data_dir} has no store")
    examine(database_path(data_dir))
    damaged = 0
    with Store.open(data_dir) as store:
        counts = store.counts()
        after = ""
        while page := store.datasets(after_id=after):
            for dataset in page:
                try:
                    load(store.dataset_path(dataset.id)).verify()
                except DatasetError as error:
                    damaged += 1
                    click.echo(f"damaged: {error}")
            after = page[-1].id
        sweeps, problems = store.sweeps.states(), store.sweeps.check()
    for problem in problems:
        click.echo(f"inconsistent: {problem}")
    click.echo(", ".join(f"{count} {state}" for state, count in counts.items() if count) or "no runs")
    if any(sweeps.values()):
        click.echo("sweeps: " + ", ".join(f"{count} {state}" for state, count in sweeps.items() if count))
    if problems:
        raise DatasetError(
            "the store contradicts itself; `gcsim db rebuild` makes a new one from the results"
        )
    if damaged:
        raise DatasetError(f"{damaged} results are damaged; submit their specs again, or `gcsim db rebuild`")


@command.command("rebuild")
@_data_dir
def rebuild_store(data_dir: Path) -> None:
    """Make a new store from the results that are whole; the old file is kept beside it.

    Runs get the ids of their datasets.  Runs without a result are lost, as are labels, request ids and sweeps. A sweep
    that is submitted again computes only what is not there.
    """
    from gcsim.sweep.store import rebuild

    count = rebuild(data_dir, report=click.echo)
    click.echo(f"{count} runs")
