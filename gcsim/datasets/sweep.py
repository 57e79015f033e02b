"""The dataset of a sweep: a directory of runs, what was planned, and what failed.

    sweep.json           what was planned: spec, knobs, points and the ids of their runs, in order
    datasets/<run_id>/   each run that is done, a dataset of its own; it appears by renaming
    failed/<run_id>.json each run that cannot be done, with its error
    runs.parquet         when all is done: a row per run, those that failed too
    points.parquet       when all is done: a row per point, means and intervals over its replications
    server.json          of which sweep on a server it is made, where it is

A run that is in neither is pending.  A sweep that stops a point's replications early (`gcsim.datasets.stopping`) plans the
most that it may take; which of them count follows from the runs that are there.  Knobs are added to the tables as real columns when they are read or exported, so
a run directory depends on its own spec alone and two sweeps that share a point have the same bytes for it.
"""

from __future__ import annotations

import json
import math
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self, TypeVar, overload

import pyarrow as pa

from gcsim.datasets.columns import table_of
from gcsim.datasets.manifest import FORMAT
from gcsim.datasets.metrics import METRIC_BY_NAME, METRICS
from gcsim.datasets.parts import write_parts
from gcsim.datasets.reader import Result, load
from gcsim.datasets.schema import RUN_ID, SCHEMA_VERSION, TABLES, Column, Knob, check_schema_version
from gcsim.datasets.stopping import StopRule
from gcsim.datasets.summary import Metrics, combine
from gcsim.datasets.table import Constants, Table, Tables
from gcsim.errors import DatasetError

SWEEP_NAME = "sweep.json"
RUNS_DIR = "datasets"
FAILED_DIR = "failed"
RECOMMENDATION_NAME = "recommendation.json"
"""What a search over settings came to, where the sweep is one (`gcsim.optimize`)."""
ROWS_AT_ONCE = 256
"""Rows of runs and points that are Python objects at the same time; a row of a point has some 270 columns."""

ROWS_PER_GROUP = 1024
"""Of runs and points, whose rows are wide: a column's encoder takes some ten KiB, and they have hundreds of columns."""

S = TypeVar("S")
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class PlannedPoint:
    """One setting of a sweep and the ids of its runs, by replication."""

    point_id: str
    label: str
    knobs: Mapping[str, Knob]
    run_ids: tuple[str, ...]


PlannedRun = tuple[PlannedPoint, int, str]
"""Point, number of the replication, run id."""


