"""The commands validate-spec, schema and init."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from gcsim.cli import init, schema, validate_spec
from gcsim.spec.load import load_spec
from gcsim.spec.schema import json_schema

WORKLOADS = Path(__file__).parents[2] / "workloads"


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[CliRunner]:
    before = Path.cwd()
    os.chdir(tmp_path)
    yield CliRunner()
    os.chdir(before)


def test_all_workloads_are_valid(runner: CliRunner) -> None:
    paths = sorted(map(str, WORKLOADS.glob("*.yaml")))
    result = runner.invoke(validate_spec.command, paths)
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == [f"{path}: ok" for path in paths]


def test_a_bad_spec_is_exit_code_2_with_every_problem(runner: CliRunner) -> None:
    Path("good.yaml").write_text("name: good\n")
    Path("bad.yaml").write_text("name: bad\nruntime: {gogc: -5}\nrun: {seed: x}\n")
    result = runner.invoke(validate_spec.command, ["good.yaml", "bad.yaml", "none.yaml"])
    assert result.exit_code == 2
    assert "good.yaml: ok" in result.stdout
    assert (
        'bad.yaml: 2 problems\n  $.runtime.gogc (line 2): -5 is below 0; use "off" for GOGC=off'
        in result.stdout
    )
    assert "cannot read none.yaml" in result.stdout


def test_json_and_csv_have_the_same_problems(runner: CliRunner) -> None:
    Path("bad.yaml").write_text("name: bad\nruntime: {gogc: -5}\n")
    result = runner.invoke(validate_spec.command, ["bad.yaml", "--output", "json"])
    assert result.exit_code == 2
    problem = {
        "path": "$.runtime.gogc",
        "line": 2,
        "value": "-5",
        "message": "is below 0",
        "remedy": 'use "off" for GOGC=off',
    }
    assert json.loads(result.stdout) == [{"spec": "bad.yaml", "valid": False, "problems": [problem]}]
    result = runner.invoke(validate_spec.command, ["bad.yaml", "--output", "csv"])
    assert result.exit_code == 2
    assert list(csv.DictReader(io.StringIO(result.stdout))) == [{"spec": "bad.yaml", **problem, "line": "2"}]


def test_names_of_metrics_and_profiles_are_checked_too(runner: CliRunner) -> None:
    Path("profile.yaml").write_text("no: profile\n")
    Path("bad.yaml").write_text("name: bad\nmachine: {profile: profile.yaml}\nthresholds: {num_gcs: <5}\n")
    result = runner.invoke(validate_spec.command, ["bad.yaml", "--output", "json"])
    assert result.exit_code == 2
    paths = [problem["path"] for problem in json.loads(result.stdout)[0]["problems"]]
    assert paths == ["$.thresholds.num_gcs", "$.machine.profile"]


def test_schema_prints_the_schema(runner: CliRunner) -> None:
    result = runner.invoke(schema.command, [])
    assert result.exit_code == 0
    assert json.loads(result.stdout) == json_schema()


def test_init_writes_a_valid_commented_spec(runner: CliRunner) -> None:
    result = runner.invoke(init.command, ["shop"])
    assert result.exit_code == 0
    spec = load_spec("shop.yaml")
    assert spec.name == "shop"
    assert spec.requests
    assert spec.retained
    assert "gcsim run shop.yaml" in result.stdout
    assert "{" + "name}" not in Path("shop.yaml").read_text()


def test_what_init_leaves_commented_out_is_valid_as_well(runner: CliRunner) -> None:
    runner.invoke(init.command, [])
    lines = Path("my-service.yaml").read_text().splitlines()
    head = lines.index("version: 1")
    # Prose starts with a capital letter; the open loop replaces the closed one.
    on = [line.replace("# ", "", 1) if _is_field(line) else line for line in lines[head:]]
    Path("my-service.yaml").write_text("\n".join(line for line in on if "workers:" not in line))
    spec = load_spec("my-service.yaml")
    assert spec.machine.cfs_quota == 150_000_000
    assert spec.idle_goroutines.count == 1000
    assert len(spec.phases) == 2
    assert len(spec.thresholds) == 2
    assert spec.requests[0].rate_per_s == 4000
    assert [step.kind for step in spec.requests[0].steps] == ["cpu", "allocate", "block", "replace", "cpu"]


def _is_field(line: str) -> bool:
    comment = line.strip()
    return comment.startswith("# ") and not comment[2:3].isupper()


def test_init_never_overwrites(runner: CliRunner) -> None:
    Path("shop.yaml").write_text("mine")
    result = runner.invoke(init.command, ["shop"])
    assert result.exit_code == 2
    assert "shop.yaml exists" in result.stderr
    assert Path("shop.yaml").read_text() == "mine"


@pytest.mark.parametrize("name", ["My Shop", "../x", "-x", "a" * 64])
def test_init_wants_a_name(runner: CliRunner, name: str) -> None:
    result = runner.invoke(init.command, ["--", name])
    assert result.exit_code == 2
    assert "lower-case letters" in result.stderr
    assert not list(Path().iterdir())
