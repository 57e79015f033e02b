"""The histogram in which Go's runtime keeps times: pauses and scheduling latencies of runtime/metrics.

An octave has four buckets and everything below 64 ns is one bucket, so a pause is known to a quarter at best.  Whoever
compares a simulated pause with a real one has to put it into the same bucket first.

Source: runtime/histogram.go timeHistogram.record, timeHistogramMetricsBuckets (go1.27; the same since 1.19).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

MIN_BUCKET_BITS = 9
MAX_BUCKET_BITS = 48
SUB_BUCKET_BITS = 2

_LARGEST_NS = (1 << (MAX_BUCKET_BITS - 1)) - 1  # whatever is longer falls into the overflow bucket


def bucket_bounds_ns(duration_ns: int) -> tuple[int, int]:
    """The bucket of a time: its lower bound, inclusive, and its upper, exclusive.

    Raises:
        ValueError: the time is negative or beyond the last finite bucket (39 hours); those buckets have no middle.
    """
    if not 0 <= duration_ns <= _LARGEST_NS:
        raise ValueError(f"a time must be in 0..{_LARGEST_NS} ns, got {duration_ns}")
    width = 1 << (max(duration_ns.bit_length(), MIN_BUCKET_BITS) - 1 - SUB_BUCKET_BITS)
    lower = duration_ns // width * width
    return lower, lower + width


def bucket_midpoint_ns(duration_ns: int) -> int:
    """The middle of a time's bucket, in ns."""
    lower, upper = bucket_bounds_ns(duration_ns)
    return (lower + upper) // 2


def quantiles_ns(durations_ns: Iterable[int], fractions: Sequence[float]) -> list[int] | None:
    """Nearest-rank quantiles as read from the histogram: each the middle of its bucket.

    Args:
        durations_ns: times in ns, in any order.
        fractions: each in (0, 1].
    Returns:
        One time in ns per fraction; None if there are no times.
    """
    ordered = sorted(durations_ns)
    if not ordered:
        return None
    ranks = (max(1, math.ceil(fraction * len(ordered))) for fraction in fractions)
    return [bucket_midpoint_ns(ordered[rank - 1]) for rank in ranks]
