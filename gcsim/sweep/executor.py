"""What an executor of a sweep has to do, and the two that need nothing but this machine."""

from __future__ import annotations

import queue
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from gcsim.datasets.run import run_spec
from gcsim.datasets.sweep import RUNS_DIR
from gcsim.errors import DatasetError, InvariantError, RunError
from gcsim.spec.models import Spec
from gcsim.sweep.states import NewRun, Reason, RunState
from gcsim.sweep.store import Store
from gcsim.sweep.supervisor import Supervisor, WorkerSettings

RETRY = frozenset({Reason.WORKER_LOST, Reason.OUT_OF_MEMORY, Reason.RUN_TIMEOUT, Reason.STORAGE_FULL})
"""Failures that another attempt on another day may not have: a resumed sweep tries these again."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """One run to do: its dataset is to appear as `datasets/<run_id>` in the sweep's directory."""

    run_id: str
    point_id: str
    spec: Spec


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """A task that is finished; `error` is empty if its dataset is there."""

    run_id: str
    error: str = ""
    message: str = ""
    retry: bool = False


class Executor(Protocol):
    """Runs tasks, in any order and any number at a time.  The driver hands out at most `capacity` at once."""

    @property
    def capacity(self) -> int:
        """Most tasks that it takes at once at present."""

    @property
    def running(self) -> int:
        """Tasks that are going on at present."""

    def submit(self, task: Task) -> None:
        """Take a task.  Does not wait for it."""

    def next(self, timeout_s: float) -> Outcome | None:
        """A finished task, each once; None if there is none within the time."""

    def drain(self) -> None:
        """Begin nothing any more; what is going on finishes and is still handed out by `next`."""

    def close(self) -> None:
        """End now.  What is going on is given up, and leaves nothing half-written."""


class LocalExecutor:
    """Worker processes on this machine, over a store in the sweep's directory.

    The supervisor replaces workers that die and tries their runs again; the store publishes each result once.
    """

    def __init__(self, directory: Path, *, jobs: int, settings: WorkerSettings | None = None) -> None:
        self._store = Store.open(directory, flush=False)  # the directory says what is done
        self._changed: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._supervisor = Supervisor(
            self._store, workers=jobs, settings=settings, on_change=self._changed.put
        )
        self._run_ids: dict[str, str] = {}
        self.capacity = 2 * jobs + 2  # a worker never waits for the driver to plan the next run
        # The directory says what is done; what waited when the last executor was killed is handed out anew.
        for row in self._store.runs(states=(RunState.QUEUED,)):
            self._store.cancel(row.id)
        self._supervisor.start()

    def submit(self, task: Task) -> None:
        run, _ = self._store.submit(NewRun.of(task.spec, point=task.point_id))
        self._run_ids[run.id] = task.run_id
        if run.state.is_final:
            self._changed.put(run.id)
        else:
            self._supervisor.wake()

    def next(self, timeout_s: float) -> Outcome | None:
        try:
            changed = self._changed.get(timeout=timeout_s)
        except queue.Empty:
            return None
        if changed not in self._run_ids:
            return None
        run = self._store.get(changed)
        if not run.state.is_final:
            return None
        run_id = self._run_ids.pop(changed)
        if run.state is RunState.SUCCEEDED:
            return Outcome(run_id=run_id)
        return Outcome(run_id=run_id, error=run.reason, message=run.message, retry=run.reason in RETRY)

    def drain(self) -> None:
        self._supervisor.drain(0.0)

    @property
    def running(self) -> int:
        """Tasks in workers at present."""
        return self._supervisor.running

    def close(self) -> None:
        self._supervisor.stop()
        self._store.close()


class InlineExecutor:
    """In this process, one after another: for tests and tiny sweeps."""

    running = 0

    def __init__(self, directory: Path) -> None:
        self.capacity = 1
        self._runs = directory / RUNS_DIR
        self._tasks: deque[Task] = deque()

    def submit(self, task: Task) -> None:
        self._tasks.append(task)

    def next(self, timeout_s: float) -> Outcome | None:
        if not self._tasks:
            return None
        task = self._tasks.popleft()
        try:
            run_spec(task.spec, self._runs / task.run_id)
        except InvariantError as error:
            return Outcome(run_id=task.run_id, error=Reason.INTERNAL_ERROR, message=str(error))
        except (RunError, DatasetError) as error:
            return Outcome(run_id=task.run_id, error=Reason.SIMULATION_FAILED, message=str(error))
        return Outcome(run_id=task.run_id)

    def drain(self) -> None:
        self._tasks.clear()

    def close(self) -> None:
        self._tasks.clear()
