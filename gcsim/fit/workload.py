"""Specs as workloads of the Go program that `gcsim validate --live` runs: the inverse of `gcsim.spec.records`.

The program does one kind of request, in one order of steps (see `goprogram/main.go`).  What a spec says is translated,
translated back, and compared: whatever does not come back is what the program cannot do, and is refused by name.

Three things are adapted instead, and said (`LiveWorkload.notes`), because every real program that measures itself has
them and the comparison simulates them too: memory of the measuring instrument, the slices that hold a request's
objects, and computing in two halves, before and after allocating.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gcsim.errors import Problem, SpecError
from gcsim.spec.models import Spec
from gcsim.spec.records import (
    CACHE,
    CLOSURE_BYTES,
    DEFAULT_LATENCY_CAP,
    ENTRY_HEADER_BYTES,
    FRAME_BYTES,
    LATENCY_BYTES,
    NODE_BYTES,
    NODE_POINTER_WORDS,
    POOL,
    SLICE_HEADER_BYTES,
    TIMER_BYTES,
    spec_from_record,
)
from gcsim.units import US, S, format_bytes

Json = dict[str, Any]

# What says nothing about the program's behaviour, or is taken from the spec as it is.
_IGNORED = ("version", "name", "description", "machine", "record", "thresholds")
_IGNORED_RUN = ("seed", "replications", "latency_report_bytes_per_request")
_INSTRUMENT = ("instrument", "request-states")

_REMEDY = "change it, or compare without --live"


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveWorkload:
    """A spec for the Go program.

    Attributes:
        workload, settings: as in a record.
        notes: what the program does in addition to the spec, in words; the comparison simulates the same.
    """

    workload: Json
    settings: Json
    notes: tuple[str, ...]


def workload_from_spec(spec: Spec, *, go: str, cores: int) -> LiveWorkload:
    """What the Go program has to do so that it is the program of a spec.

    Args:
        go: release of the toolchain, ``1.27.3``.
        cores: CPUs of this machine.
    Raises:
        SpecError: the spec has what the program, the toolchain or this machine cannot do; every such field is named.
    """
    asked = _plain(spec)
    workload, settings = _workload(asked), _settings(asked, go, cores)
    try:
        done = _plain(spec_from_record(workload, settings))
    except SpecError as error:  # a value that no program could have; its path is of the translation
        raise SpecError(error.problems, source=f"{spec.name}, as a workload of the Go program") from error
    problems = [*_machine_problems(spec, go, cores), *_differences(_essence(asked), _essence(done), "$")]
    if problems:
        raise SpecError(problems, source=f"{spec.name} cannot be run as a Go program")
    return LiveWorkload(workload=workload, settings=settings, notes=tuple(_notes(asked, done)))


def _plain(spec: Spec) -> Json:
    data: Json = spec.model_dump(mode="json")
    return data


# ---- translation: as much as there is a word for ---------------------------------------------------------------


def _workload(spec: Json) -> Json:
    request = spec["requests"][0] if spec["requests"] else {"steps": []}
    steps: list[Json] = request["steps"]
    of_kind: dict[str, list[Json]] = {}
    for step in steps:
        of_kind.setdefault(step["kind"], []).append(step)

    def first(kind: str, field: str) -> Any:
        return (of_kind[kind][0][field] or 0) if kind in of_kind else 0

    idle = spec["idle_goroutines"]
    workload = {
        "name": spec["name"],
        "workers": request.get("workers") or 0,
        "rate_per_s": request.get("rate_per_s") or 0,
        "seconds": spec["run"]["duration"] / S,
        "spin_ns": sum(step["ns"] or 0 for step in of_kind.get("cpu", ())),
        "sleep_us": first("block", "ns") / US,
        "garbage": [
            {"kind": kind, "size": step["size"], "count": step["count"]}
            for step in _without_own_objects(steps)
            if (kind := _garbage_kind(step))
        ],
        **_cache(spec),
        "replace_per_request": first("replace", "count"),
        "leak_bytes_per_request": first("leak", "size"),
        "idle_goroutines": idle["count"],
        "stack_depth": max(0, idle["stack_used_bytes"] // FRAME_BYTES - 1) if idle["count"] else 0,
        "globals_ptr_mb": 1 if spec["globals"]["objects"] else 0,
        "pool_buffer_bytes": first("pool_get", "size"),
        "pointer_writes": first("pointer_writes", "count"),
        "phases": [_phase(phase) for phase in spec["phases"]],
    }
    return workload | _latency_cap(spec)


def _settings(spec: Json, go: str, cores: int) -> Json:
    runtime = spec["runtime"]
    limit = runtime["gomemlimit"]
    return {
        "go": go,
        "procs": runtime["gomaxprocs"] or cores,
        "cores": cores,
        "gogc": str(runtime["gogc"]),
        "memlimit": "" if limit == "off" else f"{limit}B",
        **_stop_the_world(runtime),
    }


def _stop_the_world(runtime: Json) -> Json:
    """GODEBUG=gcstoptheworld; of the generational collector nothing, so that it does not come back."""
    if runtime["collector"] != "stop_the_world":
        return {}
    return {"gcstoptheworld": 2 if runtime["stop_the_world_sweep"] else 1}


def _garbage_kind(step: Mapping[str, Any]) -> str | None:
    if step["kind"] != "allocate" or step["size"] is None:
        return None
    size, words = step["size"], step["pointer_words"]
    if (size, words, step["shape"]) == (NODE_BYTES, NODE_POINTER_WORDS, "list"):
        return "node"
    if words == 0:
        return "bytes"
    return "ptrs" if words == size // 8 else None


def _own_set(spec: Json) -> Json | None:
    """The retained set of the program: the first that is not the instrument's."""
    return next((s for s in spec["retained"] if s["name"] not in _INSTRUMENT), None)


