"""Steps that stand for several allocations, written out as ordinary ones: sites, growing slices, maps, what is kept.

What `policy` says a slice or a map allocates becomes `allocate` steps: what it outgrew dies at once, what it has in
the end lives as long as the step says. Objects on the stack cost frame space (the stack must hold all of a request's
sites, one slot each) and the time to write them once, never heap. Elements are copied on growth as structs are; keys
of a map that grows are hashed and put again. Finding a key's slot when it is inserted is the program's own work and
belongs in a cpu step.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gcsim.policy.constants import PTR_BYTES
from gcsim.policy.escape import Construct, Decision, Flow, Place, Site, decide
from gcsim.policy.maps import SLOTS, SWISS_HEADER_BYTES, MapObject, MapType, insert_keys
from gcsim.policy.releases import ReleaseRules
from gcsim.policy.slices import append_growth
from gcsim.runtime.randomness import stream
from gcsim.spec.models import (
    AllocateStep,
    AllocationSite,
    AppendStep,
    CpuStep,
    Distribution,
    KeepStep,
    MapInsertStep,
    RequestClass,
    Step,
)
from gcsim.spec.profile import MachineProfile

# assumed: draws of hashes that a map's mean is taken from; few overflow buckets more or less would show in no metric
_DRAWS = 16
_KEYS_DRAWN = 100_000

Lifetime = str | Distribution


@dataclass(slots=True)
class _Frame:
    """Bytes of frames that a request's sites need."""

    bytes: int = 0


def decide_site(site: AllocationSite, rules: ReleaseRules) -> Decision:
    """Stack or heap for a declared site."""
    return decide(
        Site(
            construct=Construct(site.construct),
            size_bytes=site.size,
            constant_size=site.constant_size,
            flows=tuple(Flow(flow) for flow in site.flows),
            verdict=site.escapes,
        ),
        rules,
    )


def expand_request(
    request: RequestClass,
    sites: Sequence[AllocationSite],
    *,
    profile: MachineProfile,
    rules: ReleaseRules,
    seed: int,
) -> RequestClass:
    """The request class with every step written out; itself where none needs to be."""
    return expand_with_origins(request, sites, profile=profile, rules=rules, seed=seed)[0]


def expand_with_origins(
    request: RequestClass,
    sites: Sequence[AllocationSite],
    *,
    profile: MachineProfile,
    rules: ReleaseRules,
    seed: int,
) -> tuple[RequestClass, tuple[int, ...]]:
    """The same, and for each step written out the index of the step that it stands for."""
    if not any(
        isinstance(step, AppendStep | MapInsertStep | KeepStep)
        or (isinstance(step, AllocateStep) and step.site)
        for step in request.steps
    ):
        return request, tuple(range(len(request.steps)))
    by_name = {site.name: site for site in sites}
    made = {
        step.name: step
        for step in request.steps
        if isinstance(step, AllocateStep | AppendStep | MapInsertStep)
    }
    referred_to = {
        step.name: step.lifetime
        for step in request.steps
        if isinstance(step, KeepStep) and step.by == "reference"
    }
    frame = _Frame()
    steps: list[Step] = []
    origins: list[int] = []
    for number, step in enumerate(request.steps):
        if isinstance(step, AllocateStep | AppendStep | MapInsertStep) and step.name in referred_to:
            # The collector marks objects, not fields: whatever refers into it keeps all of it.
            step = step.model_copy(update={"lifetime": referred_to[step.name]})
        match step:
            case AllocateStep() if step.site is not None:
                steps += _allocate(step, by_name[step.site], frame, profile, rules)
            case AppendStep():
                steps += _append(step, by_name, frame, profile, rules)
            case MapInsertStep():
                name = f"map.{request.name}.{number}"
                steps += _map_insert(step, by_name, frame, profile, rules, stream(seed, name))
            case KeepStep():
                if step.by == "copy":
                    steps += _copy(step, made[step.name].count, profile)
            case _:
                steps.append(step)
        origins += [number] * (len(steps) - len(origins))
    used = request.stack_used_bytes + frame.bytes
    written_out = request.model_copy(update={"steps": tuple(steps), "stack_used_bytes": used})
    return written_out, tuple(origins)


