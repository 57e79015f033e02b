"""The scavenger: how much memory may be kept, and how often the background scavenger works."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gcsim.policy.constants import (
    SCAVENGE_PERCENT,
    SCAVENGE_REDUCE_EXTRA_PERCENT,
    SCAVENGE_RETAIN_EXTRA_PERCENT,
)
from gcsim.policy.conversions import UINT64_MAX, float_to_int64, float_to_uint64
from gcsim.policy.pi_controller import PIController

# derived: runtime/mgcscavenge.go minScavWorkTime, scavengeQuantum (go1.19 .. go1.27).
MIN_SCAVENGE_WORK_NS: Final = 1_000_000
SCAVENGE_QUANTUM_BYTES: Final = 64 << 10
# derived: runtime/mgcscavenge.go startingScavSleepRatio; sleep (go1.19 .. go1.27).
STARTING_SLEEP_RATIO: Final = 0.001
CONTROLLER_COOLDOWN_NS: Final = 5_000_000_000
# derived: runtime/mgcscavenge.go scavChunkHiOccFrac (go1.21 .. go1.27).
DENSE_CHUNK_FRAC: Final = 0.96875


@dataclass(frozen=True, slots=True)
class ScavengeGoals:
    """Memory to work down to, in bytes; None where there is nothing to do.

    Attributes:
        gc_percent_goal_bytes: heap memory kept (in use and free), from GOGC.
        memory_limit_goal_bytes: all mapped memory, from GOMEMLIMIT.
    """

    gc_percent_goal_bytes: int | None
    memory_limit_goal_bytes: int | None


def scavenge_goals(
    *,
    memory_limit_bytes: int,
    heap_goal_bytes: int,
    last_heap_goal_bytes: int,
    mapped_ready_bytes: int,
    last_heap_in_use_bytes: int,
    heap_in_use_bytes: int,
    heap_free_bytes: int,
    phys_page_bytes: int,
    limit_slip: bool,
) -> ScavengeGoals:
    """Goals of the background scavenger, set anew whenever the pacer commits.

    Args:
        memory_limit_bytes: GOMEMLIMIT.
        heap_goal_bytes: heap goal now.
        last_heap_goal_bytes: heap goal when the last cycle ended; 0 before the first.
        mapped_ready_bytes: memory mapped and not given back.
        last_heap_in_use_bytes: heap bytes in spans when the last cycle ended.
        heap_in_use_bytes: heap bytes in spans.
        heap_free_bytes: heap bytes in no span and not given back.
        phys_page_bytes: page size of the system, a power of two.
        limit_slip: `ReleaseRules.scavenge_limit_slip`; with it the limit has no effect in practice.

    Source: runtime/mgcscavenge.go gcPaceScavenger (go1.19 .. go1.27). Simplified: no.
    """
    retain_factor = (
        100.0 - SCAVENGE_REDUCE_EXTRA_PERCENT if limit_slip else 1 - SCAVENGE_REDUCE_EXTRA_PERCENT / 100
    )
    limit_goal = float_to_uint64(float(memory_limit_bytes) * retain_factor)
    # Below the target the allocator itself still keeps the limit, so doing nothing is safe.
    memory_limit_goal = None if mapped_ready_bytes <= limit_goal else limit_goal

    if last_heap_goal_bytes == 0:
        return ScavengeGoals(None, memory_limit_goal)
    # What the heap will take in spans, fragmentation included, is guessed from how its goal moves.
    goal_ratio = float(heap_goal_bytes) / float(last_heap_goal_bytes)
    goal = float_to_uint64(float(last_heap_in_use_bytes) * goal_ratio)
    goal += goal // (100 // SCAVENGE_RETAIN_EXTRA_PERCENT)
    goal = (goal + phys_page_bytes - 1) & UINT64_MAX & ~(phys_page_bytes - 1)
    retained = (heap_in_use_bytes + heap_free_bytes) & UINT64_MAX
    if retained <= goal or retained - goal < phys_page_bytes:
        return ScavengeGoals(None, memory_limit_goal)
    return ScavengeGoals(goal, memory_limit_goal)


class ScavengerPace:
    """Keeps the background scavenger at 1 % of GOMAXPROCS' CPU time, through how long it sleeps.

    A round is: work for at least 1 ms, ask `sleep_ns`, sleep, then tell `slept` how long it really was.

    Source: runtime/mgcscavenge.go scavengerState (go1.19 .. go1.27). Simplified: no (linux, where reuse costs nothing).
    """

    __slots__ = ("controller", "cooldown_ns", "sleep_ratio")

    def __init__(self) -> None:
        # Tuned by the runtime's authors, "loosely via Ziegler-Nichols process"; the reset time is one second.
        self.controller = PIController(kp=0.3375, ti=3.2e6, tt=1e9, minimum=0.001, maximum=1000.0)
        self.sleep_ratio = STARTING_SLEEP_RATIO  # time worked / time slept
        self.cooldown_ns = 0  # the controller rests for so long after it failed

    def sleep_ns(self, worked_ns: float) -> int:
        """How long to sleep after working for `worked_ns`; less than 1 ms counts as 1 ms."""
        return float_to_int64(max(worked_ns, float(MIN_SCAVENGE_WORK_NS)) / self.sleep_ratio)

    def slept(self, worked_ns: float, slept_ns: int, procs: int) -> None:
        """Adjust the ratio after a round of `worked_ns` and `slept_ns` with GOMAXPROCS = `procs`."""
        worked_ns = max(worked_ns, float(MIN_SCAVENGE_WORK_NS))
        if self.cooldown_ns > 0:
            self.cooldown_ns = max(0, self.cooldown_ns - slept_ns - int(worked_ns))
            return
        ideal_frac = SCAVENGE_PERCENT / 100.0
        cpu_frac = worked_ns / ((float(slept_ns) + worked_ns) * float(procs))
        self.sleep_ratio, ok = self.controller.next(cpu_frac, ideal_frac, float(slept_ns) + worked_ns)
        if not ok:
            self.sleep_ratio = STARTING_SLEEP_RATIO
            self.cooldown_ns = CONTROLLER_COOLDOWN_NS