def _cache(spec: Json) -> Json:
    found: Json = {"cache_entries": 0, "chain_nodes": 0, "tree_shaped": False, "payload_bytes": 0}
    own = _own_set(spec)
    if own is None:
        return found
    found["cache_entries"] = own["entries"]
    for group in own["objects"]:
        if (group["size"], group["pointer_words"]) == (NODE_BYTES, NODE_POINTER_WORDS):
            found["chain_nodes"], found["tree_shaped"] = group["count"], group["shape"] == "tree"
        elif group["pointer_words"] == 0:
            found["payload_bytes"] = group["size"]
    return found


def _latency_cap(spec: Json) -> Json:
    """A spec made from a record says how many latencies its instrument keeps."""
    for retained in spec["retained"]:
        if retained["name"] == "instrument" and len(retained["objects"]) == 1:
            cap = retained["objects"][0]["size"] // LATENCY_BYTES
            if cap != DEFAULT_LATENCY_CAP:
                return {"latency_cap": cap}
    return {}


def _phase(phase: Json) -> Json:
    out: Json = {"seconds": phase["duration"] / S}
    rate = phase["rate_per_s"]
    if isinstance(rate, dict):
        rate = next(iter(rate.values()), None)
    if rate is not None:
        out["rate_per_s"] = rate
    if phase["garbage_scale"] is not None:
        out["garbage_scale"] = phase["garbage_scale"]
    if phase["entries"]:
        out["cache_entries"] = next(iter(phase["entries"].values()))
    return out


# ---- comparison ------------------------------------------------------------------------------------------------


class _At(dict[str, Any]):
    """A step that remembers where it stood in its list."""

    index: int


def _essence(spec: Json) -> Json:
    """A spec without names, without what is ignored, and with what is adapted in one canonical form."""
    out = {key: value for key, value in spec.items() if key not in _IGNORED}
    out["runtime"] = {**spec["runtime"], "go": "", "gomaxprocs": None}  # see _machine_problems
    del out["runtime"]["generational"]  # says nothing about other collectors; that one is refused by its name
    if out["runtime"]["collector"] != "stop_the_world":
        del out["runtime"]["stop_the_world_sweep"]
    out["run"] = {key: value for key, value in spec["run"].items() if key not in _IGNORED_RUN}
    if not spec["idle_goroutines"]["count"]:
        out["idle_goroutines"] = {"count": 0}
    own = _own_set(spec)
    names = {own["name"]: CACHE} if own else {}
    out["retained"] = [
        {**retained, "name": names.get(retained["name"], retained["name"])}
        for retained in spec["retained"]
        if retained["name"] not in _INSTRUMENT
    ]
    if not spec["phases"]:
        del out["repeat_phases"]
    out["phases"] = [_phase_essence(phase, names) for phase in spec["phases"]]
    out["requests"] = [_request_essence(request, names) for request in spec["requests"]]
    return out


def _phase_essence(phase: Json, names: Mapping[str, str]) -> Json:
    rate = phase["rate_per_s"]
    if isinstance(rate, dict) and len(rate) == 1:
        rate = next(iter(rate.values()))
    entries = phase["entries"] or {}
    return {**phase, "rate_per_s": rate, "entries": {names.get(n, n): k for n, k in entries.items()}}


def _request_essence(request: Json, names: Mapping[str, str]) -> Json:
    steps = []
    for step in _without_own_objects(request["steps"]):
        if step["kind"] == "cpu" and step["distribution"] is None:
            continue  # its time is compared as a sum, by construction
        plain = {**step}
        if "set" in plain:
            plain["set"] = names.get(plain["set"], plain["set"])
        if "pool" in plain:
            plain["pool"] = POOL
        at = _At(plain)
        at.index = step.index
        steps.append(at)
    rest = {key: value for key, value in request.items() if key not in ("name", "steps")}
    return {**rest, "steps": steps}


