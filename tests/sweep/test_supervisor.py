"""Worker processes that really die, hang, hog and are cancelled."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gcsim.datasets.run import run_spec
from gcsim.failpoints import NAMES, VARIABLE
from gcsim.sweep.states import NewRun, RunState, StoredRun
from gcsim.sweep.store import Store
from gcsim.sweep.supervisor import Supervisor, WorkerSettings
from tests.sweep.runs import endless, quick

PATIENCE_S = 60


@contextmanager
def coordinator(
    data_dir: Path, *, workers: int = 1, settings: WorkerSettings | None = None
) -> Iterator[tuple[Store, Supervisor]]:
    with (
        Store.open(data_dir) as store,
        Supervisor(store, workers=workers, settings=settings) as supervisor,
    ):
        yield store, supervisor


def until(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def outcome(store: Store, supervisor: Supervisor, new: NewRun) -> StoredRun:
    run, _ = store.submit(new)
    supervisor.wake()
    assert supervisor.wait([run.id], timeout_s=PATIENCE_S)
    return store.get(run.id)


def children() -> set[int]:
    """Ids of our child processes, zombies too, whichever thread started them."""
    lists = Path("/proc/self/task").glob("*/children")
    return {int(pid) for path in lists for pid in path.read_text().split()}


@pytest.fixture
def token(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.touch()
    return path


WORKER_PLACES = [name for name in NAMES if name.startswith(("worker.", "publish."))]


@pytest.mark.parametrize(
    "place",
    [
        name
        if name in ("worker.before_run", "publish.after_manifest")
        else pytest.param(name, marks=pytest.mark.slow)
        for name in WORKER_PLACES
    ],
)
def test_worker_killed_at_any_place_is_noticed_and_the_second_attempt_gives_the_same_bytes(
    tmp_path: Path, token: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.setenv(VARIABLE, f"{place}:kill:{token}")
    with coordinator(tmp_path / "data") as (store, supervisor):
        run = outcome(store, supervisor, NewRun.of(quick()))
        assert (run.state, run.attempt, run.losses) == (RunState.SUCCEEDED, 2, 1)
        assert not token.exists()
        undisturbed = run_spec(quick(), tmp_path / "undisturbed")
        (directory,) = store.datasets_dir.iterdir()
        assert {p.name: p.read_bytes() for p in directory.iterdir()} == {
            p.name: p.read_bytes() for p in undisturbed.path.iterdir()
        }
        assert list(store.staging_dir.iterdir()) == []


def test_a_run_given_back_that_another_slot_begins_at_once_is_its_affair(
    tmp_path: Path, token: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The slot whose worker died is slow to leave it; the other one has leased it before that."""
    monkeypatch.setenv(VARIABLE, f"worker.before_run:kill:{token}")
    with coordinator(tmp_path / "data", workers=2) as (store, supervisor):
        release = store.release

        def release_and_dawdle(run_id: str, attempt: int, *, worker_lost: bool) -> StoredRun | None:
            released = release(run_id, attempt, worker_lost=worker_lost)
            until(lambda: supervisor._attempts[run_id].run.attempt == 2)
            return released

        monkeypatch.setattr(store, "release", release_and_dawdle)
        run = outcome(store, supervisor, NewRun.of(quick()))
        assert (run.state, run.attempt) == (RunState.SUCCEEDED, 2)
        until(lambda: supervisor.running == 0)
        assert all(slot.is_alive() for slot in supervisor._threads)
        assert outcome(store, supervisor, NewRun.of(quick(8))).state is RunState.SUCCEEDED


def test_spec_that_kills_every_worker_fails_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "worker.before_run@poison:kill")
    with coordinator(tmp_path) as (store, supervisor):
        poison, _ = store.submit(NewRun.of(quick(name="poison")))
        good = outcome(store, supervisor, NewRun.of(quick(name="good")))
        assert supervisor.wait([poison.id], timeout_s=PATIENCE_S)
        failed = store.get(poison.id)
        assert (failed.state, failed.reason, failed.attempt) == (RunState.FAILED, "WORKER_LOST", 3)
        assert good.state is RunState.SUCCEEDED


def test_worker_that_falls_silent_is_lost(
    tmp_path: Path, token: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, f"worker.before_run:stop:{token}")
    settings = WorkerSettings(heartbeat_s=2)
    with coordinator(tmp_path / "data", settings=settings) as (store, supervisor):
        run = outcome(store, supervisor, NewRun.of(quick()))
        assert (run.state, run.losses) == (RunState.SUCCEEDED, 1)


