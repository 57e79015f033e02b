"""Predictions of recorded runs of real Go programs that no machine profile was fitted to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gcsim.fit.compare import error_rel
from gcsim.fit.predict import Case, Metrics, predict_case

RECORDED: dict[str, Any] = json.loads((Path(__file__).parent / "recorded_runs.json").read_text())

# A tenth is what predictions have to reach on the two programs of the ordinary kind, whatever the profile.
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


@pytest.fixture(scope="module")
def predicted() -> dict[str, Metrics]:
    """As `gcsim predict` does: medians over seeds, as the measurements are medians over the recorded runs."""
    found = {}
    for case in CASES:
        header = RECORDED[case]
        prediction = predict_case(Case(name=case, workload=header["workload"], settings=header["settings"]))
        assert prediction.error is None
        found[case] = prediction.metrics
    return found


@pytest.mark.parametrize("metric", CHECKED)
@pytest.mark.parametrize("case", CASES)
def test_within_a_tenth_of_the_real_program(case: str, metric: str, predicted: dict[str, Metrics]) -> None:
    error = error_rel(metric, predicted[case][metric], RECORDED[case]["measured"][metric]["median"])
    assert error is not None
    assert abs(error) <= WITHIN
