"""From a spec and axes to an ordered list of points with stable ids.  Pure: no clock, no disk but profiles.

A point is a setting; its id is a hash of the setting, so that it is the same in every sweep that has it.  Each point is
run once per replication.  Replication r has the same seed at every point (common random numbers): points share their
arrivals and draws, and differences between them are those of the settings.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from gcsim.datasets.run import replication_seed
from gcsim.datasets.schema import Knob
from gcsim.datasets.stopping import StopRule
from gcsim.datasets.thresholds import check_thresholds
from gcsim.errors import Problem, SpecError
from gcsim.spec.digest import canonical_json, run_id
from gcsim.spec.models import Spec
from gcsim.spec.overrides import apply_overrides, value_at
from gcsim.spec.profile import MachineProfile, load_profile
from gcsim.spec.steps import SCALAR_FIELD
from gcsim.sweep.axes import Axis, column_name
from gcsim.units import format_bytes, format_ns
from gcsim.version import ENGINE_VERSION

MAX_RUNS = 1_000_000  # assumed: at a tenth of a second each a day on one core; beyond, a slip of the pen

# Last parts of knobs that are sizes, and times; a step of one value goes by its kind: requests[0].steps[0].cpu.
_SIZES = {"gomemlimit", "size", "frame", "nursery"}
_SIZES |= {kind for kind, field in SCALAR_FIELD.items() if field == "size"}
_TIMES = {"duration", "warm_up", "cfs_quota", "cfs_period", "window", "settle", "heap_interval", "ns"}
_TIMES |= {kind for kind, field in SCALAR_FIELD.items() if field == "ns"}

Layout = Literal["grid", "zip", "latin-hypercube"]


@dataclass(frozen=True, kw_only=True)
class Point:
    """One setting: what replaces the spec's values, and the ids of its runs by replication."""

    point_id: str
    label: str
    overrides: tuple[str, ...]
    knobs: Mapping[str, Knob]
    """Column -> resolved value; None: off, or by the release's own rule."""
    run_ids: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class SweepPlan:
    """What a sweep will do, in order."""

    spec: Spec
    seed: int
    replications: int
    layout: str
    axes: tuple[Axis, ...]
    points: tuple[Point, ...]
    until: StopRule | None = None
    """When a point has enough replications; then `replications` is the most it may take."""

    @property
    def columns(self) -> dict[str, str]:
        """Column of each knob -> full path of its field."""
        return {axis.column: axis.path for axis in self.axes}

    @property
    def sweep_id(self) -> str:
        """Name of the sweep, s- and 16 hex digits: the same runs in the same order have the same name."""
        rule = [] if self.until is None else [self.until.to_dict()]
        text = json.dumps([*rule, *([p.point_id, *p.run_ids] for p in self.points)])
        return "s-" + hashlib.sha256(text.encode()).hexdigest()[:16]

    def run_spec(self, point: Point, replication: int) -> Spec:
        """The spec of one run, with its own seed."""
        return point_spec(self.spec, point.overrides, seed=self.seed, replication=replication)

    def runs(self) -> Iterator[tuple[Point, int, str]]:
        """Every run in order, point by point: point, number of the replication, run id."""
        for point in self.points:
            for replication, name in enumerate(point.run_ids):
                yield point, replication, name


def point_spec(spec: Spec, overrides: Sequence[str], *, seed: int, replication: int) -> Spec:
    """The spec of a run of a sweep: the sweep's, with what the point sets, and the replication's seed."""
    return _seeded(apply_overrides(spec, overrides), replication_seed(seed, replication))


