"""From a request class's steps to drawn requests: times, bytes and effects, many at once.

A request is a row of **segments**, stretches of CPU and allocation between blocking steps.  `Plan.draw` draws a
block of requests as arrays, so that thousands cost a few numpy calls; goroutines then walk along the block.
Effects (replace, publish, leak, pools, lifetimes, pointer writes) are counts per request, applied when it ends.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from gcsim.policy.constants import PAGE_BYTES
from gcsim.policy.size_classes import SIZE_CLASS_BYTES
from gcsim.runtime.costs import WORD_BYTES, CostModel, Footprint, SpanClass
from gcsim.runtime.drift import Drift
from gcsim.runtime.effects import (
    Delete,
    Effect,
    Fifo,
    GrowMap,
    Leak,
    Outlive,
    PointerWrites,
    Publish,
    Replace,
    Requeue,
)
from gcsim.runtime.goroutine import Rates
from gcsim.runtime.heap import Heap, PoolState
from gcsim.runtime.randomness import FloatArray, mean_of, normals, sample, stream
from gcsim.runtime.sites import Share, Shares, Site
from gcsim.spec.models import (
    AllocateStep,
    AppendStep,
    BlockStep,
    CallStep,
    CpuStep,
    DeleteStep,
    Distribution,
    DropStep,
    FifoStep,
    GCStep,
    KeepStep,
    LeakStep,
    LockStep,
    MapInsertStep,
    PointerWritesStep,
    PoolGetStep,
    PoolPutStep,
    PublishStep,
    ReplaceStep,
    RequestClass,
    Step,
    SyscallStep,
)

IntArray = npt.NDArray[np.int64]

# derived: cmd/compile, amd64: a frame's return address and saved frame pointer
_FRAME_BYTES = 16


@dataclass(frozen=True, slots=True)
class Unlock:
    """The end of a lock step's hold time."""

    name: str


@dataclass(slots=True)
class SegmentPlan:
    """A stretch of CPU and allocation, and the blocking step that ends it (None: the request ends)."""

    cpu_ns: float = 0.0
    alloc_ns: float = 0.0
    write_ns: float = 0.0  # pointer stores: many small misses, so alike in every request
    callless_ns: float = 0.0  # time in loops without calls, where stopping takes a signal
    garbage: Footprint = field(default_factory=Footprint)
    scaled_garbage: Footprint = field(default_factory=Footprint)
    drawn_ns: list[Distribution] = field(default_factory=list)
    fractional: list[tuple[float, Footprint, bool, Outlive | None, Site, int | None]] = field(
        default_factory=list
    )
    drawn_sizes: list[tuple[float, Distribution, int, bool, Site, int | None]] = field(default_factory=list)
    early: list[tuple[int, Footprint, bool]] = field(
        default_factory=list
    )  # of garbage and scaled garbage: what dies before the request, and when (see `Deaths.add`)
    frames_bytes: int = 0  # of the calls in it, beyond those that the request has throughout
    frames: int = 0  # how many these are
    steady: list[tuple[Site, Footprint, bool, float]] = field(
        default_factory=list
    )  # site, what each request allocates there, whether scaled, ns of its own code
    effects: list[tuple[float, Effect, float]] = field(
        default_factory=list
    )  # count per request, effect, ns per unit
    pool_gets: list[PoolState] = field(default_factory=list)
    pool_puts: list[PoolState] = field(default_factory=list)
    barriers: float = 0.0  # pointer stores per request
    copied_pointers: float = (
        0.0  # that append takes to a new array: while marking each goes through the barrier
    )
    small: dict[SpanClass, float] = field(default_factory=dict)  # small garbage objects per request
    ends_with: BlockStep | SyscallStep | LockStep | Unlock | GCStep | DropStep | None = None

    def alloc_scattered_ns(self, heap: Heap, costs: CostModel, scale: float) -> float:
        """What allocation costs more because free slots lie scattered between live objects."""
        each = costs.profile["alloc_scattered_ns"] * scale
        return each * sum(n * heap.scattered_frac(span_class) for span_class, n in self.small.items())


