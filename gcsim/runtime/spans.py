"""What spans hold: garbage by the class of span it lies in, and spans with nothing free.  Pure."""

from __future__ import annotations

from collections.abc import Sequence

from gcsim.policy.size_classes import SIZE_CLASS_BYTES, SIZE_CLASS_PAGES
from gcsim.runtime.costs import SpanClass
from gcsim.runtime.effects import Leak
from gcsim.runtime.heap import Heap
from gcsim.runtime.program import Plan
from gcsim.runtime.sweep import FullSpans


def garbage_shares(plans: Sequence[Plan]) -> dict[SpanClass, float]:
    """Share of the garbage by the spans it is allocated in; the rest are large objects."""
    total = sum(plan.large_garbage_bytes + sum(plan.garbage_classes.values()) for plan in plans)
    shares: dict[SpanClass, float] = {}
    for plan in plans:
        for span_class, n in plan.garbage_classes.items():
            shares[span_class] = shares.get(span_class, 0.0) + n / total
    return shares


def _flow(plan: Plan) -> dict[SpanClass, float]:
    """Bytes per request by the spans they are allocated in, large objects left out."""
    flow = dict(plan.garbage_classes)
    for segment in plan.segments:
        for count, effect, _ in segment.effects:
            for span_class, objects in effect.span_classes.items():
                size = objects * SIZE_CLASS_BYTES[span_class[0]]
                flow[span_class] = flow.get(span_class, 0.0) + count * size
    return flow


def _leaked_objects(plan: Plan, span_class: SpanClass) -> int:
    """Objects in such spans that requests of the class have leaked so far."""
    return sum(
        effect.length * effect.span_classes.get(span_class, 0)
        for segment in plan.segments
        for _, effect, _ in segment.effects
        if isinstance(effect, Leak)
    )


def full_spans(plans: Sequence[Plan], heap: Heap, marked_bytes: int) -> list[FullSpans]:
    """Spans that hold live objects only, of the classes that requests allocate in.

    Those filled while marking, those of sets built in order, and those of leaks.

    Args:
        marked_bytes: allocated while marking.
    """
    flow: dict[SpanClass, float] = {}
    large = 0.0
    for plan in plans:
        large += plan.large_garbage_bytes
        for span_class, n in _flow(plan).items():
            flow[span_class] = flow.get(span_class, 0.0) + n
    total = large + sum(flow.values())
    found = []
    for span_class, made in flow.items():
        size_class, _, span_objects = span_class
        share = made / total
        objects = share * marked_bytes / SIZE_CLASS_BYTES[size_class]
        for retained in heap.retained.values():
            in_order = max(0.0, retained.entries - retained.halved - retained.scattered)
            objects += in_order * retained.span_classes.get(span_class, 0)
        objects += sum(_leaked_objects(plan, span_class) for plan in plans)
        per_byte = share / (span_objects * SIZE_CLASS_BYTES[size_class])
        found.append(FullSpans(objects / span_objects, SIZE_CLASS_PAGES[size_class], per_byte))
    return found
