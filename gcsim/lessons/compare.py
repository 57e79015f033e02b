"""Running both sides of a lesson and judging its claims."""

from __future__ import annotations

import difflib
import tempfile
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, Literal

from gcsim.datasets.metrics import METRIC_BY_NAME, Metric
from gcsim.datasets.reader import Result
from gcsim.datasets.run import run_spec
from gcsim.lessons.lesson import Claim, Lesson
from gcsim.spec.load import load_spec
from gcsim.spec.models import Spec

Side = Literal["before", "after"]

_OWN = (
    Metric(name="allocs_per_request", section="heap", type="float64", unit="objects", description="objects allocated per request"),
    Metric(name="stacks_bytes_mean", section="heap", type="float64", unit="bytes", description="mean memory of goroutine stacks"),
    Metric(name="frames_scanned_bytes_mean", section="collections", type="float64", unit="bytes", description="mean frames scanned on stacks per cycle"),
    Metric(name="mark_cpu_ns_per_request", section="CPU", type="float64", unit="ns of CPU, summed over Ps", description="marking and assists per request"),
    Metric(name="black_new_bytes_per_gc", section="collections", type="float64", unit="bytes", description="allocated while a cycle marks, black at once: not freed by that cycle"),
    Metric(name="bytes_per_request", section="heap", type="float64", unit="bytes", description="heap allocated per request"),
    Metric(name="mark_ns_mean", section="collections", type="float64", unit="ns", description="mean duration of marking"),
    Metric(name="mark_cpu_ns_per_gc", section="CPU", type="float64", unit="ns of CPU, summed over Ps", description="marking and assists per cycle"),
    Metric(name="mark_parallelism", section="collections", type="float64", unit="Ps", description="Ps that mark at once, on average: CPU time of marking over its duration"),
    Metric(name="inuse_objects", section="heap", type="int64", unit="objects", description="objects that something holds at the end"),
    Metric(name="scan_work_bytes_mean", section="collections", type="float64", unit="bytes", description="mean scan work on the heap per cycle"),
    Metric(name="marked_growth", section="heap", type="float64", unit="times", description="heap marked by the last cycle over that of the first"),
    Metric(name="minor_pauses_per_s", section="pauses", type="float64", unit="1/s", description="minor collections per second"),
    Metric(name="promoted_frac", section="heap", type="float64", unit="1", description="share of what was allocated that became old"),
    Metric(name="pauses_per_gc", section="pauses", type="float64", unit="pauses", description="pauses per cycle"),
)  # fmt: skip
NUMBERS: dict[str, Metric] = METRIC_BY_NAME | {metric.name: metric for metric in _OWN}
"""What lessons may compare: the summary's metrics and some of their own."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """A line of the heap over time: (ns since the load phase began, bytes)."""

    live: tuple[tuple[int, int], ...]
    goal: tuple[tuple[int, int], ...]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Both sides of a lesson."""

    lesson: Lesson
    before: dict[str, float | None]
    after: dict[str, float | None]
    lines: dict[Side, Line]

    def verdicts(self) -> list[tuple[Claim, bool]]:
        """Each claim and whether it holds."""
        return [(c, c.holds(self.before[c.number], self.after[c.number])) for c in self.lesson.claims]


def spec_of(lesson: Lesson, side: Side) -> Spec:
    """The workload of one side."""
    with as_file(files("gcsim.lessons") / "specs" / f"{lesson.name}-{side}.yaml") as path:
        return load_spec(path)


def changed_lines(lesson: Lesson) -> list[str]:
    """What tells both workloads apart: lines of theirs with `-` (before) or `+` (after), comments and names aside."""

    def lines(side: Side) -> list[str]:
        text = (files("gcsim.lessons") / "specs" / f"{lesson.name}-{side}.yaml").read_text()
        found = (line.split("  #")[0].rstrip() for line in text.splitlines() if not line.startswith("#"))
        return [line for line in found if line.split(":")[0] not in ("name", "description")]

    compared = difflib.ndiff(lines("before"), lines("after"))
    return [f"{line[0]} {line[2:].strip()}" for line in compared if line[0] in "-+"]