def plan_sweep(
    spec: Spec,
    axes: Sequence[Axis],
    *,
    layout: Layout = "grid",
    rows: Sequence[Mapping[str, str]] = (),
    samples: int | None = None,
    replications: int | None = None,
    seed: int | None = None,
    max_runs: int = MAX_RUNS,
    find_profile: Callable[[str, str], MachineProfile] = load_profile,
    examine: Callable[[Spec], None] = lambda _: None,
    until: StopRule | None = None,
) -> SweepPlan:
    """Expand axes over a spec.

    Args:
        axes: what varies (`parse_axes`).
        layout: ``grid``: every combination, the last axis fastest; ``zip``: the first values together, then the
            second ones; ``latin-hypercube``: `samples` points that cover every axis evenly.
        rows: further points as a list, full path -> value as written; each is combined with what the axes give.
        samples: number of points of a Latin hypercube.
        replications: runs per point, instead of the spec's.
        seed: seed of the sweep, instead of the spec's.
        max_runs: more runs are refused, before any is planned.
        find_profile: gives the machine profile of a name and a Go release.
        examine: sees the spec of each point; its SpecErrors are among the problems.
        until: stop the replications of a point early; its numbers stand instead of `replications`.
    Raises:
        SpecError: with every problem of the axes and of every point.
    """
    seed = spec.run.seed if seed is None else seed
    replications = spec.run.replications if replications is None else replications
    replications = replications if until is None else until.most
    check_thresholds(spec)
    problems = _layout_problems(axes, layout, rows, samples)
    if problems:
        raise SpecError(problems, source="-P")
    count = count_points(axes, layout, rows, samples)
    if count * replications > max_runs:
        message = f"{count:,} points x {replications:,} replications are more than {max_runs:,} runs"
        raise SpecError(
            [Problem(path="$", message=message, remedy="take fewer values, or a Latin hypercube")],
            source="-P",
        )
    listed = tuple(dict.fromkeys(path for row in rows for path in row))
    every_axis = (*(Axis(path=path, column=column_name(path)) for path in listed), *axes)
    unknown = _unknown_fields(spec, [axis.path for axis in every_axis])
    # What is wrong with the values of the others is said too.
    every_axis = tuple(axis for axis in every_axis if axis.path not in unknown)
    axes = [axis for axis in axes if axis.path not in unknown]
    rows = [{path: value for path, value in row.items() if path not in unknown} for row in rows]
    try:
        texts = [
            {**row, **dict(zip((axis.path for axis in axes), combination, strict=True))}
            for row in (rows or [{}])
            for combination in _combinations(spec, axes, layout, samples, seed)
        ]
        if unknown:  # what differed by them is the same now
            texts = [dict(text) for text in dict.fromkeys(tuple(text.items()) for text in texts) if text]
        points = _points(
            spec,
            every_axis,
            texts,
            seed=seed,
            replications=replications,
            find_profile=find_profile,
            examine=examine,
        )
    except SpecError as error:
        raise SpecError([*unknown.values(), *error.problems], source="sweep") from error
    if unknown:
        raise SpecError(unknown.values(), source="sweep")
    return SweepPlan(
        spec=spec,
        seed=seed,
        replications=replications,
        layout="list" if rows and not axes else layout,
        axes=every_axis,
        points=points,
        until=until,
    )


def _unknown_fields(spec: Spec, paths: Sequence[str]) -> dict[str, Problem]:
    """Those paths that name no field, with what is wrong with them."""
    found = {}
    for path in paths:
        try:
            value_at(spec, path)
        except SpecError as error:
            found[path] = error.problems[0]
        except KeyError:
            pass  # a mapping of names, which has none of this name yet
    return found


def count_points(
    axes: Sequence[Axis], layout: Layout, rows: Sequence[Mapping[str, str]], samples: int | None
) -> int:
    """How many points axes and a list give, without making them."""
    if layout == "latin-hypercube":
        combinations = samples or 0
    elif layout == "zip":
        combinations = min((len(axis.values) for axis in axes), default=1)
    else:
        combinations = math.prod(len(axis.values) for axis in axes)
    return combinations * max(1, len(rows))


def _layout_problems(
    axes: Sequence[Axis], layout: Layout, rows: Sequence[Mapping[str, str]], samples: int | None
) -> list[Problem]:
    def problem(value: str, message: str, remedy: str) -> Problem:
        return Problem(path="$", value=value, message=message, remedy=remedy)

    problems = []
    listed = {path for row in rows for path in row}
    problems += [
        problem(axis.path, "is an axis and a column of the list", "keep one of them")
        for axis in axes
        if axis.path in listed
    ]
    if not axes and not rows:
        problems.append(problem("", "nothing varies", "give an axis such as -P gogc=50,100,200"))
    if layout == "latin-hypercube":
        if not axes:
            problems.append(
                problem("", "a Latin hypercube needs axes", "give ranges such as -P gogc=25..400")
            )
        if samples is None or samples < 2:
            problems.append(problem(f"{samples}", "is no number of samples", "ask for two points or more"))
    else:
        problems += [
            problem(
                f"{axis.path}={axis.low}..{axis.high}",
                "is a range",
                "list its values, or take --latin-hypercube N",
            )
            for axis in axes
            if axis.is_range
        ]
    lengths = {len(axis.values) for axis in axes}
    if layout == "zip" and len(lengths) > 1:
        told = ", ".join(f"{axis.column} has {len(axis.values)}" for axis in axes)
        problems.append(
            problem("", f"axes that go together need as many values each; {told}", "add or remove some")
        )
    return problems


