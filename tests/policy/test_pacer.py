"""Single decisions of the pacer, computed by hand."""

from __future__ import annotations

import math

import pytest

from gcsim.policy.constants import KIB, MIB
from gcsim.policy.conversions import UINT64_MAX
from gcsim.policy.pacer import (
    NO_MEMORY_LIMIT_BYTES,
    NOT_TRIGGERED,
    MarkWorkerMode,
    MeanPacer,
    Pacer,
    PIPacer,
    TriggerKind,
    WindowPacer,
    make_pacer,
)


def pacer_of(release: str = "1.27", *, gogc_percent: int = 100, limit: int = NO_MEMORY_LIMIT_BYTES) -> Pacer:
    return make_pacer(release, gogc_percent=gogc_percent, memory_limit_bytes=limit)


def marked(pacer: Pacer, heap_bytes: int, *, stacks: int = 0, globals_bytes: int = 0) -> Pacer:
    """As if a cycle had ended with this much marked, all of it scannable, and sweeping were done."""
    pacer.heap_scan_work_bytes = heap_bytes
    pacer.stack_scan_work_bytes = stacks
    pacer.globals_scan_bytes = globals_bytes
    pacer.reset_live(heap_bytes)
    pacer.commit(True)
    return pacer


def test_a_new_program_starts_at_the_heap_minimum() -> None:
    assert pacer_of().heap_goal() == 4 * MIB
    assert pacer_of(gogc_percent=200).heap_goal() == 8 * MIB
    assert pacer_of(gogc_percent=0).heap_goal() == 0


def test_goal_grows_with_roots() -> None:
    pacer = marked(pacer_of(gogc_percent=50), 100 * MIB, stacks=10 * MIB, globals_bytes=2 * MIB)
    assert pacer.heap_goal() == 100 * MIB + (100 + 10 + 2) * MIB // 2


def test_gogc_off_leaves_no_goal_but_the_memory_limit() -> None:
    assert marked(pacer_of(gogc_percent=-5), 100 * MIB).gc_percent_heap_goal_bytes == UINT64_MAX
    pacer = pacer_of(gogc_percent=-1, limit=1000 * MIB)
    pacer.mapped_ready_bytes = 50 * MIB
    goal = 950 * MIB
    assert marked(pacer, 100 * MIB).heap_goal() == goal - goal // 100 * 3
    old = pacer_of("1.19", gogc_percent=-1, limit=1000 * MIB)
    old.mapped_ready_bytes = 50 * MIB
    assert marked(old, 100 * MIB).heap_goal() == goal - MIB


def test_memory_over_the_limit_lowers_the_goal_twice() -> None:
    pacer = pacer_of(gogc_percent=-1, limit=1000 * MIB)
    pacer.total_alloc_bytes = 900 * MIB
    pacer.mapped_ready_bytes = 1020 * MIB
    # 120 MiB are no heap, and 20 MiB exceed the limit.
    goal = (1000 - 120 - 20) * MIB
    assert marked(pacer, 100 * MIB).heap_goal() == goal - goal // 100 * 3


def test_no_goal_below_the_marked_heap() -> None:
    pacer = pacer_of(limit=64 * MIB)
    assert marked(pacer, 100 * MIB).trigger() == (100 * MIB, 100 * MIB)


def test_an_account_of_more_heap_than_memory_is_refused() -> None:
    pacer = pacer_of()
    pacer.total_alloc_bytes = MIB
    with pytest.raises(AssertionError, match="exceed the mapped memory"):
        pacer.memory_limit_heap_goal()


def test_trigger_keeps_within_its_bounds() -> None:
    pacer = marked(pacer_of(), 64 * MIB)
    pacer.runway_bytes = 0
    assert pacer.trigger() == (64 * MIB + 61 * MIB, 128 * MIB)
    pacer.runway_bytes = 10 * MIB
    assert pacer.trigger() == (118 * MIB, 128 * MIB)
    pacer.runway_bytes = 100 * MIB
    assert pacer.trigger() == (64 * MIB + 45 * MIB, 128 * MIB)
    large = marked(pacer_of(), 256 * MIB)
    large.runway_bytes = 0
    assert large.trigger() == (508 * MIB, 512 * MIB)  # the minimum heap below the goal


