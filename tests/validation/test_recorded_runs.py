"""Predictions of recorded runs of real Go programs that no machine profile was fitted to."""

from __future__ import annotations

from statistics import median

import pytest

from tests.validation.compare import predict, recorded

# The first machine profile is hand-made: a tenth is what it has to reach on the two programs of the ordinary kind.
WITHIN = 0.10
CHECKED = (
    "num_gc",
    "heap_start_bytes_mean",
    "heap_peak_bytes_mean",
    "heap_goal_bytes_mean",
    "throughput_rps",
)
CASES = [
    f"{program}__go1.27.3_p2_gogc{gogc}"
    for program in ("cache-service", "pointer-graph")
    for gogc in (50, 100, 200, 400)
]


SEEDS = (1, 2, 3)  # as many as there are recorded runs of a case


@pytest.fixture(scope="module")
def predicted() -> dict[str, dict[str, float | None]]:
    """Medians over the seeds, as the measurements are medians over the recorded runs."""
    medians: dict[str, dict[str, float | None]] = {}
    for case in CASES:
        runs = [predict(case, seed) for seed in SEEDS]
        medians[case] = {name: median(run[name] or 0.0 for run in runs) for name in CHECKED}
    return medians


@pytest.mark.parametrize("metric", CHECKED)
@pytest.mark.parametrize("case", CASES)
def test_within_a_tenth_of_the_real_program(
    case: str, metric: str, predicted: dict[str, dict[str, float | None]]
) -> None:
    if metric == "num_gc":
        measured = recorded()[case]["measured"]["num_gc"]["median"]
        if abs((predicted[case]["num_gc"] or 0) - measured) <= 1:
            return  # with few collections one more or less is noise
    measured = recorded()[case]["measured"][metric]["median"]
    assert abs((predicted[case][metric] or 0.0) / measured - 1.0) <= WITHIN


def test_a_prediction_never_sees_the_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    case = CASES[-1]
    with_it = predict(case)
    monkeypatch.setitem(recorded(), case, {**recorded()[case], "measured": None})
    assert predict(case) == with_it
