"""Sites, growing slices and maps in the simulated runtime: what is in the heap, and what it costs to be on the stack."""

from __future__ import annotations

from typing import Any

import pytest

from gcsim.policy.releases import release_rules
from gcsim.runtime.expand import expand_request
from gcsim.spec.load import spec_from_dict
from gcsim.spec.models import AllocateStep, CpuStep, RequestClass, Spec
from gcsim.spec.profile import MachineProfile
from tests.runtime.tiny import MS, US, bare_profile, tiny

CPU = {"kind": "cpu", "ns": 100 * US}


def expand(
    *steps: dict[str, Any], sites: list[dict[str, Any]] | None = None, go: str = "1.27", **costs: float
) -> Any:
    request = {"workers": 1, "steps": list(steps)}
    spec: Spec = spec_from_dict(
        {"name": "a", "requests": [request], "sites": sites or [], "runtime": {"go": go}}
    )
    profile: MachineProfile = bare_profile(costs)
    found: RequestClass = expand_request(
        spec.requests[0], spec.sites, profile=profile, rules=release_rules(go), seed=1
    )
    return found


def objects(request: RequestClass) -> list[tuple[float, int | None, int, str]]:
    return [
        (step.count, step.size, step.pointer_words, str(step.lifetime))
        for step in request.steps
        if isinstance(step, AllocateStep)
    ]


def test_steps_that_stand_for_themselves_stay_the_same_object() -> None:
    request = expand(CPU, {"kind": "allocate", "size": 64})
    spec = spec_from_dict({"name": "a", "requests": [request.model_dump()]})
    same = expand_request(
        spec.requests[0], spec.sites, profile=bare_profile({}), rules=release_rules("1.27"), seed=1
    )
    assert same is spec.requests[0]


def test_a_site_on_the_stack_costs_frame_and_time_and_no_heap() -> None:
    site = {"name": "s", "construct": "new", "size": 4096}
    request = expand({"kind": "allocate", "site": "s", "count": 3}, sites=[site], touch_ns_per_byte=0.5)
    assert request.steps == (CpuStep(ns=6144),)
    assert request.stack_used_bytes == 1024 + 4096  # one slot, however often it is used


def test_a_site_in_the_heap_is_an_ordinary_allocation() -> None:
    site = {"name": "s", "construct": "new", "size": 4096, "pointer_words": 7, "flows": ["channel"]}
    request = expand({"kind": "allocate", "site": "s", "count": 3}, sites=[site])
    assert objects(request) == [(3, 4096, 7, "request")]
    assert request.stack_used_bytes == 1024


def test_a_slice_of_variable_size_goes_by_its_size_where_the_release_does() -> None:
    site = {"name": "s", "construct": "make", "constant_size": False}
    assert objects(expand({"kind": "allocate", "site": "s", "size": 32}, sites=[site])) == []
    assert objects(expand({"kind": "allocate", "site": "s", "size": 33}, sites=[site])) == [
        (1, 33, 0, "request")
    ]
    assert len(objects(expand({"kind": "allocate", "site": "s", "size": 32}, sites=[site], go="1.22"))) == 1


def test_growth_by_append_leaves_its_old_arrays_behind() -> None:
    step = {"kind": "append", "elements": 5, "element_size": 8, "pointer_words": 1}
    assert objects(expand(step)) == [
        (1, 8, 1, "temporary"),
        (1, 16, 2, "temporary"),
        (1, 32, 4, "temporary"),
        (1, 64, 8, "request"),
    ]
    assert objects(expand(step | {"hint": 5})) == [(1, 40, 5, "request")]
    copying = expand(step, copy_ns_per_byte=1.0)
    assert [step.ns for step in copying.steps if isinstance(step, CpuStep)] == [8 + 16 + 32]


def test_an_appended_slice_that_stays_begins_in_the_frame() -> None:
    step = {"kind": "append", "elements": 5, "element_size": 8, "site": "s"}
    stays = expand(step, sites=[{"name": "s", "construct": "append"}])
    assert objects(stays) == [(1, 64, 0, "request")]
    assert stays.stack_used_bytes == 1024 + 32
    sent = expand(step, sites=[{"name": "s", "construct": "append", "flows": ["channel"]}])
    assert len(objects(sent)) == 4


