"""Minimum mutator utilisation against hand-made timelines and against brute force."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gcsim.datasets.mmu import MinimumMutatorUtilization


def test_a_pause_is_lost_entirely_and_a_worker_by_its_share() -> None:
    mmu = MinimumMutatorUtilization((10, 100, 2000), 0)
    mmu.add(np.array([500]), np.array([520]), 1.0)  # a pause of 20 ns
    mmu.add(np.array([520]), np.array([560]), 0.25)  # then one of four Ps for 40 ns
    mmu.advance(1000)
    # 10 ns fit into the pause; 100 ns hold 20 ns wholly and 40 ns by a quarter lost; 2000 ns do not fit in 1000.
    assert mmu.minimum() == [0.0, pytest.approx(1 - 30 / 100), None]


def test_nothing_done_for_the_collector_leaves_everything_to_the_program() -> None:
    mmu = MinimumMutatorUtilization((10,), 5)
    mmu.advance(100)
    assert mmu.minimum() == [1.0]


def test_what_lies_before_the_start_does_not_count() -> None:
    mmu = MinimumMutatorUtilization((10,), 1000)
    mmu.add(np.array([900]), np.array([1002]), 1.0)
    mmu.advance(1100)
    assert mmu.minimum() == [pytest.approx(0.8)]


def test_a_worker_in_a_pause_counts_once() -> None:
    mmu = MinimumMutatorUtilization((10,), 0)
    mmu.add(np.array([20]), np.array([25]), 1.0)
    mmu.add(np.array([20]), np.array([25]), 0.5)
    mmu.advance(100)
    assert mmu.minimum() == [pytest.approx(0.5)]


intervals = st.lists(st.tuples(st.integers(0, 190), st.integers(1, 40)), max_size=12)


@given(intervals, st.lists(st.integers(1, 199), max_size=5), st.sampled_from([1, 2, 4]))
def test_batches_give_the_minimum_over_all_windows(
    spans: list[tuple[int, int]], cuts: list[int], gomaxprocs: int
) -> None:
    length, windows = 200, (1, 7, 50)
    busy = np.zeros(length)
    for start, duration in spans:
        busy[start : start + duration] += 1 / gomaxprocs
    lost = np.concatenate([[0], np.cumsum(np.clip(busy, 0, 1))])
    expected = [1 - max(lost[i + w] - lost[i] for i in range(length - w + 1)) / w for w in windows]

    mmu = MinimumMutatorUtilization(windows, 0)
    left = sorted(spans)
    for until in [*sorted(cuts), length]:
        now = [s for s in left if s[0] < until]
        left = [s for s in left if s[0] >= until]
        mmu.add(np.array([s for s, _ in now], int), np.array([s + d for s, d in now], int), 1 / gomaxprocs)
        mmu.advance(until)
    # Steps are whole ns here, so the worst window begins or ends at one, and brute force over whole ns is exact.
    assert mmu.minimum() == pytest.approx(expected, abs=1e-9)
