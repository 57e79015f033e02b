"""What a fit knows of cycles, measured the same way on a log and on a simulation.

Allocation is seen between cycles (from what one left marked to the heap where the next began) and within marking (from
start to end of the heap); live is what a cycle marked less what was allocated meanwhile, which it marks too (new objects
are black).  All means are over the same kind of window, so that a simulation can be brought to a log's figures without
either being corrected.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from gcsim.fit.logs import Observed
from gcsim.runtime.records import CycleRecord
from gcsim.units import MIB

SETTLED_FRAC = (
    0.7  # assumed: a heap of less live than this share of the later ones' median is still being built
)


@dataclass(frozen=True, slots=True)
class Cycle:
    """One cycle in plain numbers: ns and bytes; a printed number is the middle of its interval."""

    start_ns: float
    sweep_term_ns: float
    mark_ns: float
    mark_term_ns: float
    assist_cpu_ns: float
    background_cpu_ns: float
    idle_cpu_ns: float
    stw_cpu_ns: float
    heap_start_bytes: float
    heap_end_bytes: float
    heap_marked_bytes: float
    heap_goal_bytes: float
    gomaxprocs: int
    forced: bool
    follows: bool

    @property
    def end_ns(self) -> float:
        """When the world ran again."""
        return self.start_ns + self.sweep_term_ns + self.mark_ns + self.mark_term_ns

    @property
    def live_bytes(self) -> float:
        """What was reachable when marking began."""
        return self.heap_marked_bytes - (self.heap_end_bytes - self.heap_start_bytes)

    @property
    def gc_cpu_ns(self) -> float:
        """CPU of the collector: assists, workers, idle workers, and pauses on all Ps."""
        return self.assist_cpu_ns + self.background_cpu_ns + self.idle_cpu_ns + self.stw_cpu_ns


def of_log(observed: Observed) -> Cycle:
    """A log's cycle; exact bytes of gcpacertrace where it has them."""
    line, pacer = observed.line, observed.pacer
    middle = {
        name: getattr(line, name).middle
        for name in (
            "start_ns", "sweep_term_ns", "mark_ns", "mark_term_ns", "assist_cpu_ns", "background_cpu_ns", "idle_cpu_ns",
            "heap_start_bytes", "heap_end_bytes", "heap_marked_bytes", "heap_goal_bytes",
        )
    }  # fmt: skip
    if pacer is not None and line.heap_end_bytes.low <= pacer.heap_end_bytes < line.heap_end_bytes.high:
        middle["heap_end_bytes"] = float(pacer.heap_end_bytes)
    return Cycle(
        **middle,
        stw_cpu_ns=line.sweep_term_cpu_ns.middle + line.mark_term_cpu_ns.middle,
        gomaxprocs=line.gomaxprocs,
        forced=line.forced,
        follows=observed.follows,
    )


def of_simulation(record: CycleRecord, cores: int) -> Cycle:
    """A simulated cycle.  CPU of pauses as gctrace prints it: wall time x min(GOMAXPROCS, CPUs)."""
    return Cycle(
        start_ns=record.start_ns,
        sweep_term_ns=record.sweep_term_ns,
        mark_ns=record.mark_ns,
        mark_term_ns=record.mark_term_ns,
        assist_cpu_ns=record.assist_cpu_ns,
        background_cpu_ns=record.dedicated_cpu_ns + record.fractional_cpu_ns,
        idle_cpu_ns=record.idle_cpu_ns,
        stw_cpu_ns=(record.sweep_term_ns + record.mark_term_ns) * min(record.gomaxprocs, cores),
        heap_start_bytes=record.heap_start_bytes,
        heap_end_bytes=record.heap_end_bytes,
        heap_marked_bytes=record.heap_marked_bytes,
        heap_goal_bytes=record.heap_goal_bytes,
        gomaxprocs=record.gomaxprocs,
        forced=record.trigger_reason == "forced",
        follows=record.cycle > 1,
    )