def test_a_returned_slice_grows_in_the_frame_first_from_1_26_and_moves_when_it_is_small() -> None:
    sites = [{"name": "s", "construct": "append", "flows": ["returned"]}]
    step = {"kind": "append", "element_size": 8, "site": "s"}
    assert objects(expand(step | {"elements": 5}, sites=sites)) == [(1, 64, 0, "request")]
    assert objects(expand(step | {"elements": 3}, sites=sites)) == [(1, 24, 0, "request")]
    assert len(objects(expand(step | {"elements": 5}, sites=sites, go="1.25"))) == 4


@pytest.mark.parametrize(("go", "header_bytes"), [("1.22", 48), ("1.27", 48)])
def test_a_small_map_is_a_header_and_one_group(go: str, header_bytes: int) -> None:
    step = {"kind": "map_insert", "keys": 8, "key_size": 8, "value_size": 8}
    sizes = {"1.22": 144, "1.27": 136}
    assert objects(expand(step, go=go)) == [(1, header_bytes, 6, "request"), (1, sizes[go], 0, "request")]
    on_stack = expand(step | {"site": "m"}, sites=[{"name": "m", "construct": "make_map"}], go=go)
    assert objects(on_stack) == []
    assert on_stack.stack_used_bytes == 1024 + header_bytes + sizes[go]


def test_a_map_that_grows_leaves_tables_behind_and_a_hint_spares_that() -> None:
    step = {"kind": "map_insert", "keys": 100, "key_size": 8, "value_size": 8}
    grown, hinted = objects(expand(step)), objects(expand(step | {"hint": 100}))
    assert any(lifetime == "temporary" for *_, lifetime in grown)
    assert all(lifetime == "request" for *_, lifetime in hinted)
    kept = [(count, size) for count, size, _, lifetime in grown if lifetime == "request"]
    assert sorted(kept) == sorted((count, size) for count, size, _, _ in hinted)


def test_in_a_run_the_stack_site_allocates_nothing_and_its_stack_has_grown() -> None:
    """One worker, 100 us a request: 100 requests in 10 ms. Goroutines' own bytes apart, nothing is in the heap."""
    site = {"name": "s", "construct": "variable", "size": 8192}
    step = {"kind": "allocate", "site": "s"}
    on_stack = tiny({}, {"workers": 1, "steps": [CPU, step]}, sites=[site], duration=10 * MS).run()
    without = tiny({}, {"workers": 1, "steps": [CPU]}, duration=10 * MS).run()
    escaping = [site | {"flows": ["goroutine"]}]
    in_heap = tiny({}, {"workers": 1, "steps": [CPU, step]}, sites=escaping, duration=10 * MS).run()
    assert on_stack.world.heap.allocated_bytes == without.world.heap.allocated_bytes
    requests = len(in_heap.spans())
    assert requests >= 99
    gained = in_heap.world.heap.allocated_bytes - without.world.heap.allocated_bytes
    assert requests * 8192 <= gained <= (requests + 1) * 8192
    assert on_stack.world.stacks.grown > without.world.stacks.grown
    assert on_stack.world.stacks.in_use_bytes == 16384
    assert without.world.stacks.in_use_bytes == 2048


def test_a_growing_map_hashes_and_moves_its_keys() -> None:
    """20 keys: 8 into a table of 16 slots, and 14 of these into one of 32; until 1.23 8 and 13 into more buckets."""
    step = {"kind": "map_insert", "keys": 20, "key_size": 8, "value_size": 8}

    def moved_ns(go: str, **more: int) -> list[int | None]:
        request = expand(step | more, go=go, map_move_ns=10.0, copy_ns_per_byte=0.0)
        return [made.ns for made in request.steps if isinstance(made, CpuStep)]

    assert moved_ns("1.27") == [10 * (8 + 14)]
    assert moved_ns("1.22") == [10 * (8 + 13)]
    assert moved_ns("1.27", hint=20) == moved_ns("1.22", hint=20) == []
