"""What a sweep varies: ``gogc=50,100,200`` (values), ``gogc=25..400`` (a range, for a Latin hypercube), a CSV list."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gcsim.datasets.schema import TABLES
from gcsim.errors import Problem, SpecError
from gcsim.spec.overrides import KNOBS, full_path

_RANGE = re.compile(r"\s*(\S+?)\.\.(\S+?)(:log)?\s*")
_ALIAS = {knob.path: knob.alias for knob in KNOBS}
_TAKEN = frozenset(column.name for table in TABLES.values() for column in table.columns)
# What the plan itself decides, and what to say instead.
_NOT_AN_AXIS = {
    "run.seed": "points share their seeds so that they can be compared; change all of them with --seed",
    "run.replications": "write --replications",
    "name": "sweep what changes the result",
    "description": "sweep what changes the result",
}


@dataclass(frozen=True, kw_only=True)
class Axis:
    """A field that varies, by its full path: over values (text, as written) or over a range."""

    path: str
    column: str
    """Name of its column in tables."""
    values: tuple[str, ...] = ()
    low: str = ""
    high: str = ""
    log: bool = False

    @property
    def is_range(self) -> bool:
        """Whether it has a range instead of values."""
        return bool(self.low)


def parse_axes(texts: Sequence[str]) -> list[Axis]:
    """Axes from the command line's words, ``path=value,value`` or ``path=low..high[:log]``.

    Raises:
        SpecError: with everything that is no axis, and axes given twice.
    """
    axes, problems = read_axes(texts)
    if problems:
        raise SpecError(problems, source="-P")
    return axes


def read_axes(texts: Sequence[str]) -> tuple[list[Axis], list[Problem]]:
    """As `parse_axes`: those that are axes, and what is wrong with the others."""
    axes: list[Axis] = []
    problems: list[Problem] = []
    for text in texts:
        path, equals, rest = text.partition("=")
        path = full_path(path)
        values = split_values(rest)
        if not equals or not path or not values or not all(values):
            message, remedy = "is no axis", "write path=value,value such as gogc=50,100,200"
        else:
            message, remedy = axis_problem(path, values, [axis.path for axis in axes])
        if message:
            problems.append(Problem(path="$", value=repr(text), message=message, remedy=remedy))
            continue
        match = _RANGE.fullmatch(values[0]) if len(values) == 1 else None
        if match:
            axes.append(
                Axis(
                    path=path,
                    column=column_name(path),
                    low=match[1],
                    high=match[2],
                    log=match[3] is not None,
                )
            )
        else:
            axes.append(Axis(path=path, column=column_name(path), values=tuple(values)))
    return axes, problems


def axis_problem(path: str, values: Sequence[str], taken: Sequence[str]) -> tuple[str, str]:
    """What is wrong with an axis of a full path beside those `taken`, and what to do; two empty words if nothing is."""
    if path in _NOT_AN_AXIS:
        return "is no axis of a sweep", _NOT_AN_AXIS[path]
    if path in taken:
        return "is an axis already", "put all its values into one"
    if len(set(values)) < len(values):
        return "has a value twice", "keep one of them"
    return "", ""


def column_name(path: str) -> str:
    """Name of a knob's column: its short name, unless a table has a column of that name with another meaning."""
    alias = _ALIAS.get(path, path)
    return path if alias in _TAKEN and alias not in ("gomaxprocs", "cores", "profile") else alias


def split_values(text: str) -> list[str]:
    """Split at commas outside quotes and brackets: ``off,[1, 2]`` has two values."""
    values, depth, quote, start = [], 0, "", 0
    for position, char in enumerate(text):
        if quote:
            quote = "" if char == quote else quote
        elif char in "\"'":
            quote = char
        elif char in "[{":
            depth += 1
        elif char in "]}":
            depth -= 1
        elif char == "," and depth == 0:
            values.append(text[start:position].strip())
            start = position + 1
    values.append(text[start:].strip())
    return values


def read_points_csv(path: str | Path) -> list[dict[str, str]]:
    """Points from a CSV file: its header names fields, each row is a point.

    Returns:
        Full path -> value as written, one mapping per row; empty cells are left out and keep the spec's value.
    Raises:
        SpecError: the file cannot be read, has no rows or a row is too long.
    """
    problems: list[Problem] = []
    rows: list[dict[str, str]] = []

    def problem(message: str, remedy: str, line: int | None = None) -> None:
        problems.append(Problem(path=str(path), line=line, message=message, remedy=remedy))

    try:
        with Path(path).open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, restkey="")
            header = [full_path(name or "") for name in reader.fieldnames or ()]
            for name, written in zip(header, reader.fieldnames or (), strict=True):
                if not name or header.count(name) > 1:
                    problem(
                        f"column {written!r} is empty or there twice", "name each column after one field", 1
                    )
                elif name in _NOT_AN_AXIS:
                    problem(f"column {written!r} is no axis of a sweep", _NOT_AN_AXIS[name], 1)
            for row in reader:
                if "" in row and not problems:
                    problem(
                        "has more cells than the header", "quote values that hold a comma", reader.line_num
                    )
                rows.append({full_path(k): v.strip() for k, v in row.items() if k and v and v.strip()})
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        problem(f"cannot be read: {reason}", "give a CSV file whose header names fields of the spec")
    if not rows and not problems:
        problem("has no rows", "write a header of field names and a row per point")
    if problems:
        raise SpecError(problems, source=str(path))
    return rows
