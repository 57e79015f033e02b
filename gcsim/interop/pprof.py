"""pprof: profiles of a run as gzip profile.proto, for `go tool pprof` and everything that reads its format.

Heap profile: alloc_objects, alloc_space, inuse_objects, inuse_space by stack, counted and not sampled.  What was
allocated is by the step of a request class that did it; what is in use is by what holds it, and as in a profile of
a Go program garbage is not in use.  CPU profile: P time from the run's accounts under the runtime's own frames;
idle Ps are left out, as a profiler never hits them.

The program's own part of CPU time, known as a whole, is split over classes and steps in proportion to their time at
full speed, since what marking beside and contention add to each is not told apart.

A handful of messages is encoded here: the format is small and frozen, and a protobuf run-time would be one more
dependency of a plain install.

Source: github.com/google/pprof/proto/profile.proto (field numbers); names of frames: go1.27 runtime.
"""

from __future__ import annotations

import gzip
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, Literal

from gcsim.datasets.reader import Result
from gcsim.errors import DatasetError
from gcsim.interop.files import single_run

ProfileType = Literal["alloc", "inuse", "cpu"]
Stack = tuple[str, ...]
"""Frames, the outermost caller first."""

CPU_PERIOD_NS = 10_000_000
"""derived: runtime/pprof StartCPUProfile, 100 Hz; it gives the count of samples, times are exact."""

_HEAP_TYPES = (
    ("alloc_objects", "count"),
    ("alloc_space", "bytes"),
    ("inuse_objects", "count"),
    ("inuse_space", "bytes"),
)
_CPU_TYPES = (("samples", "count"), ("cpu", "nanoseconds"))

_WORKER: Stack = ("runtime.gcBgMarkWorker", "runtime.systemstack", "runtime.gcBgMarkWorker.func2")
# Time of Ps by what they did -> frames.  Source: go1.27 runtime/mgc.go gcBgMarkWorker, mgcmark.go, proc.go, mgcsweep.go.
_RUNTIME_STACKS: dict[str, Stack] = {
    "dedicated_cpu_ns": (*_WORKER, "runtime.gcDrainMarkWorkerDedicated", "runtime.gcDrain"),
    "fractional_cpu_ns": (*_WORKER, "runtime.gcDrainMarkWorkerFractional", "runtime.gcDrain"),
    "idle_worker_cpu_ns": (*_WORKER, "runtime.gcDrainMarkWorkerIdle", "runtime.gcDrain"),
    "stw_cpu_ns": ("runtime.systemstack", "runtime.stopTheWorldWithSema"),
    "sweep_cpu_ns": ("runtime.bgsweep", "runtime.sweepone"),
    "scavenge_cpu_ns": ("runtime.bgscavenge", "runtime.(*scavengerState).run"),
    "overhead_cpu_ns": ("runtime.mcall", "runtime.park_m", "runtime.schedule"),
}
_ASSIST: Stack = (
    "runtime.mallocgc",
    "runtime.gcAssistAlloc",
    "runtime.systemstack",
    "runtime.gcAssistAlloc1",
    "runtime.gcDrainN",
)


