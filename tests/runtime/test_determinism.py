"""The same spec and seed give the same rows, whatever ran before."""

from __future__ import annotations

from typing import Any

import pytest

from gcsim.runtime.world import P, World
from tests.runtime.conftest import Worlds
from tests.runtime.tiny import MS, Tiny

COSTS = {
    "cpu_noise_frac": 0.1, "mark_scan_object_ns": 30.0, "context_switch_ns": 200.0, "wakeup_ns": 5_000.0,
    "stw_stop_ns": 20_000.0, "stw_stop_sigma": 0.5, "stw_sweep_term_ns": 10_000.0, "stw_work_sigma": 0.4,
    "sweep_page_ns": 100.0,
}  # fmt: skip
SERVICE: dict[str, Any] = {
    "workers": 3,
    "steps": [
        {"cpu": {"distribution": {"kind": "exponential", "mean": "20us"}}},
        {"allocate": {"count": 4.5, "size_distribution": {"kind": "lognormal", "mean": "1KiB", "cv": 1.0}}},
        {"replace": {"set": "cache", "count": 0.3}},
    ],
}
OPEN = {
    "name": "open",
    "rate_per_s": 2000,
    "steps": [{"cpu": "20us"}, {"block": "300us"}, {"allocate": {"size": 512, "pointer_words": 8}}],
}
CACHE = {"name": "cache", "entries": 3000, "objects": [{"count": 8, "size": 64, "pointer_words": 2}]}


def service(world: Worlds, seed: int, **parts: Any) -> Tiny:
    return world(
        COSTS, SERVICE, OPEN, procs=2, retained=[CACHE], duration=150 * MS, run={"seed": seed}, **parts
    )


def content(w: Tiny) -> dict[str, list[Any]]:
    """All rows as plain values."""

    def plain(value: Any) -> Any:
        return value.tolist() if hasattr(value, "tolist") else value

    return {name: [tuple(map(plain, row)) for row in rows] for name, rows in w.rows.items()}


def test_the_same_seed_gives_the_same_rows(world: Worlds) -> None:
    """Two runs differ in no value of any row, collections, pauses and assists included."""
    first, second = content(service(world, 7).run()), content(service(world, 7).run())
    assert len(first["cycle"]) > 2
    assert len(first["request"]) > 1000
    for table in first.keys() | second.keys():
        assert first.get(table) == second.get(table), table


@pytest.mark.parametrize("table", ["request", "cycle", "pause"])
def test_another_seed_gives_other_rows(world: Worlds, table: str) -> None:
    """Arrivals, times and pauses are drawn from the seed."""
    assert content(service(world, 7).run())[table] != content(service(world, 8).run())[table]


def test_stepping_from_event_to_event_is_as_running(world: Worlds) -> None:
    """The clock rings alarms in a loop of its own while it runs, and one by one when stepped."""
    stepped, ran = service(world, 7), service(world, 7).run()
    while stepped.world.env.now < ran.world.env.now:
        stepped.world.env.step()
    stepped.finish()
    assert content(stepped) == content(ran)


@pytest.mark.parametrize(
    "machine",
    [{}, {"cores": 1}, {"cfs_quota": "60ms", "cfs_period": "100ms"}],
    ids=["free", "shared", "quota"],
)
@pytest.mark.parametrize("collector", ["concurrent", "generational", "stop_the_world"])
def test_remembered_slowdowns_are_those_of_now(
    world: Worlds, monkeypatch: pytest.MonkeyPatch, machine: dict[str, Any], collector: str
) -> None:
    """Whatever changes how fast mutators are says so: no slice begins at a rate that was true before."""
    costs = COSTS | {
        "page_fault_ns_per_byte": 0.2, "mark_mutator_slowdown_frac": 0.3, "write_barrier_ns": 5.0,
        "alloc_small_scan_ns": 20.0, "alloc_small_noscan_ns": 20.0, "memory_contention_frac": 0.3,
    }  # fmt: skip
    seen: set[float] = set()
    original = World.start_slice

    def start_slice(self: World, p: P) -> None:
        g = p.goroutine
        original(self, p)
        if g is not None and p.goroutine is g and p.state == "mutator" and not self.cores.is_throttled:
            assert g.slow == self.slow_of(g.rates)
            seen.add(g.slow)

    monkeypatch.setattr(World, "start_slice", start_slice)
    runtime: dict[str, Any] = {"collector": collector, "gogc": 50}
    if collector == "generational":
        runtime["generational"] = {"nursery": "256KiB"}
    w = world(
        costs, SERVICE, OPEN, procs=2, retained=[CACHE], duration=150 * MS, machine=machine, runtime=runtime
    )
    w.run()
    assert len(seen) > 1
