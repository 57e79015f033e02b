"""References: what is dropped early, kept by a pointer into it, deleted from a map; and frames of calls."""

from __future__ import annotations

from typing import Any

import pytest

from gcsim.policy.escape import ESCAPING
from gcsim.policy.maps import MapType, insert_keys
from gcsim.policy.releases import release_rules
from gcsim.runtime.randomness import stream
from gcsim.spec.check import LEAVING
from tests.runtime.tiny import MS, US, Tiny, tiny

KIB = 1 << 10
MIB = 1 << 20
CPU = {"kind": "cpu", "ns": 100 * US}
WAIT = {"kind": "block", "ns": 20 * MS}
FORCE = {"kind": "gc"}


def body(**more: Any) -> dict[str, Any]:
    return {"kind": "allocate", "size": MIB, "name": "body", **more}


def marked(*steps: dict[str, Any]) -> int:
    """Bytes that a cycle forced in the middle of a request marks; beside it nothing is live but goroutines."""
    world = tiny({}, {"workers": 1, "steps": [CPU, *steps, CPU]}, duration=10 * MS).run()
    return int(world.rows["cycle"][0].heap_marked_bytes)


def test_what_a_request_refers_to_is_marked_and_what_it_dropped_is_not() -> None:
    drop = {"kind": "drop", "name": "body"}
    assert marked(body(), CPU, FORCE) >= MIB
    assert marked(body(), CPU, drop, FORCE) < KIB
    assert marked(body(), FORCE, CPU, drop, CPU) >= MIB, "not before it is dropped"


def test_what_is_temporary_is_dead_when_the_request_waits() -> None:
    assert marked(body(lifetime="temporary"), CPU, FORCE) < KIB
    assert marked(body(lifetime="request"), CPU, FORCE) >= MIB


def test_arrays_that_append_left_behind_are_not_marked() -> None:
    """1000 words grow through arrays of 15 KB in sum; the last one has 10 KiB, for 1280 of them."""
    grown = {"kind": "append", "elements": 1000, "element_size": 8, "name": "rows"}
    assert 10 * KIB <= marked(grown, FORCE) < 11 * KIB
    assert marked(grown, {"kind": "drop", "name": "rows"}, FORCE) < KIB


def kept(**keep: Any) -> Tiny:
    """One request that keeps a part of 1 MiB for 50 ms, looked at by a cycle 4 ms after it has ended."""
    keep = {"kind": "keep", "name": "body", "lifetime": {"mean": 50 * MS}, **keep}
    once = {"arrivals": "recorded", "arrival_times_ns": [0], "steps": [CPU, body(), keep]}
    later = {"name": "later", "arrivals": "recorded", "arrival_times_ns": [5 * MS], "steps": [FORCE]}
    return tiny({}, once, later, duration=20 * MS).run()


def test_a_pointer_into_an_object_keeps_all_of_it_and_a_copy_only_the_part() -> None:
    by_pointer, by_copy = kept(), kept(by="copy", size=64)
    assert by_pointer.rows["cycle"][0].heap_marked_bytes >= MIB
    assert 64 <= by_copy.rows["cycle"][0].heap_marked_bytes < KIB
    gained = by_copy.world.heap.allocated_bytes - by_pointer.world.heap.allocated_bytes
    assert gained == 64


def test_kept_as_long_as_it_is_said() -> None:
    brief = kept(lifetime={"mean": 1 * MS})
    assert brief.rows["cycle"][0].heap_marked_bytes < KIB


def test_fractions_and_drawn_sizes_are_dropped_too() -> None:
    drawn = {"kind": "uniform", "low": 100, "high": 3000}
    for made in (
        {"kind": "allocate", "size": MIB, "count": 0.5, "name": "body"},
        {"kind": "allocate", "size_distribution": drawn, "count": 300, "name": "body"},
    ):
        drop = {"kind": "drop", "name": "body"}
        request = {"workers": 1, "steps": [CPU, made, drop, WAIT]}
        world = tiny({}, request, duration=100 * MS).run().world
        assert world.heap.in_flight_bytes == 0, "it waits for the last time"
        assert world.heap.allocated_bytes > 100 * KIB


# ---- maps --------------------------------------------------------------------------------------------------

TABLE = {"key_size": 8, "value_size": 8}


def map_bytes(entries: int, go: str = "1.27") -> int:
    rules = release_rules(go)
    hashes = stream(1, "a").integers(2**64, size=entries, dtype="uint64")
    growth = insert_keys(MapType(key_bytes=8, value_bytes=8), hashes, hint=entries, rules=rules)
    return growth.kept_total(rules).bytes


def resized(go: str = "1.27", **table: Any) -> Tiny:
    """A map of 10,000 keys of which 100 are left after 5 ms."""
    return tiny(
        {},
        {"workers": 1, "steps": [CPU]},
        runtime={"go": go},
        retained=[{"name": "m", "entries": 10_000, "map": {**TABLE, **table}}],
        phases=[{"duration": 5 * MS}, {"duration": 50 * MS, "entries": {"m": 100}}],
        duration=20 * MS,
    ).run()


@pytest.mark.parametrize("go", ["1.22", "1.27"])
def test_deleting_keys_does_not_make_a_map_smaller_and_a_new_map_does(go: str) -> None:
    same, new = (resized(go, remade=remade).world.heap.retained["m"] for remade in (False, True))
    assert same.entries == new.entries == 100
    assert same.table.bytes == pytest.approx(map_bytes(10_000, go), rel=0.03)
    assert new.table.bytes == pytest.approx(map_bytes(100, go), rel=0.03)


