"""Other collectors than Go's own: cycles without the program, and generations."""

from __future__ import annotations

from typing import Any

import pytest

from gcsim.errors import RunError
from gcsim.policy.generations import CARD_BYTES
from gcsim.runtime.records import MinorRecord, PauseRecord
from tests.runtime.conftest import Worlds
from tests.runtime.tiny import MS, US, Tiny

# Marking costs 1 ns per byte of scan work, so that bytes are nanoseconds; nothing else costs anything.
NS_PER_BYTE = {
    "mark_scan_object_ns": 128.0,
    "mark_scan_ns_per_byte": 1.0,
    "mark_globals_ns_per_byte": 1.0,
    "mark_stack_ns_per_byte": 1.0,
}
FULL = {"size": 1016, "pointer_words": 127}  # 1 KiB slots, all of it scan work
KEPT = {"name": "kept", "table_slot_bytes": 0, "objects": [FULL]}
FORCED = {"name": "gc", "arrivals": "recorded", "arrival_times_ns": [1 * MS], "steps": ["gc"]}
SPIN = {"name": "spin", "workers": 2, "steps": [{"cpu": "100us"}]}
STOPPED: dict[str, Any] = {"collector": "stop_the_world"}


# ---- stop the world ----------------------------------------------------------------------------------------------


def forced_cycle(world: Worlds, costs: dict[str, float], *, runtime: dict[str, Any]) -> Tiny:
    """Two Ps, busy with requests of 100 us; 3,000 KiB to mark when a collection is asked for after 1 ms."""
    w = world(
        costs, SPIN, FORCED, procs=2, runtime=runtime, retained=[{**KEPT, "entries": 3000}], duration=20 * MS
    )
    return w.run()


def test_all_ps_mark_and_nobody_else_runs_until_it_is_over(world: Worlds) -> None:
    """3,072,000 B at 1 ns per byte on two Ps take about 1,536 us, in which no request makes progress."""
    w = forced_cycle(world, NS_PER_BYTE, runtime=STOPPED)
    cycle = w.rows["cycle"][-1]
    assert cycle.trigger_reason == "forced"
    assert cycle.mark_ns == pytest.approx(3_072_000 / 2, rel=0.03)
    assert cycle.dedicated_cpu_ns == pytest.approx(3_072_000, rel=0.03)
    assert (cycle.assist_cpu_ns, cycle.fractional_cpu_ns, cycle.idle_cpu_ns) == (0, 0, 0)
    begin, end = cycle.mark_start_ns - w.start_ns, cycle.end_ns - w.start_ns
    for p in range(2):
        states = {s for s, a, b in w.intervals(p) if a < end and b > begin}
        assert states <= {"dedicated", "idle", "overhead", "stw"}
    # Both requests under way are held up by all of it.
    longest = sorted(w.latencies("spin"))[-2:]
    assert longest == pytest.approx([100 * US + end - begin] * 2, abs=30 * US)


def test_the_program_sees_one_pause_per_cycle(world: Worlds) -> None:
    w = forced_cycle(world, NS_PER_BYTE, runtime=STOPPED)
    pauses: list[PauseRecord] = w.rows["pause"]
    assert [(p.kind, p.start_ns, p.start_ns + p.duration_ns) for p in pauses] == [
        ("stop_the_world", c.start_ns, c.end_ns) for c in w.rows["cycle"]
    ]


def test_nothing_is_allocated_while_a_cycle_marks_without_the_program(world: Worlds) -> None:
    """So heap live does not grow, and the pacer, which measures nothing, starts cycles as late as it may."""
    allocates = {"workers": 2, "steps": [{"cpu": "1us"}, {"allocate": {"count": 1, "size": 1024}}]}
    w = world(
        NS_PER_BYTE,
        allocates,
        procs=2,
        runtime=STOPPED,
        retained=[{**KEPT, "entries": 3000}],
        duration=60 * MS,
    ).run()
    cycles = [c for c in w.rows["cycle"] if c.phase == "load"]
    assert len(cycles) > 3
    assert all(c.heap_end_bytes == c.heap_start_bytes for c in cycles)
    assert all(c.cons_mark == 0.0 and c.runway_bytes == 0 for c in cycles)


def test_sweeping_is_in_the_pause_where_asked_for(world: Worlds) -> None:
    """At 1 us per page the pages in use at the end of marking make the pause longer; afterwards nothing is left."""
    costs = {**NS_PER_BYTE, "sweep_page_ns": 1000.0}
    beside, within = (
        forced_cycle(world, costs, runtime={**STOPPED, "stop_the_world_sweep": sweep})
        for sweep in (False, True)
    )
    first, second = beside.rows["cycle"][-1], within.rows["cycle"][-1]
    pages = second.heap_end_bytes / 8192
    assert second.mark_term_ns - first.mark_term_ns == pytest.approx(1000 * pages, rel=0.05)
    swept = [
        sum(i.end_ns - i.start_ns for p in range(2) for i in w.intervals(p) if i.state == "sweep")
        for w in (beside, within)
    ]
    assert swept[1] == 0


