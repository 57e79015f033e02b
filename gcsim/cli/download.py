"""`gcsim download`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from gcsim.cli.remote import connect, is_sweep_name, server_options


@click.command("download")
@click.argument("name", metavar="NAME")
@server_options
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Directory to make. [default: runs/<dataset>, sweeps/<plan>]",
)
def command(name: str, out: Path | None, **server: Any) -> None:
    """Download NAME from a server: the result of a run by its id, datasets/ID, or all of sweeps/ID.

    A broken connection is taken up where it was, and so is the directory of a sweep; a result appears when its SHA-256 is
    right.
    """
    with connect(**server) as client:
        if is_sweep_name(name):
            sweep = client.sweep(name)
            swept = sweep.result(Path("sweeps") / sweep.message.plan_id if out is None else out, resume=True)
            click.echo(f"sweep directory: {swept.path}", err=True)
            return
        if out is None:
            dataset = name if name.startswith("datasets/") else client.run(name).message.dataset
            out = Path("runs") / (dataset.removeprefix("datasets/") or name)
        result = client.download(name, out)
    click.echo(f"run directory: {result.path}", err=True)
