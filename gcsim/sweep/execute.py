"""Drives an executor through a plan: what is done already is left alone, what fails becomes a row.

Nothing depends on the order in which runs finish: tables are in the plan's order, whoever reads them.
"""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from gcsim.datasets.reader import load
from gcsim.datasets.stopping import StopRule
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
        until=plan.until,
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
    begin_sweep(describe(plan), directory, resume=resume)
    with SweepRunner(directory, jobs=jobs, executor=executor, stop=stop) as runner:
        runner.run(plan, progress)
    result = load_sweep(directory)
    if any(point.pending for point in result.points):
        raise SweepInterrupted(result)
    write_sweep_tables(result, directory)
    return result


class SweepRunner:
    """An executor at work in a sweep's directory, for one plan or for several that grow out of each other.

    A context manager; the executor is made when there is something to do.  Arguments as of `run_sweep`.
    """

    def __init__(
        self,
        directory: Path,
        *,
        jobs: int | None = None,
        executor: Callable[[Path], Executor] | None = None,
        stop: threading.Event | None = None,
    ) -> None:
        self.directory = directory
        self.stop = stop or threading.Event()
        self._make = executor or (lambda where: LocalExecutor(where, jobs=jobs or cpus()))
        self._executor: Executor | None = None
        self._done = {
            name for name in _listed(directory / RUNS_DIR) if _is_whole(directory / RUNS_DIR / name)
        }
        self._failed = _kept_failures(directory)

    def run(self, plan: SweepPlan, progress: Callable[[SweepProgress], None] | None = None) -> None:
        """Do all runs of a plan that are not done; fewer, if `stop` is set."""
        agenda = _Agenda(plan, self.directory, self._done, self._failed)
        finished = 0
        failed = sum(name in self._failed for name in agenda.planned)

        def report() -> None:
            if progress is not None:
                # Not `reused + finished`: stopping early, a look may find further runs that are there already.
                done = len(agenda.planned) - len(agenda.queue) - agenda.outstanding
                progress(
                    SweepProgress(total=len(agenda.planned), done=done, failed=failed, reused=done - finished)
                )

        report()
        if not agenda.queue:
            return
        if self._executor is None:
            self._executor = self._make(self.directory)
        for outcome in _outcomes(agenda, self._executor, self.stop):
            _keep(outcome, self.directory)
            (self._failed if outcome.error else self._done).add(outcome.run_id)
            finished += 1
            failed += bool(outcome.error)
            agenda.settle(outcome)
            report()

    def close(self) -> None:
        """End the executor, and what it is at."""
        if self._executor is not None:
            self._executor.close()
            self._executor = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def cpus() -> int:
    """CPUs that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Agenda:
    """What is to be handed out, in the plan's order; further replications of a point when its first ones say so."""

    def __init__(self, plan: SweepPlan, directory: Path, done: set[str], failed: set[str]) -> None:
        self.planned: dict[
            str, tuple[int, int]
        ] = {}  # run id -> place of its point, number of the replication
        self.queue: deque[str] = deque()
        self.outstanding = 0
        self._plan, self._directory = plan, directory
        self._done, self._failed = done, failed
        self._taken = [0] * len(plan.points)  # replications planned so far
        for place in range(len(plan.points)):
            self._extend(place)

    def take(self) -> Task | None:
        """The next run, if one is to be begun now."""
        if not self.queue:
            return None
        name = self.queue.popleft()
        self.outstanding += 1
        place, replication = self.planned[name]
        point = self._plan.points[place]
        return Task(run_id=name, point_id=point.point_id, spec=self._plan.run_spec(point, replication))

    def settle(self, outcome: Outcome) -> None:
        """Hear that a run is finished."""
        self.outstanding -= 1
        self._extend(self.planned[outcome.run_id][0])

    def _extend(self, place: int) -> None:
        """Plan the replications of a point up to where it may be decided whether they are enough."""
        names, until = self._plan.points[place].run_ids, self._plan.until
        looks = (len(names),) if until is None else until.looks
        while True:
            taken = names[: self._taken[place]]
            if taken and (until is None or len(taken) == len(names) or self._is_settled(taken, until)):
                return
            look = next(number for number in looks if number > len(taken))
            self._taken[place] = look
            for replication in range(len(taken), look):
                self.planned[names[replication]] = place, replication
            todo = [n for n in names[len(taken) : look] if n not in self._done and n not in self._failed]
            self.queue.extend(todo)
            if todo:
                return

    def _is_settled(self, taken: Sequence[str], until: StopRule) -> bool:
        """Whether no more replications are to be planned now: some are going on, one failed, or these are enough."""
        if not all(name in self._done for name in taken):
            return True
        return until.is_met([load(self._directory / RUNS_DIR / name).summary for name in taken])


def _outcomes(agenda: _Agenda, executor: Executor, stop: threading.Event) -> Iterator[Outcome]:
    """Hand out what is to do, and give back what is finished, in any order."""
    outstanding: set[str] = set()
    drained = False
    while True:
        while len(outstanding) < executor.capacity and not stop.is_set():
            task = agenda.take()
            if task is None:
                break
            outstanding.add(task.run_id)
            executor.submit(task)
        if stop.is_set() and not drained:
            drained = True
            executor.drain()
        if not outstanding:
            return
        outcome = executor.next(_POLL_S)
        if outcome is not None:
            outstanding.discard(outcome.run_id)
            yield outcome
        elif stop.is_set() and not executor.running:
            return


def begin_sweep(description: SweepDescription, directory: Path, *, resume: bool) -> None:
    """Write what is planned, or check that it is what the directory was begun for."""
    if is_sweep(directory):
        found = SweepDescription.read(directory)
        # One that never began, say because its cluster could not be reached, is in nobody's way.
        is_begun = any(_listed(directory / name) for name in (RUNS_DIR, FAILED_DIR))
        if not resume and (is_begun or found.sweep_id != description.sweep_id):
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
    write_description(description, directory)


def write_description(description: SweepDescription, directory: Path) -> None:
    """Say anew what is planned, of a sweep that grows."""
    write_whole(directory / SWEEP_NAME, description.to_json())


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
        write_whole(path, json.dumps(asdict(failure), indent=1, ensure_ascii=False) + "\n")


def write_whole(path: Path, text: str) -> None:
    """A file as a whole or not at all, on disk when this returns."""
    part = path.with_name(f".{path.name}.partial")
    with part.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