@dataclass(frozen=True, kw_only=True)
class SweepDescription:
    """What `sweep.json` says."""

    sweep_id: str
    name: str
    seed: int
    replications: int
    layout: str
    engine_version: str
    columns: Mapping[str, str]
    """Column of each knob -> path of its field."""
    spec: Mapping[str, Any]
    """The spec before any knob is set."""
    points: tuple[PlannedPoint, ...]
    schema_version: str = SCHEMA_VERSION
    until: StopRule | None = None
    """When a point has enough replications; None: all that are planned."""

    def to_json(self) -> str:
        """One line per point, so that two sweeps can be compared by eye."""
        body = asdict(self)
        points = [json.dumps(point, ensure_ascii=False) for point in body.pop("points")]
        if self.until is None:
            del body["until"]
        head = json.dumps({"format": FORMAT, "kind": "sweep", **body}, indent=1, ensure_ascii=False)
        return f'{head[:-2]},\n "points": [\n  ' + ",\n  ".join(points) + "\n ]\n}\n"

    @classmethod
    def read(cls, directory: Path) -> Self:
        """Raises DatasetError if the directory has none, or one that is not ours, damaged or of a newer version."""
        path = directory / SWEEP_NAME
        if not path.is_file():
            raise DatasetError(f"{directory}: no sweep of gcsim, it has no {SWEEP_NAME}")
        try:
            body = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as err:
            raise DatasetError(f"{path}: cannot be read ({err})") from err
        if (
            not isinstance(body, dict)
            or body.pop("format", None) != FORMAT
            or body.pop("kind", None) != "sweep"
        ):
            raise DatasetError(f"{path}: written by another program, not by gcsim")
        check_schema_version(str(body.get("schema_version")), where=str(path))
        try:
            until = body.pop("until", None)
            points = tuple(
                PlannedPoint(**(point | {"run_ids": tuple(point["run_ids"])})) for point in body.pop("points")
            )
            return cls(points=points, until=None if until is None else StopRule.from_dict(until), **body)
        except (KeyError, TypeError) as err:
            raise DatasetError(f"{path}: damaged, a field is missing or wrong ({err})") from err


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Why a run has no dataset.  `retry`: another attempt may go better (a lost worker, a full disk)."""

    run_id: str
    error: str
    message: str
    retry: bool

    @classmethod
    def read(cls, path: Path) -> Self:
        try:
            return cls(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as err:
            raise DatasetError(f"{path}: cannot be read ({err})") from err


# Columns that a sweep puts behind run_id, before its knobs.
SWEEP_COLUMNS = (
    Column(
        name="point_id",
        type="string",
        unit="word",
        description="the setting: p- and 12 hex digits of its hash",
    ),
    Column(name="label", type="string", unit="word", description="the setting, as it was written"),
    Column(
        name="replication",
        type="int64",
        unit="index",
        description="number of the replication of its point, from 0",
    ),
)
ERROR_COLUMN = Column(
    name="error",
    type="string",
    unit="word",
    description="why the run failed; null: it did not",
    nullable=True,
)


def knob_columns(points: Sequence[PlannedPoint], columns: Mapping[str, str]) -> dict[str, Column]:
    """The columns of the knobs, each of the narrowest type that holds all its values."""
    return {
        name: Column(
            name=name,
            type=_type_of([point.knobs[name] for point in points]),
            unit="as in the spec",
            description=f"swept knob {path}; null: off or not set",
            nullable=True,
        )
        for name, path in columns.items()
    }


def _type_of(values: Sequence[Knob]) -> Any:
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {int}:
        return "int64"
    if kinds <= {int, float}:
        return "float64"
    return "bool" if kinds == {bool} else "string"


def knob_value(column: Column, value: Knob) -> Knob:
    """A knob's value in the type of its column."""
    if value is None or column.type in ("int64", "bool"):
        return value
    if column.type == "float64":
        return float(value)
    return value if isinstance(value, str) else json.dumps(value)


