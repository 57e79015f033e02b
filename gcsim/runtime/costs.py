"""What allocations and objects cost on a machine: the profile's constants applied to size classes.  Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import zip_longest

from gcsim.policy.greentea import LevelVisits, Mix, tree_levels, visits_among_strangers, visits_in_order
from gcsim.policy.releases import ReleaseRules
from gcsim.policy.size_classes import AllocLayout, alloc_layout
from gcsim.spec.models import ObjectGroup
from gcsim.spec.profile import MachineProfile, Stall

WORD_BYTES = 8
LARGE_BYTES = 32 << 10
# measured: stalls come from micro programs on two cores (see the profiles)
_STALLS_CORES = 2
# derived: runtime/mgcmark.go scanObject (go1.19 .. go1.27): pointer words are read 64 bits of bitmap at a time; the
# cost per object covers the first words, the cost per byte what lies beyond.
_SCAN_BYTES_IN_OBJECT_COST = 128
# measured: tests/validation/go_ns, passing 64 bytes by value takes no longer than passing a pointer (2.4 ns either way): four
# vector moves, which run beside the call; from 65 bytes on they are a loop.
_COPIED_INLINE_BYTES = 64
# measured: GODEBUG=gctrace=2, trees of 4 to 400 nodes of 64 B built in order, go1.27.3: 26 to 40 of a span's 124 objects in
# a dense scan; what is not known to be a tree is taken for one (assumed for objects of other sizes)
_MET_TOGETHER_FRAC = 0.25
# A pointer store into a random entry touches a slot of the table, a cache line of the header and one of the first node.
_WRITE_TOUCHES_BYTES = 8 + 64 + 64


# Scan work and CPU time in ns of each level.
Levels = tuple[tuple[float, float], ...]


def add_levels(a: Levels, b: Levels) -> Levels:
    """Level by level."""
    if not a or not b:
        return a or b
    nothing = (0.0, 0.0)
    return tuple((x[0] + y[0], x[1] + y[1]) for x, y in zip_longest(a, b, fillvalue=nothing))


def scale_levels(levels: Levels, n: float) -> Levels:
    """`n` times each."""
    return tuple((work * n, ns * n) for work, ns in levels)


@dataclass(frozen=True, slots=True)
class Footprint:
    """What a group of objects (or a whole entry, or a request's garbage) costs, summed.

    Attributes:
        bytes: heap bytes as marked (object sizes after rounding).
        objects: how many.
        live_bytes: what they add to heap live: their share of whole spans, tail waste included.
        scannable_bytes: bytes up to the last pointer: what the pacer counts as scannable heap.
        scan_work_bytes: scan work that marking them counts (whole objects on Green Tea's dense path).
        alloc_ns: time to allocate them while every other P runs a mutator.
        contended_ns: the part of it that is there because the others do: caches and memory bandwidth shared.
        mark_ns: time to mark them in allocation order.
        scattered_ns: extra time to mark them when replaced at random.
        shaded_ns: extra time to mark them where the write barrier has shaded them, at random, ahead of their turn.
        levels, scattered_levels: what Green Tea meets level by level, in allocation order and replaced at random: scan
            work and CPU time of each level, from the roots on.  The first are part of the sums above.
        spans: spans they fill.
        scan_spans: those of them that hold objects with pointers.
        streamed_ns: the part of mark_ns that reads objects one after another, as fast as memory can.
    """

    bytes: int = 0
    objects: int = 0
    live_bytes: float = 0.0
    scannable_bytes: int = 0
    scan_work_bytes: float = 0.0
    alloc_ns: float = 0.0
    contended_ns: float = 0.0
    mark_ns: float = 0.0
    scattered_ns: float = 0.0
    shaded_ns: float = 0.0
    levels: Levels = ()
    scattered_levels: Levels = ()
    spans: float = 0.0
    scan_spans: float = 0.0
    streamed_ns: float = 0.0

    @property
    def scattered_work_bytes(self) -> float:
        """What scan work changes by when replaced at random: Green Tea meets fewer objects together."""
        return sum(work for work, _ in self.scattered_levels) - sum(work for work, _ in self.levels)

    def __add__(self, other: Footprint) -> Footprint:
        return Footprint(
            self.bytes + other.bytes,
            self.objects + other.objects,
            self.live_bytes + other.live_bytes,
            self.scannable_bytes + other.scannable_bytes,
            self.scan_work_bytes + other.scan_work_bytes,
            self.alloc_ns + other.alloc_ns,
            self.contended_ns + other.contended_ns,
            self.mark_ns + other.mark_ns,
            self.scattered_ns + other.scattered_ns,
            self.shaded_ns + other.shaded_ns,
            add_levels(self.levels, other.levels),
            add_levels(self.scattered_levels, other.scattered_levels),
            self.spans + other.spans,
            self.scan_spans + other.scan_spans,
            self.streamed_ns + other.streamed_ns,
        )

    def times(self, n: float) -> Footprint:
        """`n` of it; byte and object counts must stay whole."""
        return Footprint(
            round(self.bytes * n), round(self.objects * n), self.live_bytes * n, round(self.scannable_bytes * n),
            self.scan_work_bytes * n, self.alloc_ns * n, self.contended_ns * n, self.mark_ns * n,
            self.scattered_ns * n, self.shaded_ns * n, scale_levels(self.levels, n), scale_levels(self.scattered_levels, n),
            self.spans * n, self.scan_spans * n, self.streamed_ns * n,
        )  # fmt: skip


# Size class, whether with pointers, objects per span.
SpanClass = tuple[int, bool, int]
Mixes = Mapping[SpanClass, Mix]


class CostModel:
    """Costs of one machine under one release's rules."""

    def __init__(self, profile: MachineProfile, rules: ReleaseRules, procs: int, cores: int) -> None:
        self.profile = profile
        self.rules = rules
        self.per_byte_factor = 1.0 + (profile["memory_contention_frac"] if procs > 1 else 0.0)
        # Spread of what allocation costs a request: how warm its spans are, how many it has to sweep for one.
        self.alloc_sigma = math.hypot(
            profile["alloc_sigma"], profile["alloc_contended_sigma"] if procs > 1 else 0.0
        )
        self._procs, self._cores = procs, cores
        self._span_bytes: dict[tuple[int, bool], int] = {}
        self.barrier_always_on = False  # whether pointer stores pass the write barrier outside of marking too

    @cached_property
    def stalls(self) -> list[Stall]:
        """Stalls that a running P meets, each with its rate here."""
        return [
            # assumed: what else a machine does does not grow with its cores, so each P meets less of it.
            s.model_copy(update={"rate_per_s": s.rate_per_s * _STALLS_CORES / self._cores}) if s.spread else s
            for s in self.profile.stalls
            if not s.all_cores_busy or self._procs >= self._cores
        ]

    @property
    def refill_ahead_bytes(self) -> int:
        """Heap live that a P's span caches are ahead of what it has used, on average: half a span of each class."""
        return sum(self._span_bytes.values()) // 2

    def alloc_ns(self, layout: AllocLayout, size: int, pointer_words: int) -> tuple[float, float]:
        """CPU time of one allocation: without what its bytes cost, and that, contention apart."""
        p = self.profile
        if layout.is_large:
            return p["alloc_large_ns"], p["alloc_large_ns_per_byte"] * layout.object_bytes
        if pointer_words:
            return p["alloc_small_scan_ns"], p["alloc_small_scan_ns_per_byte"] * size
        share = 1.0 / layout.requests_per_slot if layout.is_tiny else 1.0
        return p["alloc_small_noscan_ns"] * share, p["alloc_small_noscan_ns_per_byte"] * size * share

    def pointer_write_ns(self, entries: int) -> float:
        """CPU time of one pointer store into a random entry of a set of so many, barrier off.

        While slots, headers and first nodes fit into a core's own cache it is cheap; beyond, its share of misses, and
        what a miss costs as more levels and page tables are left behind, grow about with the logarithm of the size.
        """
        p = self.profile
        outgrown = entries * _WRITE_TOUCHES_BYTES / p["own_cache_bytes"]
        return p["pointer_write_ns"] + p["pointer_write_growth_ns"] * math.log(max(1.0, outgrown))

    def copy_ns(self, size: int, ns_per_byte: float | None = None) -> float:
        """CPU time of copying a struct into a callee's frame; the first cache line is hidden behind the call.

        Errs low for structs beyond the core's own cache: 1 MiB was measured 1.6 and 8 MiB 2.5 times as dear per byte.

        Args:
            ns_per_byte: instead of the profile's.
        """
        each = self.profile["copy_ns_per_byte"] if ns_per_byte is None else ns_per_byte
        return each * max(0, size - _COPIED_INLINE_BYTES)

    def object(self, size: int, pointer_words: int, shape: str = "tree") -> Footprint:
        """One object of `size` requested bytes whose pointers lie in the first `pointer_words` words."""
        p = self.profile
        layout = alloc_layout(size, pointer_words > 0, self.rules)
        if layout.size_class:
            self._span_bytes[layout.size_class, pointer_words > 0] = layout.span_bytes
        share = 1.0 / layout.requests_per_slot if layout.is_tiny else 1.0
        object_bytes = round(layout.object_bytes * share)
        live = layout.span_bytes / layout.objects_per_span * share if layout.objects_per_span else 0.0
        scannable = (
            min(pointer_words * WORD_BYTES + layout.header_bytes, layout.object_bytes) if pointer_words else 0
        )
        work = float(scannable)
        spans = share / layout.objects_per_span if layout.objects_per_span else 0.0
        scattered = 0.0
        if not pointer_words:
            mark = p["mark_large_object_ns"] if layout.is_large else p["mark_noscan_object_ns"]
        elif shape == "list":
            mark, scattered = p["mark_list_object_ns"], p["mark_scattered_list_object_ns"]
        elif shape == "slice":
            mark = p["mark_slice_object_ns"]
        else:
            mark, scattered = p["mark_scan_object_ns"], p["mark_scattered_scan_object_ns"]
        is_visited = pointer_words > 0 and shape != "list" and self.is_visited(object_bytes)
        together = max(1.0, layout.objects_per_span * _MET_TOGETHER_FRAC)
        if is_visited and self.scans_dense:
            work = float(object_bytes)
            if shape != "slice":
                mark = p["mark_dense_span_ns"] / together
        elif pointer_words:
            mark += self._scan_rest_ns(scannable)
            if is_visited and shape != "slice":
                mark += p["mark_span_ns"] / together
        base_ns, bytes_ns = self.alloc_ns(layout, size, pointer_words)
        contended_ns = bytes_ns * (self.per_byte_factor - 1.0)
        return Footprint(
            object_bytes, 1, live, scannable, work, base_ns + bytes_ns + contended_ns, contended_ns, mark, scattered,
            0.0, (), (), spans, spans if pointer_words else 0.0, mark if pointer_words else 0.0,
        )  # fmt: skip

    def _scan_rest_ns(self, scannable_bytes: int) -> float:
        """Scanning what of an object's pointer words the cost per object does not cover."""
        return self.profile["mark_scan_ns_per_byte"] * max(0, scannable_bytes - _SCAN_BYTES_IN_OBJECT_COST)

    def is_visited(self, object_bytes: int) -> bool:
        """Whether such objects with pointers are scanned a span at a time.  Source: gcUsesSpanInlineMarkBits."""
        return self.rules.green_tea and 16 <= object_bytes <= 512

    @property
    def scans_dense(self) -> bool:
        """Whether spans may be scanned as a whole, counting all that was found in them as scan work."""
        return self.rules.dense_scan_allowed and self.profile["dense_scan"] > 0

    def group(self, group: ObjectGroup, *, halved: bool = False, mixes: Mixes | None = None) -> Footprint:
        """All objects of a group.  Scattered, the first is met by a cache miss.

        Args:
            halved: a tree that has lost its right subtree.
            mixes: what spans hold that its objects share when they are scattered.
        """
        p = self.profile
        one = self.object(group.size, group.pointer_words, group.shape)
        count = group.count
        levels: tuple[int, ...] = ()
        if group.pointer_words and group.shape in ("tree", "map"):
            levels = tree_levels(count)
            if halved and group.shape == "tree" and count > 1:
                levels = (1, *tree_levels((count - 1) // 2))
                count = sum(levels)
        shaded_ns = p["mark_shaded_group_ns"] if group.pointer_words and group.shape != "slice" else 0.0
        if levels and self.is_visited(one.bytes):
            span_class = self.span_class(group.size, group.pointer_words)
            mix = mixes.get(span_class, Mix()) if mixes and span_class else Mix()
            return self._met_by_level(one, levels, group.count, mix) + Footprint(shaded_ns=shaded_ns)
        # A list node's miss is its own; a large object is a span, met anew in any order; marks of small pointer-free
        # objects lie in their span where Green Tea keeps them there; an array points at headers in any order.
        green_tea_keeps = self.rules.green_tea and one.bytes <= 512
        if group.pointer_words:
            meets_miss = group.shape != "list" and not (group.shape == "slice" and green_tea_keeps)
        else:
            meets_miss = one.bytes < LARGE_BYTES and not green_tea_keeps
        # Along a span, prefetching goes on: what a long entry is scattered over is its first span.
        per_span = alloc_layout(group.size, group.pointer_words > 0, self.rules).objects_per_span
        scattered_ns = one.scattered_ns * (count if group.shape == "list" else min(count, max(1, per_span)))
        if meets_miss:
            scattered_ns += p["mark_scattered_group_ns"]
        return replace(one, scattered_ns=0.0).times(count) + Footprint(
            scattered_ns=scattered_ns, shaded_ns=shaded_ns
        )

    def _met_by_level(self, one: Footprint, levels: tuple[int, ...], slots: int, mix: Mix) -> Footprint:
        """Objects of a tree that Green Tea scans span by span; `slots`: objects that it was built of."""
        span_objects = round(1.0 / one.spans)
        work_alone = float(one.scannable_bytes)
        p = self.profile

        def cost_of(v: LevelVisits, dense_ns: float) -> tuple[float, float]:
            if not self.scans_dense:  # every visit scans what it has found one by one
                objects, visits = v.sparse_objects + v.dense_objects, v.sparse_visits + v.dense_visits
                v = LevelVisits(objects, visits, 0.0, 0.0)
            work = v.sparse_objects * work_alone + v.dense_objects * one.bytes
            each_ns = p["mark_scan_object_ns"] + self._scan_rest_ns(one.scannable_bytes)
            sparse_ns = v.sparse_objects * each_ns + v.sparse_visits * p["mark_span_ns"]
            return work, sparse_ns + v.dense_visits * dense_ns

        dense_ns = p["mark_dense_span_ns"]
        in_order = tuple(cost_of(v, dense_ns) for v in visits_in_order(levels, slots, span_objects))
        dense_ns = p["mark_scattered_dense_span_ns"]
        scattered = tuple(
            cost_of(v, dense_ns) for v in visits_among_strangers(levels, slots, span_objects, mix)
        )
        mark_ns = sum(ns for _, ns in in_order)
        return replace(
            one.times(sum(levels)),
            scan_work_bytes=sum(work for work, _ in in_order),
            mark_ns=mark_ns,
            scattered_ns=sum(ns for _, ns in scattered) - mark_ns,
            levels=in_order,
            scattered_levels=scattered,
            streamed_ns=mark_ns,
        )

    def span_class(self, size: int, pointer_words: int) -> SpanClass | None:
        """Whose spans an object shares: (size class, with pointers, objects per span); None if it has one of its own."""
        layout = alloc_layout(size, pointer_words > 0, self.rules)
        return (layout.size_class, pointer_words > 0, layout.objects_per_span) if layout.size_class else None

    def entry(
        self, groups: tuple[ObjectGroup, ...], *, halved: bool = False, mixes: Mixes | None = None
    ) -> Footprint:
        """One entry of a retained set.

        Args:
            halved: its trees have lost their right subtrees.
            mixes: what spans hold that its objects share when they are scattered.
        """
        total = Footprint()
        for group in groups:
            total = total + self.group(group, halved=halved, mixes=mixes)
        return total
