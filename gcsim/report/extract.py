"""From tables to curves: plain numpy arrays, times in ns since process start, sizes in bytes."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from gcsim.datasets.table import Table, Tables
from gcsim.report.style import STATES
from gcsim.runtime.buckets import N_BUCKETS, bucket_midpoint_ns, quantiles_ns

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

MAX_CYCLES = 20_000
"""Cycles drawn one by one; of a longer run the first ones are (a page stays below about 10 MB)."""
MAX_INTERVALS = 30_000
"""Intervals of Ps drawn; of a longer run those around its longest cycle are."""


@dataclass(frozen=True)
class Curve:
    """Points of a line, ascending in x."""

    x: Ints
    y: Ints


@dataclass(frozen=True)
class HeapCurves:
    """The sawtooth and what it is steered by."""

    live: Curve
    goal: Curve
    trigger: Curve
    memory: Curve


def columns(table: Table, *names: str) -> dict[str, Ints]:
    """Numeric columns of a table as arrays."""
    read = table.to_arrow(list(names))
    return {name: read[name].to_numpy() for name in names}


def heap_curves(tables: Tables) -> HeapCurves:
    """Heap live with its corners: samples, and for each cycle mark start, mark end and what was marked.

    Goal and trigger hold from the end of one cycle to the end of the next.
    """
    cycles = columns(
        tables["cycles"], "mark_start_ns", "end_ns", "heap_start_bytes", "heap_end_bytes", "heap_marked_bytes",
        "heap_goal_bytes", "trigger_bytes",
    )  # fmt: skip
    cycles = {name: values[:MAX_CYCLES] for name, values in cycles.items()}
    heap = columns(tables["heap"], "time_ns", "heap_live_bytes", "heap_goal_bytes", "memory_bytes")
    end = cycles["end_ns"]
    times = np.concatenate([heap["time_ns"], cycles["mark_start_ns"], end, end])
    live = np.concatenate(
        [
            heap["heap_live_bytes"],
            cycles["heap_start_bytes"],
            cycles["heap_end_bytes"],
            cycles["heap_marked_bytes"],
        ]
    )
    order = np.argsort(times, kind="stable")  # at the end of a cycle its peak comes before what was marked
    last_ns = heap["time_ns"][-1:]
    goal_after = heap["heap_goal_bytes"][-1:]
    goal = _steps(
        np.concatenate([[0], end, last_ns]), np.concatenate([cycles["heap_goal_bytes"], goal_after])
    )
    trigger = _steps(np.concatenate([[0], end]), cycles["trigger_bytes"])
    return HeapCurves(
        Curve(times[order], live[order]), goal, trigger, Curve(heap["time_ns"], heap["memory_bytes"])
    )


def _steps(edges: Ints, values: Ints) -> Curve:
    """A step line: value i between edge i and edge i + 1."""
    return Curve(np.repeat(edges, 2)[1:-1].astype(np.int64), np.repeat(values, 2).astype(np.int64))


def nursery_curve(tables: Tables) -> Curve | None:
    """Objects in the nursery: before and after each minor collection; None without generations."""
    if "minors" not in tables:
        return None
    minors = columns(tables["minors"], "start_ns", "duration_ns", "nursery_bytes", "young_bytes")
    minors = {name: values[:MAX_CYCLES] for name, values in minors.items()}
    start = minors["start_ns"]
    x = np.column_stack([start, start + minors["duration_ns"]]).ravel()
    y = np.column_stack([minors["nursery_bytes"], minors["young_bytes"]]).ravel()
    return Curve(x.astype(np.int64), y.astype(np.int64))


def latency_over_time(tables: Tables, fractions: tuple[float, ...]) -> tuple[Ints, Ints, list[Ints]]:
    """Quantiles of all requests per window: starts, ends and one array per fraction."""
    hist = columns(tables["latency_hist"], "start_ns", "end_ns", "bucket_index", "count")
    starts, first = np.unique(hist["start_ns"], return_index=True)
    found: list[list[int]] = [[] for _ in fractions]
    for start in starts:
        rows = hist["start_ns"] == start
        counts = _dense(hist["bucket_index"][rows], hist["count"][rows])
        for values, ns in zip(found, quantiles_ns(counts, fractions) or [], strict=True):
            values.append(ns)
    return starts, hist["end_ns"][first], [np.array(values, dtype=np.int64) for values in found]


def latency_counts(tables: Tables) -> dict[str, Ints]:
    """Counts per bucket of the load phase by request class; `tables` may be of one run or of many."""
    hist = tables["latency_hist"].to_arrow(["phase", "request_class", "bucket_index", "count"])
    hist = hist.filter(pc.equal(hist["phase"], "load"))
    classes = np.asarray(hist["request_class"].to_pylist(), dtype=object)
    index, count = hist["bucket_index"].to_numpy(), hist["count"].to_numpy()
    return {
        name: _dense(index[classes == name], count[classes == name])
        for name in dict.fromkeys(classes.tolist())
    }


def _dense(index: Ints, count: Ints) -> Ints:
    counts = np.zeros(N_BUCKETS, dtype=np.int64)
    np.add.at(counts, index, count)
    return counts


def percentile_curve(counts: Ints, *, points: int = 400) -> tuple[Floats, Ints]:
    """Latency by "nines": x is -log10(1 - fraction of requests that are faster or equal), y in ns.

    The last bucket's x would be infinite; it stands half a request short of all.
    """
    used = np.flatnonzero(counts)
    if used.size == 0:
        return np.array([]), np.array([], dtype=np.int64)
    cumulative = np.cumsum(counts[used])
    total = int(cumulative[-1])
    nines = -np.log10(1 - np.minimum(cumulative, total - 0.5) / total)
    # A bucket stands for all ranks from the one before: draw its beginning too.
    x = np.column_stack([np.concatenate([[0.0], nines[:-1]]), nines]).ravel()
    y = np.repeat(bucket_midpoint_ns(used.astype(np.int64)), 2)
    if x.size > points:
        keep = np.unique(np.searchsorted(x, np.linspace(0, x[-1], points)).clip(0, x.size - 1))
        keep = np.union1d(keep, [0, x.size - 1])
        x, y = x[keep], y[keep]
    return x, y


def cpu_split(tables: Tables) -> tuple[Ints, Ints, dict[str, Floats]]:
    """Share of P time by state per window: starts, ends, state -> fractions."""
    names = {state: f"{state}_cpu_ns" for state in STATES}
    table = columns(tables["throughput"], "start_ns", "end_ns", *names.values())
    total = np.maximum(sum(table[name] for name in names.values()), 1)
    return table["start_ns"], table["end_ns"], {state: table[name] / total for state, name in names.items()}


@dataclass(frozen=True)
class Intervals:
    """Ps in states; `whole` is False where only a stretch of the run is kept."""

    p: Ints
    start_ns: Ints
    end_ns: Ints
    state: list[str]
    whole: bool
    recorded: bool


def p_intervals(tables: Tables) -> Intervals:
    """What each P did, from `p_states`; without it the collector's work that other tables have: assists and pauses."""
    if "p_states" not in tables:
        return _assists_by_p(tables)
    read = tables["p_states"].to_arrow(["p", "state", "start_ns", "end_ns"])
    whole = True
    if read.num_rows > MAX_INTERVALS:
        low, high = _stretch(tables, MAX_INTERVALS / read.num_rows)
        inside = pc.and_(pc.less(read["start_ns"], high), pc.greater(read["end_ns"], low))
        read, whole = read.filter(inside).slice(0, MAX_INTERVALS), False
    return Intervals(
        p=read["p"].to_numpy(),
        start_ns=read["start_ns"].to_numpy(),
        end_ns=read["end_ns"].to_numpy(),
        state=read["state"].to_pylist(),
        whole=whole,
        recorded=True,
    )


