"""The store by itself: what is refused, what is kept, and that nothing is half-done."""

import shutil
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gcsim.datasets.run import run_spec
from gcsim.sweep.states import (
    EtagMismatchError,
    NewRun,
    NotFoundError,
    QueueFullError,
    RequestReusedError,
    RunActiveError,
    RunExistsError,
    RunState,
    StoreFullError,
    StoreRefusedError,
)
from gcsim.sweep.store import MAX_INTERRUPTIONS, Store, database_path, rebuild
from tests.sweep.runs import quick


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "data") as opened:
        yield opened


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One finished dataset of `quick()`, to copy."""
    directory = tmp_path_factory.mktemp("made") / "dataset"
    run_spec(quick(), directory)
    return directory


def finish(store: Store, dataset: Path) -> str:
    """Take the oldest run through lease and publishing."""
    run = store.lease()
    assert run is not None
    staged = store.staging_path(run) / run.dataset_id
    shutil.copytree(dataset, staged)
    done = store.publish(run.id, run.attempt, staged)
    assert done is not None
    assert done.state is RunState.SUCCEEDED
    return run.id


def test_same_request_gives_one_run_however_often_and_at_once(store: Store) -> None:
    def submit(number: int) -> tuple[str, bool]:
        run, created = store.submit(NewRun.of(quick(), request_id="once", request_digest="a"))
        return run.id, created

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(submit, range(50)))
    assert len({run_id for run_id, _ in answers}) == 1
    assert sum(created for _, created in answers) == 1
    with pytest.raises(RequestReusedError):
        store.submit(NewRun.of(quick(seed=8), request_id="once", request_digest="b"))
    assert store.counts()[RunState.QUEUED] == 1


def test_what_is_not_to_be_stored_leaves_no_trace(tmp_path: Path) -> None:
    with Store.open(tmp_path, queue_limit=1) as store:
        store.submit(NewRun.of(quick(), id="one"))
        with pytest.raises(RunExistsError):
            store.submit(NewRun.of(quick(), id="one"))
        with pytest.raises(QueueFullError, match="1 runs are waiting"):
            store.submit(NewRun.of(quick(), id="two"))
        assert [run.id for run in store.runs()] == ["one"]


def test_late_result_of_an_old_attempt_is_discarded(store: Store, dataset: Path) -> None:
    store.submit(NewRun.of(quick(), id="one"))
    first = store.lease()
    assert first is not None
    store.release("one", first.attempt, worker_lost=True)
    second = store.lease()
    assert second is not None
    assert (first.attempt, second.attempt) == (1, 2)
    staged = store.staging_path(first) / first.dataset_id
    shutil.copytree(dataset, staged)
    assert store.publish("one", 1, staged) is None
    assert store.fail("one", 1, "INTERNAL_ERROR", "late") is None
    assert not store.dataset_path(first.dataset_id).exists()
    assert store.get("one").state is RunState.RUNNING


def test_third_lost_worker_ends_the_run_and_a_drain_does_not_count(store: Store) -> None:
    store.submit(NewRun.of(quick(), id="one"))
    for worker_lost in (True, False, True, False, True):
        run = store.lease()
        assert run is not None
        store.release("one", run.attempt, worker_lost=worker_lost)
    run = store.get("one")
    assert (run.state, run.reason, run.attempt) == (RunState.FAILED, "WORKER_LOST", 5)


def test_run_that_takes_the_server_down_ends_too(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        store.submit(NewRun.of(quick(), id="one"))
    for _ in range(MAX_INTERRUPTIONS):
        with Store.open(tmp_path) as store:
            assert store.lease() is not None
    with Store.open(tmp_path) as store:
        assert store.get("one").reason == "WORKER_LOST"


def test_equal_runs_wait_for_one_another_and_share_the_dataset(store: Store, dataset: Path) -> None:
    store.submit(NewRun.of(quick(), id="one"))
    store.submit(NewRun.of(quick(), id="two"))
    first = store.lease()
    assert store.lease() is None, "an equal run is going on"
    assert first is not None
    store.release("one", first.attempt, worker_lost=False)
    finish(store, dataset)
    third, _ = store.submit(NewRun.of(quick(), id="three"))
    assert third.state is RunState.SUCCEEDED
    assert third.cached_result
    assert third.summary["num_gc"] == store.get("one").summary["num_gc"]
    fourth, _ = store.submit(NewRun.of(quick(), id="four", skip_cache=True))
    assert fourth.state is RunState.QUEUED


def test_a_dataset_goes_with_the_last_run_that_has_it(store: Store, dataset: Path) -> None:
    store.submit(NewRun.of(quick(), id="one"))
    with pytest.raises(RunActiveError):
        store.delete("one")
    finish(store, dataset)
    run, _ = store.submit(NewRun.of(quick(), id="two"))
    with pytest.raises(EtagMismatchError):
        store.delete("one", etag='"99"')
    store.delete("one", etag=store.get("one").etag)
    assert store.dataset(run.dataset_id).size_bytes > 0
    store.delete("two")
    assert not store.dataset_path(run.dataset_id).exists()
    with pytest.raises(NotFoundError):
        store.dataset(run.dataset_id)


@pytest.mark.parametrize("harm", ["truncate", "no manifest"])
def test_damaged_dataset_is_not_offered_and_computed_again(store: Store, dataset: Path, harm: str) -> None:
    run, _ = store.submit(NewRun.of(quick(), id="one"))
    finish(store, dataset)
    table = store.dataset_path(run.dataset_id) / "cycles.parquet"
    if harm == "truncate":
        table.write_bytes(table.read_bytes()[:-1])
    else:
        (table.parent / "manifest.json").unlink()
    again, _ = store.submit(NewRun.of(quick(), id="two"))
    assert again.state is RunState.QUEUED
    finish(store, dataset)
    assert store.usable_dataset(run.dataset_id) is not None


def test_second_coordinator_is_refused(tmp_path: Path) -> None:
    with (
        Store.open(tmp_path),
        pytest.raises(StoreRefusedError, match=r"in use by process \d+; stop it, or choose another"),
    ):
        Store.open(tmp_path)
    Store.open(tmp_path).close()


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        ("text", "no SQLite file"),
        ("short", "no SQLite file, or truncated"),
        ("foreign", "another program"),
        ("newer", "has version 99"),
        ("pages", "damaged"),
        ("cut", "damaged"),
    ],
)
def test_unusable_store_is_refused_untouched_and_can_be_rebuilt(
    tmp_path: Path, dataset: Path, harm: str, words: str
) -> None:
    with Store.open(tmp_path) as store:
        store.submit(NewRun.of(quick(), id="one"))
        finish(store, dataset)
        for number in range(50):
            store.submit(NewRun.of(quick(seed=number + 100), id=f"run-{number}"))
    path = database_path(tmp_path)
    whole = path.read_bytes()
    if harm == "text":
        path.write_bytes(b"no database at all, but long enough to have a header" * 10)
    elif harm == "short":
        path.write_bytes(whole[:50])
    elif harm == "foreign":
        path.unlink()
        db = sqlite3.connect(path)
        db.execute("CREATE TABLE songs (title)")
        db.close()
    elif harm == "newer":
        path.write_bytes(whole[:60] + (99).to_bytes(4, "big") + whole[64:])
    elif harm == "pages":
        path.write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))
    elif harm == "cut":
        path.write_bytes(whole[: len(whole) // 2])
    before = path.read_bytes()
    with pytest.raises(StoreRefusedError, match=words):
        Store.open(tmp_path)
    assert path.read_bytes() == before
    assert rebuild(tmp_path) == 1
    with Store.open(tmp_path) as store:
        (run,) = store.runs()
        assert run.state is RunState.SUCCEEDED
        assert run.id == run.dataset_id
        cached, _ = store.submit(NewRun.of(quick()))
        assert cached.cached_result


def test_full_store_refuses_and_reads_go_on(tmp_path: Path) -> None:
    with Store.open(tmp_path, max_pages=30) as store:
        accepted = []
        with pytest.raises(StoreFullError, match="no space left"):  # noqa: PT012 - which one is open
            for number in range(1000):
                accepted.append(store.submit(NewRun.of(quick(seed=number)))[0].id)
        assert accepted
        assert [run.id for run in store.runs()] == accepted
    with Store.open(tmp_path) as store:
        store.submit(NewRun.of(quick(seed=9999)))
        assert len(store.runs()) == len(accepted) + 1


def test_wall_clock_plays_no_part_in_who_is_next(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.submit(NewRun.of(quick(seed=1), id="one"))
    monkeypatch.setattr("gcsim.sweep.store.time.time_ns", lambda: 1)
    store.submit(NewRun.of(quick(seed=2), id="two"))
    first = store.lease()
    assert first is not None
    assert first.id == "one"


def test_prune_takes_the_oldest_until_the_rest_fits(store: Store, dataset: Path) -> None:
    store.submit(NewRun.of(quick(), id="one"))
    finish(store, dataset)
    assert store.prune(max_bytes=1 << 40, older_than_s=3600) == []
    assert store.prune(max_bytes=0) == ["one"]
    assert list(store.datasets_dir.iterdir()) == []


def test_filters_and_pages(store: Store) -> None:
    for number in range(5):
        store.submit(NewRun.of(quick(seed=number), id=f"n{number}", labels={"odd": str(number % 2)}))
    store.cancel("n2")
    assert [run.id for run in store.runs(labels={"odd": "1"})] == ["n1", "n3"]
    assert [run.id for run in store.runs(states=[RunState.CANCELLED])] == ["n2"]
    page = store.runs(newest_first=True, limit=2)
    assert [run.id for run in page] == ["n4", "n3"]
    assert [run.id for run in store.runs(newest_first=True, after_seq=page[-1].seq, limit=2)] == ["n2", "n1"]
