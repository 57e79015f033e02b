"""What a Go process says of itself: runtime/metrics as JSON or in Prometheus text form.

JSON: one object, name -> number, or name -> {"buckets": [...], "counts": [...]} for a histogram, as `metrics.Read` fills
it (n counts between n + 1 bounds; infinite ones as "-Inf", "+Inf").  "go" may say the version.  Names are those of
runtime/metrics (`/gc/heap/allocs:bytes`); others are passed over, as are values of other kinds.

Prometheus: the exposition that services have at /metrics.  Names of the Go collector are translated back
(`go_gc_heap_allocs_bytes_total`), and the collector's older names where they mean the same (`go_memstats_mallocs_total`).
Labels are ignored: a file with several processes is refused.

Source: runtime/metrics/description.go (go1.27); names as github.com/prometheus/client_golang, prometheus/internal
RuntimeMetricsToProm, makes them.
"""

from __future__ import annotations

import gzip
import itertools
import json
import math
import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gcsim.errors import Problem, SpecError

# Names by kind; only the cumulative ones get `_total` in Prometheus.
_CUMULATIVE = (
    "/cpu/classes/gc/mark/assist:cpu-seconds", "/cpu/classes/gc/mark/dedicated:cpu-seconds",
    "/cpu/classes/gc/mark/idle:cpu-seconds", "/cpu/classes/gc/pause:cpu-seconds",
    "/cpu/classes/gc/total:cpu-seconds", "/cpu/classes/idle:cpu-seconds",
    "/cpu/classes/scavenge/total:cpu-seconds", "/cpu/classes/total:cpu-seconds", "/cpu/classes/user:cpu-seconds",
    "/gc/cycles/automatic:gc-cycles", "/gc/cycles/forced:gc-cycles", "/gc/cycles/total:gc-cycles",
    "/gc/heap/allocs:bytes", "/gc/heap/allocs:objects", "/gc/heap/frees:bytes", "/gc/heap/frees:objects",
    "/gc/heap/tiny/allocs:objects",
)  # fmt: skip
_GAUGES = (
    "/gc/gogc:percent", "/gc/gomemlimit:bytes", "/gc/heap/goal:bytes", "/gc/heap/live:bytes",
    "/gc/heap/objects:objects", "/gc/limiter/last-enabled:gc-cycle", "/gc/scan/globals:bytes", "/gc/scan/heap:bytes",
    "/gc/scan/stack:bytes", "/gc/scan/total:bytes", "/memory/classes/heap/free:bytes",
    "/memory/classes/heap/objects:bytes", "/memory/classes/heap/released:bytes", "/memory/classes/heap/stacks:bytes",
    "/memory/classes/heap/unused:bytes", "/memory/classes/metadata/mcache/free:bytes",
    "/memory/classes/metadata/mcache/inuse:bytes", "/memory/classes/metadata/mspan/free:bytes",
    "/memory/classes/metadata/mspan/inuse:bytes", "/memory/classes/metadata/other:bytes",
    "/memory/classes/os-stacks:bytes", "/memory/classes/other:bytes", "/memory/classes/profiling/buckets:bytes",
    "/memory/classes/total:bytes", "/sched/gomaxprocs:threads", "/sched/goroutines:goroutines",
)  # fmt: skip
HISTOGRAMS = (
    "/gc/heap/allocs-by-size:bytes", "/gc/heap/frees-by-size:bytes", "/gc/pauses:seconds", "/sched/latencies:seconds",
    "/sched/pauses/stopping/gc:seconds", "/sched/pauses/total/gc:seconds",
)  # fmt: skip
SCALARS = (*_CUMULATIVE, *_GAUGES)

