"""What may be asked for, and how far from it a setting is."""

import pytest

from gcsim.errors import SpecError
from gcsim.optimize.goals import FAILED, parse_goals


def test_goals_are_read_with_units_and_the_thresholds_of_the_spec() -> None:
    goals = parse_goals(
        minimize=["latency_ns_p99"],
        maximize=["throughput_rps"],
        subject_to=["memory_peak_bytes<512MiB", "gc_cpu_frac <= 25%"],
        thresholds={"latency_ns_max": "< 10ms", "num_forced_gc": "== 0"},
    )
    assert [str(goal) for goal in goals.objectives] == ["minimize latency_ns_p99", "maximize throughput_rps"]
    assert [(c.metric, c.threshold.bound) for c in goals.constraints] == [
        ("memory_peak_bytes", 512 << 20), ("gc_cpu_frac", 0.25), ("latency_ns_max", 10_000_000),
    ]  # fmt: skip
    assert goals.metrics == (
        "latency_ns_p99", "throughput_rps", "memory_peak_bytes", "gc_cpu_frac", "latency_ns_max",
    )  # fmt: skip


def test_violations_are_shares_of_the_bound_on_the_wrong_side() -> None:
    goals = parse_goals(minimize=["num_gc"], subject_to=["memory_peak_bytes<100B", "throughput_rps>=1000"])
    figures = {"num_gc": 3, "memory_peak_bytes": 110, "throughput_rps": 1500}
    assert goals.violations(figures) == pytest.approx((0.1, -0.5))
    assert goals.violations(figures | {"memory_peak_bytes": 100})[0] > 0  # < is strict
    assert goals.violations(figures | {"throughput_rps": 1000})[1] == 0
    assert goals.violations(figures | {"throughput_rps": None})[1] == FAILED


def test_the_front_is_of_objectives_and_conditions_less_being_better() -> None:
    goals = parse_goals(maximize=["throughput_rps"], subject_to=["memory_peak_bytes<1KiB", "mmu_10ms>0.5"])
    assert goals.trade_off({"throughput_rps": 7, "memory_peak_bytes": 3, "mmu_10ms": 0.25}) == [-7, 3, -0.25]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ({}, "nothing is to be minimised or maximised"),
        ({"minimize": ["latency_ns_p98"]}, "did you mean latency_ns_p99"),
        ({"minimize": ["num_gc"], "maximize": ["num_gc"]}, "is a goal already"),
        ({"minimize": ["num_gc"], "subject_to": ["memory_peak_bytes"]}, "is no condition"),
        (
            {"minimize": ["num_gc"], "subject_to": ["memory_peak_bytes<10ms"]},
            "does not fit memory_peak_bytes",
        ),
        ({"minimize": ["num_gc"], "subject_to": ["memory_peak_byte<1MiB"]}, "did you mean memory_peak_bytes"),
        ({"minimize": ["num_gc"], "subject_to": ["num_gc==3"]}, "write <, <=, > or >="),
        ({"minimize": ["num_gc"], "subject_to": ["num_gc<soon"]}, "is no number"),
    ],
)
def test_wrong_goals_say_what_to_write(words: dict[str, list[str]], text: str) -> None:
    with pytest.raises(SpecError, match=text):
        parse_goals(**words)


def test_every_wrong_goal_is_reported_at_once() -> None:
    with pytest.raises(SpecError) as raised:
        parse_goals(minimize=["fast"], maximize=["far"], subject_to=["small"])
    assert len(raised.value.problems) == 3
