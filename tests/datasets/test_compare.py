"""Comparisons: intervals against scipy's own, pairing, and what counts as worse."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from gcsim.datasets.compare import Comparison, Difference, compare_sides, worse_by
from gcsim.datasets.metrics import METRICS


def side(
    values: list[float | None], seeds: list[int] | None = None
) -> dict[int, dict[str, float | int | None]]:
    numbers = seeds or list(range(len(values)))
    return {
        seed: {m.name: value if m.name == "latency_ns_p99" else 1.0 for m in METRICS}
        for seed, value in zip(numbers, values, strict=True)
    }


def p99(comparison: Comparison) -> Difference:
    return next(d for d in comparison.differences if d.metric == "latency_ns_p99")


_VALUES = st.lists(st.floats(1, 1e6), min_size=3, max_size=6)


@pytest.mark.filterwarnings("ignore:Precision loss")  # scipy's own, about examples that are nearly equal
@settings(derandomize=True, max_examples=30, deadline=None)
@given(_VALUES, st.data())
def test_the_paired_interval_is_that_of_scipy(a: list[float], data: st.DataObject) -> None:
    b = data.draw(st.lists(st.floats(1, 1e6), min_size=len(a), max_size=len(a)))
    found = compare_sides("", side(list(a)), side(list(b)))
    assert found.method == "paired"
    if len({y - x for x, y in zip(a, b, strict=True)}) == 1:
        return
    expected = stats.ttest_rel(b, a).confidence_interval(0.95)
    assert p99(found).low == pytest.approx(expected.low, rel=1e-6, abs=1e-6)
    assert p99(found).high == pytest.approx(expected.high, rel=1e-6, abs=1e-6)


@pytest.mark.filterwarnings("ignore:Precision loss")
@settings(derandomize=True, max_examples=30, deadline=None)
@given(_VALUES, _VALUES)
def test_the_welch_interval_is_that_of_scipy(a: list[float], b: list[float]) -> None:
    found = compare_sides("", side(list(a)), side(list(b), [100 + i for i in range(len(b))]))
    assert found.method == "welch"
    if len(set(a)) == 1 and len(set(b)) == 1:
        return
    expected = stats.ttest_ind(b, a, equal_var=False).confidence_interval(0.95)
    assert p99(found).low == pytest.approx(expected.low, rel=1e-6, abs=1e-6)
    assert p99(found).high == pytest.approx(expected.high, rel=1e-6, abs=1e-6)


def test_common_seeds_tell_a_difference_that_noise_would_hide() -> None:
    a, b = [10.0, 20.0, 30.0, 40.0], [11.0, 21.1, 30.9, 41.0]
    assert p99(compare_sides("", side(list(a)), side(list(b)))).significant is True
    assert p99(compare_sides("", side(list(a)), side(list(b), [5, 6, 7, 8]))).significant is False


def test_one_run_has_no_interval_and_a_missing_value_no_difference() -> None:
    single = p99(compare_sides("", side([10.0]), side([12.0])))
    assert (single.delta, single.delta_frac, single.low, single.significant) == (2.0, 0.2, None, None)
    gap = p99(compare_sides("", side([10.0, None]), side([12.0, 13.0])))
    assert (gap.a, gap.delta, gap.significant) == (None, None, None)


@pytest.mark.parametrize(
    ("metric", "a", "b", "worse"),
    [
        ("latency_ns_p99", 100.0, 110.0, 0.1),
        ("throughput_rps", 100.0, 90.0, 0.1),
        ("mmu_10ms", 0.5, 0.6, -0.2),
        ("num_limited_gc", 0.0, 3.0, math.inf),
        ("num_limited_gc", 0.0, 0.0, 0.0),
    ],
)
def test_what_is_worse_depends_on_the_metric(metric: str, a: float, b: float, worse: float) -> None:
    found = Difference(metric=metric, a=a, b=b, delta=b - a, low=None, high=None, significant=None)
    assert worse_by(found) == pytest.approx(worse)
