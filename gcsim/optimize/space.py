"""What may be set, and in which range.

Every dimension is a stretch from 0 to 1.  ``off`` is the end of it: GOGC and GOMEMLIMIT do less the larger they are, and
off is the limit of that, so an optimiser sees a neighbour of large values and not a case apart.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gcsim.datasets.summary import Number
from gcsim.errors import Problem, SpecError
from gcsim.spec.models import Spec
from gcsim.spec.overrides import apply_overrides, full_path, value_at
from gcsim.sweep.axes import column_name, split_values
from gcsim.units import GIB, KIB, MIB

GOGC, GOMEMLIMIT, GOMAXPROCS = "runtime.gogc", "runtime.gomemlimit", "runtime.gomaxprocs"
GOGC_RANGE = (25, 800)
"""assumed: below, the collector takes most of the CPU of most programs; above, memory grows and little is gained."""
LIMIT_FLOOR = 1.1
"""assumed: a limit closer to the live heap is a death spiral away, and the next larger heap is the day it comes."""
LIMIT_CEILING = 4.0
"""assumed: room for GOGC=300 and no limit; a larger limit is hardly ever reached."""
OFF_SHARE = 0.1  # of a stretch from 0 to 1
LOG_FROM = 4.0  # ranges whose ends differ by so much are searched by ratio
_RANGE = re.compile(r"(\S+?)\.\.(\S+?)(:log)?")
_SWITCHES = ("runtime.assists", "runtime.idle_workers")


@dataclass(frozen=True, kw_only=True)
class Dimension:
    """One field that may be set: by a range of numbers, or by a list of values.

    Attributes:
        values: the list, in order; empty for a range.
        is_ordered: whether neighbours in the list resemble each other.
        low, high: ends of the range in the field's own unit.
        step: numbers are whole multiples of it; 0: any number.
        log: searched by ratio.
        off: whether the range goes on to ``off`` beyond its high end.
    """

    path: str
    values: tuple[str, ...] = ()
    is_ordered: bool = True
    low: float = 0.0
    high: float = 0.0
    step: int = 1
    log: bool = False
    off: bool = False

    @property
    def column(self) -> str:
        """Name of its column in tables."""
        return column_name(self.path)

    @property
    def size(self) -> float:
        """How many different settings there are; infinite for a range."""
        return len(self.values) if self.values else math.inf

    def text_at(self, place: float) -> str:
        """The value at a place in [0, 1), as text for the spec."""
        if self.values:
            return self.values[min(int(place * len(self.values)), len(self.values) - 1)]
        numbers = 1.0 - OFF_SHARE if self.off else 1.0
        if place >= numbers:
            return "off" if self.off else self._text(self.high)
        share = place / numbers
        at = (
            self.low * (self.high / self.low) ** share
            if self.log
            else self.low + (self.high - self.low) * share
        )
        return self._text(at)

    def place_of(self, text: str) -> float | None:
        """Where a value as text lies; None: nowhere in the range."""
        if self.values:
            return (self.values.index(text) + 0.5) / len(self.values) if text in self.values else None
        if text == "off":
            return 1.0 - OFF_SHARE / 2 if self.off else None
        value = float(text.removesuffix("MiB")) * (MIB if text.endswith("MiB") else 1)
        if not self.low <= value <= self.high:
            return None
        share = (
            math.log(value / self.low) / math.log(self.high / self.low)
            if self.log
            else (value - self.low) / (self.high - self.low)
        )
        return min(share, 1.0 - 1e-9) * (1.0 - OFF_SHARE if self.off else 1.0)

    @property
    def largest(self) -> str:
        """The largest value that is not ``off``."""
        if not self.values:
            return self._text(self.high)
        return next((text for text in reversed(self.values) if text != "off"), self.values[-1])

    def _text(self, value: float) -> str:
        """Three significant digits: nobody sets GOGC=137.25, and neighbours are no different."""
        if not self.step:
            return repr(float(f"{value:.3g}"))
        number = float(f"{value / self.step:.3g}")
        number = min(max(number, math.ceil(self.low / self.step)), math.floor(self.high / self.step))
        whole = round(number)
        return f"{whole}MiB" if self.step == MIB else str(whole * self.step)

    def __str__(self) -> str:
        if self.values:
            return f"{self.column}={','.join(self.values)}"
        ends = self._text(self.low), self._text(self.high)
        return f"{self.column}={'..'.join(ends)}{':log' if self.log else ''}{',off' if self.off else ''}"


@dataclass(frozen=True, kw_only=True)
class Space:
    """All dimensions together, over a spec."""

    dimensions: tuple[Dimension, ...]
    has_limit: bool
    """Whether the spec sets a memory limit, where that is no dimension."""

    @property
    def size(self) -> float:
        """How many different settings there are."""
        return math.prod(dimension.size for dimension in self.dimensions)

    def row(self, places: Sequence[float]) -> dict[str, str]:
        """The setting at a place of the unit cube: path -> value as text.

        GOGC=off without a memory limit is no setting: memory grows until the process is killed.  GOGC is then the
        largest that there is.
        """
        row = {d.path: d.text_at(place) for d, place in zip(self.dimensions, places, strict=True)}
        limit = row.get(GOMEMLIMIT, "set" if self.has_limit else "off")
        if row.get(GOGC) == "off" and limit == "off":
            row[GOGC] = next(d.largest for d in self.dimensions if d.path == GOGC)
        return row

    def places(self, row: Mapping[str, str]) -> list[float] | None:
        """Where a setting lies; None: outside."""
        found = [dimension.place_of(row[dimension.path]) for dimension in self.dimensions]
        known = [place for place in found if place is not None]
        return known if len(known) == len(found) else None


def present_row(spec: Spec, paths: Sequence[str], *, gomaxprocs: int) -> dict[str, str]:
    """The spec's own values of some fields, written as those of the dimensions are.

    Args:
        gomaxprocs: what the release's own rule gives, where the spec says nothing.
    """
    row = {}
    for path in paths:
        value = value_at(spec, path)
        if path == GOMAXPROCS and value is None:
            value = gomaxprocs
        is_whole = isinstance(value, int) and not isinstance(value, bool)
        if path == GOMEMLIMIT and is_whole and value % MIB == 0:
            row[path] = f"{value // MIB}MiB"
        else:
            row[path] = (
                "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
            )
    return row


# ---- from words ------------------------------------------------------------------------------------------------


def parse_over(over: Sequence[str], ranges: Sequence[str], spec: Spec) -> dict[str, tuple[str, ...]]:
    """Which fields may be set, and what was said about their ranges.

    Args:
        over: names, each a field's path or short name, or several with commas between them.
        ranges: ``path=low..high``, ``path=low..high,off`` or ``path=value,value``; a range may end in ``:log``.
    Returns:
        Path -> the words of its range; none: the default is to be taken.
    Raises:
        SpecError: with everything that is no field or no range, or has no default range.
    """
    problems: list[Problem] = []
    said: dict[str, tuple[str, ...]] = {}

    def problem(value: str, message: str, remedy: str) -> None:
        problems.append(Problem(path="$", value=repr(value), message=message, remedy=remedy))

    names = [full_path(name) for text in over for name in text.split(",") if name.strip()]
    for text in ranges:
        name, equals, rest = text.partition("=")
        words = tuple(split_values(rest))
        if not equals or not name.strip() or not all(words):
            problem(text, "is no range", "write PATH=LOW..HIGH such as gogc=25..800, or PATH=VALUE,VALUE")
            continue
        path = full_path(name)
        if path in said:
            problem(text, "is the second range of this field", "keep one of them")
        said[path] = words
    for path in dict.fromkeys([*names, *said]):
        try:
            value_at(spec, path)
        except SpecError as error:
            problems += error.problems
            said.pop(path, None)
            continue
        if path.startswith("run.") or path in ("name", "description"):
            problem(path, "is nothing to optimise", "take what changes the program or its machine")
        elif path not in said:
            if path not in (GOGC, GOMEMLIMIT, GOMAXPROCS, *_SWITCHES):
                problem(
                    path,
                    "has no range of its own",
                    f"give one: --range {column_name(path)}=LOW..HIGH or =VALUE,VALUE",
                )
            said[path] = ()
    if not said and not problems:
        problem("--over", "names no field", "write --over gogc,gomemlimit,gomaxprocs")
    if problems:
        raise SpecError(problems, source="--over")
    order = dict.fromkeys([*names, *said])
    return {path: said[path] for path in order}


def make_space(
    spec: Spec,
    said: Mapping[str, tuple[str, ...]],
    *,
    measured: Mapping[str, Number],
    bounds: Sequence[float] = (),
) -> Space:
    """The space of a search.

    Args:
        said: from `parse_over`.
        measured: summary of the present setting; the default range of GOMEMLIMIT begins above its live heap.
        bounds: memory bounds asked for, in bytes; the default range of GOMEMLIMIT reaches them.
    Raises:
        SpecError: an end of a range is no value of its field, or not below the other end.
    """
    own_limit = value_at(spec, GOMEMLIMIT)
    has_limit = GOMEMLIMIT in said or own_limit not in ("off", None)
    dimensions = []
    problems: list[Problem] = []
    for path, words in said.items():
        try:
            if words:
                dimensions.append(_given(spec, path, words))
            else:
                dimensions.append(_default(spec, path, has_limit=has_limit, measured=measured, bounds=bounds))
        except SpecError as error:
            problems += error.problems
    if problems:
        raise SpecError(problems, source="--range")
    return Space(dimensions=tuple(dimensions), has_limit=own_limit not in ("off", None))


def check_ranges(spec: Spec, said: Mapping[str, tuple[str, ...]]) -> None:
    """Raise SpecError for every range that is none, before anything runs."""
    make_space(spec, said, measured={"memory_peak_bytes": GIB, "heap_marked_bytes_mean": MIB})


def _default(
    spec: Spec, path: str, *, has_limit: bool, measured: Mapping[str, Number], bounds: Sequence[float]
) -> Dimension:
    if path == GOGC:
        smallest, largest = GOGC_RANGE
        return Dimension(path=path, low=smallest, high=largest, log=True, off=has_limit)
    if path == GOMEMLIMIT:
        peak = float(measured["memory_peak_bytes"] or 0)
        live = measured.get("heap_marked_bytes_mean")
        # Without a collection nobody has seen the live heap; half of what is held is a guess on the safe side.
        floor = LIMIT_FLOOR * (peak / 2 if live is None else live)
        low = max(4, math.ceil(floor / MIB - 1e-6)) * MIB
        high = max(LIMIT_CEILING * floor / LIMIT_FLOOR, 1.25 * peak, *bounds, 2.0 * low)
        return Dimension(path=path, low=low, high=math.ceil(high / MIB) * MIB, step=MIB, log=True, off=True)
    if path == GOMAXPROCS:
        return _numbers(path, 1, spec.machine.cores)
    return Dimension(path=path, values=("true", "false"))


def _numbers(path: str, low: int, high: int) -> Dimension:
    """Few whole numbers are a list, in which each is as likely as another."""
    if high - low < 16:
        return Dimension(path=path, values=tuple(str(n) for n in range(low, high + 1)))
    return Dimension(path=path, low=low, high=high, log=low > 0 and high / low >= LOG_FROM)


def _given(spec: Spec, path: str, words: tuple[str, ...]) -> Dimension:
    ranges = [match for word in words if (match := _RANGE.fullmatch(word))]
    others = [word for word in words if not _RANGE.fullmatch(word)]
    if not ranges:
        return _listed(spec, path, words)
    written = f"{column_name(path)}={','.join(words)}"
    if len(ranges) > 1 or any(word != "off" for word in others):
        raise _fault(path, written, "mixes ranges and values", "give one range, with ,off behind it at most")
    match = ranges[0]
    ends: list[Any] = [_resolved(spec, path, end) for end in (match[1], match[2])]
    if others:
        _resolved(spec, path, "off")
    if not all(isinstance(end, int | float) and not isinstance(end, bool) for end in ends):
        raise _fault(path, written, "has an end that is no number", "list the values instead")
    low, high = ends
    if low >= high or (match[3] and low <= 0):
        raise _fault(path, written, "is no range from low to high", "write low..high, low above 0 for :log")
    log = bool(match[3]) or (low > 0 and high / low >= LOG_FROM)
    is_whole = isinstance(low, int) and isinstance(high, int)
    if path == GOMEMLIMIT and low >= MIB:
        return Dimension(path=path, low=low, high=high, step=MIB, log=log, off=bool(others))
    if is_whole and high - low < 16 and not others:
        return _numbers(path, low, high)
    # Times and sizes are whole numbers of a small unit; three digits of them are enough anyway.
    step: int = (KIB if path.endswith("size") and low >= KIB else 1) if is_whole else 0
    return Dimension(path=path, low=low, high=high, step=step, log=log, off=bool(others))


def _listed(spec: Spec, path: str, words: tuple[str, ...]) -> Dimension:
    values: dict[str, Any] = {}
    problems: list[Problem] = []
    for word in words:
        try:
            values[word] = _resolved(spec, path, word)
        except SpecError as error:
            problems += error.problems
    if len(values) < 2 and not problems:
        problems.append(
            Problem(
                path=f"$.{path}",
                value=",".join(words),
                message="is a single value",
                remedy="give two or more",
            )
        )
    if problems:
        raise SpecError(problems, source="--range")
    numbers = [isinstance(v, int | float) and not isinstance(v, bool) for v in values.values()]
    ordered = all(number or value == "off" for number, value in zip(numbers, values.values(), strict=True))
    texts = list(values)
    if ordered:
        texts.sort(key=lambda text: math.inf if values[text] == "off" else values[text])
    return Dimension(path=path, values=tuple(texts), is_ordered=ordered)


def _resolved(spec: Spec, path: str, text: str) -> Any:
    return value_at(apply_overrides(spec, [f"{path}={text}"]), path)


def _fault(path: str, value: str, message: str, remedy: str) -> SpecError:
    return SpecError(
        [Problem(path=f"$.{path}", value=value, message=message, remedy=remedy)], source="--range"
    )
