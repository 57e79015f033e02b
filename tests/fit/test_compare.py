"""Predicted beside measured: signs, the rule for few collections, sums, and the two commands."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from gcsim.cli.main import cli
from gcsim.fit.compare import compare_case, error_rel, validate
from gcsim.fit.measured import METRIC_BY_NAME, METRICS, Measured
from gcsim.fit.predict import Prediction
from gcsim.fit.records import read_record

DATA = Path(__file__).parent / "data"
CASE = "pointer-graph__go1.27.3_p1_gogc100"

Gcsim = Callable[..., Result]


@pytest.fixture
def gcsim() -> Gcsim:
    runner = CliRunner()
    return lambda *arguments: runner.invoke(cli, [str(a) for a in arguments], prog_name="gcsim")


@pytest.fixture
def short(tmp_path: Path) -> Callable[..., Path]:
    """Writes a recorded case that is quick to simulate, changed as asked."""

    def write(name: str = CASE, folder: str = "records", **changed: Any) -> Path:
        data = json.loads(gzip.decompress((DATA / f"{CASE}.json.gz").read_bytes()))
        data["case"] = name
        data["workload"] |= {"seconds": 0.2, "cache_entries": 2000} | changed.pop("workload", {})
        data["settings"] |= changed.pop("settings", {})
        data |= changed
        path = tmp_path / folder / f"{name}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(data))
        return path

    return write


# ---- errors ------------------------------------------------------------------------------------------------


def test_an_error_is_signed_and_relative_to_the_measurement() -> None:
    assert error_rel("gc_cpu_ns", 80, 100) == pytest.approx(-0.2)
    assert error_rel("gc_cpu_ns", 120, 100) == pytest.approx(0.2)


def test_one_collection_more_or_less_is_noise_and_two_are_not() -> None:
    assert error_rel("num_gc", 5, 4) == error_rel("num_gc", 3, 4) == 0
    assert error_rel("num_gc", 6, 4) == 0.5
    assert error_rel("latency_ns_p50", 5, 4) == 0.25


def test_nothing_measured_is_no_error_unless_something_was_predicted() -> None:
    assert error_rel("mark_idle_cpu_ns", 0, 0) == 0
    assert error_rel("mark_idle_cpu_ns", 7, 0) is None
    assert error_rel("heap_goal_bytes_mean", None, 7) is None


def test_a_comparison_has_both_numbers_and_the_noise() -> None:
    measured = {name: Measured(median=100, half_spread_rel=0.03) for name in METRIC_BY_NAME}
    found = compare_case({"throughput_rps": 110.0}, measured)
    assert list(found) == ["throughput_rps"]
    assert found["throughput_rps"].half_spread_rel == 0.03
    assert found["throughput_rps"].error_rel == pytest.approx(0.1)


def test_sums_are_of_absolute_errors_and_leave_micro_cases_out(short: Callable[..., Path]) -> None:
    records = [read_record(short("a__1")), read_record(short("b__1"))]
    records.append(read_record(short("m__1", workload={"name": "micro-x"})))
    measured = dict.fromkeys(METRIC_BY_NAME, 1000.0)
    for record in records:
        for repeat in record.repeats:
            repeat["requests"], repeat["elapsed_s"] = 1000, 1.0  # type: ignore[index]
    predictions = [
        Prediction(case=record.case, metrics=measured | {"throughput_rps": rps})
        for record, rps in zip(records, (900.0, 1300.0, 5000.0), strict=True)
    ]
    result = validate(records, predictions).as_dict()
    assert set(result["cases"]) == {"a__1", "b__1", "m__1"}
    assert result["median"]["throughput_rps"] == pytest.approx(0.2)
    assert result["mean"]["throughput_rps"] == pytest.approx(0.2)
    assert result["worst"]["throughput_rps"] == pytest.approx(0.3)


# ---- predicting --------------------------------------------------------------------------------------------


def test_a_prediction_has_every_metric_and_never_sees_the_measurement(
    gcsim: Gcsim, short: Callable[..., Path]
) -> None:
    with_repeats = gcsim("predict", short(), "--output", "json", "--seeds", 1)
    assert with_repeats.exit_code == 0, with_repeats.stderr
    predicted = json.loads(with_repeats.stdout)
    assert list(predicted) == [CASE]
    assert list(predicted[CASE]) == [metric.name for metric in METRICS]
    for repeats in ([], [{"num_gc": "nonsense"}]):
        assert (
            gcsim("predict", short(repeats=repeats), "--output", "json", "--seeds", 1).stdout
            == with_repeats.stdout
        )


def test_jobs_do_not_change_a_byte(gcsim: Gcsim, short: Callable[..., Path]) -> None:
    for name in ("a__1", "b__1"):
        short(name)
    folder = short("c__1", settings={"gogc": "50"}).parent
    one, two = (
        gcsim("predict", folder, "--output", "json", "--seeds", 2, "--jobs", jobs).stdout for jobs in (1, 2)
    )
    assert one == two
    assert list(json.loads(one)) == ["a__1", "b__1", "c__1"]


def test_a_prediction_is_the_median_over_seeds(gcsim: Gcsim, short: Callable[..., Path]) -> None:
    path = short()
    by_count = [
        json.loads(gcsim("predict", path, "--output", "json", "--seeds", n).stdout)[CASE] for n in (1, 3)
    ]
    assert by_count[0]["latency_ns_p999"] != by_count[1]["latency_ns_p999"]


def test_heap_means_are_of_whole_mib(gcsim: Gcsim, short: Callable[..., Path]) -> None:
    predicted = json.loads(gcsim("predict", short(), "--output", "json", "--seeds", 1).stdout)[CASE]
    collections = predicted["num_gc"]
    assert collections > 0
    for name in METRIC_BY_NAME:
        if name.startswith("heap_"):
            assert round(predicted[name] * collections, 3) % (1 << 20) == 0


def test_a_case_that_cannot_be_simulated_is_named_and_the_others_are_printed(
    gcsim: Gcsim, short: Callable[..., Path]
) -> None:
    good = short("good__1")
    odd = short("odd__1", settings={"go": "0.9"})
    lacking = short("lacking__1", workload={"garbage": "none"})
    done = gcsim("predict", good, odd, lacking, "--output", "json", "--seeds", 1, "--jobs", 1)
    assert done.exit_code == 1
    assert list(json.loads(done.stdout)) == ["good__1"]
    assert "Error: odd__1: " in done.stderr
    assert "Error: lacking__1: " in done.stderr
    assert done.stderr.count("Error: ") == 2


def test_a_file_that_is_no_record_is_a_usage_error(gcsim: Gcsim, tmp_path: Path) -> None:
    path = tmp_path / "x__y.json"
    path.write_text("[]")
    done = gcsim("predict", path)
    assert done.exit_code == 2
    assert str(path) in done.stderr


def test_a_profile_can_be_named(gcsim: Gcsim, short: Callable[..., Path]) -> None:
    path = short()
    plain = gcsim("predict", path, "--output", "json", "--seeds", 1)
    unknown = gcsim("predict", path, "--profile", "no-such")
    assert unknown.exit_code == 2
    assert "unknown machine profile" in unknown.stderr
    named = gcsim("predict", path, "--output", "json", "--seeds", 1, "--profile", "epyc-genoa-kvm")
    assert named.stdout == plain.stdout


# ---- validating --------------------------------------------------------------------------------------------


def test_validate_prints_both_numbers_noise_and_error(gcsim: Gcsim) -> None:
    done = gcsim("validate", DATA / f"{CASE}.json.gz", "--output", "json", "--seeds", 1)
    assert done.exit_code == 0, done.stderr
    result = json.loads(done.stdout)
    assert list(result) == ["cases", "median", "mean", "worst"]
    expected = json.loads((DATA / "expected.json").read_text())["measured"][CASE]
    for name, found in result["cases"][CASE].items():
        assert list(found) == ["predicted", "measured", "half_spread_rel", "error_rel"]
        assert found["measured"] == expected[name]["median"]
        if found["error_rel"] is not None and name != "num_gc":
            assert found["error_rel"] == pytest.approx(
                found["predicted"] / found["measured"] - 1 if found["measured"] else 0
            )
        assert name not in result["worst"] or result["worst"][name] == abs(found["error_rel"])


def test_validate_shows_the_formula_where_there_is_a_sibling(gcsim: Gcsim) -> None:
    done = gcsim("validate", DATA, "--seeds", 1, "--jobs", 1)
    assert done.exit_code == 0, done.stderr
    assert "formula there" in done.stdout
    alone = gcsim("validate", DATA / f"{CASE}.json.gz", "--seeds", 1)
    assert "formula there" not in alone.stdout


def test_validate_names_a_record_without_measurement(gcsim: Gcsim, short: Callable[..., Path]) -> None:
    done = gcsim(
        "validate", short("a__1"), short("b__1", repeats=[]), "--output", "json", "--seeds", 1, "--jobs", 1
    )
    assert done.exit_code == 1
    assert list(json.loads(done.stdout)["cases"]) == ["a__1"]
    assert "b__1" in done.stderr
    assert "nothing was measured" in done.stderr
