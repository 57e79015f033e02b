"""``gcsim schema``: JSON Schema of specs, for editors."""

from __future__ import annotations

import json

import click

from gcsim.spec.schema import json_schema


@click.command("schema")
def command() -> None:
    """Print the JSON Schema of spec files, for editors and other tools.

    \b
    In VS Code with the YAML extension:
      gcsim schema > gcsim.schema.json
      # yaml-language-server: $schema=gcsim.schema.json   (first line of a spec)
    """
    click.echo(json.dumps(json_schema(), indent=2, ensure_ascii=False))
