"""The commands around sweeps: sweep, report, export, compare, with their outputs and exit codes."""

import csv
import io
import json
import re
import sys
from pathlib import Path

import duckdb
import polars
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

import gcsim as package
from gcsim.cli.main import cli
from gcsim.datasets import parts
from gcsim.datasets.sweep import load_sweep
from gcsim.failpoints import VARIABLE
from tests.sweep.test_execute import SPEC


def gcsim(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(a) for a in arguments], prog_name="gcsim")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a sweep of four points, two replications each."""
    home = tmp_path_factory.mktemp("home")
    (home / "steady.yaml").write_text(SPEC)
    done = gcsim(
        "sweep", home / "steady.yaml", "-P", "gogc=50,200", "-P", "gomemlimit=off,64MiB", "--replications", 2,
        "--out", home / "sweep", "--output", "csv",
    )  # fmt: skip
    assert done.exit_code == 0, done.stderr
    (home / "stdout.csv").write_text(done.stdout)
    assert "8 of 8 runs done" in done.stderr
    return home


def test_a_sweep_prints_a_row_per_point(home: Path) -> None:
    rows = list(csv.DictReader(io.StringIO((home / "stdout.csv").read_text())))
    assert [(row["gogc"], row["gomemlimit"]) for row in rows] == [
        ("50", ""), ("50", "67108864"), ("200", ""), ("200", "67108864"),
    ]  # fmt: skip
    assert all(float(row["num_gc_ci95_high"]) >= float(row["num_gc"]) for row in rows)
    again = gcsim(
        "sweep", home / "steady.yaml", "-P", "gogc=50,200", "-P", "gomemlimit=off,64MiB", "--replications", 2,
        "--out", home / "sweep", "--resume",
    )  # fmt: skip
    assert again.exit_code == 0
    assert "8 were there already" in again.stderr
    assert "64.0 MiB" in again.stdout


def test_a_sweep_with_failed_runs_is_exit_code_4_and_says_why(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "worker.before_run:enospc")
    done = gcsim("sweep", home / "steady.yaml", "-P", "gogc=50", "--jobs", 1, "--out", tmp_path / "s")
    assert done.exit_code == 4
    assert "1 of 1 runs failed" in done.stderr
    assert "STORAGE_FULL" in done.stdout
    assert gcsim("report", tmp_path / "s", "-o", tmp_path / "r.html").exit_code == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-P", "gogc=-1,5"], "$.runtime.gogc"),
        (["-P", "gogcc=5"], "did you mean gogc"),
        ([], "nothing varies"),
        (["-P", "gogc=1..9"], "--latin-hypercube"),
        (["-P", "gogc=1,2", "--zip", "--latin-hypercube", "5"], "exclude each other"),
        (["-P", "gogc=50", "--out", "."], "no sweep"),
        (["-P", "gogc=50", "--replications", "3..9"], "needs --until-ci"),
        (["-P", "gogc=50", "--until-ci", "num_gc<5%"], "needs a range to stop in"),
        (
            ["-P", "gogc=50", "--replications", "9..3", "--until-ci", "num_gc<5%"],
            "neither a number nor a range",
        ),
        (["-P", "gogc=50", "--replications", "3..9", "--until-ci", "num_gcc<5%"], "did you mean num_gc"),
    ],
)
def test_a_wrong_sweep_is_exit_code_2_and_nothing_runs(home: Path, arguments: list[str], words: str) -> None:
    done = gcsim("sweep", home / "steady.yaml", *arguments)
    assert done.exit_code == 2
    assert words in done.stderr
    assert done.stdout == ""


def test_replications_stop_when_they_are_enough(home: Path, tmp_path: Path) -> None:
    done = gcsim(
        "sweep", home / "steady.yaml", "-P", "gogc=50,off", "--replications", "2..4", "--until-ci", "throughput_rps<40%",
        "--jobs", 1, "--out", tmp_path / "s",
    )  # fmt: skip
    assert done.exit_code == 0, done.stderr
    assert "4 of 4 runs done" in done.stderr
    assert done.stdout.splitlines()[0].split()[-1] == "runs"
    assert [line.split()[-1] for line in done.stdout.splitlines()[1:]] == ["2", "2"]
    never = gcsim(
        "sweep", home / "steady.yaml", "-P", "gogc=50", "--replications", "2..3", "--until-ci", "latency_ns_max<0.01%",
        "--jobs", 1, "--out", tmp_path / "t",
    )  # fmt: skip
    assert "3 (too few)" in never.stdout


def test_optimize_prints_the_variables_to_set(home: Path, tmp_path: Path) -> None:
    words = [
        "optimize", home / "steady.yaml", "--minimize", "num_gc", "--subject-to", "memory_peak_bytes<64MiB",
        "--over", "gogc", "--budget", 4, "--replications", 1, "--confirm", 2, "--jobs", 1, "--out", tmp_path / "o",
    ]  # fmt: skip
    done = gcsim(*words)
    assert done.exit_code == 0, done.stderr
    assert "Pareto front of 4 settings: minimize num_gc, memory_peak_bytes<64MiB" in done.stdout
    assert re.search(r"^Set: GOGC=\d+$", done.stdout, re.MULTILINE)
    assert "2 runs of each, paired by seed" in done.stdout
    assert gcsim(*words).exit_code == 2  # it is there already
    again = gcsim(*words, "--resume", "--output", "json")
    assert again.exit_code == 0, again.stderr
    assert json.loads(again.stdout) == json.loads((tmp_path / "o" / "recommendation.json").read_text())
    assert gcsim("report", tmp_path / "o", "-o", tmp_path / "o.html").exit_code == 0
    variables = " ".join(
        f"{k}={v}" for k, v in json.loads(again.stdout)["recommended"]["environment"].items()
    )
    assert "Recommended setting</h2>" in (tmp_path / "o.html").read_text()
    assert f"<pre>{variables}</pre>" in (tmp_path / "o.html").read_text()
    assert gcsim("compare", tmp_path / "o", tmp_path / "o").exit_code == 0
    assert gcsim("export", tmp_path / "o", tmp_path / "exported").exit_code == 0
    (tmp_path / "o" / "recommendation.json").write_text("{}")
    damaged = gcsim("report", tmp_path / "o", "-o", tmp_path / "p.html")
    assert damaged.exit_code == 1
    assert "recommendation.json: damaged ('recommended')" in damaged.stderr


def test_optimize_says_what_it_cannot_do(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = [
        "optimize",
        home / "steady.yaml",
        "--minimize",
        "num_gc",
        "--over",
        "gogc",
        "--budget",
        2,
        "--jobs",
        1,
    ]
    none = gcsim(*asked, "--subject-to", "memory_peak_bytes<1KiB", "--confirm", 0, "--out", tmp_path / "o")
    assert none.exit_code == 99
    assert "no setting keeps every condition; gogc=" in none.stderr
    wrong = gcsim("optimize", home / "steady.yaml", "--minimize", "speed", "--over", "gogc")
    assert wrong.exit_code == 2
    assert "'speed' is no metric" in wrong.stderr
    monkeypatch.setitem(sys.modules, "optuna", None)
    missing = gcsim(*asked, "--out", tmp_path / "p")
    assert missing.exit_code == 1
    assert "pip install 'gcsim[optimize]'" in missing.stderr


def test_everything_that_is_wrong_with_a_sweep_is_said_at_once(tmp_path: Path) -> None:
    (tmp_path / "spec.yaml").write_text(SPEC)
    (tmp_path / "points.csv").write_text("gogc,gogc\n1,2\n")
    words = [
        "-P",
        "gogc=abc",
        "-P",
        "nope=3",
        "-P",
        "cores",
        "--set",
        "gomemlimit=much",
        "--until-ci",
        "x<1%",
    ]
    done = gcsim(
        "sweep", tmp_path / "spec.yaml", *words, "--replications", "2..4", "--points", tmp_path / "points.csv"
    )
    assert done.exit_code == 2
    assert "6 problems" in done.stderr.splitlines()[0]
    for part in (
        "'abc' is not",
        "$.nope",
        "'cores' is no axis",
        "'much' is not",
        "'x<1%' names x",
        "is empty or there twice",
    ):
        assert part in done.stderr, part


def test_thresholds_hold_at_every_point(home: Path, tmp_path: Path) -> None:
    (tmp_path / "strict.yaml").write_text(SPEC + "thresholds: {num_gc: '< 1'}\n")
    done = gcsim("sweep", tmp_path / "strict.yaml", "-P", "gogc=50,off", "--jobs", 1, "--out", tmp_path / "s")
    assert done.exit_code == 99
    assert "gogc=50: threshold num_gc < 1: FAILED" in done.stderr
    assert "gogc=off: threshold" not in done.stderr


def test_an_export_is_read_by_everything(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "ROWS_PER_GROUP", 50)
    out = tmp_path / "out"
    assert gcsim("export", home / "sweep", out).exit_code == 0
    sweep = load_sweep(home / "sweep")
    for name, table in sweep.tables.items():
        path = out / f"{name}.parquet"
        frame = polars.read_parquet(path)
        assert frame.height == table.num_rows == pq.read_metadata(path).num_rows
        assert frame["run_id"].is_sorted()
        assert {"point_id", "label", "replication", "gogc", "gomemlimit"} <= set(frame.columns)
        wanted = table.to_arrow().sort_by("run_id").replace_schema_metadata(None)
        assert (
            pyarrow.dataset.dataset(path)
            .to_table()
            .replace_schema_metadata(None)
            .sort_by("run_id")
            .equals(wanted)
        )
    groups = pq.ParquetFile(out / "heap.parquet").metadata
    sizes = [groups.row_group(i).num_rows for i in range(groups.num_row_groups)]
    assert set(sizes[:-1]) <= {50}
    metadata = pq.read_schema(out / "heap.parquet").metadata
    assert metadata[b"gcsim.sweep_id"].decode() == sweep.sweep_id
    found = duckdb.sql(
        f"select gogc, count(distinct run_id) n, sum(num_gc) > 0 from '{out}/runs.parquet' group by gogc order by gogc"
    ).fetchall()
    assert found == [(50, 4, True), (200, 4, True)]
    assert "swept knob runtime.gomemlimit" in (out / "README.md").read_text()
    dictionary = json.loads((out / "data_dictionary.json").read_text())
    assert [c["name"] for c in dictionary["sweep_columns"]][-2:] == ["gogc", "gomemlimit"]


def test_an_export_is_the_same_bytes_and_takes_no_directory_that_is_there(home: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        assert gcsim("export", home / "sweep", tmp_path / name).exit_code == 0
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()
    done = gcsim("export", home / "sweep", tmp_path / "a")
    assert done.exit_code == 2
    assert "not empty" in done.stderr
    assert {p.name for p in tmp_path.iterdir()} == {"a", "b"}


@pytest.mark.parametrize("name", ["r.html", "r.png"])
def test_a_report_of_a_sweep_and_of_a_run(home: Path, tmp_path: Path, name: str) -> None:
    run = next(iter(load_sweep(home / "sweep").runs.values())).path
    for number, dataset in enumerate((home / "sweep", run)):
        out = tmp_path / f"{number}{name}"
        done = gcsim("report", dataset, "-o", out)
        assert done.exit_code == 0, done.output
        assert out.stat().st_size > 10_000
    assert gcsim("report", home, "-o", tmp_path / name).exit_code == 2
    assert "neither .html nor .png" in gcsim("report", run, "-o", tmp_path / "r.doc").stderr


def test_compare_matches_points_and_fails_on_regressions(home: Path, tmp_path: Path) -> None:
    runs = {}
    for gogc in (50, 200):
        runs[gogc] = tmp_path / str(gogc)
        made = [
            "run",
            home / "steady.yaml",
            "--replications",
            3,
            "--set",
            f"gogc={gogc}",
            "--out",
            runs[gogc],
        ]
        assert gcsim(*made).exit_code == 0
    same = gcsim("compare", runs[50], runs[50], "--all", "--fail-on", "num_gc>0%")
    assert same.exit_code == 0, same.stderr
    assert "%" not in same.stdout.split("memory_peak_bytes")[1].split("\n")[0]
    assert "no significant difference" in same.stdout
    assert gcsim("compare", runs[50], runs[200], "--fail-on", "num_gc>5%").exit_code == 0
    worse = gcsim("compare", runs[200], runs[50], "--fail-on", "num_gc>5%")
    assert worse.exit_code == 99
    assert "num_gc: FAILED, worse by" in worse.stderr
    rows = json.loads(gcsim("compare", runs[50], runs[200], "--output", "json").stdout)
    assert rows[0]["method"] == "paired"
    points = gcsim("compare", home / "sweep", home / "sweep", "--output", "csv").stdout
    assert len(points.splitlines()) == 1 + 4 * len(rows[0]["differences"])
    bad = gcsim("compare", runs[50], runs[200], "--fail-on", "num_gcc>5%", "--fail-on", "fast")
    assert bad.exit_code == 2
    assert "did you mean num_gc" in bad.stderr
    assert "'fast' is no rule" in bad.stderr


def test_load_opens_sweeps_and_runs_alike(home: Path) -> None:
    sweep = package.load(home / "sweep")
    frame = sweep.tables["pauses"].to_pandas()
    assert {"gogc", "point_id"} <= set(frame.columns)
