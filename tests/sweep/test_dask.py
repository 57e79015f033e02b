"""The Dask executor: with a real scheduler and workers on loopback, and its decisions alone with a cluster made of paper."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gcsim.datasets.archive import Archive
from gcsim.datasets.run import run_spec
from gcsim.failpoints import VARIABLE
from gcsim.spec.profile import load_profile
from gcsim.sweep import dask_worker
from gcsim.sweep.dask_executor import (
    ClusterUnfitError,
    ClusterUnreachableError,
    DaskExecutor,
    DaskMissingError,
    DaskSettings,
)
from gcsim.sweep.execute import SweepProgress, run_sweep
from gcsim.sweep.executor import InlineExecutor, Task
from gcsim.sweep.states import Reason, RunState
from gcsim.sweep.store import Store
from gcsim.version import ENGINE_VERSION
from tests.sweep.runs import quick
from tests.sweep.test_execute import ROOT, plan, table_bytes

QUICKLY = DaskSettings(connect_s=30.0, reconnect_s=60.0)


class Cluster:
    """A scheduler and its workers as processes."""

    def __init__(self, **environment: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.address = f"tcp://127.0.0.1:{self.port}"
        self._environment = os.environ | {"PYTHONPATH": str(ROOT)} | environment
        self._processes: list[subprocess.Popen[bytes]] = []
        self.scheduler: subprocess.Popen[bytes]

    def start(self, workers: int = 2) -> None:
        self.scheduler = self._run(
            "dask_scheduler", "--host", "127.0.0.1", "--port", str(self.port), "--no-dashboard"
        )
        for _ in range(workers):
            self._run("dask_worker", self.address, "--nthreads", "1", "--no-nanny", "--no-dashboard")

    def _run(self, module: str, *arguments: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-m", f"distributed.cli.{module}", *arguments],
            env=self._environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._processes.append(process)
        return process

    def stop(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()


@pytest.fixture
def token(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.touch()
    return path


@pytest.fixture
def cluster(token: Path) -> Iterator[Cluster]:
    """Two workers, of which the first to finish a run dies; the scheduler does not try again by itself."""
    cluster = Cluster(
        **{VARIABLE: f"worker.after_run:kill:{token}", "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "0"}
    )
    yield cluster
    cluster.stop()


@pytest.fixture(scope="module")
def inline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("inline") / "sweep"
    run_sweep(plan(), directory, executor=InlineExecutor)
    return directory


def test_a_worker_is_killed_and_the_table_is_the_same_bytes(
    cluster: Cluster, token: Path, inline: Path, tmp_path: Path
) -> None:
    """Fault 24: what the lost worker was at is queued again by our store, as another attempt."""
    cluster.start()
    run_sweep(
        plan(),
        tmp_path / "sweep",
        executor=lambda where: DaskExecutor(where, address=cluster.address, settings=QUICKLY),
    )
    assert not token.exists()
    assert table_bytes(tmp_path / "sweep") == table_bytes(inline)
    with Store.open(tmp_path / "sweep") as store:
        lost = [run for run in store.runs() if run.losses]
    assert lost
    assert all(run.attempt == 1 + run.losses for run in lost)


@pytest.mark.parametrize(
    "action", ["stop", pytest.param("hang", marks=pytest.mark.slow)]
)  # each starts three Python processes
def test_a_worker_that_hangs_is_noticed_and_the_table_is_the_same_bytes(
    token: Path, inline: Path, tmp_path: Path, action: str
) -> None:
    """Frozen, its process is found silent by the scheduler; stuck, it is ended by its own timer."""
    cluster = Cluster(
        **{
            VARIABLE: f"worker.before_run:{action}:{token}",
            "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "0",
            "DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "3s",
        }
    )
    limit_s = 3600.0 if action == "stop" else 5.0
    settings = DaskSettings(connect_s=30.0, max_run_s=limit_s, stuck_s=1.0)
    try:
        cluster.start()
        run_sweep(
            plan(),
            tmp_path / "sweep",
            executor=lambda where: DaskExecutor(where, address=cluster.address, settings=settings),
        )
    finally:
        cluster.stop()
    assert not token.exists()
    assert table_bytes(tmp_path / "sweep") == table_bytes(inline)
    with Store.open(tmp_path / "sweep") as store:
        assert any(run.losses for run in store.runs())


@pytest.mark.slow  # five Python processes start one after another
def test_the_scheduler_is_killed_and_the_table_is_the_same_bytes(
    cluster: Cluster, token: Path, inline: Path, tmp_path: Path
) -> None:
    """Fault 24: another scheduler comes at the same address, with one worker."""
    cluster.start()
    killed = False

    def progress(at: SweepProgress) -> None:
        nonlocal killed
        if at.done >= 3 and not killed:
            killed = True
            assert not token.exists()  # a worker has died before, too
            cluster.scheduler.send_signal(signal.SIGKILL)
            cluster.scheduler.wait()
            cluster.start(workers=1)

    run_sweep(
        plan(),
        tmp_path / "sweep",
        executor=lambda where: DaskExecutor(where, address=cluster.address, settings=QUICKLY),
        progress=progress,
    )
    assert killed
    assert table_bytes(tmp_path / "sweep") == table_bytes(inline)


def test_a_local_cluster_gives_the_same_bytes(tmp_path: Path) -> None:
    small = plan("gogc=50,100", replications=1)
    run_sweep(small, tmp_path / "here", executor=InlineExecutor)
    run_sweep(small, tmp_path / "there", executor=lambda where: DaskExecutor(where, address="local", jobs=1))
    assert table_bytes(tmp_path / "there") == table_bytes(tmp_path / "here")


def test_where_nobody_listens_it_says_what_to_start(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: refused
        address = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(
            ClusterUnreachableError, match=r"no Dask scheduler answers at tcp.*dask scheduler"
        ):
            DaskExecutor(tmp_path, address=address, settings=DaskSettings(connect_s=0.5))


@pytest.mark.parametrize("address", ["local", "tcp://127.0.0.1:1"])
def test_without_dask_it_says_what_to_install(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(DaskMissingError, match=r"pip install 'gcsim\[dask\]'"):
        DaskExecutor(tmp_path, address=address)


# ---- a cluster made of paper -----------------------------------------------------------------------------------


class PaperFuture:
    def __init__(self) -> None:
        self.status = "pending"
        self._value: Any = None
        self._callbacks: list[Any] = []

    def add_done_callback(self, callback: Any) -> None:
        self._callbacks.append(callback)

    def end(self, status: str, value: Any = None) -> None:
        self.status, self._value = status, value
        for callback in self._callbacks:
            callback(self)

    def result(self, timeout: float | None = None) -> Any:
        if isinstance(self._value, Exception):
            raise self._value
        return self._value

    def exception(self) -> Any:
        return self._value

    def cancel(self) -> None:
        self.status = "cancelled"


class PaperClient:
    """Keeps what is submitted, and says of its workers what the test wants."""

    status = "running"

    def __init__(self, *said: Any) -> None:
        self.said = {f"worker-{number}": one for number, one in enumerate(said or (dask_worker.versions(),))}
        self.futures: dict[str, PaperFuture] = {}
        self.tasks: dict[str, Any] = {}

    def __call__(self, *args: Any, **kwargs: Any) -> "PaperClient":
        return self

    def submit(self, function: Any, task: Any, *, key: str, pure: bool, retries: int) -> PaperFuture:
        assert (pure, retries) == (False, 0)
        self.tasks[key], self.futures[key] = task, PaperFuture()
        return self.futures[key]

    def wait_for_workers(self, count: int, timeout: float) -> None:
        if not self.said:
            raise TimeoutError

    def run(self, function: Any, on_error: str) -> dict[str, Any]:
        return self.said

    def nthreads(self) -> dict[str, int]:
        return dict.fromkeys(self.said, 1)

    def close(self) -> None: ...


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> PaperClient:
    client = PaperClient()
    monkeypatch.setattr("distributed.Client", client)
    return client


def on_paper(directory: Path, **settings: float) -> tuple[DaskExecutor, str]:
    """An executor with one task handed out; the store's id of its run."""
    executor = DaskExecutor(directory, address="tcp://paper", settings=DaskSettings(**settings))
    executor.submit(Task(run_id="r-mine", point_id="p-1", spec=quick()))
    return executor, next(iter(executor._attempts))


