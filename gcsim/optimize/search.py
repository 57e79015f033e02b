"""The search: batches of settings from Optuna, run like points of a sweep, and the best few confirmed.

TPE models where good settings lie and asks for the next ones there.  *Rejected:* a Gaussian process (Optuna's needs
torch, 200 MB); scipy's optimisers (none takes conditions, lists and noise together); more rounds of a grid (every
dimension multiplies the runs).
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.stats import qmc

from gcsim.datasets.reader import load
from gcsim.datasets.sweep import RUNS_DIR, SweepResult, load_sweep, write_sweep_tables
from gcsim.datasets.thresholds import check_thresholds
from gcsim.errors import DatasetError, GcsimError
from gcsim.optimize.goals import FAILED, Goals
from gcsim.optimize.space import Space, check_ranges, make_space, present_row
from gcsim.runtime import gomaxprocs_of
from gcsim.spec.digest import canonical_json
from gcsim.spec.models import Spec
from gcsim.sweep.execute import (
    SweepInterrupted,
    SweepProgress,
    SweepRunner,
    begin_sweep,
    describe,
    write_description,
    write_whole,
)
from gcsim.sweep.executor import Executor
from gcsim.sweep.plan import Point, SweepPlan, plan_sweep
from gcsim.version import ENGINE_VERSION

if TYPE_CHECKING:
    from optuna.trial import Trial

ASKED_NAME = "optimize.json"
FIRST_SHARE = 0.3  # of the budget: settings that cover the space evenly, for the model to begin with
CONFIRMED = 3
"""Settings that are confirmed with fresh seeds, beside the present one."""
_REPEATS = 25  # settings asked for again, per one wanted, until the space counts as used up


class OptunaMissingError(GcsimError):
    """The optimiser is not installed."""

    def __init__(self) -> None:
        super().__init__("Optuna is not installed; pip install 'gcsim[optimize]'")


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is asked for.  Everything here decides the result, and nothing else does.

    Attributes:
        over: path -> words of its range, empty for the default (`gcsim.optimize.space.parse_over`).
        budget: settings to try, the present one among them.
        batch: settings that are asked for at once; the optimiser learns nothing within a batch.
        replications: runs of each setting.
        confirm: runs of the best few with seeds that the search has not used; 0: none.
    """

    spec: Spec
    goals: Goals
    over: Mapping[str, tuple[str, ...]]
    budget: int = 30
    batch: int = 4
    replications: int = 3
    confirm: int = 5
    seed: int

    def to_dict(self) -> dict[str, Any]:
        """As `optimize.json` has it."""
        return {
            "engine_version": ENGINE_VERSION,
            "objectives": [asdict(goal) for goal in self.goals.objectives],
            "constraints": [str(constraint) for constraint in self.goals.constraints],
            "over": {path: list(words) for path, words in self.over.items()},
            "budget": self.budget,
            "batch": self.batch,
            "replications": self.replications,
            "confirm": self.confirm,
            "seed": self.seed,
            "spec": json.loads(canonical_json(self.spec)),
        }


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a search leaves: the sweep with all its runs, and which points are which."""

    request: Request
    space: Space
    sweep: SweepResult
    present: str
    """Point id of the spec's own setting."""
    tried: tuple[str, ...]
    """Point ids in the order in which they were asked for; the present one first."""
    confirmed: tuple[str, ...]
    """Point ids of those with further runs, the best by the search's own figures first, the present one last."""


def search(
    request: Request,
    directory: Path,
    *,
    jobs: int | None = None,
    resume: bool = False,
    executor: Callable[[Path], Executor] | None = None,
    progress: Callable[[SweepProgress], None] | None = None,
    stop: threading.Event | None = None,
) -> Found:
    """Look for the best setting.

    Args:
        directory: of the sweep that the runs make; other arguments as of `gcsim.sweep.execute.run_sweep`.
    Raises:
        SpecError: a range, or the spec in one of its settings, is wrong.
        OptunaMissingError: `gcsim[optimize]` is not installed.
        DatasetError: the directory is taken, or the present setting cannot be run.
        SweepInterrupted: `stop` was set.
    """
    check_thresholds(request.spec)
    check_ranges(request.spec, request.over)
    optimiser = _Optimiser(request)
    with _Trials(request, directory, jobs=jobs, resume=resume, executor=executor, stop=stop) as trials:
        trials.progress = progress
        own = present_row(request.spec, list(request.over), gomaxprocs=gomaxprocs_of(request.spec))
        (measured,) = trials.run([own])
        if measured is None:
            raise DatasetError(
                f"{directory}: the spec's own setting cannot be run, so there is nothing to compare with: "
                f"{trials.error_of(0)}"
            )
        bounds = [c.threshold.bound for c in request.goals.constraints if c.metric == "memory_peak_bytes"]
        space = make_space(request.spec, request.over, measured=measured, bounds=bounds)
        optimiser.begin(space, own, measured)
        while len(trials.rows) < request.budget:
            rows = optimiser.ask(min(request.batch, request.budget - len(trials.rows)))
            if not rows:
                break
            optimiser.tell(trials.run(rows))
        best = _ranked(request.goals, trials.figures)[:CONFIRMED]
        confirmed = [*(number for number in best if number), 0]
        if request.confirm:
            trials.confirm(confirmed)
        sweep = trials.finish()
    ids = [point.point_id for point in trials.plan.points]
    return Found(
        request=request,
        space=space,
        sweep=sweep,
        present=ids[0],
        tried=tuple(ids),
        confirmed=tuple(ids[number] for number in confirmed),
    )