class DoneRuns(Mapping[str, Result]):
    """The runs of a sweep that are done, by id, in order of the plan.

    Each was looked at once, and what is asked of all of them is kept in little room: metrics and names of tables.  The rest
    is read when a run is asked for, and not kept: a sweep may have ten thousand.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._metrics: dict[str, array[float]] = {}
        self._tables: dict[str, tuple[str, ...]] = {}
        self._sets: dict[tuple[str, ...], tuple[str, ...]] = {}
        """Each set of names once: nearly always all runs have the same tables."""

    def add(self, run_id: str) -> None:
        """Look at a run; DatasetError if it is damaged."""
        run = self._open(run_id)
        values = (run.summary[name] for name in METRIC_BY_NAME)
        self._metrics[run_id] = array("d", [math.nan if value is None else value for value in values])
        names = tuple(run.tables)
        self._tables[run_id] = self._sets.setdefault(names, names)

    def metrics(self, run_id: str) -> Metrics:
        """Metrics of a run by name, as floats."""
        values = zip(METRIC_BY_NAME, self._metrics[run_id], strict=True)
        return {name: None if math.isnan(value) else value for name, value in values}

    def table_names(self) -> list[str]:
        """Tables that any of them has, in the order of their first appearance."""
        return list(dict.fromkeys(name for names in self._sets for name in names))

    def with_table(self, name: str) -> list[str]:
        """Ids of the runs that have a table, in order."""
        return [run_id for run_id, names in self._tables.items() if name in names]

    def table_path(self, run_id: str, name: str) -> Path:
        """The file of a table of a run."""
        return self._directory / run_id / f"{name}.parquet"

    def _open(self, run_id: str) -> Result:
        return load(self._directory / run_id)

    def __getitem__(self, run_id: str) -> Result:
        if run_id not in self._metrics:
            raise KeyError(run_id)
        return self._open(run_id)

    def __contains__(self, run_id: object) -> bool:
        return run_id in self._metrics

    def __iter__(self) -> Iterator[str]:
        return iter(self._metrics)

    def __len__(self) -> int:
        return len(self._metrics)


class Each(Sequence[T]):
    """What a function makes of each of some things, made when it is asked for."""

    def __init__(self, things: Sequence[S], make: Callable[[S], T]) -> None:
        self._things = things
        self._make = make

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[T, ...]: ...
    def __getitem__(self, index: int | slice) -> T | tuple[T, ...]:
        if isinstance(index, slice):
            return tuple(map(self._make, self._things[index]))
        return self._make(self._things[index])

    def __len__(self) -> int:
        return len(self._things)


class SweepPoint:
    """One setting, with its runs as far as they are done: `runs` opens each when it is asked for."""

    def __init__(self, planned: PlannedPoint, runs: DoneRuns, failures: Mapping[str, Failure]) -> None:
        self.point_id = planned.point_id
        self.label = planned.label
        self.knobs = planned.knobs
        self._done = runs
        self.run_ids = tuple(name for name in planned.run_ids if name in runs)
        """Of the runs that are done."""
        self.failures = tuple(failures[name] for name in planned.run_ids if name in failures)
        self.pending = len(planned.run_ids) - len(self.run_ids) - len(self.failures)

    @property
    def runs(self) -> Sequence[Result]:
        """The runs that are done, by replication."""
        return Each(self.run_ids, self._done.__getitem__)

    @property
    def metrics(self) -> list[Metrics]:
        """Metrics of each run that is done, as floats."""
        return [self._done.metrics(name) for name in self.run_ids]

    @property
    def summary(self) -> Metrics | None:
        """Means and intervals over the replications that are done, as `Result.summary` has them; None: no run is."""
        return combine(self.metrics) if self.run_ids else None

    def __repr__(self) -> str:
        return f"SweepPoint({self.label!r}, {len(self.run_ids)} runs)"


class SweepResult:
    """A sweep, done or in progress: `points` by setting, `tables` over all runs with the knobs as columns."""

    def __init__(self, path: Path, description: SweepDescription) -> None:
        self.path = path
        self.failures: dict[str, Failure] = {}
        self.runs = DoneRuns(path / RUNS_DIR)
        """Run id -> its `Result`, in order of the plan."""
        points = [self._open(point, description.until) for point in description.points]
        self.description = replace(description, points=tuple(points))
        """What was planned; of each point the replications that count."""
        self.points = tuple(SweepPoint(p, self.runs, self.failures) for p in self.description.points)
        self.knobs = knob_columns(description.points, description.columns)

    def _open(self, point: PlannedPoint, until: StopRule | None) -> PlannedPoint:
        """Look at the runs of a point, up to where its replications are stopped; the point with those that count."""
        looks = (len(point.run_ids),) if until is None else until.looks
        first = 0
        for look in looks:
            for name in point.run_ids[first:look]:
                if (self.path / RUNS_DIR / name).is_dir():
                    self.runs.add(name)
                elif (self.path / FAILED_DIR / f"{name}.json").is_file():
                    self.failures[name] = Failure.read(self.path / FAILED_DIR / f"{name}.json")
            names = point.run_ids[:look]
            # With a failed run the point is not what it should be, and more of the same does not mend it.
            if until is None or not all(name in self.runs for name in names) or self._is_enough(names, until):
                return point if len(names) == len(point.run_ids) else replace(point, run_ids=names)
            first = look
        return point

    def _is_enough(self, names: Sequence[str], until: StopRule) -> bool:
        return until.is_met([self.runs.metrics(name) for name in names])

    def is_narrow(self, point: SweepPoint) -> bool | None:
        """Whether a point's intervals are as narrow as was asked; None: nothing was asked, or that is not known yet."""
        until = self.description.until
        if until is None or point.pending or point.failures:
            return None
        return until.is_met(point.metrics)

    @property
    def sweep_id(self) -> str:
        """Identity of the sweep: s- and 16 hex digits."""
        return self.description.sweep_id

    @property
    def spec(self) -> dict[str, Any]:
        """The spec before any knob is set, as plain data."""
        return dict(self.description.spec)

    def constants_of(self, point: PlannedPoint, replication: int) -> Constants:
        """The sweep's own columns of one run."""
        values: list[Knob] = [point.point_id, point.label, replication]
        constants = [(c.field(), v) for c, v in zip(SWEEP_COLUMNS, values, strict=True)]
        return (
            *constants,
            *((c.field(), knob_value(c, point.knobs[name])) for name, c in self.knobs.items()),
        )

    def planned_runs(self) -> Iterator[PlannedRun]:
        """Every planned run in order: point, number of the replication, run id."""
        for point in self.description.points:
            for replication, name in enumerate(point.run_ids):
                yield point, replication, name

    @cached_property
    def tables(self) -> Tables:
        """Tables over all runs, in order of the plan."""
        planned = list(self.planned_runs())
        names = [name for name in self.runs.table_names() if name != "runs"]
        return Tables(
            {"runs": RunsTable(self, planned), **{name: self._table(name, planned) for name in names}}
        )

    def tables_by_run_id(self) -> Tables:
        """The same tables in the order of run ids."""
        planned = sorted(self.planned_runs(), key=lambda run: run[2])
        return Tables(
            {
                name: RunsTable(self, planned) if name == "runs" else self._table(name, planned)
                for name in self.tables
            }
        )

    def _table(self, name: str, planned: Sequence[PlannedRun]) -> Table:
        having = set(self.runs.with_table(name))
        mine = [run for run in planned if run[2] in having]
        return Table(
            name,
            Each(mine, lambda run: self.runs.table_path(run[2], name)),
            Each(mine, lambda run: self.constants_of(run[0], run[1])),
        )

    def verify(self) -> None:
        """Read every file of every run and compare its SHA-256; DatasetError on the first that differs."""
        for run in self.runs.values():
            run.verify()

    def __repr__(self) -> str:
        return f"SweepResult({str(self.path)!r}, {len(self.points)} points, {len(self.runs)} runs)"