def _stretch(tables: Tables, share: float) -> tuple[int, int]:
    """A share of the run around its longest cycle, by intervals: twice as long is cut, half as long is fine."""
    cycles = columns(tables["cycles"], "start_ns", "end_ns")
    end = int(tables["heap"].to_arrow(["time_ns"])["time_ns"].to_numpy()[-1])
    if not cycles["start_ns"].size:
        return 0, int(end * share)
    longest = int(np.argmax(cycles["end_ns"] - cycles["start_ns"]))
    centre = int(cycles["start_ns"][longest] + cycles["end_ns"][longest]) // 2
    low = max(0, centre - int(end * share) // 2)
    return low, low + int(end * share)


def _assists_by_p(tables: Tables) -> Intervals:
    parts: list[tuple[Ints, Ints, Ints, list[str]]] = []
    procs = p_count(tables)
    pauses = columns(tables["pauses"], "start_ns", "duration_ns")
    count = min(len(pauses["start_ns"]), MAX_INTERVALS // (2 * procs))
    for p in range(procs):
        start = pauses["start_ns"][:count]
        parts.append((np.full(count, p), start, start + pauses["duration_ns"][:count], ["stw"] * count))
    whole = count == len(pauses["start_ns"])
    if "assists" in tables:
        assists = columns(tables["assists"], "p", "start_ns", "duration_ns")
        kept = min(len(assists["p"]), MAX_INTERVALS // 2)
        whole = whole and kept == len(assists["p"])
        start = assists["start_ns"][:kept]
        parts.append((assists["p"][:kept], start, start + assists["duration_ns"][:kept], ["assist"] * kept))
    return Intervals(
        np.concatenate([p for p, *_ in parts]),
        np.concatenate([start for _, start, _, _ in parts]),
        np.concatenate([end for _, _, end, _ in parts]),
        [state for *_, states in parts for state in states],
        whole=whole,
        recorded=False,
    )


def p_count(tables: Tables) -> int:
    """GOMAXPROCS of the run."""
    return int(tables["runs"].to_arrow(["gomaxprocs"])["gomaxprocs"][0].as_py())


# ---- what made requests slow ----------------------------------------------------------------------------------------

BANDS: tuple[tuple[str, float, float], ...] = (
    ("fastest half", 0.0, 0.5),
    ("p50 to p90", 0.5, 0.9),
    ("p90 to p99", 0.9, 0.99),
    ("p99 to p99.9", 0.99, 0.999),
    ("slowest 0.1 %", 0.999, 1.0),
)


@dataclass(frozen=True)
class TailCauses:
    """Per band of latency: how many sampled requests, and which share of them has which main cause."""

    bands: list[str]
    counts: list[int]
    shares: dict[str, list[float]]


def tail_causes(tables: Tables) -> TailCauses | None:
    """The main cause of each sampled request of the load phase, by band of latency; None without samples.

    A request's excess is its latency over the median.  Its cause is the largest of: time in pauses of the world, time in
    its own assists, time before it was begun, if that is at least a quarter of the excess.  Otherwise it is `marking` if some
    of it ran while a cycle was marking (workers had its P, or the write barrier was on), and else `other`: the scheduler,
    other requests, the operating system, or simply a request that does more.
    """
    if "requests" not in tables:
        return None
    read = tables["requests"].to_arrow()
    read = read.filter(pc.equal(read["phase"], "load"))
    if read.num_rows == 0:
        return None
    start, end = read["arrival_ns"].to_numpy(), read["end_ns"].to_numpy()
    latency = read["latency_ns"].to_numpy()
    excess = np.maximum(latency - np.median(latency), 0)
    parts = np.column_stack(
        [
            _overlap(tables, start, end),
            read["assist_ns"].to_numpy(),
            np.maximum(read["start_ns"].to_numpy() - start, 0),
        ]
    )
    largest = np.argmax(parts, axis=1)
    counts = np.take_along_axis(parts, largest[:, None], axis=1)[:, 0]
    marking = pc.fill_null(read["in_mark"], False).to_numpy(zero_copy_only=False)
    named = np.array(["pause", "assist", "queue"], dtype=object)[largest]
    cause = np.where((counts > 0) & (counts >= excess / 4), named, np.where(marking, "marking", "other"))
    order = np.argsort(latency, kind="stable")
    edges = [round(fraction * len(order)) for fraction in (0, *(high for *_, high in BANDS))]
    slices = [cause[order[low:high]] for low, high in itertools.pairwise(edges)]
    full = [(name, one) for (name, *_), one in zip(BANDS, slices, strict=True) if len(one)]
    return TailCauses(
        bands=[name for name, _ in full],
        counts=[len(one) for _, one in full],
        shares={
            name: [float(np.mean(one == name)) for _, one in full]
            for name in ("pause", "assist", "marking", "queue", "other")
        },
    )


def _overlap(tables: Tables, start: Ints, end: Ints) -> Floats:
    """How much of each interval [start, end) lies in pauses of the world, in ns."""
    pauses = columns(tables["pauses"], "start_ns", "duration_ns")
    edges = np.column_stack([pauses["start_ns"], pauses["start_ns"] + pauses["duration_ns"]]).ravel()
    if not edges.size:
        return np.zeros(len(start))
    stopped = np.concatenate([[0], np.cumsum(pauses["duration_ns"])])
    until = np.column_stack([stopped[:-1], stopped[1:]]).ravel()  # time stopped before each edge
    spent: Floats = np.interp(end, edges, until) - np.interp(start, edges, until)
    return spent


def cycle_windows(tables: Tables) -> dict[str, Ints]:
    """Start and end of the cycles that are drawn."""
    found = columns(tables["cycles"], "cycle", "start_ns", "end_ns")
    return {name: values[:MAX_CYCLES] for name, values in found.items()}


def decimate(table: pa.Table, rows: int) -> pa.Table:
    """Every n-th row, so that at most about `rows` are left."""
    step = max(1, -(-table.num_rows // rows))
    return table if step == 1 else table.take(np.arange(0, table.num_rows, step))
