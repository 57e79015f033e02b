"""A service's log as what a fit needs: its cycles in order, with the settings they ran under.

A TRACE is text (whatever a process wrote to stderr, with prefixes and foreign lines) or a record file (JSON, gzipped or
not) of a recorded run.  Of a record only the settings and the printed lines are read, never the program's description
nor what else was measured: what a fit predicts must come from what a user has.
"""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from gcsim.errors import Problem, SpecError
from gcsim.interop import gctrace, pacertrace
from gcsim.interop.gctrace import GctraceLine
from gcsim.interop.pacertrace import PacerEnd
from gcsim.spec.models import GO_RELEASES

Gogc = int | Literal["off"]

MIN_CYCLES = 3  # derived: two intervals between cycles are the least that have a spread


@dataclass(frozen=True, slots=True)
class Observed:
    """One cycle of a log.

    Attributes:
        line: the gctrace line.
        pacer: the gcpacertrace line of the cycle's end, where there is one.
        follows: whether the cycle before it in the list is the one before it in the process.
    """

    line: GctraceLine
    pacer: PacerEnd | None = None
    follows: bool = False


@dataclass(frozen=True, kw_only=True)
class ProcessLog:
    """One process's cycles.

    Attributes:
        cycles: in order.
        load_from: index of the first cycle of the window that predictions are compared over.
        window_s: length of that window; None = from process start to the last cycle.
        num_gc: cycles counted in that window, where something else than the lines counted them.
    """

    cycles: tuple[Observed, ...]
    load_from: int = 0
    window_s: float | None = None


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the process ran under; None = not known."""

    go: str | None = None
    gogc: Gogc | None = None
    gomemlimit_bytes: int | Literal["off"] | None = None
    gomaxprocs: int | None = None


@dataclass(frozen=True, kw_only=True)
class Log:
    """One TRACE: runs of one program under one setting.

    Attributes:
        name: of the file, without its endings.
        processes: one or, for records with repeats and logs with restarts, more.
        settings: as far as the file itself says.
        has_load_phase: whether the file says where the load began (records do).
    """

    name: str
    processes: tuple[ProcessLog, ...]
    settings: Settings = field(default_factory=Settings)
    has_load_phase: bool = False

    @property
    def cycles(self) -> list[Observed]:
        """Of all processes, in order."""
        return [cycle for process in self.processes for cycle in process.cycles]


def read_log(path: str | Path) -> Log:
    """Read a TRACE.

    Raises:
        SpecError: no such file, no gctrace lines in it, or too few.
    """
    path = Path(path)
    try:
        raw = path.read_bytes()
        if raw[:2] == b"\x1f\x8b":
            raw = gzip.decompress(raw)
    except OSError as error:
        raise _bad(path, error.strerror or "unreadable", "give the path of a log or record") from error
    except (EOFError, zlib.error) as error:
        raise _bad(path, f"damaged gzip: {error}", "fetch the file again") from error
    name = re.sub(r"(\.json|\.txt|\.log|\.gz)+$", "", path.name)
    text = raw.decode("utf-8", errors="replace")
    if text.lstrip()[:1] == "{":
        try:
            data = json.loads(text)
        except ValueError:
            data = None  # a log of JSON lines is text like any other
        if isinstance(data, Mapping) and "repeats" in data:
            return _checked(_of_record(name, data), path)
    return _checked(Log(name=name, processes=processes_of(text)), path)


def processes_of(text: str) -> tuple[ProcessLog, ...]:
    """The cycles in a text, cut where a process ended and another began."""
    runs: list[list[Observed]] = []
    end: PacerEnd | None = None
    for part in text.splitlines():
        if "pacer:" in part:
            for pacer in pacertrace.parse(part):
                end = pacer if isinstance(pacer, PacerEnd) else end
        for line in gctrace.parse(part):
            last = runs[-1][-1].line if runs else None
            same = last is not None and line.cycle > last.cycle and line.start_ns.high > last.start_ns.low
            if not same:
                runs.append([])
            matches = end is not None and (
                line.heap_end_bytes.low - (1 << 20)
                <= end.heap_end_bytes
                <= line.heap_end_bytes.high + (1 << 20)
            )
            runs[-1].append(
                Observed(
                    line, end if matches else None, same and last is not None and line.cycle == last.cycle + 1
                )
            )
            end = None
    return tuple(ProcessLog(cycles=tuple(run)) for run in runs)


def _of_record(name: str, data: Mapping[str, Any]) -> Log:
    settings = data.get("settings")
    settings = settings if isinstance(settings, Mapping) else {}
    processes: list[ProcessLog] = []
    has_load = False
    for repeat in data["repeats"]:
        if "gctrace" in repeat:
            has_load = True
            before = repeat.get("gctrace_before_load") or ()
            text = _text([*before, *repeat["gctrace"]])
            for run in processes_of(text)[:1]:
                processes.append(replace(run, load_from=len(before), window_s=repeat.get("elapsed_s")))
        elif "trace" in repeat:
            for run in processes_of(_text(repeat["trace"]))[:1]:
                processes.append(replace(run, window_s=repeat.get("wall_s")))
    return Log(
        name=str(data.get("case") or name),
        processes=tuple(processes),
        settings=settings_of(settings),
        has_load_phase=has_load,
    )


def settings_of(data: Mapping[str, Any]) -> Settings:
    """Settings as records spell them: go, procs or GOMAXPROCS, gogc or GOGC, memlimit or GOMEMLIMIT."""

    def first(*names: str) -> Any:
        return next((data[n] for n in names if data.get(n) not in (None, "")), None)

    gogc = first("gogc", "GOGC")
    procs = first("procs", "gomaxprocs", "GOMAXPROCS")
    limit = first("memlimit", "gomemlimit", "GOMEMLIMIT")
    if limit is None and any(n in data for n in ("memlimit", "gomemlimit")):
        limit = "off"
    return Settings(
        go=None if first("go") is None else release_of(str(first("go"))),
        gogc=None if gogc is None else "off" if str(gogc) == "off" else int(gogc),
        gomemlimit_bytes=None if limit is None else _limit(limit),
        gomaxprocs=None if procs is None else int(procs),
    )


def release_of(version: str) -> str:
    """The release profile that a version belongs to: go1.27.3 -> 1.27; releases before the first known one get it."""
    match = re.match(r"(?:go)?(\d+)\.(\d+)", version)
    if match is None:
        return GO_RELEASES[-1]
    if version.removeprefix("go") in GO_RELEASES:
        return version.removeprefix("go")
    known = [r for r in GO_RELEASES if "-" not in r]
    minor = min(max(int(match[2]), int(known[0].split(".")[1])), int(known[-1].split(".")[1]))
    return f"1.{minor}"


def _limit(value: object) -> int | Literal["off"]:
    if str(value) == "off":
        return "off"
    match = re.fullmatch(r"(\d+)\s*(B|KiB|MiB|GiB|TiB)?", str(value))
    if match is None:
        return "off"
    shift = {None: 0, "B": 0, "KiB": 10, "MiB": 20, "GiB": 30, "TiB": 40}[match[2]]
    return int(match[1]) << shift


def _text(lines: str | Iterable[str]) -> str:
    return lines if isinstance(lines, str) else "\n".join(lines)


def _checked(log: Log, path: Path) -> Log:
    most = max((len(process.cycles) for process in log.processes), default=0)
    if most < MIN_CYCLES:
        found = f"has {most} gctrace lines of one process" if most else "has no gctrace line"
        raise _bad(
            path,
            f"{found}; a fit needs {MIN_CYCLES}",
            "run the service with GODEBUG=gctrace=1 and give its stderr (or a record with gctrace or trace)",
        )
    return log


def _bad(path: Path, message: str, remedy: str) -> SpecError:
    return SpecError([Problem(str(path), message=message, remedy=remedy)], source="trace")
