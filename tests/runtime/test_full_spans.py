"""Spans with nothing free: who needs one of their class sweeps up to a hundred of them in vain."""

from __future__ import annotations

from typing import Any

import pytest

from gcsim.runtime.sweep import SPAN_BUDGET
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
            # With several spans to a request it may meet more than once.
            assert ended - began == pytest.approx(VAIN_NS + usual, abs=VAIN_NS)


def test_other_classes_do_not_meet_them(world: Worlds) -> None:
    """What was filled while marking they meet, which is little."""
    w = world(COSTS, allocates(64, 32), retained=[BUILT], duration=100 * MS).run()
    assert len(w.rows["cycle"]) >= 2
    assert VAIN_NS not in vain_sweeps(w)
