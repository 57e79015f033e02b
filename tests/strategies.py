"""Random small specs: valid, cheap to simulate (50 to 300 ms of simulated time) and of every feature.

``spec_data()`` draws plain data as YAML has it, ``specs()`` the specs made of it.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from gcsim.spec.load import spec_from_dict
from gcsim.spec.models import GO_RELEASES, Spec

US, MS = 1_000, 1_000_000
SETS = ("cache", "index", "sessions")
POOL_BYTES = {"buffers": 16 << 10, "small": 512}
SHAPES = st.sampled_from(["tree", "list", "slice", "map"])
# Sizes on both sides of every limit of the allocator: tiny, classes, the large-object path, oblets.
SIZES = st.sampled_from([1, 8, 15, 16, 24, 64, 100, 512, 513, 1024, 4096, 8193, 32 << 10, 40_000, 150_000])


def distributions(low: int, high: int) -> st.SearchStrategy[dict[str, Any]]:
    """Any family with values around low .. high."""
    means = st.integers(max(low, 1), high)
    return st.one_of(
        st.fixed_dictionaries({"kind": st.just("constant"), "mean": means}),
        st.fixed_dictionaries({"kind": st.just("uniform"), "low": st.just(low), "high": st.just(high)}),
        st.fixed_dictionaries({"kind": st.just("exponential"), "mean": means}),
        st.fixed_dictionaries(
            {"kind": st.just("lognormal"), "mean": means, "cv": st.sampled_from([0.1, 0.5, 2.0])}
        ),
        st.fixed_dictionaries(
            {"kind": st.just("pareto"), "mean": means, "alpha": st.sampled_from([1.5, 2.5])}
        ),
        st.lists(means, min_size=1, max_size=3).flatmap(
            lambda values: st.fixed_dictionaries(
                {
                    "kind": st.just("choice"),
                    "values": st.just(values),
                    "weights": st.sampled_from([[], [1.0] * len(values)]),
                }
            )
        ),
    )


def _timed(
    kind: str, low_ns: int, high_ns: int, **more: st.SearchStrategy[Any]
) -> st.SearchStrategy[dict[str, Any]]:
    constant = st.fixed_dictionaries(
        {"kind": st.just(kind), "ns": st.integers(low_ns, high_ns)}, optional=more
    )
    drawn = st.fixed_dictionaries(
        {"kind": st.just(kind), "distribution": distributions(low_ns, high_ns)}, optional=more
    )
    return constant | drawn


@st.composite
def _objects(draw: st.DrawFn) -> dict[str, Any]:
    size = draw(SIZES)
    return {
        "count": draw(st.integers(1, 12)),
        "size": size,
        "pointer_words": draw(st.integers(0, min(size // 8, 64))),
        "shape": draw(SHAPES),
    }


@st.composite
def _allocate(draw: st.DrawFn) -> dict[str, Any]:
    step: dict[str, Any] = {
        "kind": "allocate",
        "count": draw(st.sampled_from([0.0, 0.3, 1.0, 2.5, 8.0, 30.0])),
        "lifetime": draw(st.sampled_from(["request", "temporary"]) | distributions(100 * US, 50 * MS)),
        "shape": draw(SHAPES),
        "scaled": draw(st.booleans()),
    }
    if draw(st.booleans()):
        step["size"] = draw(SIZES)
        step["pointer_words"] = draw(st.integers(0, min(step["size"] // 8, 64)))
    else:
        step["size_distribution"] = draw(distributions(16, 4096))
        step["pointer_words"] = draw(st.integers(0, 2))
    return step


SITES: list[dict[str, Any]] = [
    {"name": "local", "construct": "new", "size": 4096, "flows": ["closure_local"]},
    {"name": "returned", "construct": "composite", "size": 120, "pointer_words": 3, "flows": ["returned"]},
    {"name": "sized-late", "construct": "make", "constant_size": False, "flows": ["argument_not_retained"]},
    {"name": "grows", "construct": "append"},
    {"name": "table", "construct": "make_map", "escapes": False, "where": "main.go:7:3"},
]
COUNTS = st.sampled_from([0.3, 1.0, 4.0])
LIFETIMES = st.sampled_from(["request", "temporary"])


def _map_tables() -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {
            "key_size": st.sampled_from([8, 16]),
            "value_size": st.sampled_from([0, 8, 100]),
            "key_pointers": st.just(True),
            "remade": st.booleans(),
        }
    )


@st.composite
def _then(draw: st.DrawFn, steps: st.SearchStrategy[dict[str, Any]]) -> dict[str, Any]:
    """An allocation, and what becomes of it before the request ends."""
    step = dict(draw(steps))
    if step.get("site") not in ("local", "sized-late", "grows", "table"):  # these stay in their function
        after = draw(st.sampled_from([None, "drop", "reference", "copy"]))
        lifetime = {"kind": "constant", "mean": draw(st.sampled_from([100 * US, 20 * MS]))}
        if after == "drop":
            step["then"] = {"kind": "drop"}
        elif after == "reference":
            step["then"] = {"kind": "keep", "lifetime": lifetime}
        elif after == "copy":
            step["then"] = {
                "kind": "keep",
                "by": "copy",
                "size": min(8, step.get("size", 8)),
                "lifetime": lifetime,
            }
    return step


def _at_sites() -> list[st.SearchStrategy[dict[str, Any]]]:
    """Steps that stand for several allocations, or for none."""
    common = {"count": COUNTS, "lifetime": LIFETIMES}
    hint = st.sampled_from([0, 1, 8, 100])
    return [
        st.fixed_dictionaries(
            {"kind": st.just("allocate"), "site": st.sampled_from(["local", "returned"]), **common}
        ),
        st.fixed_dictionaries(
            {"kind": st.just("allocate"), "site": st.just("sized-late"), "size": SIZES, **common}
        ),
        st.fixed_dictionaries(
            {
                "kind": st.just("append"),
                "elements": st.integers(1, 600),
                "element_size": st.sampled_from([8, 24, 400]),
                "pointer_words": st.integers(0, 1),
                "hint": hint,
                **common,
            },
            optional={"site": st.just("grows"), "chunk": st.integers(1, 9)},
        ),
        st.fixed_dictionaries(
            {
                "kind": st.just("map_insert"),
                "keys": st.integers(0, 300),
                "key_size": st.sampled_from([1, 8, 16, 200]),
                "value_size": st.sampled_from([0, 8, 300]),
                "key_pointers": st.booleans(),
                "hint": hint,
                **common,
            },
            optional={"site": st.just("table")},
        ),
    ]


def steps(sets: tuple[str, ...]) -> st.SearchStrategy[list[dict[str, Any]]]:
    """A few steps in any order, after a CPU step: a closed loop that takes no time would never end."""
    kinds = [
        _timed("cpu", 0, 100 * US, calibrated_spin=st.booleans()),
        _then(_allocate()),
        *map(_then, _at_sites()),
        _timed("block", 0, 2 * MS, timer=st.booleans()),
        _timed("syscall", 0, MS),
        st.fixed_dictionaries(
            {"kind": st.just("lock"), "name": st.sampled_from(["a", "b"]), "hold_ns": st.integers(0, 50 * US)}
        ),
        st.fixed_dictionaries({"kind": st.just("pointer_writes"), "count": st.integers(0, 200)}),
        st.fixed_dictionaries(
            {
                "kind": st.just("call"),
                "count": st.sampled_from([1, 40]),
                "size": st.sampled_from([0, 64, 2048]),
                "by": st.sampled_from(["value", "pointer"]),
                "nested": st.booleans(),
            }
        ),
        st.fixed_dictionaries(
            {"kind": st.just("leak"), "size": st.sampled_from([16, 256]), "pointer_words": st.integers(0, 2)}
        ),
        st.sampled_from(sorted(POOL_BYTES)).flatmap(
            lambda pool: st.fixed_dictionaries(
                {"kind": st.just("pool_get"), "pool": st.just(pool), "size": st.just(POOL_BYTES[pool])},
                optional={"touch": st.booleans()},
            )
        ),
        st.just({"kind": "gc"}),
    ]
    if sets:
        names = st.sampled_from(sets)
        kinds += [
            st.fixed_dictionaries(
                {"kind": st.just("replace"), "set": names, "count": st.sampled_from([0.0, 0.1, 1.0, 3.0])}
            ),
            st.fixed_dictionaries(
                {"kind": st.just("publish"), "set": names, "count": st.sampled_from([0.01, 0.2])}
            ),
            st.fixed_dictionaries(
                {"kind": st.just("delete"), "set": names, "count": st.sampled_from([0.01, 0.5])}
            ),
            st.fixed_dictionaries(
                {
                    "kind": st.just("fifo"),
                    "set": names,
                    "count": st.sampled_from([0.2, 1.0, 7.0]),
                    "clear": st.booleans(),
                }
            ),
            st.fixed_dictionaries(
                {
                    "kind": st.just("pointer_writes"),
                    "count": st.integers(0, 200),
                    "set": names,
                    "drops_subtree": st.booleans(),
                }
            ),
        ]
    first = _timed("cpu", 2 * US, 200 * US)
    return st.tuples(first, st.lists(st.one_of(kinds), max_size=6)).map(_with_puts)


def _with_puts(drawn: tuple[dict[str, Any], list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """The steps; what has a name is dropped or kept at once, and every buffer goes back to its pool at the end."""
    first, rest = drawn
    written = [first]
    for number, step in enumerate(rest):
        after = step.pop("then", None)
        if after is None:
            written.append(step)
        else:
            name = f"made-{number}"
            written += [{**step, "name": name, "lifetime": "request"}, {**after, "name": name}]
    pools = [step["pool"] for step in rest if step["kind"] == "pool_get"]
    return [*written, *({"kind": "pool_put", "pool": pool} for pool in pools)]


@st.composite
def _request(draw: st.DrawFn, name: str, sets: tuple[str, ...], duration_ns: int) -> dict[str, Any]:
    request: dict[str, Any] = {
        "name": name,
        "stack_used_bytes": draw(st.sampled_from([256, 1024, 5000, 20_000])),
        "steps": draw(steps(sets)),
    }
    kind = draw(st.sampled_from(["closed", "poisson", "constant", "recorded"]))
    if kind == "closed":
        return {**request, "workers": draw(st.integers(1, 6))}
    request |= {"arrivals": kind, "dispatcher": draw(st.booleans())}
    request["max_in_flight"] = draw(st.sampled_from([None, 1, 50]))
    if kind == "recorded":
        request["arrival_times_ns"] = sorted(
            draw(st.lists(st.integers(0, duration_ns), min_size=1, max_size=100))
        )
    else:
        request["rate_per_s"] = draw(st.sampled_from([20.0, 500.0, 3000.0]))
    return request


@st.composite
def _phase(draw: st.DrawFn, sets: tuple[str, ...], open_loop: tuple[str, ...]) -> dict[str, Any]:
    phase: dict[str, Any] = {"duration": draw(st.integers(5 * MS, 100 * MS))}
    if draw(st.booleans()):
        phase["garbage_scale"] = draw(st.sampled_from([0.0, 0.5, 3.0]))
    if sets and draw(st.booleans()):
        phase["entries"] = {draw(st.sampled_from(sets)): draw(st.integers(0, 3000))}
    if open_loop and draw(st.booleans()):
        rate = draw(st.sampled_from([0.0, 100.0, 4000.0]))
        phase["rate_per_s"] = rate if draw(st.booleans()) else {draw(st.sampled_from(open_loop)): rate}
    if draw(st.booleans()):
        phase["gogc"] = draw(st.sampled_from(["off", 20, 100, 400]))
    if draw(st.booleans()):
        phase["gomemlimit"] = draw(st.sampled_from(["off", 32 << 20, 1 << 30]))
    return phase


COLLECTORS: list[dict[str, Any]] = [
    *[{}] * 4,
    {"collector": "stop_the_world"},
    {"collector": "stop_the_world", "stop_the_world_sweep": True},
    {"collector": "generational", "generational": {"nursery": 256 << 10, "promotion_age": 1}},
    {"collector": "generational", "generational": {"nursery": 1 << 20, "promotion_age": 3}},
]


@st.composite
def spec_data(draw: st.DrawFn) -> dict[str, Any]:
    """Plain data of a valid spec."""
    duration_ns = draw(st.integers(50 * MS, 300 * MS))
    sets = tuple(sorted(draw(st.sets(st.sampled_from(SETS), max_size=2))))
    requests = [
        draw(_request(name, sets, duration_ns)) for name in ("request", "batch")[: draw(st.integers(1, 2))]
    ]
    queues = {step["set"] for r in requests for step in r["steps"] if step["kind"] == "fifo"}
    open_loop = tuple(request["name"] for request in requests if "rate_per_s" in request)
    gomaxprocs = draw(st.sampled_from([None, 1, 2, 3, 4, 8]))
    limit = draw(st.sampled_from(["off", "off", 24 << 20, 256 << 20]))
    # Without a program beside it nothing holds the collector back where a limit leaves no room: no run ends there.
    collector = draw(st.sampled_from(COLLECTORS if limit != 24 << 20 else [{}]))
    return {
        "name": "random",
        "runtime": {
            "go": draw(st.sampled_from(GO_RELEASES)),
            "gomaxprocs": gomaxprocs,
            "gogc": draw(st.sampled_from([100, 100, 25, 400, "off"])),
            "gomemlimit": limit,
            "assists": draw(st.sampled_from([True, True, True, False])),
            "idle_workers": draw(st.sampled_from([True, True, True, False])),
            **collector,
        },
        "machine": {
            "cores": draw(st.sampled_from([1, 2, 4])),
            "cfs_quota": draw(st.sampled_from(["off", "off", 50 * MS, 150 * MS])),
        },
        "run": {
            "duration": duration_ns,
            "warm_up": draw(st.sampled_from([0, 0, duration_ns // 4])),
            "settle": draw(st.sampled_from([0, 5 * MS])),
            "seed": draw(st.integers(0, 2**63 - 1)),
            "latency_report_bytes_per_request": draw(st.sampled_from([0.0, 10.0])),
        },
        "record": {
            "window": draw(st.sampled_from([10 * MS, 100 * MS])),
            "heap_interval": draw(st.sampled_from([5 * MS, 100 * MS])),
            "requests_sample": draw(st.sampled_from([0.0, 0.5, 1.0])),
            "p_states": draw(st.booleans()),
            "tricolor": draw(st.booleans()),
        },
        "globals": {
            "scan_bytes": draw(st.sampled_from([0, 1 << 20])),
            "objects": draw(st.lists(_objects(), max_size=1)),
        },
        "idle_goroutines": {
            "count": draw(st.sampled_from([0, 10, 500])),
            "stack_used_bytes": draw(st.sampled_from([200, 3000])),
        },
        "retained": [
            {
                "name": name,
                "entries": draw(st.integers(1 if name in queues else 0, 2000)),
                "objects": draw(st.lists(_objects(), max_size=3)),
                "table_slot_bytes": draw(st.sampled_from([8, 16] if name in queues else [0, 8, 16])),
                "map": None if name in queues else draw(st.none() | _map_tables()),
                "built": draw(st.sampled_from(["start_up", "load_start"])),
            }
            for name in sets
        ],
        "sites": SITES,
        "requests": requests,
        "phases": draw(st.lists(_phase(sets, open_loop), max_size=3)),
        "repeat_phases": draw(st.booleans()),
    }


def specs() -> st.SearchStrategy[Spec]:
    """Valid specs."""
    return spec_data().map(spec_from_dict)
