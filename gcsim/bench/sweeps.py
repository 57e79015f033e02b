"""How sweeps scale: what `gcsim bench --suite sweep` measures, each row in a process of its own.

Three questions.  *Scaling*: how much faster is a sweep of cache-service with two workers than with one, and does the
promised one keep its time?  *Overhead*: of runs that hardly simulate anything, what does each layer add: writing the
dataset, the store with its worker processes, Dask?  *Memory*: does the coordinator's grow with the number of points,
running, making the tables or exporting?  That is asked by two sweeps, one of ten times as many points as the other.

`python -m gcsim.bench.sweeps [--quick] NAME` prints a JSON object.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter, process_time
from typing import Any, Literal

from gcsim.bench.cases import CLOSED_LOOP
from gcsim.bench.memory import memory_bytes, peak_memory_bytes
from gcsim.datasets.export import export_sweep
from gcsim.datasets.summary import SummaryAccumulator
from gcsim.datasets.sweep import load_sweep
from gcsim.errors import RunError
from gcsim.runtime import simulate
from gcsim.spec.load import parse_spec
from gcsim.spec.overrides import apply_overrides
from gcsim.spec.profile import load_profile
from gcsim.sweep.axes import parse_axes
from gcsim.sweep.execute import SweepProgress, run_sweep
from gcsim.sweep.executor import Executor, InlineExecutor
from gcsim.sweep.plan import SweepPlan, plan_sweep

Kind = Literal["scaling", "overhead", "memory"]
How = Literal["simulate", "inline", "local", "dask"]

TINY = """\
version: 1
name: tiny
run: {duration: 1ms, settle: 0ns}
requests:
  - workers: 1
    steps:
      - cpu: 100us
      - allocate: {count: 1, size: 1KiB}