def archive_of(tmp_path: Path) -> bytes:
    made = run_spec(quick(), tmp_path / "made")
    return b"".join(Archive(made.path).chunks())


def test_a_late_result_of_an_old_attempt_is_discarded(client: PaperClient, tmp_path: Path) -> None:
    """Fault 24: the lease of attempt 1 ends, attempt 2 is going on, and then attempt 1 comes back after all."""
    executor, name = on_paper(tmp_path / "sweep", lease_s=0.0)
    assert executor.next(0.01) is None
    assert list(client.futures) == [f"{name}.1", f"{name}.2"]
    good = {"archive": archive_of(tmp_path)}
    client.futures[f"{name}.1"].end("finished", {"archive": b"what an old attempt may bring"})
    executor.settings = DaskSettings()
    executor._attempts[name] = type(executor._attempts[name])(
        executor._attempts[name].run, client.futures[f"{name}.2"], 1e12
    )
    assert executor.next(0.01) is None
    assert executor._store.get(name).state is RunState.RUNNING
    client.futures[f"{name}.2"].end("finished", good)
    outcome = executor.next(0.01)
    assert outcome is not None
    assert (outcome.run_id, outcome.error) == ("r-mine", "")
    client.futures[f"{name}.1"].end("finished", good)  # and once more, when all is done
    assert executor.next(0.01) is None
    run = executor._store.get(name)
    assert (run.state, run.attempt, run.losses) == (RunState.SUCCEEDED, 2, 1)
    executor.close()


