"""The heap as cohorts: bytes of equal fate, not objects one by one.

What is reachable is known from structure (entries of retained sets, leaks, pools, lifetimes still running, requests
in flight); what became unreachable is counted as it happens.  Unreachable is not free: the next cycle's mark finds
it (`mark_snapshot`, `condemn`), sweeping after that frees it.  The write barrier shades what is overwritten and new
objects are black, so a cycle keeps everything that was reachable when it began and everything allocated since.

Bytes are counted twice, by whoever allocates (`allocated_bytes`) and here by fate; the end of a run compares.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from gcsim.policy.greentea import Mix
from gcsim.policy.size_classes import SIZE_CLASS_BYTES
from gcsim.runtime.costs import (
    WORD_BYTES,
    CostModel,
    Footprint,
    Levels,
    Mixes,
    SpanClass,
    add_levels,
    scale_levels,
)
from gcsim.runtime.sites import Site, SiteKey, Sites

# assumed: shares of a mix in steps of 5 %, each well below what a footprint's own figures are known to
_MIX_STEPS = 20
# derived: internal/runtime/maps/table.go maxTableCapacity: larger maps have several tables, which split one by one
_SPLITS_FROM = 1024


def shaded_frac(writes_per_entry: float) -> float:
    """Share of entries to which one of the random stores of a mark phase came before even marking did."""
    k = writes_per_entry
    return 1.0 + math.expm1(-k) / k if k > 1e-9 else 0.0


class RetainedState:
    """A bounded set of entries, as it is now."""

    def __init__(
        self,
        name: str,
        entry_of: Callable[[bool, Mixes], Footprint],
        slot_bytes: int,
        width: int,
        span_classes: dict[SpanClass, int],
        map_of: Callable[[int], Footprint] | None = None,
        *,
        is_remade: bool = False,
        declared: int = 0,
    ) -> None:
        """Args: entry_of: footprint of an entry: whether its trees are halved, what its spans hold beside it."""
        self.name = name
        self._entry_of = entry_of
        self._aged: dict[tuple[Mix, ...], tuple[Footprint, Footprint]] = {}
        self._last_aged: tuple[Footprint, Footprint] | None = None
        self.span_classes = span_classes  # objects of an entry by the spans they share
        # How far entries mix within spans: a group that fills spans of its own leaves whole spans free when replaced.
        self.mixing = {c: c[2] / (c[2] + n) for c, n in span_classes.items()}
        # How far an entry leans on its neighbours: whether there are any in the span of most of its objects.
        objects, per_span = max(((n, c[2]) for c, n in span_classes.items()), default=(1, 1))
        self._neighbourly = max(0.0, 1.0 - objects / per_span)
        self.entry = entry_of(False, {})
        self.halved_entry = entry_of(True, {})
        self.slot_bytes = slot_bytes
        self._map_of = map_of  # the objects of a map that holds so many entries, where the table is one
        self.is_remade = is_remade
        self.declared = declared  # entries that it begins with
        self.room = 0  # entries that the map has room for; deleting gives none of it back
        self.width = width  # independent pieces of marking work per entry; lists have one
        self.entries = 0
        self.building = 0  # entries that a builder is at
        self.halved = 0  # entries whose subtree was dropped
        self.stale = 0  # of the entries: taken off a queue, and in its array still
        self.shifted = 0  # slots of a queue's array before its first entry
        self.scattered = 0.0  # entries replaced since they were built in order
        self.replaced = 0  # entries since the last cycle began
        self.written = 0  # pointer stores into its entries
        self.shaded_frac = 0.0  # entries that the write barrier shaded ahead of their turn in the last cycle
        self._written_at_mark_start = 0
        self.table = Footprint()
        self.stores = 0  # of pointers to new entries into the table, since somebody last took them
        self.on_death: Callable[[float], None] | None = None  # told which share of what is there dies
        self._halved_fraction = 0.0

    @property
    def reachable_bytes(self) -> int:
        whole = self.entries - self.halved
        return whole * self.entry.bytes + self.halved * self.halved_entry.bytes + self.table.bytes

    @property
    def reachable_objects(self) -> int:
        whole = self.entries - self.halved
        return whole * self.entry.objects + self.halved * self.halved_entry.objects + self.table.objects

    @property
    def aged_frac(self) -> float:
        """Share of the entries that cost what scattered ones do, those counted in part whose neighbours have gone.

        Measured: mark CPU while entries of 16 and 200 nodes are replaced at random, from the first to the second
        turnover (go1.27.3): with a share s replaced, one of 16 still in its place costs 0.08, 0.34 and 0.78 of what
        strangers cost more at s = 0.18, 0.48 and 0.75; of 200 nothing.
        """
        if not self.scattered:
            return 0.0
        gone = self.scattered / self.entries
        return gone + (1.0 - gone) * self._neighbourly * math.pow(gone, 1.5)

    def table_for(self, costs: CostModel, entries: int) -> Footprint:
        """The table that holds so many entries: an array of pointers, or a map if they do not fit into the one there is."""
        if self._map_of is not None:
            if entries <= self.room:
                return Footprint()
            self.room = entries
            return self._map_of(entries)
        if not self.slot_bytes or not entries:
            return Footprint()
        size = self.slot_bytes * entries
        return costs.object(size, size // WORD_BYTES)

    @property
    def is_map(self) -> bool:
        return self._map_of is not None

    def add(self, n: int) -> None:
        """`n` new entries."""
        self.entries += n
        self.stores += n

    def grow_map(self, heap: Heap, site: Site) -> None:
        """Make the map larger if entries were added that it has no room for.

        Source: internal/runtime/maps/table.go, runtime/map.go (go1.19 .. go1.27).  Simplified: a large Swiss map grows
        table by table; here by an eighth at a time, and what that replaces is all of it. The time to move keys is not
        charged: who grows a set is one request among many.
        """
        if self._map_of is None or self.entries <= self.room:
            return
        self.room = self.entries * 2 if self.entries < _SPLITS_FROM else self.entries * 9 // 8
        made = self._map_of(self.room)
        old, self.table = self.table, made
        heap.allocate_now(made, site)
        heap.dead_bytes += old.bytes
        heap.dead_objects += old.objects

    def replace(self, n: int, heap: Heap) -> None:
        """`n` random entries make way for new ones."""
        self.stores += n
        self.replaced += n
        if not self.entries:
            heap.dead_bytes += n * self.entry.bytes
            heap.dead_objects += n * self.entry.objects
            return
        self._halved_fraction += n * self.halved / self.entries
        halved = min(self.halved, math.floor(self._halved_fraction), n)
        self._halved_fraction -= halved
        self.halved -= halved
        heap.dead_bytes += (n - halved) * self.entry.bytes + halved * self.halved_entry.bytes
        heap.dead_objects += (n - halved) * self.entry.objects + halved * self.halved_entry.objects
        if self.on_death is not None:
            self.on_death(-math.expm1(-n / self.entries))
        # Each replacement hits an entry that is still in order with probability (in order) / entries.
        self.scattered = self.entries - (self.entries - self.scattered) * math.exp(-n / self.entries)

    def shift(self, n: int, heap: Heap, *, clear: bool) -> None:
        """`n` times the first entry is taken off a queue and a new one appended; `clear`: with s[0] = nil before."""
        self.add(n)
        self.shifted += n
        if clear:
            self.shrink(n, heap)
        else:
            self.stale += n

    def requeue(self, n: int, array: Footprint, lasts: int, heap: Heap) -> None:
        """`n` times the queue's array was full, each after `lasts` appends, and append made a new one.

        What had been taken off lives as long as the array that it was in.
        """
        old, self.table = self.table, array
        heap.dead_bytes += old.bytes + (n - 1) * array.bytes
        heap.dead_objects += old.objects + (n - 1) * array.objects
        self.shifted = max(0, self.shifted - n * lasts)
        dead = self.stale - min(self.stale, self.shifted)
        self.stale -= dead
        self.shrink(dead, heap)

    def drop_subtrees(self, writes: int, heap: Heap) -> None:
        """`writes` writes to the roots of random entries; the first on each drops half of it."""
        intact = self.entries - self.halved
        if intact <= 0:
            return
        left = intact * math.exp(-writes / self.entries) + self._halved_fraction
        dropped = min(intact, max(0, math.floor(intact - left + 1e-9)))
        self._halved_fraction = 0.0
        size = dropped * (self.entry.bytes - self.halved_entry.bytes)
        if self.on_death is not None and size:
            self.on_death(size / (self.reachable_bytes - self.table.bytes))
        self.halved += dropped
        heap.dead_bytes += size
        heap.dead_objects += dropped * (self.entry.objects - self.halved_entry.objects)

    def aged(self, garbage: dict[SpanClass, float]) -> tuple[Footprint, Footprint]:
        """Whole and halved entries beside so many bytes of garbage by the spans they share, since the last cycle.

        Where none was replaced since then, they lie as they did.
        """
        if not self.replaced and self._last_aged is not None:
            return self._last_aged
        mixes = {}
        for span_class, objects in self.span_classes.items():
            size = objects * SIZE_CLASS_BYTES[span_class[0]]
            # In steps, so that a footprint serves many cycles.
            mixes[span_class] = Mix.of(
                self.entries * size, self.replaced * size, garbage.get(span_class, 0.0), steps=_MIX_STEPS
            )
        key = tuple(mixes.values())
        known = self._aged.get(key)
        if known is None:
            known = self._aged[key] = self._entry_of(False, mixes), self._entry_of(True, mixes)
        self._last_aged = known
        return known

    def mark_begins(self) -> None:
        """From now on stores shade."""
        self.replaced = 0
        self._written_at_mark_start = self.written

    def mark_ends(self) -> None:
        """How many entries stores have shaded before marking came to them, at an even pace."""
        writes = self.written - self._written_at_mark_start
        self.shaded_frac = shaded_frac(writes / self.entries) if self.entries else 0.0

    def shrink(self, n: int, heap: Heap) -> None:
        """Drop `n` entries at once."""
        if self.on_death is not None and self.entries:
            self.on_death(n / self.entries)
        halved = round(self.halved * n / self.entries) if self.entries else 0
        heap.dead_bytes += (n - halved) * self.entry.bytes + halved * self.halved_entry.bytes
        heap.dead_objects += (n - halved) * self.entry.objects + halved * self.halved_entry.objects
        self.scattered *= 1 - n / self.entries if self.entries else 0.0
        self.entries -= n
        self.halved -= halved


class PoolState:
    """A sync.Pool: what the Ps hold and what the last cycle moved to the victim cache."""

    def __init__(self, item: Footprint, site: Site) -> None:
        self.item = item
        self.site = site  # its New function
        self.local = 0
        self.victim = 0
        self.held = 0
        self.gets = 0
        self.misses = 0

    @property
    def reachable_items(self) -> int:
        return self.local + self.victim + self.held

    def get(self) -> bool:
        """Take one; False is a miss, and the caller allocates."""
        self.gets += 1
        self.held += 1
        if self.local:
            self.local -= 1
            return True
        if self.victim:
            self.victim -= 1
            return True
        self.misses += 1
        return False

    def put(self) -> None:
        """Give one back.  Source: sync/pool.go Put."""
        if self.held:
            self.held -= 1
            self.local += 1

    def clear(self, heap: Heap) -> None:
        """Start of a cycle: the victim cache goes, the Ps' items become victims.  Source: sync/pool.go poolCleanup."""
        heap.dead_bytes += self.victim * self.item.bytes
        heap.dead_objects += self.victim * self.item.objects
        self.victim, self.local = self.local, 0


