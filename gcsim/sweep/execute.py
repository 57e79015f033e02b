"""Drives an executor through a plan: what is done already is left alone, what fails becomes a row.

Nothing depends on the order in which runs finish: tables are in the plan's order, whoever reads them.
"""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from gcsim.datasets.reader import load
from gcsim.datasets.sweep import (
    FAILED_DIR,
    RUNS_DIR,
    SWEEP_NAME,
    Failure,
    PlannedPoint,
    SweepDescription,
    SweepResult,
    is_sweep,
    load_sweep,
    write_sweep_tables,
)
from gcsim.errors import DatasetError
from gcsim.sweep.executor import Executor, LocalExecutor, Outcome, Task
from gcsim.sweep.plan import SweepPlan
from gcsim.version import ENGINE_VERSION

_POLL_S = 0.25


@dataclass(frozen=True, kw_only=True)
class SweepProgress:
    """How far a sweep is, in runs.  `reused` of the `done` ones were there when it began."""

    total: int
    done: int
    failed: int
    reused: int


class SweepInterrupted(Exception):  # noqa: N818 - not an error: what was asked for
    """The sweep was asked to stop; what had begun is done, the rest is pending."""

    def __init__(self, result: SweepResult) -> None:
        super().__init__("interrupted")
        self.result = result


def describe(plan: SweepPlan) -> SweepDescription:
    """What the sweep's directory says of its plan."""
    return SweepDescription(
        sweep_id=plan.sweep_id,
        name=plan.spec.name,
        seed=plan.seed,
        replications=plan.replications,
        layout=plan.layout,
        engine_version=ENGINE_VERSION,
        columns=plan.columns,
        spec=plan.spec.model_dump(mode="json"),
        points=tuple(
            PlannedPoint(point_id=p.point_id, label=p.label, knobs=dict(p.knobs), run_ids=p.run_ids)
            for p in plan.points
        ),
    )


def run_sweep(
    plan: SweepPlan,
    directory: Path,
    *,
    jobs: int | None = None,
    resume: bool = False,
    executor: Callable[[Path], Executor] | None = None,
    progress: Callable[[SweepProgress], None] | None = None,
    stop: threading.Event | None = None,
) -> SweepResult:
    """Run all of a plan that is not done, and write the tables.

    Args:
        directory: the sweep's; new or empty, unless `resume`.
        jobs: worker processes; default one per CPU that this process may use.
        resume: go on with a sweep of the same plan; runs that are done are not done again.
        executor: makes the executor; default `LocalExecutor`.
        stop: set it, and no further run is begun; those going on are finished.
    Raises:
        DatasetError: the directory is taken, or is of another plan.
        SweepInterrupted: `stop` was set before all was done.
    """
    description = describe(plan)
    _begin(description, directory, resume=resume)
    done = {name for name in _listed(directory / RUNS_DIR) if _is_whole(directory / RUNS_DIR / name)}
    failed = _kept_failures(directory)
    todo = {name for _, _, name in plan.runs() if name not in done and name not in failed}
    total = sum(len(point.run_ids) for point in plan.points)
    counts = {"done": total - len(todo), "failed": sum(name in failed for _, _, name in plan.runs())}
    reused = counts["done"]

    def report() -> None:
        if progress is not None:
            progress(SweepProgress(total=total, done=counts["done"], failed=counts["failed"], reused=reused))

    report()
    if todo:
        make = executor or (lambda where: LocalExecutor(where, jobs=jobs or cpus()))
        running = make(directory)
        try:
            for outcome in _outcomes(plan, todo, running, stop or threading.Event()):
                _keep(outcome, directory)
                counts["done"] += 1
                counts["failed"] += bool(outcome.error)
                report()
        finally:
            running.close()
    result = load_sweep(directory)
    if any(point.pending for point in result.points):
        raise SweepInterrupted(result)
    write_sweep_tables(result, directory)
    return result


def cpus() -> int:
    """CPUs that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _outcomes(
    plan: SweepPlan, todo: set[str], executor: Executor, stop: threading.Event
) -> Iterator[Outcome]:
    """Hand out what is to do in the plan's order, and give back what is finished, in any."""
    waiting = (
        Task(run_id=name, point_id=point.point_id, spec=plan.run_spec(point, replication))
        for point, replication, name in plan.runs()
        if name in todo
    )
    outstanding: set[str] = set()
    more = True
    while True:
        while more and len(outstanding) < executor.capacity and not stop.is_set():
            task = next(waiting, None)
            more = task is not None
            if task is not None:
                outstanding.add(task.run_id)
                executor.submit(task)
        if stop.is_set() and more:
            more = False
            executor.drain()
        if not outstanding:
            return
        outcome = executor.next(_POLL_S)
        if outcome is not None:
            outstanding.discard(outcome.run_id)
            yield outcome
        elif stop.is_set() and not executor.running:
            return


def _begin(description: SweepDescription, directory: Path, *, resume: bool) -> None:
    """Write what is planned, or check that it is what the directory was begun for."""
    if is_sweep(directory):
        found = SweepDescription.read(directory)
        if not resume:
            raise DatasetError(
                f"{directory} is a sweep that is already there; go on with --resume, or take another --out"
            )
        if (found.sweep_id, found.engine_version) != (description.sweep_id, description.engine_version):
            raise DatasetError(
                f"{directory} is the sweep {found.sweep_id} of gcsim {found.engine_version}, not this one "
                f"({description.sweep_id} of {description.engine_version}); give the same spec, axes, seed and replications, "
                "or take another --out"
            )
        return
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise DatasetError(f"{directory} is something that is no sweep; take another --out or remove it")
    directory.mkdir(parents=True, exist_ok=True)
    for name in (RUNS_DIR, FAILED_DIR):
        (directory / name).mkdir()
    _write(directory / SWEEP_NAME, description.to_json())


def _listed(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir() if not path.name.startswith("."))


def _is_whole(directory: Path) -> bool:
    """Whether a run is there with all its files; a damaged one is removed, to be done again."""
    try:
        load(directory)
    except DatasetError:
        shutil.rmtree(directory)
        return False
    return True


def _kept_failures(directory: Path) -> set[str]:
    """Runs that failed for good; the others may try again."""
    kept = set()
    for path in sorted((directory / FAILED_DIR).glob("*.json")):
        failure = Failure.read(path)
        if failure.retry:
            path.unlink()
        else:
            kept.add(failure.run_id)
    return kept


def _keep(outcome: Outcome, directory: Path) -> None:
    if outcome.error:
        failure = Failure(
            run_id=outcome.run_id, error=outcome.error, message=outcome.message, retry=outcome.retry
        )
        path = directory / FAILED_DIR / f"{outcome.run_id}.json"
        _write(path, json.dumps(asdict(failure), indent=1, ensure_ascii=False) + "\n")


def _write(path: Path, text: str) -> None:
    """A file as a whole or not at all, on disk when this returns."""
    part = path.with_name(f".{path.name}.partial")
    with part.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