def test_jump_of_the_wall_clock_ends_no_lease(
    tmp_path: Path, token: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with coordinator(tmp_path / "data") as (store, supervisor):
        run, _ = store.submit(NewRun.of(endless(), id="long"))
        supervisor.wake()
        until(lambda: supervisor.progress("long") is not None)
        day_ns = 86_400 * 10**9
        monkeypatch.setattr("gcsim.sweep.store.time.time_ns", lambda: time.monotonic_ns() + 20_000 * day_ns)
        before = supervisor.progress("long")
        until(lambda: supervisor.progress("long") != before)
        run = store.get("long")
        assert (run.state, run.attempt, run.losses) == (RunState.RUNNING, 1, 0)


@pytest.mark.parametrize(
    ("action", "settings", "reason"),
    [
        ("hog", WorkerSettings(memory_bytes=2 << 30), "OUT_OF_MEMORY"),
        ("enospc", WorkerSettings(), "STORAGE_FULL"),
        ("hang", WorkerSettings(max_run_s=0.5), "RUN_TIMEOUT"),
    ],
)
def test_limits_fail_the_run_and_free_the_slot(
    tmp_path: Path,
    token: Path,
    monkeypatch: pytest.MonkeyPatch,
    action: str,
    settings: WorkerSettings,
    reason: str,
) -> None:
    monkeypatch.setenv(VARIABLE, f"worker.before_run@bad:{action}")
    with coordinator(tmp_path / "data", settings=settings) as (store, supervisor):
        run = outcome(store, supervisor, NewRun.of(quick(name="bad")))
        assert (run.state, run.reason, run.attempt) == (RunState.FAILED, reason, 1)
        assert list(store.datasets_dir.iterdir()) == []
        assert list(store.staging_dir.iterdir()) == []
        assert outcome(store, supervisor, NewRun.of(quick(), max_duration_s=60)).state is RunState.SUCCEEDED


def test_result_that_finds_no_space_leaves_nothing_and_can_be_run_again(tmp_path: Path) -> None:
    """A real limit, on the size of files."""
    with coordinator(tmp_path, settings=WorkerSettings(file_bytes=4096)) as (store, supervisor):
        run = outcome(store, supervisor, NewRun.of(quick()))
        assert (run.state, run.reason) == (RunState.FAILED, "STORAGE_FULL")
        assert list(store.datasets_dir.iterdir()) == []
    with coordinator(tmp_path) as (store, supervisor):
        assert outcome(store, supervisor, NewRun.of(quick())).state is RunState.SUCCEEDED


def test_cancelling_a_waiting_a_running_and_a_finished_run(tmp_path: Path) -> None:
    with coordinator(tmp_path) as (store, supervisor):
        store.submit(NewRun.of(endless(), id="running"))
        store.submit(NewRun.of(quick(), id="waiting"))
        supervisor.wake()
        until(lambda: supervisor.progress("running") is not None)
        assert supervisor.cancel("waiting").state is RunState.CANCELLED
        assert supervisor.cancel("running").state is RunState.CANCELLING
        assert supervisor.wait(["running"], timeout_s=PATIENCE_S)
        run = store.get("running")
        assert (run.state, run.losses) == (RunState.CANCELLED, 0)
        assert supervisor.cancel("running") == run
        assert outcome(store, supervisor, NewRun.of(quick())).state is RunState.SUCCEEDED


def test_worker_deaf_to_sigterm_is_killed_after_the_grace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "worker.before_run:deaf")
    settings = WorkerSettings(cancel_grace_s=0.3)
    with coordinator(tmp_path, settings=settings) as (store, supervisor):
        store.submit(NewRun.of(quick(), id="deaf"))
        supervisor.wake()
        until(lambda: store.get("deaf").state is RunState.RUNNING)
        time.sleep(0.5)  # so that the process has got as far as to be deaf
        supervisor.cancel("deaf")
        assert supervisor.wait(["deaf"], timeout_s=PATIENCE_S)
        assert store.get("deaf").state is RunState.CANCELLED


def test_stopping_gives_runs_back_and_leaves_no_process(tmp_path: Path) -> None:
    before = children()
    with coordinator(tmp_path, workers=2) as (store, supervisor):
        store.submit(NewRun.of(endless(), id="long"))
        supervisor.wake()
        until(lambda: supervisor.progress("long") is not None)
        assert supervisor.drain(0.1) is False
        supervisor.stop()
        run = store.get("long")
        assert (run.state, run.losses) == (RunState.QUEUED, 0)
    assert children() == before


def test_drain_waits_for_what_runs_and_begins_nothing(tmp_path: Path) -> None:
    with coordinator(tmp_path) as (store, supervisor):
        store.submit(NewRun.of(quick(seed=1), id="first"))
        supervisor.wake()
        until(lambda: store.get("first").state is not RunState.QUEUED)
        store.submit(NewRun.of(quick(seed=2), id="second"))
        assert supervisor.drain(PATIENCE_S)
        assert store.get("first").state is RunState.SUCCEEDED
        assert store.get("second").state is RunState.QUEUED


def test_worker_killed_from_outside_in_the_middle(tmp_path: Path) -> None:
    before = children()
    with coordinator(tmp_path) as (store, supervisor):
        store.submit(NewRun.of(endless(), id="long"))
        supervisor.wake()
        until(lambda: supervisor.progress("long") is not None)
        (worker,) = children() - before
        os.kill(worker, signal.SIGKILL)
        until(lambda: (at := supervisor.progress("long")) is not None and at.attempt == 2)
        assert store.get("long").losses == 1