def test_who_arrives_in_the_pause_is_served_after_it(world: Worlds) -> None:
    arrives = {
        "name": "late",
        "arrivals": "recorded",
        "arrival_times_ns": [2 * MS],
        "steps": [{"cpu": "10us"}],
    }
    sleeps = {"name": "sleeps", "arrivals": "recorded", "arrival_times_ns": [900 * US], "steps": [
        {"block": {"ns": 1 * MS, "timer": True}}, {"cpu": "10us"}]}  # fmt: skip
    w = world(
        NS_PER_BYTE, FORCED, arrives, sleeps, procs=2, runtime=STOPPED, retained=[{**KEPT, "entries": 3000}],
        duration=20 * MS,
    ).run()  # fmt: skip
    end = w.rows["cycle"][-1].end_ns - w.start_ns
    assert end > 2.3 * MS
    for name in ("late", "sleeps"):
        [(_, done)] = w.spans(name)
        assert end <= done <= end + 50 * US


# ---- generations -------------------------------------------------------------------------------------------------

COPY = {"copy_ns_per_byte": 1.0}  # so that bytes copied are nanoseconds
CACHE = {"name": "cache", "entries": 1000, "objects": [{"size": 1016, "pointer_words": 1}]}


def generational(**settings: Any) -> dict[str, Any]:
    return {"collector": "generational", "generational": {"nursery": 1 << 20, "promotion_age": 1} | settings}


def service(
    world: Worlds, costs: dict[str, float], *steps: Any, duration: int = 60 * MS, **settings: Any
) -> Tiny:
    """One P; requests that compute for 1 us and do `steps`."""
    request = {"workers": 1, "steps": [{"cpu": "1us"}, *steps]}
    w = world(costs, request, runtime=generational(**settings), retained=[CACHE], duration=duration)
    return w.run()


def minors(w: Tiny) -> list[MinorRecord]:
    """Those of a full nursery in the load phase, the first apart, which has the start's survivors."""
    return [m for m in w.rows["minor"] if m.phase == "load" and m.reason == "nursery_full"][1:]


def garbage(size: int) -> dict[str, Any]:
    return {"allocate": {"count": 1, "size": size}}


def replace(count: float) -> dict[str, Any]:
    return {"replace": {"set": "cache", "count": count}}


def pauses_ns(w: Tiny) -> list[int]:
    return [m.duration_ns - m.stopping_ns for m in minors(w)]


def test_a_minor_collection_comes_when_the_nursery_is_full_and_costs_what_survives(world: Worlds) -> None:
    """1 KiB of garbage and, every tenth time, 1 KiB in place of an old entry: an eleventh of 1 MiB survives."""
    w = service(world, COPY, garbage(1024), replace(0.1))
    found = minors(w)
    assert len(found) > 20
    for m in found:
        assert 1 << 20 <= m.nursery_bytes <= (1 << 20) + 16 * 1024
        assert m.copied_bytes == m.promoted_bytes == pytest.approx(m.nursery_bytes / 11, rel=0.08)
        assert m.freed_bytes == m.nursery_bytes - m.copied_bytes
        # What the request under way has allocated by then is promoted with them, and copied at the same cost.
        assert m.duration_ns - m.stopping_ns == pytest.approx(m.copied_bytes, rel=0.01)


def test_the_pause_does_not_grow_with_garbage(world: Worlds) -> None:
    """Eight times the nursery, all the rest of it garbage, at the same survivors per collection."""
    little = service(world, COPY, garbage(1024), replace(0.1), nursery=1 << 20)
    much = service(world, COPY, garbage(8192), replace(0.1), nursery=8 * (1 << 20), duration=160 * MS)
    freed = [sum(m.freed_bytes for m in minors(w)) / len(minors(w)) for w in (little, much)]
    assert freed[1] > 6 * freed[0]
    mean = [sum(pauses_ns(w)) / len(pauses_ns(w)) for w in (little, much)]
    assert mean[1] == pytest.approx(mean[0], rel=0.25)


def test_the_pause_grows_with_survivors(world: Worlds) -> None:
    few = service(world, COPY, garbage(1024), replace(0.1))
    many = service(world, COPY, garbage(512), replace(0.4))
    mean = [sum(pauses_ns(w)) / len(pauses_ns(w)) for w in (few, many)]
    survivors = [sum(m.copied_bytes for m in minors(w)) / len(minors(w)) for w in (few, many)]
    assert survivors[1] > 3 * survivors[0]
    assert mean[1] / mean[0] == pytest.approx(survivors[1] / survivors[0], rel=0.05)


def test_the_pause_grows_with_what_old_objects_were_made_to_point_to(world: Worlds) -> None:
    """100 stores per request into 1,000 old entries of 1 KiB dirty nearly all of their 2,000 cards in every round."""
    costs = {"mark_scattered_group_ns": 100.0, "own_cache_bytes": 1e9}
    few = service(world, costs, garbage(1024))
    many = service(world, costs, garbage(1024), {"pointer_writes": {"count": 100, "set": "cache"}})
    assert all(m.remembered_cards == 0 for m in minors(few))
    for m in minors(many):
        assert m.remembered_cards == pytest.approx(1000 * 1024 / CARD_BYTES, rel=0.01)
        assert m.duration_ns - m.stopping_ns == pytest.approx(100 * m.remembered_cards, rel=0.01)


