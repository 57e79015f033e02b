"""What a micro record says about a machine, and what a profile says it should be: closed forms, no simulation.

Each `Observation` is one measured number (the median of the repeats), how far it can be trusted, and a function from
a machine profile to the same number.  Costs come from the simulator's own `CostModel`, so that a constant means here
what it means there.

Left out: assists, preemption and queueing, which the simulator makes and a closed form cannot.  So requests are
observed by their median, where these do not reach, and by their p90 only where little is marked.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import NormalDist, fmean, median, stdev
from typing import Any, Protocol, cast

import numpy as np

from gcsim.fit.records import Record
from gcsim.interop.gctrace import GctraceLine, parse
from gcsim.policy.constants import PAGE_BYTES
from gcsim.policy.greentea import Mix
from gcsim.policy.releases import release_rules
from gcsim.runtime.costs import WORD_BYTES, CostModel, Footprint, SpanClass
from gcsim.runtime.heap import shaded_frac
from gcsim.runtime.load import GOROUTINE_BYTES, SUDOG_BYTES
from gcsim.spec.models import (
    AllocateStep,
    CpuStep,
    PointerWritesStep,
    PoolGetStep,
    ReplaceStep,
    RetainedSet,
    Spec,
)
from gcsim.spec.profile import MachineProfile
from gcsim.spec.records import spec_from_record
from gcsim.units import MIB

_MARK_CLASSES = tuple(f"/cpu/classes/gc/mark/{kind}:cpu-seconds" for kind in ("assist", "dedicated", "idle"))
_CACHE_BYTES = 48 * MIB
"""A heap that ends its cycles below lies in the last-level cache, or nearly; constants per byte are for larger ones."""

# How far a closed form can be off for reasons of its own, as a share of the number (assumed; larger values give
# the observation less weight and wider uncertainties).
_P50_OFF, _MARKED_P50_OFF, _CACHED_P50_OFF, _P90_OFF = 0.04, 0.12, 0.25, 0.1
_MARK_OFF, _STW_OFF, _BUILD_OFF, _SYS_OFF = 0.07, 0.3, 0.2, 0.05
_NOISE_OFF, _WAKE_OFF, _SPIN_OFF = 0.25, 0.2, 0.005
_APART_S = 0.01
"""Pauses of collections that follow each other faster find the runtime's own data in the caches, as services' do not."""
_MUCH_MARKING = 0.45
"""Share of time in mark phases from which the median request is one beside marking."""

# Requests of these are observed by p90 too: nothing else happens to them; every third one replaces an entry; or it is
# the time of those that write pointers while marking.
_P90_CASES = ("micro-noscan-1k", "micro-mark-noscan", "micro-mark-tree-aged", "micro-barrier")
_LARGE_CASES = ("micro-noscan-32k",)
_AT_ONCE_NS = 15_000
"""Mark terminations shorter than this did not wait for another P to stop; the next longer ones take three times that."""
_MANY_CYCLES = 50


class Profile(Protocol):
    """What a prediction reads: constants by name, and the stalls.  A machine profile, or a trial of one."""

    @property
    def stalls(self) -> Sequence[Any]: ...
    def __getitem__(self, name: str) -> float: ...


@dataclass(frozen=True, kw_only=True)
class Observation:
    """One number that a record gives.

    Attributes:
        case: the record.
        name: what was measured, unit at the end.
        measured: median of the repeats, > 0.
        sigma: standard deviation of its logarithm: spread of the repeats and how far the model may be off.
        predict: the same number by a profile.
    """

    case: str
    name: str
    measured: float
    sigma: float
    predict: Callable[[Profile], float]

    def residual(self, profile: Profile) -> float:
        """Logarithm of predicted over measured, in units of sigma."""
        return math.log(max(self.predict(profile), 1e-12) / self.measured) / self.sigma


def observations(record: Record) -> list[Observation]:
    """All that a micro record says."""
    case = _Case(record)
    found: list[Observation] = []
    for part in (case.requests, case.marking, case.pauses, case.building, case.memory, case.noise):
        found += part()
    return found


# ---- quantiles of request times --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Part:
    """Some of the requests: their share, time that is alike for all, and time that is log-normal around its median."""

    share: float
    fixed_ns: float
    spread_ns: float
    sigma: float


def mixture_quantile(parts: list[Part], q: float) -> float:
    """Time in ns that a share `q` of requests does not exceed."""
    low = min(part.fixed_ns for part in parts)
    high = max(part.fixed_ns + part.spread_ns * math.exp(6.0 * part.sigma) for part in parts)
    for _ in range(34):  # to 1e-9 of the range
        x = (low + high) / 2
        below = 0.0
        for part in parts:
            if x > part.fixed_ns:
                z = math.log((x - part.fixed_ns) / part.spread_ns) / part.sigma
                below += part.share * 0.5 * math.erfc(-z / math.sqrt(2.0))
        if below < q:
            low = x
        else:
            high = x
    return (low + high) / 2


# ---- one record ------------------------------------------------------------------------------------------------


class _Case:
    def __init__(self, record: Record) -> None:
        self.record = record
        self.name = str(record.workload["name"])
        self.spec: Spec = spec_from_record(record.workload, record.settings)
        self.procs = int(record.settings["procs"])
        self.rules = release_rules(self.spec.runtime.go)
        self.lines: list[list[GctraceLine]] = [list(parse(r["gctrace"])) for r in record.repeats]
        self.is_closed = bool(record.workload["workers"])

    def costs(self, profile: Profile) -> CostModel:
        return CostModel(cast(MachineProfile, profile), self.rules, self.procs, self.spec.machine.cores)

    def observe(
        self,
        name: str,
        values: list[float],
        off: float,
        predict: Callable[[Profile], float],
    ) -> Iterator[Observation]:
        """One observation from a value per repeat; none where nothing was measured."""
        values = [value for value in values if value > 0.0]
        if not values:
            return
        spread = stdev(map(math.log, values)) / math.sqrt(len(values)) if len(values) > 1 else off
        yield Observation(
            case=self.record.case,
            name=name,
            measured=median(values),
            sigma=math.hypot(spread, off),
            predict=predict,
        )

    def repeats(self, value: Callable[[Mapping[str, Any]], float]) -> list[float]:
        return [value(repeat) for repeat in self.record.repeats]

    def per_cycle(self, value: Callable[[GctraceLine], float]) -> list[float]:
        """Mean over the cycles of each repeat that has any."""
        return [fmean(map(value, lines)) for lines in self.lines if lines]

    # ---- requests ----------------------------------------------------------------------------------------------

    def requests(self) -> Iterator[Observation]:
        if not self.is_closed:
            return
        if not any(isinstance(step, AllocateStep) for step in self.spec.requests[0].steps):
            yield from self.observe(
                "latency_p50_ns", self.repeats(lambda r: r["latency_ns"]["p50"]), _SPIN_OFF, self._spin_ns
            )
            return
        start, marked = (
            self.per_cycle(lambda c: c.heap_start_bytes.middle),
            self.per_cycle(lambda c: c.heap_marked_bytes.middle),
        )
        in_use = median(self.per_cycle(lambda c: c.heap_end_bytes.middle))
        pages_per_byte = in_use / PAGE_BYTES / max(MIB, median(start) - median(marked))
        marking = median(
            sum(c.mark_ns.middle for c in lines) / 1e9 / repeat["elapsed_s"]
            for lines, repeat in zip(self.lines, self.record.repeats, strict=True)
        )
        markers = median(_mark_ns(r) / 1e9 / r["elapsed_s"] for r in self.record.repeats) / marking

        def predict(q: float) -> Callable[[Profile], float]:
            return lambda profile: mixture_quantile(self._parts(profile, pages_per_byte, marking, markers), q)

        is_cached = in_use < _CACHE_BYTES and any(
            isinstance(step, AllocateStep) and 512 < (step.size or 0) <= 32752
            for step in self.spec.requests[0].steps
        )
        off = _MARKED_P50_OFF if marking > _MUCH_MARKING else _P50_OFF
        yield from self.observe(
            "latency_p50_ns",
            self.repeats(lambda r: r["latency_ns"]["p50"]),
            max(off, _CACHED_P50_OFF) if is_cached and self.procs == 1 else off,
            predict(0.5),
        )
        if self.name in _P90_CASES:
            yield from self.observe(
                "latency_p90_over_p50",
                self.repeats(lambda r: r["latency_ns"]["p90"] / r["latency_ns"]["p50"]),
                _P90_OFF,
                lambda profile: predict(0.9)(profile) / predict(0.5)(profile),
            )

    def _spin_ns(self, profile: Profile) -> float:
        spin = sum(step.ns or 0 for step in self.spec.requests[0].steps if isinstance(step, CpuStep))
        return profile["request_overhead_ns"] + spin * (1.0 + profile["spin_overhead_frac"])

    def _parts(self, profile: Profile, pages_per_byte: float, marking: float, markers: float) -> list[Part]:
        """Requests outside the mark phase and in it, without and with a replacement.

        Args:
            pages_per_byte: pages to sweep per allocated byte.
            marking: share of wall time in mark phases; markers: Ps busy marking in them, on average.
        """
        costs = self.costs(profile)
        fixed = self._spin_ns(profile)
        garbage, memory_ns, write_ns, barriers, replaced = Footprint(), 0.0, 0.0, 0.0, 0.0
        entry = Footprint()
        for step in self.spec.requests[0].steps:
            match step:
                case AllocateStep():
                    unit = costs.object(step.size or 0, step.pointer_words, step.shape)
                    garbage = garbage + unit.times(step.count)
                case PoolGetStep():
                    memory_ns += profile["touch_ns_per_byte"] * step.size
                case PointerWritesStep():
                    retained = next(s for s in self.spec.retained if s.name == step.set)
                    write_ns += step.count * costs.pointer_write_ns(retained.entries)
                    barriers += step.count
                case ReplaceStep():
                    replaced = step.count
                    groups = next(s for s in self.spec.retained if s.name == step.set).objects
                    entry = costs.entry(groups)
                case _:
                    pass
        memory_ns += garbage.alloc_ns
        sweep_ns = (
            garbage.live_bytes
            * pages_per_byte
            * profile["sweep_page_ns"]
            * (1.0 + (profile["sweep_contention_frac"] if self.procs > 1 else 0.0))
            * min(1.0, garbage.spans * PAGE_BYTES / max(1, garbage.bytes))
        )
        replace_ns = (
            entry.alloc_ns + entry.objects * profile["alloc_scattered_ns"] + profile["random_entry_ns"]
        )
        slow = 1.0 + profile["mark_mutator_slowdown_frac"]
        per_object = profile["alloc_black_ns"] + profile["write_barrier_new_ns"]
        # Markers leave the caches to the mutators: contention falls with the number of Ps that mark.
        calm = min(1.0, markers / max(1, self.procs - 1)) if self.procs > 1 else 0.0
        outside, inside = self.procs * (1.0 - marking), max(0.0, (self.procs - markers) * marking)
        parts = []
        for share, times in ((1.0 - replaced, 0.0), (replaced, 1.0)):
            if share <= 0.0:
                continue
            ns = memory_ns + times * replace_ns
            contended = garbage.contended_ns + times * entry.contended_ns
            per_mark = (garbage.objects + times * entry.objects) * per_object
            marked_ns = (ns - calm * contended) * slow + per_mark
            marked_write_ns = write_ns * slow + barriers * profile["write_barrier_ns"]
            in_time = inside / (fixed + marked_ns + marked_write_ns)
            out_time = outside / (fixed + sweep_ns + ns + write_ns)
            in_share = in_time / (in_time + out_time)
            # Sweeping goes with allocation, and so spreads with it.
            sigma = costs.alloc_sigma
            parts.append(Part(share * (1.0 - in_share), fixed + write_ns, ns + sweep_ns, sigma))
            parts.append(Part(share * in_share, fixed + marked_write_ns, marked_ns, sigma))
        return parts

    # ---- marking -----------------------------------------------------------------------------------------------

    def marking(self) -> Iterator[Observation]:
        if min(r["num_gc"] for r in self.record.repeats) < 10:
            return  # where collections are rare the caches are cold
        replacements = next(
            (s.count for s in self.spec.requests[0].steps if isinstance(s, ReplaceStep)), 0.0
        ) * median(r["requests"] for r in self.record.repeats)
        cycles = round(median(r["num_gc"] for r in self.record.repeats))
        yield from self.observe(
            "mark_cpu_per_cycle_ns",
            self.repeats(lambda r: _mark_ns(r) / r["num_gc"]),
            _MARK_OFF,
            lambda profile: self._mark_ns(profile, replacements, cycles),
        )

    def _mark_ns(self, profile: Profile, replacements: float, cycles: int) -> float:
        """CPU time of marking, mean over `cycles` evenly spaced in a load with so many replacements."""
        costs = self.costs(profile)
        spec = self.spec
        idle = spec.idle_goroutines
        made = [costs.object(size, size // WORD_BYTES) for size in (GOROUTINE_BYTES, SUDOG_BYTES)]
        ns = idle.count * sum(one.mark_ns for one in made)
        streamed_ns = spec.globals.scan_bytes * profile["mark_globals_ns_per_byte"] + idle.count * (
            profile["mark_stack_ns"] + idle.stack_used_bytes * profile["mark_stack_ns_per_byte"]
        )
        ns += streamed_ns
        streamed_ns += idle.count * sum(one.streamed_ns for one in made)
        for retained in spec.retained:
            entry = costs.entry(retained.objects, mixes=self._mixes(costs, retained, replacements / cycles))
            scattered = 0.0
            if replacements and retained.table_slot_bytes:
                turnover = replacements / retained.entries
                scattered = fmean(1.0 - math.exp(-turnover * (i + 0.5) / cycles) for i in range(cycles))
            shaded = self._shaded_frac(retained.entries)
            ns += retained.entries * (
                entry.mark_ns + scattered * entry.scattered_ns + shaded * entry.shaded_ns
            )
            streamed_ns += retained.entries * (1.0 - scattered) * entry.streamed_ns
            if retained.table_slot_bytes and retained.entries:
                table_bytes = retained.table_slot_bytes * retained.entries
                table = costs.object(table_bytes, table_bytes // WORD_BYTES)
                ns += table.mark_ns
                streamed_ns += table.streamed_ns
        if self.procs > 1:
            ns += profile["mark_contention_frac"] * streamed_ns
        # Costs are medians of a log-normal spread from cycle to cycle; measured is a mean.
        return ns * math.exp(profile["mark_sigma"] ** 2 / 2.0)

    def _mixes(self, costs: CostModel, retained: RetainedSet, replaced: float) -> dict[SpanClass, Mix]:
        """What spans hold beside an entry of which so many are replaced in a cycle."""
        made: dict[SpanClass, float] = {}
        requests = median(r["requests"] / r["num_gc"] for r in self.record.repeats)
        for step in self.spec.requests[0].steps:
            if isinstance(step, AllocateStep) and step.size:
                span_class = costs.span_class(step.size, step.pointer_words)
                if span_class is not None:
                    made[span_class] = made.get(span_class, 0.0) + requests * step.count * step.size
        mixes = {}
        for group in retained.objects:
            span_class = costs.span_class(group.size, group.pointer_words)
            if span_class is not None:
                size = group.count * group.size
                mixes[span_class] = Mix.of(
                    retained.entries * size, replaced * size, made.get(span_class, 0.0)
                )
        return mixes

    def _shaded_frac(self, entries: int) -> float:
        """Share of a set's entries that stores shade ahead of their turn, from how long marks and requests take."""
        stores = sum(s.count for s in self.spec.requests[0].steps if isinstance(s, PointerWritesStep))
        if not stores or not entries:
            return 0.0
        rate = median(self.repeats(lambda r: r["requests"] / r["elapsed_s"]))
        mark_s = median(self.per_cycle(lambda c: c.mark_ns.middle)) / 1e9
        return shaded_frac(stores * rate * mark_s / entries)

    # ---- pauses ------------------------------------------------------------------------------------------------

    def pauses(self) -> Iterator[Observation]:
        if self.procs == 1:
            for clock, constant in (
                ("sweep_term_ns", "stw_sweep_term_ns"),
                ("mark_term_ns", "stw_mark_term_ns"),
            ):
                values = [
                    median(getattr(c, clock).middle for c in lines)
                    for lines, repeat in zip(self.lines, self.record.repeats, strict=True)
                    if len(lines) >= 10 and repeat["elapsed_s"] / len(lines) > _APART_S
                ]
                yield from self.observe(f"{clock[:-3]}_p50_ns", values, _STW_OFF, _constant(constant))
        elif self.is_closed and not any(
            isinstance(s, PointerWritesStep) for s in self.spec.requests[0].steps
        ):
            yield from self._stopping()

    def _stopping(self) -> Iterator[Observation]:
        """Two Ps whose requests call functions all the time: stopped at once, or while the stopper sleeps."""
        lines = [each for each in self.lines if len(each) >= _MANY_CYCLES]
        ends = [[c.mark_term_ns.middle for c in each] for each in lines]
        yield from self.observe(
            "stopped_at_once_frac",
            [fmean(ns < _AT_ONCE_NS for ns in each) for each in ends],
            _STW_OFF,
            _constant("stw_stop_at_once_frac"),
        )
        waited = [[ns for ns in each if ns >= _AT_ONCE_NS] for each in ends]
        for name, q in (("p50", 0.5), ("p90", 0.9)):
            yield from self.observe(
                f"stopped_mark_{name}_ns",
                [float(np.quantile(each, q)) for each in waited if each],
                _STW_OFF,
                _stopped_quantile(q, "stw_mark_term_ns", "stw_stop_mark_term_ns", waits_only=True),
            )
        for name, q in (("p75", 0.75), ("p90", 0.9)):
            yield from self.observe(
                f"stopped_sweep_{name}_ns",
                [float(np.quantile([c.sweep_term_ns.middle for c in each], q)) for each in lines],
                _STW_OFF,
                _stopped_quantile(q, "stw_sweep_term_ns", "stw_stop_ns"),
            )

    # ---- building, memory ----------------------------------------------------------------------------------------

    def building(self) -> Iterator[Observation]:
        """Between the collections of the building, one goroutine allocates entries in memory never used before."""
        cache = next((s for s in self.spec.retained if s.table_slot_bytes and s.entries), None)
        # Pointer-free objects in fresh memory are not zeroed, so nobody touches them.
        if cache is None or not all(group.pointer_words for group in cache.objects):
            return
        rates = [
            rate for r in self.record.repeats for rate in _build_rates(list(parse(r["gctrace_before_load"])))
        ]
        groups = cache.objects

        def predict(profile: Profile) -> float:
            entry = self.costs(profile).entry(groups)
            return (entry.alloc_ns - entry.contended_ns) / entry.bytes + profile["page_fault_ns_per_byte"]

        if len(rates) >= 3:
            yield from self.observe("build_ns_per_byte", rates, _BUILD_OFF, predict)

    def memory(self) -> Iterator[Observation]:
        """The runtime's own: span structures grow with small objects' spans, so programs with large ones say less."""
        if self.name in _LARGE_CASES:
            return
        heap_sys = median(r["heap_sys_bytes"] for r in self.record.repeats)
        yield from self.observe(
            "runtime_sys_bytes",
            self.repeats(lambda r: r["sys_bytes"] - r["heap_sys_bytes"] - r["stack_inuse_bytes"]),
            _SYS_OFF,
            lambda p: p["runtime_sys_bytes"] + p["runtime_sys_frac"] * heap_sys,
        )

    def _over_median_ns(self, quantile: str) -> list[float]:
        return self.repeats(lambda r: float(r["latency_ns"][quantile] - r["latency_ns"]["p50"]))

    # ---- the machine's own noise -----------------------------------------------------------------------------------

    def noise(self) -> Iterator[Observation]:
        """Requests that do nothing but spin."""
        if self.name != "micro-spin":
            return
        yield from self.observe(
            "latency_p90_over_p50",
            self.repeats(lambda r: r["latency_ns"]["p90"] / r["latency_ns"]["p50"] - 1.0),
            _NOISE_OFF,
            lambda p: 1.2816 * p["cpu_noise_frac"],
        )
        request_ns = median(r["latency_ns"]["p50"] for r in self.record.repeats)
        for quantile, rest in (("p99", 0.01), ("p99.9", 0.001)):
            yield from self.observe(
                f"latency_{quantile}_over_p50_ns",
                self._over_median_ns(quantile),
                _NOISE_OFF,
                _stalled(request_ns, rest),
            )
        if self.procs == 1:
            yield from self.observe(
                "stalled_frac",
                self.repeats(lambda r: r["elapsed_s"] * 1e9 / r["requests"] / r["latency_ns"]["p50"] - 1.0),
                _NOISE_OFF,
                lambda p: sum(s.rate_per_s * s.mean_ns for s in p.stalls if not s.all_cores_busy) / 1e9,
            )
        else:
            yield from self.observe(
                "sched_latency_p90_ns",
                self.repeats(lambda r: (r.get("sched_latency_s") or {}).get("p90", 0.0) * 1e9),
                _WAKE_OFF,
                _constant("wakeup_ns"),
            )


