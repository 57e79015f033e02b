"""From the runs of a search to a recommendation: which setting, how much better than the present one, how sure.

Settings are chosen by one set of seeds and judged by another: the best of thirty noisy means is partly the luckiest one,
and only runs that it was not chosen by tell how good it is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gcsim.datasets.compare import Comparison, Difference, compare_sides
from gcsim.datasets.pareto import pareto_front
from gcsim.datasets.run import replication_seed
from gcsim.datasets.schema import Knob
from gcsim.datasets.summary import Metrics, combine
from gcsim.datasets.sweep import RECOMMENDATION_NAME, SweepPoint
from gcsim.optimize.goals import Goals
from gcsim.optimize.search import Found, Means, loss_ranges, mean_figures, score
from gcsim.sweep.execute import write_whole

_VARIABLES = {"gogc": "GOGC", "gomemlimit": "GOMEMLIMIT", "gomaxprocs": "GOMAXPROCS"}
"""Column -> variable of Go's runtime."""


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One setting and its figures.

    Attributes:
        knobs: column -> value, as in the tables.
        environment: variables that set it, as Go reads them.
        summary: means and intervals (`gcsim.datasets.summary.combine`) over the runs that it is judged by.
        is_feasible: the means keep every condition.
        is_sure: the intervals lie wholly on the right side of every bound.
    """

    point_id: str
    label: str
    knobs: Mapping[str, Knob]
    environment: Mapping[str, str]
    summary: Metrics
    is_feasible: bool
    is_sure: bool

    def to_dict(self, metrics: Sequence[str]) -> dict[str, Any]:
        """As `recommendation.json` has it."""
        figures = {}
        for name in metrics:
            low, high = (self.summary[f"{name}_ci95_{end}"] for end in ("low", "high"))
            figures[name] = {"mean": self.summary[name], "ci95_low": low, "ci95_high": high}
        return {
            "point_id": self.point_id,
            "label": self.label,
            "knobs": dict(self.knobs),
            "environment": dict(self.environment),
            "replications": self.summary["replications"],
            "feasible": self.is_feasible,
            "surely_feasible": self.is_sure,
            "metrics": figures,
        }


@dataclass(frozen=True, kw_only=True)
class Advice:
    """What a search comes to.

    Attributes:
        front: settings that no other one beats in the objectives and the metrics of the conditions, by the first of
            these; feasible ones only, if there are any.
        recommended: the best setting that keeps the conditions, or what came nearest.
        comparison: the present setting (A) and the recommended one (B), by the seeds that neither was chosen by.
        warnings: what to know before believing it.
    """

    goals: Goals
    space: tuple[str, ...]
    settings: int
    runs: int
    failed: int
    front: tuple[Candidate, ...]
    present: Candidate
    recommended: Candidate
    comparison: Comparison
    warnings: tuple[str, ...]

    @property
    def differences(self) -> list[Difference]:
        """Of the objectives and the metrics of the conditions."""
        by_name = {difference.metric: difference for difference in self.comparison.differences}
        return [by_name[name] for name in self.goals.metrics]

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; bytes, ns and shares as in the tables."""
        metrics = self.goals.metrics
        return {
            "objectives": [str(goal) for goal in self.goals.objectives],
            "constraints": [str(constraint) for constraint in self.goals.constraints],
            "space": list(self.space),
            "settings": self.settings,
            "runs": self.runs,
            "failed": self.failed,
            "recommended": self.recommended.to_dict(metrics),
            "present": self.present.to_dict(metrics),
            "differences": [
                {
                    "metric": d.metric, "present": d.a, "recommended": d.b, "difference": d.delta, "ci95_low": d.low,
                    "ci95_high": d.high, "significant": d.significant,
                }
                for d in self.differences
            ],
            "front": [candidate.to_dict(metrics) for candidate in self.front],
            "warnings": list(self.warnings),
        }  # fmt: skip


def advise(found: Found) -> Advice:
    """Judge what a search found."""
    goals = found.request.goals
    points = {point.point_id: point for point in found.sweep.points}
    tried = [points[name] for name in found.tried if not points[name].failures]
    searched = [mean_figures(list(_chosen_by(found, point).values()), goals.metrics) for point in tried]
    ranges = loss_ranges(goals, searched)
    front = _front(goals, tried)
    sides = {name: _judged_by(found, points[name]) for name in found.confirmed}
    finalists = [_candidate(goals, points[name], sides[name]) for name in found.confirmed]
    present = next(c for c in finalists if c.point_id == found.present)
    recommended = min(finalists, key=lambda c: _rank(goals, c, ranges))
    comparison = compare_sides(recommended.label, sides[present.point_id], sides[recommended.point_id])
    return Advice(
        goals=goals,
        space=tuple(map(str, found.space.dimensions)),
        settings=len(found.tried),
        runs=len(found.sweep.runs),
        failed=len(found.sweep.failures),
        front=front,
        present=present,
        recommended=recommended,
        comparison=comparison,
        warnings=tuple(_warnings(goals, found, present, recommended, comparison)),
    )


def write_advice(advice: Advice, directory: Path) -> None:
    """Write `recommendation.json`."""
    text = json.dumps(advice.to_dict(), indent=2, ensure_ascii=False, allow_nan=False)
    write_whole(directory / RECOMMENDATION_NAME, text + "\n")


