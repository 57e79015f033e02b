"""Sweeps end to end: any number of workers, a kill -9 in the middle, failed runs; the tables are the same bytes."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from pathlib import Path

import pytest

import gcsim
from gcsim.datasets import sweep as sweeps
from gcsim.datasets.export import export_sweep
from gcsim.datasets.reader import Result, load
from gcsim.datasets.sweep import FAILED_DIR, RUNS_DIR, SweepResult, load_sweep, write_sweep_tables
from gcsim.errors import DatasetError, RunError
from gcsim.failpoints import VARIABLE
from gcsim.sweep.axes import parse_axes
from gcsim.sweep.execute import SweepInterrupted, SweepProgress, run_sweep
from gcsim.sweep.executor import InlineExecutor, Outcome, Task
from gcsim.sweep.plan import SweepPlan, plan_sweep
from tests.sweep.test_plan import make_spec

ROOT = Path(__file__).parents[2]


def plan(*axes: str, replications: int = 2, duration: str = "100ms") -> SweepPlan:
    spec = make_spec(
        run={"duration": duration, "seed": 7},
        requests=[{"name": "get", "workers": 2, "steps": [{"cpu": "100us"}, {"allocate": {"count": 4, "size": "4KiB"}}]}],
    )  # fmt: skip
    return plan_sweep(spec, parse_axes(axes or ("gogc=50,100", "gomaxprocs=1,2")), replications=replications)


def table_bytes(directory: Path) -> dict[str, bytes]:
    """Every file of a sweep that a reader could see, but for the store's own."""
    files = [*directory.glob("*.parquet"), directory / "sweep.json", *(directory / FAILED_DIR).iterdir()]
    files += [path for path in (directory / RUNS_DIR).rglob("*") if path.is_file()]
    return {str(path.relative_to(directory)): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def inline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("inline") / "sweep"
    run_sweep(plan(), directory, executor=InlineExecutor)
    return directory


@pytest.mark.parametrize("jobs", [3])
def test_tables_are_the_same_bytes_with_any_number_of_workers(
    inline: Path, tmp_path: Path, jobs: int
) -> None:
    run_sweep(plan(), tmp_path / "sweep", jobs=jobs)
    assert table_bytes(tmp_path / "sweep") == table_bytes(inline)


def test_a_sweep_loads_with_its_knobs_as_columns(inline: Path) -> None:
    sweep = gcsim.load(inline)
    assert isinstance(sweep, SweepResult)
    runs = sweep.tables["runs"].to_pandas()
    assert list(runs.columns[:5]) == ["run_id", "point_id", "label", "replication", "gogc"]
    assert runs["status"].tolist() == ["succeeded"] * 8
    assert runs["gogc"].tolist() == [50] * 4 + [100] * 4
    cycles = sweep.tables["cycles"].to_pandas()
    for run_id, point_id, gogc, gomaxprocs in zip(
        runs["run_id"], runs["point_id"], runs["gogc"], runs["gomaxprocs"], strict=True
    ):
        rows = cycles[cycles["run_id"] == run_id]
        assert len(rows)
        assert (rows["gogc_percent"] == gogc).all()
        assert (rows["gomaxprocs"] == gomaxprocs).all()
        assert (rows["point_id"] == point_id).all()
    narrow = sweep.tables["cycles"].to_arrow(["cycle", "gogc"])
    assert narrow.column_names == ["cycle", "gogc"]
    assert narrow["gogc"].to_pylist() == cycles["gogc"].tolist()
    sweep.verify()


def test_however_many_runs_there_are_few_are_open_at_a_time(
    inline: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[weakref.ref[Result]] = []
    most = 0

    def load_and_count(path: Path) -> Result:
        nonlocal most
        result = load(path)
        opened.append(weakref.ref(result))
        most = max(most, sum(ref() is not None for ref in opened))
        return result

    monkeypatch.setattr(sweeps, "load", load_and_count)
    sweep = load_sweep(inline)
    assert len(opened) == len(sweep.runs) == 8
    write_sweep_tables(sweep, tmp_path)
    export_sweep(sweep, tmp_path / "out")
    assert [point.runs[0].path.name for point in sweep.points] == [point.run_ids[0] for point in sweep.points]
    assert sum(1 for _ in sweep.runs.values()) == len(sweep.runs)
    assert most <= 2, "the last one and the next"
    for name in ("runs", "points"):
        assert (tmp_path / f"{name}.parquet").read_bytes() == (inline / f"{name}.parquet").read_bytes()


def test_a_single_point_is_what_a_run_with_replications_gives(tmp_path: Path) -> None:
    sweep = run_sweep(plan("gogc=50", replications=3), tmp_path / "sweep", executor=InlineExecutor)
    alone = gcsim.run(plan().spec, set=["gogc=50"], replications=3, out=tmp_path / "run")
    assert sweep.points[0].summary == {
        k: v for k, v in alone.summary.items() if k in (sweep.points[0].summary or {})
    }
    assert [run.run_id for run in sweep.points[0].runs] == [run.run_id for run in alone.runs]


class Failing(InlineExecutor):
    """Every run with GOGC=50 fails; replication 1 of the rest is lost with its worker."""

    def next(self, timeout_s: float) -> Outcome | None:
        task: Task = self._tasks[0]
        if task.spec.runtime.gogc == 50:
            self._tasks.popleft()
            return Outcome(run_id=task.run_id, error="SIMULATION_FAILED", message="out of simulated memory")
        if task.spec.run.seed != 7:
            self._tasks.popleft()
            return Outcome(run_id=task.run_id, error="WORKER_LOST", message="killed by signal 9", retry=True)
        return super().next(timeout_s)


def test_failed_runs_are_rows_with_their_error_and_only_those_worth_it_are_tried_again(
    tmp_path: Path,
) -> None:
    sweep = run_sweep(plan("gogc=50,100"), tmp_path / "sweep", executor=Failing)
    runs = sweep.tables["runs"].to_pandas()
    assert runs["status"].tolist() == ["failed", "failed", "succeeded", "failed"]
    assert runs["error"][0] == "SIMULATION_FAILED: out of simulated memory"
    assert runs["num_gc"].isna().tolist() == [True, True, False, True]
    assert sweep.points[0].summary is None
    done: list[SweepProgress] = []
    again = run_sweep(
        plan("gogc=50,100"), tmp_path / "sweep", resume=True, executor=InlineExecutor, progress=done.append
    )
    assert again.tables["runs"].to_pandas()["status"].tolist() == [
        "failed",
        "failed",
        "succeeded",
        "succeeded",
    ]
    assert (done[0].reused, done[0].failed, done[-1].done) == (3, 2, 4)


def test_a_worker_that_dies_loses_nothing(
    inline: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = tmp_path / "token"
    token.touch()
    monkeypatch.setenv(VARIABLE, f"worker.after_run:kill:{token}")
    run_sweep(plan(), tmp_path / "sweep", jobs=2)
    assert not token.exists()
    assert table_bytes(tmp_path / "sweep") == table_bytes(inline)


def test_a_damaged_run_is_done_again(inline: Path, tmp_path: Path) -> None:
    directory = tmp_path / "sweep"
    made = plan()
    run_sweep(made, directory, executor=InlineExecutor)
    damaged = directory / RUNS_DIR / made.points[2].run_ids[1] / "cycles.parquet"
    damaged.write_bytes(damaged.read_bytes()[:-9])
    seen: list[SweepProgress] = []
    run_sweep(made, directory, resume=True, executor=InlineExecutor, progress=seen.append)
    assert seen[0].reused == 7
    assert table_bytes(directory) == table_bytes(inline)


def test_a_directory_is_not_shared_by_two_plans(inline: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="already there; go on with --resume"):
        run_sweep(plan(), inline, executor=InlineExecutor)
    with pytest.raises(DatasetError, match="not this one"):
        run_sweep(plan("gogc=50"), inline, resume=True, executor=InlineExecutor)
    (tmp_path / "letters.txt").write_text("mine")
    with pytest.raises(DatasetError, match="no sweep"):
        run_sweep(plan(), tmp_path, executor=InlineExecutor)
    assert (tmp_path / "letters.txt").read_text() == "mine"


def test_a_sweep_that_never_began_is_in_nobodys_way(inline: Path, tmp_path: Path) -> None:
    def unreachable(directory: Path) -> InlineExecutor:
        raise RunError("no cluster answers")

    with pytest.raises(RunError, match="no cluster"):
        run_sweep(plan(), tmp_path / "sweep", executor=unreachable)
    with pytest.raises(DatasetError, match="already there"):
        run_sweep(plan("gogc=50"), tmp_path / "sweep", executor=InlineExecutor)
    run_sweep(plan(), tmp_path / "sweep", executor=InlineExecutor)
    assert table_bytes(tmp_path / "sweep") == table_bytes(inline)


def test_asked_to_stop_it_finishes_what_goes_on_and_can_be_resumed(inline: Path, tmp_path: Path) -> None:
    stop = threading.Event()

    def progress(at: SweepProgress) -> None:
        if at.done >= 1:
            stop.set()

    with pytest.raises(SweepInterrupted) as raised:
        run_sweep(plan(), tmp_path / "sweep", jobs=1, progress=progress, stop=stop)
    pending = sum(point.pending for point in raised.value.result.points)
    assert 0 < pending < 8
    assert (raised.value.result.tables["runs"].to_pandas()["status"] == "pending").sum() == pending
    run_sweep(plan(), tmp_path / "sweep", jobs=1, resume=True)
    assert table_bytes(tmp_path / "sweep") == table_bytes(inline)


SPEC = """\
version: 1
name: steady
run: {duration: 100ms, seed: 7}
requests:
  - name: get
    workers: 2
    steps:
      - cpu: 100us
      - allocate: {count: 4, size: 4KiB}
"""


def test_killed_with_minus_nine_it_resumes_and_loses_nothing(inline: Path, tmp_path: Path) -> None:
    """kill -9 of the command in the middle; the workers go with it, done runs are kept and not done again."""
    (tmp_path / "steady.yaml").write_text(SPEC)
    command = [
        sys.executable, "-m", "gcsim", "sweep", "steady.yaml", "-P", "gogc=50,100", "-P", "gomaxprocs=1,2",
        "--replications", "2", "--jobs", "1", "--out", "here", "--output", "json",
    ]  # fmt: skip
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        command, cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 60
    done: list[Path] = []
    while len(done) < 2 and time.monotonic() < deadline and process.poll() is None:
        done = [p for p in (tmp_path / "here" / RUNS_DIR).glob("r-*") if (p / "manifest.json").exists()]
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = {path.name: (path / "manifest.json").stat().st_mtime_ns for path in done}
    assert kept
    again = subprocess.run(
        [*command, "--resume"], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
    )
    assert again.returncode == 0, again.stderr
    assert "were there already" in again.stderr
    assert len(json.loads(again.stdout)) == 4
    for name, written in kept.items():
        assert (tmp_path / "here" / RUNS_DIR / name / "manifest.json").stat().st_mtime_ns == written
    assert table_bytes(tmp_path / "here") == table_bytes(inline)
