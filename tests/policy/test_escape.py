"""The escape rules beyond the recorded sites: releases between, sizes at the limits, what only the runtime decides."""

from __future__ import annotations

from typing import get_args

import pytest

from gcsim.policy.escape import ESCAPING, Construct, Flow, Place, Site, decide
from gcsim.policy.releases import RELEASES, release_rules
from gcsim.spec import site as declared

MIB = 1 << 20


def place(site: Site, release: str) -> Place:
    return decide(site, release_rules(release)).place


def test_a_spec_knows_the_same_constructs_and_flows() -> None:
    assert get_args(declared.Construct) == tuple(Construct)
    assert get_args(declared.Flow) == tuple(Flow)


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("construct", Construct)
@pytest.mark.parametrize("flow", Flow)
def test_only_a_flow_that_leaves_escapes_and_size_never_brings_anything_back(
    release: str, construct: Construct, flow: Flow
) -> None:
    rules = release_rules(release)
    small = decide(Site(construct, 8, flows=(flow,)), rules)
    is_no_site = construct is Construct.APPEND and not rules.append_stack_bytes
    assert small.escapes is (flow in ESCAPING and not is_no_site)
    for size in (64 << 10, 20 * MIB):
        large = decide(Site(construct, size, flows=(flow,)), rules)
        assert large.escapes or not small.escapes
    assert "\n" not in small.reason


def test_the_limit_of_variables_came_down_in_1_24() -> None:
    for release, limit in (("1.19", 10 * MIB), ("1.23", 10 * MIB), ("1.24", 128 << 10), ("1.27", 128 << 10)):
        assert place(Site(Construct.VARIABLE, limit), release) is Place.STACK
        assert place(Site(Construct.VARIABLE, limit + 1), release) is Place.HEAP
    assert place(Site(Construct.NEW, 64 << 10), "1.27") is Place.STACK
    assert place(Site(Construct.NEW, (64 << 10) + 1), "1.27") is Place.HEAP


def test_a_small_slice_of_variable_size_stays_in_the_frame_from_1_25() -> None:
    site = Site(Construct.MAKE, None, constant_size=False)
    assert place(site, "1.24") is Place.HEAP
    decision = decide(site, release_rules("1.25"))
    assert decision.place is Place.BY_SIZE
    assert not decision.is_heap(32)
    assert decision.is_heap(33)
    assert decide(
        Site(Construct.MAKE, None, constant_size=False, flows=(Flow.RETURNED,)), release_rules("1.27")
    ).escapes


def test_append_has_a_verdict_from_1_25() -> None:
    assert place(Site(Construct.APPEND), "1.24") is Place.HEAP
    assert place(Site(Construct.APPEND), "1.25") is Place.BY_SIZE
    assert place(Site(Construct.APPEND, flows=(Flow.RETURNED,)), "1.25") is Place.HEAP


def test_a_large_value_in_an_interface_is_boxed_in_the_heap_though_it_does_not_escape() -> None:
    boxed = decide(Site(Construct.INTERFACE_CONVERSION, 1025), release_rules("1.27"))
    assert (boxed.escapes, boxed.place) == (False, Place.HEAP)
    assert place(Site(Construct.INTERFACE_CONVERSION, 1024), "1.27") is Place.STACK


def test_a_compilers_verdict_stands_instead_of_the_rules() -> None:
    assert place(Site(Construct.NEW, 8, verdict=True), "1.27") is Place.HEAP
    assert place(Site(Construct.NEW, 8, flows=(Flow.RETURNED,), verdict=False), "1.27") is Place.STACK
    assert place(Site(Construct.MAKE, None, verdict=False), "1.22") is Place.STACK
