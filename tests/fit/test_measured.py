"""What records measured, and the guide's formula, against figures computed from the same records by others."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gcsim.errors import SpecError
from gcsim.fit.formula import FORMULA_METRICS, formula_predictions
from gcsim.fit.measured import METRIC_BY_NAME, measure
from gcsim.fit.records import Record, read_record, read_records

DATA = Path(__file__).parent / "data"
EXPECTED: dict[str, Any] = json.loads((DATA / "expected.json").read_text())
AT_100, AT_200 = (f"pointer-graph__go1.27.3_p1_gogc{gogc}" for gogc in (100, 200))


def record(case: str) -> Record:
    return read_record(DATA / f"{case}.json.gz")


@pytest.mark.parametrize("case", [AT_100, AT_200])
def test_medians_and_spreads_are_those_computed_elsewhere(case: str) -> None:
    measured = measure(record(case))
    assert list(measured) == list(METRIC_BY_NAME)
    assert {
        name: {"median": found.median, "half_spread_rel": found.half_spread_rel}
        for name, found in measured.items()
    } == EXPECTED["measured"][case]


def test_a_record_without_repeats_has_no_measurement() -> None:
    with pytest.raises(SpecError, match="nothing was measured"):
        measure(replace(record(AT_100), repeats=()))


def test_every_field_missing_from_a_repeat_is_named() -> None:
    whole = record(AT_100)
    repeat = {name: value for name, value in whole.repeats[1].items() if name not in ("num_gc", "latency_ns")}
    with pytest.raises(SpecError) as caught:
        measure(replace(whole, repeats=(whole.repeats[0], repeat)))
    assert len(caught.value.problems) == 5  # num_gc and four quantiles
    assert {problem.path for problem in caught.value.problems} == {"$.repeats[1]"}


def test_the_formula_errs_as_computed_elsewhere() -> None:
    records = read_records([DATA])
    predicted = formula_predictions(records)
    assert list(predicted) == [AT_200]
    measured = measure(record(AT_200))
    expected = EXPECTED["formula_error_rel"][AT_200]
    assert set(expected) == set(FORMULA_METRICS) == set(predicted[AT_200])
    for name, error in expected.items():
        value, truth = predicted[AT_200][name], measured[name].median
        assert value is not None
        assert truth
        assert value / truth - 1 == pytest.approx(error, abs=1e-12)


@pytest.mark.parametrize(
    "changed", [{"memlimit": "100MiB"}, {"gogc": "off"}, {"procs": 2}, {"go": "1.22.10"}]
)
def test_the_formula_has_nothing_to_say_without_a_sibling_at_100(changed: dict[str, Any]) -> None:
    other = record(AT_200)
    other = replace(other, settings={**other.settings, **changed})
    assert formula_predictions([record(AT_100), other]) == {}
    assert formula_predictions([record(AT_200)]) == {}
