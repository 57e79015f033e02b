"""When a point has enough replications."""

import pytest

from gcsim.datasets.metrics import METRICS
from gcsim.datasets.stopping import StopRule, parse_stop_rule
from gcsim.errors import SpecError


def rows(*values: float | None) -> list[dict[str, float | None]]:
    return [{metric.name: value for metric in METRICS} for value in values]


def test_looks_come_with_half_as_many_again_and_end_at_the_most() -> None:
    assert StopRule(least=3, most=20, widths={}).looks == (3, 5, 8, 12, 18, 20)
    assert StopRule(least=2, most=3, widths={}).looks == (2, 3)


def test_half_the_interval_is_compared_with_the_mean() -> None:
    """Of 99 and 101 the half width is 12.706 x 1.414 / 1.414 = 12.7 with the t of one degree of freedom."""
    assert not StopRule(least=2, most=9, widths={"num_gc": 0.127}).is_met(rows(99.0, 101.0))
    assert StopRule(least=2, most=9, widths={"num_gc": 0.128}).is_met(rows(99.0, 101.0))


def test_nothing_to_count_is_never_narrow_and_always_zero_is() -> None:
    rule = StopRule(least=2, most=9, widths={"num_gc": 0.01})
    assert not rule.is_met(rows(5.0, None))
    assert rule.is_met(rows(0.0, 0.0))
    assert not rule.is_met(rows(-1.0, 1.0))


def test_all_metrics_have_to_be_narrow() -> None:
    rule = parse_stop_rule(["num_gc<50%", " latency_ns_p99 < 0.5 % "], least=2, most=9)
    assert rule.widths == {"num_gc": 0.5, "latency_ns_p99": 0.005}
    assert not rule.is_met(rows(99.0, 101.0))
    assert StopRule.from_dict(rule.to_dict()) == rule


@pytest.mark.parametrize(
    ("texts", "least", "most", "words"),
    [
        (["latency_ns_p98<2%"], 3, 9, "did you mean latency_ns_p99"),
        (["num_gc<2"], 3, 9, "is no rule"),
        (["num_gc<0%"], 3, 9, "is no rule"),
        (["num_gc<2%"], 1, 9, "is no range to stop in"),
        (["num_gc<2%"], 5, 5, "is no range to stop in"),
    ],
)
def test_wrong_rules_say_what_to_write(texts: list[str], least: int, most: int, words: str) -> None:
    with pytest.raises(SpecError, match=words):
        parse_stop_rule(texts, least=least, most=most)
