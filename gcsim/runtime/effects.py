"""What requests do to the heap once they are over, beside their own garbage: sets, queues, leaks, maps, lifetimes."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from gcsim.policy.slices import next_capacity, queue_growth
from gcsim.runtime.costs import WORD_BYTES, CostModel, Footprint, SpanClass
from gcsim.runtime.heap import Heap, RetainedState
from gcsim.runtime.randomness import mean_of, sample
from gcsim.runtime.sites import Site
from gcsim.spec.models import Distribution


class Effect:
    """Something that happens once per unit; `unit` is what a unit allocates beyond the request's garbage."""

    unit = Footprint()
    units = 0
    """Units so far that are not booked at a site yet; counted by whoever calls `apply`."""
    span_classes: Mapping[SpanClass, int] = MappingProxyType({})
    """Small objects of a unit by the spans they share."""

    def apply(self, n: int, now_ns: int) -> None:
        """`n` units (>= 1) happened by `now_ns`."""
        raise NotImplementedError


class Replace(Effect):
    def __init__(self, heap: Heap, target: RetainedState) -> None:
        self.heap, self.target, self.unit = heap, target, target.entry
        self.span_classes = target.span_classes

    def apply(self, n: int, now_ns: int) -> None:
        self.target.replace(n, self.heap)


class Publish(Effect):
    def __init__(self, target: RetainedState) -> None:
        self.target, self.unit = target, target.entry
        self.span_classes = target.span_classes

    def apply(self, n: int, now_ns: int) -> None:
        self.target.add(n)


class GrowMap(Effect):
    """A map that is too small makes way for a larger one.

    Looked at when everything else of the requests is booked: where many are booked at once, what they published and
    deleted in turn was never there together.
    """

    def __init__(self, heap: Heap, target: RetainedState, site: Site) -> None:
        self.heap, self.target, self.site = heap, target, site

    def apply(self, n: int, now_ns: int) -> None:
        self.target.grow_map(self.heap, self.site)


class Delete(Effect):
    def __init__(self, heap: Heap, target: RetainedState) -> None:
        self.heap, self.target = heap, target

    def apply(self, n: int, now_ns: int) -> None:
        self.target.shrink(min(n, self.target.entries), self.heap)


class Fifo(Effect):
    """The first entry of a slice makes way for a new last one."""

    def __init__(self, heap: Heap, target: RetainedState, *, clear: bool) -> None:
        self.heap, self.target, self.unit = heap, target, target.entry
        self._clear = clear
        self.span_classes = target.span_classes

    def apply(self, n: int, now_ns: int) -> None:
        self.target.shift(n, self.heap, clear=self._clear)


class Requeue(Effect):
    """The array of such a slice is full: what waits is copied to a new one.

    Attributes:
        lasts: appends that an array lasts for, at the depth that the queue is declared with.
        ns: time to make one and to copy to it.

    Source: runtime/slice.go growslice (go1.19 .. go1.27).
    """

    def __init__(self, heap: Heap, target: RetainedState, costs: CostModel) -> None:
        self.heap, self.target = heap, target
        depth, slot_bytes = target.declared, target.slot_bytes
        slots, self.lasts = queue_growth(
            depth=depth, elem_bytes=slot_bytes, has_pointers=True, rules=costs.rules
        )
        self.unit = costs.object(slots * slot_bytes, slots * slot_bytes // WORD_BYTES)
        self.ns = self.unit.alloc_ns + costs.profile["copy_ns_per_byte"] * depth * slot_bytes
        target.shifted = self.lasts - 1

    def apply(self, n: int, now_ns: int) -> None:
        self.target.requeue(n, self.unit, self.lasts, self.heap)


class Leak(Effect):
    """Objects kept for ever in a global slice, which grows by append and leaves its old array behind."""

    def __init__(
        self,
        heap: Heap,
        unit: Footprint,
        span_class: SpanClass | None,
        slot_bytes: int,
        costs: CostModel,
        growth: Site,
    ) -> None:
        self.heap, self.unit = heap, unit
        if span_class is not None:
            self.span_classes = {span_class: 1}
        self._growth = growth
        self._slot_bytes = slot_bytes
        self._costs = costs
        self.length = 0
        self._capacity = 0
        self._array = Footprint()

    def apply(self, n: int, now_ns: int) -> None:
        self.heap.leaked = self.heap.leaked + self.unit.times(n)
        self.length += n
        while self._slot_bytes and self.length > self._capacity:
            self._grow()

    def _grow(self) -> None:
        wanted = next_capacity(self._capacity + 1, self._capacity) * self._slot_bytes
        array = self._costs.object(wanted, wanted // WORD_BYTES)
        old, self._array = self._array, array
        self._capacity = array.bytes // self._slot_bytes
        heap = self.heap
        heap.allocate_now(array, self._growth)
        heap.leaked = heap.leaked + array + old.times(-1)
        heap.dead_bytes += old.bytes
        heap.dead_objects += old.objects


class PointerWrites(Effect):
    def __init__(self, heap: Heap, target: RetainedState, *, drops_subtree: bool) -> None:
        self.heap, self.target, self._drops_subtree = heap, target, drops_subtree

    def apply(self, n: int, now_ns: int) -> None:
        self.target.written += n
        if self._drops_subtree:
            self.target.drop_subtrees(n, self.heap)


class Outlive(Effect):
    """Objects that live on for a drawn time after their request."""

    def __init__(self, heap: Heap, unit: Footprint, lifetime: Distribution, rng: np.random.Generator) -> None:
        self.heap, self.unit, self.lifetime, self.rng = heap, unit, lifetime, rng
        heap.lifetime_bucket_ns = max(1000, min(heap.lifetime_bucket_ns, int(mean_of(lifetime) / 64)))

    def apply(self, n: int, now_ns: int) -> None:
        deaths = now_ns + sample(self.lifetime, self.rng, n)
        buckets, counts = np.unique(
            (deaths // self.heap.lifetime_bucket_ns).astype(np.int64), return_counts=True
        )
        for bucket, count in zip(buckets.tolist(), counts.tolist(), strict=True):
            self.heap.outlive(bucket * self.heap.lifetime_bucket_ns, count, self.unit)
