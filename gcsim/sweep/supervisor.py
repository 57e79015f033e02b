"""Runs queued runs in worker processes of its own, and loses none.

Each slot is a thread with one process: it leases a run, hands it over, listens, publishes.  A process that dies or
says nothing for two heartbeats is killed and the run given back; the store decides whether it is tried again.  Time
is monotonic throughout: a jump of the wall clock ends no lease.

Rejected: ``ProcessPoolExecutor``.  One dead process breaks the whole pool, and recycling its processes hangs in
Python 3.11 (cpython#115634).
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import select
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from gcsim.errors import DatasetError
from gcsim.sweep.states import (
    NotFoundError,
    Reason,
    RunProgress,
    RunState,
    StoredRun,
    StoredSweep,
    StoreFullError,
)
from gcsim.sweep.store import Store
from gcsim.sweep.worker import is_disk_full

log = logging.getLogger("gcsim.supervisor")

ROOT = Path(__file__).parents[2]
"""Where the workers find gcsim: the same package as ours."""

START_S = 60.0
"""A worker may take so long to load.  assumed: a second is usual, and machines are busy now and then."""


@dataclass(frozen=True, kw_only=True)
class WorkerSettings:
    """How workers are watched, in wall-clock seconds.

    Attributes:
        heartbeat_s: time between two heartbeats; without one for twice that, the worker counts as lost.
        cancel_grace_s: from SIGTERM to SIGKILL.
        max_run_s: longest attempt, where a run has no limit of its own.
        memory_bytes: RLIMIT_AS of each worker; None = no limit.
        file_bytes: RLIMIT_FSIZE of each worker; None = no limit.
        runs_per_worker: a process is replaced after so many runs, so that no leak grows.
    """

    heartbeat_s: float = 5.0
    cancel_grace_s: float = 1.5
    max_run_s: float = 3600.0
    memory_bytes: int | None = None
    file_bytes: int | None = None
    runs_per_worker: int = 200


class _WorkerLostError(Exception):
    """The worker process died, or is deaf and dumb."""


class _Process:
    """One worker process and its two pipes."""

    def __init__(self, settings: WorkerSettings) -> None:
        self.settings = settings
        argument = {
            "heartbeat_s": settings.heartbeat_s,
            "memory_bytes": settings.memory_bytes,
            "file_bytes": settings.file_bytes,
        }
        path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
        self._popen = subprocess.Popen(
            [sys.executable, "-m", "gcsim.sweep.worker", json.dumps(argument)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path},
        )
        assert self._popen.stdin is not None
        assert self._popen.stdout is not None
        self._stdin, self._stdout = self._popen.stdin, self._popen.stdout
        os.set_blocking(self._stdout.fileno(), False)
        self._buffer = b""
        self.pid = self._popen.pid
        self.runs = 0
        self.heard_s = time.monotonic()

    @property
    def is_alive(self) -> bool:
        return self._popen.poll() is None

    def send(self, job: dict[str, Any]) -> None:
        self.runs += 1
        self.heard_s = time.monotonic()
        try:
            self._stdin.write(json.dumps(job).encode() + b"\n")
            self._stdin.flush()
        except OSError as error:
            raise _WorkerLostError("it died before the job reached it") from error

    def receive(self, timeout_s: float) -> list[dict[str, Any]]:
        """Whole messages that have come, waiting for the first up to `timeout_s`.  Raises _WorkerLostError at the end of the pipe."""
        if select.select([self._stdout], [], [], timeout_s)[0]:
            data = self._stdout.read(1 << 20)
            if data == b"":
                raise _WorkerLostError(f"it died ({_how(self._popen.wait())})")
            self._buffer += data or b""
            self.heard_s = time.monotonic()
        *lines, self._buffer = self._buffer.split(b"\n")
        return [json.loads(line) for line in lines]

    def terminate(self) -> None:
        if self.is_alive:
            self._popen.terminate()

    def kill(self) -> None:
        """End the process and wait for it: afterwards it writes nothing any more."""
        self._popen.kill()
        self._popen.wait()
        for pipe in (self._stdin, self._stdout):
            with contextlib.suppress(OSError):
                pipe.close()


def _how(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"


class _Attempt:
    """What a slot is at, and what others have asked of it."""

    def __init__(self, run: StoredRun) -> None:
        self.run = run
        self.started_s = time.monotonic()
        self.cancelled = threading.Event()


class Supervisor:
    """Worker processes over a store.  A context manager: entering starts, leaving stops it and requeues what runs.

    Args:
        workers: number of processes.
        on_change: called, from any thread, with a run's id when its row or its progress has changed.
    """

    def __init__(
        self,
        store: Store,
        *,
        workers: int = 1,
        settings: WorkerSettings | None = None,
        on_change: Callable[[str], None] | None = None,
    ) -> None:
        self.store = store
        self.workers = workers
        self.settings = settings or WorkerSettings()
        self._on_change = on_change or (lambda _: None)
        self._changed = threading.Condition()
        self._version = 0  # counts changes, for those who wait
        self._work = 0  # counts calls of wake
        self._leasing = True
        self._stopping = threading.Event()
        self._attempts: dict[str, _Attempt] = {}
        self._progress: dict[str, RunProgress] = {}
        self._threads: list[threading.Thread] = []

    # ---- for callers ---------------------------------------------------------------------------------------

    def start(self) -> None:
        for number in range(self.workers):
            thread = threading.Thread(target=self._slot, name=f"worker-{number}", daemon=True)
            thread.start()
            self._threads.append(thread)

    def wake(self) -> None:
        """Say that something has been queued."""
        with self._changed:
            self._work += 1
            self._changed.notify_all()

    def cancel(self, run_id: str) -> StoredRun:
        """Cancel a run: at once if it waits; within the grace period if it runs; no change if it is finished."""
        run = self.store.cancel(run_id)
        with self._changed:
            attempt = self._attempts.get(run_id)
        if attempt is not None and run.state is RunState.CANCELLING:
            attempt.cancelled.set()
        self._tell(run_id)
        return run

    def cancel_sweep(self, sweep_id: str) -> StoredSweep:
        """Cancel all runs of a sweep that are not finished, as `cancel` does one."""
        sweep, changed = self.store.sweeps.cancel(sweep_id)
        with self._changed:
            attempts = [self._attempts[run_id] for run_id in changed if run_id in self._attempts]
        for attempt in attempts:
            attempt.cancelled.set()
        for run_id in changed:
            self._tell(run_id)
        return sweep

    def progress(self, run_id: str) -> RunProgress | None:
        """How far a running run is, in memory only."""
        return self._progress.get(run_id)

    @property
    def running(self) -> int:
        """Runs in workers at present."""
        return len(self._attempts)

    def wait(self, run_ids: Iterable[str], *, timeout_s: float | None = None) -> bool:
        """Until all these runs are finished; False if time ran out first."""
        pending = list(run_ids)
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            with self._changed:
                version = self._version
            pending = [run_id for run_id in pending if not self.store.get(run_id).state.is_final]
            if not pending:
                return True
            with self._changed:
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    return False
                self._changed.wait_for(lambda version=version: self._version != version, left)  # type: ignore[misc]

    def drain(self, timeout_s: float) -> bool:
        """Begin no run any more, and let those that go on finish; whether they did within the time."""
        deadline = time.monotonic() + timeout_s
        with self._changed:
            self._leasing = False
            self._changed.notify_all()
            while self._attempts:
                left = deadline - time.monotonic()
                if left <= 0 or self._stopping.is_set():
                    return False
                self._changed.wait(left)
        return True

    def hurry(self) -> None:
        """End a drain that goes on; `stop` has to follow."""
        self._stopping.set()
        with self._changed:
            self._changed.notify_all()

    def stop(self) -> None:
        """End the workers now.  What they were at is queued again, and does not count as lost."""
        self._stopping.set()
        with self._changed:
            self._leasing = False
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()
        self._threads.clear()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    # ---- a slot --------------------------------------------------------------------------------------------

    def _slot(self) -> None:
        process: _Process | None = None
        try:
            while not self._stopping.is_set():
                if process is None or not process.is_alive:
                    if process is not None:
                        process.kill()
                    process = _Process(self.settings)
                    if not self._is_ready(process):
                        process.kill()
                        process = None
                        continue
                run = self._next()
                if run is None:
                    continue
                attempt = _Attempt(run)
                with self._changed:
                    self._attempts[run.id] = attempt
                # Cancelled between leasing and being listed here: then nobody set the event.
                if self.store.get(run.id).state is RunState.CANCELLING:
                    attempt.cancelled.set()
                self._tell(run.id)
                fit = self._attempt(attempt, process)
                with self._changed:
                    # Another slot may be at it again already: from giving it back it is anybody's.
                    if self._attempts[run.id] is attempt:
                        del self._attempts[run.id]
                        self._progress.pop(run.id, None)
                self._tell(run.id)
                if not fit or process.runs >= self.settings.runs_per_worker:
                    process.kill()
                    process = None
        except Exception:
            log.exception("a worker slot ended")
            raise
        finally:
            if process is not None:
                process.kill()

    def _is_ready(self, process: _Process) -> bool:
        """Wait until a new process can simulate.  One that cannot start costs no run an attempt."""
        deadline_s = time.monotonic() + START_S
        try:
            while time.monotonic() < deadline_s and not self._stopping.is_set():
                if any(message["kind"] == "ready" for message in process.receive(0.1)):
                    return True
        except _WorkerLostError as lost:
            log.error("a worker did not start: %s", lost)
            self._stopping.wait(1.0)
        return False

    def _next(self) -> StoredRun | None:
        """The next run, or None after waiting for one in vain."""
        with self._changed:
            work = self._work
            leasing = self._leasing
        try:
            run = self.store.lease() if leasing else None
        except StoreFullError as error:
            log.warning("no run can be begun: %s", error)
            run = None
        if run is None:
            with self._changed:
                # A second is enough for what nobody announced, such as a queued run behind an equal one.
                self._changed.wait_for(lambda: self._work != work or self._stopping.is_set(), 1.0)
        return run

    def _attempt(self, attempt: _Attempt, process: _Process) -> bool:
        """One execution from hand-over to publishing; whether the process can be used again."""
        run = attempt.run
        if not run.skip_cache and self.store.dataset_path(run.dataset_id).exists():
            # An equal run has finished meanwhile, or an earlier coordinator died between renaming and commit.
            try:
                self._settle(run.id, lambda: self.store.publish(run.id, run.attempt, None))
            except DatasetError:
                log.warning("the dataset %s is damaged; computing it again", run.dataset_id)
            else:
                return True
        staging = self.store.staging_path(run)
        try:
            try:
                message = self._listen(attempt, process, staging / run.dataset_id)
            except _WorkerLostError as lost:
                process.kill()
                log.warning("run %s, attempt %d: worker lost: %s", run.id, run.attempt, lost)
                self._settle(run.id, lambda: self.store.release(run.id, run.attempt, worker_lost=True))
                return False
            if message["kind"] == "done":
                self._publish(run, staging / run.dataset_id)
                return True
            if message["kind"] == "stopped":
                process.kill()
                self._settle(run.id, lambda: self.store.release(run.id, run.attempt, worker_lost=False))
                return False
            self._settle(
                run.id,
                lambda: self.store.fail(run.id, run.attempt, message["reason"], message["message"]),
            )
            return bool(message["kind"] == "failed" and message["reason"] != Reason.OUT_OF_MEMORY)
        finally:
            shutil.rmtree(staging, ignore_errors=True)

    def _listen(self, attempt: _Attempt, process: _Process, out_dir: Path) -> dict[str, Any]:
        """Hand the run over and hear the process out; the last message: done, failed, killed or stopped."""
        run, settings = attempt.run, self.settings
        profile = None if run.profile_sha256 is None else str(self.store.profile_path(run.profile_sha256))
        process.send(
            {
                "name": run.name,
                "spec_json": run.spec_json,
                "profile_path": profile,
                "out_dir": str(out_dir.absolute()),
            }
        )
        limit_s = settings.max_run_s if run.max_duration_s is None else run.max_duration_s
        kill_at_s: float | None = None
        while True:
            try:
                messages = process.receive(0.1)
            except _WorkerLostError:
                if attempt.cancelled.is_set():
                    return _killed(Reason.WORKER_LOST, "cancelled")
                raise
            for message in messages:
                if message["kind"] in ("done", "failed"):
                    return message
                if message["kind"] == "progress":
                    self._note(attempt, message)
            now_s = time.monotonic()
            if self._stopping.is_set():
                return {"kind": "stopped"}
            if attempt.cancelled.is_set():
                if kill_at_s is None:
                    process.terminate()
                    kill_at_s = now_s + settings.cancel_grace_s
                elif now_s > kill_at_s:
                    process.kill()
                    return _killed(Reason.WORKER_LOST, "cancelled")
            elif now_s - attempt.started_s > limit_s:
                process.kill()
                return _killed(Reason.RUN_TIMEOUT, f"took longer than max_run_duration, {limit_s:g} s")
            elif now_s - process.heard_s > 2 * settings.heartbeat_s:
                raise _WorkerLostError(f"it said nothing for {2 * settings.heartbeat_s:g} s")

    def _note(self, attempt: _Attempt, message: dict[str, Any]) -> None:
        done, end = message["sim_time_ns"], message["end_ns"]
        spent_s = time.monotonic() - attempt.started_s
        eta_s = spent_s * (end - done) / done if 0 < done <= end else None
        self._progress[attempt.run.id] = RunProgress(
            attempt.run.attempt, done, end, message["cycles"], eta_s, message["partial"]
        )
        self._tell(attempt.run.id)

    def _publish(self, run: StoredRun, staged: Path) -> None:
        try:
            self._settle(run.id, lambda: self.store.publish(run.id, run.attempt, staged))
        except (DatasetError, OSError) as error:
            full = is_disk_full(error)
            reason = Reason.STORAGE_FULL if full else Reason.INTERNAL_ERROR
            text = "no space left for the result" if full else str(error)
            self._settle(run.id, lambda: self.store.fail(run.id, run.attempt, reason, text))

    def _settle(self, run_id: str, change: Callable[[], object]) -> None:
        """Write an outcome; while the store has no space, again and again."""
        while True:
            try:
                change()
            except StoreFullError as error:
                log.warning("run %s: its end cannot be written yet: %s", run_id, error)
                if self._stopping.wait(1.0):
                    return  # still RUNNING in the store, so the next coordinator queues it again
            except NotFoundError:
                return
            else:
                return

    def _tell(self, run_id: str) -> None:
        with self._changed:
            self._version += 1
            self._changed.notify_all()
        self._on_change(run_id)


def _killed(reason: str, message: str) -> dict[str, Any]:
    return {"kind": "killed", "reason": reason, "message": message}
