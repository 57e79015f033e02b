"""Green Tea: how the objects of a tree are met, a span at a time.

A span is queued with the first of its objects that is found and scanned for all that have been found by its turn.  A
tree is met level by level: built in order, a level of its neighbours in the span with it; among strangers, its own only.
From an eighth of the span's objects on, a span is scanned as a whole.

Source: runtime/mgcmark_greenteagc.go scanSpan, tryDeferToSpanScan (go1.26, go1.27); counts of GODEBUG=gctrace=2 for
trees of 4 to 400 nodes of 64 B (go1.27.3): objects and visits in order within 10 %, in order and among strangers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

# derived: runtime/mgcmark_greenteagc.go scanSpan (go1.26, go1.27): objsMarked < nelems / 8 is sparse
DENSE_FROM_ONE_IN = 8
# measured: GODEBUG=gctrace=2, trees built in order whose level just reaches an eighth, go1.27.3: 0.6 to 1.0 of the visits
# are dense
_EVEN_FRAC = 0.1
_OFFSETS = 8  # places where a span may end within an entry


@dataclass(frozen=True, slots=True)
class Mix:
    """What the spans of a class hold that a set's entries share.

    Attributes:
        free_frac: share of their slots that are free when they are filled again.
        retained_frac: share of what fills them that is entries of the set; the rest is garbage.
    """

    free_frac: float = 0.5
    retained_frac: float = 0.0

    @classmethod
    def of(cls, live: float, replaced: float, garbage: float, *, steps: int = 0) -> Mix:
        """From bytes of a cycle in spans of the class: live entries, entries replaced, other garbage.

        Args:
            steps: round shares to one in so many; 0 = not at all.
        """
        dead = replaced + garbage
        if not dead:
            return cls(0.0, 0.0)
        free, retained = dead / (live + dead), replaced / dead
        return (
            cls(round(steps * free) / steps, round(steps * retained) / steps)
            if steps
            else cls(free, retained)
        )

    @property
    def pieces_factor(self) -> float:
        """How many times as many pieces an entry is in as there are spans of its length.

        Free slots lie between live objects; where only entries leave holes, these are as long as entries.  Measured:
        GODEBUG=gctrace=2, trees of 1 to 400 nodes after three turnovers and more, among garbage of their class in
        pieces of 16 to 2,000 nodes and without it, GOGC 50 to 400 (go1.27.3).
        """
        taken = math.pow(1.0 - self.free_frac, 3.5)
        return 1.0 + 2.5 * taken * (1.0 - 0.55 * self.retained_frac)

    def together(self, slots: int, span_objects: int) -> float:
        """How many entries of so many objects are met together in a span: itself, and some of those made beside it.

        Half of these have died since, at random, and among garbage the entry itself takes room.  Measured: the same.
        """
        beside = self.free_frac * self.retained_frac * span_objects / slots
        alone = 0.6 * (1.0 - self.retained_frac)
        return 1.0 + max(0.0, beside - alone) * (0.5 - 0.1 * self.retained_frac)


@dataclass(frozen=True, slots=True)
class LevelVisits:
    """How one level of an entry is scanned, means per entry.

    Attributes:
        sparse_objects, sparse_visits: objects scanned one by one, and visits of spans that did.
        dense_objects, dense_visits: the same where spans were scanned as a whole.
    """

    sparse_objects: float
    sparse_visits: float
    dense_objects: float
    dense_visits: float


def tree_levels(count: int) -> tuple[int, ...]:
    """Nodes of each level of a balanced binary tree of `count` nodes."""
    levels = []
    width = 1
    while count > 0:
        levels.append(min(width, count))
        count -= width
        width *= 2
    return tuple(levels)


def visits_in_order(levels: Sequence[int], slots: int, span_objects: int) -> list[LevelVisits]:
    """Entries that were built one after another are met together.

    Args:
        levels: nodes of each level of an entry.
        slots: objects that an entry was built of, of which some may be gone.
        span_objects: objects per span.
    """
    together = span_objects / slots
    enough = span_objects // DENSE_FROM_ONE_IN
    found = []
    for width in levels:
        visits = min(width, 1.0 / together)
        met = width / visits
        dense = min(1.0, max(0.0, 0.5 + (met - enough) / (_EVEN_FRAC * met))) if met > 1.0 else 0.0
        found.append(
            LevelVisits(width * (1.0 - dense), visits * (1.0 - dense), width * dense, visits * dense)
        )
    return found


def visits_among_strangers(
    levels: Sequence[int], slots: int, span_objects: int, mix: Mix
) -> list[LevelVisits]:
    """Entries built in place of others: each is met alone, or with the few that were made beside it."""
    enough = max(2, span_objects // DENSE_FROM_ONE_IN)
    together = mix.together(slots, span_objects)
    sums = [[0.0] * 4 for _ in levels]
    for share in _pieces(slots, span_objects / mix.pieces_factor):
        for width, row in zip(levels, sums, strict=True):
            met = width * share
            column = 2 if met * together >= enough else 0
            row[column] += met / _OFFSETS
            row[column + 1] += min(1.0 / together, met) / _OFFSETS
    return [LevelVisits(*row) for row in sums]


def _pieces(slots: int, room: float) -> Iterator[float]:
    """Shares of an entry that lie in one span, for each of `_OFFSETS` places where the first span may end."""
    for offset in range(_OFFSETS):
        left, fits = float(slots), (offset + 0.5) / _OFFSETS * room
        while left > 1e-9:
            piece = min(left, fits)
            yield piece / slots
            left -= piece
            fits = room