def _without_own_objects(steps: Sequence[Json]) -> Iterator[_At]:
    """The steps without the objects that the program allocates for itself: holders of objects, closure, timer."""
    holders: list[tuple[int, int]] = []
    for index, step in enumerate(steps):
        size = (step["size"], step["pointer_words"]) if step["kind"] == "allocate" else (None, 0)
        if size in holders and step["count"] == 1:
            holders.remove(size)
            continue
        is_own = size in ((CLOSURE_BYTES, CLOSURE_BYTES // 8), (TIMER_BYTES, TIMER_BYTES // 8))
        if is_own and not step["scaled"]:
            continue
        kind = _garbage_kind(step)
        if kind in ("bytes", "ptrs"):
            number = round(step["count"])
            holders = [(SLICE_HEADER_BYTES * number, 3 * number - 2), (SLICE_HEADER_BYTES, 1)]
        at = _At(step)
        at.index = index
        yield at


def _differences(asked: Any, done: Any, path: str) -> Iterator[Problem]:
    """Every field of `asked` that `done` has not, by path in the spec."""
    if isinstance(asked, Mapping) and isinstance(done, Mapping):
        for key, value in asked.items():
            yield from _differences(value, done.get(key), f"{path}.{key}")
        return
    if isinstance(asked, list) and isinstance(done, list):
        if path.endswith(".steps"):
            yield from _step_differences(asked, done, path)
            return
        for index, value in enumerate(asked):
            here = f"{path}[{index}]"
            if index < len(done):
                yield from _differences(value, done[index], here)
            else:
                yield Problem(here, message="the Go program has no more than one such", remedy="leave it out")
        return
    if asked != done:
        instead = "has nothing of the kind" if done is None else f"would have {_text(done)}"
        message = f"cannot be done by the Go program; it {instead}"
        yield Problem(path, value=_text(asked), message=message, remedy=_REMEDY)


def _text(value: Any) -> str:
    """A value for people: of a mapping what is set."""
    if isinstance(value, Mapping):
        return repr({key: inner for key, inner in value.items() if inner not in (None, [], {})})
    return repr(value)


def _step_differences(asked: list[_At], done: list[_At], path: str) -> Iterator[Problem]:
    """Steps that the program lacks; those it has, field by field; and steps in another order than the program's."""
    left = list(done)
    order: list[int] = []
    for step in asked:
        here = f"{path}[{step.index}]"
        same = next((other for other in left if other == step), None)
        same = same or next((other for other in left if other["kind"] == step["kind"]), None)
        if same is None:
            is_second = any(other["kind"] == step["kind"] for other in done)
            message = f"is a {'second ' if is_second else ''}step that the Go program does not have"
            yield Problem(here, value=step["kind"], message=message, remedy="leave it out")
            continue
        left.remove(same)
        order.append(done.index(same))
        yield from _differences(step, same, here)
    if order != sorted(order):
        kinds = ", ".join(str(step["kind"]) for step in done)
        yield Problem(path, message=f"the Go program does its steps in this order: {kinds}", remedy="reorder")


def _machine_problems(spec: Spec, go: str, cores: int) -> Iterator[Problem]:
    if not go.startswith(f"{spec.runtime.go}.") and spec.runtime.go != go:
        remedy = f'write "{".".join(go.split(".")[:2])}", or give the `go` of that release by --go'
        yield Problem(
            "$.runtime.go", value=spec.runtime.go, message=f"the Go toolchain is {go}", remedy=remedy
        )
    if spec.machine.cores != cores:
        message = f"this machine has {cores}"
        yield Problem(
            "$.machine.cores", value=str(spec.machine.cores), message=message, remedy=f"write {cores}"
        )
    if spec.machine.cfs_quota is not None:
        message = "a quota cannot be set from here"
        yield Problem(
            "$.machine.cfs_quota", value=str(spec.machine.cfs_quota), message=message, remedy="leave it out"
        )
    if not spec.requests:
        yield Problem("$.requests", message="the Go program needs a load", remedy="add a request class")


# ---- adaptations -----------------------------------------------------------------------------------------------


def _notes(asked: Json, done: Json) -> Iterator[str]:
    had, has = (_instrument_bytes(spec) for spec in (asked, done))
    if had != has:
        yield f"keeps {format_bytes(has)} for measuring, where the spec has {format_bytes(had)}"
    before, after = (spec["requests"][0]["steps"] for spec in (asked, done))
    if [s["ns"] for s in before if s["kind"] == "cpu"] != [s["ns"] for s in after if s["kind"] == "cpu"] or (
        before[:1] != after[:1]
    ):
        yield "computes half of its CPU time before it allocates and half at the end of a request"
    allocates = [sum(s["kind"] == "allocate" for s in steps) for steps in (before, after)]
    if allocates[0] != allocates[1]:
        yield "allocates the slices that hold a request's objects, and what an open loop needs per request"


def _instrument_bytes(spec: Json) -> int:
    return sum(
        retained["entries"] * group["count"] * group["size"]
        for retained in spec["retained"]
        if retained["name"] in _INSTRUMENT
        for group in retained["objects"]
    )


assert ENTRY_HEADER_BYTES != NODE_BYTES  # else an entry's header would be taken for a node
