"""How dear an assist is depends on where the walk through the heap has come to."""

import pytest

from gcsim.runtime.walk import Walk

# Roots that cost fifty times as much per scan work as the level that holds most of it.
LEVELS = [(1_000.0, 50_000.0), (10_000.0, 40_000.0), (100_000.0, 100_000.0)]


def test_costs_along_the_walk_add_up() -> None:
    walk = Walk(LEVELS)
    steps = 1000
    costs = [walk.cost_of(2_000.0, i / steps) for i in range(steps)]
    assert sum(costs) / steps == pytest.approx(1.0, rel=1e-3)
    mean_ns = 190_000.0 / 111_000.0
    assert max(costs) > 10.0
    assert min(costs) == pytest.approx(1.0 / mean_ns)


def test_a_whole_round_costs_the_mean() -> None:
    walk = Walk(LEVELS)
    assert walk.cost_of(111_000.0, 0.3) == pytest.approx(1.0)
    assert walk.cost_of(3 * 111_000.0, 0.7) == pytest.approx(1.0)
