"""Who marks: the plan for a number of Ps, and the comings and goings of a fractional worker."""

from __future__ import annotations

import pytest

from gcsim.policy.workers import (
    MarkWorkerPlan,
    TriggerKind,
    mark_worker_plan,
    may_start_fractional_worker,
    should_leave_fractional_worker,
)


@pytest.mark.parametrize(
    ("procs", "plan"),
    [
        (1, MarkWorkerPlan(0, 0.25, 1)),
        (2, MarkWorkerPlan(0, 0.25, 2)),
        (3, MarkWorkerPlan(0, 0.25, 3)),
        (4, MarkWorkerPlan(1, 0.0, 3)),
        (5, MarkWorkerPlan(1, 0.0, 4)),
        (6, MarkWorkerPlan(1, 0.5 / 6, 5)),
        (64, MarkWorkerPlan(16, 0.0, 48)),
    ],
)
def test_a_quarter_of_the_procs_marks(procs: int, plan: MarkWorkerPlan) -> None:
    assert mark_worker_plan(procs, TriggerKind.HEAP) == plan


def test_a_periodic_cycle_leaves_idle_procs_alone() -> None:
    assert mark_worker_plan(8, TriggerKind.TIME).max_idle_mark_workers == 0
    assert mark_worker_plan(2, TriggerKind.TIME).max_idle_mark_workers == 1


def test_with_the_world_stopped_every_proc_marks() -> None:
    assert mark_worker_plan(6, TriggerKind.HEAP, stop_the_world=1) == MarkWorkerPlan(6, 0.0, 0)


def test_fractional_worker_starts_up_to_its_share_and_leaves_above_it() -> None:
    def starts(fractional_mark_ns: int) -> bool:
        return may_start_fractional_worker(
            fractional_mark_ns=fractional_mark_ns, since_mark_start_ns=1000, goal=0.25
        )

    def leaves(fractional_mark_ns: int) -> bool:
        return should_leave_fractional_worker(
            fractional_mark_ns=fractional_mark_ns, since_mark_start_ns=1000, goal=0.25
        )

    assert [starts(ns) for ns in (0, 250, 251)] == [True, True, False]
    assert [leaves(ns) for ns in (250, 300, 301)] == [False, False, True]


def test_fractional_worker_at_the_first_instant_and_without_a_goal() -> None:
    assert may_start_fractional_worker(fractional_mark_ns=0, since_mark_start_ns=0, goal=0.25)
    assert not may_start_fractional_worker(fractional_mark_ns=0, since_mark_start_ns=1000, goal=0.0)
    assert should_leave_fractional_worker(fractional_mark_ns=0, since_mark_start_ns=0, goal=0.25)
