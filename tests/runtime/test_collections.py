"""Collections in tiny worlds: when they start, who marks, who waits."""

from __future__ import annotations

from typing import Any

import pytest

from gcsim.policy.constants import FRACTIONAL_EXIT_FACTOR
from gcsim.runtime.mark import DRAIN_CHECK_BYTES
from tests.runtime.conftest import Worlds
from tests.runtime.tiny import MS, US, S, Tiny

# Marking costs 1 ns per byte of scan work, so that bytes are nanoseconds; nothing else costs anything.
NS_PER_BYTE = {
    "mark_scan_object_ns": 128.0,
    "mark_scan_ns_per_byte": 1.0,
    "mark_globals_ns_per_byte": 1.0,
    "mark_stack_ns_per_byte": 1.0,
}
# 1 KiB slots filled to the last byte: 127 pointer words and the header of 8 B, all of it scan work.
FULL = {"size": 1016, "pointer_words": 127}
KEEPS = {"name": "kept", "table_slot_bytes": 0, "objects": [FULL]}
FORCED = {"name": "gc", "arrivals": "recorded", "steps": ["gc"]}


def marks(w: Tiny) -> list[tuple[int, int]]:
    """Start and end of marking of each cycle, in ns since load start."""
    return [(c.mark_start_ns - w.start_ns, c.mark_start_ns - w.start_ns + c.mark_ns) for c in w.rows["cycle"]]


def test_the_first_cycle_starts_when_heap_live_crosses_the_trigger(world: Worlds) -> None:
    """1 KiB per us from a half-used span of 8 KiB reaches the trigger, 61/64 of 4 MiB, after 3.9 ms."""
    allocates = {"workers": 1, "steps": [{"cpu": "1us"}, {"allocate": {"count": 1, "size": 1024}}]}
    w = world({}, allocates, duration=5 * MS)
    w.until(1)
    assert w.world.pacer.heap_live_bytes == 4096
    w.run()
    [cycle] = w.rows["cycle"]
    assert cycle.trigger_bytes == (4 << 20) // 64 * 61
    crossing_ns = 3_900_000
    assert 4096 + 1.024 * crossing_ns == cycle.trigger_bytes
    started_ns = cycle.start_ns - w.start_ns
    # Never before; and it is looked for in steps of 5 us at the end.
    assert crossing_ns <= started_ns <= crossing_ns + 5 * US
    # The world stops 1 us later, and allocates until then.
    late_ns = started_ns + 1_000 - crossing_ns
    assert cycle.heap_start_bytes - cycle.trigger_bytes == pytest.approx(1.024 * late_ns, abs=2)


def test_forced_collection_waits_for_the_cycle(world: Worlds) -> None:
    """runtime.GC() returns when a cycle that began after the call has marked (1 MB at 1 ns per byte) and swept."""
    caller = {**FORCED, "arrival_times_ns": [1 * MS]}
    w = world(NS_PER_BYTE, caller, retained=[{**KEEPS, "entries": 1000}], duration=10 * MS).run()
    [cycle] = w.rows["cycle"]
    assert cycle.trigger_reason == "forced"
    [(called, returned)] = w.spans("gc")
    assert called == 1 * MS
    assert called <= cycle.start_ns - w.start_ns
    assert returned >= cycle.end_ns - w.start_ns
    assert cycle.heap_scan_work_bytes >= 1000 * 1024
    # One P, idle but for the collector: it marks all the time.
    assert cycle.mark_ns == pytest.approx(cycle.heap_scan_work_bytes + cycle.stack_scan_work_bytes, rel=0.02)


def test_calls_during_a_cycle_share_the_next_one(world: Worlds) -> None:
    """A call while a cycle is under way is not content with it; two of them share one cycle more."""
    caller = {**FORCED, "arrival_times_ns": [1 * MS, 1 * MS + 300 * US, 1 * MS + 400 * US]}
    w = world(NS_PER_BYTE, caller, procs=4, retained=[{**KEEPS, "entries": 3000}], duration=20 * MS).run()
    first, second = w.rows["cycle"]
    ends = sorted(end for _, end in w.spans("gc"))
    assert ends[0] < second.end_ns - w.start_ns <= ends[1] <= ends[2]
    assert first.start_ns - w.start_ns == pytest.approx(1 * MS, abs=10 * US)


