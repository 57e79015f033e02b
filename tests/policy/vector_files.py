"""Which recorded file is replayed by which test, and how many records that was.

The files are those in `vectors/` and, where the environment variable GCSIM_EXTRA_VECTORS names a folder, those in it.
"""

from __future__ import annotations

import gzip
import json
import math
import os
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final

from gcsim.policy.releases import ReleaseRules, release_rules

EXTRA_VARIABLE: Final = "GCSIM_EXTRA_VECTORS"

# Kind of record by file name; the first pattern that fits claims the file. A kind is replayed by the test module
# test_vectors_*.py that asks for it with `files_of`.
CLAIMS: Final[dict[str, str]] = {
    "controller-*.jsonl*": "controller",
    "cycles-*.jsonl*": "cycles",
    "workers*.jsonl*": "workers",
    "limiter_events*.jsonl*": "limiter_events",
    "limiter*.jsonl*": "limiter",
    "pi_controller*.jsonl*": "pi_controller",
    "sweep*.jsonl*": "sweep",
    "scavenge-*.jsonl*": "scavenge",
    "size_classes*.jsonl*": "size_classes",
    "span_objects*.jsonl*": "span_objects",
    "roundup-*.jsonl*": "roundup",
    "byte_counts-*.jsonl*": "byte_counts",
    "conversions*.jsonl*": "conversions",
    "constants*.json": "constants",
    "slices-*.jsonl*": "slices",
    "maps-*.jsonl*": "maps",
    "objects-*.jsonl*": "objects",
    "escape-*.jsonl*": "escape",
}
IGNORED: Final = ("*.md",)

# Filled as the tests run; read by the summary.
REPLAYED: dict[Path, int] = {}


def folders() -> list[Path]:
    """The folders with recorded files."""
    extra = os.environ.get(EXTRA_VARIABLE)
    return [Path(__file__).parent / "vectors", *([Path(extra)] if extra else [])]


def all_files() -> list[Path]:
    """Every file in the folders and below them, without those that are no records."""
    found = (path for folder in folders() for path in sorted(folder.rglob("*")) if path.is_file())
    return [path for path in found if not _fits(path, IGNORED)]


def kind_of(path: Path) -> str | None:
    """The kind of record in a file, None where no test claims it."""
    return next((kind for pattern, kind in CLAIMS.items() if fnmatchcase(path.name, pattern)), None)


def files_of(kind: str) -> list[Path]:
    """The files that the test of this kind has to replay."""
    assert kind in CLAIMS.values(), kind
    return [path for path in all_files() if kind_of(path) == kind]


def _fits(path: Path, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(path.name, pattern) for pattern in patterns)


class Records:
    """The records of a JSON Lines file; replaying all of them is noted for the summary.

    The file's own count, where it has one, is checked against the lines there are. Without a meta line each record
    names its release itself.
    """

    def __init__(self, path: Path, *, has_meta: bool = True) -> None:
        self.path = path
        with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as lines:
            self.meta: dict[str, Any] = json.loads(next(lines)) if has_meta else {"kind": "meta"}
            self._lines = list(lines)
        assert self.meta["kind"] == "meta", f"{path.name} does not start with its meta line"
        assert self._lines, f"{path.name} has no records"
        assert self.meta.get("records", len(self._lines)) == len(self._lines), f"{path.name} is not complete"

    def __iter__(self) -> Iterator[dict[str, Any]]:
        count = 0
        for line in self._lines:
            yield json.loads(line)
            count += 1
        REPLAYED[self.path] = count

    @property
    def rules(self) -> list[ReleaseRules]:
        """The rules of each release that the file was recorded on."""
        return [rules_of(release) for release in self.meta["go"]]


def rules_of(release: str) -> ReleaseRules:
    """The rules of a full release name such as 1.22.10."""
    return release_rules(".".join(release.split(".")[:2]))


_NAMED_FLOATS: Final = {"+Inf": math.inf, "-Inf": -math.inf, "NaN": math.nan}


def number(value: Any) -> Any:
    """A recorded number: infinities and NaN come as text."""
    return _NAMED_FLOATS[value] if isinstance(value, str) else value


def bits(value: float | bool | None) -> str:
    """A text equal for equal bits of equal type; all NaN count as one."""
    if isinstance(value, float):
        return value.hex()
    return repr(value)