def test_unswept_heap_moves_trigger_and_goal_up() -> None:
    pacer = marked(pacer_of(), 64 * MIB)
    pacer.heap_live_bytes = 127 * MIB + 512 * KIB
    pacer.commit(False)
    assert pacer.trigger() == (128 * MIB + 512 * KIB, 128 * MIB + 512 * KIB)


def test_a_cycle_that_starts_at_its_goal_gets_64_kib_of_runway() -> None:
    pacer = marked(pacer_of(), 64 * MIB)
    pacer.heap_live_bytes = 130 * MIB
    pacer.start_cycle(0, 4, TriggerKind.HEAP)
    assert pacer.heap_goal() == 130 * MIB + 64 * KIB


def test_assist_ratio_is_work_left_over_room_left() -> None:
    pacer = marked(pacer_of(), 64 * MIB)
    pacer.heap_live_bytes = 112 * MIB
    pacer.start_cycle(0, 4, TriggerKind.HEAP)
    assert pacer.assist_work_per_byte == 64 / 16
    assert pacer.assist_bytes_per_work == 16 / 64
    pacer.heap_scan_work_bytes = 32 * MIB
    pacer.heap_live_bytes = 120 * MIB
    pacer.revise()
    assert pacer.assist_work_per_byte == 32 / 8


def test_more_work_than_expected_stretches_the_goal_and_keeps_assists_flat() -> None:
    pacer = marked(pacer_of(), 64 * MIB)
    pacer.heap_live_bytes = 112 * MIB
    pacer.heap_scan_bytes = 80 * MIB
    pacer.start_cycle(0, 4, TriggerKind.HEAP)
    pacer.heap_scan_work_bytes = 64 * MIB + 1
    pacer.heap_live_bytes = 128 * MIB
    pacer.revise()
    # 16 MiB of runway for 64 MiB of work become 20 MiB for 80 MiB: 16 MiB of work in 4 MiB of room.
    assert pacer.assist_work_per_byte == pytest.approx(4.0, rel=1e-6)


def test_past_the_goal_the_hard_goal_is_a_tenth_above() -> None:
    pacer = marked(pacer_of(), 60 * MIB)
    pacer.heap_live_bytes = 110 * MIB
    pacer.start_cycle(0, 4, TriggerKind.HEAP)
    pacer.heap_live_bytes = 122 * MIB
    pacer.revise()
    # The worst case of work: all 60 MiB. The room up to 132 MiB.
    assert pacer.assist_work_per_byte == pytest.approx(60 / 10, rel=1e-6)


def measure(pacer: Pacer, *, allocated: int) -> None:
    """A cycle of 100 ms on 4 Ps with 80 CPU-ms of assists, 64 MiB scanned and this much allocated."""
    pacer.start_cycle(0, 4, TriggerKind.HEAP)
    pacer.heap_scan_work_bytes = 64 * MIB
    pacer.assist_time_cpu_ns = 80_000_000
    pacer.heap_live_bytes += allocated
    pacer.end_cycle(100_000_000, 4)
    pacer.reset_live(64 * MIB)
    pacer.commit(False)


def test_cons_mark_is_the_ratio_of_both_rates() -> None:
    pacer = marked(pacer_of(), 64 * MIB)
    measure(pacer, allocated=32 * MIB)
    # The collector had 25 % + 80 of 400 CPU-ms = 45 % of the CPU, the program the rest.
    assert pacer.cons_mark == pytest.approx((32 / 0.55) / (64 / 0.45))
    assert pacer.runway_bytes == pytest.approx(pacer.cons_mark * 3 * 64 * MIB, abs=1)