def profile(result: Result, kind: ProfileType, *, phase: str = "load") -> bytes:
    """A profile as gzip profile.proto; the same run gives the same bytes.

    Args:
        kind: alloc and inuse are one heap profile that opens at alloc_space or inuse_space.
        phase: ``load`` as the summary's metrics have it (like a profile of some seconds of a Go program), or ``all``
            from process start on.
    Raises:
        DatasetError: several replications, or a run of a version that counted no sites.
    """
    run = single_run(result)
    if "sites" not in run.tables:
        version = run.manifest.identity.engine_version
        raise DatasetError(
            f"{run.path}: made by gcsim {version}, which did not count by site; simulate it again"
        )
    rows = _rows(run, "sites")
    measured = [row for row in rows if phase == "all" or row["phase"] == phase]
    # What is in use is as of the end, whatever has been measured before.
    last = rows[-1]["phase"] if rows else ""
    windows = [row for row in _rows(run, "throughput") if phase == "all" or row["phase"] == phase]
    duration_ns = sum(row["end_ns"] - row["start_ns"] for row in windows)
    comments = (
        f"gcsim {run.manifest.identity.engine_version} run {run.run_id} {run.manifest.identity.name}",
        f"simulated; phase {phase}",
    )
    if kind == "cpu":
        cpu = cpu_samples(measured, windows, _rows(run, "assists") if "assists" in run.tables else [])
        values = {stack: (round(ns / CPU_PERIOD_NS), ns) for stack, ns in cpu.items()}
        return encode(values, _CPU_TYPES, "cpu", ("cpu", "nanoseconds"), CPU_PERIOD_NS, duration_ns, comments)
    # Requests are counted when they end: what those under way had allocated when the phase began is too much.
    before_bytes = 0
    if phase == "load":
        before_bytes = sum(row["alloc_bytes"] for row in measured) - int(run.summary["alloc_bytes"])
    heap = heap_samples(measured, [row for row in rows if row["phase"] == last], before_bytes=before_bytes)
    # Every object is counted, so the period is one byte.
    return encode(heap, _HEAP_TYPES, f"{kind}_space", ("space", "bytes"), 1, duration_ns, comments)