Side = dict[int, Metrics]
"""Seed -> summary of its run."""


def _chosen_by(found: Found, point: SweepPoint) -> Side:
    """The runs that the search saw."""
    seeds = [replication_seed(found.request.seed, n) for n in range(found.request.replications)]
    by_seed = {run.manifest.identity.seed: run.summary for run in point.runs}
    return {seed: by_seed[seed] for seed in seeds if seed in by_seed}


def _judged_by(found: Found, point: SweepPoint) -> Side:
    """The runs that the search did not see; without any, those that it saw."""
    seen = _chosen_by(found, point)
    fresh = {run.manifest.identity.seed: run.summary for run in point.runs}
    return {seed: summary for seed, summary in fresh.items() if seed not in seen} or seen


def _candidate(goals: Goals, point: SweepPoint, side: Mapping[int, Metrics]) -> Candidate:
    summary = combine(side.values())
    return Candidate(
        point_id=point.point_id,
        label=point.label,
        knobs=point.knobs,
        environment=environment(point.label),
        summary=summary,
        is_feasible=all(violation <= 0 for violation in goals.violations(summary)),
        is_sure=_is_sure(goals, summary),
    )


def _is_sure(goals: Goals, summary: Metrics) -> bool:
    for constraint in goals.constraints:
        end = "high" if constraint.wants_less else "low"
        value = summary[f"{constraint.metric}_ci95_{end}"]
        if constraint.violation(summary[constraint.metric] if value is None else value) > 0:
            return False
    return True


def _rank(goals: Goals, candidate: Candidate, ranges: Sequence[tuple[float, float]]) -> tuple[float, ...]:
    figures: Means = {name: candidate.summary[name] for name in goals.metrics}
    missed, losses = score(goals, figures, ranges)
    return missed, float(not candidate.is_sure), losses


def _front(goals: Goals, tried: Sequence[SweepPoint]) -> tuple[Candidate, ...]:
    found = [_candidate(goals, p, {run.manifest.identity.seed: run.summary for run in p.runs}) for p in tried]
    kept = [candidate for candidate in found if candidate.is_feasible] or found
    rows = [goals.trade_off(candidate.summary) for candidate in kept]
    best = [(row, c) for row, c, on_front in zip(rows, kept, pareto_front(rows), strict=True) if on_front]
    # Rows on a front have a value everywhere.
    return tuple(c for _, c in sorted(best, key=lambda pair: [v for v in pair[0] if v is not None]))


def environment(label: str) -> dict[str, str]:
    """The variables of Go's runtime that a setting sets, as it reads them.

    Args:
        label: of a point, ``gogc=200 gomemlimit=512MiB``; what is no variable is left out.
    """
    found = {}
    for word in label.split():
        column, _, value = word.partition("=")
        if column in _VARIABLES and value != "null":
            found[_VARIABLES[column]] = value
    return found


def _warnings(
    goals: Goals, found: Found, present: Candidate, recommended: Candidate, comparison: Comparison
) -> list[str]:
    words = []
    if not recommended.is_feasible:
        missed = _missed(goals, recommended)
        words.append(
            f"no setting keeps every condition; {recommended.label} comes nearest: {'; '.join(missed)}"
        )
    elif not recommended.is_sure:
        words.append(
            "the mean keeps every condition, but an interval reaches over a bound; run more replications, or ask for a "
            "bound with some room"
        )
    if recommended.point_id == present.point_id:
        words.append("nothing better was found than the present setting")
        return words
    if recommended.is_feasible and not present.is_feasible:
        words.append(
            f"the present setting does not keep every condition: {'; '.join(_missed(goals, present))}"
        )
    by_name = {difference.metric: difference for difference in comparison.differences}
    differences = [by_name[goal.metric] for goal in goals.objectives]
    if comparison.method == "single":
        words.append("one run of each setting says nothing about chance; use --confirm or --replications")
    elif present.is_feasible and not any(difference.significant for difference in differences):
        names = ", ".join(difference.metric for difference in differences)
        words.append(f"no significant difference from the present setting in {names}: no reason to change")
    words += _edges(found, recommended)
    return words


def _missed(goals: Goals, candidate: Candidate) -> list[str]:
    """The conditions that a setting does not keep, with what it has instead."""
    words = []
    for constraint in goals.constraints:
        value = candidate.summary[constraint.metric]
        violation = constraint.violation(value)
        if value is None:
            words.append(f"{constraint} has no value")
        elif violation > 0:
            words.append(f"{constraint} is missed by {100 * violation:.1f} %")
    return words


def _edges(found: Found, recommended: Candidate) -> list[str]:
    """Ranges at whose end the recommended setting lies: the best may be beyond."""
    texts = dict(word.partition("=")[::2] for word in recommended.label.split())
    words = []
    for dimension in found.space.dimensions:
        if dimension.values or dimension.column not in texts:
            continue
        place = dimension.place_of(texts[dimension.column])
        if place is None or texts[dimension.column] == "off":
            continue
        if place < 0.01 or (place > 0.99 and not dimension.off):
            numbers = str(dimension).partition("=")[2]
            words.append(f"{dimension.column} lies at an end of its range {numbers}: try a wider --range")
    return words