class KilledWorker(Exception):  # noqa: N818 - as Dask calls it
    """As Dask's own, which cannot be made without a scheduler."""


def test_a_run_that_loses_three_workers_fails_and_may_be_tried_another_day(
    client: PaperClient, tmp_path: Path
) -> None:
    executor, name = on_paper(tmp_path / "sweep")
    for attempt in (1, 2, 3):
        client.futures[f"{name}.{attempt}"].end("error", KilledWorker("died"))
        outcome = executor.next(0.01)
    assert outcome is not None
    assert (outcome.error, outcome.retry) == (Reason.WORKER_LOST, True)
    executor.close()


def test_a_result_that_is_lost_with_its_worker_is_computed_again(client: PaperClient, tmp_path: Path) -> None:
    executor, name = on_paper(tmp_path / "sweep")
    client.futures[f"{name}.1"].end("finished", OSError("the worker is gone"))
    assert executor.next(0.01) is None
    assert list(client.futures) == [f"{name}.1", f"{name}.2"]
    executor.close()


@pytest.mark.parametrize(
    ("value", "error", "retry"),
    [
        ({"reason": "SIMULATION_FAILED", "message": "no memory"}, "SIMULATION_FAILED", False),
        ({"reason": "STORAGE_FULL", "message": "no space"}, "STORAGE_FULL", True),
        ({"archive": b"no archive"}, "INTERNAL_ERROR", False),
        (ValueError("not ours"), "INTERNAL_ERROR", False),
    ],
)
def test_failures_are_outcomes_with_their_reason(
    client: PaperClient, tmp_path: Path, value: Any, error: str, retry: bool
) -> None:
    executor, name = on_paper(tmp_path / "sweep")
    client.futures[f"{name}.1"].end("error" if isinstance(value, Exception) else "finished", value)
    outcome = executor.next(0.01)
    assert outcome is not None
    assert (outcome.error, outcome.retry) == (error, retry)
    assert [path.name for path in (tmp_path / "sweep" / ".staging").iterdir()] == []
    executor.close()


