"""Proportional sweeping: pages to sweep per byte allocated, so that all is swept before the next trigger."""

from __future__ import annotations

from dataclasses import dataclass, replace

from gcsim.policy.constants import MIB, PAGE_BYTES
from gcsim.policy.conversions import float_to_int64, wrap_int64


@dataclass(frozen=True, slots=True)
class SweepPace:
    """The ratio, and the heap live and swept pages from which it counts; a ratio of 0.0 means nobody has to sweep."""

    sweep_pages_per_byte: float = 0.0
    sweep_heap_live_basis_bytes: int = 0
    pages_swept_basis: int = 0


def pace_sweeper(
    prior: SweepPace,
    *,
    heap_live_bytes: int,
    trigger_bytes: int,
    pages_swept: int,
    pages_in_use: int,
    sweep_done: bool,
) -> SweepPace:
    """The pace from here to the trigger; without a ratio the old bases stay.

    Args:
        prior: the pace until now.
        heap_live_bytes: heap live now.
        trigger_bytes: heap live at which the next cycle starts.
        pages_swept: pages of 8 KiB swept in this cycle so far.
        pages_in_use: pages in spans.
        sweep_done: whether all is swept.

    Source: runtime/mgcsweep.go gcPaceSweeper (go1.19 .. go1.27). Simplified: no.
    """
    if sweep_done:
        return replace(prior, sweep_pages_per_byte=0.0)
    # A margin of 1 MiB, so that rounding leaves nothing unswept at the trigger; a page, to bound the ratio.
    heap_distance = wrap_int64(trigger_bytes - heap_live_bytes - MIB)
    heap_distance = max(heap_distance, PAGE_BYTES)
    sweep_distance_pages = wrap_int64(pages_in_use - pages_swept)
    if sweep_distance_pages <= 0:
        return replace(prior, sweep_pages_per_byte=0.0)
    return SweepPace(float(sweep_distance_pages) / float(heap_distance), heap_live_bytes, pages_swept)


def sweep_target_pages(
    pace: SweepPace, *, span_bytes: int, heap_live_bytes: int, caller_sweep_pages: int
) -> int:
    """Pages that must have been swept since the basis before a span may be taken; may be negative.

    The caller sweeps until `pages_swept - pace.pages_swept_basis` reaches it, and asks again if the pace changed.

    Args:
        pace: the present pace.
        span_bytes: size of the span about to be taken.
        heap_live_bytes: heap live now.
        caller_sweep_pages: pages the caller is going to sweep anyway.

    Source: runtime/mgcsweep.go deductSweepCredit (go1.19 .. go1.27). Simplified: no.
    """
    if pace.sweep_pages_per_byte == 0.0:
        return 0
    # Heap live can lie below the basis for a moment, when a setting was changed between the two.
    new_heap_live = span_bytes + max(0, heap_live_bytes - pace.sweep_heap_live_basis_bytes)
    return float_to_int64(pace.sweep_pages_per_byte * float(new_heap_live)) - caller_sweep_pages
