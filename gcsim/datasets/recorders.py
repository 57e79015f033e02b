"""Putting recorders together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from gcsim.runtime.records import (
    AssistRecord,
    CycleRecord,
    EventRecord,
    GCIntervals,
    HeapSample,
    LatencyBuckets,
    MinorRecord,
    PauseRecord,
    PhaseChange,
    PStateInterval,
    Recorder,
    RequestSample,
    SchedLatencyBuckets,
    SiteRecord,
    ThroughputWindow,
    TricolorSample,
)


class Tee:
    """A recorder that hands every record to each of several, in order."""

    phase: Callable[[PhaseChange], None]
    cycle: Callable[[CycleRecord], None]
    pause: Callable[[PauseRecord], None]
    gc_intervals: Callable[[GCIntervals], None]
    minor: Callable[[MinorRecord], None]
    heap: Callable[[HeapSample], None]
    throughput: Callable[[ThroughputWindow], None]
    latency: Callable[[LatencyBuckets], None]
    sched_latency: Callable[[SchedLatencyBuckets], None]
    request: Callable[[RequestSample], None]
    assist: Callable[[AssistRecord], None]
    tricolor: Callable[[TricolorSample], None]
    p_state: Callable[[PStateInterval], None]
    site: Callable[[SiteRecord], None]
    event: Callable[[EventRecord], None]

    def __init__(self, *recorders: Recorder) -> None:
        for name in Tee.__annotations__:
            setattr(self, name, _all_of([getattr(recorder, name) for recorder in recorders]))


def _all_of(methods: Sequence[Callable[[Any], None]]) -> Callable[[Any], None]:
    def record(rec: Any) -> None:
        for method in methods:
            method(rec)

    return record
