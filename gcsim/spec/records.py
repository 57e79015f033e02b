"""Recorded runs of real Go programs as specs.

A record's header has ``workload`` (what the program keeps and what a request does) and ``settings`` (Go release,
GOMAXPROCS, GOGC, GOMEMLIMIT).  All of it is expressed, the memory of the measuring instrument included, in the
order in which the program does it.

Sizes without a field in the header follow from the program's description.  They were checked against the
recorded ``alloc_bytes / requests`` of the p2_gogc100 cases on Go 1.27.3: the bytes here, rounded to size classes,
meet them within 0.6 % or 2 B, but for what the runtime adds of itself (leak's slice, live-step's growing set).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gcsim.spec.load import spec_from_dict
from gcsim.spec.models import Spec
from gcsim.units import KIB, MIB, MS, US, S

CACHE = "cache"
POOL = "buffers"

NODE_BYTES, NODE_POINTER_WORDS = 64, 2
ENTRY_HEADER_BYTES, ENTRY_HEADER_POINTER_WORDS = 32, 2
SLICE_HEADER_BYTES = 24
FRAME_BYTES = 1040
GLOBALS_BYTES = MIB
GLOBAL_POINTERS = MIB // 8

# derived: make([]int64, latency_cap) per closed-loop worker; the program's default capacity
DEFAULT_LATENCY_CAP = 1 << 20
LATENCY_BYTES = 8
OPEN_LOOP_LATENCIES_BYTES = 16 * MIB
OPEN_LOOP_CHANNEL_BYTES = 800_000
# assumed: requests in flight at once after timers fired late, from what alloc_bytes leaves over in open-loop and
# micro-open-sleep (30 to 40 states of 5 KiB).  If wrong: a few hundred KiB of 20 to 45 MiB live.
OPEN_LOOP_STATES = 32
OPEN_LOOP_STATE_BYTES = 5 * KIB
# derived: alloc_objects / requests of bursty (no sleep: one object) and open-loop (sleep: two, 180 B in all);
# assumed: how the bytes divide, and that all words may be pointers.  If wrong: 0.1 KiB per request in scan work.
CLOSURE_BYTES = 80
TIMER_BYTES = 96

_COLLECTORS: Mapping[int, Mapping[str, Any]] = {
    0: {},
    1: {"collector": "stop_the_world"},
    2: {"collector": "stop_the_world", "stop_the_world_sweep": True},
}
"""What GODEBUG=gcstoptheworld makes of the collector."""

CORES = 2  # the machine of the records that do not say


def spec_from_record(workload: Mapping[str, Any], settings: Mapping[str, Any]) -> Spec:
    """The spec of a recorded run.

    Args:
        workload: the header's ``workload``: seconds, ns, µs, bytes and counts as recorded.
        settings: the header's ``settings``; ``gcstoptheworld`` (0, 1 or 2) may be missing.
    Raises:
        SpecError: the header has values that no program could have had, or an unknown Go release.
        KeyError: it lacks a field.
    """
    return spec_from_dict(
        {
            "name": workload["name"],
            "runtime": {
                "go": ".".join(str(settings["go"]).split(".")[:2]),
                "gomaxprocs": settings["procs"],
                "gogc": settings["gogc"] if settings["gogc"] == "off" else int(settings["gogc"]),
                "gomemlimit": settings.get("memlimit") or "off",
                **_COLLECTORS[int(settings.get("gcstoptheworld") or 0)],
            },
            "machine": {"cores": settings.get("cores") or CORES},
            "run": {
                "duration": round(workload["seconds"] * S),
                "settle": 50 * MS,
                "latency_report_bytes_per_request": _report_bytes_per_request(workload),
            },
            "globals": _globals(workload),
            "idle_goroutines": _idle_goroutines(workload),
            "retained": [*_cache(workload), *_instrument(workload)],
            "requests": [_request(workload)],
            "phases": [_phase(phase, workload) for phase in workload.get("phases") or ()],
        }
    )


def _is_open_loop(workload: Mapping[str, Any]) -> bool:
    return not workload["workers"]


# ---- what the program keeps --------------------------------------------------------------------------------


def _globals(workload: Mapping[str, Any]) -> dict[str, Any]:
    nodes = _group(GLOBAL_POINTERS, NODE_BYTES, NODE_POINTER_WORDS)
    return {"scan_bytes": GLOBALS_BYTES, "objects": [nodes] if workload.get("globals_ptr_mb") else []}


def _idle_goroutines(workload: Mapping[str, Any]) -> dict[str, Any]:
    if not workload.get("idle_goroutines"):
        return {}
    return {
        "count": workload["idle_goroutines"],
        "stack_used_bytes": (workload["stack_depth"] + 1) * FRAME_BYTES,
    }


def _group(count: int, size_bytes: int, pointer_words: int = 0, shape: str = "tree") -> dict[str, Any]:
    return {"count": count, "size": size_bytes, "pointer_words": pointer_words, "shape": shape}


def _cache(workload: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The retained set: a table of entries, each a header with nodes and a payload."""
    if not workload["cache_entries"]:
        return []
    objects = [_group(1, ENTRY_HEADER_BYTES, ENTRY_HEADER_POINTER_WORDS, "slice")]
    if workload["chain_nodes"]:
        shape = "tree" if workload["tree_shaped"] else "list"
        objects.append(_group(workload["chain_nodes"], NODE_BYTES, NODE_POINTER_WORDS, shape))
    if workload["payload_bytes"]:
        objects.append(_group(1, workload["payload_bytes"]))
    return [{"name": CACHE, "entries": workload["cache_entries"], "objects": objects, "table_slot_bytes": 8}]


