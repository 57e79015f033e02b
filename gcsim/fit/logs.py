"""A service's log as what a fit needs: its cycles in order, with the settings they ran under.

A TRACE is text (whatever a process wrote to stderr, with prefixes and foreign lines) or a record file (JSON, gzipped or
not) of a recorded run.  Of a record only the settings and the printed lines are read, never the program's description
nor what else was measured: what a fit predicts must come from what a user has.
"""

from __future__ import annotations

import gzip
import json
import math
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from gcsim.errors import Problem, SpecError
from gcsim.interop import gctrace, pacertrace
from gcsim.interop.gctrace import GctraceLine
from gcsim.interop.pacertrace import PacerEnd
from gcsim.spec.models import GO_RELEASES

Gogc = int | Literal["off"]

# How a gctrace line begins, of any release; what begins so and cannot be read was cut or changed on its way.
_BEGIN = re.compile(r"\bgc #?\d+ @\d+\.\d+s \d+%")
_TOO_OLD = re.compile(r"\bgc #\d+ @|\bgc\d+\(\d+\): ")  # Go 1.5; Go 1.4 and before
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")  # what terminals and coloured loggers leave in front of a line

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
        damaged: numbers of lines that begin like gctrace lines and cannot be read, from 1.
    """

    name: str
    processes: tuple[ProcessLog, ...]
    settings: Settings = field(default_factory=Settings)
    has_load_phase: bool = False
    damaged: tuple[int, ...] = ()

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
    # Redirected by PowerShell, logs are UTF-16 with a mark of it.
    encoding = "utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8"
    text = raw.decode(encoding, errors="replace")
    if text.lstrip()[:1] == "{":
        try:
            data = json.loads(text)
        except ValueError:
            data = None  # a log of JSON lines is text like any other
        if isinstance(data, Mapping) and "repeats" in data:
            return _checked(_of_record(name, data, path), path, "")
    return _checked(Log(name=name, processes=processes_of(text), damaged=damaged_lines(text)), path, text)


def damaged_lines(text: str) -> tuple[int, ...]:
    """Numbers of lines that begin like gctrace lines and cannot be read."""
    return tuple(
        number
        for number, line in enumerate(_COLOUR.sub("", text).splitlines(), start=1)
        if sum(1 for _ in gctrace.parse(line)) < len(_BEGIN.findall(line))
    )


def processes_of(text: str) -> tuple[ProcessLog, ...]:
    """The cycles in a text, cut where a process ended and another began."""
    runs: list[list[Observed]] = []
    end: PacerEnd | None = None
    for part in _COLOUR.sub("", text).splitlines():
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


def _of_record(name: str, data: Mapping[str, Any], path: Path) -> Log:
    problems = list(_record_problems(data, path))
    if problems:
        raise SpecError(problems, source="trace")
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


def _record_problems(data: Mapping[str, Any], path: Path) -> Iterator[Problem]:
    """What in a record is not of its form."""
    repeats = data["repeats"]
    if not isinstance(repeats, list):
        yield Problem(
            f"{path}: $.repeats", value=repr(repeats)[:40], message="is no list", remedy="list the runs"
        )
        repeats = []
    for number, repeat in enumerate(repeats):
        here = f"{path}: $.repeats[{number}]"
        if not isinstance(repeat, Mapping):
            yield Problem(
                here, value=repr(repeat)[:40], message="is no object", remedy="write the run's fields"
            )
            continue
        for name in ("gctrace", "gctrace_before_load", "trace"):
            lines = repeat.get(name) or []
            if not isinstance(lines, str) and not (
                isinstance(lines, list) and all(isinstance(line, str) for line in lines)
            ):
                yield Problem(
                    f"{here}.{name}", value=repr(lines)[:40], message="is neither text nor a list of lines",
                    remedy="give the lines that the runtime printed",
                )  # fmt: skip
        for name in ("elapsed_s", "wall_s"):
            seconds = repeat.get(name)
            if seconds is not None and (
                isinstance(seconds, bool)
                or not isinstance(seconds, int | float)
                or not 0 < seconds < math.inf
            ):
                yield Problem(
                    f"{here}.{name}",
                    value=repr(seconds)[:40],
                    message="is no time above 0",
                    remedy="write seconds",
                )
    settings = data.get("settings")
    if isinstance(settings, Mapping):
        for names, pattern, remedy in _SETTINGS:
            for name in names:
                value = settings.get(name)
                if value not in (None, "") and not re.fullmatch(pattern, str(value)):
                    yield Problem(
                        f"{path}: $.settings.{name}",
                        value=repr(value),
                        message="is no such setting",
                        remedy=remedy,
                    )


_SETTINGS = (
    (("gogc", "GOGC"), r"off|\d{1,9}", "write a percentage such as 100, or off"),
    (("procs", "gomaxprocs", "GOMAXPROCS"), r"[1-9]\d{0,3}", "write a number of Ps from 1 up"),
    (
        ("memlimit", "gomemlimit", "GOMEMLIMIT"),
        r"off|\d+\s*(B|KiB|MiB|GiB|TiB)?",
        "write a size such as 512MiB, or off",
    ),
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


def _checked(log: Log, path: Path, text: str) -> Log:
    most = max((len(process.cycles) for process in log.processes), default=0)
    if most >= MIN_CYCLES:
        return log
    found = f"has {most} gctrace lines of one process" if most else "has no gctrace line"
    if _TOO_OLD.search(text):
        raise _bad(
            path,
            "has gctrace lines of Go 1.5 or before, which say other things",
            "take a log of Go 1.6 or later",
        )
    if log.damaged:
        first = log.damaged[0]
        line = text.splitlines()[first - 1].strip()
        raise SpecError(
            [
                Problem(
                    str(path), line=first, value=repr(line[:60]),
                    message=f"begins like a gctrace line and cannot be read, as {len(log.damaged)} lines do; the file {found}",
                    remedy="give the lines whole, as the runtime prints them: each in one line, nothing in between",
                )
            ],
            source="trace",
        )  # fmt: skip
    raise _bad(
        path,
        f"{found}; a fit needs {MIN_CYCLES}",
        "run the service with GODEBUG=gctrace=1 and give its stderr (or a record with gctrace or trace)",
    )


def _bad(path: Path, message: str, remedy: str) -> SpecError:
    return SpecError([Problem(str(path), message=message, remedy=remedy)], source="trace")
