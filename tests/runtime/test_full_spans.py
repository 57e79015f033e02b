"""Spans with nothing free: who needs one of their class sweeps up to a hundred of them in vain."""

from __future__ import annotations

from typing import Any

import pytest

from gcsim.runtime.spans import full_spans, garbage_shares, large_frac
from gcsim.runtime.sweep import CHUNK_PAGES, SPAN_BUDGET
from tests.runtime.conftest import Worlds
from tests.runtime.tiny import MS, Tiny

SWEEP_NS = 1000
COSTS = {
    "sweep_full_span_ns": float(SWEEP_NS),
    "sweep_page_ns": float(SWEEP_NS),
    "mark_noscan_object_ns": 1.0,
}
# 8 objects to a span of one page: 500 full spans.
BUILT = {"name": "built", "table_slot_bytes": 0, "objects": [{"size": 1024}], "entries": 4000}
VAIN_NS = SPAN_BUDGET * SWEEP_NS


def allocates(size: int, count: int) -> dict[str, Any]:
    return {"workers": 1, "steps": [{"cpu": "10us"}, {"allocate": {"count": count, "size": size}}]}


def vain_sweeps(w: Tiny) -> list[int]:
    """How long the P swept at a time instead of going on with its request, in ns."""
    return [end - start for state, start, end in w.intervals() if state == "sweep"]


def test_a_set_built_in_order_is_swept_a_hundred_spans_at_a_time(world: Worlds) -> None:
    w = world(COSTS, allocates(1024, 2), retained=[BUILT], duration=100 * MS).run()
    found = vain_sweeps(w)
    cycles = len(w.rows["cycle"])
    assert cycles >= 2
    assert max(found) == VAIN_NS
    # The set's 500 spans in each cycle, less what was swept on the way to them.
    assert 2 * cycles <= found.count(VAIN_NS) <= 6 * cycles


def test_one_request_pays_for_a_hundred_of_them(world: Worlds) -> None:
    w = world(COSTS, allocates(1024, 2), retained=[BUILT], duration=100 * MS).run()
    requests = w.spans()
    usual = sorted(w.latencies())[len(requests) // 2]
    assert usual < VAIN_NS / 2
    for state, start, end in w.intervals():
        if state == "sweep" and end - start == VAIN_NS and end < requests[-1][1]:
            [(began, ended)] = [(b, e) for b, e in requests if b <= start and end <= e]
            # With several spans to a request it may meet more than once; the rest of the request is as long as any.
            assert 0.9 * usual <= (ended - began) % VAIN_NS <= 2 * usual


def test_other_classes_do_not_meet_them(world: Worlds) -> None:
    """What was filled while marking they meet, which is little."""
    w = world(COSTS, allocates(64, 32), retained=[BUILT], duration=100 * MS).run()
    assert len(w.rows["cycle"]) >= 2
    assert VAIN_NS not in vain_sweeps(w)


def test_a_throttled_process_goes_on_with_its_sweeping(world: Worlds) -> None:
    """A quota that is used up in the middle of a hundred spans leaves nobody behind."""
    quota = {"cfs_quota": "2ms", "cfs_period": "5ms"}
    w = world(COSTS, allocates(1024, 2), retained=[BUILT], duration=200 * MS, machine=quota).run()
    assert VAIN_NS in vain_sweeps(w)
    throttled = [(start, end) for state, start, end in w.intervals() if state == "idle"]
    assert len(w.latencies()) > 1000, throttled


def test_a_nursery_takes_no_spans(world: Worlds) -> None:
    generational = {"collector": "generational", "generational": {"nursery": "256KiB"}}
    w = world(COSTS, allocates(1024, 2), retained=[BUILT], duration=50 * MS, runtime=generational).run()
    assert not w.world.sweep.lumps_every_bytes
    assert VAIN_NS not in vain_sweeps(w)


def test_rare_and_large_things_do_not_count_as_small_ones(world: Worlds) -> None:
    """One 64 B object among 64 KiB of large ones takes a span of its class once in 8 MiB."""
    steps = [{"cpu": "10us"}, {"allocate": {"size": 65536}}, {"allocate": {"size": 64}}]
    leak = {"leak": {"size": 65536}}
    w = world(COSTS, {"workers": 1, "steps": [*steps, leak]}, duration=1 * MS).run()
    [found] = full_spans(w.world.probe.load.plans, w.world.heap, 1 << 20)
    assert found.per_byte == pytest.approx(64 / (2 * 65536 + 64) / 8192, rel=0.02)


def test_nothing_allocated_has_no_shares(world: Worlds) -> None:
    w = world(COSTS, {"workers": 1, "steps": [{"cpu": "10us"}]}, duration=1 * MS).run()
    assert garbage_shares(w.world.probe.load.plans) == {}
    assert full_spans(w.world.probe.load.plans, w.world.heap, 1 << 20) == []


def test_classes_count_by_their_requests(world: Worlds) -> None:
    often = {
        "name": "often",
        "workers": 1,
        "steps": [{"cpu": "10us"}, {"allocate": {"count": 10, "size": 64}}],
    }
    seldom = {
        "name": "seldom", "arrivals": "constant", "rate_per_s": 100, "steps": [{"allocate": {"count": 100, "size": 1024}}],
    }  # fmt: skip
    w = world(COSTS, often, seldom, duration=100 * MS, procs=2).run()
    plans = w.world.probe.load.plans
    made = [plan.finished * plan.bytes_per_request for plan in plans]
    shares = garbage_shares(plans)
    assert sorted(shares.values()) == pytest.approx(sorted(n / sum(made) for n in made), rel=0.01)


def test_large_garbage_reclaims_a_chunk_at_a_time(world: Worlds) -> None:
    """Some of what is dead is swept 4 MiB of heap at once; the same in small objects is not."""
    costs = {"sweep_page_ns": 100.0}
    large = world(costs, allocates(65536, 1), duration=200 * MS, runtime={"gogc": 400}).run()
    small = world(costs, allocates(8192, 8), duration=200 * MS, runtime={"gogc": 400}).run()
    # The cost is by span: a chunk of 512 pages has 64 of them.
    chunk_ns = CHUNK_PAGES // 8 * 100
    assert max(vain_sweeps(large)) == pytest.approx(chunk_ns, rel=0.05)
    assert not [ns for ns in vain_sweeps(small) if ns > chunk_ns / 2]
    cycles = len(large.rows["cycle"])
    assert cycles <= len(vain_sweeps(large)) <= 5 * cycles


def test_share_of_large_objects(world: Worlds) -> None:
    steps = [{"cpu": "10us"}, {"allocate": {"size": 65536}}, {"allocate": {"size": 1024, "count": 64}}]
    w = world(COSTS, {"workers": 1, "steps": steps}, duration=1 * MS).run()
    assert large_frac(w.world.probe.load.plans) == pytest.approx(0.5, rel=0.01)
