"""How append grows a slice.  Pure; so far only what a growing global slice needs."""

from __future__ import annotations

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
