"""What is wanted: metrics to minimise or maximise, and conditions to keep."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gcsim.datasets.metrics import METRIC_BY_NAME, metric_remedy
from gcsim.datasets.thresholds import threshold_problem
from gcsim.errors import Problem, SpecError
from gcsim.spec.thresholds import Threshold, parse_threshold

_CONSTRAINT = re.compile(r"\s*([A-Za-z][A-Za-z0-9_]*)\s*([<>=!].*)")
FAILED = 1e3
"""Violation of a setting that has no figures: further from feasible than any that has."""

Figures = Mapping[str, float | int | None]


@dataclass(frozen=True, kw_only=True)
class Goal:
    """A metric to make small, or large."""

    metric: str
    maximize: bool = False

    def loss(self, value: float) -> float:
        """Less is better."""
        return -value if self.maximize else value

    def __str__(self) -> str:
        return f"{'maximize' if self.maximize else 'minimize'} {self.metric}"


@dataclass(frozen=True, kw_only=True)
class Constraint:
    """A condition on the mean of a metric."""

    metric: str
    threshold: Threshold

    @property
    def wants_less(self) -> bool:
        """Whether smaller values are the safe ones."""
        return self.threshold.relation in ("<", "<=")

    def violation(self, value: float | int | None) -> float:
        """By which share of the bound it is missed; 0 or less: it is kept.  A missing value is `FAILED`."""
        if value is None:
            return FAILED
        bound = self.threshold.bound
        over = (value - bound if self.wants_less else bound - value) / (abs(bound) or 1.0)
        return min(over, 0.0) if self.threshold.holds(value) else max(over, 1e-12)

    def __str__(self) -> str:
        return f"{self.metric}{self.threshold.text.strip()}"


@dataclass(frozen=True, kw_only=True)
class Goals:
    """All that is wanted."""

    objectives: tuple[Goal, ...]
    constraints: tuple[Constraint, ...] = ()

    @property
    def metrics(self) -> tuple[str, ...]:
        """Metrics of the objectives, then those of the constraints, each once."""
        names = [goal.metric for goal in self.objectives] + [c.metric for c in self.constraints]
        return tuple(dict.fromkeys(names))

    def losses(self, figures: Figures) -> tuple[float, ...] | None:
        """Of every objective; None if one has no value."""
        values = [figures[goal.metric] for goal in self.objectives]
        known = [value for value in values if value is not None]
        if len(known) < len(values):
            return None
        return tuple(goal.loss(value) for goal, value in zip(self.objectives, known, strict=True))

    def violations(self, figures: Figures) -> tuple[float, ...]:
        """Of every constraint."""
        return tuple(constraint.violation(figures[constraint.metric]) for constraint in self.constraints)

    def trade_off(self, figures: Figures) -> list[float | None]:
        """What the Pareto front is of, less is better: the objectives, and the metrics of the constraints."""
        row: dict[str, float | None] = {}
        for constraint in self.constraints:
            value = figures[constraint.metric]
            row[constraint.metric] = value if value is None or constraint.wants_less else -value
        for goal in self.objectives:
            value = figures[goal.metric]
            row[goal.metric] = None if value is None else goal.loss(value)
        return [row[name] for name in self.metrics]


def parse_goals(
    *,
    minimize: Sequence[str] = (),
    maximize: Sequence[str] = (),
    subject_to: Sequence[str] = (),
    thresholds: Mapping[str, str] | None = None,
) -> Goals:
    """Goals from the command line's words.

    Args:
        minimize, maximize: metrics.
        subject_to: conditions such as ``memory_peak_bytes<512MiB``.
        thresholds: those of the spec, metric -> condition; they hold as well.  ``==`` and ``!=`` are left out.
    Raises:
        SpecError: with every word that is no goal.
    """
    problems: list[Problem] = []
    objectives: list[Goal] = []
    for words, largest in ((minimize, False), (maximize, True)):
        for word in words:
            name = word.strip()
            if name not in METRIC_BY_NAME:
                remedy = metric_remedy(name)
                problems.append(Problem(path="$", value=repr(word), message="is no metric", remedy=remedy))
            elif any(goal.metric == name for goal in objectives):
                problems.append(
                    Problem(
                        path="$", value=repr(word), message="is a goal already", remedy="keep one of them"
                    )
                )
            else:
                objectives.append(Goal(metric=name, maximize=largest))
    if not objectives and not problems:
        remedy = "give --minimize METRIC or --maximize METRIC, such as --minimize latency_ns_p99"
        problems.append(Problem(path="$", message="nothing is to be minimised or maximised", remedy=remedy))
    constraints: list[Constraint] = []
    for text in subject_to:
        match = _CONSTRAINT.fullmatch(text)
        message, remedy = "is no condition", "write METRIC<BOUND such as memory_peak_bytes<512MiB"
        if match is not None:
            try:
                threshold = parse_threshold(match[2])
            except ValueError as error:
                message, _, remedy = str(error).partition("; ")
            else:
                found = threshold_problem(match[1], match[2], path="$")
                if found is None and threshold.relation not in ("==", "!="):
                    constraints.append(Constraint(metric=match[1], threshold=threshold))
                    continue
                message = "can hardly be met by a simulated mean" if found is None else found.message
                remedy = "write <, <=, > or >=" if found is None else found.remedy
        problems.append(Problem(path="$", value=repr(text), message=message, remedy=remedy))
    if problems:
        raise SpecError(problems, source="goals")
    for metric, condition in (thresholds or {}).items():
        threshold = parse_threshold(condition)
        if threshold.relation not in ("==", "!="):
            constraints.append(Constraint(metric=metric, threshold=threshold))
    return Goals(objectives=tuple(objectives), constraints=tuple(constraints))
