"""The runtime's histogram of times, against the bounds that a real program printed."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest

from gcsim.interop.time_histogram import bucket_bounds_ns, bucket_midpoint_ns, quantiles_ns

BOUNDS: list[int] = json.loads(
    (Path(__file__).parents[1] / "fit" / "data" / "time_histogram_buckets.json").read_text()
)


def test_buckets_are_those_of_a_real_program() -> None:
    for lower, upper in pairwise(BOUNDS):
        assert bucket_bounds_ns(lower) == bucket_bounds_ns(upper - 1) == (lower, upper)


def test_times_outside_the_finite_buckets_are_refused() -> None:
    for duration_ns in (-1, BOUNDS[-1]):
        with pytest.raises(ValueError, match="must be in 0"):
            bucket_bounds_ns(duration_ns)


def test_a_recorded_quantile_is_the_middle_of_a_bucket() -> None:
    for recorded_ns in (61440, 73728, 90112, 212992, 1703936):
        assert bucket_midpoint_ns(recorded_ns) == recorded_ns


def test_quantiles_are_nearest_rank_and_order_does_not_matter() -> None:
    assert quantiles_ns([90_000, 60_000, 75_000], (0.5, 0.99)) == [73728, 90112]
    assert quantiles_ns([], (0.5,)) is None