def _combinations(
    spec: Spec, axes: Sequence[Axis], layout: Layout, samples: int | None, seed: int
) -> list[tuple[str, ...]]:
    if not axes:
        return [()]
    values = [axis.values for axis in axes]
    if layout == "grid":
        return list(itertools.product(*values))
    if layout == "zip":
        return list(zip(*values, strict=True))
    assert samples is not None
    # Here, not above: it takes 58 MiB.
    from scipy.stats import qmc

    places = qmc.LatinHypercube(len(axes), rng=np.random.default_rng(seed)).random(samples)
    scales: list[Any] = []
    problems: list[Problem] = []
    for axis in axes:
        try:
            scales.append(_scale(spec, axis))
        except SpecError as error:
            problems += error.problems
    if problems:
        raise SpecError(problems, source="-P")
    return [tuple(scale(float(place)) for scale, place in zip(scales, row, strict=True)) for row in places]


def _scale(spec: Spec, axis: Axis) -> Any:
    """A function from [0, 1) to the axis's value as text."""
    if not axis.is_range:
        return lambda place: axis.values[int(place * len(axis.values))]
    ends = [
        value_at(apply_overrides(spec, [f"{axis.path}={end}"]), axis.path) for end in (axis.low, axis.high)
    ]
    if not all(isinstance(end, int | float) and not isinstance(end, bool) for end in ends):
        raise _range_error(axis, "has an end that is no number", "list the values instead")
    low, high = ends
    if low >= high or (axis.log and low <= 0):
        remedy = "write low..high, with low above 0 for :log"
        raise _range_error(axis, "is no range from low to high", remedy)
    whole = isinstance(low, int) and isinstance(high, int)

    def value(place: float) -> str:
        at = low * (high / low) ** place if axis.log else low + (high - low) * place
        return str(round(at)) if whole else repr(float(at))

    return value


def _range_error(axis: Axis, message: str, remedy: str) -> SpecError:
    value = f"{axis.low}..{axis.high}"
    return SpecError(
        [Problem(path=f"$.{axis.path}", value=value, message=message, remedy=remedy)], source="-P"
    )


def _points(
    spec: Spec,
    axes: Sequence[Axis],
    texts: Sequence[Mapping[str, str]],
    *,
    seed: int,
    replications: int,
    find_profile: Callable[[str, str], MachineProfile],
    examine: Callable[[Spec], None],
) -> tuple[Point, ...]:
    problems: dict[Problem, None] = {}  # ordered, each once
    points: list[Point] = []
    first: dict[str, str] = {}
    profiles: dict[tuple[str, str], str] = {}
    for text in texts:
        overrides = tuple(f"{path}={value}" for path, value in text.items())
        label = " ".join(f"{column_name(path)}={value}" for path, value in text.items())
        try:
            at = apply_overrides(spec, overrides)
            machine = (at.machine.profile, at.runtime.go)
            if machine not in profiles:
                profiles[machine] = find_profile(*machine).content
            examine(at)
        except SpecError as error:
            problems |= dict.fromkeys(error.problems)
            continue
        neutral = canonical_json(_seeded(at, 0))
        point_id = "p-" + hashlib.sha256(neutral.encode()).hexdigest()[:12]
        if point_id in first:
            message = f"is the same setting as {first[point_id]}"
            problems[Problem(path="$", value=label, message=message, remedy="leave one of them out")] = None
            continue
        first[point_id] = label
        points.append(
            Point(
                point_id=point_id,
                label=label,
                overrides=overrides,
                knobs={axis.column: _plain(value_at(at, axis.path)) for axis in axes},
                run_ids=tuple(
                    run_id(_seeded(at, replication_seed(seed, number)), profiles[machine], ENGINE_VERSION)
                    for number in range(replications)
                ),
            )
        )
    if problems:
        raise SpecError(problems, source="sweep")
    return tuple(points)


def _seeded(spec: Spec, seed: int) -> Spec:
    """One run of a spec with another seed.  Both values are known to be valid, so nothing is validated again."""
    return spec.model_copy(update={"run": spec.run.model_copy(update={"seed": seed, "replications": 1})})


def _plain(value: Any) -> Knob:
    """A knob's value as a column holds it: None for off, JSON text for lists and mappings."""
    if value == "off":
        return None
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return json.dumps(value, sort_keys=True)


def format_knob(column: str, value: Knob) -> str:
    """A knob's value for people: ``gomemlimit`` 268435456 -> ``256 MiB``."""
    if value is None:
        return "by rule" if column == "gomaxprocs" else "off"
    if isinstance(value, int) and not isinstance(value, bool):
        last = column.rsplit(".", 1)[-1]
        if last in _SIZES or last.endswith(("_bytes", "_size")):
            return format_bytes(value)
        if last in _TIMES or last.endswith("_ns"):
            return format_ns(value)
    return f"{value:.4g}" if isinstance(value, float) else str(value)
