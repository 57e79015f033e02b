"""A fit on paper: its parameters as a table, its spec as commented YAML, its machine profile beside it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import yaml

from gcsim.fit.infer import Fit
from gcsim.fit.moments import Estimate
from gcsim.fit.window import window_ns
from gcsim.spec.load import load_spec
from gcsim.spec.profile import MachineProfile
from gcsim.units import MIB, S, format_bytes, format_ns

PROFILE_ENDING = ".profile.yaml"
MAX_RUN_NS = 60 * S


@dataclass(frozen=True)
class Row:
    """One parameter for people: what it is, its value, its 95 % interval ("" = not known from the log), where it comes from."""

    name: str
    value: str
    interval: str
    source: str


def rows(fit: Fit) -> list[Row]:
    """The fitted parameters in the order in which one reads a log."""
    seen, service = fit.observed, fit.service

    def row(name: str, estimate: Estimate, show: str, source: str) -> Row:
        return Row(name, _text(estimate.value, show), _interval(estimate, show), source)

    exact = any(c.pacer is not None for c in fit.log.cycles)
    scanned = "/gc/scan/heap over /gc/heap/live" if fit.is_scannable_known and not exact else ""
    roots = fit.roots
    busy = 1.0 if service.load == "closed" else 1 - (seen.gc_share.value + seen.idle_share.value)
    return [
        Row("Go release", service.go, "", "the log's settings, --go or --metrics"),
        Row("GOMAXPROCS", str(service.gomaxprocs), "", "P of the lines"),
        Row("GOGC", str(service.gogc), "", "the log's settings, --gogc, --metrics, or goal over marked heap"),
        Row(
            "GOMEMLIMIT",
            service.gomemlimit_bytes if service.gomemlimit_bytes == "off" else format_bytes(service.gomemlimit_bytes),
            "",
            "the log's settings, --gomemlimit or --metrics",
        ),
        row("allocation", seen.alloc_per_ns, "rate", "heap from one cycle's end to the next one's start"),
        row("allocation while marking", seen.mark_alloc_per_ns, "rate", "heap from start to end of marking"),
        row("live heap", seen.live_bytes, "bytes", "marked less allocated while marking"),
        Row(
            "of it scannable",
            _text(service.scannable_frac, "share"),
            "",
            "gcpacertrace" if exact and not scanned else scanned or "assumed: no gcpacertrace",
        ),
        Row("survival", _text(_survival(fit), "share"), "", "share of the marked heap allocated while marking"),
        Row("stacks", format_bytes(service.stacks_bytes), "", "goal over marked heap, lines"),
        Row("globals", format_bytes(service.globals_bytes), "", "the lines"),
        Row(
            "stacks and globals",
            format_bytes(service.stacks_bytes + service.globals_bytes),
            _interval(roots, "bytes"),
            "goal over marked heap" if roots else "the goal does not show them",
        ),
        row("marking, CPU per cycle", seen.mark_cpu_ns, "ns", "assists, workers and idle workers"),
        Row(
            "marking, CPU per live MiB",
            _text(seen.mark_cpu_ns.value / max(1.0, seen.live_bytes.value / MIB), "ns"),
            _interval(_per(seen.mark_cpu_ns, max(1.0, seen.live_bytes.value / MIB)), "ns"),
            "the same over the live heap",
        ),
        row("assists in it", seen.assist_share, "share", "idle workers left out"),
        row("sweep termination pause", seen.sweep_term_ns, "ns", "first clock"),
        row("mark termination pause", seen.mark_term_ns, "ns", "third clock"),
        row("idle share of the CPU", seen.idle_share, "share", "idle workers while marking"),
        Row(
            "load",
            "CPU-bound, closed loop" if service.load == "closed" else "open loop at a fixed rate",
            "",
            f"the program uses {busy:.0%} of the Ps" + (" (no slack seen)" if service.load == "closed" else ""),
        ),
        *(
            [row("allocated anew per collection", fit.refill, "bytes", "allocation over collections, between logs")]
            if fit.refill is not None and service.refill_bytes
            else []
        ),
        *_course_rows(fit),
        *(Row(fact.name, fact.value, "", fact.source) for fact in fit.facts),
    ]  # fmt: skip


def _course_rows(fit: Fit) -> list[Row]:
    """A leak or phases, with what is known of their levels."""
    over_time = fit.course
    out = []
    if over_time.leak_frac.value > 0:
        source = "slope of the live heap over bytes allocated"
        out.append(
            Row(
                "kept for ever",
                _text(over_time.leak_frac.value, "share"),
                _interval(over_time.leak_frac, "share"),
                source,
            )
        )
    for number, piece in enumerate(over_time.pieces, start=1):
        times = f"{format_ns(piece.start_ns)} .. {format_ns(piece.end_ns)}"
        live, rate = piece.live_bytes, piece.alloc_per_ns
        out.append(
            Row(f"phase {number}: live heap", _text(live.value, "bytes"), _interval(live, "bytes"), times)
        )
        out.append(
            Row(f"phase {number}: allocation", _text(rate.value, "rate"), _interval(rate, "rate"), times)
        )
    return out


def _survival(fit: Fit) -> float:
    cycles = fit.log.cycles
    marked = sum(c.line.heap_marked_bytes.middle for c in cycles)
    grown = sum(c.line.heap_end_bytes.middle - c.line.heap_start_bytes.middle for c in cycles)
    return grown / marked if marked else 0.0


def _per(estimate: Estimate, divisor: float) -> Estimate:
    return Estimate(estimate.value / divisor, estimate.error / divisor)


def _text(value: float, show: str) -> str:
    if show == "rate":
        return f"{format_bytes(value * S)}/s"
    if show == "bytes":
        return format_bytes(value)
    if show == "ns":
        return format_ns(value)
    return f"{100 * value:.1f} %"


def _interval(estimate: Estimate | None, show: str) -> str:
    if estimate is None:
        return ""
    return f"{_text(max(0.0, estimate.low), show)} .. {_text(estimate.high, show)}"


# ---- YAML ------------------------------------------------------------------------------------------------------


def duration_ns(fit: Fit) -> int:
    """Length of the spec's run: the log's window, at most a minute."""
    return int(max(S // 5, min(MAX_RUN_NS, max(window_ns(p) for p in fit.log.processes))))


def spec_text(fit: Fit, profile: str | None = None) -> str:
    """The spec as commented YAML.

    Args:
        profile: name of the profile's file, relative to the spec's; None = next to it, to be written.
    """
    data = fit.service.spec_data(duration_ns=duration_ns(fit), profile=profile)
    head = [
        f"Fitted by gcsim fit from {fit.log.name}, {len(fit.log.cycles)} cycles.",
        "95 % intervals are from the spread between cycles and from rounding in the log.",
        "",
        *(f"{r.name}: {r.value}{f' ({r.interval})' if r.interval else ''} - {r.source}" for r in rows(fit)),
        *(["", *fit.notes] if fit.notes else []),
    ]
    body = yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=110)
    return "".join(f"# {line}".rstrip() + "\n" for line in head) + body


def profile_text(profile: MachineProfile) -> str:
    """A machine profile as YAML that loads to an equal one."""
    return yaml.safe_dump(profile.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=110)


def write(fit: Fit, path: Path) -> tuple[Path, Path]:
    """Write the spec and, beside it, its machine profile; each appears whole or not at all.

    Returns:
        The two paths, spec first.
    Raises:
        OSError: a file cannot be written.
    """
    profile_path = path.with_name(path.name.removesuffix(path.suffix) + PROFILE_ENDING)
    _replace(profile_path, profile_text(fit.service.profile(fit.origin)))
    _replace(path, spec_text(fit, profile_path.name))
    load_spec(path)  # what was written is valid, or this is our bug
    return path, profile_path


def _replace(path: Path, text: str) -> None:
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_text(text, encoding="utf-8")
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
