"""How dear scan work is along the way through the heap: where an assist falls decides how long it lasts.  Pure."""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate

from gcsim.runtime.heap import MarkSnapshot

# derived: runtime/mgcmark_greenteagc.go spanQueue.ring (go1.26, go1.27): spans a P queues before it spills to others
SPAN_RING = 256


class Walk:
    """How dear scan work is along the way through the heap, where Green Tea meets it level by level.

    A marker goes through the entries that a queue of spans holds at a time: first their roots, spans for one object each,
    then level after level, until spans are full of what has been found.  Then the next entries' roots.
    """

    __slots__ = ("_ns", "_work")

    def __init__(self, levels: list[tuple[float, float]]) -> None:
        """Args: scan work and CPU time of each level of the entries that are met at a time."""
        self._work = list(accumulate((work for work, _ in levels), initial=0.0))
        self._ns = list(accumulate((ns for _, ns in levels), initial=0.0))

    @classmethod
    def of(cls, snapshot: MarkSnapshot) -> Walk | None:
        """That of a heap; None where all work is alike."""
        work = sum(work for work, _ in snapshot.levels)
        if not work or not snapshot.cost_ns:
            return None
        ns = sum(ns for _, ns in snapshot.levels)
        # What is not met level by level, tables and headers above all, comes before.
        rest = (max(0.0, snapshot.scan_work_bytes - work), max(0.0, snapshot.cost_ns - ns))
        share = min(1.0, SPAN_RING / snapshot.entries)
        return cls([(work * share, ns * share) for work, ns in (rest, *snapshot.levels)])

    def cost_of(self, work: float, start: float) -> float:
        """How dear so much scan work is, in multiples of the mean, from a place on the way (0..1) on."""
        total_work, total_ns = self._work[-1], self._ns[-1]
        begin = start * total_work
        rounds, end = divmod(begin + work, total_work)
        ns = rounds * total_ns + self._ns_at(end) - self._ns_at(begin)
        return ns / work * total_work / total_ns

    def _ns_at(self, work: float) -> float:
        i = min(len(self._work) - 2, max(0, bisect_right(self._work, work) - 1))
        width = self._work[i + 1] - self._work[i]
        return self._ns[i] + (self._ns[i + 1] - self._ns[i]) * (
            (work - self._work[i]) / width if width else 1.0
        )
