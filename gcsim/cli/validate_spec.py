"""``gcsim validate-spec``: every problem of spec files at once."""

from __future__ import annotations

import csv
import json
import sys
from dataclasses import asdict
from pathlib import Path

import click

from gcsim.cli import exit_codes
from gcsim.datasets.thresholds import check_thresholds
from gcsim.errors import Problem, SpecError
from gcsim.spec.load import load_spec
from gcsim.spec.profile import load_profile

_COLUMNS = ("spec", "path", "line", "value", "message", "remedy")


@click.command("validate-spec")
@click.argument("specs", nargs=-1, required=True, metavar="SPEC...", type=click.Path(path_type=Path))
@click.option(
    "--output",
    type=click.Choice(["table", "json", "csv"]),
    default="table",
    show_default=True,
    help="Form of the result.",
)
def command(specs: tuple[Path, ...], output: str) -> None:
    """Check spec files and report all their problems, each with place, value and remedy.

    Exit code 0: all are valid; 2: at least one is not.
    """
    found = [(path, problems_of(path)) for path in specs]
    if output == "json":
        documents = [
            {"spec": str(path), "valid": not problems, "problems": [asdict(problem) for problem in problems]}
            for path, problems in found
        ]
        click.echo(json.dumps(documents, indent=2, ensure_ascii=False))
    elif output == "csv":
        rows = csv.DictWriter(sys.stdout, _COLUMNS, lineterminator="\n")
        rows.writeheader()
        for path, problems in found:
            rows.writerows({"spec": str(path), **asdict(problem)} for problem in problems)
    else:
        for path, problems in found:
            click.echo(str(SpecError(problems, source=str(path))) if problems else f"{path}: ok")
    if any(problems for _, problems in found):
        raise SystemExit(exit_codes.USAGE)


def problems_of(path: Path) -> tuple[Problem, ...]:
    """Everything wrong with a spec file, the names of its metrics and its machine profile included."""
    try:
        spec = load_spec(path)
    except SpecError as error:
        return error.problems
    problems: list[Problem] = []
    for check in (
        lambda: check_thresholds(spec),
        lambda: load_profile(spec.machine.profile, spec.runtime.go),
    ):
        try:
            check()
        except SpecError as error:
            problems += error.problems
    return tuple(problems)
