"""Value or pointer: from which size on passing a pointer to a heap object is cheaper than copying a struct.

By value, each call copies the struct. By pointer nothing is copied; but where the struct escapes it is allocated
(cleared, swept later), and its bytes bring the next collection closer, which marks everything that is live. A pointer
to something on the stack costs neither, and is as good as free at any size.

Left out, as they depend on the program: the cache misses of following a pointer that has gone cold (which makes values
look worse than they are), and copies that the compiler saves by passing small structs in registers (likewise).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gcsim.policy.constants import PAGE_BYTES, PTR_BYTES
from gcsim.policy.releases import release_rules
from gcsim.runtime.costs import CostModel
from gcsim.spec.profile import MachineProfile

LARGEST_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Costs:
    """CPU time in ns of one struct's life, over all the calls it is passed through.

    Attributes:
        size_bytes: of the struct.
        copy_ns: by value.
        alloc_ns, sweep_ns, mark_ns: by pointer to the heap: allocating it, sweeping its span, and its share of the
            marking that its bytes bring about.
    """

    size_bytes: int
    copy_ns: float
    alloc_ns: float
    sweep_ns: float
    mark_ns: float

    @property
    def heap_ns(self) -> float:
        """By pointer to the heap, altogether."""
        return self.alloc_ns + self.sweep_ns + self.mark_ns


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What the answer depends on besides the machine.

    Attributes:
        go: release profile.
        gogc_percent: GOGC; None = off: nothing is ever marked or swept.
        live_object_bytes: size of the typical object that is live while this one is garbage: what marking costs.
        pointer_words: words of the struct up to its last pointer.
        copy_ns_per_byte: of copying a struct; None = the profile's.
    """

    go: str = "1.27"
    gogc_percent: int | None = 100
    live_object_bytes: int = 64
    pointer_words: int = 1
    copy_ns_per_byte: float | None = None


def costs_of(size_bytes: int, calls: int, program: Program, profile: MachineProfile) -> Costs:
    """Both ways for a struct of `size_bytes` (>= 1) that is passed through `calls` (>= 0) calls.

    A cycle marks the live heap once per (live heap x GOGC / 100) bytes allocated, so each byte allocated pays
    (mark time per live byte) x 100 / GOGC: how large the live heap is cancels out.
    """
    model = CostModel(profile, release_rules(program.go), procs=1, cores=1)
    made = model.object(size_bytes, min(program.pointer_words, size_bytes // PTR_BYTES))
    mark_ns = sweep_ns = 0.0
    if program.gogc_percent is not None:
        live = model.object(program.live_object_bytes, 1)
        mark_ns = made.bytes * live.mark_ns / live.bytes * 100 / max(1, program.gogc_percent)
        # Large objects have a span of several pages that is swept at once.
        sweep_ns = profile["sweep_page_ns"] * min(1.0, made.bytes / PAGE_BYTES)
    each = model.copy_ns(size_bytes, program.copy_ns_per_byte)
    return Costs(size_bytes, calls * each, made.alloc_ns, sweep_ns, mark_ns)


def break_even(calls: int, program: Program, profile: MachineProfile) -> Costs | None:
    """The least size, in words, from which on the heap is the cheaper way up to 1 MiB; None where there is none.

    Size classes make the cost of the heap a staircase: it counts only what stays cheaper.
    """
    best: Costs | None = None
    # Downwards, stopping where the value wins: every word up to 4 KiB, then in steps of 1/64 of the size.
    size = LARGEST_BYTES
    while size >= PTR_BYTES:
        costs = costs_of(size, calls, program, profile)
        if costs.heap_ns >= costs.copy_ns:
            return best
        best = costs
        size -= max(PTR_BYTES, size // 64 // PTR_BYTES * PTR_BYTES) if size > 4096 else PTR_BYTES
    return best
