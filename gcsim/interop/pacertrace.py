"""gcpacertrace: what the pacer thinks, printed beside gctrace under GODEBUG=gcpacertrace=1.

Exact bytes, where gctrace has whole MiB.  Three kinds of line, found wherever in a line of text they stand:

- start of a cycle (every release): assist ratio, scannable heap, planned workers;
- end of a cycle: since Go 1.18 measured scan work by kind and heap at the trigger and at the end; up to 1.17 the
  controller's ratios (``H_m_prev`` and so on).  Since 1.18 there is none where nothing was allocated while marking;
- sweep done: heap size when sweeping ended.

Source: runtime/mgcpacer.go startCycle, endCycle, runtime/mgcsweep.go (go1.18 .. go1.27); runtime/mgc.go endCycle (go1.17).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from gcsim.units import MIB


@dataclass(frozen=True, slots=True, kw_only=True)
class PacerStart:
    """Start of a cycle.  Sizes in bytes, as printed: MiB rounded down."""

    assist_work_per_byte: float
    scan_bytes: int
    heap_start_bytes: int
    heap_goal_bytes: int
    dedicated_workers: int
    fractional_frac: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PacerEnd:
    """End of a cycle.  Sizes in exact bytes; None where the release does not print it."""

    heap_end_bytes: int
    trigger_bytes: int
    heap_scan_work_bytes: int
    """Up to Go 1.17 all scan work, stacks and globals not counted apart."""
    stack_scan_work_bytes: int | None = None
    globals_scan_work_bytes: int | None = None
    expected_work_bytes: int | None = None
    utilization_frac: float | None = None
    cons_mark: float | None = None
    heap_marked_before_bytes: int | None = None
    heap_goal_bytes: int | None = None
    controller_reset: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PacerSweep:
    """Sweeping is done.  Sizes in bytes, as printed: MiB rounded down."""

    heap_bytes: int
    allocated_bytes: int
    pages: int


PacerLine = PacerStart | PacerEnd | PacerSweep

_N = r"[-+]?[0-9]+"
_F = r"[-+]?(?:[0-9]+(?:\.[0-9]*)?(?:[eE][-+]?[0-9]+)?|Inf|NaN)"
_START = re.compile(
    rf"pacer: assist ratio=(?P<ratio>{_F}) \(scan (?P<scan>{_N}) MB in (?P<start>{_N})->(?P<goal>{_N}) MB\)"
    rf" workers=(?P<dedicated>{_N})\+(?P<fractional>{_F})"
)
_END = re.compile(
    rf"pacer: (?P<util>{_N})% CPU \({_N} exp\.\) for (?P<heap>{_N})\+(?P<stack>{_N})\+(?P<globals>{_N}) B work"
    rf" \((?P<expected>{_N}) B exp\.\) in (?P<trigger>{_N}) B -> (?P<end>{_N}) B"
    rf" \([^ ]*goal {_N}, cons/mark (?P<cons_mark>{_F})\)(?P<reset>\[controller reset\])?"
)
_OLD_END = re.compile(
    rf"pacer: H_m_prev=(?P<before>{_N}) h_t={_F} H_T=(?P<trigger>{_N}) h_a={_F} H_a=(?P<end>{_N})"
    rf" h_g={_F} H_g=(?P<goal>{_N}) u_a=(?P<util>{_F}) u_g={_F} W_a=(?P<work>{_N})"
)
_SWEEP = re.compile(
    rf"pacer: sweep done at heap size (?P<heap>{_N})MB; allocated (?P<allocated>{_N})MB during sweep;"
    rf" swept (?P<pages>{_N}) pages"
)


def parse(text: str) -> Iterator[PacerLine]:
    """Every gcpacertrace line in a text, in its order; the rest is passed over."""
    found = [(m.start(), kind, m) for kind in (_START, _END, _OLD_END, _SWEEP) for m in kind.finditer(text)]
    for _, kind, match in sorted(found, key=lambda item: item[0]):
        yield _parsed(kind, match.groupdict())


def _parsed(kind: re.Pattern[str], group: dict[str, str | None]) -> PacerLine:
    def whole(name: str) -> int:
        return int(group[name] or 0)

    def real(name: str) -> float:
        return float(group[name] or 0)

    if kind is _START:
        return PacerStart(
            assist_work_per_byte=real("ratio"),
            scan_bytes=whole("scan") * MIB,
            heap_start_bytes=whole("start") * MIB,
            heap_goal_bytes=whole("goal") * MIB,
            dedicated_workers=whole("dedicated"),
            fractional_frac=real("fractional"),
        )
    if kind is _END:
        return PacerEnd(
            heap_end_bytes=whole("end"),
            trigger_bytes=whole("trigger"),
            heap_scan_work_bytes=whole("heap"),
            stack_scan_work_bytes=whole("stack"),
            globals_scan_work_bytes=whole("globals"),
            expected_work_bytes=whole("expected"),
            utilization_frac=whole("util") / 100,
            cons_mark=real("cons_mark"),
            controller_reset=group["reset"] is not None,
        )
    if kind is _OLD_END:
        return PacerEnd(
            heap_end_bytes=whole("end"),
            trigger_bytes=whole("trigger"),
            heap_scan_work_bytes=whole("work"),
            utilization_frac=real("util"),
            heap_marked_before_bytes=whole("before"),
            heap_goal_bytes=whole("goal"),
        )
    return PacerSweep(
        heap_bytes=whole("heap") * MIB, allocated_bytes=whole("allocated") * MIB, pages=whole("pages")
    )
