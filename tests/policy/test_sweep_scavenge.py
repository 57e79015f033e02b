"""Sweep debts, scavenger goals and how long the background scavenger sleeps."""

from __future__ import annotations

import math

import pytest

from gcsim.policy.constants import MIB
from gcsim.policy.scavenge import CONTROLLER_COOLDOWN_NS, ScavengeGoals, ScavengerPace, scavenge_goals
from gcsim.policy.sweep import SweepPace, pace_sweeper, sweep_target_pages


def pace(*, pages_swept: int = 0, sweep_done: bool = False, trigger_bytes: int = 21 * MIB) -> SweepPace:
    return pace_sweeper(
        SweepPace(),
        heap_live_bytes=10 * MIB,
        trigger_bytes=trigger_bytes,
        pages_swept=pages_swept,
        pages_in_use=2000,
        sweep_done=sweep_done,
    )


def test_all_pages_are_swept_a_mebibyte_before_the_trigger() -> None:
    start = pace()
    assert start.sweep_pages_per_byte == 2000 / (10 * MIB)
    assert sweep_target_pages(start, span_bytes=0, heap_live_bytes=20 * MIB, caller_sweep_pages=0) == 2000
    assert sweep_target_pages(start, span_bytes=MIB, heap_live_bytes=14 * MIB, caller_sweep_pages=100) == 900


def test_nobody_sweeps_when_all_is_swept() -> None:
    for done in (pace(sweep_done=True), pace(pages_swept=2000)):
        assert done.sweep_pages_per_byte == 0.0
        assert sweep_target_pages(done, span_bytes=MIB, heap_live_bytes=20 * MIB, caller_sweep_pages=3) == 0


def test_without_room_the_ratio_is_bounded_by_a_page() -> None:
    assert pace(trigger_bytes=10 * MIB).sweep_pages_per_byte == 2000 / 8192


def goals(*, limit_slip: bool = False, limit: int = 100 * MIB, last_goal: int = 40 * MIB) -> ScavengeGoals:
    return scavenge_goals(
        memory_limit_bytes=limit,
        heap_goal_bytes=20 * MIB,
        last_heap_goal_bytes=last_goal,
        mapped_ready_bytes=98 * MIB,
        last_heap_in_use_bytes=40 * MIB,
        heap_in_use_bytes=30 * MIB,
        heap_free_bytes=40 * MIB,
        phys_page_bytes=4096,
        limit_slip=limit_slip,
    )


def test_half_the_goal_keeps_half_the_heap_and_a_tenth() -> None:
    assert goals().gc_percent_goal_bytes == 22 * MIB
    assert goals(last_goal=0).gc_percent_goal_bytes is None  # before the first cycle
    assert goals(last_goal=10 * MIB).gc_percent_goal_bytes is None  # less is retained


def test_five_percent_below_the_limit_except_with_the_slip() -> None:
    assert goals().memory_limit_goal_bytes == 95 * MIB
    assert goals(limit_slip=True).memory_limit_goal_bytes is None
    assert goals(limit=200 * MIB).memory_limit_goal_bytes is None


@pytest.mark.parametrize(
    ("procs", "tolerance"),
    [
        (1, 0.2),
        (4, 0.05),
        (16, 0.05),
    ],  # on one P the controller hunts between its bounds and is right on average only
)
def test_background_scavenger_settles_at_one_percent_of_the_cpu(procs: int, tolerance: float) -> None:
    scavenger = ScavengerPace()
    worked = slept = 0.0
    for round_number in range(2000):
        sleep_ns = scavenger.sleep_ns(2e6)
        scavenger.slept(2e6, sleep_ns, procs)
        if round_number >= 1000:
            worked += 2e6
            slept += sleep_ns
    assert worked / ((worked + slept) * procs) == pytest.approx(0.01, rel=tolerance)


def test_a_failed_controller_rests() -> None:
    scavenger = ScavengerPace()
    scavenger.controller.err_integral = math.inf
    scavenger.slept(2e6, 10_000_000, 1)
    assert scavenger.cooldown_ns == CONTROLLER_COOLDOWN_NS
    ratio = scavenger.sleep_ratio
    scavenger.slept(2e6, 1_000_000_000, 1)
    assert (scavenger.sleep_ratio, scavenger.cooldown_ns) == (ratio, CONTROLLER_COOLDOWN_NS - 1_002_000_000)
    scavenger.slept(2e6, 10 * CONTROLLER_COOLDOWN_NS, 1)
    assert scavenger.cooldown_ns == 0
