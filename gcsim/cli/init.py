"""``gcsim init``: a commented spec to start from."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

import click

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")


@click.command("init")
@click.argument("name", default="my-service")
def command(name: str) -> None:
    """Write a commented spec NAME.yaml to start from, in the current directory.

    NAME is the workload's name: lower-case letters, digits, - and _.  An existing file is never overwritten.
    """
    if not _NAME.fullmatch(name):
        raise click.BadParameter(
            "write lower-case letters, digits, - and _, beginning with a letter, at most 63",
            param_hint="NAME",
        )
    path = Path(f"{name}.yaml")
    text = (files("gcsim.spec") / "starter.yaml").read_text(encoding="utf-8")
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text.replace("{name}", name).replace("{file}", str(path)))
    except FileExistsError:
        raise click.UsageError(f"{path} exists; remove it or choose another name") from None
    click.echo(f"{path} written; next: gcsim run {path}")
