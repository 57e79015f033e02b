"""What allocations add to the counters of a Go program: bytes and mallocs, as testing.B and MemStats show them."""

from __future__ import annotations

from dataclasses import dataclass

from gcsim.policy.releases import ReleaseRules
from gcsim.policy.size_classes import alloc_layout


@dataclass(frozen=True, slots=True)
class Allocated:
    """Bytes of slots and how many objects; what `B/op` and `allocs/op` count.

    Attributes:
        bytes: heap bytes as TotalAlloc counts them, slots rounded up.
        mallocs: objects, tiny ones counted one by one though they share blocks.
    """

    bytes: int = 0
    mallocs: int = 0

    def __add__(self, other: Allocated) -> Allocated:
        return Allocated(self.bytes + other.bytes, self.mallocs + other.mallocs)


def allocated(request_bytes: int, *, has_pointers: bool, rules: ReleaseRules, objects: int = 1) -> Allocated:
    """What `objects` requests of `request_bytes` in a row allocate, beginning with an empty tiny block.

    A request of no bytes allocates nothing: all of them share one address.

    Source: runtime/malloc.go mallocgc, mallocgcTiny (go1.19 .. go1.27).  Simplified: nobody else uses the tiny block.
    """
    if request_bytes == 0:
        return Allocated()
    layout = alloc_layout(request_bytes, has_pointers, rules)
    slots = -(-objects // layout.requests_per_slot)
    return Allocated(slots * layout.object_bytes, objects)