def test_idle_marking_counts_on_the_scan_side_only() -> None:
    pacer = marked(pacer_of(), 64 * MIB)
    pacer.start_cycle(0, 4, TriggerKind.HEAP)
    pacer.heap_scan_work_bytes = 64 * MIB
    pacer.idle_mark_time_cpu_ns = 200_000_000
    pacer.heap_live_bytes += 32 * MIB
    pacer.end_cycle(100_000_000, 4)
    assert pacer.cons_mark == pytest.approx((32 / 0.75) / (64 / 0.75))


def test_a_cycle_in_which_the_heap_did_not_grow_measures_nothing() -> None:
    pacer = marked(pacer_of(), 64 * MIB)
    measure(pacer, allocated=32 * MIB)
    before = pacer.cons_mark, list(pacer.last_cons_mark)
    measure(pacer, allocated=0)
    assert (pacer.cons_mark, pacer.last_cons_mark) == before
    assert pacer.last_heap_goal_bytes > 0


def test_eras_estimate_differently_from_the_same_measurements() -> None:
    estimates: dict[type[Pacer], list[float]] = {}
    for release in ("1.19", "1.20", "1.27"):
        pacer = marked(pacer_of(release), 64 * MIB)
        for allocated in (32 * MIB, 8 * MIB):
            pacer.heap_live_bytes = pacer.trigger()[0]
            measure(pacer, allocated=allocated)
            estimates.setdefault(type(pacer), []).append(pacer.cons_mark)
    high, low = estimates[WindowPacer][0], estimates[WindowPacer][0] / 4
    assert estimates[WindowPacer] == [high, high]
    assert estimates[MeanPacer] == pytest.approx([high / 2, (high + low) / 2])
    assert estimates[PIPacer][0] == pytest.approx(0.9 * high)


def test_1_19_counts_from_the_computed_trigger_later_releases_from_the_heap() -> None:
    for release, triggered in (("1.19", 125 * MIB), ("1.27", 70 * MIB)):
        pacer = marked(pacer_of(release), 64 * MIB)
        pacer.heap_live_bytes = 70 * MIB  # an explicit runtime.GC()
        pacer.start_cycle(0, 4, TriggerKind.CYCLE)
        assert pacer.triggered_bytes == triggered
        pacer.reset_live(64 * MIB)
        assert pacer.triggered_bytes == NOT_TRIGGERED


def test_workers_are_claimed_and_given_back() -> None:
    pacer = pacer_of()
    pacer.start_cycle(0, 4, TriggerKind.HEAP)
    assert pacer.take_dedicated_mark_worker()
    assert not pacer.take_dedicated_mark_worker()
    pacer.mark_worker_stop(MarkWorkerMode.DEDICATED, 7)
    assert pacer.take_dedicated_mark_worker()
    assert [pacer.add_idle_mark_worker() for _ in range(4)] == [True, True, True, False]
    pacer.mark_worker_stop(MarkWorkerMode.IDLE, 5)
    assert pacer.need_idle_mark_worker()
    pacer.mark_worker_stop(MarkWorkerMode.FRACTIONAL, 3)
    times = (pacer.dedicated_mark_time_cpu_ns, pacer.idle_mark_time_cpu_ns, pacer.fractional_mark_time_cpu_ns)
    assert times == (7, 5, 3)


def test_removing_an_idle_worker_that_is_not_there_is_refused() -> None:
    with pytest.raises(AssertionError, match="no idle mark worker"):
        pacer_of().remove_idle_mark_worker()


def test_a_cycle_without_scan_work_has_no_finite_measurement_and_resets_the_1_19_estimate() -> None:
    for release, estimate in (("1.19", 0.0), ("1.27", math.inf)):
        pacer = marked(pacer_of(release), 64 * MIB)
        pacer.heap_live_bytes = 126 * MIB
        measure(pacer, allocated=32 * MIB)
        pacer.heap_live_bytes = 126 * MIB
        pacer.start_cycle(0, 4, TriggerKind.HEAP)
        pacer.heap_live_bytes += MIB
        pacer.end_cycle(1_000_000, 4)
        assert pacer.cons_mark == estimate
