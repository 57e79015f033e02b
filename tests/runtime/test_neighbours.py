"""Entries that have not been replaced, while their neighbours are."""

from __future__ import annotations

import pytest

from tests.runtime.tiny import tiny


def kept(nodes: int) -> object:
    tree = {"size": 64, "pointer_words": 2, "count": nodes, "shape": "tree"}
    spec = {"name": "kept", "table_slot_bytes": 8, "objects": [tree], "entries": 1000}
    return (
        tiny({}, {"workers": 1, "steps": [{"cpu": "10us"}]}, retained=[spec])
        .run()
        .world.heap.retained["kept"]
    )


def test_in_order_and_all_replaced_are_what_they_are() -> None:
    state = kept(16)
    assert state.aged_frac == 0.0
    state.scattered = 1000.0
    assert state.aged_frac == pytest.approx(1.0)


@pytest.mark.parametrize("scattered", [180.0, 480.0, 750.0])
def test_entries_shorter_than_a_span_lean_on_their_neighbours(scattered: float) -> None:
    state = kept(16)
    state.scattered = scattered
    assert scattered / 1000 < state.aged_frac < 1.0


@pytest.mark.parametrize("nodes", [124, 200])
def test_entries_of_a_span_and_more_do_not(nodes: int) -> None:
    state = kept(nodes)
    state.scattered = 480.0
    assert state.aged_frac == pytest.approx(0.48)
