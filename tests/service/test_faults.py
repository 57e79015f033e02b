"""A real server, killed at the worst moments: an acknowledged run is there, and every run reaches a final state."""

import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gcsim.client import ServiceError
from gcsim.datasets.reader import load
from gcsim.failpoints import NAMES
from gcsim.sweep.states import RunState
from gcsim.sweep.store import Store
from tests.service.conftest import Start, is_gone, until
from tests.sweep.runs import endless, quick

FINISHING = [name for name in NAMES if name.startswith("finish.")]


def test_killed_server_takes_its_workers_along_and_the_next_one_completes_the_run(start: Start) -> None:
    server = start()
    with server.client() as client:
        client.submit(endless(), run_id="long")
        until(lambda: client.run("long").message.HasField("progress"))
        queued = client.submit(quick(), run_id="waiting")
        assert queued.state == "QUEUED"
    workers = server.workers
    assert workers
    server.kill()
    killed = time.monotonic()
    until(lambda: all(map(is_gone, workers)))
    assert time.monotonic() - killed < 5
    with start().client() as client:
        until(lambda: client.run("long").message.attempt == 2)
        client.cancel("long")
        assert client.run("waiting").wait().state == "SUCCEEDED"
        assert {run.name for run in client.runs()} == {"runs/long", "runs/waiting"}


@pytest.mark.parametrize(
    "place", [pytest.param("submit.before_commit", marks=pytest.mark.slow), "submit.after_commit"]
)
def test_submit_that_died_before_its_answer_and_is_repeated_gives_one_run(
    start: Start, tmp_path: Path, place: str
) -> None:
    server = start(failpoint=f"{place}:kill")
    with server.client(retries=0) as client, pytest.raises(ServiceError):
        client.submit(quick(), request_id="once")
    server.popen.wait()
    with Store.open(tmp_path / "data") as store:
        assert len(store.runs()) == (place == "submit.after_commit")
    with start().client() as client:
        run = client.submit(quick(), request_id="once")
        assert run.wait().state == "SUCCEEDED"
        assert [r.name for r in client.runs()] == [run.message.name]


def test_acknowledged_submit_survives_a_kill_at_once(start: Start, tmp_path: Path) -> None:
    server = start()
    with server.client() as client:
        acknowledged = client.submit(quick()).id
    server.kill()
    with Store.open(tmp_path / "data") as store:
        assert store.get(acknowledged).state is RunState.QUEUED


@pytest.mark.parametrize(
    "place",
    [
        name if name == "finish.after_rename" else pytest.param(name, marks=pytest.mark.slow)
        for name in FINISHING
    ],
)
def test_server_killed_while_it_publishes_leaves_one_whole_dataset_after_the_restart(
    start: Start, tmp_path: Path, place: str
) -> None:
    server = start(failpoint=f"{place}:kill")
    with server.client(retries=0) as client:
        client.submit(quick(), run_id="one")
    server.popen.wait(60)
    with start().client() as client:
        assert client.run("one").wait().state == "SUCCEEDED"
        (dataset,) = client.datasets()
        result = client.download("one", tmp_path / "downloaded")
        result.verify()
        assert f"datasets/{result.run_id}" == dataset.name
    (directory,) = (tmp_path / "data/datasets").iterdir()
    load(directory).verify()
    assert list((tmp_path / "data/.staging").iterdir()) == []
    with Store.open(tmp_path / "data2") as other:
        assert other.counts()[RunState.SUCCEEDED] == 0, "another directory knows nothing of it"


@pytest.mark.parametrize("twice", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["once", "twice"])
def test_sigterm_drains_with_runs_watchers_and_failing_calls_in_flight(
    start: Start, tmp_path: Path, twice: bool
) -> None:
    server = start("--workers", "2", "--drain-timeout", "60" if twice else "0.5")
    with server.client(retries=0) as client, ThreadPoolExecutor(24) as pool:
        ids = [client.submit(endless(seed=n), run_id=f"n{n}").id for n in range(20)]
        until(lambda: client.run("n0").message.HasField("progress"))

        def watch(run_id: str) -> str:
            try:
                return [run.name for run in client.watch(run_id)][-1]
            except ServiceError as error:
                return error.reason or error.code

        def fail() -> str:
            codes = set()
            for _ in range(50):
                try:
                    client.run("nowhere")
                except ServiceError as error:
                    codes.add(error.reason or error.code)
            return ",".join(sorted(codes))

        watchers = [pool.submit(watch, run_id) for run_id in ids]
        failing = [pool.submit(fail) for _ in range(4)]
        time.sleep(0.3)
        server.popen.send_signal(signal.SIGTERM)
        if twice:
            until(lambda: any('"draining"' in line for line in server.lines))
            with pytest.raises(ServiceError) as refused:
                client.submit(quick())
            assert refused.value.reason == "SERVER_DRAINING"
            server.popen.send_signal(signal.SIGTERM)
        assert server.popen.wait(30) == 0
        assert {w.result(30) for w in watchers} <= {"SERVER_DRAINING", "UNAVAILABLE", "CANCELLED"}
        for call in failing:
            assert set(call.result(30).split(",")) <= {"NOT_FOUND", "UNAVAILABLE", "CANCELLED"}
    with Store.open(tmp_path / "data") as store:
        assert [run.id for run in store.runs()] == ids
        assert {run.state for run in store.runs()} == {RunState.QUEUED}
        assert all(run.losses == 0 for run in store.runs())


def test_second_server_on_the_port_or_the_directory_says_so(start: Start, tmp_path: Path) -> None:
    server = start()
    for arguments, words in (
        (["--data-dir", tmp_path / "data", "--listen", "127.0.0.1:0"], "in use by process"),
        (["--data-dir", tmp_path / "other", "--listen", server.target], "cannot listen on"),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "gcsim", "serve", *arguments], capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 1
        assert words in done.stderr.splitlines()[-1]
        assert "Traceback" not in done.stderr
