"""Goroutines: walkers along stretches of computed progress.

A **stretch** is what a goroutine does until it blocks or its drawn block of requests is used up: cumulative CPU time
and allocation at its **rows** (requests, or steps of a set-up job).  Between rows both progress linearly.  Cutting a
stretch at an instant is a look-up on these curves; the scheduler does it (`Scheduler.commit`), subclasses say what a
finished row or stretch means.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from gcsim.runtime.costs import Footprint

if TYPE_CHECKING:
    from gcsim.runtime.effects import Effect
    from gcsim.runtime.program import Plan
    from gcsim.runtime.world import P, World


IntArray = npt.NDArray[np.int64]


# assumed: the runtime's own goroutines are a few frames deep
DEFAULT_FRAMES_BYTES = 600


@dataclass(frozen=True, slots=True, eq=False)
class Rates:
    """What a goroutine does, on average; told apart by identity.

    Attributes:
        live_per_byte, scannable_per_byte: heap live and scannable heap per byte that it allocates.
        bytes_per_ns: what it allocates per CPU time.  object_bytes: size of an object.
        mark_slow: wall time per CPU time while a cycle marks.
        plain_slow: the same without marking and sweeping: 1, unless the write barrier is always on.
        callless_frac: share of its CPU time in loops that call nothing, where only a signal stops it.
        contended_frac: share of its CPU time that is there because every other P runs a mutator too.
    """

    live_per_byte: float = 1.0
    scannable_per_byte: float = 0.0
    bytes_per_ns: float = 0.0
    object_bytes: int = 1
    mark_slow: float = 1.0
    plain_slow: float = 1.0
    callless_frac: float = 0.0
    contended_frac: float = 0.0


_ALLOCATES_NOTHING = Rates()


class Goroutine:
    """One goroutine and the stretch it is on.

    Attributes:
        cum_ns, cum_alloc: CPU time and bytes from the stretch's start to the end of each row; both begin with 0.
        row: rows finished.  ahead: how many will be where its slice is planned to end; a guess.  pos: CPU ns into the stretch.  end: its last.  alloc: bytes of the stretch allocated.
        slow: wall time per CPU time just now (>= 1: marking elsewhere, write barriers, sweeping).
        rates: what it does, on average.
        has_rows: whether it wants to know of finished rows; else its stretches are of one, and it hears of their ends.
        frames_bytes, stack_bytes: live frames, and the stack that holds them.
        credit: assist credit in bytes (Go's gcAssistBytes); only meaningful while marking.
        debited: bytes of the object being allocated that credit has been debited with ahead.
    """

    __slots__ = (
        "ahead", "alloc", "assist_began_ns", "assist_debt", "assist_p", "assist_stolen", "assist_work", "credit", "cum_alloc",
        "cum_ns", "debited", "end", "frames_bytes", "has_entered", "has_rows", "name", "parked_ns", "pos", "rates", "ready_ns",
        "row", "slow", "stack_bytes", "trace_knots", "world",
    )  # fmt: skip

    # Of the assist it is in; without one they have no value.
    assist_debt: int
    assist_p: int
    assist_stolen: int
    assist_work: int
    parked_ns: int

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.cum_ns: Sequence[float] = (0.0,)
        self.cum_alloc: Sequence[int] = (0,)
        self.row = 0
        self.pos = 0.0
        self.end = 0.0
        self.alloc = 0
        self.slow = 1.0
        self.credit = 0
        self.debited = 0
        self.frames_bytes = DEFAULT_FRAMES_BYTES
        self.stack_bytes = world.stacks.starting_bytes
        self.ready_ns = world.env.now
        self.rates = _ALLOCATES_NOTHING
        self.trace_knots = False
        self.has_entered = True
        self.has_rows = True
        self.ahead = 0
        self.assist_began_ns = -1

    @property
    def request_class(self) -> str | None:
        """Name of the request class it works for; None for set-up and the runtime's own."""
        return None

    @property
    def makes(self) -> Footprint:
        """What it allocates, on average; nothing where it allocates nothing."""
        return Footprint()

    @property
    def garbage_frac(self) -> float:
        """Share of what it allocates for a row that dies with it; the rest lives on elsewhere."""
        return 0.0

    @property
    def in_flight_bytes(self) -> int:
        """What it has allocated for a row that is not finished; such bytes have no fate yet."""
        return self.alloc - self.cum_alloc[self.row]

    @property
    def unbooked_bytes(self) -> int:
        """What it has allocated for it altogether: sites are booked when the row is finished."""
        return self.in_flight_bytes

    def bury(self) -> None:
        """Marking begins: temporary objects made so far for the row under way are dead, whoever still counts them."""

    def begin(self, cum_ns: Sequence[float], cum_alloc: Sequence[int]) -> None:
        """Start a new stretch."""
        self.cum_ns = cum_ns
        self.cum_alloc = cum_alloc
        self.row = 0
        self.pos = 0.0
        self.end = cum_ns[-1]
        self.alloc = 0

    def enter(self) -> None:
        """A stretch that was begun off a P runs for the first time (`has_entered` was False)."""

    def knot(self, now: int) -> None:
        """A bend in the map from CPU time to wall time (for goroutines with `trace_knots`)."""

    def assisted(self, ns: int) -> None:
        """It has spent so long in a mark assist, in the row that it is at."""

    def finish_rows(self, p: P, first: int, last: int) -> None:
        """Rows `first` .. `last` - 1 of the stretch are done, on that P."""

    def finish_stretch(self, p: P) -> bool | None:
        """The stretch is done.

        Returns:
            True: another has begun; False: blocked or gone, the P is free; None: the P is kept (a system call).
        """
        raise NotImplementedError


class _Sums:
    """Counts of rows, to be summed over some of them; a single number is that of every row."""

    __slots__ = ("_each", "_up_to")

    def __init__(self, counts: int | IntArray) -> None:
        self._each: int | None = None
        if isinstance(counts, int):
            self._each = counts
        else:
            self._up_to = np.zeros(len(counts) + 1, dtype=np.int64)
            np.cumsum(counts, out=self._up_to[1:])

    def between(self, first: int, last: int) -> int:
        """The sum over rows `first` .. `last` - 1."""
        if self._each is not None:
            return self._each * (last - first)
        return self._up_to.item(last) - self._up_to.item(first)

    def from_zero(self, n: int) -> IntArray:
        """Sums up to each of `n` rows, one more than there are rows."""
        return self._up_to if self._each is None else np.arange(n + 1) * self._each

    def drop(self, rows: int) -> None:
        """Forget the first rows."""
        if self._each is None:
            self._up_to = self._up_to[rows:]


class Worker(Goroutine):
    """A closed-loop worker whose requests never block: thousands of requests to a stretch."""

    __slots__ = (
        "_assists",
        "_block_ns",
        "_died",
        "_died_row",
        "_effects",
        "_ends_ns",
        "_garbage",
        "_knots_pos",
        "_knots_wall",
        "_last_end",
        "_objects",
        "_settled",
        "_shares",
        "_temporary",
        "_varying",
        "plan",
    )

    # Blocks double from the first length to the last: numpy's calls are spread over thousands of requests, and what
    # changes fast at load start and after a phase's change is seen early.
    BLOCK_NS = 40_000_000
    LONGEST_BLOCK_NS = 320_000_000

    def __init__(self, world: World, plan: Plan, number: int) -> None:
        super().__init__(world, f"{plan.name}/{number}")
        self.plan = plan
        world.stacks.grow(self, plan.stack_used_bytes)  # once in its life: its time is not worth a row
        self.trace_knots = True
        self._knots_pos: list[float] = []
        self._knots_wall: list[int] = []
        self._assists: list[tuple[int, int]] = []  # (row, ns)
        self._last_end = -1
        self._block_ns = self.BLOCK_NS
        self._draw()

    @property
    def request_class(self) -> str | None:
        return self.plan.name

    @property
    def makes(self) -> Footprint:
        return self.plan.mixed

    @property
    def garbage_frac(self) -> float:
        return self.plan.garbage_frac

    def _draw(self) -> None:
        plan = self.plan
        n = max(1, min(8192, int(self._block_ns / plan.mean_ns)))
        self._block_ns = min(self.LONGEST_BLOCK_NS, 2 * self._block_ns)
        block = plan.draw(n)
        self._ends_ns = np.zeros(n + 1)
        np.cumsum(block.ns[0], out=self._ends_ns[1:])
        self._garbage = _Sums(block.garbage)
        self._objects = _Sums(block.objects)
        self._effects: list[tuple[Effect, _Sums]] = [
            (effect, _Sums(counts)) for effect, counts in block.effects
        ]
        self._shares = block.shares
        self._varying = [
            (site, _Sums(sizes), _Sums(made), each_ns) for site, sizes, made, each_ns in block.varying
        ]
        temporary = block.deaths.temporary[0]
        self._temporary: list[int] | None = None if temporary is None else temporary.tolist()
        self._died, self._died_row = 0, 0
        self._settled = 0
        self.rates = plan.rates
        # Arrays of the standard library: read one by one they give Python's numbers twice as fast as numpy's, and
        # they are made by copying.
        self.begin(
            array("d", self._ends_ns.tobytes()), array("q", _Sums(block.alloc[0]).from_zero(n).tobytes())
        )

    def knot(self, now: int) -> None:
        self._knots_pos.append(self.pos)
        self._knots_wall.append(now)

    def assisted(self, ns: int) -> None:
        row = self.row
        if row and self.pos <= self.cum_ns[row]:
            row -= 1  # it has not begun this one: the last one ends with the assist
        self._assists.append((row, ns))

    def finish_rows(self, p: P, first: int, last: int) -> None:
        if not self.plan.settles_late:
            self.settle(last)

    @property
    def in_flight_bytes(self) -> int:
        under_way = self.alloc - self.cum_alloc[self.row]
        return under_way - self._died if self._died_row == self.row else under_way

    @property
    def unbooked_bytes(self) -> int:
        return self.alloc - self.cum_alloc[self.row]

    def bury(self) -> None:
        row = self.row
        if self._temporary is None or row + 1 >= len(self.cum_alloc):
            return
        self.settle()
        start = self.cum_alloc[row]
        total = self.cum_alloc[row + 1] - start
        dead = self._temporary[row] * (self.alloc - start) // total if total else 0
        heap = self.world.heap
        heap.in_flight_bytes -= dead - self._died
        heap.dead_bytes += dead - self._died
        self._died, self._died_row = dead, row

    def settle(self, last: int | None = None) -> None:
        """Book the requests finished since the last time: what they leave behind, and that they are done.

        Nobody looks at it between a cycle's snapshot, a window's end and the end of a block, so it is done then, for
        many requests at once, unless lifetimes run from each request's own end.
        """
        first = self._settled
        last = self.row if last is None else last
        n = last - first
        if n <= 0:
            return
        self._settled = last
        world = self.world
        heap = world.heap
        now = world.env.now
        died = 0
        if self._died_row < last:
            died, self._died = self._died, 0
        heap.in_flight_bytes -= self.cum_alloc[last] - self.cum_alloc[first] - died
        heap.dead_bytes += self._garbage.between(first, last) - died
        objects = self._objects.between(first, last)
        heap.dead_objects += objects
        for effect, counts in self._effects:
            units = counts.between(first, last)
            if units:
                effect.units += units
                effect.apply(units, now)
                objects += units * effect.unit.objects
        for segment in self.plan.segments:
            for pool in segment.pool_gets:
                world.pool_cycle(pool, n, returned=pool in segment.pool_puts)
        heap.allocated_objects += objects
        self._shares.requests += n
        self._shares.ns += self.cum_ns[last] - self.cum_ns[first]
        for site, sizes, counts, each_ns in self._varying:
            made = counts.between(first, last)
            site.add(sizes.between(first, last), made, made * each_ns)
            self._shares.ns -= made * each_ns
        world.probe.completed += n
        world.probe.arrived += n  # each makes way for the next

    def finish_stretch(self, p: P) -> bool:
        self.settle()
        self._report(len(self.cum_ns) - 1)
        self._knots_pos.clear()
        self._knots_wall.clear()
        self._draw()
        return True

    def cut_short(self) -> None:
        """End the stretch with the request under way: what follows is drawn anew."""
        self._block_ns = self.BLOCK_NS
        keep = self.row + 2
        if keep < len(self.cum_ns):
            self.cum_ns = self.cum_ns[:keep]
            self.cum_alloc = self.cum_alloc[:keep]
            self.end = self.cum_ns[-1]

    def report_finished(self) -> None:
        """Hand over the latencies of the requests finished so far (window ends, end of run)."""
        self.settle()
        self._report(self.row)

    def _report(self, rows: int) -> None:
        pos, wall = self._knots_pos, self._knots_wall
        if not pos:
            return
        ends = np.interp(self._ends_ns[: rows + 1], pos, wall)
        ends[0] = self._last_end if self._last_end >= 0 else wall[0]
        if rows:
            latencies = np.maximum(np.diff(ends), 1.0).astype(np.int64)
            self.world.probe.latencies(self.plan.name, latencies, ends, self._assists)
            self._last_end = int(ends[-1])
        # All rows may be done and the stretch not: the slice ends at the next whole nanosecond.
        self._rebase(rows, pos, wall)

    def _rebase(self, rows: int, pos: list[float], wall: list[int]) -> None:
        """Drop the first `rows` rows, which have been reported."""
        base_ns, base_alloc = self.cum_ns[rows], self.cum_alloc[rows]
        keep = bisect_right(pos, base_ns)
        self._knots_pos = [0.0, *(x - base_ns for x in pos[keep:])]
        self._knots_wall = [self._last_end if self._last_end >= 0 else wall[0], *wall[keep:]]
        self._ends_ns = self._ends_ns[rows:] - base_ns
        self.cum_ns = array("d", self._ends_ns[: len(self.cum_ns) - rows].tobytes())
        self.cum_alloc = array("q", (np.asarray(self.cum_alloc)[rows:] - base_alloc).tobytes())
        self._garbage.drop(rows)
        self._objects.drop(rows)
        for _, counts in self._effects:
            counts.drop(rows)
        for _, sizes, made, _ in self._varying:
            sizes.drop(rows)
            made.drop(rows)
        self.pos -= base_ns
        self.end -= base_ns
        self.alloc -= base_alloc
        self._assists = [(row - rows, ns) for row, ns in self._assists if row >= rows]
        self.row -= rows
        self._settled -= rows
        self._died_row -= rows
        if self._temporary is not None:
            self._temporary = self._temporary[rows:]
