"""Log-linear buckets for times: mergeable counts with a stated relative error.

Each octave [2^k, 2^(k+1)) ns is cut into 128 equal buckets; below 128 ns each nanosecond has its own.  A bucket's
midpoint is therefore within 1/256 (0.4 %) of every value in it, whatever the value, and two histograms are merged by
adding counts.  (The shape is that of HDR histograms and of the runtime's own ``timeHistogram``, which is coarser.)

The index is read off the bits of the float64: exponent and upper seven bits of the mantissa are consecutive there.
That is one shift and one subtraction per value and exact for all values below 2^53 ns (104 days).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

Int64Array = npt.NDArray[np.int64]

SUB_BUCKET_BITS = 7
SUB_BUCKETS = 1 << SUB_BUCKET_BITS
RELATIVE_ERROR = 1 / (2 * SUB_BUCKETS)
"""Largest error of a bucket's midpoint, relative to any value in the bucket."""

MAX_VALUE_NS = (1 << 53) - 1
N_BUCKETS = (53 - SUB_BUCKET_BITS) * SUB_BUCKETS + SUB_BUCKETS

_MANTISSA_SHIFT = 52 - SUB_BUCKET_BITS
_FIRST_LOG_INDEX = (1023 + SUB_BUCKET_BITS - 1) << SUB_BUCKET_BITS  # 1023: exponent bias of float64


def bucket_index(ns: Int64Array) -> Int64Array:
    """Bucket index of each time.

    Args:
        ns: int64 times in ns, each in 0..MAX_VALUE_NS.
    Raises:
        ValueError: a value is out of range.
    """
    if ns.size and (int(ns.min()) < 0 or int(ns.max()) > MAX_VALUE_NS):
        raise ValueError(f"times must be in 0..{MAX_VALUE_NS} ns, got {int(ns.min())}..{int(ns.max())}")
    index = ns.astype(np.float64).view(np.int64)
    index >>= _MANTISSA_SHIFT
    index -= _FIRST_LOG_INDEX
    np.copyto(index, ns, where=ns < SUB_BUCKETS)
    return index


def bucket_index_of(ns: int) -> int:
    """Bucket index of one time; the same as `bucket_index`, for single values."""
    if not 0 <= ns <= MAX_VALUE_NS:
        raise ValueError(f"a time must be in 0..{MAX_VALUE_NS} ns, got {ns}")
    shift = max(0, ns.bit_length() - SUB_BUCKET_BITS - 1)
    return (shift << SUB_BUCKET_BITS) + (ns >> shift)


def bucket_bounds(index: Int64Array | int) -> tuple[Int64Array, Int64Array]:
    """Lowest and highest time of each bucket, in ns, both inclusive."""
    i = np.asarray(index, dtype=np.int64)
    shift = np.maximum(i // SUB_BUCKETS - 1, 0)
    lower = (i - shift * SUB_BUCKETS) << shift
    return lower, lower + (np.int64(1) << shift) - 1


def bucket_midpoint_ns(index: Int64Array | int) -> Int64Array:
    """The time that stands for a bucket, in ns (rounded down)."""
    lower, upper = bucket_bounds(index)
    return (lower + upper) // 2


def quantiles_ns(counts: Int64Array, fractions: Sequence[float]) -> list[int] | None:
    """Nearest-rank quantiles of a dense histogram, each by its bucket's midpoint.

    Args:
        counts: count per bucket, N_BUCKETS long.
        fractions: each in 0..1; 1 gives the largest.
    Returns:
        One time in ns per fraction, or None if nothing was counted.
    """
    cumulative = np.cumsum(counts)
    total = int(cumulative[-1])
    if total == 0:
        return None
    ranks = np.clip(np.ceil(np.asarray(fractions) * total).astype(np.int64), 1, total)
    return [
        int(ns) for ns in bucket_midpoint_ns(np.searchsorted(cumulative, ranks, side="left").astype(np.int64))
    ]


class BucketCounts:
    """A histogram that is filled value by value or array by array and drained window by window.

    Single values are counted in lots, since adding to a numpy element costs about as much as 20 appends.

    Attributes:
        add: count one time in ns.  `settle` has to be called now and then.
    """

    __slots__ = ("_counts", "_pending", "_total", "add")

    _PENDING_MAX = 4096

    _FEW = 512  # below, adding one by one beats adding a whole dense histogram

    def __init__(self) -> None:
        self._counts: Int64Array = np.zeros(N_BUCKETS, dtype=np.int64)
        self._pending: list[int] = []
        self.add: Callable[[int], None] = self._pending.append
        self._total = 0

    @property
    def total(self) -> int:
        """Values since the last drain."""
        return self._total + len(self._pending)

    def settle(self) -> None:
        """Do not let single values become too many."""
        if len(self._pending) >= self._PENDING_MAX:
            self._flush()

    def add_array(self, ns: Int64Array) -> None:
        """Count an int64 array of times in ns."""
        index = bucket_index(ns)
        if index.size < self._FEW:
            np.add.at(self._counts, index, 1)
        else:
            self._counts += np.bincount(index, minlength=N_BUCKETS)
        self._total += int(index.size)

    def drain(self) -> tuple[Int64Array, Int64Array]:
        """Indexes (ascending) and counts of the buckets in use; the histogram is empty afterwards."""
        self._flush()
        indexes = np.flatnonzero(self._counts).astype(np.int64)
        counts = self._counts[indexes]
        self._counts[indexes] = 0
        self._total = 0
        return indexes, counts

    def _flush(self) -> None:
        pending = np.asarray(self._pending, dtype=np.int64)
        self._pending.clear()
        self.add_array(pending)
