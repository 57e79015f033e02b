"""Queues in slices: what `append(s[1:], x)` allocates, what its array keeps, and what clearing the slot frees."""

from __future__ import annotations

from typing import Any

import pytest

from gcsim.errors import SpecError
from gcsim.spec.digest import canonical_json
from gcsim.spec.load import spec_from_dict
from tests.runtime.tiny import MS, US, Tiny, tiny

KIB = 1 << 10
DEPTH = 100
JOBS = {"name": "jobs", "entries": DEPTH, "objects": [{"size": KIB, "pointer_words": 1}]}
FIFO = {"kind": "fifo", "set": "jobs"}


def run(step: dict[str, Any], **costs: float) -> Tiny:
    request = {"workers": 1, "steps": [{"kind": "cpu", "ns": 100 * US}, step]}
    return tiny(costs, request, retained=[JOBS], duration=50 * MS).run()


def test_an_array_lasts_until_its_slots_are_used_up_and_keeps_what_was_taken_off() -> None:
    """The first append asks for twice 99 slots of 8 bytes and gets 1,792 bytes: 223 slots and a header."""
    world = run(FIFO).world
    queue = world.heap.retained["jobs"]
    later = world.probe.completed_in_load - 1  # appends after the one that made the first array
    assert later > 300
    until_full = 223 - DEPTH + 1
    assert queue.entries == DEPTH + queue.stale
    assert queue.stale == later % until_full
    (growth,) = (site for key, site in world.heap.sites.by_key.items() if key.kind == "growslice")
    assert growth.objects == 1 + later // until_full
    assert growth.bytes == 1792 * growth.objects


def test_a_cleared_slot_keeps_nothing() -> None:
    kept, cleared = (run(FIFO | {"clear": clear}).world.heap for clear in (False, True))
    assert cleared.retained["jobs"].entries == DEPTH
    assert cleared.retained["jobs"].stale == 0
    assert cleared.allocated_bytes == kept.allocated_bytes
    assert cleared.reachable_bytes < kept.reachable_bytes


def test_the_request_that_finds_the_array_full_copies_it() -> None:
    """100 entries of 8 bytes at 1 ns a byte, by the first request and by every 124th from it on."""
    latencies = run(FIFO, copy_ns_per_byte=1.0).latencies()
    slow = [number for number, ns in enumerate(latencies) if ns > 100_000]
    assert slow == list(range(0, len(latencies), 124))
    assert {latencies[number] for number in slow} == {100_000 + DEPTH * 8}


def test_a_queue_of_pointers_alone_is_collected_too() -> None:
    """Nothing but arrays is allocated: 60,000 entries, so 0.6 MB for each 15,000 appends."""
    request = {"workers": 1, "steps": [{"kind": "cpu", "ns": 100}, {"kind": "fifo", "set": "jobs"}]}
    jobs = {"name": "jobs", "entries": 60_000}
    world = tiny({}, request, retained=[jobs], duration=50 * MS).run().world
    assert world.collector.cycle > 3
    assert world.memory.peak_bytes < 16 << 20


def test_what_is_no_queue_is_refused_with_a_remedy() -> None:
    def problem(**retained: Any) -> str:
        with pytest.raises(SpecError) as caught:
            spec_from_dict(
                {"name": "a", "retained": [JOBS | retained], "requests": [{"workers": 1, "steps": [FIFO]}]}
            )
        return str(caught.value)

    assert "no slice" in problem(map={"key_size": 8, "value_size": 8, "value_pointers": True})
    assert "table_slot_bytes to 8" in problem(table_slot_bytes=0)
    assert "entries to 1" in problem(entries=0)
    assert "no retained set" in problem(name="other")


def test_short_form() -> None:
    spec = spec_from_dict(
        {"name": "a", "retained": [JOBS], "requests": [{"workers": 1, "steps": [{"fifo": "jobs"}]}]}
    )
    assert '"count":1.0,"kind":"fifo","set":"jobs"' in canonical_json(spec)
