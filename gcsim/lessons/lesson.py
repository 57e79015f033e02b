"""What a lesson is: a change, and claims about what follows from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Claim:
    """`after` against `before` in one number: at most (`<=`), or at least (`>=`) so many times as much."""

    number: str
    relation: Literal["<=", ">="]
    factor: float

    def holds(self, before: float | None, after: float | None) -> bool:
        """Whether it does; a number that is missing on either side is no support."""
        if before is None or after is None:
            return False
        return after <= self.factor * before if self.relation == "<=" else after >= self.factor * before

    def __str__(self) -> str:
        word = "at most" if self.relation == "<=" else "at least"
        return f"{self.number}: after is {word} {self.factor:g} times before"


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """One lesson.

    Attributes:
        change: what differs between before and after.
        why: what that does, in plain sentences.
        precise: what Go really does where it is often said otherwise; may be empty.
        shows: further numbers to print beside those of the claims.
    """

    name: str
    title: str
    change: str
    why: str
    claims: tuple[Claim, ...]
    precise: str = ""
    shows: tuple[str, ...] = ()

    @property
    def numbers(self) -> tuple[str, ...]:
        """Numbers to print: those of the claims first."""
        return tuple(dict.fromkeys((*(claim.number for claim in self.claims), *self.shows)))


def at_most(factor: float, number: str) -> Claim:
    return Claim(number=number, relation="<=", factor=factor)


def at_least(factor: float, number: str) -> Claim:
    return Claim(number=number, relation=">=", factor=factor)
