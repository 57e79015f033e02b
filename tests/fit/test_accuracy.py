"""The accuracy report: complete, the same bytes every time, honest about what misses its target."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from gcsim.fit.accuracy import TARGETS, report_text, write_report
from gcsim.fit.compare import Validation, validate
from gcsim.fit.measured import METRIC_BY_NAME, measure
from gcsim.fit.predict import Prediction
from gcsim.fit.records import read_records

DATA = Path(__file__).parent / "data"


def validation(factor: float) -> Validation:
    """Two recorded cases and predictions that are all off by a factor."""
    records = read_records([DATA])
    predictions = [
        Prediction(
            case=record.case,
            metrics={name: (m.median or 0.0) * factor for name, m in measure(record).items()},
        )
        for record in records
    ]
    return validate(records, predictions)


def test_a_report_has_tables_and_pictures_and_the_same_bytes_each_time(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    for folder in ("one", "two"):
        write_report(validation(1.1), tmp_path / folder, seeds=3)
    names = {"README.md", "errors.json", "summary.png", "cases.png"}
    assert {path.name for path in (tmp_path / "one").iterdir()} == names
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    errors = json.loads((tmp_path / "one" / "errors.json").read_text())
    assert errors["median"]["throughput_rps"] == pytest.approx(0.1)
    text = (tmp_path / "one" / "README.md").read_text()
    assert all(f"`{name}`" in text for name in METRIC_BY_NAME if name != "mark_idle_cpu_ns")
    assert "summary.png" in text
    assert "cases.png" in text


def test_what_misses_its_target_is_said_and_what_meets_it_too() -> None:
    exact, far = report_text(validation(1.0), seeds=3), report_text(validation(1.3), seeds=3)
    assert "Beyond target" not in exact
    assert "No case is further off" in exact
    assert "Within target" not in far
    assert f"Beyond target, worst first:\n\n- `heap_goal_bytes_mean`: {0.3 / 0.02:.2f} times" in far
    assert far.count("times its target") == len(TARGETS)
    assert "Further off than 20 % on collections or heap" in far


def test_a_wide_spread_of_the_repeats_is_no_failure_of_the_prediction() -> None:
    result = validation(1.3)
    case = next(iter(result.cases))
    found = result.cases[case]["gc_cpu_ns"]
    assert found.is_off
    assert not replace(found, half_spread_rel=0.2).is_off
