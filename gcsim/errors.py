"""Every error gcsim raises, on one page.

``SpecError`` is the caller's input, ``RunError`` a run that could not finish, ``DatasetError`` a dataset that
cannot be read or written, ``InvariantError`` our own bug.  All problems of a spec are reported at once.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


class GcsimError(Exception):
    """Base of every error that gcsim raises on purpose."""


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a spec: where it is, what was found and what to do about it.

    Attributes:
        path: place in the spec as its author wrote it, such as ``$.requests[0].steps[2].allocate.size``.
        line: line in the source text, from 1; None where there is no text (gRPC, Python, ``--set``).
        value: what was found there, as text; empty where nothing was (a missing field).
        message: what is wrong with it.
        remedy: what to write instead.
    """

    path: str
    line: int | None = None
    value: str = ""
    message: str = ""
    remedy: str = ""

    def __str__(self) -> str:
        where = self.path if self.line is None else f"{self.path} (line {self.line})"
        what = f"{self.value} {self.message}" if self.value else self.message
        return f"{where}: {what}; {self.remedy}" if self.remedy else f"{where}: {what}"


class SpecError(GcsimError):
    """The spec, an override or a profile is wrong.  Carries every problem found, in the order of the text."""

    def __init__(self, problems: Iterable[Problem], *, source: str = "<spec>") -> None:
        self.problems: tuple[Problem, ...] = tuple(problems)
        self.source = source
        super().__init__(self.problems, source)

    def __str__(self) -> str:
        count = len(self.problems)
        head = f"{self.source}: {count} problem{'' if count == 1 else 's'}"
        return "\n".join([head, *(f"  {problem}" for problem in self.problems)])


class RunError(GcsimError):
    """A simulation could not finish, through no bug of ours: out of simulated memory, interrupted, disk full."""


class DatasetError(GcsimError):
    """A dataset is missing, damaged, of an unknown version, or may not be merged with another."""


class InvariantError(GcsimError):
    """The simulator contradicts itself: a bug.  Carries what is needed to replay the run.

    Attributes:
        message: which invariant broke, with the numbers.
        spec_name: name of the spec that ran; empty where no run was going on.
        seed: its seed.
        sim_time_ns: simulated time of the discovery.
        events: the last events before it, oldest first.
    """

    def __init__(
        self,
        message: str,
        spec_name: str = "",
        seed: int | None = None,
        sim_time_ns: int | None = None,
        events: Iterable[str] = (),
    ) -> None:
        self.message = message
        self.spec_name = spec_name
        self.seed = seed
        self.sim_time_ns = sim_time_ns
        self.events: tuple[str, ...] = tuple(events)
        super().__init__(message, spec_name, seed, sim_time_ns, self.events)

    def __str__(self) -> str:
        if not self.spec_name:
            return self.message
        head = f"{self.message} (spec {self.spec_name!r}, seed {self.seed}, at {self.sim_time_ns} ns)"
        return "\n  ".join([head, *self.events])
