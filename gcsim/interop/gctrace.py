"""gctrace: the line that a Go program prints per collection under GODEBUG=gctrace=1.

Writing gives exactly the runtime's text, number style included.  Parsing searches, since real logs carry prefixes
and other output in between, and keeps what a printed number means: an interval.  Times are cut to two or so digits
and sizes to whole MiB, so a fit that took them for exact would be biased by half a digit.

Shapes: Go 1.6 to 1.17 have no stacks and globals; 1.18 and later have.  1.27 can add a remark on goroutine leaks.
The lines of Go 1.4 and 1.5 mean other things by other columns and are not parsed.

Source: runtime/mgc.go gcMarkTermination, itoaDiv, fmtNSAsMS (go1.27).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from gcsim.datasets.reader import Result
from gcsim.errors import DatasetError
from gcsim.runtime.records import CycleRecord
from gcsim.units import MIB, MS, US


class Interval(NamedTuple):
    """What a printed number stands for: at least `low`, less than `high`."""

    low: int
    high: int

    @property
    def middle(self) -> float:
        """The middle, the best single guess."""
        return (self.low + self.high) / 2


@dataclass(frozen=True, kw_only=True)
class GctraceLine:
    """One parsed line.  Times in ns, sizes in bytes, each as the interval that its text stands for."""

    cycle: int
    start_ns: Interval
    """Start of sweep termination, since the runtime's start."""
    gc_percent: int
    """Share of CPU in the collector since the start, idle marking excluded; truncated to whole %."""
    sweep_term_ns: Interval
    mark_ns: Interval
    mark_term_ns: Interval
    sweep_term_cpu_ns: Interval
    """Wall time of the pause times min(GOMAXPROCS, CPUs); not measured.  The same for `mark_term_cpu_ns`."""
    assist_cpu_ns: Interval
    background_cpu_ns: Interval
    idle_cpu_ns: Interval
    mark_term_cpu_ns: Interval
    heap_start_bytes: Interval
    heap_end_bytes: Interval
    heap_marked_bytes: Interval
    heap_goal_bytes: Interval
    stacks_bytes: Interval | None
    """None: a release before 1.18.  1.19 prints stacks allocated, 1.22 and later stacks scanned."""
    globals_bytes: Interval | None
    gomaxprocs: int
    forced: bool
    leak_check: bool


# ---- writing -----------------------------------------------------------------------------------------------------


def itoa_div(value: int, decimals: int) -> str:
    """`value` / 10^decimals as the runtime prints it: all decimals, at least one digit before them.

    Source: runtime/mgc.go itoaDiv (go1.27).
    """
    digits = str(value).rjust(decimals + 1, "0")
    return f"{digits[:-decimals]}.{digits[-decimals:]}" if decimals else digits


