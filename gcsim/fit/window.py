"""Figures of a window of a process's life, the same way for a log and for a simulation of it.

The window is the load phase where the log says when that began, else everything from process start on: the cycles in
which the heap grows count, as they do for whoever counts lines.  A simulation may be shorter than the window: then its
settled cycles stand for the rest of it.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from gcsim.fit.logs import Log, ProcessLog
from gcsim.fit.moments import Cycle, of_log, settled_from
from gcsim.fit.simulation import Simulated
from gcsim.units import MIB, S

MIN_HALVED = 20  # settled cycles: fewer are all needed for a mean


@dataclass(frozen=True, kw_only=True)
class Figures:
    """Means over a window.

    Attributes:
        cycles_per_s: collections per second, forced ones included.
        heap_start_bytes, heap_end_bytes, heap_marked_bytes, heap_goal_bytes: means over the cycles, each rounded down
            to MiB first, as a trace shows them; None where there is no cycle.
        gc_cpu_per_s: CPU of the collector per second of wall time: assists, workers, idle workers, and pauses on all Ps.
        assist_share: assists in the CPU of assists and workers.
    """

    cycles: float
    cycles_per_s: float
    heap_start_bytes: float | None
    heap_end_bytes: float | None
    heap_marked_bytes: float | None
    heap_goal_bytes: float | None
    gc_cpu_per_s: float
    assist_share: float | None


_MEANS = ("heap_start_bytes", "heap_end_bytes", "heap_marked_bytes", "heap_goal_bytes")


def of_process(process: ProcessLog) -> Figures:
    """What a log shows."""
    cycles = [of_log(c) for c in process.cycles]
    window = cycles[process.load_from :]
    length_ns = window_ns(process)
    return _figures([(window, 1.0)], length_ns)


def of_logs(log: Log) -> Figures:
    """Medians over a log's processes (the repeats of a record)."""
    each = [of_process(p) for p in log.processes]
    found: dict[str, float | None] = {}
    for name in Figures.__annotations__:
        values = [v for f in each if (v := getattr(f, name)) is not None]
        found[name] = statistics.median(values) if values else None
    return Figures(**found)  # type: ignore[arg-type]


def window_ns(process: ProcessLog) -> float:
    """Length of the window: as recorded, else up to the end of the last cycle."""
    if process.window_s is not None:
        return process.window_s * S
    last = process.cycles[-1].line
    end = of_log(process.cycles[-1]).end_ns
    if process.load_from == 0 and process.cycles[0].line.cycle == 1:
        return end
    # A log that begins in the middle: as many intervals as cycles.
    first = process.cycles[process.load_from].line
    count = len(process.cycles) - process.load_from
    return (last.start_ns.middle - first.start_ns.middle) * count / max(1, count - 1)


def from_start(log: Log) -> bool:
    """Whether the window has the process's start-up in it."""
    return not log.has_load_phase and log.processes[0].cycles[0].line.cycle == 1


def of_simulated(done: Simulated, *, window_ns: float, start_up: bool) -> Figures:
    """What a simulation shows over a window of so many ns.

    Args:
        start_up: the window begins with the process, not with its load.
    """
    first = 0 if start_up else done.load_from
    begins_ns = 0 if start_up else done.load_start_ns
    cycles = done.cycles[first:]
    simulated_ns = done.end_ns - begins_ns
    if simulated_ns >= 0.999 * window_ns or len(cycles) < 4:
        kept = [c for c in cycles if c.start_ns < begins_ns + window_ns]
        return _figures([(kept, 1.0)], min(window_ns, simulated_ns))
    settled = settled_from(done.cycles, first) - first
    # Goals go on settling for some cycles after the heap is built: the later half is what the rest is like.
    settled += (len(cycles) - settled) // 2 if len(cycles) - settled >= MIN_HALVED else 0
    before, steady = cycles[:settled], cycles[settled:]
    per_ns = (len(steady) - 1) / (steady[-1].start_ns - steady[0].start_ns)
    rest_ns = window_ns - (steady[0].start_ns - begins_ns)
    weight = max(1.0, 1 + rest_ns * per_ns) / len(steady)
    return _figures([(before, 1.0), (steady, weight)], window_ns)


def _figures(parts: Sequence[tuple[Sequence[Cycle], float]], length_ns: float) -> Figures:
    weighted = [(c, w) for cycles, w in parts for c in cycles]
    count = sum(w for _, w in weighted)
    seconds = length_ns / S
    assists = sum(w * c.assist_cpu_ns for c, w in weighted)
    workers = sum(w * c.background_cpu_ns for c, w in weighted)
    return Figures(
        cycles=count,
        cycles_per_s=count / seconds,
        gc_cpu_per_s=sum(w * c.gc_cpu_ns for c, w in weighted) / S / seconds,
        assist_share=assists / (assists + workers) if assists + workers else None,
        **{
            name: sum(w * (getattr(c, name) // MIB) * MIB for c, w in weighted) / count if count else None
            for name in _MEANS
        },
    )