"""


@dataclass(frozen=True, slots=True)
class SweepCase:
    """One row.

    Attributes:
        how: ``simulate``: no dataset; ``inline``: datasets, in this process; ``local``, ``dask``: in worker processes.
        points: settings, one run each; `quick_points` the same with `--quick`.
        share: of points that are asked for instead.
        seconds: simulated, of cache-service; 0: runs that hardly simulate anything.
        target_s: wall-clock seconds that the project promises; None: none.
    """

    name: str
    kind: Kind
    what: str
    how: How
    points: int
    quick_points: int
    workers: int = 1
    seconds: float = 0.0
    quick_seconds: float = 0.0
    target_s: float | None = None
    share: float = 1.0

    def plan(self, *, quick: bool, points: int | None = None) -> SweepPlan:
        """Points that differ in GOGC (cache-service), or in what each request computes (tiny runs).

        Args:
            points: instead of the case's own number.
        """
        count = self.quick_points if quick else self.points
        if points is not None:
            count = max(1, round(points * self.share))
        if not self.seconds:
            values = ",".join(f"{100_000 + n}" for n in range(count))
            return plan_sweep(parse_spec(TINY), parse_axes([f"requests[0].steps[0].cpu={values}"]))
        seconds = self.quick_seconds if quick else self.seconds
        spec = apply_overrides(parse_spec(CLOSED_LOOP), [f"duration={round(seconds * 1e9)}"])
        return plan_sweep(
            spec, parse_axes([f"gogc={','.join(str(50 + 500 * n // count) for n in range(count))}"])
        )


SWEEP_CASES: tuple[SweepCase, ...] = (
    SweepCase("promise", "scaling", "cache-service, 60 s each, 2 workers", "local", 100, 8, 2, 60.0, 15.0, 180.0),
    SweepCase("workers-1", "scaling", "cache-service, 60 s each, 1 worker", "local", 20, 8, 1, 60.0, 15.0),
    SweepCase("workers-2", "scaling", "cache-service, 60 s each, 2 workers", "local", 20, 8, 2, 60.0, 15.0),
    SweepCase("simulate", "overhead", "tiny runs, simulated only", "simulate", 200, 10),
    SweepCase("dataset", "overhead", "and their datasets written", "inline", 200, 10),
    SweepCase("store", "overhead", "by the store and a worker process", "local", 200, 10),
    SweepCase("dask", "overhead", "by the store and a Dask worker", "dask", 200, 10),
    SweepCase("tenth", "memory", "tiny runs, 2 workers", "local", 300, 20, 2, share=0.1),
    SweepCase("whole", "memory", "ten times as many", "local", 3_000, 200, 2),
)  # fmt: skip
"""All rows, in the order in which they are measured and shown."""

BY_NAME = {case.name: case for case in SWEEP_CASES}


@dataclass(frozen=True, slots=True)
class SweepMeasurement:
    """What one case took.

    Attributes:
        wall_s: of the whole sweep, start of the workers and tables included.
        cpu_s: of the coordinator and all its workers.
        coordinator_cpu_s: of the coordinator alone.
        per_point_s: wall-clock seconds per point from the first finished run to the last.
        memory_bytes: resident memory of the coordinator after each tenth of the runs.
        peak_memory_bytes: the most it had up to the end of the sweep, tables included.
        export_peak_memory_bytes: the most it had after an export too; as before where there was none.
    """

    name: str
    points: int
    wall_s: float
    cpu_s: float
    coordinator_cpu_s: float
    per_point_s: float
    memory_bytes: tuple[int, ...]
    peak_memory_bytes: int
    export_peak_memory_bytes: int

    @property
    def case(self) -> SweepCase:
        """What was measured."""
        return BY_NAME[self.name]

    @property
    def coordinator_cpu_per_point_s(self) -> float:
        """CPU seconds of the coordinator per point."""
        return self.coordinator_cpu_s / self.points

    def as_dict(self) -> dict[str, Any]:
        """One flat object."""
        return {
            **asdict(self), "kind": self.case.kind, "what": self.case.what, "workers": self.case.workers,
            "target_s": self.case.target_s,
        }  # fmt: skip


def measure(name: str, *, quick: bool, points: int | None = None) -> SweepMeasurement:
    """Run the sweep of this name in a directory that is thrown away."""
    case = BY_NAME[name]
    plan = case.plan(quick=quick, points=points)
    count = len(plan.points)
    finished_s: list[float] = []
    memory: list[int] = []

    def progress(at: SweepProgress) -> None:
        if at.done:
            finished_s.append(perf_counter())
            if at.done * 10 // count > len(memory):
                memory.append(memory_bytes())

    began_s, began_cpu_s = perf_counter(), process_time()
    if case.how == "simulate":
        _simulate(plan, progress)
    else:
        with tempfile.TemporaryDirectory() as scratch:
            executor = None if case.how == "local" else _executor(case)
            directory = Path(scratch) / "sweep"
            run_sweep(plan, directory, jobs=case.workers, executor=executor, progress=progress)
            ended_s, own_cpu_s = perf_counter(), process_time() - began_cpu_s
            peak = peak_memory_bytes()
            if case.kind == "memory":
                export_sweep(load_sweep(directory), Path(scratch) / "exported")
    if case.how == "simulate":
        ended_s, own_cpu_s = perf_counter(), process_time() - began_cpu_s
        peak = peak_memory_bytes()
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return SweepMeasurement(
        name=name,
        points=count,
        wall_s=ended_s - began_s,
        cpu_s=own_cpu_s + children.ru_utime + children.ru_stime,
        coordinator_cpu_s=own_cpu_s,
        per_point_s=(finished_s[-1] - finished_s[0]) / max(1, len(finished_s) - 1),
        memory_bytes=tuple(memory),
        peak_memory_bytes=peak,
        export_peak_memory_bytes=peak_memory_bytes(),
    )


def _executor(case: SweepCase) -> Callable[[Path], Executor]:
    if case.how == "inline":
        return InlineExecutor
    from gcsim.sweep.dask_executor import DaskExecutor

    return lambda directory: DaskExecutor(directory, address="local", jobs=case.workers)


def _simulate(plan: SweepPlan, progress: Callable[[SweepProgress], None]) -> None:
    profile = load_profile(plan.spec.machine.profile, plan.spec.runtime.go)
    for number, point in enumerate(plan.points):
        simulate(plan.run_spec(point, 0), profile=profile, recorder=SummaryAccumulator())
        progress(SweepProgress(total=len(plan.points), done=number + 1, failed=0, reused=0))


def select_sweeps(only: Sequence[str]) -> list[SweepCase]:
    """The cases of these names or kinds; all, if none is given.

    Raises:
        KeyError: a name is neither a case's nor a kind's.
    """
    for name in only:
        if not any(name in (case.name, case.kind) for case in SWEEP_CASES):
            raise KeyError(name)
    return [case for case in SWEEP_CASES if not only or case.name in only or case.kind in only]


def run_sweep_case(case: SweepCase, *, quick: bool = False, points: int | None = None) -> SweepMeasurement:
    """Measure a case in a process of its own; with `points` instead of its own number of them.

    Raises:
        RunError: the process failed; its last line of standard error says how.
    """
    command = [sys.executable, "-m", "gcsim.bench.sweeps", case.name, *(["--quick"] if quick else [])]
    command += [] if points is None else ["--points", str(points)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise RunError(f"benchmark {case.name} failed with exit code {done.returncode}: {last}")
    found = json.loads(done.stdout)
    return SweepMeasurement(**(found | {"memory_bytes": tuple(found["memory_bytes"])}))


def main(arguments: list[str] | None = None, write: Callable[[str], None] = print) -> None:
    """Entry point of the process."""
    parser = argparse.ArgumentParser(prog="python -m gcsim.bench.sweeps", description=__doc__)
    parser.add_argument("name", choices=list(BY_NAME))
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--points", type=int)
    given = parser.parse_args(arguments)
    write(json.dumps(asdict(measure(given.name, quick=given.quick, points=given.points))))


if __name__ == "__main__":
    main()
