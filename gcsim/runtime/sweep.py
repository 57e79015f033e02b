"""Concurrent sweep: proportional to allocation, and in the background where a P is free.

Sweeping a cycle's spans has to be over before the next cycle starts.  Who allocates sweeps so many pages per byte
that it will be (`pace_sweeper`); the background sweeper, a goroutine that yields to everything else, takes the rest
whenever a P has nothing better to do.  What is left when a cycle is triggered, the triggering goroutine sweeps.
Nobody takes fresh memory before it has swept as much as it needs, so the heap does not grow beyond what is dead.

Some of it comes in lumps, one request's misfortune.  Who needs a span of a class looks at those that were filled last:
spans filled while marking, built in order or leaked are full of live objects, and it sweeps up to a hundred of them in
vain.  Who allocates a large object while pages are short reclaims all that is dead in 4 MiB of the heap.

Source: runtime/mgcsweep.go bgsweep, gcPaceSweeper, deductSweepCredit; runtime/mheap.go reclaim, runtime/mcentral.go
cacheSpan (go1.27).  Simplified: other sweeping on allocation is a higher cost per allocated byte, not single spans;
a stop cuts a lump short; reclaim meets live and dead spans in their proportion, where Go passes over those with something
marked, and for a share of large objects from first to last, where Go reclaims until the sweeper is past the spans filled
while marking.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from gcsim.policy.constants import PAGE_BYTES
from gcsim.policy.sweep import SweepPace, pace_sweeper
from gcsim.runtime.clock import Alarm
from gcsim.runtime.goroutine import Goroutine
from gcsim.runtime.randomness import stream

if TYPE_CHECKING:
    from gcsim.runtime.world import P, World

# derived: runtime/mcentral.go cacheSpan spanBudget (go1.19 .. go1.27)
SPAN_BUDGET = 100
# derived: runtime/mheap.go pagesPerReclaimerChunk (go1.19 .. go1.27)
CHUNK_PAGES = 512
# measured: execution traces, of what was freed for 32 KiB objects in sweeps of chunks: micro-noscan-32k p1 0.42, two services
# 0.16 and 0.35 (go1.27.3)
_RECLAIMED_FRAC = 0.3
# Alone in the queues, or with idle Ps about, the background sweeper goes on; it looks again this often (80 us).
_LONG_BATCH_PAGES = 512


class FullSpans(NamedTuple):
    """Spans of a class that hold live objects only.

    Attributes:
        spans: how many.
        span_pages: pages of each.
        per_byte: spans of the class taken per byte that the program allocates.
    """

    spans: float
    span_pages: int
    per_byte: float


class Sweep:
    """Pages of the last cycle that are not swept yet."""

    def __init__(self, world: World) -> None:
        self._w = world
        contention = world.profile["sweep_contention_frac"] if world.procs > 1 else 0.0
        self._alone_ns = world.profile["sweep_page_ns"]
        self._span_ns = self._page_ns = self._alone_ns * (1.0 + contention)
        self._full_span_ns = world.profile["sweep_full_span_ns"] * (1.0 + contention)
        self.is_active = False
        self.ns_per_byte = 0.0
        self._pages_per_byte = 0.0
        self.begun_pages = 0.0
        self.swept_pages = 0.0
        self._left = 0.0
        self._total = 0.0
        self._pace = SweepPace()
        self._rng = stream(world.seed, "sweep")
        self._full: list[FullSpans] = []
        self._full_in_pages = 0.0  # so many are among so many pages left, of which other sweepers take any
        self._chunks_per_byte = 0.0  # chunks reclaimed per byte that the program allocates
        self.lumps_every_bytes = 0.0
        self._watch = Alarm(world.env, self._look)
        self._changed = Alarm(world.env, world.restart_slices)
        self.background = BackgroundSweeper(world, self)

    @property
    def swept_frac(self) -> float:
        """Share of the cycle's pages swept so far."""
        return 1.0 - self._left / self._total if self._total else 1.0

    @property
    def left_pages(self) -> float:
        """Pages that are still to be swept."""
        return self._left

    def begin(
        self,
        in_use_bytes: int,
        spans: float,
        trigger_bytes: int,
        full: list[FullSpans],
        *,
        large_frac: float = 0.0,
        concurrent: bool = True,
    ) -> None:
        """A cycle has ended: everything in use is to be swept; the cost is by span, the pace by page.

        Args:
            full: spans among them that have nothing free.
            large_frac: share of the bytes allocated that are garbage in large objects.
            concurrent: if not, with the world stopped, all of it at once (`finish`).
        """
        w = self._w
        pages = math.ceil(in_use_bytes / PAGE_BYTES)
        span_ns = self._span_ns if concurrent else self._alone_ns
        self._page_ns = span_ns * min(1.0, spans / max(1, pages))
        self._total = self._left = float(pages)
        self.begun_pages += pages
        self._pace = pace_sweeper(
            self._pace,
            heap_live_bytes=w.pacer.heap_live_bytes,
            trigger_bytes=trigger_bytes,
            pages_swept=0,
            pages_in_use=pages,
            sweep_done=False,
        )
        self._pages_per_byte = self._pace.sweep_pages_per_byte
        if w.heap.unswept_bytes:
            self._pages_per_byte = max(self._pages_per_byte, pages / w.heap.unswept_bytes)
        self._chunks_per_byte = 0.0
        if w.heap.unswept_bytes and pages and concurrent:
            dead_pages = CHUNK_PAGES * w.heap.unswept_bytes / in_use_bytes
            self._chunks_per_byte = _RECLAIMED_FRAC * large_frac / (dead_pages * PAGE_BYTES)
            self._pages_per_byte = max(0.0, self._pages_per_byte - self._chunks_per_byte * CHUNK_PAGES)
        if w.generations is not None:
            # who fills the nursery takes no spans
            self._pages_per_byte, self._chunks_per_byte, full = 0.0, 0.0, []
        self.ns_per_byte = self._pages_per_byte * self._page_ns
        self.is_active = True
        w.forget_slows()
        self._full = full if concurrent and pages else []
        self._full_in_pages = float(pages)
        self._expect_lumps()
        for p in w.ps:
            p.to_lump_bytes = self.lumps_every_bytes * float(self._rng.random())
        if concurrent:
            self.background.wake()
            self._plan()

    def _expect_lumps(self) -> None:
        """How many bytes are allocated from one to the next: a chunk, or a span of a class that has full ones left."""
        self._full = [f for f in self._full if f.spans * self._left >= self._full_in_pages]
        rate = sum([f.per_byte for f in self._full], self._chunks_per_byte)
        self.lumps_every_bytes = 1.0 / rate if rate else 0.0

    def meet_lump(self, p: P) -> int:
        """The P's mutator has come to where it sweeps a lump; CPU time in ns."""
        met = float(self._rng.random()) / self.lumps_every_bytes
        p.to_lump_bytes = self.lumps_every_bytes
        if met < self._chunks_per_byte or not self._full:
            _, ns = self.take(CHUNK_PAGES)
            self.check_done()
            return int(ns)
        met -= self._chunks_per_byte
        i = 0
        while i + 1 < len(self._full) and met >= self._full[i].per_byte:
            met -= self._full[i].per_byte
            i += 1
        return self._sweep_full_spans(i)

    def _sweep_full_spans(self, i: int) -> int:
        """A span of this class is needed, and full ones are swept first; CPU time in ns."""
        full, left = self._full[i], self._left
        there = full.spans * left / self._full_in_pages
        spans = min(float(SPAN_BUDGET), there)
        pages = min(left, spans * full.span_pages)
        self._left = left - pages
        self.swept_pages += pages
        if self._left > 0.0:
            self._full_in_pages *= self._left / left  # those of other classes are all there still
            self._full[i] = full._replace(spans=(there - spans) * self._full_in_pages / self._left)
            if there - spans < 1.0:
                self._expect_lumps()
        else:
            self._done()
        return int(spans * self._full_span_ns)

    def by_allocation(self, p: P, live_bytes: int) -> None:
        """A mutator was charged `live_bytes` and swept in proportion."""
        pages = min(self._left, live_bytes * self._pages_per_byte)
        self._left -= pages
        self.swept_pages += pages
        self._w.charge(p, "sweep", int(pages * self._page_ns))
        if self._left <= 0.0:
            self._done()

    def take(self, pages: int) -> tuple[int, float]:
        """Up to `pages`, whatever they hold: how many, and their CPU time in ns."""
        taken = min(self._left, float(pages))
        self._left -= taken
        self.swept_pages += taken
        return math.ceil(taken), taken * self._page_ns

    def check_done(self) -> None:
        """After a batch: finished?"""
        if self.is_active and self._left <= 0.0:
            self._done()

    def finish(self) -> int:
        """Sweep what is left at once (a cycle is about to start, or runtime.GC waits); CPU time in ns."""
        if not self.is_active:
            return 0
        ns = self._left * self._page_ns
        self.swept_pages += self._left
        self._left = 0.0
        self._done()
        return math.ceil(ns)

    def _done(self) -> None:
        self.is_active = False
        self._full = []
        self.lumps_every_bytes = self._chunks_per_byte = 0.0
        self._w.forget_slows()
        self._watch.clear()
        self._w.heap.sweep_all()
        self._w.memory.update()
        # Not at once: the caller may be in the middle of a commit.
        self._changed.set(self._w.env.now)

    def _plan(self) -> None:
        rate = self._w.max_alloc_per_ns * self._pages_per_byte
        if rate > 0.0:
            self._watch.set(self._w.env.now + max(20_000, math.ceil(self._left / rate)))

    def _look(self) -> None:
        self._w.commit_all()
        if self.is_active:
            self._plan()


