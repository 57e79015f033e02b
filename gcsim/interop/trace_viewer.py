"""Trace-viewer JSON: the time line of a run for Perfetto and chrome://tracing, laid out as `go tool trace` does.

Process PROCS has a thread per P with what the P did, process GC the phases of each cycle, the pauses and the mark
assists, process STATS the counters Heap {Allocated, NextGC}, Memory and Requests.  A collector with generations has
a thread of its minor collections and a counter Generations {Nursery, Old} besides.  Empty space on a P is idle time.

Times are microseconds as the format wants them, with the nanoseconds behind the point.  Events come metadata first,
then by time, so that the same run gives the same bytes.

Source: "Trace Event Format" (the JSON object format), cmd/trace (names of processes and counters).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from gcsim.datasets.reader import Result
from gcsim.errors import DatasetError
from gcsim.interop.files import single_run

PROCS, GC, STATS = 1, 2, 3
_CYCLE_THREAD, _PAUSE_THREAD, _MINOR_THREAD = 1, 2, 3

# State of a P -> name as readers of Go traces know it.
STATE_NAMES = {
    "mutator": "running",
    "assist": "MARK ASSIST",
    "dedicated": "GC (dedicated)",
    "fractional": "GC (fractional)",
    "idle_worker": "GC (idle)",
    "stw": "STW",
    "sweep": "GC (sweep)",
    "scavenge": "scavenge",
    "overhead": "scheduling, system calls",
}

Event = dict[str, Any]


class _Key(NamedTuple):
    """Order of events: by time; of two that begin together the longer one first, since it encloses the other."""

    time_ns: int
    minus_duration_ns: int
    pid: int
    tid: int
    name: str


def trace(result: Result) -> dict[str, Any]:
    """The trace as the JSON object format has it.

    Raises:
        DatasetError: several replications, or the run has not recorded what its Ps did.
    """
    run = single_run(result)
    if "p_states" not in run.tables:
        raise DatasetError(
            f"{run.path}: table p_states was not recorded; run again with --set record.p_states=true"
        )
    timed = [
        *_procs(run),
        *_cycles(run),
        *_pauses(run),
        *_minors(run),
        *_assists(run),
        *_counters(run),
        *_rare(run),
    ]
    timed.sort(key=lambda pair: pair[0])
    return {
        "traceEvents": [*_metadata(run), *(event for _, event in timed)],
        "displayTimeUnit": "ns",
        "otherData": {
            "name": run.manifest.identity.name,
            "run_id": run.run_id,
            "gcsim": run.manifest.identity.engine_version,
        },
    }


def to_json(result: Result) -> bytes:
    """The trace as a file: one event per line."""
    whole = trace(result)
    events = ",\n".join(json.dumps(event, separators=(",", ":")) for event in whole.pop("traceEvents"))
    rest = json.dumps(whole, separators=(",", ":"))
    return f'{{"traceEvents":[\n{events}\n],{rest[1:]}\n'.encode()


# ---- parts -------------------------------------------------------------------------------------------------------

_Timed = Iterator[tuple[_Key, Event]]


def _us(ns: int) -> float:
    return ns / 1000


def _rows(run: Result, table: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = run.tables[table].to_arrow().to_pylist()
    return rows


def _complete(
    pid: int, tid: int, name: str, start_ns: int, duration_ns: int, **args: object
) -> tuple[_Key, Event]:
    event: Event = {
        "name": name,
        "ph": "X",
        "ts": _us(start_ns),
        "dur": _us(duration_ns),
        "pid": pid,
        "tid": tid,
    }
    if args:
        event["args"] = args
    return _Key(start_ns, -duration_ns, pid, tid, name), event


def _counter(name: str, time_ns: int, **values: int) -> tuple[_Key, Event]:
    event: Event = {"name": name, "ph": "C", "ts": _us(time_ns), "pid": STATS, "tid": 0, "args": values}
    return _Key(time_ns, 0, STATS, 0, name), event


def _metadata(run: Result) -> Iterator[Event]:
    def named(pid: int, kind: str, tid: int = 0, **args: object) -> Event:
        return {"name": kind, "ph": "M", "pid": pid, "tid": tid, "args": args}

    for order, (pid, name) in enumerate(((STATS, "STATS"), (GC, "GC"), (PROCS, "PROCS"))):
        yield named(pid, "process_name", name=name)
        yield named(pid, "process_sort_index", sort_index=order)
    yield named(GC, "thread_name", _CYCLE_THREAD, name="cycles")
    yield named(GC, "thread_name", _PAUSE_THREAD, name="pauses")
    if "minors" in run.tables:
        yield named(GC, "thread_name", _MINOR_THREAD, name="minor collections (what-if; Go has none)")
    procs: int = run.tables["runs"].to_arrow(["gomaxprocs"])["gomaxprocs"][0].as_py()
    for p in range(procs):
        yield named(PROCS, "thread_name", p, name=f"Proc {p}")
        yield named(PROCS, "thread_sort_index", p, sort_index=p)


def _procs(run: Result) -> _Timed:
    """What each P did; intervals that a window's end cut in two are put together again."""
    open_: dict[int, tuple[str, int, int]] = {}
    for row in _rows(run, "p_states"):
        p, state, start, end = row["p"], row["state"], row["start_ns"], row["end_ns"]
        before = open_.get(p)
        if before is not None and before[0] == state and before[2] == start:
            open_[p] = (state, before[1], end)
            continue
        if before is not None:
            yield from _interval(p, *before)
        open_[p] = (state, start, end)
    for p, last in open_.items():
        yield from _interval(p, *last)


