"""Sweeps in the store: written whole or not at all, fed in order, ended when all has ended, and nothing twice."""

import json
import sqlite3
import threading
from pathlib import Path

import pytest

from gcsim.datasets.metrics import METRIC_BY_NAME
from gcsim.datasets.stopping import StopRule
from gcsim.sweep.axes import parse_axes
from gcsim.sweep.feeder import Feeder
from gcsim.sweep.plan import SweepPlan, plan_sweep
from gcsim.sweep.rows import change_run
from gcsim.sweep.schema import MIGRATIONS, VERSION
from gcsim.sweep.states import (
    EtagMismatchError,
    NewRun,
    NewSweep,
    QueueFullError,
    Reason,
    RequestReusedError,
    RunOfSweepError,
    RunState,
    StoreFullError,
    SweepActiveError,
    SweepExistsError,
    SweepState,
)
from gcsim.sweep.store import Store, database_path, rebuild
from gcsim.sweep.supervisor import Supervisor
from tests.sweep.runs import quick


def plan(*axes: str, replications: int = 2) -> SweepPlan:
    return plan_sweep(quick(), parse_axes(axes or ("gogc=50,100,200",)), replications=replications)


def new(sweep_id: str = "one", **fields: object) -> NewSweep:
    return NewSweep(id=sweep_id, plan=plan(), **fields)  # type: ignore[arg-type]


def fail_all(store: Store) -> None:
    while (run := store.lease()) is not None:
        store.fail(run.id, run.attempt, Reason.SIMULATION_FAILED, "no")


