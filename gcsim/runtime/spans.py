"""What spans hold: garbage by the class of span it lies in, and spans with nothing free.  Pure.

Left out: objects of drawn sizes, and what pools and growing slices and maps allocate; these count as large.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gcsim.policy.size_classes import SIZE_CLASS_BYTES, SIZE_CLASS_PAGES
from gcsim.runtime.costs import SpanClass
from gcsim.runtime.effects import Leak, Replace
from gcsim.runtime.heap import Heap
from gcsim.runtime.program import Plan
from gcsim.runtime.sweep import FullSpans


def _weighted(plans: Sequence[Plan]) -> Iterator[tuple[Plan, float]]:
    """Each class with how many of its requests there were; before the first, all alike."""
    counts = [plan.finished for plan in plans]
    for plan, count in zip(plans, counts, strict=True):
        yield plan, float(count) if any(counts) else 1.0


def garbage_shares(plans: Sequence[Plan]) -> dict[SpanClass, float]:
    """Share of the garbage by the spans it is allocated in; the rest are large objects.  Replaced entries are none."""
    total = 0.0
    made: dict[SpanClass, float] = {}
    for plan, requests in _weighted(plans):
        replaced = sum(
            count * effect.unit.bytes
            for segment in plan.segments
            for count, effect, _ in segment.effects
            if isinstance(effect, Replace)
        )
        total += requests * max(0.0, plan.bytes_per_request - replaced)
        for span_class, n in plan.garbage_classes.items():
            made[span_class] = made.get(span_class, 0.0) + requests * n * plan.scale
    return {span_class: min(1.0, n / total) for span_class, n in made.items()} if total else {}


def _flow(plan: Plan) -> dict[SpanClass, float]:
    """Bytes per request by the spans they are allocated in, large objects left out."""
    flow = {span_class: n * plan.scale for span_class, n in plan.garbage_classes.items()}
    for segment in plan.segments:
        for count, effect, _ in segment.effects:
            for span_class, objects in effect.span_classes.items():
                size = objects * SIZE_CLASS_BYTES[span_class[0]]
                flow[span_class] = flow.get(span_class, 0.0) + count * size
    return flow


def large_frac(plans: Sequence[Plan]) -> float:
    """Share of the bytes allocated that are garbage in large objects."""
    total = sum(n * plan.bytes_per_request for plan, n in _weighted(plans))
    large = sum(n * plan.large_garbage_bytes * plan.scale for plan, n in _weighted(plans))
    return min(1.0, large / total) if total else 0.0


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

    Those filled while marking, those of sets built in order or of spans to themselves, and those of leaks.

    Args:
        marked_bytes: allocated while marking.
    """
    total = 0.0
    flow: dict[SpanClass, float] = {}
    for plan, requests in _weighted(plans):
        total += requests * plan.bytes_per_request
        for span_class, n in _flow(plan).items():
            flow[span_class] = flow.get(span_class, 0.0) + requests * n
    found = []
    for span_class, made in flow.items():
        if not made or not total:
            continue
        size_class, _, span_objects = span_class
        share = min(1.0, made / total)
        objects = share * marked_bytes / SIZE_CLASS_BYTES[size_class]
        for retained in heap.retained.values():
            whole: float = retained.entries - retained.halved
            if span_objects > 1:  # strangers beside a replaced entry die sooner or later
                whole = max(0.0, whole - retained.scattered)
            objects += whole * retained.span_classes.get(span_class, 0)
        objects += sum(_leaked_objects(plan, span_class) for plan in plans)
        # Spans with something free between live objects are looked at first.
        taken = share * (1.0 - heap.scattered_frac(span_class))
        per_byte = taken / (span_objects * SIZE_CLASS_BYTES[size_class])
        if per_byte <= 0.0:
            continue
        found.append(FullSpans(objects / span_objects, SIZE_CLASS_PAGES[size_class], per_byte))
    return found
