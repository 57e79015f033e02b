"""Memory mapped, in use and given back: the scavenger, and what the memory limit sees.

Heap memory in use follows heap live and what is not swept yet; it is mapped when first needed and stays mapped.  The
background scavenger gives back what is beyond its goal, at one percent of the CPU; a heap that grows again takes it
back.  Under a memory limit allocation itself gives memory back first.

Touching memory for the first time, or again after it was given back, costs page faults: allocation is slower while
the heap grows beyond what is resident.

Source: runtime/mgcscavenge.go gcPaceScavenger, bgscavenge; runtime/mgcpacer.go memoryLimitHeapGoal (go1.27).
Simplified: free memory is one pool; its use at one percent of CPU is a constant pace, not a PI-controlled sleep.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from gcsim.policy.scavenge import ScavengeGoals, scavenge_goals
from gcsim.runtime.clock import Alarm
from gcsim.runtime.spans import garbage_shares

if TYPE_CHECKING:
    from gcsim.runtime.world import World

PHYS_PAGE_BYTES = 4096
_LOOK_NS = 50_000  # looks at whether new memory is touched are no closer: a few pages
HEAP_GROWTH_BYTES = (
    4 << 20
)  # derived: runtime/mheap.go mheap.grow asks for whole 4 MiB chunks (pallocChunkBytes)
# assumed: allocation takes the lowest addresses and the scavenger works from the highest, so pages given back are taken
# less often than their share of the free ones.  Set so that the scavenger's CPU share comes near /cpu/classes/scavenge of
# the recorded programs on two Ps, micro and others (0.1 to 1.5 %).  If wrong: that share, page faults, and memory held between cycles.
REUSE_BIAS = 0.1
SCAVENGE_CPU_FRAC = 0.01  # derived: runtime/mgcscavenge.go scavengePercent


class Memory:
    """Sizes of memory now; `update` brings them up to date."""

    def __init__(self, world: World) -> None:
        self._w = world
        profile = world.profile
        self._base_bytes = int(profile["runtime_sys_bytes"])
        self._sys_frac = profile["runtime_sys_frac"]
        self._pace_bytes_per_ns = SCAVENGE_CPU_FRAC * world.procs / profile["scavenge_ns_per_byte"]
        self._scavenge_ns_per_byte = profile["scavenge_ns_per_byte"]
        self.heap_in_use_bytes = 0
        self.heap_mapped_bytes = 0
        self.heap_released_bytes = 0
        self.peak_bytes = 0
        self.interval_peak_bytes = 0
        self.scavenged_bytes = 0
        self.last_heap_in_use_bytes = 0
        self._goals: ScavengeGoals | None = None
        self._held_by_live_bytes = 0  # spans of the last cycle with something live in them
        self._updated_ns = world.env.now
        self._resident_bytes = 0  # heap memory touched and not given back since
        self.is_faulting = True
        self.fault_ns_per_byte = profile["page_fault_ns_per_byte"]
        self.nursery_bytes = 0  # kept for new objects, part of what is in use
        self.reused_frac = 0.0  # share of what is allocated that lies in pages given back before
        self._updated_alloc_bytes = 0
        self._watch = Alarm(world.env, self._look)

    @property
    def runtime_bytes(self) -> int:
        """What the runtime maps for itself."""
        return self._base_bytes + int(self._sys_frac * self.heap_mapped_bytes)

    @property
    def total_bytes(self) -> int:
        """Everything held from the operating system: sys - released."""
        return (
            self.runtime_bytes
            + self._w.stacks.in_use_bytes
            + self.heap_mapped_bytes
            - self.heap_released_bytes
        )

    @property
    def heap_free_bytes(self) -> int:
        """Heap memory in no span and not given back."""
        return self.heap_mapped_bytes - self.heap_released_bytes - self.heap_in_use_bytes

    def watch(self) -> None:
        """Heap live has fallen or memory was given back: look again when new memory can be touched at the earliest."""
        w = self._w
        w.forget_slows()
        if w.generations is not None:
            self.is_faulting = False  # new objects lie in the nursery, which stays resident
            return
        # What is not swept yet is no obstacle: who needs room sweeps it first (see `Sweep.begin`).
        gap = self._resident_bytes - w.pacer.heap_live_bytes
        if gap < PHYS_PAGE_BYTES:
            if not self.is_faulting:
                self.is_faulting = True
                w.restart_slices()
            return
        self.is_faulting = False
        if w.max_alloc_per_ns > 0.0:
            wait = min(1_000_000_000, math.ceil(gap / w.max_alloc_per_ns))
            self._watch.set(w.env.now + max(_LOOK_NS, wait))

    def _look(self) -> None:
        self._w.commit_all()
        self.watch()

    def update(self) -> None:
        """Bring sizes up to now."""
        w = self._w
        now = w.env.now
        unswept = int(w.heap.unswept_bytes * (1.0 - w.sweep.swept_frac))
        in_use = max(w.pacer.heap_live_bytes + unswept, self._held_by_live_bytes)
        if w.generations is not None:
            self.nursery_bytes = w.generations.reserved_bytes
            in_use += self.nursery_bytes
        self.heap_in_use_bytes = in_use
        self._resident_bytes = max(self._resident_bytes, in_use)
        held = self.heap_mapped_bytes - self.heap_released_bytes
        if in_use > held:
            missing = in_use - held
            back = min(missing, self.heap_released_bytes)
            self.heap_released_bytes -= back
            missing -= back
            if missing:
                grown = -(-missing // HEAP_GROWTH_BYTES) * HEAP_GROWTH_BYTES
                self.heap_mapped_bytes += grown
        else:
            # Pages are taken by address, whether given back or not: what was given back is touched again.
            allocated = w.heap.allocated_bytes - self._updated_alloc_bytes
            self.heap_released_bytes -= min(self.heap_released_bytes, int(allocated * self.reused_frac))
        if self._goals is not None:
            self._scavenge(now - self._updated_ns)
        self._updated_ns = now
        self._updated_alloc_bytes = w.heap.allocated_bytes
        reusable = self.heap_released_bytes + max(0, self.heap_free_bytes)
        reused_frac = self.reused_frac
        self.reused_frac = REUSE_BIAS * self.heap_released_bytes / reusable if reusable else 0.0
        if w.generations is not None:
            self.reused_frac = 0.0  # the nursery stays where it is
        if self.reused_frac != reused_frac:
            w.forget_slows()
        limit = w.pacer.memory_limit_bytes
        over = self.total_bytes - limit
        if over > 0:
            # Allocation-time scavenging: free memory goes back before more is mapped.
            self._release(min(over, self.heap_free_bytes))
        total = self.total_bytes
        self.peak_bytes = max(self.peak_bytes, total)
        self.interval_peak_bytes = max(self.interval_peak_bytes, total)
        pacer = w.pacer
        pacer.mapped_ready_bytes = total
        pacer.heap_free_bytes = self.heap_free_bytes
        pacer.total_alloc_bytes = w.heap.allocated_bytes
        pacer.total_free_bytes = w.heap.freed_bytes + max(0, w.heap.heap_bytes - in_use)

    def _scavenge(self, elapsed_ns: int) -> None:
        goals = self._goals
        assert goals is not None
        held = self.heap_mapped_bytes - self.heap_released_bytes
        target = held
        if goals.gc_percent_goal_bytes is not None:
            target = min(target, goals.gc_percent_goal_bytes)
        if goals.memory_limit_goal_bytes is not None:
            runtime = self.total_bytes - held
            target = min(target, max(0, goals.memory_limit_goal_bytes - runtime))
        surplus = min(held - target, self.heap_free_bytes)
        if surplus > 0:
            released = self._release(min(surplus, int(elapsed_ns * self._pace_bytes_per_ns)))
            self._w.charge_background("scavenge", int(released * self._scavenge_ns_per_byte))

    def _release(self, n: int) -> int:
        """Give back up to `n` bytes, in whole pages; how many."""
        n = max(0, n) // PHYS_PAGE_BYTES * PHYS_PAGE_BYTES
        self.heap_released_bytes += n
        self.scavenged_bytes += n
        self._resident_bytes = min(self._resident_bytes, self.heap_mapped_bytes - self.heap_released_bytes)
        return n

    def end_cycle(self, marked_bytes: int) -> None:
        """Marking is over: spans with something marked in them stay in use, however much of them is garbage."""
        w = self._w
        self.last_heap_in_use_bytes = self.heap_in_use_bytes
        if w.generations is not None:
            return  # what requests leave behind dies in the nursery, not in spans with something live
        garbage = garbage_shares(w.probe.load.plans)
        garbage_bytes = max(0, self.heap_in_use_bytes - marked_bytes)
        in_small = int(garbage_bytes * min(1.0, sum(garbage.values())))
        self._held_by_live_bytes = marked_bytes + int(in_small * w.heap.trapped_frac(garbage, in_small))

    def pace_scavenger(self) -> None:
        """A cycle has ended or a setting changed: new goals."""
        w = self._w
        pacer = w.pacer
        self._goals = scavenge_goals(
            memory_limit_bytes=pacer.memory_limit_bytes,
            heap_goal_bytes=pacer.heap_goal(),
            last_heap_goal_bytes=pacer.last_heap_goal_bytes,
            mapped_ready_bytes=self.total_bytes,
            last_heap_in_use_bytes=self.last_heap_in_use_bytes,
            heap_in_use_bytes=self.heap_in_use_bytes,
            heap_free_bytes=self.heap_free_bytes,
            phys_page_bytes=PHYS_PAGE_BYTES,
            limit_slip=w.rules.scavenge_limit_slip,
        )
