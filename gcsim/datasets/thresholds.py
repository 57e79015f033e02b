"""The thresholds of a spec against the summary of its run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gcsim.datasets.metrics import METRIC_BY_NAME, metric_remedy
from gcsim.errors import Problem, SpecError
from gcsim.spec.models import Spec
from gcsim.spec.thresholds import parse_threshold

# Unit of a bound -> how the unit of a metric must begin.  A bound without unit fits every metric.
_FITS = {"ns": ("ns",), "bytes": ("bytes",), "frac": ("1",)}


@dataclass(frozen=True, kw_only=True)
class ThresholdOutcome:
    """One threshold: `measured` is None where the run had nothing to count, and then it is not met."""

    metric: str
    condition: str
    measured: int | float | None
    met: bool


def check_thresholds(spec: Spec) -> None:
    """Raise SpecError unless every threshold names a metric and has a bound of its unit.

    The spec's own validation knows a condition's syntax but not the metrics, which belong to the datasets.
    """
    found = (
        threshold_problem(name, condition, path=f"$.thresholds.{name}")
        for name, condition in spec.thresholds.items()
    )
    problems = [problem for problem in found if problem is not None]
    if problems:
        raise SpecError(problems, source=spec.name)


def threshold_problem(name: str, condition: str, *, path: str) -> Problem | None:
    """What is wrong with a condition on a metric: no such metric, or a bound of another unit.

    Args:
        condition: of a syntax that is known to be right.
    """
    metric = METRIC_BY_NAME.get(name)
    unit = parse_threshold(condition).unit
    if metric is None:
        return Problem(path=path, value=repr(name), message="is no metric", remedy=metric_remedy(name))
    if unit and not metric.unit.startswith(_FITS[unit]):
        message = f"does not fit {name}, which is in {metric.unit}"
        return Problem(path=path, value=repr(condition), message=message, remedy="use its unit")
    return None


def evaluate_thresholds(
    thresholds: Mapping[str, str], summary: Mapping[str, int | float | None]
) -> list[ThresholdOutcome]:
    """Every threshold with the measured value (with replications: their mean) and whether it is met."""
    outcomes = []
    for name, condition in thresholds.items():
        measured = summary[name]
        met = measured is not None and parse_threshold(condition).holds(measured)
        outcomes.append(ThresholdOutcome(metric=name, condition=condition, measured=measured, met=met))
    return outcomes
