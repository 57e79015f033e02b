"""What is known of a service beside its log: a dump of runtime/metrics, an allocs profile.

Both say exactly what a log shows rounded or not at all.  Nothing here is fitted: each figure replaces an assumption, and
says so in a row of the table.

    runtime/metrics                              replaces
    /gc/gogc, /gc/gomemlimit, GOMAXPROCS, go     what the log does not say
    /gc/scan/stack, /gc/scan/globals             stacks and globals from goals in whole MiB
    /gc/scan/heap over /gc/heap/live             assumed scannable share
    /gc/heap/live                                live heap in whole MiB, where the log's marked heap hardly varies
    /gc/heap/allocs (bytes, objects, by size)    assumed size of objects
    /cpu/classes/user over total                 program's share of the CPU as seen while marking
    /sched/goroutines                            assumed size of a stack
    /memory/classes                              the base profile's memory besides the heap (what a limit leaves)

    allocs profile                               replaces
    objects and bytes by place                   assumed size of objects; places become sites of the spec
    bytes under sync.Pool.Get                    nothing: what pools allocate anew after each collection
    objects in use                               assumed size of retained objects
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gcsim.fit.logs import Settings, release_of
from gcsim.fit.service import BLOCK_BYTES, MAX_BLOCK_BYTES, Objects
from gcsim.interop.pprof_reader import Frame, HeapProfile, HeapSample
from gcsim.interop.runtime_metrics import Histogram, RuntimeMetrics
from gcsim.units import format_bytes, format_ns

MAX_SITES = 8
SITES_SHARE = 0.98  # of the bytes: what is left is one more group
MIN_CPU_S = 0.2  # of a process: less says nothing
MIN_OBJECTS = 1000
SMALLEST_BLOCK_BYTES = 32
# What is beside the heap's objects; a limit has to cover it.  Released and free memory it need not.
_BESIDES = (
    "/memory/classes/heap/unused:bytes", "/memory/classes/metadata/mcache/free:bytes",
    "/memory/classes/metadata/mcache/inuse:bytes", "/memory/classes/metadata/mspan/free:bytes",
    "/memory/classes/metadata/mspan/inuse:bytes", "/memory/classes/metadata/other:bytes",
    "/memory/classes/os-stacks:bytes", "/memory/classes/other:bytes", "/memory/classes/profiling/buckets:bytes",
)  # fmt: skip
_MAPPED = (
    "/memory/classes/heap/objects:bytes", "/memory/classes/heap/unused:bytes", "/memory/classes/heap/free:bytes",
    "/memory/classes/heap/released:bytes",
)  # fmt: skip


@dataclass(frozen=True)
class Fact:
    """A row for people: what, its value, where it is from."""

    name: str
    value: str
    source: str


@dataclass(frozen=True, kw_only=True)
class Known:
    """Everything known beside the log; None = not known.

    Attributes:
        settings: what the process ran under.
        live_bytes: marked by the last collection before the dump.
        busy_frac: CPU of the program over all P time.
        object_bytes: mean size of an allocated object; `objects`: by size or place.
        block_bytes: mean size of a retained object.
        besides_bytes: memory of the runtime besides heap objects, stacks left out; mapped_bytes: heap memory mapped.
        refill_share: bytes that pools allocate, over all bytes allocated.
    """

    settings: Settings = field(default_factory=Settings)
    stacks_bytes: float | None = None
    globals_bytes: float | None = None
    live_bytes: float | None = None
    scannable_frac: float | None = None
    goroutines: int | None = None
    busy_frac: float | None = None
    object_bytes: int | None = None
    objects: tuple[Objects, ...] = ()
    block_bytes: int | None = None
    besides_bytes: float | None = None
    mapped_bytes: float | None = None
    refill_share: float = 0.0
    facts: tuple[Fact, ...] = ()
    notes: tuple[str, ...] = ()


def known(metrics: RuntimeMetrics | None = None, allocs: HeapProfile | None = None) -> Known:
    """What the two say together; of object sizes the profile says more."""
    found: dict[str, object] = {}
    facts: list[Fact] = []
    notes: list[str] = []
    if metrics is not None:
        found |= _of_metrics(metrics, facts, notes)
    if allocs is not None:
        found |= _of_profile(allocs, facts, notes)
    return Known(**found, facts=tuple(facts), notes=tuple(notes))  # type: ignore[arg-type]


# ---- runtime/metrics ---------------------------------------------------------------------------------------------


def _of_metrics(metrics: RuntimeMetrics, facts: list[Fact], notes: list[str]) -> dict[str, object]:
    get = metrics.get
    limit = metrics.gomemlimit_bytes
    procs = get("/sched/gomaxprocs:threads")
    found: dict[str, object] = {
        "settings": Settings(
            go=None if metrics.go is None else release_of(metrics.go),
            gogc=metrics.gogc,  # type: ignore[arg-type]
            gomemlimit_bytes=limit,  # type: ignore[arg-type]
            gomaxprocs=None if procs is None else int(procs),
        ),
        "stacks_bytes": get("/gc/scan/stack:bytes"),
        "globals_bytes": get("/gc/scan/globals:bytes"),
        "live_bytes": get("/gc/heap/live:bytes"),
    }
    scan, live = get("/gc/scan/heap:bytes"), get("/gc/heap/live:bytes")
    if scan and live:
        # Of what a cycle scanned and marked; new objects are marked unscanned, so it is a little low.
        found["scannable_frac"] = min(1.0, max(0.01, scan / live))
    goroutines = get("/sched/goroutines:goroutines")
    if goroutines:
        found["goroutines"] = int(goroutines)
        facts.append(Fact("goroutines", str(int(goroutines)), "/sched/goroutines"))
    _cpu(metrics, found, facts, notes)
    _objects(metrics, found, facts)
    besides = [get(name) for name in _BESIDES]
    if all(value is not None for value in besides):
        total = math.fsum(v for v in besides if v is not None)
        found |= {"besides_bytes": total, "mapped_bytes": math.fsum(get(name) or 0 for name in _MAPPED)}
        facts.append(Fact("memory besides the heap", format_bytes(total), "/memory/classes"))
    for title, name in (
        ("pauses of the collector", "/sched/pauses/total/gc:seconds"),
        ("waiting for a P", "/sched/latencies:seconds"),
    ):
        histogram = metrics.histograms.get(name)
        if histogram is not None and histogram.count:
            shown = ", ".join(
                f"p{100 * q:g} {format_ns((histogram.quantile(q) or 0.0) * 1e9)}" for q in (0.5, 0.99)
            )
            facts.append(Fact(title, shown, name.partition(":")[0]))
    return {name: value for name, value in found.items() if value is not None}


def _cpu(metrics: RuntimeMetrics, found: dict[str, object], facts: list[Fact], notes: list[str]) -> None:
    total, user = metrics.get("/cpu/classes/total:cpu-seconds"), metrics.get("/cpu/classes/user:cpu-seconds")
    if not total or user is None:
        return
    if total < MIN_CPU_S:
        notes.append(f"CPU classes not used: {total:.3g} s of P time in all is too little")
        return
    found["busy_frac"] = min(1.0, user / total)
    facts.append(
        Fact("program's share of the CPU", f"{100 * user / total:.1f} %", "/cpu/classes/user over total")
    )
    gc = metrics.get("/cpu/classes/gc/total:cpu-seconds")
    if gc is not None:
        facts.append(
            Fact(
                "collector's share of the CPU",
                f"{100 * gc / total:.1f} %",
                "/cpu/classes/gc/total over total",
            )
        )


def _objects(metrics: RuntimeMetrics, found: dict[str, object], facts: list[Fact]) -> None:
    total, count = metrics.get("/gc/heap/allocs:bytes"), metrics.get("/gc/heap/allocs:objects")
    if total and count and count >= MIN_OBJECTS:
        found["object_bytes"] = max(8, round(total / count / 8) * 8)
        facts.append(
            Fact("mean object allocated", format_bytes(total / count), "/gc/heap/allocs: bytes over objects")
        )
    sizes = metrics.histograms.get("/gc/heap/allocs-by-size:bytes")
    if sizes is not None and sizes.count >= MIN_OBJECTS:
        objects = by_size(sizes, total)
        found["objects"] = objects
        shares = [(o.size, o.per_byte * o.size) for o in objects]
        parts = ", ".join(
            f"{100 * share:.0f} % of {format_bytes(size)}" for size, share in shares if share >= 0.01
        )
        facts.append(Fact("bytes by size of object", parts, "/gc/heap/allocs-by-size"))


SIZE_BOUNDS = (64, 256, 1024, 4096, 32_768)
"""Upper bounds of the groups that a histogram of sizes is brought to; above is one more."""


def by_size(sizes: Histogram, total_bytes: float | None = None) -> tuple[Objects, ...]:
    """Objects in a few groups, smallest first, each of its mean size.

    Args:
        total_bytes: of all objects; gives what is in the last, open bucket.
    """
    groups: dict[int, list[float]] = {}
    known_bytes = 0.0
    open_count = 0
    for _, high, count in sizes.parts():
        if math.isinf(high):
            open_count += count
            continue
        size = high - 1  # a bucket is a size class: its upper bound is the class and one
        known_bytes += size * count
        index = next((i for i, bound in enumerate(SIZE_BOUNDS) if size <= bound), len(SIZE_BOUNDS))
        group = groups.setdefault(index, [0.0, 0.0])
        group[0] += count
        group[1] += size * count
    if open_count:
        group = groups.setdefault(len(SIZE_BOUNDS), [0.0, 0.0])
        group[0] += open_count
        group[1] += max((total_bytes or 0.0) - known_bytes, open_count * float(SIZE_BOUNDS[-1]))
    return _as_objects([(count, size, "", "") for _, (count, size) in sorted(groups.items())])


def _as_objects(groups: Sequence[tuple[float, float, str, str]]) -> tuple[Objects, ...]:
    """Groups of (objects, bytes, site, where) per byte; sizes are whole words."""
    total = math.fsum(size for _, size, _, _ in groups)
    out = []
    for count, size, site, where in groups:
        if count > 0 and size > 0:
            one = max(8, round(size / count / 8) * 8)
            out.append(Objects(size=one, per_byte=size / total / one, site=site, where=where))
    return tuple(out)


# ---- allocs profile ----------------------------------------------------------------------------------------------


def _of_profile(profile: HeapProfile, facts: list[Fact], notes: list[str]) -> dict[str, object]:
    places: dict[tuple[Frame, int], list[float]] = {}
    pooled = 0.0
    for sample in profile.samples:
        key = (_place(sample.stack), sample.object_bytes or 0)
        place = places.setdefault(key, [0.0, 0.0])
        place[0] += sample.alloc_objects
        place[1] += sample.alloc_bytes
        if any(f.function.startswith("sync.(*Pool).Get") for f in sample.stack):
            pooled += sample.alloc_bytes
    total = profile.alloc_bytes
    ordered = sorted(
        places.items(), key=lambda item: (-item[1][1], item[0][0].function, item[0][0].line, item[0][1])
    )
    groups: list[tuple[float, float, str, str]] = []
    rest, seen = [0.0, 0.0], 0.0
    names: dict[str, int] = {}
    for (frame, _), (count, size) in ordered:
        if len(groups) < MAX_SITES and seen < SITES_SHARE * total and count > 0:
            where = (
                f"{frame.function} {os.path.basename(frame.file)}:{frame.line}"
                if frame.file
                else frame.function
            )
            groups.append((count, size, _site_name(frame, names), where))
        else:
            rest[0] += count
            rest[1] += size
        seen += size
    if rest[1] > 0:
        groups.append((rest[0], rest[1], "", ""))
    objects = _as_objects(groups)
    for one in objects:
        share = 100 * one.per_byte * one.size
        facts.append(
            Fact(
                f"site {one.site}" if one.site else "other sites", f"{share:.0f} % of bytes, {format_bytes(one.size)} each",
                one.where or "the rest of the profile",
            )
        )  # fmt: skip
    if len(profile.samples) < 5:
        notes.append(f"{profile.name} has {len(profile.samples)} places only: sizes are a rough guess")
    found: dict[str, object] = {"objects": objects}
    if pooled > 0:
        found["refill_share"] = pooled / total
        facts.append(Fact("allocated by pools", f"{100 * pooled / total:.1f} %", "under sync.Pool.Get"))
        notes.append(
            "what sync.Pool.Get allocates is taken to be what collections empty pools of: it grows with their number"
        )
    block = _block(profile.samples)
    if block is not None:
        found["block_bytes"] = block
        facts.append(Fact("mean object in use", format_bytes(block), "inuse_space over inuse_objects"))
    return found


def _block(samples: Sequence[HeapSample]) -> int | None:
    count, size = math.fsum(s.inuse_objects for s in samples), math.fsum(s.inuse_bytes for s in samples)
    if count < 1 or size <= 0:
        return None
    return int(min(MAX_BLOCK_BYTES, max(SMALLEST_BLOCK_BYTES, round(size / count / 16) * 16)))


_RUNTIME = re.compile(r"^(runtime\.|internal/|reflect\.|strings\.|bytes\.|strconv\.|sync\.)")


def _place(stack: Sequence[Frame]) -> Frame:
    """The innermost frame that is the program's, or whose library has a name of its own."""
    return next((f for f in stack if not _RUNTIME.match(f.function)), stack[0] if stack else Frame("unknown"))


def _site_name(frame: Frame, names: dict[str, int]) -> str:
    """A name for specs: the function's last part, numbered where it allocates at several places."""
    base = re.sub(r"[^a-z0-9]+", "-", frame.function.rpartition("/")[2].lower()).strip("-")[:40] or "site"
    base = base if base[0].isalpha() else f"f-{base}"
    names[base] = names.get(base, 0) + 1
    return base if names[base] == 1 else f"{base}-{names[base]}"


def merged(settings: Settings, more: Settings) -> Settings:
    """Settings with what only `more` knows."""
    mine: Mapping[str, object] = {name: getattr(settings, name) for name in Settings.__annotations__}
    return Settings(**{n: getattr(more, n) if v is None else v for n, v in mine.items()})  # type: ignore[arg-type]


assert SMALLEST_BLOCK_BYTES <= BLOCK_BYTES
