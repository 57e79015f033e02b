"""The same spec and seed give the same rows, whatever ran before."""

from __future__ import annotations

from typing import Any

import pytest

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


def service(world: Worlds, seed: int) -> Tiny:
    return world(COSTS, SERVICE, OPEN, procs=2, retained=[CACHE], duration=150 * MS, run={"seed": seed}).run()


def content(w: Tiny) -> dict[str, list[Any]]:
    """All rows as plain values."""

    def plain(value: Any) -> Any:
        return value.tolist() if hasattr(value, "tolist") else value

    return {name: [tuple(map(plain, row)) for row in rows] for name, rows in w.rows.items()}


def test_the_same_seed_gives_the_same_rows(world: Worlds) -> None:
    """Two runs differ in no value of any row, collections, pauses and assists included."""
    first, second = content(service(world, 7)), content(service(world, 7))
    assert len(first["cycle"]) > 2
    assert len(first["request"]) > 1000
    for table in first.keys() | second.keys():
        assert first.get(table) == second.get(table), table


@pytest.mark.parametrize("table", ["request", "cycle", "pause"])
def test_another_seed_gives_other_rows(world: Worlds, table: str) -> None:
    """Arrivals, times and pauses are drawn from the seed."""
    assert content(service(world, 7))[table] != content(service(world, 8))[table]