def test_a_map_without_pointers_is_not_scanned() -> None:
    plain, with_pointers = (resized(value_pointers=p).world.heap.retained["m"].table for p in (False, True))
    assert plain.scan_work_bytes < 0.02 * plain.bytes
    assert with_pointers.scan_work_bytes > 0.9 * with_pointers.bytes


def test_a_map_grows_with_what_is_published_and_not_again_for_keys_in_place_of_deleted_ones() -> None:
    def run(*steps: dict[str, Any]) -> Any:
        table = [{"name": "m", "entries": 100, "map": TABLE}]
        return tiny({}, {"workers": 1, "steps": [CPU, *steps]}, retained=table, duration=50 * MS).run().world

    publish = {"kind": "publish", "set": "m", "count": 4}
    delete = {"kind": "delete", "set": "m", "count": 4}
    grown, level = run(publish), run(publish, delete)
    assert grown.heap.retained["m"].entries > 1900
    assert grown.heap.retained["m"].table.bytes >= map_bytes(1900)
    assert level.heap.retained["m"].entries == 100
    assert level.heap.retained["m"].table.bytes <= map_bytes(250)
    assert grown.heap.dead_bytes > level.heap.dead_bytes, "smaller maps are left behind"


# ---- frames ------------------------------------------------------------------------------------------------


def test_calls_cost_their_frames_and_copies() -> None:
    """100 us, and 10 calls of 2 ns that copy 1 KiB, less the first 64 bytes, at 1 ns: 9.62 us; by pointer 20 ns."""
    costs = {"call_ns": 2.0, "copy_ns_per_byte": 1.0}
    for by, ns in (("value", 109_620), ("pointer", 100_020)):
        call = {"kind": "call", "count": 10, "size": KIB, "by": by}
        assert set(tiny(costs, {"workers": 1, "steps": [CPU, call]}).run().latencies()) == {ns}


def test_recursion_grows_the_stack_by_copying_and_a_cycle_shrinks_it_again() -> None:
    """100 frames of 1 KiB want 128 KiB: six copies of 2 to 64 KiB at 1 ns a byte, once; waiting, a cycle takes half back."""
    deep = {"kind": "call", "count": 100, "frame": KIB - 16 - 8, "by": "pointer", "nested": True}
    request = {"workers": 1, "steps": [CPU, deep, WAIT]}
    sampled = {"heap_interval": 10 * MS}
    world = tiny({"stack_copy_ns_per_byte": 1.0}, request, duration=70 * MS, record=sampled).run()
    first, second, *_ = world.latencies()
    assert first - second == sum(2048 << n for n in range(6))
    assert world.world.stacks.in_use_bytes == 128 * KIB
    assert not world.rows["cycle"]
    assert {row.stacks_in_use_bytes for row in world.rows["heap"][1:]} == {128 * KIB}, "without a collection"
    later = {"name": "later", "arrivals": "recorded", "arrival_times_ns": [30 * MS], "steps": [FORCE]}
    shrunk = tiny({"stack_copy_ns_per_byte": 1.0}, request, later, duration=35 * MS).run().world.stacks
    assert shrunk.shrunk == 1
    assert shrunk.in_use_bytes == 64 * KIB


def test_each_copy_of_a_stack_adjusts_the_frames_that_are_on_it() -> None:
    """100 frames of 1 KiB above 1 KiB in stacks of 2 to 64 KiB, at 10 ns: 129,024 B of 103,424, so 1.2475 of them."""
    deep = {"kind": "call", "count": 100, "frame": KIB - 16 - 8, "by": "pointer", "nested": True}
    request = {"workers": 1, "steps": [CPU, deep, WAIT]}
    first, second, *_ = tiny({"stack_copy_frame_ns": 10.0}, request, duration=70 * MS).run().latencies()
    assert first - second == pytest.approx(1247.5, abs=1)


def test_a_call_writes_its_variables() -> None:
    """10 calls with 100 bytes of variables each, at 1 ns a byte."""
    call = {"kind": "call", "count": 10, "frame": 100}
    world = tiny({"touch_ns_per_byte": 1.0}, {"workers": 1, "steps": [CPU, call]}).run()
    assert set(world.latencies()) == {101_000}


def test_flows_by_which_an_address_leaves_are_those_of_the_compiler() -> None:
    assert set(LEAVING) == {flow.value for flow in ESCAPING}


def test_temporaries_of_a_request_that_never_waits_are_dead_while_it_runs() -> None:
    """One request allocates 64 MiB in 50 ms; a cycle in the middle finds it all in use, or next to nothing."""
    spin = {"kind": "cpu", "ns": 50 * MS}
    later = {"name": "later", "arrivals": "recorded", "arrival_times_ns": [25 * MS], "steps": [FORCE]}
    found = {}
    for lifetime in ("request", "temporary"):
        made = {"kind": "allocate", "size": MIB, "count": 64, "lifetime": lifetime}
        request = {"workers": 1, "steps": [spin, made]}
        off = {"gogc": "off"}
        world = tiny({}, request, later, procs=2, duration=80 * MS, runtime=off).run()
        found[lifetime] = world.rows["cycle"][0].heap_marked_bytes
    assert found["request"] == pytest.approx(32 * MIB, rel=0.1)
    assert found["temporary"] < 64 * KIB