def test_drained_it_begins_nothing_again(client: PaperClient, tmp_path: Path) -> None:
    executor, name = on_paper(tmp_path / "sweep")
    executor.drain()
    client.futures[f"{name}.1"].end("error", KilledWorker("died"))
    assert executor.next(0.01) is None
    assert executor.running == 0
    executor.close()


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({**dask_worker.versions(), "gcsim": "0.0.1"}, "worker-1 has gcsim 0.0.1"),
        (ModuleNotFoundError("No module named 'gcsim'"), r"cannot import gcsim \(No module named 'gcsim'\)"),
    ],
)
def test_workers_of_another_version_are_refused(
    said: Any, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("distributed.Client", PaperClient(dask_worker.versions(), said))
    with pytest.raises(ClusterUnfitError, match=f"of this machine, {ENGINE_VERSION}.*{words}"):
        DaskExecutor(tmp_path, address="tcp://paper")


def test_a_worker_of_another_version_that_comes_later_ends_the_sweep(
    client: PaperClient, tmp_path: Path
) -> None:
    executor, name = on_paper(tmp_path / "sweep")
    task = client.tasks[f"{name}.1"]
    client.futures[f"{name}.1"].end("finished", dask_worker.simulate(task | {"engine_version": "0.0.1"}))
    with pytest.raises(ClusterUnfitError, match="a worker has gcsim"):
        executor.next(0.01)
    executor.close()


def test_a_scheduler_without_workers_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    idle = PaperClient()
    idle.said = {}
    monkeypatch.setattr("distributed.Client", idle)
    with pytest.raises(
        ClusterUnreachableError, match=r"has no workers; start some with `dask worker tcp://paper"
    ):
        DaskExecutor(tmp_path, address="tcp://paper")


def test_a_scheduler_that_does_not_come_back_ends_the_sweep_and_keeps_what_is_done(
    client: PaperClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    executor, name = on_paper(tmp_path / "sweep", reconnect_s=0.0)
    client.status = "closed"
    client.said = {}
    with pytest.raises(ClusterUnreachableError, match="go on with --resume"):
        executor.next(0.01)
    assert executor._store.get(name).state is RunState.QUEUED
    executor.close()


def test_a_scheduler_that_comes_back_is_given_everything_again(client: PaperClient, tmp_path: Path) -> None:
    executor, name = on_paper(tmp_path / "sweep")
    client.status = "connecting"
    client.futures[f"{name}.1"].end("cancelled")
    client.wait_for_workers = lambda count, timeout: setattr(client, "status", "running")  # type: ignore[method-assign]
    assert executor.next(0.01) is None
    assert list(client.futures) == [f"{name}.1", f"{name}.2"]
    assert executor._store.get(name).losses == 0
    client.futures[f"{name}.2"].end("finished", {"archive": archive_of(tmp_path)})
    outcome = executor.next(0.01)
    assert outcome is not None
    assert not outcome.error
    executor.close()


def test_a_worker_computes_what_a_run_here_does(tmp_path: Path) -> None:
    spec = quick()
    task = {
        "engine_version": ENGINE_VERSION,
        "name": "x",
        "dataset_id": "r-1",
        "spec": spec.model_dump(mode="json"),
        "profile": load_profile(spec.machine.profile, spec.runtime.go).model_dump(mode="json"),
        "max_run_s": 60.0,
        "stuck_s": 1.0,
    }
    assert dask_worker.simulate(task)["archive"] == archive_of(tmp_path)
    assert [thread.name for thread in threading.enumerate() if isinstance(thread, threading.Timer)] == []
    late = dask_worker.simulate(task | {"max_run_s": 0.0})
    assert (late["reason"], late["message"]) == (Reason.RUN_TIMEOUT, "took longer than 0 s")
