"""What allocations and objects cost on a machine: the profile's constants applied to size classes.  Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

from gcsim.policy.releases import ReleaseRules
from gcsim.policy.size_classes import AllocLayout, alloc_layout
from gcsim.spec.models import ObjectGroup
from gcsim.spec.profile import MachineProfile

WORD_BYTES = 8
LARGE_BYTES = 32 << 10
# derived: runtime/mgcmark.go scanObject (go1.19 .. go1.27): pointer words are read 64 bits of bitmap at a time; the
# cost per object covers the first words, the cost per byte what lies beyond.
_SCAN_BYTES_IN_OBJECT_COST = 128
# measured: tests/validation/go_ns, passing 64 bytes by value takes no longer than passing a pointer (2.4 ns either way): four
# vector moves, which run beside the call; from 65 bytes on they are a loop.
_COPIED_INLINE_BYTES = 64
# A pointer store into a random entry touches a slot of the table, a cache line of the header and one of the first node.
_WRITE_TOUCHES_BYTES = 8 + 64 + 64


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
        sparse_ns: the part of mark_ns that goes to objects which Green Tea meets alone in their spans, before others
            of these have been found; in allocation order, where it scans the rest span by span.
        sparse_work_bytes: the scan work of these.
        scattered_work_bytes: what scan work changes by when replaced at random: Green Tea meets fewer of them together.
        spans: spans they fill.
        scan_spans: those of them that hold objects with pointers.
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
    sparse_ns: float = 0.0
    sparse_work_bytes: float = 0.0
    scattered_work_bytes: float = 0.0
    spans: float = 0.0
    scan_spans: float = 0.0

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
            self.sparse_ns + other.sparse_ns,
            self.sparse_work_bytes + other.sparse_work_bytes,
            self.scattered_work_bytes + other.scattered_work_bytes,
            self.spans + other.spans,
            self.scan_spans + other.scan_spans,
        )

    def times(self, n: float) -> Footprint:
        """`n` of it; byte and object counts must stay whole."""
        return Footprint(
            round(self.bytes * n), round(self.objects * n), self.live_bytes * n, round(self.scannable_bytes * n),
            self.scan_work_bytes * n, self.alloc_ns * n, self.contended_ns * n, self.mark_ns * n,
            self.scattered_ns * n, self.shaded_ns * n, self.sparse_ns * n, self.sparse_work_bytes * n, self.scattered_work_bytes * n,
            self.spans * n, self.scan_spans * n,
        )  # fmt: skip


# Size class, whether with pointers, objects per span.
SpanClass = tuple[int, bool, int]


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
        self.stalls = [s for s in profile.stalls if not s.all_cores_busy or procs >= cores]
        self._span_bytes: dict[tuple[int, bool], int] = {}
        self.barrier_always_on = False  # whether pointer stores pass the write barrier outside of marking too

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
        if pointer_words:
            mark += p["mark_scan_ns_per_byte"] * max(0, scannable - _SCAN_BYTES_IN_OBJECT_COST)
            if self.is_dense(object_bytes) and shape != "list":
                work += p["dense_scan_frac"] * (object_bytes - scannable)
        base_ns, bytes_ns = self.alloc_ns(layout, size, pointer_words)
        contended_ns = bytes_ns * (self.per_byte_factor - 1.0)
        return Footprint(
            object_bytes, 1, live, scannable, work, base_ns + bytes_ns + contended_ns, contended_ns, mark, scattered,
            0.0, 0.0, 0.0, 0.0, spans, spans if pointer_words else 0.0,
        )  # fmt: skip

    def is_dense(self, object_bytes: int) -> bool:
        """Whether Green Tea may scan spans of such objects as a whole, counting all of them as scan work."""
        return self.rules.dense_scan_allowed and 16 <= object_bytes <= 512

    def group(self, group: ObjectGroup) -> Footprint:
        """All objects of a group.  Scattered, the first is met by a cache miss."""
        p = self.profile
        one = self.object(group.size, group.pointer_words, group.shape)
        sparse_ns = sparse_work = scattered_work = 0.0
        in_order = p["dense_scan_frac"]
        if in_order and group.pointer_words and group.shape != "list" and self.is_dense(one.bytes):
            if group.shape != "slice":  # one array points at these, in any order
                lost = in_order - self.dense_alone_frac(group)
                scattered_work = -lost * (one.bytes - one.scannable_bytes) * group.count
            met_alone = (1.0 - in_order) * group.count
            factor = p["mark_sparse_factor"]
            sparse_ns = (
                one.mark_ns * group.count * met_alone * factor / (group.count + met_alone * (factor - 1.0))
            )
            sparse_work = met_alone * one.scannable_bytes
        # A list node's miss is its own; a large object is a span, met anew in any order; marks of small pointer-free
        # objects lie in their span where Green Tea keeps them there.
        if group.pointer_words:
            meets_miss = group.shape != "list"
        else:
            meets_miss = one.bytes < LARGE_BYTES and not (self.rules.green_tea and one.bytes <= 512)
        extra = Footprint(
            scattered_ns=p["mark_scattered_group_ns"] if meets_miss else 0.0,
            # Stores go to a group that something links, not to what an array points at.
            shaded_ns=p["mark_shaded_group_ns"] if group.pointer_words and group.shape != "slice" else 0.0,
            sparse_ns=sparse_ns,
            sparse_work_bytes=sparse_work,
            scattered_work_bytes=scattered_work,
        )
        return one.times(group.count) + extra

    def dense_alone_frac(self, group: ObjectGroup) -> float:
        """Share of a tree's objects that Green Tea scans a span at once where the tree has no neighbours of its kind.

        A level of the tree is met together, as far as its objects share a span: the tree's own objects were allocated
        one after another, and a level of n objects is cut by the span's end at a random place.  A part of it is dense
        from an eighth of the span's objects on.  Source: runtime/mgcmark_greenteagc.go scanSpan (go1.26, go1.27);
        counts of GODEBUG=gctrace=2 after several turnovers: 0.60 for trees of 127 nodes of 64 B (this says 0.69), 0.05
        for 16 and 0.01 for 4 (0).
        """
        layout = alloc_layout(group.size, group.pointer_words > 0, self.rules)
        enough = layout.objects_per_span // 8
        dense = 0.0
        left, level = group.count, 1
        while left > 0:
            met = min(level, left)
            if met > enough:
                dense += met * (1.0 - (enough / met) ** 2)
            left -= met
            level *= 2
        return dense / group.count

    def span_class(self, size: int, pointer_words: int) -> SpanClass | None:
        """Whose spans an object shares: (size class, with pointers, objects per span); None if it has one of its own."""
        layout = alloc_layout(size, pointer_words > 0, self.rules)
        return (layout.size_class, pointer_words > 0, layout.objects_per_span) if layout.size_class else None

    def entry(self, groups: tuple[ObjectGroup, ...]) -> Footprint:
        """One entry of a retained set."""
        total = Footprint()
        for group in groups:
            total = total + self.group(group)
        return total
