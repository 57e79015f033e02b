"""Phases of a log: when the live heap or the allocation rate changes for good, and a heap that only grows.

Both are series in time with a level each: live heap at each cycle, allocation per second between cycles.  A series is cut
into pieces of one level each so that the squared distances, plus a price per cut, are least (optimal partitioning by
dynamic programming).  The price is that of the Bayesian information criterion, two numbers a cut; the noise is taken from
neighbours, whose differences hardly see changes of level, so that a series that scatters needs larger steps; distances
are capped, so that a single odd cycle is no phase.  What is found counts where the levels differ by as much as an
engineer would call a change.

A live heap that grows steadily is a leak if a line explains it better than levels do.

Source: Jackson et al., An algorithm for optimal partitioning of data on an interval (IEEE SPL 2005).
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

from gcsim.fit.moments import Cycle, Estimate
from gcsim.units import MIB

MAX_POINTS = 400  # of a series; more are brought to so many by medians of neighbours
MAX_PHASES = 40
MIN_CYCLES = 12  # assumed: of fewer nobody could say that they changed for good
CLEAR_STEP = 1.5  # assumed: less is within what the same program does from minute to minute
CLEAR_STEP_BYTES = 2.0 * MIB  # derived: two roundings of a log's whole MiB
MAX_WEIGHT = 20.0  # of a value that stands for long
CAP = 9.0  # squared distances in units of the noise: three standard deviations
PRICE = 3.0  # times 2 log n: a cut has to be clear, not just likelier than not
MIN_NOISE_FRAC = 0.04  # assumed: programs are no steadier than that
SHORTEST_FRAC = 0.01  # of the window: a shorter phase is not told from an odd cycle
LEAK_GROWTH = 1.3  # assumed: the heap of the last tenth over that of the first
LEAK_FIT = 0.5  # of the squared distances to the levels: a line has to halve them


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A stretch of a log with one level.

    Attributes:
        start_ns, end_ns: since the window's begin.
        live_bytes: live heap; alloc_per_ns: allocation per wall time.
    """

    start_ns: float
    end_ns: float
    live_bytes: Estimate
    alloc_per_ns: Estimate

    @property
    def duration_ns(self) -> float:
        """Its length."""
        return self.end_ns - self.start_ns


@dataclass(frozen=True, kw_only=True)
class Course:
    """What a log does over time.

    Attributes:
        pieces: in order, at least two; empty where nothing changes for good.
        leak_frac: share of what is allocated that stays for ever; 0 = none seen.
        leak_start_bytes: live heap when the leak begins.
        first: index of the first cycle that counts.
    """

    pieces: tuple[Piece, ...] = ()
    leak_frac: Estimate = field(default_factory=lambda: Estimate(0.0))
    leak_start_bytes: float = 0.0
    first: int = 0

    @property
    def changes(self) -> bool:
        """Whether anything changes over time."""
        return bool(self.pieces) or self.leak_frac.value > 0


def course(cycles: Sequence[Cycle], *, begin_ns: float, end_ns: float, first: int = 0) -> Course:
    """The course of one process.

    Args:
        cycles: all of the process.
        begin_ns, end_ns: the window, since process start.
        first: index of the first cycle in it.
    """
    used = [c for c in cycles[first:] if not c.forced]
    if len(used) < MIN_CYCLES:
        return Course(first=first)
    starts = [c.start_ns for c in used]
    lengths = [b - a for a, b in itertools.pairwise([*starts, max(end_ns, starts[-1])])]
    live = _Series(starts, [c.live_bytes for c in used], lengths, least=CLEAR_STEP_BYTES)
    rates = _rates(cycles[first:])
    cuts_live, cost_levels = live.cuts()
    leak = _leak(used, cost_levels, live)
    if leak is not None:
        frac, start = leak
        return Course(leak_frac=frac, leak_start_bytes=start, first=first)
    cuts_rate: list[float] = []
    if len(rates) >= MIN_CYCLES:
        middles = [(a + b) / 2 for a, b, _, _ in rates]
        # Logarithms: a rate scatters in proportion to itself.
        logs = [math.log(max(1e-9, size / (b - a))) for a, b, size, _ in rates]
        lengths = [b - a for a, b, _, _ in rates]
        series = _Series(middles, logs, lengths, least=math.log(CLEAR_STEP), is_log=True)
        cuts_rate = [_moved(rates, cut) for cut in series.cuts()[0]]
    edges = _edges(begin_ns, end_ns, cuts_live, cuts_rate, rates)
    if not 2 < len(edges) <= MAX_PHASES + 1:
        return Course(first=first)
    pieces = [_piece(a, b, used, rates, begin_ns) for a, b in itertools.pairwise(edges)]
    pieces = _joined(pieces)
    return Course(pieces=tuple(pieces), first=first) if len(pieces) > 1 else Course(first=first)