def _interval(p: int, state: str, start_ns: int, end_ns: int) -> _Timed:
    if state != "idle":
        yield _complete(PROCS, p, STATE_NAMES[state], start_ns, end_ns - start_ns)


def _cycles(run: Result) -> _Timed:
    is_stopped = run.spec["runtime"].get("collector") == "stop_the_world"
    mark = "mark (world stopped)" if is_stopped else "concurrent mark"
    for row in _rows(run, "cycles"):
        start, mark_start, end = row["start_ns"], row["mark_start_ns"], row["end_ns"]
        yield _complete(
            GC,
            _CYCLE_THREAD,
            f"GC {row['cycle']}",
            start,
            end - start,
            trigger_reason=row["trigger_reason"],
            heap_start_bytes=row["heap_start_bytes"],
            heap_end_bytes=row["heap_end_bytes"],
            heap_marked_bytes=row["heap_marked_bytes"],
            heap_goal_bytes=row["heap_goal_bytes"],
            phase=row["phase"],
        )
        yield _complete(GC, _CYCLE_THREAD, "sweep termination", start, row["sweep_term_ns"])
        yield _complete(GC, _CYCLE_THREAD, mark, mark_start, row["mark_ns"])
        yield _complete(
            GC, _CYCLE_THREAD, "mark termination", mark_start + row["mark_ns"], row["mark_term_ns"]
        )


def _pauses(run: Result) -> _Timed:
    for row in _rows(run, "pauses"):
        yield _complete(
            GC,
            _PAUSE_THREAD,
            f"STW ({row['kind'].replace('_', ' ')})",
            row["start_ns"],
            row["duration_ns"],
            stopping_us=_us(row["stopping_ns"]),
        )


def _minors(run: Result) -> _Timed:
    """Minor collections with what survived them, and both generations."""
    if "minors" not in run.tables:
        return
    for row in _rows(run, "minors"):
        sizes = ("nursery_bytes", "copied_bytes", "promoted_bytes", "freed_bytes", "old_bytes")
        start, duration = row["start_ns"], row["duration_ns"]
        yield _complete(
            GC, _MINOR_THREAD, f"minor {row['minor']}", start, duration,
            reason=row["reason"], remembered_cards=row["remembered_cards"], **{name: row[name] for name in sizes},
        )  # fmt: skip
        before = row["old_bytes"] - row["promoted_bytes"]
        yield _counter("Generations", start, Nursery=row["nursery_bytes"], Old=before)
        yield _counter("Generations", start + duration, Nursery=row["young_bytes"], Old=row["old_bytes"])


def _assists(run: Result) -> _Timed:
    """Mark assists as asynchronous events: one that waits for credit overlaps the next on its P."""
    if "assists" not in run.tables:
        return
    for number, row in enumerate(_rows(run, "assists"), start=1):
        start, duration = row["start_ns"], row["duration_ns"]
        name = f"mark assist ({row['request_class'] or 'set-up'})"
        both: Event = {"name": name, "cat": "assist", "id": f"0x{number:x}", "pid": GC, "tid": 0}
        args = {key: row[key] for key in ("p", "cycle", "debt_bytes", "scan_work_bytes", "stolen_bytes")} | {
            "parked_us": _us(row["parked_ns"])
        }
        # The end of one that took no time sorts after its begin.
        yield (
            _Key(start, -duration, GC, 0, f"assist {number} begin"),
            {**both, "ph": "b", "ts": _us(start), "args": args},
        )
        yield (
            _Key(start + duration, 0, GC, 0, f"assist {number} end"),
            {**both, "ph": "e", "ts": _us(start + duration)},
        )


def _counters(run: Result) -> _Timed:
    """Heap {Allocated, NextGC} at every sample and at both ends of each cycle, between which the goal holds."""
    for row in _rows(run, "heap"):
        time = row["time_ns"]
        yield _counter("Heap", time, Allocated=row["heap_live_bytes"], NextGC=row["heap_goal_bytes"])
        yield _counter("Memory", time, Held=row["memory_bytes"], Released=row["heap_released_bytes"])
    for row in _rows(run, "cycles"):
        goal = row["heap_goal_bytes"]
        yield _counter("Heap", row["mark_start_ns"], Allocated=row["heap_start_bytes"], NextGC=goal)
        yield _counter("Heap", row["end_ns"], Allocated=row["heap_marked_bytes"], NextGC=goal)
    for row in _rows(run, "throughput"):
        yield _counter("Requests", row["end_ns"], InSystem=row["queued"])


def _rare(run: Result) -> _Timed:
    for row in _rows(run, "events"):
        time = row["time_ns"]
        name = f"{row['kind']}: {row['detail']}" if row["kind"] == "phase" else row["kind"]
        args = {"detail": row["detail"]} | ({} if row["amount"] is None else {"amount": row["amount"]})
        event = {
            "name": name,
            "ph": "i",
            "s": "g",
            "ts": _us(time),
            "pid": GC,
            "tid": _CYCLE_THREAD,
            "args": args,
        }
        yield _Key(time, 0, GC, _CYCLE_THREAD, name), event