# Names of the Go collector from before runtime/metrics that mean the same.
_OLDER = {
    "go_goroutines": "/sched/goroutines:goroutines",
    "go_memstats_alloc_bytes_total": "/gc/heap/allocs:bytes",
    "go_memstats_mallocs_total": "/gc/heap/allocs:objects",
    "go_memstats_frees_total": "/gc/heap/frees:objects",
    "go_memstats_heap_objects": "/gc/heap/objects:objects",
    "go_memstats_heap_released_bytes": "/memory/classes/heap/released:bytes",
    "go_memstats_next_gc_bytes": "/gc/heap/goal:bytes",
    "go_memstats_stack_inuse_bytes": "/memory/classes/heap/stacks:bytes",
    "go_memstats_sys_bytes": "/memory/classes/total:bytes",
    "go_gc_duration_seconds_count": "/gc/cycles/total:gc-cycles",
}
_NO_LIMIT = 2**62  # debug.SetMemoryLimit(-1) and GOMEMLIMIT=off: math.MaxInt64; GOGC=off: 2^64 - 1

REMEDY = (
    "give runtime/metrics as a JSON object of names and numbers, or what the service answers at /metrics"
    " (Prometheus Go collector)"
)


@dataclass(frozen=True, slots=True)
class Histogram:
    """`metrics.Float64Histogram`: `counts[i]` values from `buckets[i]` up to `buckets[i + 1]`."""

    buckets: tuple[float, ...]
    counts: tuple[int, ...]

    @property
    def count(self) -> int:
        """All values."""
        return sum(self.counts)

    def parts(self) -> Iterator[tuple[float, float, int]]:
        """Lower and upper bound and count of each bucket that has any; infinite bounds as they are."""
        for i, count in enumerate(self.counts):
            if count:
                yield self.buckets[i], self.buckets[i + 1], count

    def quantile(self, share: float) -> float | None:
        """Middle of the bucket in which the quantile is (a finite bound where the other is infinite); None: empty."""
        wanted, seen = share * self.count, 0
        for low, high, count in self.parts():
            seen += count
            if seen >= wanted:
                return high if math.isinf(low) else low if math.isinf(high) else (max(0.0, low) + high) / 2
        return None


@dataclass(frozen=True, kw_only=True)
class RuntimeMetrics:
    """A dump.

    Attributes:
        values: by name of runtime/metrics; bytes, objects, seconds of CPU.
        histograms: by name.
        go: version, where the dump says it.
    """

    name: str
    values: Mapping[str, float] = field(default_factory=dict)
    histograms: Mapping[str, Histogram] = field(default_factory=dict)
    go: str | None = None

    def get(self, name: str) -> float | None:
        """A value; None where the dump lacks it."""
        return self.values.get(name)

    @property
    def gogc(self) -> int | str | None:
        """GOGC; "off"; None: not said."""
        value = self.get("/gc/gogc:percent")
        return None if value is None else "off" if value >= _NO_LIMIT or value < 0 else round(value)

    @property
    def gomemlimit_bytes(self) -> int | str | None:
        """GOMEMLIMIT; "off"; None: not said."""
        value = self.get("/gc/gomemlimit:bytes")
        return None if value is None else "off" if value >= _NO_LIMIT else round(value)


def read(path: str | Path) -> RuntimeMetrics:
    """Read a dump (gzipped or not).

    Raises:
        SpecError: it cannot be read, is of neither form, or a value in it is no number; every such place is named.
    """
    path = Path(path)
    try:
        raw = path.read_bytes()
        if raw[:2] == b"\x1f\x8b":
            raw = gzip.decompress(raw)
    except OSError as error:
        raise _bad(
            path, [Problem(str(path), message=error.strerror or "unreadable", remedy=REMEDY)]
        ) from error
    except (EOFError, zlib.error) as error:
        raise _bad(
            path, [Problem(str(path), message=f"damaged gzip: {error}", remedy="fetch it again")]
        ) from error
    text = raw.decode("utf-8", errors="replace")
    found = _of_json(path, text) if text.lstrip()[:1] in ("{", "[") else _of_prometheus(path, text)
    if not found.values and not found.histograms:
        raise _bad(path, [Problem(str(path), message="has no metric of the Go runtime", remedy=REMEDY)])
    return found


def _bad(path: Path, problems: list[Problem]) -> SpecError:
    return SpecError(problems, source=f"metrics {path.name}")


# ---- JSON --------------------------------------------------------------------------------------------------------


