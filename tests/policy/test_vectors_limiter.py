"""The GC CPU limiter and its event stamps, call by call, bit for bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pytest

from gcsim.policy.limiter import GCCPULimiter, LimiterEvent, LimiterEventType
from tests.policy.vector_files import Records, files_of

ATTRIBUTES: Final = {
    "fill": "fill_cpu_ns",
    "capacity": "capacity_cpu_ns",
    "overflow": "overflow_cpu_ns",
    "limiting": "limiting",
    "gc_enabled": "gc_enabled",
    "transitioning": "transitioning",
    "assist_time_pool": "assist_time_pool_cpu_ns",
    "idle_time_pool": "idle_time_pool_cpu_ns",
    "last_update": "last_update_ns",
    "nprocs": "nprocs",
}


def call(limiter: GCCPULimiter, op: str, args: dict[str, Any]) -> Any:
    match op:
        case "update":
            limiter.update(args["now"])
        case "add_assist_time":
            limiter.add_assist_time(args["t"])
        case "add_idle_time":
            limiter.add_idle_time(args["t"])
        case "start_gc_transition":
            limiter.start_gc_transition(args["enable_gc"], args["now"])
        case "finish_gc_transition":
            limiter.finish_gc_transition(args["now"])
        case "reset_capacity":
            limiter.reset_capacity(args["now"], args["nprocs"])
        case "accumulate":
            limiter.accumulate(args["mutator_time"], args["gc_time"])
        case "need_update":
            return limiter.need_update(args["now"])
        case _:
            raise AssertionError(f"unknown operation {op}")
    return None


def state_of(limiter: GCCPULimiter) -> dict[str, str]:
    return {name: repr(getattr(limiter, attribute)) for name, attribute in ATTRIBUTES.items()}


@pytest.mark.parametrize("path", files_of("limiter"), ids=lambda path: path.name)
def test_limiter(path: Path) -> None:
    for record in Records(path):
        first, *ops = record["ops"]
        assert first["op"] == "new"
        limiter = GCCPULimiter(first["args"]["now"], first["args"]["nprocs"])
        want = {name: repr(value) for name, value in first["set"].items()}
        assert state_of(limiter) == want, f"{record['case']} new"
        for index, op in enumerate(ops, start=1):
            where = f"{record['case']} op {index} {op['op']}"
            assert call(limiter, op["op"], op.get("args", {})) is op.get("ret"), where
            want |= {name: repr(value) for name, value in op["set"].items()}
            assert state_of(limiter) == want, where


@pytest.mark.parametrize("path", files_of("limiter_events"), ids=lambda path: path.name)
def test_limiter_events(path: Path) -> None:
    for record in Records(path):
        limiter = GCCPULimiter(0, 1)
        event = LimiterEvent()
        for index, op in enumerate(record["ops"]):
            where = f"{record['case']} op {index} {op['op']}"
            if op["op"] == "start":
                assert event.start(LimiterEventType[op["type"].upper()], op["now"]) is op["ret"], where
            elif op["op"] == "consume":
                event_type, duration_ns = event.consume(op["now"])
                assert event_type.name.lower() == op["ret_type"], where
                assert duration_ns == op["ret_duration"], where
            else:
                assert op["op"] == "stop"
                before = limiter.assist_time_pool_cpu_ns, limiter.idle_time_pool_cpu_ns
                event.stop(LimiterEventType[op["type"].upper()], op["now"], limiter)
                assert limiter.assist_time_pool_cpu_ns - before[0] == op["assist_time_added"], where
                assert limiter.idle_time_pool_cpu_ns - before[1] == op["idle_time_added"], where
            assert event.stamp == op["stamp"], where