def _stalled(request_ns: float, rest: float) -> Callable[[Profile], float]:
    """The longer of two: stalls, and, where fewer requests than that meet one, the processor's own noise."""
    noise = NormalDist().inv_cdf(1.0 - rest) * request_ns
    return lambda profile: max(stall_quantile(profile, request_ns, rest), noise * profile["cpu_noise_frac"])


def stall_quantile(profile: Profile, request_ns: float, rest: float) -> float:
    """How many ns a share `rest` of requests is longer than by stalls, those apart that need every core busy."""
    stalls = [s for s in profile.stalls if not s.all_cores_busy]

    def longer(excess_ns: float) -> float:
        """Share of requests that a longer stall than that falls into."""
        rate_per_s = sum(
            s.rate_per_s
            * 0.5
            * math.erfc((math.log(excess_ns / s.mean_ns) + s.sigma**2 / 2) / (s.sigma * math.sqrt(2.0)))
            for s in stalls
        )
        return 1.0 - math.exp(-rate_per_s * request_ns / 1e9)

    low, high = 0.0, 25.0  # logarithms of 1 ns and more than a minute
    for _ in range(50):
        middle = (low + high) / 2
        if longer(math.exp(middle)) > rest:
            low = middle
        else:
            high = middle
    return math.exp(low)