@dataclass(slots=True)
class Block:
    """Drawn requests, one row each; a single number instead of an array holds for each of them.

    Attributes:
        ns: per segment, CPU time of each request.
        alloc: per segment, bytes allocated by each request.
        garbage: bytes of each request that die with it.
        objects: objects of each request that die with it.
        effects: the effect and its count in each request.
        shares: what each of them does at its sites.
        varying: of sites where it varies: bytes and objects in each request, ns in the allocator per object.
        waits: per segment, how long the blocking step that ends it takes (None: it does not block for a time).
        deaths: what of the garbage is dead before the request ends.
    """

    n: int
    ns: list[FloatArray]
    alloc: list[int | IntArray]
    garbage: int | IntArray
    objects: int | IntArray
    effects: list[tuple[Effect, int | IntArray]]
    shares: Shares
    varying: list[tuple[Site, IntArray, IntArray, float]]
    waits: list[FloatArray | None]
    deaths: Deaths


def _target_of(step: Step) -> str:
    """What a step is about: the name of a set, pool, mutex or allocation site, or nothing."""
    match step:
        case AllocateStep() | AppendStep() | MapInsertStep():
            return step.site or ""
        case ReplaceStep() | PublishStep() | DeleteStep() | FifoStep():
            return step.set
        case KeepStep() | DropStep():
            return step.name
        case PoolGetStep() | PoolPutStep():
            return step.pool
        case LockStep():
            return step.name
    return ""


_TEMPORARY = -1


class Deaths:
    """Bytes of garbage that are dead before their request ends, in each request.

    Attributes:
        dropped: per segment: dead from its end on (None: none).
        temporary: per segment: made in it, and each dead as soon as it is used (None: none).
    """

    def __init__(self, segments: int) -> None:
        self.dropped: list[IntArray | None] = [None] * segments
        self.temporary: list[IntArray | None] = [None] * segments

    def add(self, segment: int, death: int | None, sizes: IntArray) -> None:
        """So many bytes made in `segment`.

        Args:
            death: the segment with whose end they die, or `_TEMPORARY`; None: they die with the request.
        """
        if death is not None:
            rows, at = (self.temporary, segment) if death == _TEMPORARY else (self.dropped, death)
            known = rows[at]
            rows[at] = sizes if known is None else known + sizes


def _deaths(steps: Sequence[Step]) -> dict[int, int]:
    """Of allocate steps whose objects die before the request: the segment with whose end they do, or `_TEMPORARY`."""
    segment = 0
    dropped: dict[str, int] = {}
    for step in steps:
        match step:
            case DropStep():
                dropped[step.name] = segment
                segment += 1
            case LockStep():
                segment += 2
            case BlockStep() | SyscallStep() | GCStep():
                segment += 1
    deaths: dict[int, int] = {}
    for number, step in enumerate(steps):
        if isinstance(step, AllocateStep):
            death = _TEMPORARY if step.lifetime == "temporary" else dropped.get(step.name or "")
            if death is not None:
                deaths[number] = death
    return deaths