def test_the_fractional_worker_leaves_above_1_2_times_its_share(world: Worlds) -> None:
    """On one P the fractional worker runs in bursts: it looks every 100,000 B of scan work, leaves above 0.3 of the
    time since mark start, and returns when the scheduler finds it at 0.25 or below."""
    spin = {"name": "spin", "workers": 1, "steps": [{"cpu": "1ms"}]}
    caller = {**FORCED, "arrival_times_ns": [1 * MS]}
    w = world(NS_PER_BYTE, spin, caller, retained=[{**KEEPS, "entries": 40_000}], duration=250 * MS).run()
    begin, end = marks(w)[-1]
    bursts = [i for i in w.intervals() if i.state == "fractional" and begin <= i.start_ns < end]
    stack, *others = bursts
    # A root job is looked at when it is done: the first burst scans the one goroutine's stack.
    assert stack.start_ns == begin
    assert stack.end_ns - stack.start_ns == w.rows["cycle"][-1].stack_scan_work_bytes
    # While more than half of the work is left; towards the end, work is taken in pieces that shrink with it.
    others = [burst for burst in others if burst.end_ns < begin + (end - begin) // 2]
    assert len(others) >= 3
    had = stack.end_ns - stack.start_ns
    limit = FRACTIONAL_EXIT_FACTOR * 0.25
    for burst in others:
        assert had / (burst.start_ns - begin) <= 0.25
        length = burst.end_ns - burst.start_ns
        had += length
        looks = round(length / DRAIN_CHECK_BYTES)
        assert length == pytest.approx(looks * DRAIN_CHECK_BYTES, abs=2)
        assert had / (burst.end_ns - begin) > limit
        assert (had - DRAIN_CHECK_BYTES) / (burst.end_ns - DRAIN_CHECK_BYTES - begin) <= limit


def test_a_quarter_of_four_ps_is_one_dedicated_worker(world: Worlds) -> None:
    """Four busy Ps give one to marking, from its restart to its end, and nobody else marks without allocating."""
    spin = {"name": "spin", "workers": 4, "steps": [{"cpu": "1ms"}]}
    caller = {**FORCED, "arrival_times_ns": [1 * MS]}
    w = world(
        NS_PER_BYTE, spin, caller, procs=4, retained=[{**KEEPS, "entries": 4000}], duration=40 * MS
    ).run()
    cycle = w.rows["cycle"][-1]
    assert cycle.trigger_reason == "forced"
    assert cycle.dedicated_cpu_ns == pytest.approx(cycle.mark_ns, rel=0.01)
    assert cycle.assist_cpu_ns == cycle.fractional_cpu_ns == 0
    assert cycle.dedicated_cpu_ns == pytest.approx(
        cycle.heap_scan_work_bytes + cycle.stack_scan_work_bytes, rel=0.01
    )


def test_idle_ps_mark_until_a_goroutine_wants_them(world: Worlds) -> None:
    """With three of four Ps idle all four mark; an arrival takes the P of an idle worker at that worker's next look,
    at most 100,000 B of scan work later."""
    caller = {**FORCED, "arrival_times_ns": [1 * MS]}
    served = {
        "name": "served",
        "arrivals": "recorded",
        "arrival_times_ns": [2 * MS],
        "steps": [{"cpu": "100us"}],
    }
    kept = [{**KEEPS, "entries": 8000}]
    w = world(NS_PER_BYTE, caller, served, procs=4, retained=kept, duration=20 * MS).run()
    cycle = w.rows["cycle"][-1]
    assert cycle.idle_cpu_ns == pytest.approx(3 * cycle.dedicated_cpu_ns, rel=0.15)
    assert cycle.mark_ns == pytest.approx(8000 * 1024 / 4, rel=0.05)
    assert 100 * US <= w.latencies("served")[0] <= 100 * US + DRAIN_CHECK_BYTES + 1


def test_without_idle_workers_marking_takes_its_quarter_only(world: Worlds) -> None:
    """The same cycle takes four times as long when idle Ps may not mark."""
    caller = {**FORCED, "arrival_times_ns": [1 * MS]}
    w = world(
        NS_PER_BYTE, caller, procs=4, retained=[{**KEEPS, "entries": 8000}], duration=20 * MS,
        runtime={"idle_workers": False},
    ).run()  # fmt: skip
    cycle = w.rows["cycle"][-1]
    assert cycle.idle_cpu_ns == 0
    assert cycle.mark_ns == pytest.approx(8000 * 1024, rel=0.01)


def allocating(procs: int, rate_kib_per_ms: int, **more: object) -> dict[str, object]:
    cpu_ns = 4 * MS // rate_kib_per_ms
    return {"workers": procs, "steps": [{"cpu": cpu_ns}, {"allocate": {"count": 4, **FULL}}], **more}


def test_assists_are_of_at_least_64_kib_and_steal_credit_first(world: Worlds) -> None:
    """Whoever has stolen all it needs scans nothing, whoever found less than that scans the rest of 64 KiB."""
    w = world(
        NS_PER_BYTE, allocating(4, 200), procs=4, retained=[{**KEEPS, "entries": 8000}], duration=400 * MS
    ).run()
    rows = [row for row in w.rows["assist"] if row.phase == "load" and not row.parked_ns]
    scanned = [row for row in rows if row.scan_work_bytes]
    assert scanned
    assert any(row.stolen_bytes for row in rows)
    least = [row.scan_work_bytes + row.stolen_bytes for row in scanned if row.duration_ns < 64 * 1024 + 10]
    assert least
    # One byte of each is lost to rounding down; the last assists of a cycle find less than they want.
    assert sum(size >= 64 * 1024 - 2 for size in least) > 0.8 * len(least)


def test_an_assist_takes_background_credit_before_it_scans(world: Worlds) -> None:
    """With credit for all of it an assist costs no time; with half of it, it scans the other half."""
    w = world(
        NS_PER_BYTE, allocating(4, 100), procs=4, retained=[{**KEEPS, "entries": 8000}], duration=200 * MS
    )
    w.until(1)
    while not (w.world.is_marking and any(p.state == "mutator" for p in w.world.ps)):
        w.world.env.step()
    mark = w.world.mark
    for credit, scanned in ((10 * 65_536, 0), (40_000, 65_536 - 40_000)):
        p = next(p for p in w.world.ps if p.state == "mutator")
        g = p.goroutine
        assert g is not None
        w.world.cut(p)
        g.credit, g.assist_began_ns = -1, -1
        mark._credit, mark._credit_ns = float(credit), w.world.env.now
        mark.assist(p, g)
        if scanned:
            assert p.state == "assist"
            assert p.claim is not None
            assert p.claim[2] == pytest.approx(scanned, abs=2)
        else:
            assert p.state == "mutator"
            assert mark._credit == credit - 65_536
            assert g.credit > 0


def test_assists_without_work_to_do_park_until_credit_comes(world: Worlds) -> None:
    """A heap that is one list has one frontier: while the dedicated worker walks it, assists find nothing and wait."""
    chain = {"name": "chain", "entries": 1, "table_slot_bytes": 0}
    nodes = {"count": 8000, "size": 1016, "pointer_words": 127, "shape": "list"}
    costs = NS_PER_BYTE | {"mark_list_object_ns": 128.0}
    allocates = {"workers": 4, "steps": [{"cpu": "20us"}, {"allocate": {"count": 1, "size": 4096}}]}
    w = world(costs, allocates, procs=4, retained=[{**chain, "objects": [nodes]}], duration=200 * MS).run()
    parked = [row for row in w.rows["assist"] if row.parked_ns]
    assert parked
    assert all(row.parked_ns <= row.duration_ns for row in parked)
    for cycle in w.rows["cycle"]:
        if cycle.phase == "load":
            # One P walks: the mark phase is as long as the chain, however many Ps there are.
            assert cycle.mark_ns >= cycle.heap_scan_work_bytes


def test_with_assists_off_nobody_assists_and_the_goal_is_passed(world: Worlds) -> None:
    """Twice the same program beyond what its dedicated worker can scan in time: with and without assists."""
    kept = [{**KEEPS, "entries": 8000}]
    program = allocating(4, 800)
    on = world(NS_PER_BYTE, program, procs=4, retained=kept, duration=60 * MS).run()
    off = world(
        NS_PER_BYTE, program, procs=4, retained=kept, duration=60 * MS, runtime={"assists": False}
    ).run()
    assert not off.rows["assist"]
    last_on, last_off = on.rows["cycle"][-1], off.rows["cycle"][-1]
    assert last_on.assist_cpu_ns > 0
    assert last_on.heap_end_bytes < 1.1 * last_on.heap_goal_bytes
    assert last_off.heap_end_bytes > 1.1 * last_off.heap_goal_bytes


def test_a_pool_keeps_its_items_through_one_collection_but_not_two(world: Worlds) -> None:
    """What was put back survives a cycle in the victim cache; after a second one Get has to make a new buffer."""
    user = {
        "name": "user",
        "arrivals": "recorded",
        "arrival_times_ns": [1 * MS, 3 * MS, 7 * MS],
        "steps": [{"pool_get": {"pool": "buffers", "size": "4KiB"}}, {"pool_put": "buffers"}],
    }
    caller = {**FORCED, "arrival_times_ns": [2 * MS, 4 * MS, 5 * MS]}
    w = world({}, user, caller, duration=10 * MS)
    pool = w.world.heap.pools["buffers"]
    misses = []
    for ns in (2 * MS, 4 * MS, 8 * MS):
        w.until(ns - 100)
        misses.append(pool.misses)
    assert misses == [1, 1, 2]
    w.run()
    assert [c.trigger_reason for c in w.rows["cycle"]] == ["forced"] * 3


def test_a_collection_is_forced_after_two_minutes_without_one(world: Worlds) -> None:
    """sysmon finds at its first look past 120 s that the last cycle ended so long ago."""
    caller = {**FORCED, "arrival_times_ns": [1 * S]}
    w = world({}, caller, duration=250 * S, record={"heap_interval": "10s", "window": "100s"}).run()
    first, second, *_ = w.rows["cycle"]
    assert (first.trigger_reason, second.trigger_reason) == ("forced", "time")
    assert 0 < second.start_ns - first.end_ns - 120 * S <= 10 * MS + 1_010


def test_stacks_are_the_power_of_two_that_holds_frames_and_guard(world: Worlds) -> None:
    """A stack of 2 KiB holds 1120 B of frames beside its guard of 928 B; a byte more doubles it."""
    sizes = {}
    for used in (1_120, 1_121, 3_168, 3_169):
        idle = {"count": 100, "stack_used_bytes": used}
        caller = {**FORCED, "arrival_times_ns": [1 * MS]}
        w = world(NS_PER_BYTE, caller, idle_goroutines=idle, duration=4 * MS).run()
        sizes[used] = w.world.stacks.idle_stack_bytes
        [cycle] = w.rows["cycle"]
        assert cycle.stack_scan_work_bytes >= 100 * used
    assert sizes == {1_120: 2048, 1_121: 4096, 3_168: 4096, 3_169: 8192}


def test_marking_finds_what_is_live_and_frees_the_rest(world: Worlds) -> None:
    """After a forced cycle the marked heap is the retained set, the garbage before it is freed."""
    garbage = {
        "arrivals": "recorded",
        "arrival_times_ns": [1 * MS],
        "steps": [{"allocate": {"count": 1000, **FULL}}],
    }
    caller = {**FORCED, "arrival_times_ns": [2 * MS]}
    w = world(NS_PER_BYTE, {"name": "litter", **garbage}, caller, retained=[{**KEEPS, "entries": 500}]).run()
    [cycle] = w.rows["cycle"]
    assert cycle.heap_start_bytes >= 1500 * 1024
    # Goroutines are heap objects too, some 400 B each.
    assert 500 * 1024 <= cycle.heap_marked_bytes <= 501 * 1024
    assert w.world.heap.freed_bytes >= 1000 * 1024


@pytest.mark.parametrize("blocks", [False, True])
def test_requests_say_how_long_they_assisted_and_whether_beside_marking(world: Worlds, blocks: bool) -> None:
    """Each assist is in the request that it held up, whole, and no other time is; `in_mark` says what cycles do."""
    steps: list[Any] = [{"cpu": "5us"}, {"allocate": {"count": 20, **FULL}}]
    if blocks:
        steps.insert(1, {"block": {"ns": "1us"}})
    serves = {"name": "serves", "workers": 1, "steps": steps}
    kept = [{**KEEPS, "entries": 4000}]
    w = world(NS_PER_BYTE, serves, retained=kept, runtime={"idle_workers": False}, duration=60 * MS).run()
    assists = [a for a in w.rows["assist"] if a.request_class == "serves"]
    assert len(assists) > 10
    last = w.rows["cycle"][-1].end_ns  # the cycle after it has no row yet
    requests = [r for r in w.rows["request"] if r.request_class == "serves" and r.end_ns < last]
    assert len(requests) > 20
    for request in requests:
        start, end = request.start_ns - 2, request.end_ns + 2  # slices end at the next whole nanosecond
        mine = sum(
            a.duration_ns for a in assists if start <= a.start_ns and a.start_ns + a.duration_ns <= end
        )
        assert request.assist_ns == mine
        if any(
            request.start_ns < c.mark_start_ns + c.mark_ns and c.mark_start_ns < request.end_ns
            for c in w.rows["cycle"]
        ):
            assert request.in_mark
        elif request.in_mark:  # beside the stopping that ends marking
            assert any(request.start_ns < c.end_ns and c.start_ns < request.end_ns for c in w.rows["cycle"])
    assert any(request.in_mark for request in requests)
    assert not all(request.in_mark for request in requests)
