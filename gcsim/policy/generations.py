"""Generations: who is new, who has aged, who is old; and what pointer stores leave for the next minor collection to see.

Go has no generations; this is the arithmetic of a what-if collector.  Objects begin in a nursery.  A minor collection
keeps what is reachable; what has survived `promotion_age` of them moves to the old generation.  A cohort is what one
holder (a set, a pool, a request under way) keeps, in bytes by generation.
"""

from __future__ import annotations

import math
from typing import NamedTuple

# assumed: the granularity of a card table, as HotSpot's.  If wrong: minor collections look at more or less around each
# pointer that was stored into an old object.
CARD_BYTES = 512


class Survival(NamedTuple):
    """What a minor collection did with one cohort: bytes copied (promoted ones included), and bytes promoted."""

    copied_bytes: int
    promoted_bytes: int


class Cohort:
    """Bytes of one holder by generation; what it holds beyond these is new.

    Attributes:
        aged_bytes: survivors in the nursery, by minor collections survived: 1, 2, ..., promotion age - 1.
        old_bytes: in the old generation.
    """

    __slots__ = ("aged_bytes", "old_bytes")

    def __init__(self, promotion_age: int) -> None:
        self.aged_bytes = [0] * (promotion_age - 1)
        self.old_bytes = 0

    @property
    def tracked_bytes(self) -> int:
        """All that is not new."""
        return self.old_bytes + sum(self.aged_bytes)

    def die(self, frac: float) -> int:
        """A share of the members, young and old alike, became unreachable; the bytes of them that are old."""
        self.aged_bytes = [aged - round(aged * frac) for aged in self.aged_bytes]
        died = round(self.old_bytes * frac)
        self.old_bytes -= died
        return died

    def clamp(self, reachable_bytes: int) -> int:
        """The holder has only so much: what it had before and is gone died, the oldest first; bytes of it that are old."""
        excess = max(0, self.tracked_bytes - reachable_bytes)
        died = min(excess, self.old_bytes)
        self.old_bytes -= died
        excess -= died
        for age in reversed(range(len(self.aged_bytes))):
            gone = min(excess, self.aged_bytes[age])
            self.aged_bytes[age] -= gone
            excess -= gone
        return died

    def new_bytes(self, reachable_bytes: int) -> int:
        """Bytes allocated since the last minor collection, of so many in all."""
        return reachable_bytes - self.tracked_bytes

    def collect(self, reachable_bytes: int) -> Survival:
        """A minor collection: everybody young is a collection older, and who is of age is promoted."""
        young = [self.new_bytes(reachable_bytes), *self.aged_bytes]
        *self.aged_bytes, promoted = young
        self.old_bytes += promoted
        return Survival(sum(young), promoted)


def dirty_cards(area_bytes: int, stores: float) -> float:
    """Cards of an area that so many stores to random places in it have made dirty, on average."""
    cards = max(1.0, area_bytes / CARD_BYTES)
    return cards * -math.expm1(-stores / cards)


def filled_cards(stored_bytes: float) -> int:
    """Cards that stores to one place after another have made dirty."""
    return math.ceil(stored_bytes / CARD_BYTES)