def format_ns_as_ms(ns: int) -> str:
    """A time in ms: whole from 10 ms on, below that two digits and at most three decimals, all cut off.

    Source: runtime/mgc.go fmtNSAsMS (go1.27).
    """
    if ns >= 10 * MS:
        return itoa_div(ns // MS, 0)
    value, decimals = ns // US, 3
    if value == 0:
        return "0"
    while value >= 100:
        value, decimals = value // 10, decimals - 1
    return itoa_div(value, decimals)


def format_line(cycle: CycleRecord, *, cores: int) -> str:
    """The runtime's line for one cycle, without line end.

    Args:
        cores: CPUs of the machine; the CPU time of a pause is printed as wall time x min(GOMAXPROCS, CPUs).
    """
    stw_procs = min(cycle.gomaxprocs, cores)
    clock = "+".join(map(format_ns_as_ms, (cycle.sweep_term_ns, cycle.mark_ns, cycle.mark_term_ns)))
    first, assist, background, idle, last = map(
        format_ns_as_ms,
        (
            stw_procs * cycle.sweep_term_ns,
            cycle.assist_cpu_ns,
            cycle.dedicated_cpu_ns + cycle.fractional_cpu_ns,
            cycle.idle_cpu_ns,
            stw_procs * cycle.mark_term_ns,
        ),
    )
    heap = "->".join(
        str(size // MIB) for size in (cycle.heap_start_bytes, cycle.heap_end_bytes, cycle.heap_marked_bytes)
    )
    return (
        f"gc {cycle.cycle} @{itoa_div(cycle.start_ns // MS, 3)}s {int(cycle.gc_cpu_frac_cumulative * 100)}%: "
        f"{clock} ms clock, {first}+{assist}/{background}/{idle}+{last} ms cpu, {heap} MB, "
        f"{cycle.heap_goal_bytes // MIB} MB goal, {cycle.stacks_bytes // MIB} MB stacks, "
        f"{cycle.globals_bytes // MIB} MB globals, {cycle.gomaxprocs} P"
        f"{' (forced)' if cycle.trigger_reason == 'forced' else ''}"
    )


def lines(result: Result) -> Iterator[str]:
    """The lines of a whole run, start-up included, as the process would have printed them.

    With replications: those of each run, one run after the other.

    Raises:
        DatasetError: the run's collector has generations; the runtime has no line for a minor collection, and one
            for the old generation alone would be taken for what Go prints.
    """
    for run in result.runs or (result,):
        if run.spec["runtime"].get("collector") == "generational":
            raise DatasetError(
                f"{run.path}: its collector has generations, which Go and its gctrace have not; "
                "read the tables minors, cycles and pauses, or `gcsim trace`"
            )
        cores = run.spec["machine"]["cores"]
        rows = run.tables["cycles"].to_arrow(list(CycleRecord._fields)).to_pylist()
        yield from (format_line(CycleRecord(**row), cores=cores) for row in rows)


# ---- parsing -----------------------------------------------------------------------------------------------------

_MS = r"[0-9]+(?:\.[0-9]+)?"
_LINE = re.compile(
    r"\bgc (?P<cycle>[0-9]+) @(?P<start>[0-9]+\.[0-9]+)s (?P<percent>[0-9]+)%"
    r"(?P<leak> \(checking for goroutine leaks\))?: "
    rf"(?P<sweep_term>{_MS})\+(?P<mark>{_MS})\+(?P<mark_term>{_MS}) ms clock, "
    rf"(?P<sweep_term_cpu>{_MS})\+(?P<assist_cpu>{_MS})/(?P<background_cpu>{_MS})/(?P<idle_cpu>{_MS})"
    rf"\+(?P<mark_term_cpu>{_MS}) ms cpu, "
    r"(?P<heap_start>[0-9]+)->(?P<heap_end>[0-9]+)->(?P<heap_marked>[0-9]+) MB, (?P<heap_goal>[0-9]+) MB goal, "
    # The runtime's documentation shows these two without a blank before MB; real lines have it.
    r"(?:(?P<stacks>[0-9]+) ?MB stacks, (?P<globals>[0-9]+) ?MB globals, )?"
    r"(?P<procs>[0-9]+) P\b(?P<forced> \(forced\))?"
)
_TIMES = ("sweep_term", "mark", "mark_term")
_CPU_TIMES = ("sweep_term_cpu", "assist_cpu", "background_cpu", "idle_cpu", "mark_term_cpu")
_SIZES = ("heap_start", "heap_end", "heap_marked", "heap_goal", "stacks", "globals")


def parse(text: str | Iterable[str]) -> Iterator[GctraceLine]:
    """Every gctrace line in a text, or in lines of text, wherever in a line it stands; the rest is passed over."""
    for part in [text] if isinstance(text, str) else text:
        for match in _LINE.finditer(part):
            yield _parsed(match)


def _parsed(match: re.Match[str]) -> GctraceLine:
    group = match.groupdict()
    return GctraceLine(
        cycle=int(group["cycle"]),
        start_ns=_time(group["start"], unit_ns=1_000 * MS),
        gc_percent=int(group["percent"]),
        gomaxprocs=int(group["procs"]),
        forced=group["forced"] is not None,
        leak_check=group["leak"] is not None,
        **{f"{name}_ns": _time(group[name], unit_ns=MS) for name in (*_TIMES, *_CPU_TIMES)},
        **{f"{name}_bytes": _size(group[name]) for name in _SIZES},  # type: ignore[arg-type]
    )


def _time(text: str, *, unit_ns: int) -> Interval:
    """Times are cut off, never rounded: the value is at least the text and less than one more in its last digit."""
    if text == "0":
        return Interval(0, US)  # "0" stands for less than a microsecond
    step = unit_ns // 10 ** len(text.partition(".")[2])
    low = int(Decimal(text) * unit_ns)
    return Interval(low, low + step)


def _size(text: str | None) -> Interval | None:
    return None if text is None else Interval(int(text) * MIB, (int(text) + 1) * MIB)
