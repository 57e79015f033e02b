"""Size classes, objects per span and rounding of requests."""

from __future__ import annotations

from pathlib import Path

import pytest

from gcsim.policy.constants import PAGE_BYTES
from gcsim.policy.releases import SpanLayout
from gcsim.policy.size_classes import (
    NUM_SIZE_CLASSES,
    SIZE_CLASS_BYTES,
    SIZE_CLASS_PAGES,
    roundup,
    size_class_of,
    span_bytes,
    span_objects,
)
from tests.policy.vector_files import Records, files_of

ERAS = {"go1.19": SpanLayout.BARE, "go1.22": SpanLayout.HEAP_BITS, "go1.26": SpanLayout.INLINE_MARK_BITS}


@pytest.mark.parametrize("path", files_of("size_classes"), ids=lambda path: path.name)
def test_size_classes(path: Path) -> None:
    classes = list(Records(path))
    assert [record["class"] for record in classes] == list(range(1, NUM_SIZE_CLASSES))
    for record in classes:
        size_class, size = record["class"], record["size"]
        assert SIZE_CLASS_BYTES[size_class] == size
        assert SIZE_CLASS_PAGES[size_class] == record["pages"]
        assert span_bytes(size_class) == record["span_bytes"] == record["pages"] * PAGE_BYTES
        objects = span_objects(size_class, False, SpanLayout.BARE)
        assert objects == record["objects"]
        assert span_bytes(size_class) - objects * size == record["tail_waste"]
        # The worst case: objects one byte larger than the class below, and the tail.
        least = SIZE_CLASS_BYTES[size_class - 1] + 1
        wasted = span_bytes(size_class) - objects * least
        assert round(100 * wasted / span_bytes(size_class), 2) == pytest.approx(
            record["max_waste_percent"], abs=0.011
        )  # two decimals, rounded on both sides
        assert size % record["min_align"] == 0
        assert size_class_of(size) == size_class_of(least) == size_class


@pytest.mark.parametrize("path", files_of("span_objects"), ids=lambda path: path.name)
def test_span_objects(path: Path) -> None:
    for record in Records(path):
        assert SIZE_CLASS_BYTES[record["class"]] == record["size"]
        assert SIZE_CLASS_PAGES[record["class"]] == record["pages"]
        for era, layout in ERAS.items():
            for name, has_pointers in (("noscan", False), ("scan", True)):
                want = record[era][name]
                if want is not None:  # null: never used
                    assert span_objects(record["class"], has_pointers, layout) == want, (
                        record["class"],
                        era,
                        name,
                    )


@pytest.mark.parametrize("path", files_of("roundup"), ids=lambda path: path.name)
def test_roundup(path: Path) -> None:
    records = Records(path)
    eras = list({rules.malloc_headers: rules for rules in records.rules}.values())
    for record in records:
        for rules in eras:
            size = record["size"]
            assert roundup(size, noscan=True, rules=rules) == record["noscan"], size
            assert roundup(size, noscan=False, rules=rules) == record["scan"], size
        if "class" in record:  # not for sizes above the largest class
            assert size_class_of(record["size"]) == record["class"], record["size"]
