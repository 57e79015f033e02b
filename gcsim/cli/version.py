"""`gcsim version`."""

from __future__ import annotations

import json
import platform

import click


@click.command("version")
@click.option(
    "--output", type=click.Choice(["text", "json"]), default="text", show_default=True, help="Form."
)
def command(output: str) -> None:
    """Print versions and known Go releases."""
    from gcsim.datasets.schema import SCHEMA_VERSION
    from gcsim.spec.models import GO_RELEASES, SPEC_VERSION
    from gcsim.version import __version__

    versions = {
        "gcsim": __version__,
        "dataset_schema": SCHEMA_VERSION,
        "spec": str(SPEC_VERSION),
        "go_releases": ", ".join(GO_RELEASES),
        "python": platform.python_version(),
    }
    if output == "json":
        click.echo(json.dumps(versions | {"go_releases": list(GO_RELEASES)}, indent=2))
    else:
        click.echo("\n".join(f"{name:<15} {value}" for name, value in versions.items()))
