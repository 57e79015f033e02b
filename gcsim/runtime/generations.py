"""The what-if collector with generations: nursery, minor collections, promotion.  Go has none of this.

New objects fill the nursery.  When it is full the world stops and a **minor collection** copies what is reachable:
from stacks, and from old objects that pointers were stored into since (the remembered set, kept by a write barrier that
is always on).  Who has survived `promotion_age` of them is **promoted** to the old generation; the rest of the nursery
is free at once, whatever garbage it held.  The old generation is collected by Go's own concurrent cycle, a **major
collection**, paced by GOGC over old bytes.  A major collection begins with a minor one in its first pause, so that the
old generation's garbage is all it has to find.

Who survives is not drawn: it follows from the lifetimes in the workload (`heap`), holder by holder.  What has died in
a set that is replaced at random is young or old in the proportion in which its members are.

Bytes are counted twice: by where they were moved (`old_bytes`, `nursery_bytes`) and by fate (what holders have, what
died).  Each minor collection compares; without a remembered set it frees what is still reachable, and says so.

Simplified, and which way it errs.  Allocation costs what Go's costs, where a bump pointer would be cheaper: gains are
understated.  Copying divides evenly over the Ps, chains too: pauses with survivors in lists are understated.  Large
objects are not copied.  Survivors have room enough.  Nobody assists a major collection, since promotion is not done by
goroutines: a heap promoted faster than it is marked ends above its goal.  Package variables are covered by cards.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from gcsim.errors import RunError
from gcsim.policy.generations import CARD_BYTES, Cohort, dirty_cards, filled_cards
from gcsim.policy.workers import TriggerKind
from gcsim.runtime.clock import Alarm
from gcsim.runtime.costs import LARGE_BYTES, WORD_BYTES, Footprint
from gcsim.runtime.goroutine import Goroutine
from gcsim.runtime.heap import RetainedState
from gcsim.runtime.randomness import stream
from gcsim.runtime.records import MinorReason, MinorRecord

if TYPE_CHECKING:
    from simpy.events import Event

    from gcsim.runtime.world import P, World

_NOTHING = Footprint()


class _Holder(NamedTuple):
    """What keeps objects: its cohort, what it has now, and what a typical one of these is like."""

    name: str
    cohort: Cohort
    reachable_bytes: int
    unit: Footprint
    is_stack: bool


class _Minor(NamedTuple):
    """One minor collection, found and not yet recorded."""

    nursery_bytes: int
    copied_bytes: int
    promoted_bytes: int
    freed_bytes: int
    freed_objects: int
    cards: int
    roots_cpu_ns: int
    copy_cpu_ns: int
    work_ns: int


class Generations:
    """Nursery and old generation, and the process that runs minor collections.

    Attributes:
        minors: minor collections so far.
        promoted_bytes: promoted since process start.
        minor_freed_bytes: freed by minor collections since process start.
        condemned_bytes: old garbage that major collections found since process start.
        dead_old_bytes, dead_old_objects: unreachable in the old generation, and not found yet.
    """

    def __init__(self, world: World) -> None:
        self._w = world
        settings = world.spec.runtime.generational
        self._size_bytes = settings.nursery
        self._age = settings.promotion_age
        self._has_remembered_set = settings.remembered_set
        self._rng = stream(world.seed, "minor")
        self.minors = 0
        self.promoted_bytes = 0
        self.minor_freed_bytes = 0
        self.condemned_bytes = 0
        self.dead_old_bytes = 0
        self.dead_old_objects = 0
        self._emptied_at_bytes = 0  # allocated by the last minor collection
        self._retained: dict[str, Cohort] = {}
        self._tables: dict[str, tuple[Footprint, Cohort]] = {}
        self._written_at: dict[str, int] = {}  # pointer stores into entries up to the last minor collection
        self._pools: dict[str, Cohort] = {}
        self._lifetimes: dict[int, Cohort] = {}
        self._leaked = Cohort(self._age)
        self._fixed = Cohort(self._age)
        self._flights: dict[Goroutine, Cohort] = {}
        self._allocated_by: dict[Goroutine, int] = {}  # since the last minor collection
        self._leaked_at_bytes = 0
        self._wanted = False
        self._starter: P | None = None
        self._wake = world.env.event()
        self._watch = Alarm(world.env, self._look)
        self._world_is_taken = False
        self._waiting: deque[Event] = deque()
        # The pacer counts the old generation; what globals hold is as new as everything else.
        world.pacer.heap_live_bytes = world.pacer.heap_scan_bytes = 0
        world.heap.on_expire = self._expired
        for retained in world.heap.retained.values():
            self._follow(retained)
        world.env.process(self._run())

    # ---- sizes ---------------------------------------------------------------------------------------------

    @property
    def new_bytes(self) -> int:
        """Allocated since the last minor collection."""
        return self._w.heap.allocated_bytes - self._emptied_at_bytes

    @property
    def nursery_bytes(self) -> int:
        """Objects in the nursery, dead or alive."""
        return self._w.heap.allocated_bytes - self.promoted_bytes - self.minor_freed_bytes

    @property
    def old_bytes(self) -> int:
        """Objects in the old generation, dead ones included until a major collection has found them."""
        return self.promoted_bytes - self.condemned_bytes

    @property
    def reserved_bytes(self) -> int:
        """Memory that the nursery takes: room for new objects, and for survivors of earlier collections."""
        return self._size_bytes + max(0, self.nursery_bytes - self.new_bytes)

    @property
    def old_by_fate_bytes(self) -> int:
        """The old generation once more, by who holds what and what has died."""
        cohorts = [*self._retained.values(), *(c for _, c in self._tables.values()), *self._pools.values()]
        cohorts += [*self._lifetimes.values(), *self._flights.values(), self._leaked, self._fixed]
        return self.dead_old_bytes + sum(cohort.old_bytes for cohort in cohorts)

    # ---- what happens in the heap --------------------------------------------------------------------------

    def _follow(self, retained: RetainedState) -> None:
        cohort = self._retained[retained.name] = Cohort(self._age)
        self._written_at[retained.name] = retained.written
        self._tables[retained.name] = (retained.table, Cohort(self._age))

        def share_died(frac: float) -> None:
            self._old_died(cohort.die(frac), retained.entry)

        retained.on_death = share_died

    def _old_died(self, size: int, unit: Footprint) -> None:
        """So many bytes of the old generation, made of such units, became unreachable."""
        self.dead_old_bytes += size
        self.dead_old_objects += round(size * unit.objects / unit.bytes) if unit.bytes else 0

    def _expired(self, bucket: int, objects_per_byte: float) -> None:
        """The lifetimes of a bucket are over."""
        cohort = self._lifetimes.pop(bucket, None)
        if cohort is not None:
            self.dead_old_bytes += cohort.old_bytes
            self.dead_old_objects += round(cohort.old_bytes * objects_per_byte)

    def allocated(self, p: P, g: Goroutine, n: int) -> None:
        """A goroutine on a P has allocated `n` bytes of new objects, which the heap has counted."""
        self._allocated_by[g] = self._allocated_by.get(g, 0) + n
        self.check(p)

    def check(self, p: P | None) -> None:
        """Something was allocated: is the nursery full?"""
        if not self._wanted and self.new_bytes >= self._size_bytes:
            self._wanted = True
            self._starter = p
            wake, self._wake = self._wake, self._w.env.event()
            wake.succeed()

    def watch(self) -> None:
        """Look again when the nursery can be full at the earliest."""
        rate = self._w.max_alloc_per_ns
        if rate > 0.0 and not self._wanted:
            gap = max(0, self._size_bytes - self.new_bytes)
            self._watch.set(self._w.env.now + max(2_000, min(1_000_000_000, math.ceil(gap / rate))))

    def _look(self) -> None:
        self._w.commit_all()
        if not self._wanted:
            self.check(next((p for p in self._w.ps if p.state == "mutator"), None))
            self.watch()

    # ---- one at a time stops the world ---------------------------------------------------------------------

    def take_world(self) -> Generator[Any, Any, None]:
        """Wait until nobody else stops the world; `give_world` lets the next one."""
        while self._world_is_taken:
            turn = self._w.env.event()
            self._waiting.append(turn)
            yield turn
        self._world_is_taken = True

    def give_world(self) -> None:
        """Whoever had stopped the world has started it again."""
        self._world_is_taken = False
        if self._waiting:
            self._waiting.popleft().succeed()

    def _run(self) -> Generator[Any, Any, None]:
        w = self._w
        env = w.env
        collector = w.collector
        while True:
            if not self._wanted:
                yield self._wake
            yield from self.take_world()
            self._wanted = False
            self._watch.clear()
            if self.new_bytes >= self._size_bytes:  # else a major collection has emptied it meanwhile
                starter = self._starter
                if starter is not None and starter.state != "mutator":
                    starter = None
                start_ns = env.now
                stopping_ns = yield from collector.stop("stw_stop_ns", starter)
                found = self.collect()
                yield env.timeout(collector.pause_ns("stw_sweep_term_ns") + found.work_ns)
                collector.start_world(starter)
                cpu_ns = collector.minor_pause(start_ns, stopping_ns)
                self._record(found, "nursery_full", start_ns, stopping_ns, cpu_ns)
                w.mark.complete_if_done()
                if not collector.is_running:
                    collector.trigger_bytes = w.pacer.trigger()[0]  # sinks with memory under a limit
                if w.pacer.heap_live_bytes >= collector.trigger_bytes:
                    collector.request(None, TriggerKind.HEAP)
            self.give_world()
            self.watch()

    def begin_major(self, start_ns: int, stopping_ns: int) -> int:
        """The minor collection in the first pause of a major one, whose pause it is; how long it takes, in ns."""
        found = self.collect()
        self._record(found, "major", start_ns, stopping_ns, 0, after_ns=found.work_ns)
        return found.work_ns

    def condemned(self, dead_bytes: int, dead_objects: int) -> None:
        """A major collection has found this garbage; it lies in the old generation."""
        self.condemned_bytes += dead_bytes
        self.dead_old_bytes -= dead_bytes
        self.dead_old_objects -= dead_objects

    # ---- a minor collection --------------------------------------------------------------------------------

    def collect(self) -> _Minor:
        """Empty the nursery (the world is stopped, finished requests are booked)."""
        w = self._w
        heap = w.heap
        nursery_bytes = self.nursery_bytes
        heap.expire(w.env.now)
        cards, cards_ns = self._remembered()
        finished = self._finished_flights()
        holders = list(self._holders())
        for holder in holders:
            self._old_died(holder.cohort.clamp(holder.reachable_bytes), holder.unit)
        self._place(finished, holders)
        self.dead_old_objects = min(self.dead_old_objects, heap.dead_objects)
        copied = promoted = 0
        copy_ns = live_bytes = scannable_bytes = 0.0
        for holder in holders:
            if not holder.is_stack and not self._has_remembered_set:
                continue  # nobody looks there
            survival = holder.cohort.collect(holder.reachable_bytes)
            copied += survival.copied_bytes
            promoted += survival.promoted_bytes
            unit = holder.unit
            if unit.bytes:
                copy_ns += survival.copied_bytes * self._copy_ns(unit) / unit.bytes
                live_bytes += survival.promoted_bytes * max(1.0, unit.live_bytes / unit.bytes)
                scannable_bytes += survival.promoted_bytes * unit.scannable_bytes / unit.bytes
            else:
                live_bytes += survival.promoted_bytes
        freed = nursery_bytes - copied
        dead = heap.dead_bytes - self.dead_old_bytes
        freed_objects = heap.dead_objects - self.dead_old_objects
        self.minors += 1
        if freed != dead and not self._has_remembered_set:
            raise RunError(self._loss(freed - dead, holders))
        w.watch.minor_freed(w, freed, dead)
        self.promoted_bytes += promoted
        self.minor_freed_bytes += freed
        heap.dead_bytes -= freed
        heap.dead_objects -= freed_objects
        heap.freed_bytes += freed
        heap.freed_objects += freed_objects
        if w.is_marking:
            w.collector.freed_while_marking_bytes += freed
        w.pacer.heap_live_bytes += math.ceil(live_bytes)
        if not w.is_marking:
            w.pacer.heap_scan_bytes += int(scannable_bytes)
        self._emptied_at_bytes = heap.allocated_bytes
        self._allocated_by.clear()
        w.memory.update()
        roots_ns = cards_ns + self._stacks_ns()
        noise = math.exp(w.profile["mark_sigma"] * float(self._rng.standard_normal()))
        workers = min(w.procs, w.spec.machine.cores)
        if workers > 1:
            noise *= 1.0 + w.profile["mark_contention_frac"]
        roots, copying = int(roots_ns * noise), int(copy_ns * noise)
        return _Minor(
            nursery_bytes, copied, promoted, freed, freed_objects, cards, roots, copying,
            -(-(roots + copying) // workers),
        )  # fmt: skip

    def _loss(self, lost_bytes: int, holders: list[_Holder]) -> str:
        """What to say of reachable objects that were freed."""
        names = [h.name for h in holders if not h.is_stack and h.reachable_bytes > h.cohort.old_bytes]
        return (
            f"minor collection {self.minors} at {self._w.env.now} ns freed {lost_bytes} bytes that the program can "
            f"still reach ({', '.join(names)}): only pointers from old objects lead there, and nobody looks at them "
            "with runtime.generational.remembered_set off; switch it on"
        )

    def _holders(self) -> Iterator[_Holder]:
        """Everybody that keeps objects, in a fixed order."""
        heap = self._w.heap
        for name, retained in heap.retained.items():
            entries_bytes = retained.reachable_bytes - retained.table.bytes
            yield _Holder(f"set {name}", self._retained[name], entries_bytes, retained.entry, False)
            table, cohort = self._tables[name]
            if table is not retained.table:  # outgrown: another object
                self._old_died(cohort.old_bytes, table)
                cohort = Cohort(self._age)
                self._tables[name] = (retained.table, cohort)
            yield _Holder(f"the table of set {name}", cohort, retained.table.bytes, retained.table, False)
        for name, pool in heap.pools.items():
            cohort = self._pools.setdefault(name, Cohort(self._age))
            items_bytes = pool.reachable_items * pool.item.bytes
            yield _Holder(f"pool {name}", cohort, items_bytes, pool.item, False)
        yield _Holder("leaks", self._leaked, heap.leaked.bytes, heap.leaked, False)
        fixed = _NOTHING
        for unit in heap.fixed:
            fixed = fixed + unit
        yield _Holder("globals", self._fixed, fixed.bytes, fixed, False)
        for bucket, row in heap.lifetimes():
            unit = Footprint(
                bytes=int(row[0]),
                objects=int(row[1]),
                live_bytes=row[0],
                scannable_bytes=int(row[2]),
                mark_ns=row[3],
            )
            cohort = self._lifetimes.setdefault(bucket, Cohort(self._age))
            yield _Holder("lifetimes", cohort, int(row[0]), unit, False)
        for g in self._w.alive:
            size = g.in_flight_bytes
            if size:
                cohort = self._flights.setdefault(g, Cohort(self._age))
                yield _Holder(f"goroutine {g.name}", cohort, size, g.makes, True)

    def _finished_flights(self) -> tuple[int, int]:
        """Old bytes of requests that have ended since the last minor collection: garbage, and what lives on elsewhere."""
        garbage = kept = 0
        allocated = self._allocated_by
        alive = self._w.alive
        for g in list(self._flights):
            if g in alive and g.in_flight_bytes > allocated.get(g, 0):
                continue
            cohort = self._flights.pop(g)
            dying = round(cohort.old_bytes * g.garbage_frac)
            garbage += dying
            kept += cohort.old_bytes - dying
        return garbage, kept

    def _place(self, old: tuple[int, int], holders: list[_Holder]) -> None:
        """Old bytes of ended requests: garbage there, or what a set has got since the last minor collection.

        Which of its members these are nobody knows; there are as many dead or new bytes as have to be placed.
        """
        garbage, kept = old
        heap = self._w.heap
        dead = min(garbage, heap.dead_bytes - self.dead_old_bytes)
        kept += garbage - dead
        for holder in holders:
            if holder.is_stack:
                continue
            there = min(kept, holder.cohort.new_bytes(holder.reachable_bytes))
            holder.cohort.old_bytes += there
            kept -= there
        dead += kept
        self.dead_old_bytes += dead
        if heap.dead_bytes:
            self.dead_old_objects += round(dead * heap.dead_objects / heap.dead_bytes)

    # ---- what it costs -------------------------------------------------------------------------------------

    def _copy_ns(self, unit: Footprint) -> float:
        """CPU time to find, copy and scan a unit's objects, which lie in allocation order.

        derived from measured constants of the profile: marking and scanning as in order, a slot as mallocgc finds one,
        bytes as structs are copied.  A large object keeps its pages.
        """
        p = self._w.profile
        if unit.bytes > LARGE_BYTES * unit.objects:
            return unit.mark_ns
        return unit.mark_ns + unit.objects * p["alloc_small_scan_ns"] + unit.bytes * p["copy_ns_per_byte"]

    def _stacks_ns(self) -> float:
        """CPU time to scan every stack."""
        p = self._w.profile
        count, used_bytes = self._w.stacks.roots()
        return count * p["mark_stack_ns"] + used_bytes * p["mark_stack_ns_per_byte"]

    def _remembered(self) -> tuple[int, float]:
        """Cards that are dirty, and the CPU time to look through them; then the count starts anew.

        Each costs a cache miss and the words in it: derived from what marking pays for the first object of a scattered
        group, and for scanning.  Cards that point to survivors which stay young are dirty next time again.
        """
        heap = self._w.heap
        cards = 0.0
        for name, retained in heap.retained.items():
            aged = sum(self._retained[name].aged_bytes) / max(1, retained.entry.bytes)
            stores, retained.stores = retained.stores + aged, 0
            if retained.table.bytes:
                cards += dirty_cards(retained.table.bytes, stores)
            else:
                cards += filled_cards(stores * WORD_BYTES)
            writes = retained.written - self._written_at[name]
            self._written_at[name] = retained.written
            if writes:
                cards += dirty_cards(retained.entries * retained.entry.bytes, writes)
        leaked = heap.leaked
        stored = max(0, leaked.bytes - self._leaked_at_bytes)
        self._leaked_at_bytes = leaked.bytes
        each = leaked.bytes / leaked.objects if leaked.objects else 1.0
        cards += filled_cards(stored / each * WORD_BYTES)
        for bucket, row in heap.lifetimes():
            cohort = self._lifetimes.get(bucket)
            young = row[0] - (cohort.old_bytes if cohort is not None else 0)
            cards += young / row[0] * row[1] * WORD_BYTES / CARD_BYTES if row[0] else 0.0
        dirty = math.ceil(cards)
        p = self._w.profile
        return dirty, dirty * (p["mark_scattered_group_ns"] + p["mark_scan_ns_per_byte"] * CARD_BYTES)

    # ---- records -------------------------------------------------------------------------------------------

    def _record(
        self,
        found: _Minor,
        reason: MinorReason,
        start_ns: int,
        stopping_ns: int,
        cpu_ns: int,
        after_ns: int = 0,
    ) -> None:
        w = self._w
        w.probe.recorder.minor(
            MinorRecord(
                minor=self.minors,
                phase=w.probe.phase_at(start_ns),
                reason=reason,
                start_ns=start_ns,
                stopping_ns=stopping_ns,
                duration_ns=w.env.now + after_ns - start_ns,
                nursery_bytes=found.nursery_bytes,
                copied_bytes=found.copied_bytes,
                promoted_bytes=found.promoted_bytes,
                freed_bytes=found.freed_bytes,
                freed_objects=found.freed_objects,
                remembered_cards=found.cards,
                roots_cpu_ns=found.roots_cpu_ns,
                copy_cpu_ns=found.copy_cpu_ns,
                stw_cpu_ns=cpu_ns,
                young_bytes=self.nursery_bytes,
                old_bytes=self.old_bytes,
            )
        )
