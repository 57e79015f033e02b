"""Size classes, spans and what a request really takes: the allocator's arithmetic.

Tables are indexed by size class, 0 standing for "no class": a request of no bytes, or a large object.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from functools import cache
from typing import Final

from gcsim.policy.constants import (
    MALLOC_HEADER_BYTES,
    MAX_SMALL_BYTES,
    MIN_SIZE_FOR_MALLOC_HEADER_BYTES,
    PAGE_BYTES,
    PTR_BYTES,
    TINY_BYTES,
)
from gcsim.policy.conversions import UINT64_MAX
from gcsim.policy.releases import ReleaseRules, SpanLayout

# derived: internal/runtime/gc/sizeclasses.go (until 1.24 runtime/sizeclasses.go), the same from go1.19 to go1.27.
# fmt: off
SIZE_CLASS_BYTES: Final[tuple[int, ...]] = (
    0, 8, 16, 24, 32, 48, 64, 80, 96, 112, 128, 144, 160, 176, 192, 208, 224, 240, 256, 288, 320, 352, 384,
    416, 448, 480, 512, 576, 640, 704, 768, 896, 1024, 1152, 1280, 1408, 1536, 1792, 2048, 2304, 2688, 3072,
    3200, 3456, 4096, 4864, 5376, 6144, 6528, 6784, 6912, 8192, 9472, 9728, 10240, 10880, 12288, 13568, 14336,
    16384, 18432, 19072, 20480, 21760, 24576, 27264, 28672, 32768,
)
SIZE_CLASS_PAGES: Final[tuple[int, ...]] = (
    0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
    2, 1, 2, 1, 2, 1, 3, 2, 3, 1, 3, 2, 3, 4, 5, 6, 1, 7, 6, 5, 4, 3, 5, 7, 2, 9, 7, 5, 8, 3, 10, 7, 4,
)
# fmt: on
NUM_SIZE_CLASSES: Final = len(SIZE_CLASS_BYTES)
LARGE_OBJECT_CLASS: Final = 0

# derived: runtime/mbitmap.go heapBitsSize since go1.22: one bit per word of a one-page span.
HEAP_BITS_BYTES: Final = PAGE_BYTES // PTR_BYTES // 8
# derived: runtime/mgcmark_greenteagc.go spanInlineMarkBits since go1.25: marks, scans, owner, class in 128 bytes.
INLINE_MARK_BITS_BYTES: Final = 128
# derived: runtime/mgcmark_greenteagc.go gcUsesSpanInlineMarkBits: the smallest object with mark bits in its span.
INLINE_MARK_BITS_MIN_OBJECT_BYTES: Final = 16


def size_class_of(size_bytes: int) -> int:
    """The smallest class that holds `size_bytes` (0 .. 32768)."""
    assert 0 <= size_bytes <= MAX_SMALL_BYTES, "no size class for a large object"
    return bisect_left(SIZE_CLASS_BYTES, size_bytes)


def span_bytes(size_class: int) -> int:
    """Bytes of a span of the class."""
    return SIZE_CLASS_PAGES[size_class] * PAGE_BYTES


def uses_inline_mark_bits(size_class: int, layout: SpanLayout) -> bool:
    """Whether Green Tea scans spans of the class as a whole, keeping mark bits in them.

    Source: runtime/mgcmark_greenteagc.go gcUsesSpanInlineMarkBits (go1.25 .. go1.27). Simplified: no.
    """
    return (
        layout is SpanLayout.INLINE_MARK_BITS
        and INLINE_MARK_BITS_MIN_OBJECT_BYTES
        <= SIZE_CLASS_BYTES[size_class]
        <= MIN_SIZE_FOR_MALLOC_HEADER_BYTES
    )


@cache
def span_objects(size_class: int, has_pointers: bool, layout: SpanLayout) -> int:
    """Objects that a fresh span of the class (>= 1) holds, next to its bookkeeping.

    Source: runtime/mheap.go initSpan, runtime/mbitmap.go heapBitsInSpan (go1.19 .. go1.27). Simplified: no.
    """
    usable_bytes = span_bytes(size_class)
    if (
        layout is not SpanLayout.BARE
        and has_pointers
        and SIZE_CLASS_BYTES[size_class] <= MIN_SIZE_FOR_MALLOC_HEADER_BYTES
    ):
        usable_bytes -= HEAP_BITS_BYTES
    if uses_inline_mark_bits(size_class, layout):
        usable_bytes -= INLINE_MARK_BITS_BYTES
    return usable_bytes // SIZE_CLASS_BYTES[size_class]


def roundup(size_bytes: int, *, noscan: bool, rules: ReleaseRules) -> int:
    """Bytes given for a request, not counting the malloc header: what a growing slice may use.

    The tiny allocator is left out, and a size that overflows when rounded to pages comes back as it is.

    Source: runtime/msize.go roundupsize (go1.19 .. go1.27). Simplified: no.
    """
    if size_bytes <= rules.large_object_min_bytes:
        header = _header_bytes(size_bytes, has_pointers=not noscan, rules=rules)
        return SIZE_CLASS_BYTES[size_class_of(size_bytes + header)] - header
    rounded = _page_rounded(size_bytes)
    return rounded if rounded <= UINT64_MAX else size_bytes


def _header_bytes(size_bytes: int, *, has_pointers: bool, rules: ReleaseRules) -> int:
    if rules.malloc_headers and has_pointers and size_bytes > MIN_SIZE_FOR_MALLOC_HEADER_BYTES:
        return MALLOC_HEADER_BYTES
    return 0


def _page_rounded(size_bytes: int) -> int:
    return -(-size_bytes // PAGE_BYTES) * PAGE_BYTES


@dataclass(frozen=True, slots=True)
class AllocLayout:
    """Where one request is placed and what it takes.

    Attributes:
        size_class: class of its span; None for a large object, 0 for a request of no bytes, which takes none.
        object_bytes: bytes of its slot, as marked and counted; of the shared block, where `is_tiny`.
        header_bytes: bytes of the slot that the malloc header takes.
        span_bytes: bytes of the span it is placed in.
        objects_per_span: slots in a fresh span.
        is_tiny: it shares a block of 16 bytes with its neighbours.
        requests_per_slot: requests of this size in a row that share a slot: 1 unless `is_tiny`.
    """

    size_class: int | None
    object_bytes: int
    header_bytes: int
    span_bytes: int
    objects_per_span: int
    is_tiny: bool
    requests_per_slot: int

    @property
    def is_large(self) -> bool:
        """Whether it has a span of its own."""
        return self.size_class is None


def alloc_layout(request_bytes: int, has_pointers: bool, rules: ReleaseRules) -> AllocLayout:
    """How a request of `request_bytes` (>= 0) is placed.

    Source: runtime/malloc.go mallocgc, mallocgcTiny (go1.19 .. go1.27). Simplified: no.
    """
    if request_bytes == 0:
        return AllocLayout(0, 0, 0, 0, 0, is_tiny=False, requests_per_slot=1)
    if request_bytes > rules.large_object_min_bytes:
        rounded = _page_rounded(request_bytes)
        return AllocLayout(None, rounded, 0, rounded, 1, is_tiny=False, requests_per_slot=1)
    is_tiny = request_bytes < TINY_BYTES and not has_pointers
    header = _header_bytes(request_bytes, has_pointers=has_pointers, rules=rules)
    size_class = size_class_of(TINY_BYTES if is_tiny else request_bytes + header)
    return AllocLayout(
        size_class,
        SIZE_CLASS_BYTES[size_class],
        header,
        span_bytes(size_class),
        span_objects(size_class, has_pointers, rules.span_layout),
        is_tiny=is_tiny,
        requests_per_slot=_tiny_requests_per_block(request_bytes) if is_tiny else 1,
    )


def _tiny_requests_per_block(request_bytes: int) -> int:
    # Each is aligned to what its size divides by, at most 8 (12 bytes by 8 on 32-bit only).
    align = (
        8 if request_bytes % 8 == 0 else 4 if request_bytes % 4 == 0 else 2 if request_bytes % 2 == 0 else 1
    )
    step = -(-request_bytes // align) * align
    return (TINY_BYTES - request_bytes) // step + 1