def _rows(run: Result, table: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = run.tables[table].to_arrow().to_pylist()
    return rows


# ---- stacks ------------------------------------------------------------------------------------------------------


def site_stack(row: dict[str, Any]) -> Stack:
    """Frames of a site without the allocator's own: `main.<class>`, `main.<class>.<index>-<kind>(<name>)`."""
    kind, name = row["kind"], row["name"]
    if row["request_class"] is not None:
        base: Stack = ("main.main", f"main.{row['request_class']}")
        if row["step"] is None:
            return base if kind == "request" else (*base, f"main.{row['request_class']}.{kind}")
        about = f"({name})" if name else ""
        step = kind if kind != "growslice" else "fifo" if name else "leak"
        stack = (*base, f"main.{row['request_class']}.{row['step']}-{step}{about}")
        return (*stack, "runtime.growslice") if kind == "growslice" else stack
    match kind:
        case "pool":
            return ("sync.(*Pool).Get", f"main.pool({name}).New")
        case "build" | "retained":
            return ("main.main", f"main.{kind}({name})")
        case "goroutines":
            return ("runtime.newproc", "runtime.malg")
    return ("main.main", f"main.{kind}")


def heap_samples(
    allocated: Sequence[dict[str, Any]], at_end: Iterable[dict[str, Any]], *, before_bytes: int = 0
) -> dict[Stack, Sequence[int]]:
    """alloc_objects, alloc_space, inuse_objects, inuse_space by stack; as in Go, mallocgc is not on it.

    Args:
        allocated: rows of table `sites` whose allocations count.
        at_end: rows of the last phase, which say what is in use.
        before_bytes: of what requests are said to have allocated, so much was before; taken from all of their sites in
            proportion, objects likewise.
    """
    samples: dict[Stack, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    of_requests = max(1, sum(row["alloc_bytes"] for row in allocated if row["request_class"] is not None))
    for column, name in enumerate(("alloc_objects", "alloc_bytes")):
        weights: dict[Stack, int] = defaultdict(int)
        for row in allocated:
            if row["request_class"] is not None:
                weights[site_stack(row)] += row[name]
            elif row["alloc_bytes"] or row["alloc_objects"]:
                samples[site_stack(row)][column] += row[name]
        total = sum(weights.values())
        shares: dict[Stack, int] = defaultdict(int)
        if total:
            _split(total - total * before_bytes // of_requests, weights, (), shares)
        for stack, share in shares.items():
            samples[stack][column] += share
    for row in at_end:
        if row["inuse_bytes"] or row["inuse_objects"]:
            sample = samples[site_stack(row)]
            sample[2] += row["inuse_objects"]
            sample[3] += row["inuse_bytes"]
    return dict(samples)


def cpu_samples(
    sites: Sequence[dict[str, Any]], windows: Sequence[dict[str, Any]], assists: Sequence[dict[str, Any]]
) -> dict[Stack, int]:
    """CPU time in ns by stack; in sum that of the windows, less idle.

    Args:
        sites, windows: rows of tables `sites` and `throughput` of the phases in question.
        assists: rows of table `assists`, by which time in assists is split over classes; may be empty.
    """
    samples: dict[Stack, int] = defaultdict(int)
    weights: dict[Stack, int] = defaultdict(int)
    for row in sites:
        stack = site_stack(row)
        weights[stack] += row["code_cpu_ns"]
        weights[(*stack, "runtime.mallocgc")] += row["alloc_cpu_ns"]
    _split(sum(row["mutator_cpu_ns"] for row in windows), weights, ("main.main",), samples)
    phases = {row["phase"] for row in windows}
    weights = defaultdict(int)
    for row in assists:
        if row["phase"] in phases:
            name = row["request_class"]
            base: Stack = ("main.main", *(() if name is None else (f"main.{name}",)))
            weights[(*base, *_ASSIST)] += row["duration_ns"] - row["parked_ns"]
    _split(sum(row["assist_cpu_ns"] for row in windows), weights, ("main.main", *_ASSIST), samples)
    for column, stack in _RUNTIME_STACKS.items():
        samples[stack] += sum(row[column] for row in windows)
    return {stack: ns for stack, ns in samples.items() if ns}


def _split(total: int, weights: dict[Stack, int], otherwise: Stack, into: dict[Stack, int]) -> None:
    """Add `total` in proportion to the weights, whole and without loss; to `otherwise` if there are none."""
    whole = sum(weights.values())
    if not whole:
        into[otherwise] += total
        return
    done = given = 0
    for stack, weight in weights.items():
        done += weight
        share = total * done // whole - given
        given += share
        into[stack] += share


# ---- profile.proto -----------------------------------------------------------------------------------------------


def encode(
    samples: dict[Stack, Sequence[int]] | dict[Stack, tuple[int, int]],
    types: Sequence[tuple[str, str]],
    default_type: str,
    period_type: tuple[str, str],
    period: int,
    duration_ns: int,
    comments: Sequence[str],
) -> bytes:
    """The message, compressed.  Samples come in order of their stacks; no time of day goes in."""
    strings: dict[str, int] = {"": 0}

    def text(value: str) -> int:
        return strings.setdefault(value, len(strings))

    functions: dict[str, int] = {}
    body = bytearray()
    for type_, unit in types:
        body += _message(1, _number(1, text(type_)) + _number(2, text(unit)))
    for stack, values in sorted(samples.items()):
        ids = [functions.setdefault(frame, len(functions) + 1) for frame in reversed(stack)]  # leaf first
        body += _message(2, _packed(1, ids) + _packed(2, values))
    # One mapping that says that names are known, or pprof looks for a binary to take them from.
    body += _message(3, _number(1, 1) + _number(5, text("gcsim")) + _number(7, 1) + _number(8, 1))
    for frame, number in functions.items():  # one location per function
        body += _message(4, _number(1, number) + _number(2, 1) + _message(4, _number(1, number)))
        body += _message(5, _number(1, number) + _number(2, text(frame)) + _number(3, text(frame)))
    tail = _number(10, duration_ns)
    tail += _message(11, _number(1, text(period_type[0])) + _number(2, text(period_type[1])))
    tail += _number(12, period)
    for comment in comments:
        tail += _number(13, text(comment))
    tail += _number(14, text(default_type))
    for value in strings:
        body += _message(6, value.encode())
    return gzip.compress(bytes(body + tail), mtime=0)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _message(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _packed(field: int, values: Iterable[int]) -> bytes:
    return _message(field, b"".join(map(_varint, values)))
