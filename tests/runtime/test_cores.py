"""A light process marks with its threads on one core; marking streams or waits.  One forced cycle over 8 MB of kept heap."""

from __future__ import annotations

import pytest

from tests.runtime.conftest import Worlds
from tests.runtime.tiny import MS, Tiny

# Marking costs 1 ns per byte of scan work.
COSTS = {"mark_scan_object_ns": 128.0, "mark_scan_ns_per_byte": 1.0}
KEPT = {
    "name": "kept", "table_slot_bytes": 0, "objects": [{"size": 1016, "pointer_words": 127}], "entries": 8000,
}  # fmt: skip
WORK_NS = 8000 * 1024
TICK_NS = 4 * MS
GC = {"name": "gc", "arrivals": "recorded", "steps": ["gc"], "arrival_times_ns": [30 * MS]}


def forced(world: Worlds, **costs: float) -> Tiny:
    return world(COSTS | costs, GC, procs=2, retained=[KEPT], duration=60 * MS).run()


def mark_ns(w: Tiny) -> int:
    *_, cycle = w.rows["cycle"]  # the others were on the way to 8 MB
    return cycle.mark_ns


def cpu_ns(w: Tiny) -> int:
    *_, cycle = w.rows["cycle"]  # the others were on the way to 8 MB
    return cycle.assist_cpu_ns + cycle.dedicated_cpu_ns + cycle.fractional_cpu_ns + cycle.idle_cpu_ns


def test_threads_apart_halve_the_time(world: Worlds) -> None:
    w = forced(world)
    assert mark_ns(w) == pytest.approx(WORK_NS / 2, rel=0.05)
    assert cpu_ns(w) == pytest.approx(WORK_NS, rel=0.05)


def test_threads_on_one_core_take_turns_and_are_counted_twice(world: Worlds) -> None:
    w = forced(world, core_gather_frac=1.0)
    assert mark_ns(w) == pytest.approx(WORK_NS, rel=0.05)
    assert cpu_ns(w) == pytest.approx(2 * WORK_NS, rel=0.05)


def test_the_tick_parts_them(world: Worlds) -> None:
    w = forced(world, core_gather_frac=1.0, core_balance_frac=1.0, core_regather_ns=1e12)
    assert WORK_NS / 2 * 1.01 < mark_ns(w) <= WORK_NS / 2 + TICK_NS / 2


def test_a_wake_up_brings_them_together_again(world: Worlds) -> None:
    w = forced(world, core_gather_frac=1.0, core_balance_frac=1.0, core_regather_ns=1.0)
    assert mark_ns(w) == pytest.approx(WORK_NS, rel=0.05)


def test_a_busy_process_uses_both_cores(world: Worlds) -> None:
    busy = {"name": "busy", "workers": 2, "steps": [{"cpu": "1ms"}]}
    w = world(COSTS | {"core_gather_frac": 1.0}, busy, GC, procs=2, retained=[KEPT], duration=120 * MS).run()
    assert cpu_ns(w) == pytest.approx(WORK_NS, rel=0.05)


def test_marking_in_order_competes_for_memory(world: Worlds) -> None:
    w = forced(world, mark_contention_frac=0.5)
    assert cpu_ns(w) == pytest.approx(1.5 * WORK_NS, rel=0.05)


def test_markers_on_one_core_do_not(world: Worlds) -> None:
    w = forced(world, mark_contention_frac=0.5, core_gather_frac=1.0)
    assert cpu_ns(w) == pytest.approx(2 * WORK_NS, rel=0.05)


def test_scattered_entries_do_not_stream(world: Worlds) -> None:
    """After a dozen turnovers hardly an entry is where it was built."""
    replaces = {
        "name": "replaces", "workers": 1, "steps": [{"cpu": "1us"}, {"replace": {"set": "kept", "count": 4}}],
    }  # fmt: skip
    w = world(COSTS, replaces, procs=2, retained=[KEPT], duration=30 * MS).run()
    snapshot = w.world.heap.mark_snapshot(w.world.env.now, {})
    assert w.world.heap.retained["kept"].scattered > 0.99 * KEPT["entries"]
    assert snapshot.streamed_ns < 0.02 * snapshot.cost_ns
    assert snapshot.cost_ns == pytest.approx(WORK_NS, rel=0.02)
