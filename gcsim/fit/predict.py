"""Predictions of recorded runs: simulate a record's workload and settings, measure as the record was measured.

A prediction starts from what the program does and the machine profile alone.  What was measured is not even handed to
the code that predicts (`Case` has no room for it).

The measuring mirrors the real instrument, so that the comparison is of the same things:

* a collection counts if it *ends* in the load phase: the runtime counts, prints its trace line and updates
  /cpu/classes when mark termination is over.  CPU times therefore cover whole collections;
* heap sizes are floored to MiB before averaging, as a trace line prints them;
* pauses are those of the whole life of the process, start-up included, in the runtime's own coarse buckets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from statistics import fmean, median
from typing import Any

from gcsim.datasets.recorders import Tee
from gcsim.datasets.summary import SummaryAccumulator
from gcsim.errors import GcsimError
from gcsim.fit.measured import METRICS, Number
from gcsim.fit.records import Record
from gcsim.interop.time_histogram import quantiles_ns
from gcsim.runtime import simulate
from gcsim.runtime.records import CycleRecord, PauseRecord, PhaseChange, Recorder
from gcsim.spec.models import Spec
from gcsim.spec.profile import load_profile
from gcsim.spec.records import spec_from_record
from gcsim.units import MIB

DEFAULT_SEEDS = 5
"""As many as a recorded case usually has repeats; a prediction is the median over them, as a measurement is."""

Metrics = dict[str, Number | None]

_HEAPS = {
    "heap_start_bytes_mean": "heap_start_bytes",
    "heap_peak_bytes_mean": "heap_end_bytes",
    "heap_marked_bytes_mean": "heap_marked_bytes",
    "heap_goal_bytes_mean": "heap_goal_bytes",
}
_FROM_SUMMARY = (
    "throughput_rps",
    "latency_ns_p50",
    "latency_ns_p90",
    "latency_ns_p99",
    "latency_ns_p999",
    "memory_end_bytes",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What is to be predicted: a record without its measurements."""

    name: str
    workload: Mapping[str, Any]
    settings: Mapping[str, Any]

    @classmethod
    def of(cls, record: Record) -> Case:
        """The case of a record."""
        return cls(name=record.case, workload=dict(record.workload), settings=dict(record.settings))


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """The compared metrics of one case, in the order of `METRICS`; or, if it cannot be simulated, why not."""

    case: str
    metrics: Metrics
    error: str | None = None


