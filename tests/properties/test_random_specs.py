"""Laws that hold whatever the workload."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from gcsim.datasets.summary import SummaryAccumulator
from gcsim.runtime import simulate
from gcsim.spec.load import parse_spec
from gcsim.spec.models import Spec
from gcsim.spec.overrides import apply_overrides
from gcsim.spec.profile import load_profile
from tests.strategies import specs

SETTINGS = settings(
    max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)


class _Rows:
    def __init__(self) -> None:
        self.rows: list[str] = []

    def __getattr__(self, table: str) -> Any:
        return lambda rec: self.rows.append(f"{table} {rec}")


def rows_of(spec: Spec) -> list[str]:
    rows = _Rows()
    simulate(spec, profile=load_profile(spec.machine.profile, spec.runtime.go), recorder=rows)
    return rows.rows


@SETTINGS
@given(specs())
def test_every_simulation_keeps_the_invariants_and_repeats(spec: Spec) -> None:
    assert rows_of(spec) == rows_of(spec)


STEADY = parse_spec("""
version: 1
name: steady
runtime: {gomaxprocs: 4}
machine: {cores: 4}
run: {duration: 4s, warm_up: 2s}
retained:
  - {name: cache, entries: 20000, objects: [{count: 16, size: 64B, pointer_words: 2}]}
requests:
  - workers: 4
    steps:
      - cpu: 20us
      - allocate: {count: 4, size: 1KiB}
""")


@pytest.fixture(scope="module")
def by_gogc() -> dict[int, dict[str, Any]]:
    found = {}
    for gogc in (50, 100, 200, 400):
        spec = apply_overrides(STEADY, [f"gogc={gogc}"])
        summary = SummaryAccumulator()
        simulate(spec, profile=load_profile(spec.machine.profile, spec.runtime.go), recorder=summary)
        found[gogc] = dict(summary.metrics())
    return found


def test_more_gogc_means_no_more_collections(by_gogc: dict[int, dict[str, Any]]) -> None:
    collections = [metrics["num_gc"] for metrics in by_gogc.values()]
    assert all(more <= fewer + 1 for fewer, more in itertools.pairwise(collections))


@pytest.mark.parametrize(("gogc", "doubled"), [(100, 200), (200, 400)])
def test_doubling_gogc_halves_gc_cpu_and_doubles_the_overhead(
    gogc: int, doubled: int, by_gogc: dict[int, dict[str, Any]]
) -> None:
    """Roughly: what is allocated during mark is kept as well, and differs; one cycle more or less counts too."""
    a, b = by_gogc[gogc], by_gogc[doubled]
    assert b["gc_cpu_ns"] / a["gc_cpu_ns"] == pytest.approx(0.5, abs=0.12)
    overhead = [m["heap_goal_bytes_mean"] - m["heap_marked_bytes_mean"] for m in (a, b)]
    assert overhead[1] / overhead[0] == pytest.approx(2.0, abs=0.3)


def test_gc_cpu_is_cycles_times_live_heap(by_gogc: dict[int, dict[str, Any]]) -> None:
    """Cost per cycle is that of the live heap, whatever the setting: within a fifth (assists, idle workers)."""
    per_cycle = [metrics["gc_cpu_ns"] / metrics["num_gc"] for metrics in by_gogc.values()]
    assert max(per_cycle) / min(per_cycle) < 1.2
