"""A real server, killed at the worst moments: an acknowledged run is there, and every run reaches a final state."""

import os
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import grpc
import pytest

from gcsim.api.v1.dataset_service_pb2 import DownloadDatasetRequest
from gcsim.api.v1.dataset_service_pb2_grpc import DatasetServiceStub
from gcsim.api.v1.simulation_service_pb2 import WatchRunRequest
from gcsim.api.v1.simulation_service_pb2_grpc import SimulationServiceStub
from gcsim.client import ServiceError
from gcsim.datasets.manifest import FileEntry, Manifest
from gcsim.datasets.reader import load
from gcsim.datasets.run import run_spec
from gcsim.failpoints import NAMES
from gcsim.spec.load import parse_spec
from gcsim.sweep.axes import parse_axes
from gcsim.sweep.execute import run_sweep
from gcsim.sweep.executor import InlineExecutor
from gcsim.sweep.plan import plan_sweep
from gcsim.sweep.states import NewRun, RunState
from gcsim.sweep.store import Store
from tests.service.conftest import Start, is_gone, until
from tests.sweep.runs import QUICK, endless, quick
from tests.sweep.test_early_stopping import plan as early_plan
from tests.sweep.test_execute import table_bytes

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


@pytest.mark.slow
def test_soak_of_small_runs_leaves_memory_descriptors_and_processes_as_they_were(
    start: Start, tmp_path: Path
) -> None:
    server = start("--workers", "2")
    proc = Path(f"/proc/{server.popen.pid}")

    def figures() -> tuple[int, int, int]:
        rss = int((proc / "statm").read_text().split()[1]) * 4096
        size = (tmp_path / "data/store.sqlite").stat().st_size
        return rss, len(list((proc / "fd").iterdir())), size

    def batch(first: int) -> None:
        runs = [client.submit(quick(seed=seed)) for seed in range(first, first + 50)]
        for run in runs:
            assert run.wait().state == "SUCCEEDED"
            client.delete(run.id)

    with server.client() as client:
        batch(0)
        rss, descriptors, size = figures()
        for first in range(50, 300, 50):
            batch(first)
        rss_after, descriptors_after, size_after = figures()
        print(
            f"after 50 runs {rss} {descriptors} {size}, after 300 {rss_after} {descriptors_after} {size_after}"
        )
        assert rss_after < rss + (16 << 20)
        assert descriptors_after <= descriptors + 4
        assert size_after <= size * 1.5
        assert len(server.workers) == 2, "no zombies"
    assert list((tmp_path / "data/datasets").iterdir()) == []
    assert server.terminate() == 0


# ---- sweeps ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "place",
    [
        pytest.param("sweep.before_commit", marks=pytest.mark.slow),
        pytest.param("sweep.after_commit", marks=pytest.mark.slow),
        pytest.param("feed.before_commit", marks=pytest.mark.slow),
        "feed.after_commit",
    ],
)
def test_sweep_whose_server_died_is_there_once_and_completes(
    start: Start, tmp_path: Path, place: str
) -> None:
    server = start(failpoint=f"{place}:kill")
    with server.client(retries=0) as client:
        try:
            client.submit_sweep(quick(), ["gogc=50,100"], request_id="once", sweep_id="one")
        except ServiceError:
            assert place.startswith("sweep.")
    server.popen.wait(60)
    with Store.open(tmp_path / "data") as store:
        assert len(store.sweeps.page()) == (place != "sweep.before_commit")
        assert len(store.runs()) == 2 * (place == "feed.after_commit")
        assert store.sweeps.check() == []
    with start().client() as client:
        sweep = client.submit_sweep(quick(), ["gogc=50,100"], request_id="once", sweep_id="one")
        assert sweep.wait().state == "SUCCEEDED"
        assert len(client.sweeps()) == 1
        assert len(client.runs()) == 2