def settled_from(cycles: Sequence[Cycle], first: int = 0) -> int:
    """Index of the first cycle, from `first` on, of a heap that is built: what comes before is start-up."""
    later = sorted(c.live_bytes for c in cycles[len(cycles) // 2 :])
    if not later:
        return first
    enough = SETTLED_FRAC * later[len(later) // 2]
    start = next((i for i, c in enumerate(cycles) if i >= first and c.live_bytes >= enough), first)
    # The cycle in which it got there still has the growth in it.
    return min(start + (start > 0), max(0, len(cycles) - 2))


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its uncertainty: standard error of the mean, from the spread between cycles and from rounding."""

    value: float
    error: float = 0.0

    @property
    def low(self) -> float:
        """Lower end of the 95 % interval."""
        return self.value - 1.96 * self.error

    @property
    def high(self) -> float:
        """Upper end of the 95 % interval."""
        return self.value + 1.96 * self.error


@dataclass(frozen=True, kw_only=True)
class Moments:
    """Means over settled cycles.

    Attributes:
        cycles: how many.
        cycle_alloc_bytes: allocated from the end of one cycle to the end of the next.
        heap_goal_bytes: goal of a cycle.
        alloc_per_ns: bytes allocated per ns of wall time between cycles.
        mark_alloc_per_ns: the same while marking.
        live_bytes: reachable when marking begins.
        mark_cpu_ns: CPU of assists, workers and idle workers per cycle.
        mark_ns, sweep_term_ns, mark_term_ns: wall time per cycle.
        gc_share, idle_share: of all P time while marking: assists and workers; idle workers.
        assist_share: assists in the CPU of marking, idle workers left out.
    """

    cycles: int
    cycle_alloc_bytes: Estimate
    heap_goal_bytes: Estimate
    alloc_per_ns: Estimate
    mark_alloc_per_ns: Estimate
    live_bytes: Estimate
    mark_cpu_ns: Estimate
    mark_ns: Estimate
    sweep_term_ns: Estimate
    mark_term_ns: Estimate
    gc_share: Estimate
    idle_share: Estimate
    assist_share: Estimate


def moments(runs: Sequence[Sequence[Cycle]], *, rounded: bool = True) -> Moments:
    """Means over the settled cycles of one or more processes.

    Args:
        rounded: sizes are whole MiB (a log's), which adds to the uncertainty.
    Raises:
        ValueError: no two cycles follow one another.
    """
    cycles = [c for run in runs for c in run]
    marked = [c for c in cycles if not c.forced] or cycles
    pairs = [(a, b) for run in runs for a, b in itertools.pairwise(run) if b.follows]
    pairs = [(a, b) for a, b in pairs if b.start_ns > a.end_ns]
    if not pairs:
        raise ValueError("no two cycles follow one another")
    step = MIB if rounded else 0.0
    return Moments(
        cycles=len(cycles),
        cycle_alloc_bytes=_mean([b.heap_end_bytes - a.heap_marked_bytes for a, b in pairs], 1.5 * step),
        heap_goal_bytes=_mean([c.heap_goal_bytes for c in cycles], step),
        alloc_per_ns=_ratio(
            [b.heap_start_bytes - a.heap_marked_bytes for a, b in pairs],
            [b.start_ns - a.end_ns for a, b in pairs],
            step,
        ),
        mark_alloc_per_ns=_ratio(
            [c.heap_end_bytes - c.heap_start_bytes for c in marked], [c.mark_ns for c in marked], step
        ),
        live_bytes=_mean([c.live_bytes for c in cycles], 1.5 * step),
        mark_cpu_ns=_mean([c.assist_cpu_ns + c.background_cpu_ns + c.idle_cpu_ns for c in cycles]),
        mark_ns=_mean([c.mark_ns for c in marked]),
        sweep_term_ns=_mean([c.sweep_term_ns for c in marked]),
        mark_term_ns=_mean([c.mark_term_ns for c in marked]),
        gc_share=_ratio(
            [c.assist_cpu_ns + c.background_cpu_ns for c in marked],
            [c.mark_ns * c.gomaxprocs for c in marked],
        ),
        idle_share=_ratio([c.idle_cpu_ns for c in marked], [c.mark_ns * c.gomaxprocs for c in marked]),
        assist_share=_ratio(
            [c.assist_cpu_ns for c in marked],
            [max(1.0, c.assist_cpu_ns + c.background_cpu_ns) for c in marked],
        ),
    )


def _mean(values: Sequence[float], step: float = 0.0) -> Estimate:
    n = len(values)
    mean = math.fsum(values) / n
    spread = math.fsum((v - mean) ** 2 for v in values) / max(1, n - 1) / n
    # Rounding is within the spread where values vary; where they do not, all of it may point one way.
    is_constant = max(values) - min(values) < step
    return Estimate(mean, math.sqrt(spread + (step**2 / 12 if is_constant else 0.0)))


def _ratio(parts: Sequence[float], wholes: Sequence[float], step: float = 0.0) -> Estimate:
    """Sum over sum; its error from the residuals (linearised), with rounding of the parts added."""
    n, whole = len(parts), math.fsum(wholes)
    ratio = math.fsum(parts) / whole if whole else 0.0
    residual = math.fsum((p - ratio * w) ** 2 for p, w in zip(parts, wholes, strict=True)) * n / max(1, n - 1)
    return Estimate(ratio, math.sqrt(residual + n * step**2 / 12) / whole if whole else 0.0)
