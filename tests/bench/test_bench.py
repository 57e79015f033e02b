"""`gcsim bench`: the command runs and says what it should; the specs it measures are those of the workloads.

How fast anything is decides no test: the machine may be anybody's.
"""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from gcsim.bench import CASES, Case, run_case
from gcsim.bench.cases import CLOSED_LOOP, OPEN_LOOP, select
from gcsim.bench.sweeps import BY_NAME, SWEEP_CASES, SweepMeasurement
from gcsim.cli.main import cli
from gcsim.errors import RunError
from gcsim.spec.load import load_spec, parse_spec

WORKLOADS = Path(__file__).parents[2] / "workloads"
QUICK = [case for case in CASES if case.quick_s is not None]
TITLES = (
    "Programs",
    "Cost against P",
    "Cost against requests/s",
    "Cost against idle",
    "Cost against simulated",
)


def test_quick_benchmark_prints_every_table_with_every_row() -> None:
    done = CliRunner().invoke(cli, ["bench", "--quick"])
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert [t for t in TITLES if any(line.startswith(t) for line in lines)] == list(TITLES)
    heads = [line.split() for line in lines if line.startswith("case ")]
    assert len(heads) == len(TITLES)
    assert all("s/CPU" in head and "MiB" in head for head in heads)
    assert ["target" in head for head in heads] == [True, False, False, False, False]
    rows = {line.split()[0]: line.split() for line in lines if line}
    for case in QUICK:
        speed, wall_speed, *target, over_bare, _x, events_per_s, ratio, _events, _cycles, peak_mib = rows[
            case.name
        ][1:]
        assert float(speed) > 0
        assert float(wall_speed) > 0
        assert target == ([] if case.target is None else [f"{case.target:g}"])
        assert float(events_per_s.replace(",", "")) > 0
        assert float(ratio.removeprefix("1/")) > 0
        assert 10 < float(peak_mib) < 400
        assert float(over_bare) > 0
    assert "Bare SimPy in the same processes" in done.stdout
    assert f"{QUICK[0].name}: {QUICK[0].what}" in done.stderr


def test_json_has_what_was_measured_and_what_follows_from_it() -> None:
    done = CliRunner().invoke(cli, ["bench", "--quick", "--only", "closed-loop", "--output", "json"])
    assert done.exit_code == 0, done.output
    (row,) = json.loads(done.stdout)
    assert (row["name"], row["table"], row["target_speed"]) == ("closed-loop", "programs", 50)
    assert row["sim_s"] == pytest.approx(row["load_sim_s"] + 0.072, abs=0.05)  # and building and settling
    assert 0 < row["load_cpu_s"] < row["cpu_s"]
    assert row["speed"] == pytest.approx(row["load_sim_s"] / row["load_cpu_s"])
    assert row["wall_speed"] == pytest.approx(row["load_sim_s"] / row["load_wall_s"])
    assert row["events_per_cpu_s"] == pytest.approx(row["events"] / row["cpu_s"])
    assert row["bare_timeouts_per_event"] == pytest.approx(
        row["bare_events_per_cpu_s"] / row["events_per_cpu_s"]
    )
    assert row["cycles"] > 0


def test_only_takes_cases_and_tables_and_refuses_what_is_neither() -> None:
    assert [case.name for case in select(["rate", "closed-loop"], quick=True)] == [
        "closed-loop",
        "rate-500",
        "rate-4000",
    ]
    done = CliRunner().invoke(cli, ["bench", "--only", "warp"])
    assert done.exit_code == 2
    assert "'warp' is no table and no case; cases are closed-loop, open-loop" in done.stderr
    # A row of the long benchmark alone is not measured quickly.
    assert CliRunner().invoke(cli, ["bench", "--quick", "--only", "sim_time-1000"]).exit_code == 2


@pytest.mark.parametrize("text", [CLOSED_LOOP, OPEN_LOOP])
def test_programs_are_those_of_the_workloads(text: str) -> None:
    ours = parse_spec(text)
    theirs = load_spec(WORKLOADS / f"{ours.name}.yaml")
    assert ours.model_dump(exclude={"description"}) == theirs.model_dump(exclude={"description"})


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_case_is_a_valid_spec(case: Case) -> None:
    assert case.spec(quick=False).run.duration == round(case.duration_s * 1e9)


def test_growth_tables_grow_what_they_say() -> None:
    spec = {case.name: case.spec(quick=False) for case in CASES}
    assert spec["procs-128"].runtime.gomaxprocs == spec["procs-128"].machine.cores == 128
    assert spec["procs-128"].requests[0].workers == 128
    assert spec["rate-16000"].requests[0].rate_per_s == 16_000
    assert spec["goroutines-1000000"].idle_goroutines.count == 1_000_000
    assert spec["sim_time-1000"].run.duration == 1_000 * 10**9
    # At 2 P, growth starts from the program itself.
    assert spec["procs-2"].model_dump(exclude={"run"}) == spec["closed-loop"].model_dump(exclude={"run"})
    assert spec["rate-4000"].model_dump(exclude={"run"}) == spec["open-loop"].model_dump(exclude={"run"})


def test_a_case_that_fails_is_an_error_with_its_reason() -> None:
    with pytest.raises(RunError, match=r"warp failed with exit code 2: .*invalid choice: 'warp'"):
        run_case(Case("warp", "programs", "no such case", CLOSED_LOOP))


def test_the_sweep_suite_says_what_a_layer_adds(monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["bench", "--suite", "sweep", "--quick", "--only", "simulate", "--only", "dataset"]
    done = CliRunner().invoke(cli, [*words, "--output", "json"])
    assert done.exit_code == 0, done.output
    rows = json.loads(done.stdout)
    assert [(row["name"], row["points"], row["kind"]) for row in rows] == [
        ("simulate", 10, "overhead"), ("dataset", 10, "overhead"),
    ]  # fmt: skip
    for row in rows:
        assert row["coordinator_cpu_s"] == pytest.approx(row["cpu_s"])  # nobody else computes
        assert len(row["memory_bytes"]) == 10
        assert 0 < row["per_point_s"] < row["wall_s"]
    found = {row["name"]: SweepMeasurement(**{f: row[f] for f in SweepMeasurement.__slots__}) for row in rows}
    monkeypatch.setattr("gcsim.cli.bench.run_sweep_case", lambda case, quick, points: found[case.name])
    table = CliRunner().invoke(cli, words).stdout.splitlines()
    assert table[0].startswith("Cost of a point")
    assert [line.split()[:2] for line in table[2:] if line] == [["simulate", "10"], ["dataset", "10"]]


def test_every_sweep_case_has_as_many_points_as_it_says() -> None:
    for case in SWEEP_CASES:
        assert len(case.plan(quick=True).points) == case.quick_points
    assert len(BY_NAME["promise"].plan(quick=False).points) == 100
    assert len(BY_NAME["promise"].plan(quick=False, points=7).points) == 7
    assert [len(BY_NAME[name].plan(quick=False, points=70).points) for name in ("tenth", "whole")] == [7, 70]
    assert CliRunner().invoke(cli, ["bench", "--suite", "sweep", "--only", "rate"]).exit_code == 2
    assert CliRunner().invoke(cli, ["bench", "--points", "3"]).exit_code == 2
