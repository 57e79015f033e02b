"""``gcsim escape``: which allocation sites are on the stack and which in the heap, and why."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click
import yaml
from rich.table import Table

from gcsim.cli.output import stdout_console
from gcsim.errors import RunError
from gcsim.fit.escape_sites import compile_package, to_spec_sites
from gcsim.interop.compiler import is_compiler_output, read_compiler_output
from gcsim.policy.escape import Place
from gcsim.policy.releases import release_rules
from gcsim.runtime.expand import decide_site
from gcsim.spec.load import load_spec
from gcsim.spec.models import GO_RELEASES, AllocationSite
from gcsim.units import format_bytes


@click.command("escape")
@click.argument("spec", required=False, type=click.Path(path_type=Path))
@click.option("--go", "release", type=click.Choice(GO_RELEASES), help="Go release instead of the spec's.")
@click.option(
    "--output",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="Form of the result.",
)
@click.option(
    "--from-compiler",
    "compiler_output",
    metavar="FILE|PACKAGE",
    help="Read the output of `go build -gcflags=-m` (-m=2 says more; - is standard input), or run Go's compiler on the "
    "package in a directory; prints the sites as YAML for a spec.",
)
@click.option(
    "--go-command", default="go", show_default=True, help="Go's command for --from-compiler PACKAGE."
)
def command(
    spec: Path | None, release: str | None, output: str, compiler_output: str | None, go_command: str
) -> None:
    """Show for each allocation site of SPEC whether it is on the stack or in the heap, and why.

    \b
    Sites of a real program, as the section `sites` of a spec:
      go build -gcflags=-m=2 . 2> said.txt
      gcsim escape --from-compiler said.txt
    """
    if (spec is None) == (compiler_output is None):
        raise click.UsageError("give either SPEC or --from-compiler")
    if compiler_output is not None:
        for flag, given in (("--go", release is not None), ("--output", output != "table")):
            if given:
                raise click.UsageError(f"{flag} is for SPEC: --from-compiler only reads, as YAML")
        text = _text_of(compiler_output, go_command)
        if not is_compiler_output(text):
            raise RunError(
                f"{compiler_output}: no line says `file.go:line:column: …`; give what `go build -gcflags=-m` prints"
            )
        click.echo(sites_yaml(to_spec_sites(read_compiler_output(text))))
        return
    assert spec is not None
    loaded = load_spec(spec)
    rows = decided_rows(loaded.sites, release or loaded.runtime.go)
    if output == "json":
        click.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    table = Table(box=None, pad_edge=False)
    for column in ("site", "construct", "size", "flows", "where", "reason"):
        table.add_column(column, justify="right" if column == "size" else "left", overflow="fold")
    for row in rows:
        size = "-" if row["size_bytes"] is None else format_bytes(row["size_bytes"])
        table.add_row(
            row["site"], row["construct"], size, ", ".join(row["flows"]) or "-", row["place"], row["reason"]
        )
    stdout_console().print(table)
    if not rows:
        click.echo("The spec declares no sites; add `sites:`, or make them with --from-compiler.", err=True)


def decided_rows(sites: tuple[AllocationSite, ...], release: str) -> list[dict[str, Any]]:
    """One row per site, in the order of the spec."""
    rules = release_rules(release)
    rows = []
    for site in sites:
        decision = decide_site(site, rules)
        place = decision.place.value
        if decision.place is Place.BY_SIZE:
            place = f"stack <= {decision.stack_bytes} B"
        rows.append(
            {
                "site": site.name,
                "construct": site.construct,
                "size_bytes": site.size,
                "flows": list(site.flows),
                "go": release,
                "place": place,
                "escapes": decision.escapes,
                "reason": decision.reason,
            }
        )
    return rows


def sites_yaml(sites: list[AllocationSite]) -> str:
    """Sites as the section of a spec: what is at its default is left out."""
    data = [site.model_dump(mode="json", exclude_defaults=True) for site in sites]
    return yaml.safe_dump({"sites": data}, sort_keys=False, allow_unicode=True, width=110).rstrip()


def _text_of(source: str, go_command: str) -> str:
    if source == "-":
        return sys.stdin.read()
    path = Path(source)
    if path.is_dir():
        return compile_package(path, go=go_command)
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        remedy = "write the path of the compiler's output or of a package"
        raise RunError(f"{source}: cannot be read: {reason}; {remedy}") from error
