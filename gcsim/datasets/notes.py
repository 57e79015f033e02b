"""What a summary's numbers do not say by themselves: that a run was under strain."""

from __future__ import annotations

from collections.abc import Iterator

from gcsim.datasets.reader import Result
from gcsim.units import format_bytes, format_ns


def notes(result: Result) -> Iterator[str]:
    """Sentences on a run, or on replications together; none where all is well."""
    events = result.tables["events"].to_arrow()
    rows = [row for row in events.to_pylist() if row["kind"] in ("memory_limit", "limiter")]
    runs = max(1, len(result.runs))
    summary = result.summary
    tight = [row for row in rows if row["kind"] == "memory_limit" and row["detail"].endswith("cycle")]
    if tight:
        where = f"in {len({row['run_id'] for row in tight})} of {runs} runs, " if runs > 1 else ""
        live = summary["heap_marked_bytes_mean"]
        held = "" if live is None else f" above a live heap of {format_bytes(live)}"
        yield (
            f"the memory limit leaves next to no room{held} ({where}first {format_ns(tight[0]['time_ns'])} after the"
            f" start): cycle follows cycle, a death spiral; the collector has {100 * summary['gc_cpu_frac']:.0f} % of the"
            " CPU. Raise gomemlimit, or keep less (see table events)."
        )
    if any(row["kind"] == "limiter" and row["detail"] != "off" for row in rows):
        limited, cycles = summary["num_limited_gc"], summary["num_gc"]
        yield (
            f"the GC CPU limiter was on at the end of {limited:.0f} of {cycles:.0f} cycles: assists were off, and the"
            " heap grew beyond its goal."
        )
