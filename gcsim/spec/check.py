"""Rules that span several fields of a spec: names that must exist, be unique or agree.

They read plain data (a spec as dumped, or as written once short forms are expanded) and skip over what is not
of the right type, because the models report that: so both kinds of problem come out together.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from gcsim.spec.fields import MAX_BYTES
from gcsim.spec.profile import shipped_profiles
from gcsim.spec.thresholds import parse_threshold
from gcsim.units import format_bytes, format_ns, parse_bytes, parse_duration_ns

SpecPath = tuple[str | int, ...]

# assumed: rows of a table over time; beyond, a slip of the pen is likelier than a reader
MAX_WINDOWS = 1_000_000

# Fields of a request class that say how an open loop is driven.
_OPEN_LOOP = (
    "rate_per_s",
    "arrivals",
    "arrivals_csv",
    "arrival_times_ns",
    "dispatcher",
    "max_in_flight",
)


@dataclass(frozen=True)
class Finding:
    """A broken rule: where in the spec, what, and the remedy."""

    path: SpecPath
    message: str
    remedy: str
    value: str = ""


def path_text(path: Iterable[str | int]) -> str:
    """("requests", 0, "steps") -> ``$.requests[0].steps``."""
    return "$" + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)


def shown(value: object) -> str:
    """A value as a problem quotes it, cut to a readable length."""
    if isinstance(value, Mapping | list | tuple):
        return ""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int) and value.bit_length() > 200:
        return "a number of more than 60 digits"
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def did_you_mean(wrong: str, known: Iterable[str], *, what: str = "one of") -> str:
    """A remedy for an unknown name: the nearest known one, or all of them."""
    names = list(known)
    if not names:
        return "there is none to choose from"
    near = difflib.get_close_matches(wrong, names, n=1, cutoff=0.6)
    listed = f"{what} {', '.join(names)}"
    return f"did you mean {near[0]}? ({listed})" if near else f"write {listed}"


def is_profile_path(profile: str) -> bool:
    """Whether ``machine.profile`` names a file rather than a shipped profile."""
    return profile.endswith((".yaml", ".yml"))


def spec_rules(spec: Mapping[str, Any], *, go_releases: Sequence[str]) -> Iterator[Finding]:
    """Every broken rule of a spec in plain data, in the order of the fields."""
    yield from _known_names(spec, go_releases)
    yield from _run(spec)
    yield from _retained(spec)
    yield from _sites(spec)
    yield from _references(spec)
    yield from _requests(spec)
    yield from _phases(spec)
    for metric, condition in _map(spec.get("thresholds")).items():
        if isinstance(condition, str):
            try:
                parse_threshold(condition)
            except ValueError as error:
                message, _, remedy = str(error).partition("; ")
                yield Finding(("thresholds", str(metric)), message, remedy)


# ---- reading data that may be of any type ------------------------------------------------------------------


def _map(value: object) -> Mapping[Any, Any]:
    return value if isinstance(value, Mapping) else {}


def _maps(value: object) -> Iterator[tuple[int, Mapping[str, Any]]]:
    if isinstance(value, list | tuple):
        yield from ((index, item) for index, item in enumerate(value) if isinstance(item, Mapping))


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _quantity(value: object, parse: Any) -> int | None:
    try:
        value = parse(value)
    except ValueError:
        return None
    return (
        int(value)
        if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 2**63
        else None
    )


def _ns(value: object) -> int | None:
    return _quantity(value, parse_duration_ns)


def _bytes(value: object) -> int | None:
    return _quantity(value, parse_bytes)


def _names(items: object, *, default: str | None = None) -> list[str]:
    return [name for _, item in _maps(items) if isinstance(name := item.get("name", default), str)]


def _duplicates(field: str, items: object, what: str, *, default: str | None = None) -> Iterator[Finding]:
    seen: dict[str, int] = {}
    for index, item in _maps(items):
        name = item.get("name", default)
        if not isinstance(name, str):
            continue
        if name in seen:
            yield Finding(
                (field, index, "name"), f"{name} names {what} {seen[name]} too", "give each a name of its own"
            )
        seen.setdefault(name, index)


# ---- the rules ---------------------------------------------------------------------------------------------


def _known_names(spec: Mapping[str, Any], go_releases: Sequence[str]) -> Iterator[Finding]:
    go = _map(spec.get("runtime")).get("go")
    if isinstance(go, str) and go not in go_releases:
        yield Finding(("runtime", "go"), f"{go!r} is no release gcsim knows", did_you_mean(go, go_releases))
    profile = _map(spec.get("machine")).get("profile")
    known = shipped_profiles()
    if isinstance(profile, str) and profile not in known and not is_profile_path(profile):
        remedy = did_you_mean(profile, known) + ", or the path of a .yaml file"
        yield Finding(("machine", "profile"), f"{profile!r} is no machine profile", remedy)


def _run(spec: Mapping[str, Any]) -> Iterator[Finding]:
    run = _map(spec.get("run"))
    duration_ns = _ns(run.get("duration", 8_000_000_000))
    warm_up_ns = _ns(run.get("warm_up", 0))
    if duration_ns is None:
        return
    if warm_up_ns is not None and 0 < duration_ns <= warm_up_ns:
        message = (
            f"the warm-up of {format_ns(warm_up_ns)} leaves nothing of a duration of {format_ns(duration_ns)}"
        )
        yield Finding(("run", "warm_up"), message, "write less than run.duration")
    for name in ("window", "heap_interval"):
        step_ns = _ns(_map(spec.get("record")).get(name))
        if step_ns is not None and step_ns > 0 and duration_ns // step_ns > MAX_WINDOWS:
            message = (
                f"{format_ns(step_ns)} makes {duration_ns // step_ns:,} rows of {format_ns(duration_ns)}"
            )
            least_ns = -(-duration_ns // MAX_WINDOWS)
            yield Finding(("record", name), message, f"write at least {format_ns(least_ns)}")


def _group_bytes(groups: object) -> int:
    total = 0
    for _, group in _maps(groups):
        count, size = _quantity(group.get("count", 1), lambda v: v), _bytes(group.get("size"))
        total += max(count or 0, 0) * max(size or 0, 0)
    return total


def _retained(spec: Mapping[str, Any]) -> Iterator[Finding]:
    yield from _duplicates("retained", spec.get("retained"), "retained set")
    for index, retained in _maps(spec.get("retained")):
        entries = _quantity(retained.get("entries"), lambda v: v) or 0
        total = entries * (
            _group_bytes(retained.get("objects")) + (_bytes(retained.get("table_slot_bytes", 8)) or 0)
        )
        if total > MAX_BYTES:
            message = f"{format_bytes(total)} do not fit into the address space of {format_bytes(MAX_BYTES)}"
            yield Finding(("retained", index, "entries"), message, "write fewer entries or smaller objects")


def _requests(spec: Mapping[str, Any]) -> Iterator[Finding]:
    yield from _duplicates("requests", spec.get("requests"), "request class", default="request")
    sets = _names(spec.get("retained"))
    queues = {r["name"]: r for _, r in _maps(spec.get("retained")) if isinstance(r.get("name"), str)}
    pool_size_bytes: dict[str, int] = {}
    for index, request in _maps(spec.get("requests")):
        yield from _arrivals(request, ("requests", index))
        taken: set[str] = set()  # only asked for membership, never iterated
        for number, step in _maps(request.get("steps")):
            at: SpecPath = ("requests", index, "steps", number)
            name = step.get("set")
            if isinstance(name, str) and name not in sets:
                yield Finding((*at, "set"), f"{name!r} is no retained set", did_you_mean(name, sets))
            if step.get("kind") == "fifo" and isinstance(name, str) and name in queues:
                yield from _queue(queues[name], (*at, "set"))
            pool = step.get("pool")
            if not isinstance(pool, str):
                continue
            if step.get("kind") == "pool_put" and pool not in taken:
                remedy = f"put a pool_get of {pool} before it in the same request"
                yield Finding((*at, "pool"), f"nothing was taken from pool {pool!r}", remedy)
            if step.get("kind") != "pool_get":
                continue
            taken.add(pool)
            size = _bytes(step.get("size"))
            if size is not None and pool_size_bytes.setdefault(pool, size) != size:
                message = f"pool {pool!r} has buffers of {pool_size_bytes[pool]} B elsewhere"
                yield Finding((*at, "size"), message, "write the same size, or name another pool")


def _queue(retained: Mapping[str, Any], at: SpecPath) -> Iterator[Finding]:
    """What makes a set unfit to be a queue."""
    name = retained.get("name")
    if retained.get("map") is not None:
        yield Finding(at, f"{name!r} is a map, and no slice", "remove its map, or use replace")
    elif _bytes(retained.get("table_slot_bytes", 8)) == 0:
        yield Finding(at, f"{name!r} has no table to queue in", "set its table_slot_bytes to 8")
    if retained.get("entries") == 0:
        yield Finding(at, f"{name!r} has no entry to take off", "set its entries to 1 or more")


# Steps that refer to a site, and the constructs that they may refer to; allocate takes what no other step does.
_SITE_OF: dict[str, tuple[str, ...]] = {
    "allocate": ("variable", "new", "composite", "make", "conversion", "interface_conversion"),
    "append": ("append",),
    "map_insert": ("make_map",),
}


def _sites(spec: Mapping[str, Any]) -> Iterator[Finding]:
    yield from _duplicates("sites", spec.get("sites"), "site")
    sites = {site["name"]: site for _, site in _maps(spec.get("sites")) if isinstance(site.get("name"), str)}
    for index, request in _maps(spec.get("requests")):
        for number, step in _maps(request.get("steps")):
            kind, name = step.get("kind"), step.get("site")
            if not isinstance(kind, str) or kind not in _SITE_OF or not isinstance(name, str):
                continue
            at: SpecPath = ("requests", index, "steps", number)
            if name not in sites:
                yield Finding((*at, "site"), f"{name!r} is no site", did_you_mean(name, sites))
                continue
            site = sites[name]
            construct = site.get("construct")
            if isinstance(construct, str) and construct not in _SITE_OF[kind]:
                takers = [taker for taker, constructs in _SITE_OF.items() if construct in constructs]
                remedy = f"use it in the step {takers[0]}" if takers else "write another construct"
                yield Finding((*at, "site"), f"the site {name!r} is {construct}, not for {kind}", remedy)
            elif kind == "allocate":
                yield from _site_size(site, step, at)


# Flows by which an address leaves its function (as `policy.escape.ESCAPING`, which a test compares).
LEAVING = (
    "returned",
    "global",
    "stored_in_argument",
    "closure_returned",
    "goroutine",
    "channel",
    "map_value",
    "interface_escaping",
    "argument_to_unknown_function",
    "method_value_returned",
    "outlives_loop_iteration",
)


def _references(spec: Mapping[str, Any]) -> Iterator[Finding]:
    """Steps keep and drop: what they refer to was made before, lives as long as the request, and is still there."""
    sites = {site["name"]: site for _, site in _maps(spec.get("sites")) if isinstance(site.get("name"), str)}
    for index, request in _maps(spec.get("requests")):
        made: dict[str, Mapping[str, Any]] = {}
        gone: dict[str, str] = {}
        for number, step in _maps(request.get("steps")):
            kind, name = step.get("kind"), step.get("name")
            at: SpecPath = ("requests", index, "steps", number, "name")
            if not isinstance(kind, str) or not isinstance(name, str):
                continue
            if kind in _SITE_OF:
                if name in made:
                    remedy = "give each a name of its own"
                    yield Finding(at, f"{name!r} is what another step made already", remedy)
                made.setdefault(name, step)
                continue
            if kind not in ("keep", "drop"):
                continue
            if name not in made:
                remedy = (
                    did_you_mean(name, made)
                    if made
                    else "add name to the allocate, append or map_insert step before it"
                )
                yield Finding(at, f"no step before it made {name!r}", remedy)
                continue
            if name in gone:
                remedy = f"remove one of the two, or put keep before drop of {name}"
                yield Finding(at, f"{name!r} was {gone[name]} already", remedy)
                continue
            if made[name].get("lifetime", "request") != "request":
                remedy = "remove its lifetime: it lives for the request until a step says otherwise"
                yield Finding(at, f"how long {name!r} lives is said where it is made", remedy)
                continue
            by_reference = kind == "keep" and step.get("by", "reference") == "reference"
            if kind == "drop" or by_reference:
                gone[name] = "dropped" if kind == "drop" else "kept"
            site = sites.get(str(made[name].get("site")))
            if by_reference and site is not None and not _may_leave(site):
                message = (
                    f"by its site {made[name]['site']!r} the address of {name!r} never leaves its function"
                )
                yield Finding(
                    at, message, f"add a flow by which it leaves, such as {LEAVING[0]}, to the site"
                )
            elif kind == "keep" and not by_reference:
                whole, part = _bytes(made[name].get("size")), _bytes(step.get("size"))
                if whole is not None and part is not None and part > whole:
                    message = f"{name!r} has {whole} B, less than the part of {part} B"
                    yield Finding((*at[:-1], "size"), message, f"write at most {whole}")


def _may_leave(site: Mapping[str, Any]) -> bool:
    flows = site.get("flows")
    return site.get("escapes") is True or (
        isinstance(flows, list | tuple) and any(flow in LEAVING for flow in flows)
    )


def _site_size(site: Mapping[str, Any], step: Mapping[str, Any], at: SpecPath) -> Iterator[Finding]:
    known = site.get("size") is not None
    given = step.get("size") is not None
    if known and given:
        message = f"the site {site['name']!r} has a size already"
        yield Finding((*at, "size"), message, "remove one of the two")
    elif not known and not given and step.get("size_distribution") is None:
        message = f"the site {site['name']!r} has no size of its own"
        yield Finding(at, message, "add size to the step")


def _arrivals(request: Mapping[str, Any], at: SpecPath) -> Iterator[Finding]:
    """Closed loop, open loop by rate or open loop by recording: exactly one of them."""
    unset: tuple[Any, ...] = (None, (), [], False, "poisson")
    given = [name for name in _OPEN_LOOP if request.get(name) not in unset]
    if request.get("workers") is not None:
        for name in given:
            message = f"{name} is for an open loop, workers for a closed one"
            yield Finding((*at, name), message, f"remove {name} or workers")
    elif request.get("arrivals") == "recorded":
        times = request.get("arrival_times_ns")
        if "arrival_times_ns" not in given:
            yield Finding(at, "recorded arrivals need their times", "add arrivals_csv or arrival_times_ns")
        elif _is_descending(times):
            yield Finding((*at, "arrival_times_ns"), "the times are not ascending", "sort them")
        if "rate_per_s" in given:
            yield Finding((*at, "rate_per_s"), "recorded arrivals have no rate", "remove rate_per_s")
    else:
        for name in ("arrivals_csv", "arrival_times_ns"):
            if name in given:
                message = f"{request.get('arrivals', 'poisson')} arrivals take no recorded times"
                yield Finding((*at, name), message, "write arrivals: recorded")
                break
        if "rate_per_s" not in given:
            remedy = (
                "add workers (closed loop), rate_per_s (open loop) or arrivals: recorded with arrivals_csv"
            )
            yield Finding(at, "nothing says how requests arrive", remedy)


def _is_descending(times: object) -> bool:
    if not isinstance(times, list | tuple) or not all(isinstance(time, int) for time in times):
        return False
    return any(late < early for early, late in pairwise(times))


def _phases(spec: Mapping[str, Any]) -> Iterator[Finding]:
    sets = _names(spec.get("retained"))
    classes = {
        name: request.get("rate_per_s") is not None
        for _, request in _maps(spec.get("requests"))
        if isinstance(name := request.get("name", "request"), str)
    }
    open_loop = [name for name, is_open in classes.items() if is_open]
    for index, phase in _maps(spec.get("phases")):
        rate = phase.get("rate_per_s")
        if isinstance(rate, Mapping):
            for name in filter(_is_text, rate):
                if name not in open_loop:
                    problem = "has no rate to change" if name in classes else "is no request class"
                    remedy = did_you_mean(str(name), open_loop)
                    yield Finding(("phases", index, "rate_per_s", str(name)), f"{name!r} {problem}", remedy)
        elif rate is not None and not open_loop:
            remedy = "give a request class a rate_per_s, or remove it here"
            yield Finding(("phases", index, "rate_per_s"), "no request class has a rate to change", remedy)
        for name in filter(_is_text, _map(phase.get("entries"))):
            if name not in sets:
                at = ("phases", index, "entries", str(name))
                yield Finding(at, f"{name!r} is no retained set", did_you_mean(str(name), sets))
