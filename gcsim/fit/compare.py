"""Predicted beside measured: relative errors per case and metric, and their medians, means and worst."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import fmean, median

from gcsim.errors import SpecError
from gcsim.fit.formula import formula_predictions
from gcsim.fit.measured import METRICS, Measured, Number, measure
from gcsim.fit.predict import Prediction
from gcsim.fit.records import Record

JsonValue = Number | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One metric of one case.

    Attributes:
        predicted, measured: None where there was nothing to count.
        half_spread_rel: half the spread of the repeats, relative to their median: noise no prediction can beat.
        error_rel: signed, predicted / measured - 1; None where it is relative to nothing.
    """

    predicted: Number | None
    measured: Number | None
    half_spread_rel: float | None
    error_rel: float | None

    @property
    def is_off(self) -> bool:
        """Whether the error is more than a tenth and more than the repeats differ from each other."""
        return abs(self.error_rel or 0.0) > max(0.1, 2 * (self.half_spread_rel or 0.0))


def error_rel(name: str, predicted: Number | None, measured: Number | None) -> float | None:
    """The signed relative error of a metric.

    With few collections one more or less is noise: an error in num_gc counts from more than one collection up.
    """
    if predicted is None or measured is None:
        return None
    if predicted == measured or (name == "num_gc" and abs(predicted - measured) <= 1):
        return 0.0
    return predicted / measured - 1 if measured else None


def compare_case(
    predicted: Mapping[str, Number | None], measured: Mapping[str, Measured]
) -> dict[str, Comparison]:
    """Every compared metric of one case; what the prediction does not cover is left out."""
    return {
        metric.name: Comparison(
            predicted=predicted[metric.name],
            measured=measured[metric.name].median,
            half_spread_rel=measured[metric.name].half_spread_rel,
            error_rel=error_rel(metric.name, predicted[metric.name], measured[metric.name].median),
        )
        for metric in METRICS
        if metric.name in predicted
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Errors:
    """Absolute relative errors of one metric over cases, as fractions; `cases` of them had one."""

    median: float
    mean: float
    worst: float
    worst_case: str
    cases: int


def summarise(cases: Mapping[str, Mapping[str, Comparison]]) -> dict[str, Errors]:
    """Errors by metric over all cases that have one."""
    found = {}
    for metric in METRICS:
        errors = {
            case: abs(row[metric.name].error_rel or 0.0)
            for case, row in cases.items()
            if metric.name in row and row[metric.name].error_rel is not None
        }
        if errors:
            worst_case = max(errors, key=lambda case: errors[case])
            found[metric.name] = Errors(
                median=median(errors.values()),
                mean=fmean(errors.values()),
                worst=errors[worst_case],
                worst_case=worst_case,
                cases=len(errors),
            )
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Validation:
    """All cases compared.

    Attributes:
        cases: by case and metric, in the order of the records.
        formula: the same for the formula of the Go GC guide, where it has something to say (see `gcsim.fit.formula`).
        micro: cases that isolate one cost; a profile may have been calibrated from them.
        failed: by case, why it could not be compared.
    """

    cases: dict[str, dict[str, Comparison]]
    formula: dict[str, dict[str, Comparison]]
    micro: frozenset[str]
    failed: dict[str, str]

    @property
    def checked(self) -> dict[str, dict[str, Comparison]]:
        """The cases that check predictions: all but micro cases, unless there are no others."""
        return {case: row for case, row in self.cases.items() if case not in self.micro} or self.cases

    @property
    def errors(self) -> dict[str, Errors]:
        """Errors of the predictions, over the checked cases."""
        return summarise(self.checked)

    @property
    def errors_where_formula(self) -> dict[str, Errors]:
        """Errors of the predictions over the cases that the formula covers too."""
        return summarise({case: row for case, row in self.checked.items() if case in self.formula})

    @property
    def formula_errors(self) -> dict[str, Errors]:
        """Errors of the formula."""
        return summarise({case: row for case, row in self.formula.items() if case in self.checked})

    @property
    def noise(self) -> dict[str, float]:
        """Median over the checked cases of half the spread between repeats, relative."""
        spreads = {
            metric.name: [
                row[metric.name].half_spread_rel or 0.0
                for row in self.checked.values()
                if row[metric.name].half_spread_rel is not None
            ]
            for metric in METRICS
        }
        return {name: median(found) for name, found in spreads.items() if found}

    def as_dict(self) -> dict[str, dict[str, object]]:
        """`{cases: {case: {metric: {...}}}, median: {metric: x}, mean: {...}, worst: {...}}`.

        Errors are fractions; the last three are absolute and over the checked cases.
        """
        errors = self.errors
        return {
            "cases": {
                case: {
                    name: {
                        "predicted": found.predicted,
                        "measured": found.measured,
                        "half_spread_rel": found.half_spread_rel,
                        "error_rel": found.error_rel,
                    }
                    for name, found in row.items()
                }
                for case, row in self.cases.items()
            },
            "median": {name: found.median for name, found in errors.items()},
            "mean": {name: found.mean for name, found in errors.items()},
            "worst": {name: found.worst for name, found in errors.items()},
        }


def validate(records: Iterable[Record], predictions: Iterable[Prediction]) -> Validation:
    """Compare predictions with what their records measured.

    Args:
        predictions: one per record, in the same order.
    """
    records = list(records)
    cases, failed, measured = dict[str, dict[str, Comparison]](), dict[str, str](), {}
    for record, prediction in zip(records, predictions, strict=True):
        try:
            measured[record.case] = measure(record)
        except SpecError as error:
            failed[record.case] = str(error)
            continue
        if prediction.error is not None:
            failed[record.case] = prediction.error
        else:
            cases[record.case] = compare_case(prediction.metrics, measured[record.case])
    by_formula = formula_predictions(record for record in records if record.case in measured)
    return Validation(
        cases=cases,
        formula={
            case: compare_case(predicted, measured[case])
            for case, predicted in by_formula.items()
            if case in cases
        },
        micro=frozenset(record.case for record in records if record.is_micro),
        failed=failed,
    )