def _stopped_quantile(
    q: float, work: str, stopping: str, *, waits_only: bool = False
) -> Callable[[Profile], float]:
    """A quantile of pauses with two Ps; `waits_only`: of those in which the stopper sleeps."""

    def predict(p: Profile) -> float:
        fixed = p[work] + p["stw_per_p_ns"] + p["stw_restart_ns"]
        at_once = 0.0 if waits_only else p["stw_stop_at_once_frac"]
        return mixture_quantile(
            [
                Part(at_once, fixed, p["stw_at_once_ns"], 0.1),
                Part(1.0 - at_once, fixed, p[stopping], p["stw_stop_sigma"]),
            ],
            q,
        )

    return predict


def _constant(name: str) -> Callable[[Profile], float]:
    return lambda profile: profile[name]


def _mark_ns(repeat: Mapping[str, Any]) -> float:
    return float(sum(repeat["cpu_s"].get(name, 0.0) for name in _MARK_CLASSES) * 1e9)


def _build_rates(lines: list[GctraceLine]) -> Iterator[float]:
    """ns per byte between two collections, where bytes are enough for their rounding to MiB not to matter."""
    for last, line in pairwise(lines):
        ended = last.start_ns.middle + sum(
            t.middle for t in (last.sweep_term_ns, last.mark_ns, last.mark_term_ns)
        )
        built = line.heap_start_bytes.middle - last.heap_end_bytes.middle
        if built >= 16 * MIB:
            yield (line.start_ns.middle - ended) / built
