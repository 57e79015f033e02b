"""What the pacer achieves for an idealised program, in named regimes: the bounds a user may rely on.

Each regime gives the program's rates cycle by cycle; checks common to all look at every cycle, the regime's own look at
the settled ones. Bounds follow the design of the pacer (Go proposal 44167, GC pacer redesign): with a right estimate
no assists are needed, and the heap peaks a little below its goal.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from gcsim.policy.constants import MIB
from gcsim.policy.pacer import NO_MEMORY_LIMIT_BYTES, TriggerKind, make_pacer
from tests.policy.cycle_driver import IdealProgram, derived

CYCLES = 50
SETTLED = 25  # cycles after which a steady program has to be paced well
KIB_STACK = 8192

Figures = list[dict[str, float]]


@dataclass(frozen=True)
class Regime:
    """Rates in KiB per CPU-ms for each cycle (from 1), settings, and what has to come out."""

    check: Callable[[Figures], None]
    alloc_rate: Callable[[int], float] = lambda cycle: 33.0
    growth_rate: Callable[[int], float] = lambda cycle: (
        2.0 if cycle <= 9 else 1.0
    )  # up to 128 MiB, then steady
    scan_rate: float = 1024.0
    scannable_frac: float = 1.0
    gogc_percent: int = 100
    memory_limit_bytes: int = NO_MEMORY_LIMIT_BYTES
    non_heap_bytes: int = 0
    procs: int = 8
    stack_bytes: int = KIB_STACK
    initial_heap_bytes: int = 256 << 10


def run(regime: Regime, release: str) -> Figures:
    """Run the regime; one row of figures per cycle."""
    scenario = {
        "warm_start": False,
        "forced": False,
        "reports_idle_time": False,
        "memory_model": "static" if regime.non_heap_bytes else "none",
        "globals_bytes": 32 << 10,
        "initial_heap_bytes": regime.initial_heap_bytes,
        "revise_period_ns": 500_000,
    }
    pacer = make_pacer(
        release, gogc_percent=regime.gogc_percent, memory_limit_bytes=regime.memory_limit_bytes
    )
    program = IdealProgram(scenario, pacer)
    rows: Figures = []
    for cycle in range(1, CYCLES + 1):
        inputs = {
            "alloc_rate": regime.alloc_rate(cycle),
            "scan_rate": regime.scan_rate,
            "growth_rate": regime.growth_rate(cycle),
            "scannable_frac": regime.scannable_frac,
            "stack_bytes": regime.stack_bytes,
            "n_cores": regime.procs,
            "non_heap_bytes": regime.non_heap_bytes,
        }
        program.prepare(inputs)
        trigger, goal = pacer.trigger()
        assert pacer.heap_marked_bytes <= trigger <= goal or trigger == goal
        program.start(inputs, TriggerKind.HEAP)
        next_marked, phase = program.work(inputs, first=cycle == 1)
        while any(phase.work.values()):
            program.step(inputs, phase)
            assert pacer.assist_work_per_byte > 0
            assert math.isfinite(pacer.assist_work_per_byte)
        figures = derived(pacer, phase, regime.procs)
        program.end(inputs, phase)
        program.roll_over(inputs, next_marked + program.allocated_during_mark)
        assert pacer.triggered_bytes > pacer.heap_goal()  # none
        rows.append({name: float(value) for name, value in figures.items()} | {"marked": float(next_marked)})
    return rows


def column(figures: Figures, name: str, start: int = SETTLED) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.array([row[name] for row in figures[start:]])


def settles_without_assists(figures: Figures) -> None:
    assert np.all(np.abs(column(figures, "gc_utilization") - 0.25) < 0.01)
    assert np.all((column(figures, "goal_ratio") > 0.95) & (column(figures, "goal_ratio") < 1.05))


def stays_below_the_goal_with_few_assists(figures: Figures) -> None:
    assert np.all(column(figures, "gc_utilization") < 0.30)
    assert np.all(column(figures, "goal_ratio") < 1.05)


def recovers_after_a_step(figures: Figures) -> None:
    # The step comes at cycle 26 and takes the pacer by surprise once; the very next measurement corrects it.
    assert figures[25]["gc_utilization"] > 0.27
    assert abs(figures[-1]["gc_utilization"] - 0.25) < 0.01


def keeps_to_the_limit(figures: Figures) -> None:
    goals = column(figures, "heap_goal")
    assert np.all(goals <= 160 * MIB - 20 * MIB)
    assert np.all(column(figures, "goal_ratio") < 1.05)


def collects_all_the_time(figures: Figures) -> None:
    # The live heap alone is over the limit: the goal is what is marked, and the program assists as hard as it can.
    assert np.all(column(figures, "runway") == 0)
    assert np.all(column(figures, "gc_utilization") > 0.5)


def triggers_close_to_the_goal(figures: Figures) -> None:
    assert np.all(column(figures, "trigger_ratio") > 0.9)


REGIMES: dict[str, Regime] = {
    "steady": Regime(settles_without_assists),
    "steady_small_gogc": Regime(settles_without_assists, gogc_percent=50),
    "steady_mostly_pointer_free": Regime(
        settles_without_assists, scannable_frac=0.1, alloc_rate=lambda cycle: 200.0
    ),
    "big_stacks": Regime(settles_without_assists, alloc_rate=lambda cycle: 132.0, stack_bytes=64 * MIB),
    "high_gogc": Regime(triggers_close_to_the_goal, gogc_percent=1500),
    "step_alloc": Regime(recovers_after_a_step, alloc_rate=lambda cycle: 33.0 if cycle <= 25 else 99.0),
    "osc_alloc": Regime(
        stays_below_the_goal_with_few_assists,
        alloc_rate=lambda cycle: 13.0 + 10.0 * math.sin(cycle * math.pi / 4),
    ),
    "jitter_alloc": Regime(
        stays_below_the_goal_with_few_assists,
        alloc_rate=lambda cycle: float(np.random.default_rng([7, cycle]).uniform(26.0, 40.0)),
    ),
    "memory_limit": Regime(
        keeps_to_the_limit,
        initial_heap_bytes=192 << 10,
        gogc_percent=-1,
        memory_limit_bytes=160 * MIB,
        non_heap_bytes=20 * MIB,
    ),
    "exceed_memory_limit": Regime(
        collects_all_the_time, gogc_percent=100, memory_limit_bytes=64 * MIB, non_heap_bytes=8 * MIB
    ),
}


@pytest.mark.parametrize("name", REGIMES)
def test_regime(name: str) -> None:
    regime = REGIMES[name]
    regime.check(run(regime, "1.27"))


@pytest.mark.parametrize("release", ["1.19", "1.20", "1.27"])
def test_every_era_settles_in_a_steady_regime(release: str) -> None:
    settles_without_assists(run(REGIMES["steady"], release))


def test_window_reacts_to_a_burst_at_once_and_forgets_it_five_cycles_later() -> None:
    def one_burst(cycle: int) -> float:
        return 99.0 if cycle == 30 else 33.0

    figures = run(Regime(settles_without_assists, alloc_rate=one_burst), "1.27")
    runway = [row["runway"] for row in figures]
    calm = runway[28]
    assert all(value > 2.5 * calm for value in runway[30:35])
    assert runway[36] == pytest.approx(calm, rel=0.05)


def test_pi_controller_of_1_19_follows_a_burst_only_in_part() -> None:
    def one_burst(cycle: int) -> float:
        return 99.0 if cycle == 30 else 33.0

    regime = Regime(settles_without_assists, alloc_rate=one_burst)
    assert run(regime, "1.19")[30]["runway"] < run(regime, "1.27")[30]["runway"]
