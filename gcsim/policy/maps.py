"""What a map allocates while keys are inserted: Swiss tables (1.24 on) and bucket maps (until 1.23).

Both designs are followed step by step for a given row of hashes, one per key in order of insertion: where keys fall
decides when a table splits and how many overflow buckets there are, so the same hashes give the same bytes. Nothing
is deleted here; a delete gives no memory back in either design, and a bucket map without deletes never grows to the
same size (with 6.5 keys per bucket about 0.2 overflow buckets are in use per bucket; the threshold is 1).

Left out: a bucket map evacuates its old array little by little with the inserts that follow a growth. Here the old
array is left behind at once, so `kept` errs low for the next 2^(B-1) inserts, and `moved` high.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from gcsim.policy.constants import PTR_BYTES
from gcsim.policy.objects import Allocated, allocated
from gcsim.policy.releases import ReleaseRules
from gcsim.policy.size_classes import roundup
from gcsim.policy.slices import append_growth

Hashes = npt.NDArray[np.uint64]

# derived: internal/abi/map.go MapGroupSlots, MapMaxKeyBytes, MapMaxElemBytes; until 1.23 runtime/map.go bucketCnt,
# maxKeySize, maxElemSize: the same numbers.
SLOTS: Final = 8
MAX_INLINE_BYTES: Final = 128
# derived: internal/runtime/maps/table.go maxTableCapacity, map.go maxAvgGroupLoad (go1.24 .. go1.27)
MAX_TABLE_CAPACITY: Final = 1024
MAX_AVG_GROUP_LOAD: Final = 7
# derived: internal/runtime/maps/map.go Map (6 words), table.go table (4 words), group.go ctrlGroup
SWISS_HEADER_BYTES: Final = 48
TABLE_BYTES: Final = 32
CONTROL_BYTES: Final = 8
# derived: runtime/map.go hmap (6 words), mapextra (3 words), a slice header; bmap's tophash (go1.19 .. go1.23)
BUCKET_HEADER_BYTES: Final = 48
EXTRA_BYTES: Final = 24
SLICE_HEADER_BYTES: Final = 24
TOPHASH_BYTES: Final = 8
# derived: runtime/map.go loadFactorDen (its numerator differs by release); makeBucketArray: overflow from B = 4.
LOAD_FACTOR_DEN: Final = 2
PREALLOCATES_FROM_B: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class MapType:
    """Types of key and value, as far as they decide memory.

    Attributes:
        key_bytes, value_bytes: their sizes; above 128 bytes a key or value lies in an object of its own.
        key_pointers, value_pointers: whether they contain pointers. A map with none is not scanned.
    """

    key_bytes: int
    value_bytes: int
    key_pointers: bool = False
    value_pointers: bool = False

    @property
    def slot_key_bytes(self) -> int:
        return PTR_BYTES if self.key_bytes > MAX_INLINE_BYTES else self.key_bytes

    @property
    def slot_value_bytes(self) -> int:
        return PTR_BYTES if self.value_bytes > MAX_INLINE_BYTES else self.value_bytes

    @property
    def has_pointers(self) -> bool:
        """Whether groups or buckets contain pointers, overflow links aside."""
        return (
            self.key_pointers
            or self.value_pointers
            or self.key_bytes > MAX_INLINE_BYTES
            or self.value_bytes > MAX_INLINE_BYTES
        )

    @property
    def group_bytes(self) -> int:
        """A Swiss group: control word and eight slots, each a struct of key and value.

        Source: cmd/compile/internal/reflectdata/map.go MapGroupType (go1.24 .. go1.27).  Simplified: alignment is
        taken from the sizes, which is right for everything but arrays and structs of small fields.
        """
        key, value = self.slot_key_bytes, self.slot_value_bytes
        align = max(_alignment(key), _alignment(value))
        # A field of no bytes at the end of a struct takes one, so that its address lies within.
        slot = _round_up(_round_up(key, _alignment(value)) + (value or 1 if key else value), align)
        return CONTROL_BYTES + SLOTS * slot

    @property
    def bucket_bytes(self) -> int:
        """A bucket: eight bytes of hash, eight keys, eight values and the overflow link.

        Source: cmd/compile/internal/reflectdata/reflect.go MapBucketType (go1.19 .. go1.23).
        """
        return TOPHASH_BYTES + SLOTS * (self.slot_key_bytes + self.slot_value_bytes) + PTR_BYTES


@dataclass(frozen=True, slots=True)
class MapObject:
    """One kind of object that a map allocated: bytes requested, whether with pointers."""

    request_bytes: int
    has_pointers: bool


@dataclass(slots=True)
class MapGrowth:
    """What making a map and inserting keys allocated, by object.

    Attributes:
        kept: objects in use at the end, and how many of each.
        left_behind: objects given up when the map grew.
        moved: keys hashed and put again for it, each as often as it was.
    """

    kept: Counter[MapObject] = field(default_factory=Counter)
    left_behind: Counter[MapObject] = field(default_factory=Counter)
    moved: int = 0

    def total(self, rules: ReleaseRules) -> Allocated:
        """Bytes and mallocs of everything, as TotalAlloc and Mallocs count them."""
        return self._sum(self.kept + self.left_behind, rules)

    def kept_total(self, rules: ReleaseRules) -> Allocated:
        """Bytes and mallocs of what is in use at the end."""
        return self._sum(self.kept, rules)

    @staticmethod
    def _sum(objects: Counter[MapObject], rules: ReleaseRules) -> Allocated:
        total = Allocated()
        for item, count in objects.items():
            each = allocated(item.request_bytes, has_pointers=item.has_pointers, rules=rules, objects=count)
            total = total + each
        return total


def insert_keys(
    map_type: MapType,
    hashes: Hashes,
    *,
    hint: int = 0,
    header_on_stack: bool = False,
    rules: ReleaseRules,
) -> MapGrowth:
    """What `make(map, hint)` and inserting one new key per hash allocate.

    Args:
        hashes: uniform 64-bit hashes, one per key, in order; none = the map alone.
        hint: the size given to make, >= 0.
        header_on_stack: the map does not escape: its header, and the first group or bucket of a map made for up to
            eight keys, lie in the frame. What it grows to is on the heap all the same.

    Source: internal/runtime/maps (go1.24 .. go1.27); runtime/map.go (go1.19 .. go1.23);
        cmd/compile/internal/walk/builtin.go walkMakeMap.
    """
    growth = MapGrowth()
    grow = _grow_swiss if rules.swiss_maps else _grow_buckets
    grow(growth, map_type, hashes, hint, header_on_stack, rules)
    for size, pointers in (
        (map_type.key_bytes, map_type.key_pointers),
        (map_type.value_bytes, map_type.value_pointers),
    ):
        if size > MAX_INLINE_BYTES and len(hashes):
            growth.kept[MapObject(size, pointers)] += len(hashes)
    return growth


# ---- Swiss tables ------------------------------------------------------------------------------------------


def table_room(capacity: int) -> int:
    """Keys that a table of so many slots takes before it grows or splits.

    Source: internal/runtime/maps/table.go maxGrowthLeft (go1.24 .. go1.27).  Simplified: no.
    """
    return capacity - 1 if capacity <= SLOTS else capacity * MAX_AVG_GROUP_LOAD // SLOTS


def _grow_swiss(
    growth: MapGrowth,
    map_type: MapType,
    hashes: Hashes,
    hint: int,
    header_on_stack: bool,
    rules: ReleaseRules,
) -> None:
    def groups(slots: int) -> MapObject:
        return MapObject(slots // SLOTS * map_type.group_bytes, map_type.has_pointers)

    def directory(length: int) -> MapObject:
        return MapObject(length * PTR_BYTES, True)

    table = MapObject(TABLE_BYTES, True)
    if not header_on_stack:
        growth.kept[MapObject(SWISS_HEADER_BYTES, True)] += 1
    if hint <= SLOTS:
        first = growth.kept if len(hashes) <= SLOTS else growth.left_behind
        if len(hashes) and not header_on_stack:
            first[groups(SLOTS)] += 1
        if len(hashes) <= SLOTS:
            return
        growth.moved += SLOTS
        depth, capacity = 0, 2 * SLOTS
    else:
        target = hint * SLOTS // MAX_AVG_GROUP_LOAD
        depth = (-(-target // MAX_TABLE_CAPACITY) - 1).bit_length()
        capacity = 1 << (max(SLOTS, target >> depth) - 1).bit_length()
    # All tables of one depth together; the hash's top bits are the table's index. Of those that a split has made, a
    # table of index i exists where its parent, i >> 1, was full.
    start_depth = depth
    exists = np.ones(1 << depth, dtype=np.bool_)
    while True:
        keys = _keys_per_table(hashes, depth)
        full = exists
        while True:
            there = int(np.count_nonzero(full))
            full = full & (keys > table_room(capacity))
            outgrown = int(np.count_nonzero(full))
            growth.moved += outgrown * table_room(capacity)
            for item in (table, groups(capacity)):
                growth.left_behind[item] += outgrown
                growth.kept[item] += there - outgrown
            if capacity == MAX_TABLE_CAPACITY or not outgrown:
                break
            capacity *= 2
        if not outgrown:
            break
        exists = np.repeat(full, 2)
        depth += 1
    # The directory doubles whenever a table of the full depth splits.
    for length in range(start_depth, depth):
        growth.left_behind[directory(1 << length)] += 1
    growth.kept[directory(1 << depth)] += 1
    growth.kept, growth.left_behind = +growth.kept, +growth.left_behind


def _keys_per_table(hashes: Hashes, depth: int) -> npt.NDArray[np.intp]:
    if depth == 0:
        return np.array([len(hashes)], dtype=np.intp)
    return np.bincount((hashes >> np.uint64(64 - depth)).astype(np.intp), minlength=1 << depth)


# ---- bucket maps -------------------------------------------------------------------------------------------


def bucket_room(b: int, rules: ReleaseRules) -> int:
    """Keys that 2^b buckets take before the map grows.

    Source: runtime/map.go overLoadFactor (go1.19 .. go1.23).  Simplified: no.
    """
    return max(SLOTS, rules.bucket_load_halves * ((1 << b) // LOAD_FACTOR_DEN))


def _grow_buckets(
    growth: MapGrowth,
    map_type: MapType,
    hashes: Hashes,
    hint: int,
    header_on_stack: bool,
    rules: ReleaseRules,
) -> None:
    n = len(hashes)
    if not header_on_stack:
        growth.kept[MapObject(BUCKET_HEADER_BYTES, True)] += 1
    b = 0
    while hint > bucket_room(b, rules):
        b += 1
    # Overflow buckets of a map without pointers are kept alive by a list, and their links hidden from the collector.
    has_pointers = map_type.has_pointers
    bucket = MapObject(map_type.bucket_bytes, has_pointers)
    has_extra = False
    while True:
        is_last = n <= bucket_room(b, rules)
        into = growth.kept if is_last else growth.left_behind
        prepared = 0
        if b or n:
            array, prepared = _bucket_array(map_type, b, rules)
            if not (b == 0 and header_on_stack and hint <= SLOTS):
                into[array] += 1
        held = hashes[: min(n, bucket_room(b, rules))]
        counts = np.bincount((held & np.uint64((1 << b) - 1)).astype(np.intp), minlength=1)
        overflow = int((-(-np.maximum(counts - SLOTS, 0) // SLOTS)).sum())
        into[bucket] += max(0, overflow - prepared)
        if overflow and not has_pointers:
            listed = append_growth(elements=overflow, elem_bytes=PTR_BYTES, has_pointers=True, rules=rules)
            into[MapObject(SLICE_HEADER_BYTES, True)] += 1
            into[MapObject(listed.final_bytes, True)] += 1
            for size in listed.left_behind_bytes:
                growth.left_behind[MapObject(size, True)] += 1
        has_extra = has_extra or prepared > 0 or (overflow > 0 and not has_pointers)
        if is_last:
            break
        growth.moved += len(held)
        b += 1
    if has_extra:
        growth.kept[MapObject(EXTRA_BYTES, True)] += 1
    growth.kept, growth.left_behind = +growth.kept, +growth.left_behind


def _bucket_array(map_type: MapType, b: int, rules: ReleaseRules) -> tuple[MapObject, int]:
    """The array of 2^b buckets, and the overflow buckets at its end.

    Source: runtime/map.go makeBucketArray (go1.19 .. go1.23).  Simplified: no.
    """
    count = 1 << b
    if b >= PREALLOCATES_FROM_B:
        count += 1 << (b - PREALLOCATES_FROM_B)
        wanted = map_type.bucket_bytes * count
        given = roundup(wanted, noscan=not map_type.has_pointers, rules=rules)
        if given != wanted:
            count = given // map_type.bucket_bytes
    return MapObject(map_type.bucket_bytes * count, map_type.has_pointers), count - (1 << b)


def _alignment(size: int) -> int:
    """Of a value of so many bytes: what divides it, at most a word."""
    return math.gcd(size, PTR_BYTES) if size else 1


def _round_up(value: int, align: int) -> int:
    return -(-value // align) * align