@dataclass(slots=True)
class MarkSnapshot:
    """What a cycle will find: fixed when marking begins.

    Attributes:
        dead_bytes, dead_objects: unreachable already; freed after the cycle.
        scan_work_bytes: heap scan work.
        cost_ns: CPU time to mark it all, on one P.
        streamed_ns: the part of it that reads memory in allocation order.
        levels: the part of both that Green Tea meets level by level, see `Footprint`.
        entries: of sets; so many roots are where it begins.
        width: how many Ps can mark at once; None = no limit.
        spans: spans that what is reachable fills; scan_spans: with pointers.
    """

    dead_bytes: int
    dead_objects: int
    reachable_bytes: int
    reachable_objects: int
    scan_work_bytes: float
    cost_ns: float
    streamed_ns: float
    levels: Levels
    entries: int
    width: int | None
    spans: float
    scan_spans: float


class Heap:
    """All cohorts and their sums."""

    def __init__(self, charge: Callable[[Footprint], None]) -> None:
        self._charge = charge
        self.sites = Sites()
        self.allocated_bytes = 0
        self.allocated_objects = 0
        self.dead_bytes = 0
        self.dead_objects = 0
        self.unswept_bytes = 0
        self._allocated_at_mark_bytes = 0
        self.freed_bytes = 0
        self.freed_objects = 0
        self.in_flight_bytes = 0
        self.leaked = Footprint()
        self.retained: dict[str, RetainedState] = {}
        self.pools: dict[str, PoolState] = {}
        self.fixed: list[Footprint] = []
        # lifetimes: bucket of death time -> [bytes, objects, scan work, mark ns]
        self.lifetime_bucket_ns = 1_000_000
        self._lifetimes: dict[int, list[float]] = {}
        # Told which bucket of lifetimes is over, and objects per byte of it.
        self.on_expire: Callable[[int, float], None] | None = None

    def allocate_now(self, unit: Footprint, site: Site) -> None:
        """An object outside any stretch (a pool's miss, a grown slice): booked at once, reachable by structure."""
        site.add(unit.bytes, unit.objects)
        self.allocated_bytes += unit.bytes
        self.allocated_objects += unit.objects
        self._charge(unit)

    def outlive(self, death_ns: int, n: int, each: Footprint) -> None:
        """`n` objects of a finished request live on until about `death_ns`."""
        row = self._lifetimes.setdefault(death_ns // self.lifetime_bucket_ns, [0, 0, 0.0, 0.0])
        row[0] += n * each.bytes
        row[1] += n * each.objects
        row[2] += n * each.scan_work_bytes
        row[3] += n * each.mark_ns

    def lifetimes(self) -> Iterator[tuple[int, list[float]]]:
        """What outlives its request, by bucket of death time: bytes, objects, scan work, mark ns."""
        return iter(self._lifetimes.items())

    def expire(self, now_ns: int) -> None:
        """Objects whose lifetime is over become unreachable."""
        if self._lifetimes:
            bucket = now_ns // self.lifetime_bucket_ns
            for key in [k for k in self._lifetimes if k <= bucket]:
                row = self._lifetimes.pop(key)
                self.dead_bytes += int(row[0])
                self.dead_objects += int(row[1])
                if self.on_expire is not None:
                    self.on_expire(key, row[1] / row[0])

    @property
    def reachable_bytes(self) -> int:
        """By structure: what the program can still reach, requests in flight included."""
        total = self.in_flight_bytes + self.leaked.bytes + sum(f.bytes for f in self.fixed)
        total += sum(s.reachable_bytes for s in self.retained.values())
        total += sum(p.reachable_items * p.item.bytes for p in self.pools.values())
        return total + int(sum(row[0] for row in self._lifetimes.values()))

    @property
    def reachable_objects(self) -> int:
        total = self.leaked.objects + sum(f.objects for f in self.fixed)
        total += sum(s.reachable_objects for s in self.retained.values())
        total += sum(p.reachable_items * p.item.objects for p in self.pools.values())
        return total + int(sum(row[1] for row in self._lifetimes.values()))

    def holders(self) -> Iterator[tuple[SiteKey, int, int]]:
        """What is reachable by what holds it: key, bytes, objects; in sum `reachable_bytes` less bytes in flight."""

        def held(kind: str, name: str = "") -> SiteKey:
            return SiteKey(None, None, kind, name)

        for name, retained in self.retained.items():
            yield held("retained", name), retained.reachable_bytes, retained.reachable_objects
        for name, pool in self.pools.items():
            items = pool.reachable_items
            yield held("pool", name), items * pool.item.bytes, items * pool.item.objects
        yield held("leaked"), self.leaked.bytes, self.leaked.objects
        yield held("globals"), sum(f.bytes for f in self.fixed), sum(f.objects for f in self.fixed)
        rows = self._lifetimes.values()
        yield held("lifetimes"), int(sum(row[0] for row in rows)), int(sum(row[1] for row in rows))

    @property
    def heap_bytes(self) -> int:
        """Bytes of objects not yet freed, reachable or not."""
        return self.allocated_bytes - self.freed_bytes

    def mark_snapshot(self, now_ns: int, garbage_shares: dict[SpanClass, float]) -> MarkSnapshot:
        """What there is to mark now.

        Args:
            garbage_shares: of the garbage, by the spans that it shares.
        """
        self.expire(now_ns)
        made = self.allocated_bytes - self._allocated_at_mark_bytes
        self._allocated_at_mark_bytes = self.allocated_bytes
        made -= sum(r.replaced * r.entry.bytes for r in self.retained.values())
        garbage = {span_class: share * max(0, made) for span_class, share in garbage_shares.items()}
        work = self.leaked.scan_work_bytes
        cost = self.leaked.mark_ns
        streamed = self.leaked.streamed_ns
        spans = self.leaked.spans
        scan_spans = self.leaked.scan_spans
        levels: Levels = ()
        entries = 0
        wide = bool(self.leaked.objects or self.pools)
        width = 0
        for fixed in self.fixed:
            work += fixed.scan_work_bytes
            cost += fixed.mark_ns
            streamed += fixed.streamed_ns
            spans += fixed.spans
            scan_spans += fixed.scan_spans
            wide = True
        for pool in self.pools.values():
            work += pool.reachable_items * pool.item.scan_work_bytes
            cost += pool.reachable_items * pool.item.mark_ns
            streamed += pool.reachable_items * pool.item.streamed_ns
        for row in self._lifetimes.values():
            work += row[2]
            cost += row[3]
            wide = True
        for retained in self.retained.values():
            whole, half = retained.entries - retained.halved, retained.halved
            entry, halved = (
                retained.aged(garbage) if retained.scattered else (retained.entry, retained.halved_entry)
            )
            scattered = retained.aged_frac
            work += retained.table.scan_work_bytes
            cost += retained.table.mark_ns
            streamed += retained.table.streamed_ns
            for n, each in ((whole, entry), (half, halved)):
                work += n * (each.scan_work_bytes + scattered * each.scattered_work_bytes)
                cost += n * (each.mark_ns + scattered * each.scattered_ns)
                streamed += n * (1.0 - scattered) * each.streamed_ns
                cost += n * (1.0 - scattered) * retained.shaded_frac * each.shaded_ns
                levels = add_levels(levels, scale_levels(each.levels, n * (1.0 - scattered)))
                levels = add_levels(levels, scale_levels(each.scattered_levels, n * scattered))
            spans += whole * entry.spans + half * halved.spans + retained.table.spans
            scan_spans += whole * entry.scan_spans + half * halved.scan_spans
            width += retained.entries * retained.width
            entries += retained.entries
            retained.mark_begins()
        # Anything that fans out keeps all markers busy; only a heap of few chains alone limits them.
        narrow = width if width and not wide else None
        return MarkSnapshot(
            self.dead_bytes,
            self.dead_objects,
            self.reachable_bytes,
            self.reachable_objects,
            work,
            cost,
            streamed,
            levels,
            entries,
            narrow,
            spans,
            scan_spans,
        )

    def condemn(self, snapshot: MarkSnapshot) -> None:
        """Mark is over: what was unreachable when it began waits for the sweeper."""
        for retained in self.retained.values():
            retained.mark_ends()
        self.dead_bytes -= snapshot.dead_bytes
        self.dead_objects -= snapshot.dead_objects
        self.unswept_bytes += snapshot.dead_bytes
        self.freed_objects += snapshot.dead_objects

    def scattered_frac(self, span_class: SpanClass) -> float:
        """Share of the free slots of these spans that lie scattered between live objects."""
        live = mixed = 0.0
        for retained in self.retained.values():
            objects = retained.span_classes.get(span_class, 0)
            if objects:
                live += objects * retained.entries
                mixed += objects * retained.scattered * retained.mixing[span_class]
        return mixed / live if live else 0.0

    def trapped_frac(self, garbage: dict[SpanClass, float], garbage_bytes: int) -> float:
        """Share of a cycle's garbage that lies in spans with something live: these spans stay in use.

        A span of n objects, a share r of them live at random, is free of live ones with probability (1 - r)^n.  Sets
        mix with garbage as far as they have been replaced at random; built in order they have spans of their own.

        Args:
            garbage: bytes by span class, in any unit; large objects are not in it.
            garbage_bytes: garbage of the cycle.
        """
        total = sum(garbage.values())
        if total <= 0.0 or garbage_bytes <= 0:
            return 0.0
        trapped = 0.0
        for span_class, share in garbage.items():
            size_class, _, per_span = span_class
            size = SIZE_CLASS_BYTES[size_class]
            live = groups = scattered = 0.0
            for retained in self.retained.values():
                objects = retained.span_classes.get(span_class, 0)
                live += objects * retained.entries
                if objects:
                    groups += retained.entries
                    scattered += objects * retained.scattered
            if scattered:
                dead = share / total * garbage_bytes / size
                # An entry's objects were allocated one after another: they live and die together.
                independent = max(1.0, per_span * groups / live)
                free_of_live = (dead / (scattered + dead)) ** independent
                trapped += share / total * (1.0 - free_of_live)
        return trapped

    def sweep_all(self) -> None:
        """Everything condemned is free."""
        self.freed_bytes += self.unswept_bytes
        self.unswept_bytes = 0