# ---- series ------------------------------------------------------------------------------------------------------


class _Series:
    """Values in time, and where their level changes."""

    def __init__(
        self,
        times: Sequence[float],
        values: Sequence[float],
        lengths: Sequence[float],
        *,
        least: float,
        is_log: bool = False,
    ) -> None:
        """Args:
        lengths: for how long each value stands; one that stands for long is no odd one out.
        least: the smallest step between two levels that counts.
        """
        size = -(-len(values) // MAX_POINTS)
        starts = range(0, len(values), size)
        self.times = [times[i] for i in starts]
        self.values = [statistics.median(values[i : i + size]) for i in starts]
        sums = [math.fsum(lengths[i : i + size]) for i in starts]
        typical = statistics.median(sums)
        self.weights = [min(MAX_WEIGHT, max(1.0, s / typical)) for s in sums]
        self.least = least
        middle = 1.0 if is_log else abs(statistics.median(values))
        steps = [abs(b - a) for a, b in itertools.pairwise(self.values)]
        self.noise = max(statistics.median(steps) / 0.954, MIN_NOISE_FRAC * middle, least / 4)

    def level(self, start: int, end: int) -> float:
        """Weighted median."""
        parts = sorted(zip(self.values[start:end], self.weights[start:end], strict=True))
        half = math.fsum(w for _, w in parts) / 2
        for value, weight in parts:
            half -= weight
            if half <= 0:
                return value
        return parts[-1][0]

    def cost(self, start: int, end: int) -> float:
        """Capped squared distances to the level, in units of the noise."""
        level = self.level(start, end)
        return math.fsum(
            w * min(CAP, ((v - level) / self.noise) ** 2)
            for v, w in zip(self.values[start:end], self.weights[start:end], strict=True)
        )

    def cuts(self) -> tuple[list[float], float]:
        """Times of the cuts, each before the first value of a level, and what all pieces cost without the price."""
        n = len(self.values)
        price = PRICE * 2 * math.log(n)
        best = [-price] + [math.inf] * n
        back = [0] * (n + 1)
        costs: dict[tuple[int, int], float] = {}
        candidates = [0]
        for end in range(1, n + 1):
            for start in candidates:
                cost = self.cost(start, end)
                costs[start, end] = cost
                total = best[start] + cost + price
                if total < best[end]:
                    best[end], back[end] = total, start
            # PELT: a start that is behind by more than it can ever make up is out.
            candidates = [s for s in candidates if best[s] + costs[s, end] <= best[end]] + [end]
        bounds = [n]
        while bounds[-1]:
            bounds.append(back[bounds[-1]])
        bounds.reverse()
        pieces = list(itertools.pairwise(bounds))
        levels = [self.level(a, b) for a, b in pieces]
        cuts = [
            self.times[pieces[i][0]]
            for i in range(1, len(pieces))
            if abs(levels[i] - levels[i - 1]) >= self.least
        ]
        return cuts, math.fsum(costs[piece] for piece in pieces)


def _rates(cycles: Sequence[Cycle]) -> list[tuple[float, float, float, int]]:
    """Intervals from one cycle's end to the end of the next: from, to, bytes allocated, index of the later cycle."""
    out = []
    for index, (a, b) in enumerate(itertools.pairwise(cycles), start=1):
        if b.follows and b.end_ns > a.end_ns:
            out.append((a.end_ns, b.end_ns, max(0.0, b.heap_end_bytes - a.heap_marked_bytes), index))
    return out


def _moved(rates: Sequence[tuple[float, float, float, int]], cut_ns: float) -> float:
    """When in the interval around a cut the rate changed: its bytes are the sum of what both rates allocate."""
    at = next((i for i, (a, b, _, _) in enumerate(rates) if (a + b) / 2 >= cut_ns), len(rates) - 1)
    best = rates[at][0]
    for index in (at - 1, at):
        if not 0 < index < len(rates) - 1:
            continue
        (a, b, size, _), before, after = rates[index], rates[index - 1], rates[index + 1]
        low, high = (size_ / (end - start) for start, end, size_, _ in (before, after))
        rate = size / (b - a)
        if abs(high - low) > 0 and min(low, high) < rate < max(low, high):
            share = (rate - high) / (low - high)  # of the interval at the rate before
            if 0.05 < share < 0.95:
                best = a + share * (b - a)
                break
    return best


def _edges(
    begin_ns: float,
    end_ns: float,
    live: Sequence[float],
    rate: Sequence[float],
    rates: Sequence[tuple[float, float, float, int]],
) -> list[float]:
    """Begin, cuts of both series, end; of cuts nearer than a cycle those of the rate, which know when."""
    least = SHORTEST_FRAC * (end_ns - begin_ns)
    edges: list[float] = []
    for cut in sorted(rate):
        if begin_ns + least < cut < end_ns - least and (not edges or cut - edges[-1] > least):
            edges.append(cut)
    for cut in live:
        length = next((b - a for a, b, _, _ in rates if a <= cut < b), 0.0)
        is_new = all(abs(cut - e) > max(length, least) for e in edges)
        if begin_ns + least < cut < end_ns - least and is_new:
            edges.append(cut)
    return [begin_ns, *sorted(edges), end_ns]


def _piece(
    start_ns: float,
    end_ns: float,
    cycles: Sequence[Cycle],
    rates: Sequence[tuple[float, float, float, int]],
    begin_ns: float,
) -> Piece:
    """Levels of a stretch: cycles that began in it; allocation by how much of each interval lies in it."""
    inside = [c.live_bytes for c in cycles if start_ns <= c.start_ns < end_ns]
    # A cycle at the edge may have the level before; the middle half is sure.
    inside.sort()
    live = inside or [min(cycles, key=lambda c: abs(c.start_ns - start_ns)).live_bytes]
    spread = statistics.stdev(live) / math.sqrt(len(live)) if len(live) > 1 else 0.5 * MIB
    size = time = 0.0
    whole = [(a, bytes_, b) for a, b, bytes_, _ in rates if start_ns <= a and b <= end_ns]
    own = [bytes_ / (b - a) for a, bytes_, b in whole]
    for a, b, bytes_, _ in rates:
        share = max(0.0, min(b, end_ns) - max(a, start_ns)) / (b - a)
        if share > 0.5 or (share > 0 and not own):
            size += share * bytes_
            time += share * (b - a)
    rate = statistics.median(own) if len(own) >= 3 else size / time if time else 0.0
    if 0 < len(own) < 3:  # the intervals that reach over an edge have another rate in them
        rate = math.fsum(w for _, w, _ in whole) / math.fsum(b - a for a, _, b in whole)
    error = 1.25 * statistics.stdev(own) / math.sqrt(len(own)) if len(own) > 1 else 0.1 * rate
    return Piece(
        start_ns=start_ns - begin_ns,
        end_ns=end_ns - begin_ns,
        live_bytes=Estimate(statistics.median(live), max(spread, MIB / 6)),
        alloc_per_ns=Estimate(rate, error),
    )


def _joined(pieces: Sequence[Piece]) -> list[Piece]:
    """Neighbours whose levels hardly differ are one."""
    out = [pieces[0]]
    for piece in pieces[1:]:
        last = out[-1]
        if _differ(last.live_bytes.value, piece.live_bytes.value, CLEAR_STEP_BYTES) or _differ(
            last.alloc_per_ns.value, piece.alloc_per_ns.value, 0.0
        ):
            out.append(piece)
            continue
        whole = piece.end_ns - last.start_ns
        share = last.duration_ns / whole
        out[-1] = Piece(
            start_ns=last.start_ns,
            end_ns=piece.end_ns,
            live_bytes=_mixed(last.live_bytes, piece.live_bytes, share),
            alloc_per_ns=_mixed(last.alloc_per_ns, piece.alloc_per_ns, share),
        )
    return out


def _differ(a: float, b: float, least: float) -> bool:
    low, high = min(a, b), max(a, b)
    return high - low > least and high > CLEAR_STEP * low


def _mixed(a: Estimate, b: Estimate, share: float) -> Estimate:
    return Estimate(
        share * a.value + (1 - share) * b.value, math.hypot(share * a.error, (1 - share) * b.error)
    )


# ---- leaks -------------------------------------------------------------------------------------------------------


def _leak(cycles: Sequence[Cycle], cost_levels: float, live: _Series) -> tuple[Estimate, float] | None:
    """Share of the allocation that stays, and the heap it begins with; None where levels explain the heap as well.

    The line is live heap over bytes allocated: a leak is of what a program does, not of time.
    """
    allocated, total = [0.0], 0.0
    for a, b in itertools.pairwise(cycles):
        total += max(0.0, b.heap_start_bytes - a.heap_marked_bytes) + (a.heap_end_bytes - a.heap_start_bytes)
        allocated.append(total)
    values = [c.live_bytes for c in cycles]
    tenth = max(1, len(values) // 10)
    first, last = statistics.median(values[:tenth]), statistics.median(values[-tenth:])
    if total <= 0 or last < LEAK_GROWTH * max(first, CLEAR_STEP_BYTES) or last - first < 2 * CLEAR_STEP_BYTES:
        return None
    # Steps both ways are no leak: nearly all of the way up has to be kept.
    highest = list(itertools.accumulate(values, max))
    if max(h - v for h, v in zip(highest, values, strict=True)) > 0.2 * (last - first):
        return None
    slope, intercept, error = _line(allocated, values)
    if slope <= 0:
        return None
    distances = [v - intercept - slope * x for x, v in zip(allocated, values, strict=True)]
    cost_line = math.fsum(min(CAP, (d / live.noise) ** 2) for d in distances) * len(live.values) / len(values)
    # Levels with their price; a stair of many levels is a line.
    price = PRICE * 2 * math.log(len(live.values))
    levels = cost_levels + price * len(live.cuts()[0])
    if cost_line > max(LEAK_FIT * levels, len(live.values) * 0.5):
        return None
    return Estimate(min(0.95, slope), error), max(0.0, intercept)


def _line(x: Sequence[float], y: Sequence[float]) -> tuple[float, float, float]:
    """Least squares: slope, intercept, standard error of the slope."""
    n = len(x)
    mx, my = math.fsum(x) / n, math.fsum(y) / n
    sxx = math.fsum((a - mx) ** 2 for a in x)
    slope = math.fsum((a - mx) * (b - my) for a, b in zip(x, y, strict=True)) / sxx
    intercept = my - slope * mx
    rest = math.fsum((b - intercept - slope * a) ** 2 for a, b in zip(x, y, strict=True))
    return slope, intercept, math.sqrt(rest / max(1, n - 2) / sxx)
