"""The syntax of thresholds."""

from __future__ import annotations

import math

import pytest

from gcsim.spec.thresholds import parse_threshold


@pytest.mark.parametrize(
    ("text", "relation", "bound", "unit"),
    [
        ("<10ms", "<", 10_000_000, "ns"),
        ("<= 512MiB", "<=", 512 << 20, "bytes"),
        (">= 1000", ">=", 1000, ""),
        ("> 1.5", ">", 1.5, ""),
        ("== 0", "==", 0, ""),
        ("!=3", "!=", 3, ""),
        ("<25%", "<", 0.25, "frac"),
        ("  <  1e3  ", "<", 1000, ""),
        ("> -1", ">", -1, ""),
    ],
)
def test_conditions(text: str, relation: str, bound: float, unit: str) -> None:
    threshold = parse_threshold(text)
    assert (threshold.text, threshold.relation, threshold.bound, threshold.unit) == (
        text,
        relation,
        bound,
        unit,
    )


@pytest.mark.parametrize(
    "text", ["", "10ms", "=5", "<>5", "< ", "<nan", "<inf", "<10 apples", "5<", "<5 6", "<1e999"]
)
def test_what_is_no_condition_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="; write "):
        parse_threshold(text)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("<10", {9.9: True, 10: False, 11: False}),
        ("<=10", {10: True, 10.1: False}),
        (">10", {10: False, 10.1: True}),
        (">=10", {10: True, 9.9: False}),
        ("==10", {10: True, 9: False}),
        ("!=10", {10: False, 9: True}),
    ],
)
def test_holds(text: str, values: dict[float, bool]) -> None:
    for value, met in values.items():
        assert parse_threshold(text).holds(value) is met


def test_nothing_measured_meets_no_bound() -> None:
    assert not parse_threshold("<10").holds(math.nan)
    assert not parse_threshold(">10").holds(math.nan)