def _instrument(workload: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What the measuring itself retains, as sets without a table.

    It is allocated when the load starts: alloc_bytes, which covers the load alone, has it (micro-spin allocates
    nothing else), and tiny-heap's first collection starts with it at 16 MiB 8 ms into the load.
    """
    if not _is_open_loop(workload):
        array_bytes = LATENCY_BYTES * (workload.get("latency_cap") or DEFAULT_LATENCY_CAP)
        return [_instrument_set("instrument", workload["workers"], _group(1, array_bytes))]
    channel = _group(1, OPEN_LOOP_CHANNEL_BYTES, OPEN_LOOP_CHANNEL_BYTES // 8)
    return [
        _instrument_set("instrument", 1, _group(1, OPEN_LOOP_LATENCIES_BYTES), channel),
        _instrument_set("request-states", OPEN_LOOP_STATES, _group(1, OPEN_LOOP_STATE_BYTES)),
    ]


def _instrument_set(name: str, entries: int, *objects: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": name,
        "entries": entries,
        "objects": objects,
        "table_slot_bytes": 0,
        "built": "load_start",
    }


def _report_bytes_per_request(workload: Mapping[str, Any]) -> float:
    """Bytes per request that merging the workers' latencies at the end allocates.

    The workers' arrays of 8 B per request are appended to one slice: the k-th append makes an array of the first
    k, so 8 · (1 + … + n) / n = 4 · (n + 1).  Recorded: 8.1 with one worker, 12.0 or 13.9 with two (append may
    grow by a quarter at a time).  Where a capacity is given, recording stops early and there is nothing to merge.
    """
    if _is_open_loop(workload) or workload.get("latency_cap"):
        return 0.0
    return LATENCY_BYTES / 2 * (int(workload["workers"]) + 1)


# ---- what a request does -----------------------------------------------------------------------------------


def _request(workload: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": "request",
        **(
            {"rate_per_s": workload["rate_per_s"], "arrivals": "poisson", "dispatcher": True}
            if _is_open_loop(workload)
            else {"workers": workload["workers"]}
        ),
        "steps": _steps(workload) or [{"kind": "cpu", "ns": 0}],
    }


def _steps(workload: Mapping[str, Any]) -> list[dict[str, Any]]:
    half_ns = workload["spin_ns"] // 2
    has_pool = bool(workload["pool_buffer_bytes"])
    steps: list[dict[str, Any]] = []
    if _is_open_loop(workload):
        steps.append(_own(CLOSURE_BYTES))
    steps += _spin(half_ns)
    for garbage in workload["garbage"] or ():
        steps += _garbage(garbage["kind"], garbage["count"], garbage["size"])
    if has_pool:
        steps.append({"kind": "pool_get", "pool": POOL, "size": workload["pool_buffer_bytes"], "touch": True})
    if workload["sleep_us"]:
        if _is_open_loop(workload):
            steps.append(_own(TIMER_BYTES))
        steps.append({"kind": "block", "ns": round(workload["sleep_us"] * US), "timer": True})
    if workload["replace_per_request"]:
        steps.append({"kind": "replace", "set": CACHE, "count": workload["replace_per_request"]})
    if workload["pointer_writes"]:
        tree = bool(workload["tree_shaped"])
        steps.append(
            {
                "kind": "pointer_writes",
                "count": workload["pointer_writes"],
                "set": CACHE,
                "drops_subtree": tree,
            }
        )
    if workload["leak_bytes_per_request"]:
        steps.append({"kind": "leak", "size": workload["leak_bytes_per_request"]})
    steps += _spin(workload["spin_ns"] - half_ns)
    if has_pool:
        steps.append({"kind": "pool_put", "pool": POOL})
    return steps


def _spin(ns: int) -> Sequence[dict[str, Any]]:
    return [{"kind": "cpu", "ns": ns, "calibrated_spin": True}] if ns else ()


def _own(size_bytes: int) -> dict[str, Any]:
    """An object of the request machinery: no garbage_scale."""
    return _allocate(1, size_bytes, size_bytes // 8, scaled=False)


def _garbage(kind: str, count: float, size_bytes: int) -> list[dict[str, Any]]:
    """One entry of ``garbage``: nodes in a list; other kinds in a slice of slices, whose header is boxed.

    A garbage_scale of 2 makes one slice of twice the bytes; here it makes two slices: the bytes are right, the
    objects one too many.
    """
    if kind == "node":
        return [_allocate(count, NODE_BYTES, NODE_POINTER_WORDS, shape="list")]
    holder_words = 3 * round(count) - 2  # a slice header points with its first word of three
    return [
        _allocate(count, size_bytes, size_bytes // 8 if kind == "ptrs" else 0),
        _allocate(1, SLICE_HEADER_BYTES * round(count), holder_words),
        _allocate(1, SLICE_HEADER_BYTES, 1, scaled=False),
    ]


def _allocate(
    count: float, size_bytes: int, pointer_words: int, *, shape: str = "slice", scaled: bool = True
) -> dict[str, Any]:
    return {
        "kind": "allocate",
        "count": float(count),
        "size": size_bytes,
        "pointer_words": pointer_words,
        "lifetime": "request",
        "shape": shape,
        "scaled": scaled,
    }


def _phase(phase: Mapping[str, Any], workload: Mapping[str, Any]) -> dict[str, Any]:
    out: dict[str, Any] = {"duration": round(phase["seconds"] * S)}
    if phase.get("rate_per_s") and _is_open_loop(workload):
        out["rate_per_s"] = phase["rate_per_s"]
    if phase.get("garbage_scale"):
        out["garbage_scale"] = phase["garbage_scale"]
    if phase.get("cache_entries") is not None:
        out["entries"] = {CACHE: phase["cache_entries"]}
    return out
