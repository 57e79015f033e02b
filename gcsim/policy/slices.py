"""How append grows a slice, and what that leaves behind.  Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gcsim.policy.releases import ReleaseRules
from gcsim.policy.size_classes import roundup

# derived: runtime/slice.go nextslicecap (go1.18 .. go1.27)
DOUBLING_BELOW = 256


def next_capacity(new_len: int, old_cap: int) -> int:
    """Capacity, before rounding up to a size class, that holds `new_len` elements.

    Source: runtime/slice.go nextslicecap (go1.18 .. go1.27).  Simplified: no overflow.
    """
    if new_len > 2 * old_cap:
        return new_len
    if old_cap < DOUBLING_BELOW:
        return 2 * old_cap
    capacity = old_cap
    while capacity < new_len:
        capacity += (capacity + 3 * DOUBLING_BELOW) // 4
    return capacity


def grown_capacity(
    *, new_len: int, old_cap: int, elem_bytes: int, has_pointers: bool, rules: ReleaseRules
) -> int:
    """Capacity of the array that append allocates.

    Until 1.21 the rounding does not ask for pointers; since 1.22 the malloc header takes room from the slots of
    arrays with pointers above 512 bytes, which is why their capacities are odd (143, not 128).

    Args:
        new_len: length after the append, > old_cap.
        old_cap: capacity before.
        elem_bytes: bytes of an element; of 0 bytes the capacity is the length, and nothing is allocated.

    Source: runtime/slice.go growslice (go1.19 .. go1.27).  Simplified: no overflow.
    """
    assert new_len > old_cap >= 0, "append grows only what is full"
    if elem_bytes == 0:
        return new_len
    wanted_bytes = next_capacity(new_len, old_cap) * elem_bytes
    return roundup(wanted_bytes, noscan=not has_pointers, rules=rules) // elem_bytes


def queue_growth(*, depth: int, elem_bytes: int, has_pointers: bool, rules: ReleaseRules) -> tuple[int, int]:
    """A queue of `depth` (>= 1) elements in a slice, `s = append(s[1:], x)`: capacity of the array that append makes when
    the last one is full, and how many appends that array lasts for.

    Source: runtime/slice.go growslice (go1.19 .. go1.27).  Simplified: no.
    """
    capacity = grown_capacity(
        new_len=depth, old_cap=depth - 1, elem_bytes=elem_bytes, has_pointers=has_pointers, rules=rules
    )
    return capacity, capacity - depth + 1


@dataclass(frozen=True, slots=True)
class Growth:
    """What it took to fill a slice.

    Attributes:
        left_behind_bytes: arrays allocated and given up, in order: bytes requested of each.
        final_bytes: bytes requested for the array in use at the end; 0 = none, or the caller's own.
        capacity: its elements.
        on_stack_bytes: bytes of the first array, where the compiler keeps that in the frame.
        copied_bytes: bytes of elements copied from array to array.
    """

    left_behind_bytes: tuple[int, ...]
    final_bytes: int
    capacity: int
    on_stack_bytes: int = 0
    copied_bytes: int = 0


def append_growth(
    *,
    elements: int,
    elem_bytes: int,
    capacity_hint: int = 0,
    chunk: int = 1,
    has_pointers: bool,
    rules: ReleaseRules,
    stack_elements: int = 0,
    moves_to_heap: bool = False,
) -> Growth:
    """What appending `elements` to an empty slice allocates, `chunk` at a time.

    Args:
        capacity_hint: made with this capacity: allocated at once, even if nothing is appended.
        stack_elements: elements of a backing store in the frame that append takes first (`escape.Decision`); not
            with a hint.
        moves_to_heap: what is still in the frame in the end is copied to an array of its length in the heap.

    Source: runtime/slice.go growslice, makeslice, moveSliceNoCap; cmd/compile/internal/ssagen/ssa.go append
        (go1.19 .. go1.27).
    """
    arrays = list(_arrays(elements, elem_bytes, capacity_hint, chunk, has_pointers, rules, stack_elements))
    capacity = arrays[-1] if arrays else 0
    on_stack = stack_elements > 0 and not capacity_hint and bool(arrays)
    in_heap = [size * elem_bytes for size in (arrays[1:] if on_stack else arrays) if size * elem_bytes]
    copied = sum(arrays[:-1]) * elem_bytes
    if on_stack and moves_to_heap and not in_heap:
        in_heap = [elements * elem_bytes]
        capacity = roundup(in_heap[0], noscan=not has_pointers, rules=rules) // elem_bytes
        copied = in_heap[0]
    return Growth(
        tuple(in_heap[:-1]),
        in_heap[-1] if in_heap else 0,
        capacity,
        stack_elements * elem_bytes if on_stack else 0,
        copied,
    )


def _arrays(
    elements: int,
    elem_bytes: int,
    capacity_hint: int,
    chunk: int,
    has_pointers: bool,
    rules: ReleaseRules,
    stack_elements: int,
) -> Iterator[int]:
    """Capacities of the arrays in turn."""
    capacity = capacity_hint
    if capacity:
        yield capacity
    while capacity < elements:
        length = min(elements, (capacity // chunk + 1) * chunk)  # the first append that does not fit
        if capacity == 0 and length <= stack_elements:
            capacity = stack_elements
        else:
            capacity = grown_capacity(
                new_len=length,
                old_cap=capacity,
                elem_bytes=elem_bytes,
                has_pointers=has_pointers,
                rules=rules,
            )
        yield capacity
