"""Where a request is placed and what it takes, release by release."""

from __future__ import annotations

import pytest

from gcsim.policy.constants import KIB, MAX_SMALL_BYTES
from gcsim.policy.releases import RELEASES, release_rules
from gcsim.policy.size_classes import SIZE_CLASS_BYTES, alloc_layout, roundup, size_class_of, span_objects


def slot(request_bytes: int, has_pointers: bool, release: str) -> tuple[int, int, int]:
    layout = alloc_layout(request_bytes, has_pointers, release_rules(release))
    return layout.object_bytes, layout.header_bytes, layout.objects_per_span


def test_header_pushes_1024_bytes_with_pointers_into_the_next_class() -> None:
    assert slot(1024, True, "1.21") == (1024, 0, 8)
    assert slot(1024, True, "1.22") == (1152, 8, 7)
    assert slot(1024, False, "1.27") == (1024, 0, 8)
    assert slot(512, True, "1.27")[:2] == (512, 0)


def test_bookkeeping_in_the_span_costs_objects() -> None:
    assert [slot(512, True, release)[2] for release in ("1.21", "1.22", "1.25", "1.26")] == [16, 15, 15, 15]
    assert [slot(512, False, release)[2] for release in ("1.21", "1.25", "1.26")] == [16, 16, 15]
    assert [slot(16, True, release)[2] for release in ("1.21", "1.25", "1.26")] == [512, 504, 496]
    assert slot(16, False, "1.25-greenteagc")[2] == slot(16, False, "1.26")[2] == 504
    assert slot(16, False, "1.27-nogreenteagc")[2] == 512
    assert slot(8, True, "1.27")[2] == 1008


def test_a_32_kib_buffer_is_large_today_and_was_small() -> None:
    today = alloc_layout(32 * KIB, False, release_rules("1.27"))
    assert today.is_large
    assert (today.object_bytes, today.span_bytes, today.objects_per_span) == (32 * KIB, 32 * KIB, 1)
    assert not alloc_layout(32 * KIB, False, release_rules("1.21")).is_large
    assert not alloc_layout(32760, True, release_rules("1.22")).is_large


def test_large_objects_take_whole_pages() -> None:
    layout = alloc_layout(100_001, True, release_rules("1.27"))
    assert (layout.size_class, layout.object_bytes, layout.header_bytes) == (None, 106_496, 0)


@pytest.mark.parametrize(
    ("request_bytes", "per_block"), [(1, 16), (2, 8), (3, 5), (4, 4), (5, 3), (6, 2), (8, 2), (9, 1), (12, 1)]
)
def test_tiny_requests_share_a_block(request_bytes: int, per_block: int) -> None:
    layout = alloc_layout(request_bytes, False, release_rules("1.27"))
    assert layout.is_tiny
    assert layout.object_bytes == 16
    assert layout.requests_per_slot == per_block


def test_pointers_and_16_bytes_are_not_tiny_and_nothing_takes_nothing() -> None:
    rules = release_rules("1.27")
    assert not alloc_layout(8, True, rules).is_tiny
    assert not alloc_layout(16, False, rules).is_tiny
    assert alloc_layout(0, False, rules).object_bytes == 0


@pytest.mark.parametrize("release", RELEASES)
def test_every_request_fits_its_slot_and_the_span_fits_its_slots(release: str) -> None:
    rules = release_rules(release)
    for request_bytes in range(1, 40_000, 7):
        for has_pointers in (False, True):
            layout = alloc_layout(request_bytes, has_pointers, rules)
            assert layout.object_bytes >= request_bytes + layout.header_bytes
            assert layout.objects_per_span * layout.object_bytes <= layout.span_bytes
            if not layout.is_tiny:
                given = roundup(request_bytes, noscan=not has_pointers, rules=rules)
                assert given == layout.object_bytes - layout.header_bytes


def test_classes_are_looked_up_up_to_their_largest() -> None:
    assert size_class_of(MAX_SMALL_BYTES) == len(SIZE_CLASS_BYTES) - 1
    with pytest.raises(AssertionError):
        size_class_of(MAX_SMALL_BYTES + 1)
    assert span_objects(1, False, release_rules("1.19").span_layout) == 1024