@pytest.mark.parametrize(
    ("points", "kills", "restarts"), [(10, 2, 1), pytest.param(250, 40, 6, marks=pytest.mark.slow)]
)
def test_sweep_among_killed_workers_and_servers_gives_the_table_of_an_undisturbed_one(
    start: Start, tmp_path: Path, points: int, kills: int, restarts: int
) -> None:
    """Two replications per point: 500 runs in the long version."""
    rng = random.Random(points)
    spec = parse_spec(QUICK.format(seed=7, name="quick").replace("20ms", "100ms"))
    axes = ["gogc=" + ",".join(str(50 + n) for n in range(points))]
    total = 2 * points
    local = tmp_path / "local"
    run_sweep(plan_sweep(spec, parse_axes(axes), replications=2), local, jobs=2)
    events = [("worker", at) for at in rng.sample(range(1, total), kills)]
    events += [("server", at) for at in rng.sample(range(1, total), restarts)]
    begun = time.monotonic()
    server = start("--workers", "2")
    with server.client() as client:
        client.submit_sweep(spec, axes, replications=2, sweep_id="one")
    disturbed = {"worker": 0, "server": 0}
    for what, at in sorted(events, key=lambda event: event[1]):
        with server.client() as client:
            for sweep in client.watch_sweep("one"):
                counts = sweep.counts
                if counts.succeeded + counts.failed >= at:
                    break
        victims = server.workers
        if what == "worker" and victims:
            os.kill(rng.choice(victims), signal.SIGKILL)
        elif what == "server":
            server.kill()
            server = start("--workers", "2")
        disturbed[what] += 1
    with server.client() as client:
        result = client.sweep("one").result(tmp_path / "there")
        counts = client.sweep("one").message.counts
        runs = client.runs("sweep = one")
        attempts = sum(run.attempt for run in runs)
    print(f"{total} runs, {disturbed}: {attempts} attempts, {time.monotonic() - begun:.0f} s; {counts}")
    assert (counts.total, counts.succeeded) == (total, total)
    assert len({(run.point_id, run.replication) for run in runs}) == len(runs) == total
    assert attempts >= total
    assert len(result.runs) == total
    assert table_bytes(tmp_path / "there") == table_bytes(local)
    assert server.terminate() == 0
    with Store.open(tmp_path / "data") as store:
        assert store.sweeps.check() == []
    assert len(list((tmp_path / "data/datasets").iterdir())) == total


def test_early_stopping_among_kills_of_the_server_decides_as_here(start: Start, tmp_path: Path) -> None:
    plan = early_plan()
    run_sweep(plan, tmp_path / "here", executor=InlineExecutor)
    server = start("--workers", "2")
    with server.client() as client:
        client.submit_sweep(plan.spec, ["gogc=25,400,off"], until=plan.until, sweep_id="one")
    for at in (3, 8):
        with server.client() as client:
            for sweep in client.watch_sweep("one"):
                if sweep.counts.succeeded >= at:
                    break
        server.kill()
        server = start("--workers", "2")
    with server.client() as client:
        client.sweep("one").result(tmp_path / "there")
    assert table_bytes(tmp_path / "there") == table_bytes(tmp_path / "here")
    assert server.terminate() == 0
    with Store.open(tmp_path / "data") as store:
        assert store.sweeps.check() == []


# ---- slow readers ------------------------------------------------------------------------------------------

BIG = 48 << 20


def test_slow_readers_of_a_large_download_and_of_a_watch_hold_little_of_the_server(
    start: Start, tmp_path: Path
) -> None:
    """Thirty downloads of 48 MiB and thirty watches, each read once and then left lying."""
    with Store.open(tmp_path / "data") as store:
        dataset_id = NewRun.of(quick()).dataset_id
        directory = store.dataset_path(dataset_id)
        run_spec(quick(), directory)
        table = directory / "cycles.parquet"
        table.write_bytes(table.read_bytes() + bytes(BIG))
        manifest = Manifest.read(directory)
        files = {**manifest.files, table.name: FileEntry.of(table, rows=manifest.files[table.name].rows)}
        (directory / "manifest.json").write_text(replace(manifest, files=files).to_json())
        store.adopt(directory)
    server = start()
    statm = Path(f"/proc/{server.popen.pid}/statm")

    def rss_bytes() -> int:
        return int(statm.read_text().split()[1]) * 4096

    with grpc.insecure_channel(server.target) as channel, server.client(retries=0) as client:
        datasets = DatasetServiceStub(channel)  # type: ignore[no-untyped-call]
        runs = SimulationServiceStub(channel)  # type: ignore[no-untyped-call]
        client.submit(endless(), run_id="long")
        until(lambda: client.run("long").message.HasField("progress"))
        before = rss_bytes()
        lying = []
        for _ in range(30):
            download = datasets.DownloadDataset(DownloadDatasetRequest(name=f"datasets/{dataset_id}"))
            watch = runs.WatchRun(WatchRunRequest(name="runs/long"))
            assert next(download).header.size_bytes > BIG
            assert next(watch).run.name == "runs/long"
            lying += [download, watch]
        most = 0
        for _ in range(100):
            assert client.run("long").state == "RUNNING"
            most = max(most, rss_bytes() - before)
        # All that was asked for is 1.4 GiB. A stream holds a chunk of 1 MiB in the making, its encoded form, and what HTTP/2
        # lets be on its way, which grows with the speed of loopback: some 5 MiB when measured.
        print(f"{most / 30 / (1 << 20):.1f} MiB per slow reader")
        assert most < 30 * (10 << 20), most
        whole = client.download(f"datasets/{dataset_id}", tmp_path / "whole")
        assert whole.run_id == dataset_id
        for call in lying:
            call.cancel()
        client.cancel("long")
    assert server.terminate() == 0
