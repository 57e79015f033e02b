"""SimPy alone: what the event loop costs before any runtime is simulated on it."""

from __future__ import annotations

from collections.abc import Generator
from time import process_time
from typing import Any

import simpy

_PROCESSES = 64  # in flight at once; the heap of events is as deep as that of a small simulation
RATE_PER_S = 4_000
_SERVICE_NS = 50_000
_BLOCK_NS = 500_000
_SERVERS = 2


def timeout_events_per_s(events: int) -> float:
    """SimPy events per CPU second: processes that do nothing but wait for timeouts."""
    env = simpy.Environment(initial_time=0)

    def wait(step_ns: int) -> Generator[Any, Any, None]:
        while True:
            yield env.timeout(step_ns)

    for number in range(_PROCESSES):
        env.process(wait(1_000 + number))
    began = process_time()
    for _ in range(events):
        env.step()
    return events / (process_time() - began)


def open_loop_speed(requests: int) -> float:
    """Simulated seconds per CPU second of an open loop without a runtime.

    4,000 arrivals/s, evenly spaced; each request takes one of two servers for 50 us, blocks for 500 us and takes a
    server for another 50 us: the open-loop program, its Ps made of a SimPy resource.
    """
    env = simpy.Environment(initial_time=0)
    servers = simpy.Resource(env, capacity=_SERVERS)
    gap_ns = 1_000_000_000 // RATE_PER_S

    def serve() -> Generator[Any, Any, None]:
        with servers.request() as turn:
            yield turn
            yield env.timeout(_SERVICE_NS)

    def request() -> Generator[Any, Any, None]:
        yield from serve()
        yield env.timeout(_BLOCK_NS)
        yield from serve()

    def arrivals() -> Generator[Any, Any, None]:
        for _ in range(requests):
            yield env.timeout(gap_ns)
            env.process(request())

    env.process(arrivals())
    began = process_time()
    env.run()
    return float(env.now) / 1e9 / (process_time() - began)
