"""Runs a sweep on a Dask cluster: the store decides what is tried again, Dask only computes.

Each attempt is a Dask task of its own, whose key has the number of the attempt.  A result is published only if its
attempt is the store's present one, so what an old attempt brings late is thrown away.  Attempts are given up when Dask
reports the worker as lost, when they take longer than a lease, and all of them when the scheduler is lost; the store
queues them again.  Dask's own retries are off where we start the cluster; elsewhere the scheduler may run a task again by
itself, which changes nothing: it is the same attempt.

Who notices a worker that hangs: of a frozen process or machine the scheduler, whose heartbeats stop (`worker-ttl`: ours
where we start the cluster, elsewhere five minutes unless it is configured); of a simulation that is stuck in a process
that is well, a timer in that process, which ends it (`gcsim.sweep.dask_worker`).  The lease is for what neither notices.

*Rejected:* Ray (a wheel of 79 MB where Dask is 2.5 MB of Python); results through a shared file system (the cluster need
not have one, and a rename over NFS is no fence); heartbeats of our own beside Dask's: a client cannot take a worker out of
the scheduler's hands, so its next attempts would go to the same frozen one.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gcsim.datasets.archive import unpack
from gcsim.errors import DatasetError, GcsimError
from gcsim.spec.profile import load_profile
from gcsim.sweep import dask_worker
from gcsim.sweep.executor import RETRY, Outcome, Task
from gcsim.sweep.states import NewRun, Reason, RunState, StoredRun
from gcsim.sweep.store import Store
from gcsim.sweep.worker import is_disk_full
from gcsim.version import ENGINE_VERSION

log = logging.getLogger("gcsim.dask")

LOCAL = "local"
_LOOK_S = 2.0
"""How often is asked how many threads the cluster has."""


class DaskMissingError(GcsimError):
    """The library is not installed."""

    def __init__(self) -> None:
        super().__init__("Dask is not installed; pip install 'gcsim[dask]'")


class ClusterUnreachableError(GcsimError):
    """No scheduler answers, or it has no workers."""


class ClusterUnfitError(GcsimError):
    """Workers have no gcsim, or another version than this one."""


@dataclass(frozen=True, kw_only=True)
class DaskSettings:
    """Times in wall-clock seconds.

    Attributes:
        connect_s: for the scheduler to answer, and for a first worker.
        reconnect_s: for a lost scheduler to come back at its address.
        max_run_s: longest that an attempt may compute, as `WorkerSettings.max_run_s` of local workers.
        stuck_s: an attempt that goes on for so much longer is stuck, and its worker ends.  assumed: a simulation hears of
            its limit many times a second.
        lease_s: longest from handing an attempt out to its result; then it counts as lost.  By default enough for the
            `capacity` of a cluster of one thread, one after another.
        worker_ttl_s: silence after which the scheduler of a local cluster takes a worker for lost.
    """

    connect_s: float = 15.0
    reconnect_s: float = 60.0
    max_run_s: float = 3600.0
    stuck_s: float = 30.0
    lease_s: float = 4.5 * 3600.0
    worker_ttl_s: float = 30.0


@dataclass(frozen=True)
class _Attempt:
    run: StoredRun
    future: Any
    ends_s: float


class DaskExecutor:
    """An executor (`gcsim.sweep.executor`) on a Dask cluster.

    Args:
        directory: the sweep's; its store decides.
        address: of the scheduler, such as ``tcp://10.0.0.1:8786``, or ``local`` for a cluster on this machine.
        jobs: workers of a local cluster.
    Raises:
        DaskMissingError: `gcsim[dask]` is not installed.
        ClusterUnreachableError: no scheduler answers there, or it has no workers.
        ClusterUnfitError: a worker has no gcsim, or another version than this process.
    """

    def __init__(
        self, directory: Path, *, address: str, jobs: int = 1, settings: DaskSettings | None = None
    ) -> None:
        self.settings = settings or DaskSettings()
        self._address = address
        self._cluster: Any = None
        self._client: Any = None
        self._finished: queue.SimpleQueue[tuple[str, int, Any]] = queue.SimpleQueue()
        self._attempts: dict[str, _Attempt] = {}
        self._run_ids: dict[str, str] = {}
        self._tasks: dict[str, dict[str, Any]] = {}
        self._outcomes: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
        self._drained = False
        self._threads, self._looked_s = 1, -_LOOK_S
        try:
            if address == LOCAL:
                self._start_cluster(jobs)
            self._connect(self.settings.connect_s)
            self._store = Store.open(directory, flush=False)  # the directory says what is done
        except BaseException:
            self._disconnect()
            raise
        # The directory says what is done; what waited when the last executor was killed is handed out anew.
        for row in self._store.runs(states=(RunState.QUEUED,)):
            self._store.cancel(row.id)

    # ---- Executor ------------------------------------------------------------------------------------------

    @property
    def capacity(self) -> int:
        """Twice what the cluster computes at once, so that no worker waits for the next run."""
        now_s = time.monotonic()
        if now_s - self._looked_s >= _LOOK_S:
            self._looked_s = now_s
            with contextlib.suppress(Exception):  # a lost scheduler is noticed by `next`
                threads = sum(self._client.nthreads().values())
                if not threads and self._threads:
                    log.warning("the cluster has no workers at present; waiting for some")
                self._threads = threads
        return 2 * self._threads + 2

    @property
    def running(self) -> int:
        """Attempts that are with the cluster."""
        return len(self._attempts)

    def submit(self, task: Task) -> None:
        profile = load_profile(task.spec.machine.profile, task.spec.runtime.go)
        run, _ = self._store.submit(NewRun.of(task.spec, point=task.point_id, profile=profile))
        self._run_ids[run.id] = task.run_id
        self._tasks[run.id] = {
            "engine_version": ENGINE_VERSION,
            "name": run.name,
            "dataset_id": run.dataset_id,
            "spec": task.spec.model_dump(mode="json"),
            "profile": profile.model_dump(mode="json"),
            "max_run_s": self.settings.max_run_s,
            "stuck_s": self.settings.stuck_s,
        }
        if run.state.is_final:
            self._settled(run)
        else:
            self._hand_out()

    def next(self, timeout_s: float) -> Outcome | None:
        with contextlib.suppress(queue.Empty):
            return self._outcomes.get_nowait()
        with contextlib.suppress(queue.Empty):
            self._hear(*self._finished.get(timeout=timeout_s))
        self._end_leases()
        if self._client.status != "running":
            self._reconnect()
        with contextlib.suppress(queue.Empty):
            return self._outcomes.get_nowait()
        return None

    def drain(self) -> None:
        self._drained = True

    def close(self) -> None:
        for attempt in self._attempts.values():
            with contextlib.suppress(Exception):  # the scheduler may be gone
                attempt.future.cancel()
        self._attempts.clear()
        self._disconnect()
        self._store.close()

    # ---- attempts ------------------------------------------------------------------------------------------

    def _hand_out(self) -> None:
        """Give every queued run to the cluster."""
        while not self._drained and (run := self._store.lease()) is not None:
            # pure=False and the attempt in the key: Dask must not answer from what it computed before.
            future = self._client.submit(
                dask_worker.simulate,
                self._tasks[run.id],
                key=f"{run.id}.{run.attempt}",
                pure=False,
                retries=0,
            )
            self._attempts[run.id] = _Attempt(run, future, time.monotonic() + self.settings.lease_s)
            name, number = run.id, run.attempt
            future.add_done_callback(
                lambda done, name=name, number=number: self._finished.put((name, number, done))
            )

    def _hear(self, name: str, number: int, future: Any) -> None:
        """A future is done, has failed or is lost; what it says counts if its attempt is the present one."""
        attempt = self._attempts.get(name)
        if attempt is None or attempt.run.attempt != number:
            log.info("run %s: a late result of attempt %d is discarded", name, number)
            return
        try:
            # Its bytes come from the worker, which may be lost by now.
            answer = future.result(timeout=self.settings.connect_s) if future.status == "finished" else None
        except Exception as error:
            log.warning("run %s, attempt %d: its result is lost: %s", name, number, error)
            answer = None
        if self._attempts.get(name) is not attempt:  # given up while we waited
            return
        del self._attempts[name]
        run = attempt.run
        if answer is None:
            self._failed(run, future)
        elif "versions" in answer:
            raise ClusterUnfitError(_unfit({"a worker": answer["versions"]}))
        elif "reason" in answer:
            self._settled(self._store.fail(run.id, run.attempt, answer["reason"], answer["message"]))
        else:
            self._publish(run, answer["archive"])

    def _failed(self, run: StoredRun, future: Any) -> None:
        error = future.exception() if future.status == "error" else None
        if error is not None and type(error).__name__ != "KilledWorker":
            message = f"{type(error).__name__}: {error}"
            self._settled(self._store.fail(run.id, run.attempt, Reason.INTERNAL_ERROR, message))
            return
        lost = error is not None or future.status == "finished"
        log.warning("run %s, attempt %d: %s lost", run.id, run.attempt, "worker" if lost else "scheduler")
        self._settled(self._store.release(run.id, run.attempt, worker_lost=lost))

    def _publish(self, run: StoredRun, archive: bytes) -> None:
        staging = self._store.staging_path(run)
        try:
            unpack(archive, staging / run.dataset_id)
            _flush(staging / run.dataset_id)
            self._settled(self._store.publish(run.id, run.attempt, staging / run.dataset_id))
        except (DatasetError, OSError) as error:
            full = is_disk_full(error)
            reason = Reason.STORAGE_FULL if full else Reason.INTERNAL_ERROR
            message = "no space left for the result" if full else str(error)
            self._settled(self._store.fail(run.id, run.attempt, reason, message))
        finally:
            shutil.rmtree(staging, ignore_errors=True)

    def _settled(self, run: StoredRun | None) -> None:
        """Tell the outcome of a run that is finished; hand out again what the store has queued again."""
        if run is None:
            return
        if not run.state.is_final:
            if self._client.status == "running":
                self._hand_out()
            return
        self._tasks.pop(run.id)
        run_id = self._run_ids.pop(run.id)
        if run.state is RunState.SUCCEEDED:
            self._outcomes.put(Outcome(run_id=run_id))
        else:
            retry = run.reason in RETRY
            self._outcomes.put(Outcome(run_id=run_id, error=run.reason, message=run.message, retry=retry))

    def _end_leases(self) -> None:
        now_s = time.monotonic()
        for name, attempt in list(self._attempts.items()):
            if now_s > attempt.ends_s:
                log.warning("run %s, attempt %d: lease ended", name, attempt.run.attempt)
                del self._attempts[name]
                with contextlib.suppress(Exception):
                    attempt.future.cancel()
                self._settled(self._store.release(name, attempt.run.attempt, worker_lost=True))

    # ---- the cluster ---------------------------------------------------------------------------------------

    def _start_cluster(self, jobs: int) -> None:
        try:
            import dask
            from distributed import LocalCluster
        except ImportError as error:
            raise DaskMissingError from error
        dask.config.set(
            {
                "distributed.scheduler.allowed-failures": 0,
                "distributed.scheduler.worker-ttl": f"{self.settings.worker_ttl_s:g}s",
            }
        )
        self._cluster = LocalCluster(
            n_workers=jobs,
            threads_per_worker=1,
            processes=True,
            dashboard_address=None,
            silence_logs=logging.CRITICAL,
        )

    def _connect(self, timeout_s: float) -> None:
        try:
            from distributed import Client
        except ImportError as error:
            raise DaskMissingError from error
        # What it says when a scheduler is lost, we say in our own words.
        logging.getLogger("distributed.client").setLevel(logging.CRITICAL)
        target = self._address if self._cluster is None else self._cluster
        where = self._address if self._cluster is None else "the local cluster"
        try:
            self._client = Client(target, timeout=timeout_s, set_as_default=False)
        except (OSError, ValueError) as error:  # a timeout is an OSError
            raise ClusterUnreachableError(
                f"no Dask scheduler answers at {self._address} ({error}); start one with `dask scheduler`, or sweep "
                "without --dask"
            ) from error
        try:
            self._client.wait_for_workers(1, timeout=timeout_s)
        except Exception as error:
            raise ClusterUnreachableError(
                f"the Dask scheduler at {where} has no workers; start some with `dask worker {where} --nthreads 1`"
            ) from error
        self._check_workers()
        self._looked_s = -_LOOK_S

    def _check_workers(self) -> None:
        """Workers have gcsim, and this version of it."""
        found = self._client.run(dask_worker.versions, on_error="return")
        mine = dask_worker.versions()
        wrong = {
            worker: said
            for worker, said in found.items()
            if not isinstance(said, dict) or said["gcsim"] != mine["gcsim"]
        }
        if wrong:
            raise ClusterUnfitError(_unfit(wrong))
        for name in dask_worker.DECIDES_BYTES:
            others = {said[name] for said in found.values()} - {mine[name]}
            if others:
                log.warning(
                    "workers have %s %s and this machine %s: figures are the same, bytes of files may differ",
                    name, ", ".join(sorted(others)), mine[name],
                )  # fmt: skip
        busy = [worker for worker, threads in self._client.nthreads().items() if threads > 1]
        if busy:
            log.warning(
                "%d workers have several threads, of which one simulates at a time; start them with --nthreads 1",
                len(busy),
            )

    def _reconnect(self) -> None:
        """The scheduler is lost, and with it all that was going on; wait for it, or give up."""
        log.warning("the Dask scheduler at %s is lost; waiting for it", self._address)
        if self._cluster is not None:
            raise ClusterUnreachableError("the scheduler of the local cluster is lost; go on with --resume")
        for name, attempt in list(self._attempts.items()):
            del self._attempts[name]
            self._store.release(name, attempt.run.attempt, worker_lost=False)
        self._disconnect()
        ends_s = time.monotonic() + self.settings.reconnect_s
        while True:
            left_s = ends_s - time.monotonic()
            try:
                self._connect(max(1.0, min(left_s, self.settings.connect_s)))
                break
            except ClusterUnreachableError as error:
                self._disconnect()
                if time.monotonic() > ends_s:
                    raise ClusterUnreachableError(
                        f"the Dask scheduler at {self._address} was lost and did not come back within "
                        f"{self.settings.reconnect_s:g} s; what is done is kept: go on with --resume"
                    ) from error
                time.sleep(0.2)
        log.warning("the Dask scheduler at %s is back", self._address)
        self._hand_out()

    def _disconnect(self) -> None:
        for closed in (self._client, self._cluster):
            if closed is not None:
                with contextlib.suppress(Exception):  # there may be nobody at the other end
                    closed.close()
        self._client = None


def _unfit(workers: dict[str, Any]) -> str:
    mine = dask_worker.versions()["gcsim"]
    told = [
        f"{worker} has gcsim {said['gcsim']}"
        if isinstance(said, dict)
        else f"{worker} cannot import gcsim ({said})"
        for worker, said in sorted(workers.items())
    ]
    return (
        f"workers must have the gcsim of this machine, {mine}, since results depend on its version: {'; '.join(told)}; "
        f"pip install gcsim=={mine} there"
    )


def _flush(directory: Path) -> None:
    """Everything in a directory on disk: what is published outlives a loss of power."""
    for path in (*directory.rglob("*"), directory):
        fd = os.open(path, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