def test_the_write_barrier_is_always_on(world: Worlds) -> None:
    """100 stores of 5 ns per request of 1 us: requests take half as long again, marking or not."""
    step = {"pointer_writes": {"count": 100, "set": "cache"}}
    costs = {"write_barrier_ns": 5.0, "own_cache_bytes": 1e9}
    slow = service(world, costs, step)
    fast = world(
        costs, {"workers": 1, "steps": [{"cpu": "1us"}, step]}, retained=[CACHE], duration=60 * MS
    ).run()
    done = [len(w.rows["request"]) for w in (fast, slow)]
    assert done[0] / done[1] == pytest.approx(1.5, rel=0.01)


def test_who_dies_before_its_age_is_never_promoted(world: Worlds) -> None:
    """Data of requests that wait for 5 ms lives through one or two collections: of age 1 it is promoted, of age 4 not."""
    waits = {"name": "waits", "workers": 40, "steps": [garbage(4096), {"block": "5ms"}, {"cpu": "50us"}]}
    promoted = {}
    for age in (1, 4):
        w = world(
            {}, waits, runtime=generational(promotion_age=age, nursery=128 << 10), duration=100 * MS
        ).run()
        promoted[age] = sum(m.promoted_bytes for m in minors(w))
        assert len(minors(w)) > 10
    assert promoted[1] > 20 * 4096
    assert promoted[4] == 0


def test_survivors_are_copied_until_they_are_of_age(world: Worlds) -> None:
    """At age 3 each entry is copied three times before it is old, so copying costs three times as much."""
    once = service(world, COPY, garbage(1024), replace(0.1), promotion_age=1)
    thrice = service(world, COPY, garbage(1024), replace(0.1), promotion_age=3)
    mean = [sum(m.copied_bytes for m in minors(w)[4:]) / len(minors(w)[4:]) for w in (once, thrice)]
    # Entries that are replaced again within three collections die on the way.
    assert 2.2 < mean[1] / mean[0] < 3.0
    assert sum(m.promoted_bytes for m in minors(thrice)) < sum(m.promoted_bytes for m in minors(once))


def test_the_old_generation_is_collected_by_concurrent_cycles(world: Worlds) -> None:
    """Every third request replaces an entry; old garbage grows to GOGC percent of what is live, then a cycle has it."""
    w = service(world, {}, garbage(1024), replace(0.3), duration=100 * MS, nursery=256 << 10)
    cycles = [c for c in w.rows["cycle"] if c.phase == "load"]
    assert len(cycles) >= 3
    for c in cycles[1:]:
        # 1,000 entries and their table; the rest of what is there at the trigger is dead.
        assert c.heap_marked_bytes == pytest.approx(1000 * 1024 + 8192, rel=0.25)
        assert c.heap_start_bytes >= 0.9 * c.trigger_bytes
    kinds = [p.kind for p in w.rows["pause"] if p.phase == "load"]
    assert kinds.count("sweep_termination") == kinds.count("mark_termination") == len(cycles)
    assert kinds.count("minor") == len(minors(w)) + 1
    majors = [m for m in w.rows["minor"] if m.reason == "major" and m.phase == "load"]
    assert len(majors) == len(cycles)


def test_an_object_is_lost_without_the_remembered_set(world: Worlds) -> None:
    w = world(
        {}, {"workers": 1, "steps": [{"cpu": "1us"}, garbage(1024), replace(0.1)]}, retained=[CACHE],
        runtime=generational(remembered_set=False), duration=20 * MS,
    )  # fmt: skip
    with pytest.raises(
        RunError, match=r"freed \d+ bytes that the program can still reach \(.*set cache.*switch it on"
    ):
        w.run()
    world.made.remove(w)  # its books cannot be closed


def test_without_pointers_from_old_objects_nothing_is_lost(world: Worlds) -> None:
    """What only stacks refer to is found without a remembered set."""
    keeps_nothing = {"workers": 1, "steps": [{"cpu": "1us"}, garbage(1024)]}
    w = world({}, keeps_nothing, runtime=generational(remembered_set=False), duration=20 * MS).run()
    assert len(minors(w)) > 5


def test_marking_that_ends_as_the_world_stops_for_a_minor_collection_is_over(world: Worlds) -> None:
    """Tiny nurseries, and marking of 5 us per object: cycles go on through many minor collections, and end."""
    requests = {"workers": 2, "steps": [{"cpu": "1us"}, garbage(1024), replace(1.0)]}
    costs = {**NS_PER_BYTE, "mark_scan_object_ns": 5000.0}
    runtime = generational(nursery=64 << 10)
    w = world(costs, requests, procs=2, runtime=runtime, retained=[CACHE], duration=100 * MS).run()
    cycles = w.rows["cycle"]
    assert len(cycles) > 2
    during = [
        sum(c.mark_start_ns < m.start_ns < c.mark_start_ns + c.mark_ns for m in w.rows["minor"])
        for c in cycles
    ]
    assert max(during) > 3
