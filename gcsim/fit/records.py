"""Recorded runs of real Go programs, read from files.

One file is one case: ``workload`` (what the program keeps and does), ``settings`` (Go release, GOMAXPROCS, GOGC,
GOMEMLIMIT) and, unless it is only to be predicted, ``repeats`` with what was measured.  JSON, gzipped or not.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gcsim.errors import Problem, SpecError

_SUFFIXES = (".json.gz", ".json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One recorded case.

    Attributes:
        case: its name: program, release and settings.
        workload, settings: as recorded; see `gcsim.spec.records`.
        repeats: one mapping of measurements per run of the program; empty where there are none.
    """

    case: str
    workload: Mapping[str, Any]
    settings: Mapping[str, Any]
    repeats: tuple[Mapping[str, Any], ...] = ()

    @property
    def is_micro(self) -> bool:
        """Whether it isolates one cost, for calibration; all others check predictions."""
        return str(self.workload["name"]).startswith("micro-")


def read_record(path: str | Path) -> Record:
    """The record in a file.

    Raises:
        SpecError: no such file, no JSON, or a field is missing.
    """
    path = Path(path)
    try:
        raw = path.read_bytes()
        data = json.loads(gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw)
    except OSError as error:
        raise _unreadable(path, error.strerror or "unreadable") from error
    except (ValueError, EOFError, zlib.error) as error:
        raise _unreadable(path, f"no JSON, gzipped or not: {error}") from error
    if not isinstance(data, dict):
        raise _unreadable(path, "no JSON object")
    missing = [name for name in ("workload", "settings") if not isinstance(data.get(name), dict)]
    if not missing and "name" not in data["workload"]:
        missing = ["workload.name"]
    if missing:
        raise _unreadable(path, f"has no {' and no '.join(missing)}")
    return Record(
        case=str(data.get("case") or _stem(path)),
        workload=data["workload"],
        settings=data["settings"],
        repeats=tuple(data.get("repeats") or ()),
    )


def read_records(paths: list[str | Path]) -> list[Record]:
    """The records in files and, for folders, in every file of theirs that is named like one; by name of the case.

    Raises:
        SpecError: as `read_record`, every bad file at once; no record at all; or two of one case.
    """
    files = [file for path in map(Path, paths) for file in (_in_folder(path) if path.is_dir() else [path])]
    records, problems = dict[str, Record](), list[Problem]()
    for file in files:
        try:
            record = read_record(file)
        except SpecError as error:
            problems += error.problems
            continue
        if record.case in records:
            problems += _unreadable(file, f"a second record of {record.case}").problems
        records[record.case] = record
    if not files:
        problems += _unreadable(Path(*map(str, paths)), "no record there").problems
    if problems:
        raise SpecError(problems, source="records")
    return [records[case] for case in sorted(records)]


def write_record(record: Record, folder: str | Path) -> Path:
    """Write a record as `CASE.json.gz` to a folder (made if need be); the same record gives the same bytes.

    Returns:
        The file.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    data = {
        "case": record.case,
        "workload": record.workload,
        "settings": record.settings,
        "repeats": record.repeats,
    }
    path = folder / f"{record.case}.json.gz"
    temporary = path.with_name(path.name + ".part")
    temporary.write_bytes(gzip.compress(json.dumps(data).encode(), mtime=0))
    temporary.replace(path)
    return path


def _in_folder(path: Path) -> list[Path]:
    """Files with a double underscore in their name, CASE being program__settings; noise.json is none."""
    return sorted(f for f in path.iterdir() if f.name.endswith(_SUFFIXES) and "__" in f.name)


def _stem(path: Path) -> str:
    for suffix in _SUFFIXES:
        if path.name.endswith(suffix):
            return path.name.removesuffix(suffix)
    return path.name


def _unreadable(path: Path, message: str) -> SpecError:
    remedy = "give files written as `CASE.json.gz` with workload, settings and repeats, or a folder of them"
    return SpecError([Problem(str(path), message=message, remedy=remedy)], source="records")