def run_lesson(lesson: Lesson) -> Outcome:
    """Simulate both sides; nothing is left on disk."""
    numbers: dict[Side, dict[str, float | None]] = {}
    lines: dict[Side, Line] = {}
    sides: tuple[Side, ...] = ("before", "after")
    with tempfile.TemporaryDirectory(prefix="gcsim-lesson-") as directory:
        for side in sides:
            result = run_spec(spec_of(lesson, side), Path(directory) / side)
            numbers[side] = numbers_of(result)
            lines[side] = _line(result)
    return Outcome(lesson=lesson, before=numbers["before"], after=numbers["after"], lines=lines)


def _load_rows(result: Result, table: str) -> list[dict[str, Any]]:
    return [row for row in result.tables[table].to_arrow().to_pylist() if row["phase"] == "load"]


def numbers_of(result: Result) -> dict[str, float | None]:
    """All numbers by name; None where there was nothing to count.  Per-cycle numbers are of the load phase."""
    cycles = _load_rows(result, "cycles")
    n = len(cycles)
    own: dict[str, float | None] = dict.fromkeys((metric.name for metric in _OWN), None)
    if result.summary["requests"]:
        requests = result.summary["requests"]
        own["bytes_per_request"] = result.summary["alloc_bytes"] / requests
        own["allocs_per_request"] = result.summary["alloc_objects"] / requests
        marking = ("mark_assist_cpu_ns", "mark_background_cpu_ns", "mark_idle_cpu_ns")
        own["mark_cpu_ns_per_request"] = sum(result.summary[name] for name in marking) / requests
    if result.summary["alloc_bytes"]:
        own["promoted_frac"] = result.summary["promoted_bytes"] / result.summary["alloc_bytes"]
    if result.summary["duration_s"]:
        own["minor_pauses_per_s"] = result.summary["num_minor_gc"] / result.summary["duration_s"]
    own["inuse_objects"] = sum(row["inuse_objects"] for row in _load_rows(result, "sites"))
    samples = _load_rows(result, "heap")
    if samples:
        own["stacks_bytes_mean"] = sum(row["stacks_in_use_bytes"] for row in samples) / len(samples)
    if n:
        kinds = ("assist_cpu_ns", "dedicated_cpu_ns", "fractional_cpu_ns", "idle_cpu_ns")
        numbers = {row["cycle"] for row in cycles}
        pauses = sum(p["cycle"] in numbers for p in result.tables["pauses"].to_arrow().to_pylist())
        marked_ns = max(1, sum(row["mark_ns"] for row in cycles))
        own |= {
            "mark_parallelism": sum(row[kind] for row in cycles for kind in kinds) / marked_ns,
            "mark_ns_mean": sum(row["mark_ns"] for row in cycles) / n,
            "mark_cpu_ns_per_gc": sum(row[kind] for row in cycles for kind in kinds) / n,
            "frames_scanned_bytes_mean": sum(row["stack_scan_work_bytes"] for row in cycles) / n,
            "black_new_bytes_per_gc": sum(row["heap_end_bytes"] - row["heap_start_bytes"] for row in cycles)
            / n,
            "scan_work_bytes_mean": sum(row["heap_scan_work_bytes"] for row in cycles) / n,
            "marked_growth": cycles[-1]["heap_marked_bytes"] / cycles[0]["heap_marked_bytes"],
            "pauses_per_gc": pauses / n,
        }
    return {**{name: result.summary[name] for name in METRIC_BY_NAME}, **own}


def _line(result: Result) -> Line:
    """Heap live and goal: samples, and both ends of each cycle, between which the sawtooth turns."""
    samples = _load_rows(result, "heap")
    cycles = _load_rows(result, "cycles")
    live = [(row["time_ns"], row["heap_live_bytes"]) for row in samples]
    live += [(row["end_ns"] - 1, row["heap_end_bytes"]) for row in cycles]
    live += [(row["end_ns"], row["heap_marked_bytes"]) for row in cycles]
    goal = [(row["time_ns"], row["heap_goal_bytes"]) for row in samples]
    start_ns = min((time for time, _ in live), default=0)
    return Line(
        live=tuple(sorted((time - start_ns, size) for time, size in live)),
        goal=tuple((time - start_ns, size) for time, size in goal),
    )
