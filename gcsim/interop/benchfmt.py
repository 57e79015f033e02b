"""Go's benchmark format: a run as a benchmark whose operation is a request, for benchstat and everything else.

One line per run or replication, so that benchstat has samples to compare.  `ns/op` is time of the load phase by
requests, as `testing` reports a parallel benchmark; bytes and allocations are of the whole program by requests.
GOGC, GOMEMLIMIT and GOMAXPROCS are sub-names `k=v`, so that a sweep can be pivoted (`benchstat -col /gogc`).
There is no goos, goarch, pkg or cpu line: nothing ran on such a machine.

Source: Go proposal 14313 (benchmark format), golang.org/x/perf/benchunit (units).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from gcsim.datasets.reader import Result
from gcsim.errors import DatasetError


class Unit(NamedTuple):
    """One unit of a benchmark line: where its value comes from, and which way is better."""

    unit: str
    metric: str
    per_request: bool = False
    better: str | None = "lower"
    """None: the format's tools know the unit."""
    scale: float = 1.0


UNITS = (
    Unit("ns/op", "duration_s", per_request=True, better=None, scale=1e9),
    Unit("B/op", "alloc_bytes", per_request=True, better=None),
    Unit("allocs/op", "alloc_objects", per_request=True, better=None),
    Unit("req/s", "throughput_rps", better="higher"),
    Unit("p50-ns", "latency_ns_p50"),
    Unit("p99-ns", "latency_ns_p99"),
    Unit("p999-ns", "latency_ns_p999"),
    Unit("GC/op", "num_gc", per_request=True),
    Unit("gc-cpu-ns/op", "gc_cpu_ns", per_request=True),
    Unit("assist-cpu-ns/op", "mark_assist_cpu_ns", per_request=True),
    Unit("STW-p50-ns", "stw_pause_ns_p50"),
    Unit("STW-p99-ns", "stw_pause_ns_p99"),
    Unit("STW-max-ns", "stw_pause_ns_max"),
    Unit("heap-goal-bytes", "heap_goal_bytes_mean"),
    Unit("peak-memory-bytes", "memory_peak_bytes"),
)


def lines(results: Iterable[Result]) -> Iterator[str]:
    """The file, line by line.

    Raises:
        DatasetError: a run completed no request in its load phase, so that nothing can be said per request.
    """
    for unit in UNITS:
        if unit.better is not None:
            yield f"Unit {unit.unit} better={unit.better}"
    before: dict[str, str] = {}
    for result in results:
        for run in result.runs or (result,):
            row = run.tables["runs"].to_arrow().to_pylist()[0]
            now = configuration(row)
            yield from (f"{key}: {value}" for key, value in now.items() if before.get(key) != value)
            before = now
            yield benchmark_line(row, where=str(run.path))


def configuration(row: Mapping[str, Any]) -> dict[str, str]:
    """Configuration lines: what the numbers depend on beside the name.  The seed is left out: it tells samples apart."""
    return {
        "gcsim": row["engine_version"],
        "go-release": row["go_release"],
        "machine-profile": row["profile"],
        "cores": str(row["cores"]),
    }


def benchmark_line(row: Mapping[str, Any], *, where: str) -> str:
    """The line of one run.

    Args:
        row: its row of table `runs`.
        where: the run, for the error message.
    """
    requests = row["requests"]
    if not requests:
        raise DatasetError(f"{where}: no request was completed in the load phase; make run.duration longer")
    parts = [benchmark_name(row), str(requests)]
    for unit in UNITS:
        value = row[unit.metric]
        if value is not None:
            value *= unit.scale
            parts.append(f"{_number(value / requests if unit.per_request else value)} {unit.unit}")
    return "\t".join(parts)


def benchmark_name(row: Mapping[str, Any]) -> str:
    """`cache-service` at GOGC 100 on 2 Ps -> `BenchmarkCacheService/gogc=100/gomaxprocs=2-2`."""
    name = "".join(part[:1].upper() + part[1:] for part in re.split(r"[^0-9A-Za-z]+", row["name"]))
    gogc = "off" if row["gogc_percent"] is None else row["gogc_percent"]
    limit = row["memory_limit_bytes"]
    collector = row.get("collector")  # null before schema 1.2
    sub = [
        f"gogc={gogc}",
        *([] if limit is None else [f"gomemlimit={limit}"]),
        f"gomaxprocs={row['gomaxprocs']}",
        *([f"collector={collector}"] if collector not in (None, "concurrent") else []),
    ]
    return f"Benchmark{name}/{'/'.join(sub)}-{row['gomaxprocs']}"


def _number(value: float) -> str:
    """Whole numbers whole, others to six digits and without exponent."""
    if value == int(value):
        return str(int(value))
    text = f"{value:.6g}"
    return f"{value:.0f}" if "e+" in text else f"{value:.12f}".rstrip("0") if "e" in text else text