Means = dict[str, float | int | None]


def mean_figures(summaries: Sequence[Mapping[str, float | int | None]], metrics: Sequence[str]) -> Means:
    """Means over replications; None where one has no value."""
    means: Means = {}
    for metric in metrics:
        values = [summary[metric] for summary in summaries]
        known = [value for value in values if value is not None]
        means[metric] = sum(known) / len(known) if known and len(known) == len(values) else None
    return means


def score(goals: Goals, figures: Means, ranges: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """How good a setting is, less is better: how far from the conditions, then the objective.

    Of several objectives it is the distance to the best value of each, where the front is 1 wide in every direction.
    """
    losses = goals.losses(figures)
    missed = sum(max(0.0, violation) for violation in goals.violations(figures))
    if losses is None:
        return missed + FAILED, 0.0
    if len(losses) == 1:
        return missed, losses[0]
    parts = [
        (loss - low) / (high - low) if high > low else 0.0
        for loss, (low, high) in zip(losses, ranges, strict=True)
    ]
    return missed, sum(part * part for part in parts)


def loss_ranges(goals: Goals, figures: Sequence[Means | None]) -> list[tuple[float, float]]:
    """From least to largest loss of every objective on the front of the feasible settings, or of all if none is."""
    known = [f for f in figures if f is not None and goals.losses(f) is not None]
    kept = [f for f in known if all(v <= 0 for v in goals.violations(f))] or known
    rows = [losses for f in kept if (losses := goals.losses(f)) is not None]
    front = [
        row
        for row in rows
        if not any(all(a <= b for a, b in zip(o, row, strict=True)) and o != row for o in rows)
    ]
    return [(min(column), max(column)) for column in zip(*front, strict=True)]


def _ranked(goals: Goals, figures: Sequence[Means | None]) -> list[int]:
    """Settings from the best on, failed ones left out."""
    ranges = loss_ranges(goals, figures)
    known = [number for number, found in enumerate(figures) if found is not None]

    def key(number: int) -> tuple[float, float]:
        found = figures[number]
        assert found is not None
        return score(goals, found, ranges)

    return sorted(known, key=key)


# assumed: of the budget, until the best that is known is looked at from close by
_SEARCH_SHARE = 0.5


class _Optimiser:
    """Asks for settings and hears what they are worth.  Deterministic: same answers, same questions."""

    def __init__(self, request: Request) -> None:
        try:
            import optuna
        except ImportError as error:
            raise OptunaMissingError from error
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._optuna = optuna
        self._request = request
        self._goals = request.goals
        seed = int(np.random.default_rng(request.seed).integers(2**32))
        # Only after the first evenly spread settings are there, so no random start of its own.
        sampler = optuna.samplers.TPESampler(
            seed=seed, n_startup_trials=1, multivariate=True, constant_liar=True
        )
        self._study = optuna.create_study(
            directions=["minimize"] * len(request.goals.objectives), sampler=sampler
        )
        self._known: dict[tuple[str, ...], Means | None] = {}
        self._asked: list[tuple[Trial, tuple[str, ...]]] = []
        self._worst: list[float] = []
        self._moves = 0

    def begin(self, space: Space, own: Mapping[str, str], measured: Means) -> None:
        """Take the space, what is known of the present setting, and the first settings to try."""
        self._space = space
        self._distributions: dict[str, Any] = {}
        for dimension in space.dimensions:
            if dimension.values and not dimension.is_ordered:
                self._distributions[dimension.column] = self._optuna.distributions.CategoricalDistribution(
                    list(dimension.values)
                )
            else:
                self._distributions[dimension.column] = self._optuna.distributions.FloatDistribution(0.0, 1.0)
        places = space.places(own)
        self._known[tuple(own.values())] = measured
        if places is not None:
            self._enqueue(places)
            self._settle(self._study.ask(self._distributions), measured)
        first = max(self._request.batch, round(FIRST_SHARE * self._request.budget)) - 1
        rng = np.random.default_rng([self._request.seed, 1])
        self._rng = np.random.default_rng([self._request.seed, 2])
        for place in qmc.LatinHypercube(len(space.dimensions), rng=rng).random(max(first, 1)):
            self._enqueue(place.tolist())

    def ask(self, count: int) -> list[dict[str, str]]:
        """Up to so many new settings; fewer or none where the space is used up."""
        rows: dict[tuple[str, ...], dict[str, str]] = {}
        if len(self._known) >= _SEARCH_SHARE * self._request.budget:
            for places in islice(self._near_best(), count):
                self._enqueue(places)
        for attempt in range(_REPEATS * count):
            if len(rows) == count or len(self._known) + len(rows) >= self._space.size:
                break
            if attempt >= _REPEATS * count // 2:  # TPE insists on what it knows; look elsewhere
                self._enqueue(self._rng.random(len(self._space.dimensions)).tolist())
            trial = self._study.ask(self._distributions)
            row = self._space.row([self._place(d, trial.params[d.column]) for d in self._space.dimensions])
            key = tuple(row.values())
            if key in self._known:
                self._settle(trial, self._known[key])
                continue
            rows[key] = row
            self._asked.append((trial, key))
        return list(rows.values())

    def _near_best(self) -> Iterator[list[float]]:
        """Halfway from the best setting known to the nearest one tried, along one dimension, in either direction.

        Limits and caps are cliffs: the best setting lies close to one that is not allowed, where a density of good
        settings is slow to get.
        """
        allowed = [
            (losses[0], number, key)
            for number, (key, figures) in enumerate(self._known.items())
            if figures is not None
            and (losses := self._goals.losses(figures)) is not None
            and not any(violation > 0.0 for violation in self._goals.violations(figures))
        ]
        best = self._places_of(min(allowed)[2]) if allowed else None
        if best is None:
            return
        tried = [places for key in self._known if (places := self._places_of(key)) is not None]
        for step in range(2 * len(best)):
            number, is_up = divmod(self._moves + step, 2)
            number %= len(best)
            here = best[number]
            if is_up:
                beside = min((t[number] for t in tried if t[number] > here), default=1.0)
            else:
                beside = max((t[number] for t in tried if t[number] < here), default=0.0)
            if beside != here:
                yield [*best[:number], (here + beside) / 2.0, *best[number + 1 :]]
        self._moves += 1

    def _places_of(self, key: tuple[str, ...]) -> list[float] | None:
        return self._space.places(dict(zip((d.path for d in self._space.dimensions), key, strict=True)))

    def tell(self, figures: Sequence[Means | None]) -> None:
        """Hear the figures of the settings of the last `ask`, in its order."""
        keys = dict.fromkeys(key for _, key in self._asked)
        self._known |= dict(zip(keys, figures, strict=True))
        for trial, key in self._asked:
            self._settle(trial, self._known[key])
        self._asked.clear()

    def _enqueue(self, places: Sequence[float]) -> None:
        params = {}
        for dimension, place in zip(self._space.dimensions, places, strict=True):
            is_word = bool(dimension.values) and not dimension.is_ordered
            params[dimension.column] = dimension.text_at(place) if is_word else place
        self._study.enqueue_trial(params)

    def _place(self, dimension: Any, value: Any) -> float:
        if isinstance(value, str):
            place: float = dimension.place_of(value)
            return place
        return float(value)

    def _settle(self, trial: Trial, figures: Means | None) -> None:
        losses = None if figures is None else self._goals.losses(figures)
        violations = [FAILED] * len(self._goals.constraints)
        if figures is not None and losses is not None:
            violations = list(self._goals.violations(figures))
            self._worst = [max(pair) for pair in zip(losses, self._worst or losses, strict=True)]
        # What failed is no better than the worst, and further from allowed than anything else.
        trial.set_constraint("ran", FAILED if losses is None else 0.0)
        for number, violation in enumerate(violations):
            trial.set_constraint(f"{number}", violation)
        self._study.tell(trial, list(losses or self._worst or [0.0] * len(self._goals.objectives)))


class _Trials:
    """The settings tried so far as the points of a sweep, and the executor that runs them."""

    def __init__(
        self,
        request: Request,
        directory: Path,
        *,
        jobs: int | None,
        resume: bool,
        executor: Callable[[Path], Executor] | None,
        stop: threading.Event | None,
    ) -> None:
        self._request, self._directory, self._resume = request, directory, resume
        self.rows: list[dict[str, str]] = []
        self.figures: list[Means | None] = []
        self.progress: Callable[[SweepProgress], None] | None = None
        self._stop = stop or threading.Event()
        self._done = self._failed = self._reused = 0
        self._runner_arguments = {"jobs": jobs, "executor": executor, "stop": self._stop}
        self._runner: SweepRunner | None = None
        self.plan: SweepPlan

    def __enter__(self) -> _Trials:
        return self

    def __exit__(self, *exc: object) -> None:
        if self._runner is not None:
            self._runner.close()

    def run(self, rows: Sequence[Mapping[str, str]]) -> list[Means | None]:
        """Run further settings; their mean figures, None where a run failed."""
        new = self._plan(rows, self._request.replications)
        if not self.rows:
            self._begin(new)
        else:
            self._grow(replace(self.plan, points=(*self.plan.points, *new.points)))
        self.rows += map(dict, rows)
        self._execute(new)
        found = [self._figures(point) for point in new.points]
        self.figures += found
        return found

    def confirm(self, numbers: Sequence[int]) -> None:
        """Run further replications of some settings."""
        more = self._plan(
            [self.rows[number] for number in numbers], self._request.replications + self._request.confirm
        )
        points = list(self.plan.points)
        for number, point in zip(numbers, more.points, strict=True):
            points[number] = point
        self._grow(replace(self.plan, points=tuple(points)))
        fresh = [replace(p, run_ids=p.run_ids[self._request.replications :]) for p in more.points]
        # Numbers of replications decide their seeds; so the whole points are run, of which the first part is done.
        self._execute(more, counted=sum(len(p.run_ids) for p in fresh))

    def error_of(self, number: int) -> str:
        """Why the runs of a setting failed."""
        point = load_sweep(self._directory).points[number]
        return "; ".join(f"{failure.error}: {failure.message}" for failure in point.failures)

    def finish(self) -> SweepResult:
        """Write the sweep's tables."""
        sweep = load_sweep(self._directory)
        write_sweep_tables(sweep, self._directory)
        return sweep

    def _plan(self, rows: Sequence[Mapping[str, str]], replications: int) -> SweepPlan:
        plan = plan_sweep(
            self._request.spec, [], rows=rows, replications=replications, seed=self._request.seed
        )
        return replace(plan, layout="optimize")

    def _begin(self, plan: SweepPlan) -> None:
        # The optimiser's version too: another one may ask other questions.
        body = {"format": "gcsim", "optuna": version("optuna"), **self._request.to_dict()}
        asked = json.dumps(body, indent=1, ensure_ascii=False) + "\n"
        path = self._directory / ASKED_NAME
        if self._resume and path.is_file():
            if path.read_text(encoding="utf-8") != asked:
                raise DatasetError(
                    f"{self._directory} is of another search; give the same spec and options, or take another --out"
                )
            self.plan = plan
        else:
            begin_sweep(describe(plan), self._directory, resume=self._resume)
            write_whole(path, asked)
        self._grow(plan)
        self._runner = SweepRunner(self._directory, **self._runner_arguments)  # type: ignore[arg-type]

    def _grow(self, plan: SweepPlan) -> None:
        self.plan = replace(plan, replications=self._request.replications)
        write_description(describe(self.plan), self._directory)

    def _execute(self, plan: SweepPlan, *, counted: int | None = None) -> None:
        planned = sum(len(point.run_ids) for point in plan.points)
        before = planned - (planned if counted is None else counted)
        last = SweepProgress(total=planned, done=0, failed=0, reused=0)

        def report(at: SweepProgress) -> None:
            nonlocal last
            last = at
            if self.progress is not None:
                self.progress(
                    SweepProgress(
                        total=max(self._expected(), self._done + planned - before),
                        done=self._done + max(0, at.done - before),
                        failed=self._failed + at.failed,
                        reused=self._reused + max(0, at.reused - before),
                    )
                )

        assert self._runner is not None
        self._runner.run(plan, report)
        self._done += last.done - before
        self._failed += last.failed
        self._reused += max(0, last.reused - before)
        if self._stop.is_set():
            raise SweepInterrupted(load_sweep(self._directory))

    def _expected(self) -> int:
        """Runs of the whole search."""
        request = self._request
        return request.budget * request.replications + (CONFIRMED + 1) * request.confirm

    def _figures(self, point: Point) -> Means | None:
        runs = [self._directory / RUNS_DIR / name for name in point.run_ids]
        if not all(run.is_dir() for run in runs):
            return None
        metrics = (*self._request.goals.metrics, "memory_peak_bytes", "heap_marked_bytes_mean")
        return mean_figures([load(run).summary for run in runs], metrics)