class Plan:
    """One request class, compiled."""

    def __init__(
        self,
        spec: RequestClass,
        costs: CostModel,
        heap: Heap,
        seed: int,
        asked: Sequence[tuple[int, Step]] | None = None,
    ) -> None:
        """`asked`: for each step its index and form in the spec, if that is not `spec` itself."""
        self._asked = list(enumerate(spec.steps)) if asked is None else asked
        self.spec = spec
        self.name = spec.name
        self.max_in_flight = spec.max_in_flight
        self.costs = costs
        self.heap = heap
        self._rng = stream(seed, f"requests.{spec.name}")
        self._stall_rng = stream(seed, f"stalls.{spec.name}")
        self._alloc_rng = stream(seed, f"allocation.{spec.name}")
        self._drift = Drift(costs.profile, stream(seed, f"drift.{spec.name}"))
        self.scale = 1.0
        self._accumulated: dict[int, float] = {}
        self.garbage_classes: dict[SpanClass, float] = {}  # bytes per request of small garbage
        self.large_garbage_bytes = 0.0  # per request, of a declared size
        self.rates = Rates()
        self._mark_extra_ns = 0.0
        self._barrier_ns = 0.0  # per request, where the write barrier is always on
        self._booked: list[tuple[Effect, Site, float]] = []  # effects, their sites, ns of a unit
        self._shares: dict[float, Shares] = {}
        self._deaths = _deaths(spec.steps)
        self.segments = self._compile(spec)
        outlive = any(o for s in self.segments for _, _, _, o, _, _ in s.fractional)
        leaks = any(isinstance(effect, Leak | GrowMap) for s in self.segments for _, effect, _ in s.effects)
        pools = any(s.pool_gets for s in self.segments)
        self._settles_late = not (
            outlive or leaks or pools
        )  # these run from, or allocate at, a request's own end
        self._take_rates()

    def _take_rates(self) -> None:
        """Mean rates of a typical request, for estimates of when something will be reached."""
        accumulated = dict(self._accumulated)
        block = self.draw(256, record=False)
        self._accumulated = accumulated
        self.mean_ns = max(sum(float(a.mean()) for a in block.ns), 1.0)
        requests = 1 << 16
        mixed = self.mixed = self._footprint_of(requests)
        self.bytes_per_request = mixed.bytes / requests
        self.garbage_frac = 1.0 - self._kept_bytes(requests) / mixed.bytes if mixed.bytes else 0.0
        self.spans_per_byte = mixed.spans / mixed.bytes if mixed.bytes else 1 / PAGE_BYTES
        p = self.costs.profile
        self._mark_extra_ns = (p["alloc_black_ns"] + p["write_barrier_new_ns"]) * mixed.objects / requests
        self._mark_extra_ns += p["write_barrier_new_ns"] * sum(s.copied_pointers for s in self.segments)
        self._mark_extra_ns += p["write_barrier_ns"] * sum(s.barriers for s in self.segments)
        if self.costs.barrier_always_on:
            self._barrier_ns = self._mark_extra_ns - p["alloc_black_ns"] * mixed.objects / requests
        self.rates = Rates(
            live_per_byte=mixed.live_bytes / mixed.bytes if mixed.bytes else 1.0,
            scannable_per_byte=mixed.scannable_bytes / mixed.bytes if mixed.bytes else 0.0,
            bytes_per_ns=sum(float(np.mean(a)) for a in block.alloc) / self.mean_ns,
            object_bytes=max(1, round(mixed.bytes / mixed.objects)) if mixed.objects else 1,
            contended_frac=mixed.contended_ns / requests / self.mean_ns,
            callless_frac=min(1.0, sum(s.callless_ns for s in self.segments) / self.mean_ns),
        )
        self._slow_down(self.mean_ns)

    def _slow_down(self, mean_ns: float) -> None:
        """How much longer requests of so many ns last beside marking.

        Pure CPU is not slowed down; allocation is, and sets mark bits, and pointer stores go through the barrier.
        """
        pure_ns = sum(s.cpu_ns + sum(mean_of(d) for d in s.drawn_ns) for s in self.segments)
        memory_share = max(0.0, 1.0 - pure_ns / mean_ns)
        slowdown = self.costs.profile["mark_mutator_slowdown_frac"]
        self.rates = replace(
            self.rates,
            mark_slow=1.0 + slowdown * memory_share + self._mark_extra_ns / mean_ns,
            plain_slow=1.0 + self._barrier_ns / mean_ns,
        )

    def set_scale(self, scale: float) -> None:
        """From now on so many times the garbage."""
        self.scale = scale
        self._take_rates()

    @property
    def settles_late(self) -> bool:
        """Whether what finished requests leave behind may be booked together, some time after they ended."""
        return self._settles_late

    @property
    def blocks(self) -> bool:
        """Whether a request has several parts: it gives up its P on its way, or drops something."""
        return len(self.segments) > 1

    @property
    def makes_temporaries(self) -> bool:
        """Whether some of what a request allocates is dead while it runs."""
        return _TEMPORARY in self._deaths.values()

    @property
    def calls_deeply(self) -> bool:
        """Whether some part of a request needs more stack than the rest of it."""
        return any(s.frames_bytes for s in self.segments)

    @property
    def stack_used_bytes(self) -> int:
        """Frames of a request where it is deepest."""
        return self.spec.stack_used_bytes + max(s.frames_bytes for s in self.segments)

    # ---- sites ---------------------------------------------------------------------------------------------

    def _shares_of_scale(self) -> Shares:
        """What a request does at its sites at the present scale."""
        shares = self._shares.get(self.scale)
        if shares is None:
            found: list[Share] = []
            for s in self.segments:
                bytes_ = objects = 0
                for site, made, scaled, code_ns in s.steady:
                    factor = self.scale if scaled else 1.0
                    # Rounded together, as the segment's garbage is.
                    first = (round(bytes_ * factor), round(objects * factor)) if scaled else (0, 0)
                    if scaled:
                        bytes_ += made.bytes
                        objects += made.objects
                    last = (
                        (round(bytes_ * factor), round(objects * factor))
                        if scaled
                        else (made.bytes, made.objects)
                    )
                    found.append(
                        Share(site, last[0] - first[0], last[1] - first[1], made.alloc_ns * factor, code_ns)
                    )
            rest = self.heap.sites.get("request", request_class=self.name)
            shares = self._shares[self.scale] = Shares(found, rest)
        return shares

    @property
    def finished(self) -> int:
        """Requests of the class that are over and booked."""
        return sum(shares.booked + shares.requests for shares in self._shares.values())

    def book_sites(self) -> None:
        """Bring the sites of this class up to the last request that has been booked."""
        for shares in self._shares.values():
            shares.book()
        rest = self.heap.sites.get("request", request_class=self.name)
        for effect, site, unit_ns in self._booked:
            n, effect.units = effect.units, 0
            unit = effect.unit
            code_ns = max(0.0, unit_ns - unit.alloc_ns)
            site.add(unit.bytes * n, unit.objects * n, unit.alloc_ns * n, code_ns * n)
            rest.code_ns -= (unit.alloc_ns + code_ns) * n

    def _site(self, step: int, kind: str, name: str = "") -> Site:
        return self.heap.sites.get(kind, name, request_class=self.name, step=step)

    # ---- compiling -----------------------------------------------------------------------------------------

    def _compile(self, spec: RequestClass) -> list[SegmentPlan]:
        p = self.costs.profile
        segments = [SegmentPlan()]
        segments[0].cpu_ns += p["request_overhead_ns"]
        grown: dict[str, GrowMap] = {}
        for number, step in enumerate(spec.steps):
            s = segments[-1]
            index, written = self._asked[number]
            site = self._site(index, written.kind, _target_of(written))
            match step:
                case CpuStep():
                    if step.distribution is not None:
                        s.drawn_ns.append(step.distribution)
                        each = mean_of(step.distribution)
                    else:
                        each = (step.ns or 0) * (
                            1.0 + (p["spin_overhead_frac"] if step.calibrated_spin else 0.0)
                        )
                        s.cpu_ns += each
                    s.callless_ns += max(0.0, each - p["stw_at_once_ns"])
                    s.steady.append((site, Footprint(), False, each))
                case AllocateStep():
                    self._compile_allocate(step, s, number, site)
                case PointerWritesStep():
                    entries = self.heap.retained[step.set].entries if step.set is not None else 0
                    each = step.count * self.costs.pointer_write_ns(entries)
                    s.write_ns += each
                    s.callless_ns += max(0.0, each - p["stw_at_once_ns"])
                    s.steady.append((site, Footprint(), False, each))
                    s.barriers += step.count
                    if step.set is not None:
                        writes = PointerWrites(
                            self.heap, self.heap.retained[step.set], drops_subtree=step.drops_subtree
                        )
                        s.effects.append((step.count, writes, 0.0))
                case ReplaceStep():
                    target = self.heap.retained[step.set]
                    cost = target.entry.alloc_ns + p["random_entry_ns"]
                    cost += target.entry.objects * p["alloc_scattered_ns"]
                    self._add_effect(s, step.count, Replace(self.heap, target), cost, site)
                    s.barriers += (
                        step.count
                    )  # links among new objects cost next to nothing: both ends are black
                case PublishStep():
                    target = self.heap.retained[step.set]
                    self._add_effect(s, step.count, Publish(target), target.entry.alloc_ns, site)
                    if target.is_map:
                        grown[target.name] = GrowMap(
                            self.heap, target, self._site(index, "grow_map", step.set)
                        )
                    s.barriers += (
                        step.count
                    )  # links among new objects cost next to nothing: both ends are black
                case DeleteStep():
                    delete = Delete(self.heap, self.heap.retained[step.set])
                    self._add_effect(s, step.count, delete, p["random_entry_ns"], site)
                    s.barriers += step.count
                case FifoStep():
                    target = self.heap.retained[step.set]
                    fifo = Fifo(self.heap, target, clear=step.clear)
                    self._add_effect(s, step.count, fifo, target.entry.alloc_ns, site)
                    requeue = Requeue(self.heap, target, self.costs)
                    arrays = step.count / requeue.lasts
                    # The first comes at once: the set's table has no room to spare.
                    self._accumulated[(len(segments) - 1 << 16) + len(s.effects)] = 1.0 - arrays + 1e-9
                    self._add_effect(s, arrays, requeue, requeue.ns, self._site(index, "growslice", step.set))
                    s.copied_pointers += arrays * target.declared
                    s.barriers += step.count
                case CallStep():
                    by_value = step.by == "value"
                    # Go has no variable that is not set: each call writes its frame once.
                    each = p["call_ns"] + p["touch_ns_per_byte"] * step.frame
                    each = step.count * (each + (self.costs.copy_ns(step.size) if by_value else 0.0))
                    s.cpu_ns += each
                    s.steady.append((site, Footprint(), False, each))
                    frame = _FRAME_BYTES + step.frame + (step.size if by_value else WORD_BYTES)
                    frames = step.count if step.nested else 1
                    if frame * frames > s.frames_bytes:
                        s.frames_bytes, s.frames = frame * frames, frames
                case DropStep():
                    s.ends_with = step
                    segments.append(SegmentPlan())
                case LeakStep():
                    unit = self.costs.object(step.size, step.pointer_words)
                    span_class = self.costs.span_class(step.size, step.pointer_words)
                    growth = self._site(index, "growslice")
                    leak = Leak(self.heap, unit, span_class, step.slot_bytes, self.costs, growth)
                    self._add_effect(s, 1.0, leak, unit.alloc_ns, site)
                    s.barriers += 1
                case PoolGetStep():
                    s.pool_gets.append(self.heap.pools[step.pool])
                    each = p["touch_ns_per_byte"] * step.size if step.touch else 0.0
                    s.alloc_ns += each
                    s.steady.append((site, Footprint(), False, each))
                case PoolPutStep():
                    s.pool_puts.append(self.heap.pools[step.pool])
                case LockStep():
                    s.ends_with = step
                    segments.append(SegmentPlan(cpu_ns=step.hold_ns, ends_with=Unlock(step.name)))
                    segments[-1].steady.append((site, Footprint(), False, step.hold_ns))
                    segments.append(SegmentPlan())
                case BlockStep() | SyscallStep() | GCStep():
                    each = p["syscall_ns"] if isinstance(step, SyscallStep) else p["block_ns"]
                    s.cpu_ns += each
                    s.steady.append((site, Footprint(), False, each))
                    s.ends_with = step
                    segments.append(SegmentPlan())
        segments[-1].effects += [(1.0, effect, 0.0) for effect in grown.values()]
        return segments

    def _add_effect(self, s: SegmentPlan, count: float, effect: Effect, unit_ns: float, site: Site) -> None:
        s.effects.append((count, effect, unit_ns))
        self._booked.append((effect, site, unit_ns))

    def _compile_allocate(self, step: AllocateStep, s: SegmentPlan, number: int, site: Site) -> None:
        death = self._deaths.get(number)
        if step.size_distribution is not None:
            s.drawn_sizes.append(
                (step.count, step.size_distribution, step.pointer_words, step.scaled, site, death)
            )
            return
        size = step.size or 0
        unit = self.costs.object(size, step.pointer_words, step.shape)
        span_class = self.costs.span_class(size, step.pointer_words)
        if span_class is None:
            self.large_garbage_bytes += step.count * unit.bytes
        else:
            s.small[span_class] = s.small.get(span_class, 0.0) + step.count
            known = self.garbage_classes.get(span_class, 0.0)
            self.garbage_classes[span_class] = known + step.count * unit.bytes
        if isinstance(step.lifetime, Distribution):
            rng = stream(int(self._rng.integers(2**31)), f"lifetime.{number}")
            outlive = Outlive(self.heap, unit, step.lifetime, rng)
            s.fractional.append((step.count, unit, step.scaled, outlive, site, None))
            self._booked.append((outlive, site, unit.alloc_ns))
        elif step.count == int(step.count):
            s.steady.append((site, unit.times(step.count), step.scaled, 0.0))
            if step.scaled:
                s.scaled_garbage = s.scaled_garbage + unit.times(step.count)
            else:
                s.garbage = s.garbage + unit.times(step.count)
            if death is not None:
                s.early.append((death, unit.times(step.count), step.scaled))
        else:
            s.fractional.append((step.count, unit, step.scaled, None, site, death))

    def _footprint_of(self, requests: int) -> Footprint:
        """What so many requests allocate; of very many, so that rare steps count although objects are whole."""
        total = Footprint()
        for s in self.segments:
            total = total + s.garbage.times(requests) + s.scaled_garbage.times(requests * self.scale)
            for count, unit, scaled, *_ in s.fractional:
                total = total + unit.times(count * requests * (self.scale if scaled else 1.0))
            for count, distribution, words, scaled, *_ in s.drawn_sizes:
                unit = self.costs.object(int(mean_of(distribution)), words)
                total = total + unit.times(count * requests * (self.scale if scaled else 1.0))
            for per_request, effect, _ in s.effects:
                total = total + effect.unit.times(per_request * requests)
        return total

    def _kept_bytes(self, requests: int) -> float:
        """What so many requests allocate that does not die with them."""
        kept = 0.0
        for s in self.segments:
            for count, unit, scaled, outlive, *_ in s.fractional:
                if outlive is not None:
                    kept += count * requests * (self.scale if scaled else 1.0) * unit.bytes
            kept += sum(count * requests * effect.unit.bytes for count, effect, _ in s.effects)
        return kept

    # ---- drawing -------------------------------------------------------------------------------------------

    def draw(self, n: int, *, record: bool = True) -> Block:
        """`n` requests."""
        p = self.costs.profile
        rng = self._rng
        ns: list[FloatArray] = []
        alloc: list[int | IntArray] = []
        garbage: int | IntArray = 0
        objects: int | IntArray = 0
        effects: list[tuple[Effect, int | IntArray]] = []
        waits: list[FloatArray | None] = []
        varying: list[tuple[Site, IntArray, IntArray, float]] = []
        deaths = Deaths(len(self.segments))
        drift = self._drift.path(n, self.mean_ns) if record else None
        for index, s in enumerate(self.segments):
            base: Any = float(s.cpu_ns)
            for distribution in s.drawn_ns:
                base = base + sample(distribution, rng, n)
            # In place, what is alike in all requests as a single number, and spreads in single precision (1e-7 of a
            # request's time): arrays are what drawing costs.
            noise = normals(rng, n)
            noise *= p["cpu_noise_frac"]
            noise += 1.0
            cpu: FloatArray = noise.astype(np.float64)
            cpu *= base
            cpu += s.write_ns
            scaled_garbage = s.scaled_garbage if self.scale == 1.0 else s.scaled_garbage.times(self.scale)
            cost: Any = s.alloc_scattered_ns(self.heap, self.costs, self.scale)
            cost += s.alloc_ns + s.garbage.alloc_ns + scaled_garbage.alloc_ns
            bytes_: int | IntArray = s.garbage.bytes + scaled_garbage.bytes
            count: int | IntArray = s.garbage.objects + scaled_garbage.objects
            mine: list[tuple[Effect, int | IntArray]] = []
            self._steady_deaths(index, n, deaths)
            for per_request, unit, scaled, outlive, site, death in s.fractional:
                times = self._round_at_random(per_request * (self.scale if scaled else 1.0), n)
                cost = cost + times * unit.alloc_ns
                if outlive is None:
                    bytes_ = bytes_ + times * unit.bytes
                    count = count + times * unit.objects
                    varying.append((site, times * unit.bytes, times * unit.objects, unit.alloc_ns))
                    deaths.add(index, death, times * unit.bytes)
                else:
                    mine.append((outlive, times))
            for per_request, distribution, words, scaled, site, death in s.drawn_sizes:
                mean = per_request * (self.scale if scaled else 1.0)
                spent_ns, sizes, made = self._draw_sizes(mean, distribution, words, n)
                cost = cost + spent_ns
                bytes_ = bytes_ + sizes
                count = count + made
                varying.append((site, sizes, made, float(spent_ns.sum()) / max(1, int(made.sum()))))
                deaths.add(index, death, sizes)
            garbage = garbage + bytes_
            objects = objects + count
            for number, (per_request, effect, unit_ns) in enumerate(s.effects):
                units = self._accumulate((index << 16) + number, per_request, n)
                cost = cost + units * unit_ns
                mine.append((effect, units))
            spread = normals(self._alloc_rng, n)
            spread *= self.costs.alloc_sigma
            if drift is not None:
                spread += drift
            cpu += cost * np.exp(spread, out=spread)
            for effect, units in mine:
                bytes_ = bytes_ + units * effect.unit.bytes
            effects.extend(mine)
            alloc.append(bytes_)
            ns.append(np.maximum(cpu, 1.0, out=cpu))
            waits.append(self._waits(s, n))
        self._slow_down(max(1.0, sum(float(a.sum()) for a in ns) / n))
        if record:
            self._stall(ns)
        return Block(n, ns, alloc, garbage, objects, effects, self._shares_of_scale(), varying, waits, deaths)

    def _steady_deaths(self, segment: int, n: int, deaths: Deaths) -> None:
        """What is the same in each request and dies before it; scaled parts are rounded together, as the whole is."""
        bytes_ = 0
        for death, made, scaled in self.segments[segment].early:
            if scaled:
                before = round(bytes_ * self.scale)
                bytes_ += made.bytes
                size = round(bytes_ * self.scale) - before
            else:
                size = made.bytes
            deaths.add(segment, death, np.full(n, size, dtype=np.int64))

    def _waits(self, s: SegmentPlan, n: int) -> FloatArray | None:
        step = s.ends_with
        if isinstance(step, BlockStep | SyscallStep):
            if step.distribution is not None:
                return sample(step.distribution, self._rng, n)
            return np.full(n, float(step.ns or 0))
        return None

    def _round_at_random(self, mean: float, n: int) -> IntArray:
        whole = int(mean)
        part = mean - whole
        times = np.full(n, whole, dtype=np.int64)
        if part > 0.0:
            times += self._rng.random(n) < part
        return times

    def _accumulate(self, key: int, per_request: float, n: int) -> int | IntArray:
        if per_request == int(per_request):
            return int(per_request)
        start = self._accumulated.get(key, 0.0)
        edges = np.floor(start + per_request * np.arange(n + 1)).astype(np.int64)
        self._accumulated[key] = (start + per_request * n) % 1.0
        counts: IntArray = np.diff(edges)
        return counts

    def _draw_sizes(
        self, per_request: float, distribution: Distribution, words: int, n: int
    ) -> tuple[FloatArray, IntArray, IntArray]:
        """Objects of drawn sizes: ns in the allocator, bytes and objects of each request."""
        times = self._round_at_random(per_request, n)
        total = int(times.sum())
        sizes = np.maximum(sample(distribution, self._rng, total), 1.0)
        header = 8 if words and self.costs.rules.malloc_headers else 0
        asked = sizes + np.where(sizes > 512, header, 0)
        classes = np.asarray(SIZE_CLASS_BYTES, dtype=np.float64)
        small = asked <= self.costs.rules.large_object_min_bytes
        rounded = np.where(
            small,
            classes[np.searchsorted(classes, np.minimum(asked, classes[-1]))],
            np.ceil(sizes / 8192) * 8192,
        )
        p = self.costs.profile
        kind = "scan" if words else "noscan"
        cost = np.where(
            small,
            p[f"alloc_small_{kind}_ns"]
            + p[f"alloc_small_{kind}_ns_per_byte"] * self.costs.per_byte_factor * sizes,
            p["alloc_large_ns"] + p["alloc_large_ns_per_byte"] * self.costs.per_byte_factor * rounded,
        )
        owner = np.repeat(np.arange(n), times)
        spent_ns: FloatArray = np.bincount(owner, weights=cost, minlength=n).astype(np.float64, copy=False)
        return spent_ns, np.bincount(owner, weights=rounded, minlength=n).astype(np.int64), times

    def _stall(self, ns: list[FloatArray]) -> None:
        """The operating system's own noise: stalls at random instants of running time."""
        rng = self._stall_rng
        for segment in ns:
            total_s = float(segment.sum()) / 1e9
            for stall in self.costs.stalls:
                k = int(rng.poisson(stall.rate_per_s * total_s))
                if k:
                    mu = math.log(stall.mean_ns) - stall.sigma**2 / 2
                    np.add.at(segment, rng.integers(0, len(segment), k), rng.lognormal(mu, stall.sigma, k))