def _of_json(path: Path, text: str) -> RuntimeMetrics:
    try:
        data = json.loads(text)
    except ValueError as error:
        line = getattr(error, "lineno", None)
        raise _bad(
            path, [Problem(str(path), line=line, message=f"is no JSON: {error}", remedy=REMEDY)]
        ) from error
    if not isinstance(data, Mapping):
        raise _bad(path, [Problem(str(path), message="is a JSON list", remedy=REMEDY)])
    problems: list[Problem] = []
    values: dict[str, float] = {}
    histograms: dict[str, Histogram] = {}
    for name, value in data.items():
        if name in SCALARS:
            number = _number(value)
            if number is None or number < 0 or math.isinf(number):
                problems.append(_no_number(path, name, value))
            else:
                values[name] = number
        elif name in HISTOGRAMS:
            histogram = _histogram(value)
            if histogram is None:
                problems.append(
                    Problem(
                        f'{path}: ["{name}"]',
                        message="is no histogram",
                        remedy='write {"buckets": [n + 1 rising numbers], "counts": [n whole numbers]}',
                    )
                )
            else:
                histograms[name] = histogram
    if problems:
        raise _bad(path, problems)
    go = data.get("go")
    return RuntimeMetrics(
        name=path.name, values=values, histograms=histograms, go=go if isinstance(go, str) else None
    )


def _no_number(path: Path, name: str, value: object) -> Problem:
    return Problem(
        f'{path}: ["{name}"]',
        value=str(value)[:40],
        message="is no number from 0 up",
        remedy="write the metric's value",
    )


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return None if math.isnan(number) else number


def _histogram(value: Any) -> Histogram | None:
    if not isinstance(value, Mapping):
        return None
    buckets, counts = value.get("buckets"), value.get("counts")
    if not isinstance(buckets, list) or not isinstance(counts, list) or len(buckets) != len(counts) + 1:
        return None
    bounds = [_number(b) for b in buckets]
    numbers = [_number(c) for c in counts]
    if any(b is None for b in bounds) or any(n is None or n < 0 or n != int(n) for n in numbers):
        return None
    if any(a >= b for a, b in itertools.pairwise(bounds)):  # type: ignore[operator]
        return None
    return Histogram(
        tuple(b for b in bounds if b is not None), tuple(int(n) for n in numbers if n is not None)
    )


# ---- Prometheus --------------------------------------------------------------------------------------------------


def prometheus_name(name: str) -> str:
    """What the Go collector calls a metric of runtime/metrics."""
    key, unit = name[1:].split(":")
    out = "go_" + re.sub(r"[/-]", "_", key) + "_" + re.sub(r"[-*]", "_", unit).replace("/", "_per_")
    return out + ("_total" if name in _CUMULATIVE else "")


_NAMES = _OLDER | {prometheus_name(name): name for name in SCALARS}
_SAMPLE = re.compile(r"(?P<name>[a-zA-Z_:][\w:]*)(?P<labels>\{.*\})?\s+(?P<value>\S+)(?:\s+-?\d+)?\s*$")


def _of_prometheus(path: Path, text: str) -> RuntimeMetrics:
    problems: list[Problem] = []
    values: dict[str, float] = {}
    seen: dict[str, int] = {}
    go: str | None = None
    for number, line in enumerate(text.splitlines(), start=1):
        match = _SAMPLE.match(line.strip())
        if match is None:
            continue
        if match["name"] == "go_info":
            version = re.search(r'version="([^"]+)"', match["labels"] or "")
            go = version[1] if version else go
            continue
        name = _NAMES.get(match["name"])
        if name is None:
            continue
        value = _number(match["value"])
        if value is None or value < 0 or math.isinf(value):
            problems.append(
                Problem(
                    str(path), line=number, value=line.strip()[:80], message="is no number from 0 up",
                    remedy="take the answer of /metrics as it is",
                )
            )  # fmt: skip
        elif match["name"] in seen:
            problems.append(
                Problem(
                    str(path), line=number, value=match["name"],
                    message=f"is there already in line {seen[match['name']]}: these are several processes",
                    remedy="give the metrics of the process that wrote the log",
                )
            )  # fmt: skip
        elif match["name"] not in _OLDER or name not in values:  # the newer name is the same, or more exact
            values[name] = value
        seen.setdefault(match["name"], number)
    if problems:
        raise _bad(path, problems)
    return RuntimeMetrics(name=path.name, values=values, go=go)