def test_a_sweep_is_fed_in_order_and_ends_when_its_runs_have(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        sweep, is_new = store.sweeps.submit(new(labels={"a": "b"}))
        assert (is_new, sweep.total, sweep.fed, sweep.state) == (True, 6, 0, SweepState.RUNNING)
        store.sweeps.feed("one", window=4)
        assert (store.sweeps.get("one").fed, len(store.runs())) == (4, 4)
        assert not store.sweeps.feed("one", window=4), "they wait still"
        members = store.sweeps.members("one")
        planned = [run_id for _, _, run_id in plan().runs()]
        assert [member.point.run_ids[member.replication] for member in members] == planned
        assert [run.dataset_id for run in store.runs()] == planned[:4]
        assert [member.state for member in members] == [RunState.QUEUED] * 4 + [None] * 2
        assert [m.number for m in store.sweeps.members("one", first=3, limit=2)] == [3, 4]
        first = store.runs()[0]
        assert (first.sweep_id, first.replication, first.labels) == ("one", 0, {"a": "b"})
        before = store.sweeps.get("one").revision
        fail_all(store)
        assert store.sweeps.get("one").revision == before + 8, "each change of a run's state"
        store.sweeps.feed("one", window=4)
        assert store.sweeps.get("one").state is SweepState.RUNNING
        fail_all(store)
        store.sweeps.feed("one", window=4)
        ended = store.sweeps.get("one")
        assert (ended.state, ended.counts[RunState.FAILED]) == (SweepState.PARTIAL, 6)
        assert ended.end_time_ns is not None
        assert store.sweeps.open() == {}
        assert store.sweeps.check() == []


RULE = StopRule(least=2, most=7, widths={"num_gc": 0.1})


def succeed(store: Store, num_gc: dict[str, list[float]]) -> None:
    """End all queued runs with these values by point and replication; other metrics are alike in all runs."""
    while (run := store.lease()) is not None:
        assert run.point is not None
        assert run.replication is not None
        summary = dict.fromkeys(METRIC_BY_NAME, 1.0) | {"num_gc": num_gc[run.point][run.replication]}
        with store.writing() as db:
            change_run(db, run.id, state=RunState.SUCCEEDED, summary=json.dumps(summary))


def test_replications_end_when_they_are_enough_and_a_restart_changes_nothing(tmp_path: Path) -> None:
    early = plan_sweep(quick(), parse_axes(["gogc=50,100,200"]), until=RULE)
    narrow, later, never = (point.point_id for point in early.points)
    num_gc = {narrow: [5.0] * 7, later: [1.0, 1.1, *[1.05] * 5], never: [1.0, 9.0] * 4}
    with Store.open(tmp_path) as store:
        store.sweeps.submit(NewSweep(id="one", plan=early))
    fed = []
    for _ in range(20):
        with Store.open(tmp_path) as store:  # killed after each step
            store.sweeps.feed("one", window=4)
            sweep = store.sweeps.get("one")
            assert store.sweeps.check() == []
            assert sum(member.state is not None for member in store.sweeps.members("one")) == sweep.fed
            fed.append((sweep.fed, sweep.skipped, sweep.pending))
            succeed(store, num_gc)
            if sweep.state.is_final:
                break
    # Both looks of the first two, then their further replications before the third begins.
    assert fed[0] == (4, 0, 17)
    assert sweep.state is SweepState.SUCCEEDED
    with Store.open(tmp_path) as store:
        members = store.sweeps.members("one")
        counts = {
            name: sum(m.run_id is not None for m in members if m.point.point_id == name) for name in num_gc
        }
        assert counts[narrow] == RULE.least
        assert counts[later] in RULE.looks[1:-1]
        assert counts[never] == RULE.most
        assert [m.skipped for m in members] == [m.run_id is None for m in members]
        assert (sweep.skipped, sweep.pending) == (21 - sum(counts.values()), 0)
        ends = {
            name: next(
                look for look in RULE.looks if look == 7 or RULE.is_met(summaries(num_gc[name][:look]))
            )
            for name in num_gc
        }
        assert counts == ends


def summaries(values: list[float]) -> list[dict[str, float]]:
    return [dict.fromkeys(METRIC_BY_NAME, 1.0) | {"num_gc": value} for value in values]


def test_a_point_with_a_failed_run_is_not_run_on_and_the_sweep_ends(tmp_path: Path) -> None:
    early = plan_sweep(quick(), parse_axes(["gogc=50,100"]), until=RULE)
    with Store.open(tmp_path) as store:
        store.sweeps.submit(NewSweep(id="one", plan=early))
        store.sweeps.feed("one", window=9)
        fail_all(store)
        store.sweeps.feed("one", window=9)
        sweep = store.sweeps.get("one")
        assert (sweep.state, sweep.fed, sweep.skipped) == (SweepState.PARTIAL, 4, 10)
        store.sweeps.submit(NewSweep(id="two", plan=early))
        store.sweeps.feed("two", window=3)
        cancelled, _ = store.sweeps.cancel("two")
        assert (cancelled.state, cancelled.fed, cancelled.pending) == (SweepState.CANCELLED, 3, 11)


def test_submitting_twice_and_what_is_refused(tmp_path: Path) -> None:
    with Store.open(tmp_path, queue_limit=1, sweep_limit=2) as store:
        first, _ = store.sweeps.submit(new(request_id="r", request_digest="d"))
        assert store.sweeps.submit(new("other", request_id="r", request_digest="d")) == (first, False)
        assert store.sweeps.by_request("r", "d") == first
        with pytest.raises(RequestReusedError):
            store.sweeps.submit(new("other", request_id="r", request_digest="e"))
        with pytest.raises(SweepExistsError):
            store.sweeps.submit(new())
        store.sweeps.submit(new("two"))
        with pytest.raises(QueueFullError, match="2 sweeps"):
            store.sweeps.submit(new("three"))
        store.sweeps.feed("one", window=9)
        assert store.counts()[RunState.QUEUED] == 1, "no more places"
        store.sweeps.cancel("two")
        with pytest.raises(QueueFullError, match="1 runs"):
            store.sweeps.submit(new("three"))
        # A feed that has places again goes on where it was.
        fail_all(store)
        assert store.sweeps.feed("one", window=9) == 1
        assert store.sweeps.get("one").fed == 2


def test_cancelling_deleting_and_pruning(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        store.sweeps.submit(new())
        store.sweeps.feed("one", window=4)
        running = store.lease()
        assert running is not None
        with pytest.raises(SweepActiveError):
            store.sweeps.delete("one")
        sweep, changed = store.sweeps.cancel("one")
        assert (sweep.state, len(changed)) == (SweepState.CANCELLING, 4)
        assert not store.sweeps.feed("one", window=4), "nothing is queued any more"
        store.release(running.id, running.attempt, worker_lost=True)
        store.sweeps.feed("one", window=4)
        sweep = store.sweeps.get("one")
        assert (sweep.state, sweep.fed, sweep.counts[RunState.CANCELLED]) == (SweepState.CANCELLED, 4, 4)
        with pytest.raises(RunOfSweepError):
            store.delete(running.id)
        with pytest.raises(EtagMismatchError):
            store.sweeps.delete("one", etag='"1"')
        alone, _ = store.submit(NewRun.of(quick(seed=99)))
        store.cancel(alone.id)
        assert store.prune(older_than_s=3600) == []
        assert store.prune(older_than_s=0) == ["sweeps/one", alone.id]
        assert (store.runs(), store.sweeps.page()) == ([], [])
        with store.reading() as db:
            assert db.execute("SELECT COUNT(*) FROM sweep_points").fetchone()[0] == 0


def test_results_are_shared_between_sweeps_and_go_with_the_last(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        store.sweeps.submit(NewSweep(id="one", plan=plan("gogc=50")))
        fed: list[str] = []
        feeder = Feeder(store, window=8, on_fed=lambda: supervisor.wake(), on_change=fed.append)
        with Supervisor(store, workers=1, on_change=lambda _: feeder.wake()) as supervisor:
            feeder.start()
            while not store.sweeps.get("one").state.is_final:
                supervisor.wait([run.id for run in store.runs()], timeout_s=60)
            store.sweeps.submit(NewSweep(id="two", plan=plan("gogc=50")))
            while not store.sweeps.get("two").state.is_final:
                feeder.wake()
            feeder.stop()
        assert set(fed) == {"one", "two"}
        assert {run.cached_result for run in store.runs(sweep_id="two")} == {True}
        store.sweeps.delete("one")
        assert len(list(store.datasets_dir.iterdir())) == 2
        store.sweeps.delete("two")
        assert list(store.datasets_dir.iterdir()) == []
        assert store.datasets() == []


def test_a_sweep_that_finds_no_space_leaves_nothing(tmp_path: Path) -> None:
    many = plan_sweep(quick(), parse_axes([f"gogc={','.join(map(str, range(10, 110)))}"]), replications=50)
    with Store.open(tmp_path, max_pages=24) as store:
        with pytest.raises(StoreFullError):
            store.sweeps.submit(NewSweep(id="big", plan=many))
        assert store.sweeps.page() == []
        with store.reading() as db:
            assert db.execute("SELECT COUNT(*) FROM sweep_points").fetchone()[0] == 0


def test_check_finds_rows_that_do_not_fit(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        store.sweeps.submit(new())
        store.sweeps.feed("one", window=4)
        with store.writing() as db:
            db.execute("DELETE FROM runs WHERE seq = 1")
            db.execute("DELETE FROM sweep_points WHERE number = 2")
        assert store.sweeps.check() == ["sweep one: 2 of 3 points", "sweep one: 3 of 4 queued runs"]


def test_no_run_of_a_sweep_can_be_there_twice(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        store.sweeps.submit(new())
        store.sweeps.feed("one", window=4)
        with store.writing() as db:
            db.execute("UPDATE sweeps SET fed = 3")
        with pytest.raises(sqlite3.IntegrityError):
            store.sweeps.feed("one", window=100)
        assert len(store.runs()) == 4


def test_a_store_of_version_1_is_brought_up_to_date_and_keeps_its_runs(tmp_path: Path) -> None:
    """As version 1 made it: its runs had no replication, and its table of sweeps was empty."""
    with Store.open(tmp_path) as store:
        run, _ = store.submit(NewRun.of(quick()))
    db = sqlite3.connect(database_path(tmp_path))
    (row,) = db.execute("SELECT * FROM runs").fetchall()
    names = [column[1] for column in db.execute("PRAGMA table_info(runs)")]
    old = dict(zip(names, row, strict=True))
    del old["replication"]
    db.executescript("DROP TABLE sweep_points; DROP TABLE sweeps; DROP TABLE runs; DROP TABLE datasets;")
    db.executescript(MIGRATIONS[0])
    db.execute(
        f"INSERT INTO runs ({', '.join(old)}) VALUES ({', '.join('?' * len(old))})", tuple(old.values())
    )
    db.execute("PRAGMA user_version = 1")
    db.commit()
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    with Store.open(tmp_path) as store:
        assert store.get(run.id) == run
        store.sweeps.submit(new())
        with store.reading() as reader:
            assert reader.execute("PRAGMA user_version").fetchone()[0] == VERSION == 3


def test_rebuilding_keeps_the_results_of_a_sweep_so_that_it_computes_nothing_again(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        store.sweeps.submit(NewSweep(id="one", plan=plan("gogc=50", replications=1)))
        store.sweeps.feed("one", window=4)
        with Supervisor(store) as supervisor:
            assert supervisor.wait([run.id for run in store.runs()], timeout_s=60)
    assert rebuild(tmp_path) == 1
    with Store.open(tmp_path) as store:
        assert store.sweeps.page() == []
        store.sweeps.submit(NewSweep(id="one", plan=plan("gogc=50", replications=1)))
        store.sweeps.feed("one", window=4)
        assert store.sweeps.get("one").state is SweepState.SUCCEEDED


def test_a_sweep_whose_inline_profile_is_gone_ends_and_says_so(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        sweep, _ = store.sweeps.submit(new(profile_yaml="x: 1"))
        assert sweep.profile_sha256 is not None
        store.profile_path(sweep.profile_sha256).unlink()
        store.sweeps.feed("one", window=9)
        ended = store.sweeps.get("one")
        assert (ended.state, ended.counts[RunState.FAILED]) == (SweepState.PARTIAL, 6)
        assert {(run.reason, run.message.partition(":")[0]) for run in store.runs()} == {
            (Reason.PLAN_OUTDATED, "its machine profile cannot be read")
        }


def test_a_sweep_that_cannot_be_fed_holds_up_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with Store.open(tmp_path) as store:
        store.sweeps.submit(new("bad"))
        store.sweeps.submit(new("good"))
        feed = store.sweeps.feed

        def feed_but_bad(sweep_id: str, *, window: int) -> int:
            if sweep_id == "bad":
                raise OSError("broken")
            return feed(sweep_id, window=window)

        monkeypatch.setattr(store.sweeps, "feed", feed_but_bad)
        fed = threading.Event()
        feeder = Feeder(store, window=9, on_fed=fed.set, on_change=lambda _: None)
        feeder.start()
        feeder.wake()
        assert fed.wait(30)
        feeder.stop()
        assert store.sweeps.get("good").fed == 6
    assert "sweep bad: no run can be queued" in caplog.text
