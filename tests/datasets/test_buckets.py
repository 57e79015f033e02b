"""Log-linear buckets: exact bounds, stated error, merging."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gcsim.runtime.buckets import (
    MAX_VALUE_NS,
    N_BUCKETS,
    RELATIVE_ERROR,
    BucketCounts,
    bucket_bounds,
    bucket_index,
    bucket_index_of,
    bucket_midpoint_ns,
    quantiles_ns,
)

times = st.one_of(
    st.integers(0, MAX_VALUE_NS),
    st.integers(0, 53).flatmap(lambda k: st.integers(max(0, 2**k - 2), min(MAX_VALUE_NS, 2**k + 2))),
)


@given(st.lists(times, max_size=50))
def test_a_value_lies_within_its_bucket_and_near_its_midpoint(values: list[int]) -> None:
    ns = np.array(values, dtype=np.int64)
    index = bucket_index(ns)
    lower, upper = bucket_bounds(index)
    assert (lower <= ns).all()
    assert (ns <= upper).all()
    assert (np.abs(bucket_midpoint_ns(index) - ns) <= RELATIVE_ERROR * ns).all()
    assert [bucket_index_of(value) for value in values] == index.tolist()


def test_buckets_follow_one_another_without_gap() -> None:
    lower, upper = bucket_bounds(np.arange(N_BUCKETS))
    assert lower[0] == 0
    assert (lower[1:] == upper[:-1] + 1).all()
    assert upper[-1] == MAX_VALUE_NS


@pytest.mark.parametrize("wrong", [-1, MAX_VALUE_NS + 1])
def test_times_out_of_range_are_refused(wrong: int) -> None:
    with pytest.raises(ValueError, match="must be in 0"):
        bucket_index(np.array([5, wrong]))
    with pytest.raises(ValueError, match="must be in 0"):
        bucket_index_of(wrong)


def test_filled_singly_in_arrays_or_in_parts_the_counts_are_equal() -> None:
    ns = np.random.default_rng(1).lognormal(10, 2, 20_000).astype(np.int64)
    single, whole, parts = BucketCounts(), BucketCounts(), BucketCounts()
    for value in ns.tolist():
        single.add(value)
        single.settle()
    whole.add_array(ns)
    for part in np.split(ns, [3, 10, 700, 5000]):
        parts.add_array(part)
    assert single.total == whole.total == parts.total == ns.size
    indexes, counts = whole.drain()
    for other in (single, parts):
        assert [a.tolist() for a in other.drain()] == [indexes.tolist(), counts.tolist()]
    assert counts.sum() == ns.size
    assert (np.diff(indexes) > 0).all()
    assert whole.drain()[0].size == 0


def test_quantiles_are_within_the_stated_error_of_the_exact_nearest_rank() -> None:
    ns = np.sort(np.random.default_rng(2).lognormal(10, 2, 10_001).astype(np.int64))
    counts = np.bincount(bucket_index(ns), minlength=N_BUCKETS)
    fractions = (0.0, 0.5, 0.9, 0.99, 0.999, 1.0)
    found = quantiles_ns(counts, fractions)
    assert found is not None
    for fraction, value in zip(fractions, found, strict=True):
        exact = int(ns[max(1, int(np.ceil(fraction * ns.size))) - 1])
        assert (
            abs(value - exact) <= RELATIVE_ERROR * exact + 1
        )  # + 1: the midpoint is rounded down to a whole ns


def test_nothing_counted_has_no_quantiles() -> None:
    assert quantiles_ns(np.zeros(N_BUCKETS, dtype=np.int64), (0.5,)) is None
