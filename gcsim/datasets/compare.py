"""Two datasets beside each other: the difference of every metric, and whether it is more than chance.

With replications the interval of the difference is Student's t: paired, where both sides have the same seeds (then the
arrivals are the same ones and most of the noise cancels out), otherwise Welch's.  With one run on each side there is no
interval and nothing is called significant; the simulator is deterministic, so any difference is real for that seed.

Many metrics are compared at once: of twenty that do not differ, one is expected to look as if at 95 %.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from scipy import stats

from gcsim.datasets.metrics import METRICS
from gcsim.datasets.reader import Result
from gcsim.datasets.sweep import Each, SweepPoint, SweepResult

Method = Literal["paired", "welch", "single"]
CONFIDENCE_FRAC = 0.95

# Where more is better; of all other metrics less is, or neither.
MORE_IS_BETTER = frozenset({"throughput_rps", "requests", "mmu_1ms", "mmu_10ms", "mmu_100ms"})


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One metric of two sides: means, and B less A with its interval, all in the metric's unit.

    `low` and `high` are None with one run on a side.  `significant` is None where that cannot be said.
    """

    metric: str
    a: float | None
    b: float | None
    delta: float | None
    low: float | None
    high: float | None
    significant: bool | None

    @property
    def delta_frac(self) -> float | None:
        """The difference relative to A; None where A is 0 or a side has no value."""
        return None if self.delta is None or not self.a else self.delta / abs(self.a)


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """All metrics of one pair: two runs, replications, or the same point of two sweeps."""

    label: str
    method: Method
    runs_a: int
    runs_b: int
    differences: tuple[Difference, ...]


@dataclass(frozen=True, kw_only=True)
class Unmatched:
    """Points that only one of two sweeps has runs of."""

    only_a: tuple[str, ...] = ()
    only_b: tuple[str, ...] = ()


Side = Mapping[int, Mapping[str, float | int | None]]
"""Seed -> summary of its run."""


def compare(a: Result | SweepResult, b: Result | SweepResult) -> tuple[Sequence[Comparison], Unmatched]:
    """Compare two datasets; of two sweeps, the points that both have.

    A sweep is compared with a run or replications by each of its points.

    Returns:
        The comparisons, each made when it is asked for, and what could not be compared.
    """
    if isinstance(a, SweepResult) and isinstance(b, SweepResult):
        by_knobs = {_key(point): point for point in b.points if point.runs}
        known = {_key(point) for point in a.points if point.runs}
        pairs = [(p, by_knobs[_key(p)]) for p in a.points if p.runs and _key(p) in by_knobs]
        unmatched = Unmatched(
            only_a=tuple(p.label for p in a.points if p.runs and _key(p) not in by_knobs),
            only_b=tuple(p.label for p in b.points if p.runs and _key(p) not in known),
        )
        return Each(pairs, lambda pair: compare_sides(pair[0].label, *map(_side_of, pair))), unmatched
    if isinstance(a, SweepResult):
        assert isinstance(b, Result)
        side = _side(_runs(b))
        points = [point for point in a.points if point.runs]
        return Each(points, lambda p: compare_sides(p.label, _side_of(p), side)), Unmatched()
    if isinstance(b, SweepResult):
        side = _side(_runs(a))
        points = [point for point in b.points if point.runs]
        return Each(points, lambda p: compare_sides(p.label, side, _side_of(p))), Unmatched()
    return [compare_sides("", _side(_runs(a)), _side(_runs(b)))], Unmatched()


def _side_of(point: SweepPoint) -> Side:
    return _side(point.runs)


def _key(point: SweepPoint) -> str:
    """Points match by their knobs, so that sweeps of two specs, or of two releases, can be compared."""
    return repr(sorted(point.knobs.items()))


def _runs(result: Result) -> Sequence[Result]:
    return result.runs or (result,)


def _side(runs: Sequence[Result]) -> Side:
    return {run.manifest.identity.seed: run.summary for run in runs}


def compare_sides(label: str, a: Side, b: Side) -> Comparison:
    """Compare two sets of runs."""
    paired = set(a) == set(b)
    method: Method = "single" if min(len(a), len(b)) < 2 else "paired" if paired else "welch"
    seeds = sorted(set(a)), sorted(set(b))
    differences = []
    for metric in METRICS:
        sides = [
            [side[seed][metric.name] for seed in order] for side, order in zip((a, b), seeds, strict=True)
        ]
        known = [[float(v) for v in side if v is not None] for side in sides]
        if any(len(k) < len(s) for k, s in zip(known, sides, strict=True)):
            # A mean over the other runs would leave out just those where there was nothing to count.
            differences.append(
                Difference(
                    metric=metric.name, a=None, b=None, delta=None, low=None, high=None, significant=None
                )
            )
            continue
        differences.append(_difference(metric.name, known[0], known[1], method))
    return Comparison(
        label=label, method=method, runs_a=len(a), runs_b=len(b), differences=tuple(differences)
    )


def _difference(name: str, a: Sequence[float], b: Sequence[float], method: Method) -> Difference:
    mean_a, mean_b = math.fsum(a) / len(a), math.fsum(b) / len(b)
    delta = mean_b - mean_a
    low = high = None
    significant = None
    if method != "single":
        if method == "paired":
            each = [y - x for x, y in zip(a, b, strict=True)]
            error, degrees = math.sqrt(_variance(each) / len(each)), float(len(each) - 1)
        else:
            error, degrees = _welch(a, b)
        half = float(stats.t.ppf(0.5 + CONFIDENCE_FRAC / 2, degrees)) * error if error > 0 else 0.0
        low, high = delta - half, delta + half
        significant = low > 0 or high < 0
    return Difference(
        metric=name, a=mean_a, b=mean_b, delta=delta, low=low, high=high, significant=significant
    )


def _variance(values: Sequence[float]) -> float:
    mean = math.fsum(values) / len(values)
    return math.fsum((v - mean) ** 2 for v in values) / (len(values) - 1)


def _welch(a: Sequence[float], b: Sequence[float]) -> tuple[float, float]:
    """Standard error of the difference of two means, and Satterthwaite's degrees of freedom."""
    parts = [_variance(side) / len(side) for side in (a, b)]
    total = sum(parts)
    if total == 0:
        return 0.0, 1.0
    spread = sum(part**2 / (len(side) - 1) for part, side in zip(parts, (a, b), strict=True))
    return math.sqrt(total), total**2 / spread


def worse_by(difference: Difference) -> float | None:
    """By which fraction of A the metric got worse (negative: better); infinite from 0; None: a side has no value."""
    if difference.delta is None:
        return None
    delta = -difference.delta if difference.metric in MORE_IS_BETTER else difference.delta
    if not difference.a:
        return math.copysign(math.inf, delta) if delta else 0.0
    return delta / abs(difference.a)