def _allocate(
    step: AllocateStep, site: AllocationSite, frame: _Frame, profile: MachineProfile, rules: ReleaseRules
) -> Iterator[Step]:
    size = step.size if site.size is None else site.size
    assert size is not None, "checked by the spec"
    if size == 0:
        return  # all objects of no bytes share one address
    if decide_site(site, rules).is_heap(size):
        words = min(step.pointer_words or site.pointer_words, size // PTR_BYTES)
        yield step.model_copy(update={"size": size, "pointer_words": words, "site": None})
        return
    frame.bytes += size
    yield CpuStep(ns=round(step.count * size * profile["touch_ns_per_byte"]))


def _copy(step: KeepStep, count: float, profile: MachineProfile) -> Iterator[Step]:
    """The part is copied to an object of its own."""
    assert step.size is not None, "checked by the spec"
    yield CpuStep(ns=round(count * step.size * profile["copy_ns_per_byte"]))
    yield _heap(count, step.size, step.pointer_words, step.lifetime)


def _append(
    step: AppendStep,
    sites: Mapping[str, AllocationSite],
    frame: _Frame,
    profile: MachineProfile,
    rules: ReleaseRules,
) -> Iterator[Step]:
    decision = decide_site(sites[step.site], rules) if step.site is not None else None
    stack_bytes = decision.stack_bytes if decision is not None else 0
    growth = append_growth(
        elements=step.elements,
        elem_bytes=step.element_size,
        capacity_hint=step.hint,
        chunk=step.chunk,
        has_pointers=step.pointer_words > 0,
        rules=rules,
        stack_elements=stack_bytes // step.element_size,
        moves_to_heap=decision is not None and decision.escapes,
    )
    frame.bytes += growth.on_stack_bytes
    if growth.copied_bytes:
        yield CpuStep(ns=round(step.count * growth.copied_bytes * profile["copy_ns_per_byte"]))
    for size, lifetime in (
        *((size, "temporary") for size in growth.left_behind_bytes),
        (growth.final_bytes, step.lifetime),
    ):
        if size:
            elements = size // step.element_size
            words = (elements - 1) * (step.element_size // PTR_BYTES) + step.pointer_words
            name = step.name if lifetime == step.lifetime else None
            yield _heap(step.count, size, words if step.pointer_words else 0, lifetime, name)


def _map_insert(
    step: MapInsertStep,
    sites: Mapping[str, AllocationSite],
    frame: _Frame,
    profile: MachineProfile,
    rules: ReleaseRules,
    rng: np.random.Generator,
) -> Iterator[Step]:
    map_type = MapType(
        key_bytes=step.key_size,
        value_bytes=step.value_size,
        key_pointers=step.key_pointers,
        value_pointers=step.value_pointers,
    )
    decision = decide_site(sites[step.site], rules) if step.site is not None else None
    on_stack = decision is not None and decision.place is Place.STACK
    if on_stack:
        first = map_type.group_bytes if rules.swiss_maps else map_type.bucket_bytes
        frame.bytes += SWISS_HEADER_BYTES + (first if step.hint <= SLOTS else 0)
    draws = max(1, min(_DRAWS, _KEYS_DRAWN // max(1, step.keys)))
    kept: Counter[MapObject] = Counter()
    left_behind: Counter[MapObject] = Counter()
    moved = 0
    for _ in range(draws):
        hashes = rng.integers(2**64, size=step.keys, dtype=np.uint64)
        growth = insert_keys(map_type, hashes, hint=step.hint, header_on_stack=on_stack, rules=rules)
        kept += growth.kept
        left_behind += growth.left_behind
        moved += growth.moved
    if moved:
        slot_bytes = map_type.slot_key_bytes + map_type.slot_value_bytes
        each = profile["map_move_ns"] + profile["copy_ns_per_byte"] * slot_bytes
        yield CpuStep(ns=round(step.count * moved / draws * each))
    for objects, lifetime in ((left_behind, "temporary"), (kept, step.lifetime)):
        for item, count in objects.items():
            words = item.request_bytes // PTR_BYTES if item.has_pointers else 0
            name = step.name if lifetime == step.lifetime else None
            yield _heap(step.count * count / draws, item.request_bytes, words, lifetime, name)


def _heap(
    count: float, size: int, pointer_words: int, lifetime: Lifetime, name: str | None = None
) -> AllocateStep:
    return AllocateStep.model_validate(
        {"count": count, "size": size, "pointer_words": pointer_words, "lifetime": lifetime, "name": name}
    )