class Instrument:
    """The part of a `Recorder` that measures collections and pauses as the record's program does."""

    def __init__(self) -> None:
        self._load_start_ns: int | None = None
        self._without_program = False
        self.cycles: list[CycleRecord] = []
        """Those that ended in the load phase."""
        self.pauses_ns: list[int] = []
        """Both pauses of every collection since process start."""

    def phase(self, rec: PhaseChange) -> None:
        """Remembers when the load phase began."""
        if rec.phase == "load":
            self._load_start_ns = rec.time_ns

    def cycle(self, rec: CycleRecord) -> None:
        """Keeps it if it ended in the load phase."""
        if self._without_program:
            # The runtime measures its two stops only, not that goroutines are held back between them.
            self._without_program = False
            self.pauses_ns += (rec.sweep_term_ns, rec.mark_term_ns)
        if self._load_start_ns is not None and rec.end_ns >= self._load_start_ns:
            self.cycles.append(rec)

    def pause(self, rec: PauseRecord) -> None:
        """Keeps the collector's own: /sched/pauses/total/gc."""
        if rec.kind == "stop_the_world":
            self._without_program = True
        elif rec.kind != "other":
            self.pauses_ns.append(rec.duration_ns)

    def __getattr__(self, name: str) -> Callable[[Any], None]:
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda _rec: None  # what the comparison does not need

    def metrics(self) -> Metrics:
        """What it measured."""
        cycles = self.cycles
        assist = sum(cycle.assist_cpu_ns for cycle in cycles)
        background = sum(cycle.dedicated_cpu_ns + cycle.fractional_cpu_ns for cycle in cycles)
        idle = sum(cycle.idle_cpu_ns for cycle in cycles)
        pauses = quantiles_ns(self.pauses_ns, (0.5, 0.99)) or (None, None)
        return {
            "num_gc": len(cycles),
            **{
                name: fmean(getattr(cycle, field) // MIB * MIB for cycle in cycles) if cycles else None
                for name, field in _HEAPS.items()
            },
            "gc_cpu_ns": assist + background + idle + sum(cycle.stw_cpu_ns for cycle in cycles),
            "mark_assist_cpu_ns": assist,
            "mark_background_cpu_ns": background,
            "mark_idle_cpu_ns": idle,
            "stw_pause_ns_p50": pauses[0],
            "stw_pause_ns_p99": pauses[1],
        }


def measure_simulation(
    spec: Spec, *, seed: int, profile: str | None = None, also: Sequence[Recorder] = ()
) -> Metrics:
    """Simulate a spec once and measure it as a record is measured.

    Args:
        profile: machine profile instead of the spec's, by name or path.
        also: receive every row too.
    Raises:
        GcsimError: it cannot be simulated.
    """
    constants = load_profile(profile or spec.machine.profile, spec.runtime.go)
    summary, instrument = SummaryAccumulator(), Instrument()
    simulate(spec, seed=seed, profile=constants, recorder=Tee(summary, instrument, *also))
    summarised = summary.metrics()
    found = instrument.metrics() | {name: summarised[name] for name in _FROM_SUMMARY}
    return {metric.name: found[metric.name] for metric in METRICS}


def predict_spec(spec: Spec, *, profile: str | None = None, seeds: int = DEFAULT_SEEDS) -> Metrics:
    """The median of each metric over `seeds` simulations, the spec's own seed and those after it.

    A metric that some simulation lacks (no collection, no request) is the median over the others.
    """
    runs = [measure_simulation(spec, seed=spec.run.seed + number, profile=profile) for number in range(seeds)]
    return median_metrics(runs)


def median_metrics(runs: Sequence[Metrics]) -> Metrics:
    """The median of each metric over runs, of those that have it."""
    return {metric.name: _median([run[metric.name] for run in runs]) for metric in METRICS}


def predict_case(case: Case, *, profile: str | None = None, seeds: int = DEFAULT_SEEDS) -> Prediction:
    """Predict one case; one that cannot be simulated becomes a prediction with an error."""
    try:
        spec = spec_from_record(case.workload, case.settings)
        return Prediction(case=case.name, metrics=predict_spec(spec, profile=profile, seeds=seeds))
    except GcsimError as error:
        return Prediction(case=case.name, metrics={}, error=str(error))
    except KeyError as error:
        message = f"workload or settings have no field {error}; record it again or add the field"
        return Prediction(case=case.name, metrics={}, error=message)
    except (TypeError, ValueError, AttributeError) as error:
        message = f"workload or settings are not of a recorded program: {error}"
        return Prediction(case=case.name, metrics={}, error=message)


def predict(
    records: Iterable[Record],
    *,
    profile: str | None = None,
    seeds: int = DEFAULT_SEEDS,
    jobs: int = 1,
    progress: Callable[[Prediction], None] | None = None,
) -> list[Prediction]:
    """Predict every record, in their order, whatever the number of jobs.

    Args:
        profile: machine profile instead of the one of the record's machine and release, by name or path.
        seeds: simulations of each case.
        jobs: processes; 1 works in this one.
        progress: called after each case, in order.
    Raises:
        SpecError: no such profile.  A case that cannot be simulated raises nothing; see `Prediction`.
    """
    if profile is not None:
        load_profile(profile)
    cases = [Case.of(record) for record in records]
    predictions = list[Prediction]()
    for prediction in _predictions(cases, profile, seeds, min(jobs, len(cases))):
        predictions.append(prediction)
        if progress is not None:
            progress(prediction)
    return predictions


def _predictions(cases: list[Case], profile: str | None, seeds: int, jobs: int) -> Iterable[Prediction]:
    if jobs <= 1:
        yield from (predict_case(case, profile=profile, seeds=seeds) for case in cases)
        return
    # spawn: a fork would copy whatever threads this process has, half alive
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        yield from pool.map(_predict_one, [(case, profile, seeds) for case in cases])


def _predict_one(work: tuple[Case, str | None, int]) -> Prediction:
    case, profile, seeds = work
    return predict_case(case, profile=profile, seeds=seeds)


def _median(values: Iterable[Number | None]) -> Number | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None
