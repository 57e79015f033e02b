"""From a sweep to what its page shows: one entry per point that has runs, and which of them are on the Pareto front."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gcsim.datasets.sweep import SweepPoint, SweepResult
from gcsim.datasets.table import Table
from gcsim.report import extract
from gcsim.spec.load import spec_from_dict
from gcsim.spec.overrides import value_at
from gcsim.units import MIB, S

MAX_CORNERS = 250_000
"""Corners of all heap curves together; of longer runs the same first stretch of the load phase is shown at every point."""

# Parts of P time -> metric of the summary.
CPU_PARTS = {
    "mutator": "mutator_cpu_ns",
    "assist": "mark_assist_cpu_ns",
    "dedicated": "mark_background_cpu_ns",
    "idle_worker": "mark_idle_cpu_ns",
    "stw": "stw_cpu_ns",
    "sweep": "sweep_cpu_ns",
    "scavenge": "scavenge_cpu_ns",
    "overhead": "overhead_cpu_ns",
    "idle": "idle_cpu_ns",
}


@dataclass(frozen=True)
class PointCurves:
    """What the sliders switch to."""

    heap_s: list[float]
    heap_mib: list[float]
    goal_s: list[float]
    goal_mib: list[float]
    nines: list[float]
    latency_ns: list[float]
    cpu: dict[str, float]
    """Share of P time by part."""


def done_points(sweep: SweepResult) -> list[SweepPoint]:
    """Points with at least one run, in order."""
    return [point for point in sweep.points if point.runs]


def baseline(sweep: SweepResult, points: Sequence[SweepPoint]) -> int:
    """The point that has the spec's own values, or else the first one."""
    spec = spec_from_dict(sweep.spec)
    own = {name: value_at(spec, path) for name, path in sweep.description.columns.items()}
    own = {name: None if value == "off" else value for name, value in own.items()}
    return next((i for i, point in enumerate(points) if point.knobs == own), 0)


def knob_values(sweep: SweepResult, points: Sequence[SweepPoint]) -> dict[str, list[Any]]:
    """The values of each knob in order: numbers ascending, off and texts as they came; knobs that do vary only."""
    found = {}
    for name in sweep.knobs:
        values = list(dict.fromkeys(point.knobs[name] for point in points))
        numbers = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
        others = [v for v in values if v not in numbers or isinstance(v, bool)]
        if len(values) > 1:
            found[name] = [*sorted(numbers), *others]
    return found


def curves(points: Sequence[SweepPoint]) -> tuple[list[PointCurves], float, bool]:
    """Curves of every point, the seconds of load they show, and whether that is the whole load phase.

    Heap curves are of the first replication; latencies and CPU are of all.
    """
    heaps = []
    for point in points:
        run = point.runs[0]
        found = extract.heap_curves(run.tables)
        start = load_start_ns(run.tables["events"])
        heaps.append((found.live, found.goal, start))
    window = max(float(live.x[-1] - start) for live, _, start in heaps)
    whole = True
    while (
        sum(int(np.searchsorted(live.x, start + window)) for live, _, start in heaps) > MAX_CORNERS
        and window > 1e6
    ):
        window /= 2
        whole = False
    made = []
    for point, (live, goal, start) in zip(points, heaps, strict=True):
        counts = extract.latency_counts(_joined(point, "latency_hist"))
        nines, latency = _percentiles(counts)
        heap_s, heap_mib = _cut(live, start, window)
        goal_s, goal_mib = _cut(goal, start, window)
        made.append(
            PointCurves(
                heap_s,
                heap_mib,
                goal_s,
                goal_mib,
                nines,
                latency,
                cpu_shares(point),
            )
        )
    return made, window / S, whole


def _percentiles(counts: Mapping[str, extract.Ints]) -> tuple[list[float], list[float]]:
    """The curve of all request classes together."""
    if not counts:
        return [], []
    nines, latency = extract.percentile_curve(np.sum(list(counts.values()), axis=0), points=140)
    return [round(float(x), 4) for x in nines], [float(y) for y in latency]


def load_start_ns(events: Table) -> int:
    """When the load phase (after warm-up) begins; 0 if it never does."""
    read = events.to_arrow(["kind", "detail", "time_ns"]).to_pylist()
    return next((row["time_ns"] for row in read if (row["kind"], row["detail"]) == ("phase", "load")), 0)


def _joined(point: SweepPoint, name: str) -> Any:
    return {name: Table(name, tuple(path for run in point.runs for path in run.tables[name].paths))}


def _cut(curve: extract.Curve, start: int, window: float) -> tuple[list[float], list[float]]:
    inside = (curve.x >= start) & (curve.x <= start + window)
    # Six digits of seconds are microseconds, two of MiB are 10 KiB: finer than a screen, and half the file.
    x = np.round((curve.x[inside] - start) / S, 6)
    return x.tolist(), np.round(curve.y[inside] / MIB, 2).tolist()


def cpu_shares(point: SweepPoint) -> dict[str, float]:
    """Mean share of P time by part."""
    assert point.summary is not None
    parts = {part: float(point.summary[metric] or 0) for part, metric in CPU_PARTS.items()}
    total = sum(parts.values()) or 1.0
    return {part: round(value / total, 6) for part, value in parts.items()}
