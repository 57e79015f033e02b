"""Growth of slices and maps beyond the recorded numbers: invariants, and steps computed by hand."""

from __future__ import annotations

import numpy as np
import pytest

from gcsim.policy.maps import MapObject, MapType, bucket_room, insert_keys, table_room
from gcsim.policy.releases import RELEASES, release_rules
from gcsim.policy.slices import append_growth

SWISS, BUCKETS = release_rules("1.27"), release_rules("1.22")
INTS = MapType(key_bytes=8, value_bytes=8)


def hashes(n: int, seed: int = 1) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    return np.random.default_rng(seed).integers(2**64, size=n, dtype=np.uint64)


# ---- slices ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("chunk", [1, 3, 1000])
def test_a_slice_ends_with_room_and_a_hint_spares_the_garbage(release: str, chunk: int) -> None:
    rules = release_rules(release)
    for elements in (1, 5, 255, 256, 257, 5000):
        grown = append_growth(elements=elements, elem_bytes=24, chunk=chunk, has_pointers=True, rules=rules)
        assert grown.capacity >= elements
        assert grown.final_bytes == grown.capacity * 24
        assert list(grown.left_behind_bytes) == sorted(grown.left_behind_bytes)
        assert grown.copied_bytes == sum(grown.left_behind_bytes)
        hinted = append_growth(
            elements=elements, elem_bytes=24, capacity_hint=elements, has_pointers=True, rules=rules
        )
        assert (hinted.left_behind_bytes, hinted.final_bytes, hinted.copied_bytes) == ((), elements * 24, 0)


def test_a_hint_that_is_too_small_is_the_first_array() -> None:
    grown = append_growth(elements=11, elem_bytes=8, capacity_hint=10, has_pointers=False, rules=SWISS)
    assert (grown.left_behind_bytes, grown.final_bytes) == ((80,), 160)


def test_elements_of_no_bytes_take_none() -> None:
    grown = append_growth(elements=100, elem_bytes=0, has_pointers=False, rules=SWISS)
    assert (grown.final_bytes, grown.left_behind_bytes) == (0, ())


def test_the_first_array_in_the_frame_is_copied_out_when_it_is_full_or_leaves() -> None:
    def growth(elements: int, moves: bool) -> tuple[tuple[int, ...], int, int, int]:
        found = append_growth(
            elements=elements,
            elem_bytes=8,
            has_pointers=False,
            rules=SWISS,
            stack_elements=4,
            moves_to_heap=moves,
        )
        return found.left_behind_bytes, found.final_bytes, found.on_stack_bytes, found.copied_bytes

    assert growth(4, moves=False) == ((), 0, 32, 0)
    assert growth(3, moves=True) == ((), 24, 32, 24)
    assert growth(5, moves=True) == growth(5, moves=False) == ((), 64, 32, 32)


# ---- maps --------------------------------------------------------------------------------------------------


def test_room_by_hand() -> None:
    assert [table_room(slots) for slots in (8, 16, 1024)] == [7, 14, 896]
    assert [bucket_room(b, BUCKETS) for b in (0, 1, 2, 5)] == [8, 13, 26, 208]
    assert [bucket_room(b, release_rules("1.21")) for b in (0, 1, 2, 5)] == [8, 12, 24, 192]


def test_a_group_is_a_control_word_and_eight_slots() -> None:
    assert INTS.group_bytes == 8 + 8 * 16
    assert MapType(key_bytes=1, value_bytes=8).group_bytes == 8 + 8 * 16  # padded
    assert MapType(key_bytes=8, value_bytes=0).group_bytes == 8 + 8 * 16  # an empty last field takes a byte
    assert MapType(key_bytes=4, value_bytes=4).group_bytes == 8 + 8 * 8
    assert MapType(key_bytes=129, value_bytes=128).group_bytes == 8 + 8 * 136  # large keys are pointed to


def test_a_map_with_large_values_has_pointers() -> None:
    assert not INTS.has_pointers
    assert MapType(key_bytes=8, value_bytes=129).has_pointers


@pytest.mark.parametrize("rules", [SWISS, BUCKETS], ids=["swiss", "buckets"])
@pytest.mark.parametrize("n", [0, 1, 8, 9, 100, 3000, 20_000])
def test_growth_only_adds_garbage_and_the_same_hashes_give_the_same_map(rules: object, n: int) -> None:
    assert rules in (SWISS, BUCKETS)
    which = SWISS if rules is SWISS else BUCKETS
    first, second = (insert_keys(INTS, hashes(n), rules=which) for _ in range(2))
    assert first == second
    assert first.kept_total(which).bytes <= first.total(which).bytes
    hinted = insert_keys(INTS, hashes(n), hint=n, rules=which)
    assert hinted.total(which).bytes <= first.total(which).bytes
    fewer = insert_keys(INTS, hashes(n)[: n // 2], rules=which)
    assert fewer.total(which).bytes <= first.total(which).bytes


def test_a_table_splits_where_the_hashes_fall() -> None:
    """897 keys whose hashes begin with a 0 bit fill one half of the split table too: it splits again at once."""
    spread = insert_keys(INTS, hashes(897), rules=SWISS)
    one_sided = insert_keys(INTS, hashes(897) >> np.uint64(1), rules=SWISS)
    slots = MapObject(1024 // 8 * INTS.group_bytes, False)  # those of a table of full size
    assert spread.kept[slots] == 2
    assert spread.left_behind[slots] == 1
    assert one_sided.kept[slots] == 3
    assert one_sided.left_behind[slots] == 2
    # Three tables and a directory of four, two of them the same table: 32 bytes each.
    assert one_sided.kept[MapObject(32, True)] == 4


def test_overflow_buckets_where_all_hashes_are_equal() -> None:
    """20 keys in one bucket of four: two overflow buckets, and a list that keeps them alive as nothing else would."""
    same = np.zeros(20, dtype=np.uint64)
    growth = insert_keys(INTS, same, hint=26, rules=BUCKETS)
    assert growth.kept[MapObject(INTS.bucket_bytes, False)] == 2
    assert growth.kept[MapObject(16, True)] == 1
    with_pointers = MapType(key_bytes=8, value_bytes=8, value_pointers=True)
    linked = insert_keys(with_pointers, same, hint=26, rules=BUCKETS)
    assert set(linked.kept) == {MapObject(48, True), MapObject(4 * 144, True), MapObject(144, True)}


@pytest.mark.parametrize("rules", [SWISS, BUCKETS], ids=["swiss", "buckets"])
def test_a_small_map_on_the_stack_is_free(rules: object) -> None:
    which = SWISS if rules is SWISS else BUCKETS
    assert insert_keys(INTS, hashes(8), header_on_stack=True, rules=which).total(which).mallocs == 0
    grown = insert_keys(INTS, hashes(9), header_on_stack=True, rules=which).total(which)
    assert 0 < grown.bytes < insert_keys(INTS, hashes(9), rules=which).total(which).bytes