class BackgroundSweeper(Goroutine):
    """The runtime's own sweeper goroutine."""

    __slots__ = ("_batch", "_is_parked", "_sweep")

    def __init__(self, world: World, sweep: Sweep) -> None:
        super().__init__(world, "bgsweep")
        self._sweep = sweep
        self._is_parked = True
        self._batch = world.rules.sweep_batch_spans

    def wake(self) -> None:
        """There is something to sweep."""
        if self._is_parked:
            self._is_parked = False
            self._next(alone=False)
            self.world.sched.ready_global(self)

    def _next(self, *, alone: bool) -> None:
        """With nobody to yield to, many of the runtime's small batches are one stretch."""
        _, ns = self._sweep.take(_LONG_BATCH_PAGES if alone else self._batch)
        self.begin((0.0, max(1.0, ns)), (0, 0))

    def finish_rows(self, p: P, first: int, last: int) -> None:
        self.world.charge(p, "sweep", int(self.end))

    def finish_stretch(self, p: P) -> bool:
        self._sweep.check_done()
        if not self._sweep.is_active:
            self._is_parked = True
            return False
        world = self.world
        waiting = p.runq or p.runnext is not None or world.sched.globq
        alone = not waiting or any(q.state == "idle" for q in world.ps)
        self._next(alone=alone)
        if alone:
            return True
        world.sched.ready_global(self)
        return False
