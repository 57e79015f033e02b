"""Tiny worlds: machines on which only what a test names costs time, and everything a simulation writes down."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any, NamedTuple

from gcsim.runtime import engine, invariants
from gcsim.runtime.world import P, World
from gcsim.spec.load import spec_from_dict
from gcsim.spec.profile import CONSTANTS, MachineProfile, load_profile

US = 1_000
MS = 1_000_000
S = 1_000_000_000

# What must not be 0: divisors and steps.
_STEPS = {"scavenge_ns_per_byte": 0.08, "netpoll_granularity_ns": 1_000_000.0}


def bare_profile(costs: Mapping[str, float]) -> MachineProfile:
    """A machine without noise on which only `costs` (by names of constants) takes time."""
    values = dict.fromkeys(CONSTANTS, 0.0) | _STEPS | dict(costs)
    assert len(values) == len(CONSTANTS), sorted(values.keys() - CONSTANTS.keys())
    data = load_profile("epyc-genoa-kvm", "1.27").model_dump()
    data |= {"name": "bare", "machine": "a machine without noise", "stalls": ()}
    origin = "assumed: by a test"
    data["constants"] = {name: {"value": value, "origin": origin} for name, value in values.items()}
    return MachineProfile.model_validate(data)


class Rows:
    """A recorder that keeps every row, by the name of its method."""

    def __init__(self) -> None:
        self.rows: dict[str, list[Any]] = defaultdict(list)

    def __getattr__(self, table: str) -> Any:
        if table.startswith("_"):
            raise AttributeError(table)
        return self.rows[table].append


class Interval(NamedTuple):
    """What one P did, in ns since load start."""

    state: str
    start_ns: int
    end_ns: int


class Tiny:
    """One world and its rows; times are ns since load start."""

    def __init__(self, world: World, rows: Rows) -> None:
        self.world = world
        self.rows = rows.rows
        self._is_finished = False

    @property
    def start_ns(self) -> int:
        """Load start, in ns since process start."""
        return self.world.probe.load.load_start_ns

    @property
    def now_ns(self) -> int:
        return self.world.env.now - self.start_ns

    def run(self) -> Tiny:
        """To the end of the load phase."""
        self.world.env.run(until=self.world.probe.load.end)
        self.finish()
        return self

    def until(self, ns: int) -> None:
        """Up to just before `ns` after load start."""
        while not self.start_ns:
            self.world.env.step()
        self.world.env.run(until=self.start_ns + ns)

    def finish(self) -> None:
        """Close the books and check the invariants."""
        if not self._is_finished:
            self._is_finished = True
            self.world.probe.finish()
            invariants.check(self.world)

    def intervals(self, p: int = 0, *, without: str = "") -> list[Interval]:
        """What a P did since load start; neighbours of the same state are one."""
        found: list[Interval] = []
        for row in self.rows["p_state"]:
            start, end = row.start_ns - self.start_ns, row.end_ns - self.start_ns
            if row.p != p or end <= 0 or row.state == without:
                continue
            if found and found[-1].state == row.state and found[-1].end_ns == start:
                found[-1] = found[-1]._replace(end_ns=end)
            else:
                found.append(Interval(row.state, max(0, start), end))
        return found

    def spans(self, name: str = "request") -> list[tuple[int, int]]:
        """Start and end of each request of a class."""
        found = [
            (r.start_ns - self.start_ns, r.end_ns - self.start_ns)
            for r in self.rows["request"]
            if r.request_class == name
        ]
        return sorted(found, key=lambda span: span[1])

    def latencies(self, name: str = "request") -> list[int]:
        """Latency of each request of a class, in order of their ends."""
        return [end - start for start, end in self.spans(name)]

    def running(self, p: P | int = 0) -> str | None:
        """Name of the goroutine that a P runs now."""
        g = (self.world.ps[p] if isinstance(p, int) else p).goroutine
        return None if g is None else g.name


def tiny(costs: Mapping[str, float], *requests: dict[str, Any], **parts: Any) -> Tiny:
    """A world at process start.

    Args:
        costs: constants of the machine that are not 0.
        requests: request classes as in specs.
        parts: other parts of the spec; `procs` and `duration` (default 1 and 10 ms) for short.
    """
    procs = parts.pop("procs", 1)
    data = {
        "version": 1,
        "name": "tiny",
        "runtime": {"go": "1.27", "gomaxprocs": procs} | parts.pop("runtime", {}),
        "machine": {"cores": procs} | parts.pop("machine", {}),
        "run": {"duration": parts.pop("duration", 10 * MS), "settle": 0} | parts.pop("run", {}),
        "record": {"p_states": True, "requests_sample": 1.0} | parts.pop("record", {}),
        "globals": parts.pop("globals", {"scan_bytes": 0}),
        "requests": list(requests),
        **parts,
    }
    rows = Rows()
    world = engine.build(spec_from_dict(data), seed=None, profile=bare_profile(costs), recorder=rows)
    return Tiny(world, rows)