class RunsTable(Table):
    """Table `runs` of a sweep: a row per planned run in order, with status succeeded, failed or pending."""

    def __init__(self, sweep: SweepResult, planned: Sequence[PlannedRun]) -> None:
        self._sweep = sweep
        self._planned = planned
        done = [run_id for _, _, run_id in planned if run_id in sweep.runs]
        super().__init__("runs", Each(done, lambda run_id: sweep.runs.table_path(run_id, "runs")))

    @property
    def schema(self) -> pa.Schema:
        """Arrow schema, with unit and description in each field's metadata."""
        return runs_schema(self._sweep.knobs)

    @property
    def num_rows(self) -> int:
        """Planned runs."""
        return len(self._planned)

    def to_arrow(self, columns: list[str] | None = None) -> pa.Table:
        """The rows as an Arrow table, or only some columns of it."""
        return pa.Table.from_batches(
            [batch for part in self.parts(columns) for batch in part.to_batches()],
            schema=self.schema if columns is None else pa.schema([self.schema.field(c) for c in columns]),
        )

    def parts(self, columns: list[str] | None = None) -> Iterator[pa.Table]:
        """The rows, some hundred at a time."""
        schema = self.schema
        for planned in _batched(self._planned):
            part = table_of([self._row(*run) for run in planned], schema)
            yield part if columns is None else part.select(columns)

    def _row(self, point: PlannedPoint, replication: int, run_id: str) -> dict[str, Any]:
        sweep = self._sweep
        row: dict[str, Any] = {"run_id": run_id, "name": sweep.description.name}
        row |= {field.name: value for field, value in sweep.constants_of(point, replication)}
        if run_id in sweep.runs:
            (done,) = Table("runs", (sweep.runs.table_path(run_id, "runs"),)).to_arrow().to_pylist()
            row.update(done)
            return row
        failure = sweep.failures.get(run_id)
        row |= {"engine_version": sweep.description.engine_version, "schema_version": SCHEMA_VERSION}
        row["status"] = "pending" if failure is None else "failed"
        row["error"] = None if failure is None else f"{failure.error}: {failure.message}"
        return row


