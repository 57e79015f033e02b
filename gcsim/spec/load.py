"""From a file, from text or from plain data to a spec, with every problem at once."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from gcsim.errors import InvariantError, Problem, SpecError
from gcsim.spec.check import Finding, SpecPath, is_profile_path, path_text, shown, spec_rules
from gcsim.spec.models import GO_RELEASES, Spec
from gcsim.spec.problems import line_of, problems_of
from gcsim.spec.steps import expand_steps
from gcsim.spec.yaml_text import read_yaml

MAX_ARRIVALS = 50_000_000  # assumed: 400 MB as Python sees them; a recording beyond should be cut


def load_spec(path: str | Path) -> Spec:
    """Read a spec from a YAML file.  Files that it names are relative to it.

    Raises:
        SpecError: the file cannot be read, or with every problem of the spec.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not UTF-8 text"
        remedy = "give the path of a spec file; `gcsim init` writes one"
        raise SpecError(
            [Problem(path="$", message=f"cannot read {path}: {reason}", remedy=remedy)], source=str(path)
        ) from error
    return parse_spec(text, source=str(path), base_dir=path.parent)


def parse_spec(text: str, *, source: str = "<spec>", base_dir: str | Path | None = None) -> Spec:
    """Read a spec from YAML text.

    Args:
        source: what error messages call the text.
        base_dir: folder that files named in the spec are relative to; None = the spec may not name files, as
            when it comes over the network.
    Raises:
        SpecError: with every problem of the spec.
    """
    try:
        document = read_yaml(text)
        data, problems = document.data, document.problems
        if data is None:
            problems.append(
                Problem(path="$", message="the spec is empty", remedy="`gcsim init` writes one to start from")
            )
            raise SpecError(problems)
        data, more = _resolve_files(data, None if base_dir is None else Path(base_dir), document.lines)
        return _validate(data, document.lines, [*problems, *more])
    except SpecError as error:
        raise SpecError(error.problems, source=source) from error.__cause__


def spec_from_dict(data: Any, lines: Mapping[SpecPath, int] | None = None) -> Spec:
    """Make a spec of plain data: mappings, lists, text and numbers, as YAML or JSON has them.

    Args:
        lines: line of each path in the text that the data came from.
    Raises:
        SpecError: with every problem of the spec.
    """
    return _validate(data, lines or {}, [])


def _validate(data: Any, lines: Mapping[SpecPath, int], problems: list[Problem]) -> Spec:
    if not isinstance(data, Mapping):
        remedy = "begin with `name: ...`; `gcsim init` writes a spec to start from"
        raise SpecError(
            [
                *problems,
                Problem(
                    path="$", line=line_of((), lines), message="a spec is a mapping of fields", remedy=remedy
                ),
            ]
        )
    expanded, rewritten, found = expand_steps(data)
    problems = list(problems)
    problems += [_problem(finding, finding.path, lines) for finding in found]
    problems += [
        _problem(finding, rewritten.written(finding.path), lines)
        for finding in spec_rules(expanded, go_releases=GO_RELEASES)
    ]
    spec = None
    try:
        spec = Spec.model_validate(expanded)
    except ValidationError as error:
        problems += problems_of(error, expanded, rewritten, lines)
        if not problems:
            raise InvariantError(f"rules differ between plain data and model: {error}") from error
    if problems or spec is None:
        raise SpecError(sorted(problems, key=lambda problem: problem.line or 0))
    return spec


def _problem(finding: Finding, written: SpecPath, lines: Mapping[SpecPath, int]) -> Problem:
    return Problem(
        path=path_text(written),
        line=line_of(written, lines),
        value=finding.value,
        message=finding.message,
        remedy=finding.remedy,
    )


def dump_spec(spec: Spec) -> str:
    """A spec as YAML that loads to an equal spec: every field in full, times in ns, sizes in bytes."""
    return yaml.safe_dump(spec.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


# ---- files that a spec names -------------------------------------------------------------------------------


def _resolve_files(
    data: Any, base_dir: Path | None, lines: Mapping[SpecPath, int]
) -> tuple[Any, list[Problem]]:
    """Read arrival times into the data and make the path of a machine profile absolute."""
    problems: list[Problem] = []

    def problem(at: SpecPath, value: object, message: str, remedy: str) -> None:
        line = line_of(at, lines)
        problems.append(
            Problem(path=path_text(at), line=line, value=shown(value), message=message, remedy=remedy)
        )

    if not isinstance(data, Mapping):
        return data, problems
    data = dict(data)
    machine = data.get("machine")
    profile = machine.get("profile") if isinstance(machine, Mapping) else None
    if isinstance(profile, str) and is_profile_path(profile):
        at: SpecPath = ("machine", "profile")
        if base_dir is None:
            problem(
                at,
                profile,
                "is a file, which a spec without a file of its own cannot name",
                "name a shipped profile",
            )
        elif not (base_dir / profile).is_file():
            problem(at, profile, "is no file", f"write a path relative to {base_dir}")
        else:
            data["machine"] = {**machine, "profile": str((base_dir / profile).resolve())}
    if isinstance(data.get("requests"), list):
        data["requests"] = list(data["requests"])
        for index, request in enumerate(data["requests"]):
            name = request.get("arrivals_csv") if isinstance(request, Mapping) else None
            if not isinstance(name, str) or request.get("arrival_times_ns"):
                continue
            at = ("requests", index, "arrivals_csv")
            if base_dir is None:
                problem(
                    at,
                    name,
                    "is a file, which a spec without a file of its own cannot name",
                    "give arrival_times_ns",
                )
                times: list[int] | None = None
            else:
                try:
                    times = read_arrivals_csv(base_dir / name)
                except ValueError as error:
                    message, _, remedy = str(error).partition("; ")
                    problem(at, name, message, remedy)
                    times = None
            # A file that cannot be read is one problem, not also that of a missing time.
            data["requests"][index] = {**request, "arrival_times_ns": [0] if times is None else times}
    return data, problems


def read_arrivals_csv(path: Path) -> list[int]:
    """Arrival times (ns after load start, ascending) from the column ``arrival_ns`` of a CSV file.

    Raises:
        ValueError: no such file or column, a row that is no time, or times out of order; with a remedy.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file)
            if "arrival_ns" not in (rows.fieldnames or ()):
                raise ValueError("has no column arrival_ns; name the column of times in ns arrival_ns")
            times: list[int] = []
            for row in rows:
                text = (row["arrival_ns"] or "").strip()
                if not text.isascii() or not text.isdigit() or len(text) > 18:
                    raise ValueError(f"line {rows.line_num}: {text[:40]!r} is no time; write whole ns >= 0")
                times.append(int(text))
                if len(times) > 1 and times[-1] < times[-2]:
                    raise ValueError(
                        f"line {rows.line_num}: {text} comes after {times[-2]}; sort the rows by arrival_ns"
                    )
                if len(times) > MAX_ARRIVALS:
                    raise ValueError(f"has more than {MAX_ARRIVALS:,} rows; cut the recording")
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ValueError(f"cannot be read: {reason}; write a path relative to the spec file") from error
    if not times:
        raise ValueError("has no rows; record at least one arrival")
    return times
