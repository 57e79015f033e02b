"""A spec run for real and simulated, here and now: how anybody can check the simulator on their own workload.

The Go program for the spec is built and run, recorded like any other case, and compared by the code that compares
recorded cases.  Beside the numbers it keeps what a picture needs: heap size over time from the trace, and latencies.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from gcsim.fit.compare import Validation, validate
from gcsim.fit.golive import build_program, case_name, go_release, run_program
from gcsim.fit.measured import Number, measured_seconds
from gcsim.fit.predict import Instrument, Metrics, Prediction, measure_simulation, median_metrics
from gcsim.fit.records import Record
from gcsim.fit.workload import LiveWorkload, workload_from_spec
from gcsim.interop.gctrace import parse
from gcsim.runtime.buckets import N_BUCKETS, Int64Array, quantiles_ns
from gcsim.runtime.records import CycleRecord, LatencyBuckets, PhaseChange
from gcsim.spec.models import Spec
from gcsim.spec.records import spec_from_record
from gcsim.units import S

LATENCY_FRACTIONS = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99.9": 0.999, "p100": 1.0}
"""Quantiles that the Go program records."""

_CURVE = tuple(1 - 10 ** -(k / 10) for k in range(1, 41))  # to p99.99, evenly in the logarithm of the rest


@dataclass(frozen=True, slots=True, kw_only=True)
class Sawtooth:
    """Heap live over time in one run: two points per collection, where marking starts and ends, and what it left.

    Attributes:
        time_s: since the load began, in order.
        heap_bytes: heap live there.
        goal_time_s, goal_bytes: the heap goal of each collection at its end.
    """

    time_s: list[float]
    heap_bytes: list[float]
    goal_time_s: list[float]
    goal_bytes: list[float]


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyCurve:
    """Request latency by fraction of requests, in ns."""

    fractions: list[float]
    latency_ns: list[float]


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveResult:
    """A spec run for real and simulated.

    Attributes:
        record: the real runs, as `gcsim validate` reads them.
        notes: what the Go program does beside the spec.
        validation: predicted against measured.
        real_heap, simulated_heap: of the repeat with the median number of collections, and of the first seed.
        real_latency: one curve per repeat.
        simulated_latency: of the first seed.
    """

    record: Record
    notes: tuple[str, ...]
    validation: Validation
    real_heap: Sawtooth
    simulated_heap: Sawtooth
    real_latency: list[LatencyCurve]
    simulated_latency: LatencyCurve

    @property
    def case(self) -> str:
        """Name of the case."""
        return self.record.case

    @property
    def disturbance(self) -> str | None:
        """In words, if others (programs, the hypervisor) took more than a twentieth of a CPU in a median repeat."""
        lost_s = median(
            float(repeat.get("foreign_cpu_s") or 0) + float(repeat.get("steal_s") or 0)
            for repeat in self.record.repeats
        )
        seconds = measured_seconds(self.record)
        if lost_s <= 0.05 * seconds:
            return None
        return (
            f"others took {lost_s:.1f} s of this machine's CPU in runs of {seconds:.1f} s: what was measured of "
            "throughput, latency, pauses and CPU is not the program's alone; repeat it on a quiet machine"
        )


def plan_live(spec: Spec, *, go: str | Path | None = None) -> LiveWorkload:
    """What would be run for a spec on this machine.

    Raises:
        SpecError: the spec has what the Go program cannot do.
        RunError: no Go toolchain.
    """
    return workload_from_spec(spec, go=go_release(go), cores=_cores())


def run_live(
    spec: Spec,
    plan: LiveWorkload,
    *,
    go: str | Path | None = None,
    repeats: int = 3,
    seeds: int = 3,
    profile: str | None = None,
    on_step: Callable[[str], None] | None = None,
) -> LiveResult:
    """Build and run the Go program of a plan, simulate the same workload, and compare.

    Args:
        spec: gives machine profile and seed.
        repeats: real runs.
        seeds: simulations.
        profile: machine profile instead of the spec's.
        on_step: called with what is about to be done, ``2 + repeats + seeds`` times.
    Raises:
        RunError: the Go program cannot be built or fails.
    """
    say = on_step or (lambda _what: None)
    say("building the Go program")
    with tempfile.TemporaryDirectory(prefix="gcsim-live-") as directory:
        binary = build_program(Path(directory), go)
        say(f"running it, 1 of {repeats}")
        record = run_program(
            binary,
            plan.workload,
            plan.settings,
            repeats=repeats,
            on_repeat=lambda done: say(f"running it, {done + 1} of {repeats}") if done < repeats else None,
        )
    simulated = spec_from_record(record.workload, record.settings).model_copy(
        update={"machine": spec.machine, "run": _with_seed(record, spec)}
    )
    runs: list[Metrics] = []
    curves = _Curves()
    for number in range(seeds):
        say(f"simulating it, {number + 1} of {seeds}")
        runs.append(
            measure_simulation(
                simulated,
                seed=spec.run.seed + number,
                profile=profile,
                also=() if number else (curves,),
            )
        )
    prediction = Prediction(case=record.case, metrics=median_metrics(runs))
    say("comparing")
    return LiveResult(
        record=record,
        notes=plan.notes,
        validation=validate([record], [prediction]),
        real_heap=_real_heap(record),
        simulated_heap=curves.sawtooth(),
        real_latency=[_recorded_latency(repeat) for repeat in record.repeats],
        simulated_latency=curves.latency_curve(),
    )


def _with_seed(record: Record, spec: Spec) -> Any:
    run = spec_from_record(record.workload, record.settings).run
    return run.model_copy(update={"seed": spec.run.seed})


def _cores() -> int:
    """CPUs that this process may run on, which is what the Go runtime counts."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