def runs_schema(knobs: Mapping[str, Column]) -> pa.Schema:
    """Schema of the table `runs` of a sweep: what a failed run has no value of is nullable."""
    sure = {"name", "status", "engine_version", "schema_version"}
    own = {c.name for c in TABLES["runs"].columns}
    fields = [RUN_ID.field(), *(c.field() for c in SWEEP_COLUMNS)]
    fields += [c.field() for name, c in knobs.items() if name not in own]
    fields.append(ERROR_COLUMN.field())
    for column in TABLES["runs"].columns:
        field = column.field()
        fields.append(field if column.name in sure else field.with_nullable(True))
    return pa.schema(fields)


def load_sweep(directory: Path) -> SweepResult:
    """Open a sweep's directory, finished or not; DatasetError if it or one of its runs is damaged."""
    return SweepResult(directory, SweepDescription.read(directory))


def is_sweep(directory: Path) -> bool:
    """Whether a directory holds a sweep."""
    return (directory / SWEEP_NAME).is_file()


_ENDINGS = ("", "_stddev", "_ci95_low", "_ci95_high")
_NO_SUMMARY = ("replications", *(m.name + ending for m in METRICS for ending in _ENDINGS))


def points_row(sweep: SweepResult, point: SweepPoint) -> dict[str, Any]:
    """One flat row of a point: setting, how many runs are done, failed and pending, means and intervals.

    Where replications are stopped early, `ci_reached` says whether the intervals are as narrow as was asked.
    """
    row: dict[str, Any] = {"point_id": point.point_id, "label": point.label}
    row |= {name: knob_value(column, point.knobs[name]) for name, column in sweep.knobs.items()}
    row |= {"succeeded": len(point.run_ids), "failed": len(point.failures), "pending": point.pending}
    row["error"] = f"{point.failures[0].error}: {point.failures[0].message}" if point.failures else None
    if sweep.description.until is not None:
        row["ci_reached"] = sweep.is_narrow(point)
    # A metric may have the name of a knob (assists); the knob then goes by its path.
    row |= point.summary or dict.fromkeys(_NO_SUMMARY)
    del row["replications"]
    return row


def points_parts(sweep: SweepResult) -> Iterator[pa.Table]:
    """The rows of all points in order, some hundred at a time."""
    schema = points_schema(sweep)
    for points in _batched(sweep.points):
        yield table_of([points_row(sweep, point) for point in points], schema)


def points_table(sweep: SweepResult) -> pa.Table:
    """A row per point, in order."""
    return pa.concat_tables([points_schema(sweep).empty_table(), *points_parts(sweep)])


def points_schema(sweep: SweepResult) -> pa.Schema:
    """Schema of the table of points."""
    words = {"point_id", "label", "error"}
    counts = {"succeeded", "failed", "pending"}
    fields = []
    asked = () if sweep.description.until is None else ("ci_reached",)
    for name in ("point_id", "label", *sweep.knobs, *sorted(counts), "error", *asked, *_NO_SUMMARY[1:]):
        if name in sweep.knobs:
            fields.append(sweep.knobs[name].field())
        elif name == "ci_reached":
            fields.append(pa.field(name, pa.bool_()))
        else:
            kind = pa.string() if name in words else pa.int64() if name in counts else pa.float64()
            fields.append(pa.field(name, kind, nullable=name not in counts | {"point_id", "label"}))
    return pa.schema(fields)


def write_sweep_tables(sweep: SweepResult, directory: Path) -> None:
    """Write `runs.parquet` and `points.parquet`, each as a whole or not at all."""
    runs = sweep.tables["runs"]
    for name, schema, parts in (
        ("runs", runs.schema, runs.parts()),
        ("points", points_schema(sweep), points_parts(sweep)),
    ):
        part = directory / f".{name}.parquet.partial"
        try:
            write_parts(part, schema, parts, rows_per_group=ROWS_PER_GROUP)
            part.replace(directory / f"{name}.parquet")
        except OSError as err:
            raise DatasetError(f"{directory}: table {name} cannot be written ({err})") from err


def _batched(things: Sequence[T]) -> Iterator[Sequence[T]]:
    for first in range(0, len(things), ROWS_AT_ONCE):
        yield things[first : first + ROWS_AT_ONCE]
