"""The proportional sweep ratio and the scavenger's goals, row by row, bit for bit."""

from __future__ import annotations

from pathlib import Path

import pytest

from gcsim.policy.conversions import UINT64_MAX
from gcsim.policy.scavenge import scavenge_goals
from gcsim.policy.sweep import SweepPace, pace_sweeper
from tests.policy.vector_files import Records, bits, files_of, number


@pytest.mark.parametrize("path", files_of("sweep"), ids=lambda path: path.name)
def test_sweep(path: Path) -> None:
    for record in Records(path):
        prior = record["prior"]
        pace = pace_sweeper(
            SweepPace(
                number(prior["sweep_pages_per_byte"]),
                prior["sweep_heap_live_basis"],
                prior["pages_swept_basis"],
            ),
            heap_live_bytes=record["heap_live"],
            trigger_bytes=record["trigger"],
            pages_swept=record["pages_swept"],
            pages_in_use=record["pages_in_use"],
            sweep_done=record["sweep_done"],
        )
        got = {
            "sweep_pages_per_byte": bits(pace.sweep_pages_per_byte),
            "sweep_heap_live_basis": bits(pace.sweep_heap_live_basis_bytes),
            "pages_swept_basis": bits(pace.pages_swept_basis),
        }
        assert got == {name: bits(number(value)) for name, value in record["out"].items()}, record["row"]


@pytest.mark.parametrize("path", files_of("scavenge"), ids=lambda path: path.name)
def test_scavenge(path: Path) -> None:
    records = Records(path)
    slips = {rules.scavenge_limit_slip for rules in records.rules}
    for record in records:
        for limit_slip in slips:
            goals = scavenge_goals(
                memory_limit_bytes=record["memory_limit"],
                heap_goal_bytes=record["heap_goal"],
                last_heap_goal_bytes=record["last_heap_goal"],
                mapped_ready_bytes=record["mapped_ready"],
                last_heap_in_use_bytes=record["last_heap_in_use"],
                heap_in_use_bytes=record["heap_in_use"],
                heap_free_bytes=record["heap_free"],
                phys_page_bytes=record["phys_page_size"],
                limit_slip=limit_slip,
            )
            want = record["out"]
            for goal, name in (
                (goals.gc_percent_goal_bytes, "gc_percent_goal"),
                (goals.memory_limit_goal_bytes, "memory_limit_goal"),
            ):
                assert (UINT64_MAX if goal is None else goal) == want[name], f"row {record['row']} {name}"