# ---- curves ----------------------------------------------------------------------------------------------------


class _Curves(Instrument):
    """Keeps what a picture of a simulation needs."""

    def __init__(self) -> None:
        super().__init__()
        self._counts: Int64Array = np.zeros(N_BUCKETS, dtype=np.int64)
        self._start_ns = 0

    def phase(self, rec: PhaseChange) -> None:
        super().phase(rec)
        if rec.phase == "load":
            self._start_ns = rec.time_ns

    def latency(self, rec: LatencyBuckets) -> None:
        if rec.phase == "load":
            self._counts[rec.indexes] += rec.counts

    def sawtooth(self) -> Sawtooth:
        return _sawtooth((_points(cycle) for cycle in self.cycles), self._start_ns)

    def latency_curve(self) -> LatencyCurve:
        found: Sequence[Number] = quantiles_ns(self._counts, _CURVE) or []
        return LatencyCurve(fractions=list(_CURVE[: len(found)]), latency_ns=[float(ns) for ns in found])


def _points(cycle: CycleRecord) -> tuple[float, float, float, float, float, float]:
    """Start and end in ns, then heap at start, end, marked, and the goal, in bytes."""
    return (
        cycle.mark_start_ns, cycle.end_ns, cycle.heap_start_bytes, cycle.heap_end_bytes, cycle.heap_marked_bytes,
        cycle.heap_goal_bytes,
    )  # fmt: skip


def _sawtooth(cycles: Iterable[tuple[float, float, float, float, float, float]], start_ns: float) -> Sawtooth:
    out = Sawtooth(time_s=[], heap_bytes=[], goal_time_s=[], goal_bytes=[])
    for begins_ns, ends_ns, heap_start, heap_end, marked, goal in cycles:
        begins, ends = (begins_ns - start_ns) / S, (ends_ns - start_ns) / S
        out.time_s.extend((begins, ends, ends))
        out.heap_bytes.extend((heap_start, heap_end, marked))
        out.goal_time_s.append(ends)
        out.goal_bytes.append(goal)
    return out


def _real_heap(record: Record) -> Sawtooth:
    """From the trace of the repeat with the median number of collections; a printed size is its interval's middle."""
    ordered = sorted(record.repeats, key=lambda repeat: int(repeat["num_gc"]))
    repeat = ordered[(len(ordered) - 1) // 2]
    cycles = []
    for line in parse(repeat["gctrace"]):
        begins = line.start_ns.middle + line.sweep_term_ns.middle
        ends = begins + line.mark_ns.middle + line.mark_term_ns.middle
        sizes = (line.heap_start_bytes, line.heap_end_bytes, line.heap_marked_bytes, line.heap_goal_bytes)
        cycles.append((begins, ends, *(size.middle for size in sizes)))
    return _sawtooth(cycles, float(repeat.get("load_start_s") or 0.0) * S)  # type: ignore[arg-type]


def _recorded_latency(repeat: Mapping[str, Any]) -> LatencyCurve:
    latency = repeat["latency_ns"]
    return LatencyCurve(
        fractions=list(LATENCY_FRACTIONS.values()),
        latency_ns=[float(latency[name]) for name in LATENCY_FRACTIONS],
    )


# ---- files -----------------------------------------------------------------------------------------------------


def default_directory(plan: LiveWorkload) -> Path:
    """Where the files of a plan go if nobody says otherwise."""
    return Path("live") / case_name(plan.workload, plan.settings)


def write_live(result: LiveResult, directory: Path) -> list[Path]:
    """Write the record (as `gcsim validate` and `gcsim calibrate` read it) and the comparison; existing ones are replaced.

    Returns:
        The files.
    """
    directory.mkdir(parents=True, exist_ok=True)
    record = {
        "case": result.record.case,
        "workload": dict(result.record.workload),
        "settings": dict(result.record.settings),
        "repeats": [dict(repeat) for repeat in result.record.repeats],
    }
    curves = {
        name: asdict(getattr(result, name)) for name in ("real_heap", "simulated_heap", "simulated_latency")
    } | {"real_latency": [asdict(curve) for curve in result.real_latency]}
    files = {
        f"{result.case}.json": record,
        "comparison.json": {**result.validation.as_dict(), "notes": list(result.notes)},
        "curves.json": curves,
    }
    for name, content in files.items():
        replace_file(
            directory / name, (json.dumps(content, indent=1, allow_nan=False) + "\n").encode("utf-8")
        )
    return [directory / name for name in files]


def replace_file(path: Path, content: bytes) -> None:
    """Write a whole file or none: to a neighbour, then renamed."""
    neighbour = path.with_name(f".{path.name}.{os.getpid()}")
    neighbour.write_bytes(content)
    neighbour.replace(path)
