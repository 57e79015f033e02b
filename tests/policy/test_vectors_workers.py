"""Mark workers for each number of Ps, right after the start of a cycle."""

from __future__ import annotations

from pathlib import Path

import pytest

from gcsim.policy.pacer import NO_MEMORY_LIMIT_BYTES, TriggerKind, make_pacer
from gcsim.policy.workers import mark_worker_plan
from tests.policy.pacer_state import distinct_pacers
from tests.policy.vector_files import Records, bits, files_of


@pytest.mark.parametrize("path", files_of("workers"), ids=lambda path: path.name)
def test_workers(path: Path) -> None:
    records = Records(path)
    pacers = [
        make_pacer(rules, gogc_percent=100, memory_limit_bytes=NO_MEMORY_LIMIT_BYTES)
        for rules in distinct_pacers(records.rules)
    ]
    for record in records:
        procs = record["procs"]
        for kind in TriggerKind:
            plan = mark_worker_plan(procs, kind)
            assert plan.dedicated_mark_workers_needed == record["dedicated_mark_workers_needed"]
            assert bits(plan.fractional_utilization_goal) == bits(record["fractional_utilization_goal"])
            assert plan.max_idle_mark_workers == record[f"max_idle_mark_workers_{kind.value}"]
            for pacer in pacers:
                pacer.start_cycle(0, procs, kind)
                assert pacer.dedicated_mark_workers_needed == plan.dedicated_mark_workers_needed
                assert pacer.fractional_utilization_goal == plan.fractional_utilization_goal
                assert pacer.max_idle_mark_workers == plan.max_idle_mark_workers
