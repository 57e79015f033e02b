"""Options that `fit` and `whatif` share: what a log ran under, where it does not say itself."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

import click

from gcsim.errors import Problem, SpecError
from gcsim.fit.logs import Gogc, Log, Settings, read_log, release_of
from gcsim.interop.pprof_reader import HeapProfile, read_heap
from gcsim.interop.runtime_metrics import RuntimeMetrics, read
from gcsim.spec.models import GO_RELEASES
from gcsim.units import parse_bytes, parse_duration_ns

F = TypeVar("F", bound=Callable[..., Any])


_REQUEST_OPTIONS = (
    click.option(
        "--latency-p50", metavar="TIME", help="Median latency of a request, if known, such as 10ms."
    ),
    click.option(
        "--rate",
        "--rps",
        "rps",
        type=click.FloatRange(0, min_open=True),
        help="Requests per second, if known.",
    ),
    click.option(
        "--also",
        metavar="TRACE2",
        multiple=True,
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="Another log of the program, under another GOGC: shows what each collection makes it allocate anew, as"
        " pools do. Repeatable.",
    ),
    click.option(
        "--allocs",
        metavar="FILE",
        type=click.Path(dir_okay=False, path_type=Path),
        help="The process's pprof allocs or heap profile: sizes of objects, and where they are allocated.",
    ),
    click.option(
        "--metrics",
        metavar="FILE",
        type=click.Path(dir_okay=False, path_type=Path),
        help="The process's runtime/metrics: a JSON object, or the text of its Prometheus /metrics.",
    ),
)


def request_options(function: F) -> F:
    """--rate, --latency-p50, --metrics, --allocs and --also: what is known of the service beside its log."""
    for option in _REQUEST_OPTIONS:
        function = option(function)
    return function


def read_logs(paths: Sequence[Path], option: str) -> list[Log]:
    """Several logs.

    Raises:
        SpecError: with the problems of all.
    """
    logs, problems = list[Log](), list[Problem]()
    for path in paths:
        try:
            logs.append(read_log(path))
        except SpecError as error:
            problems += error.problems
    if problems:
        raise SpecError(problems, source=option)
    return logs


def read_beside(
    metrics: Path | None, allocs: Path | None
) -> tuple[RuntimeMetrics | None, HeapProfile | None]:
    """The files of --metrics and --allocs.

    Raises:
        SpecError: with the problems of both.
    """
    problems: list[Problem] = []
    found: list[Any] = []
    readers: tuple[tuple[Path | None, Callable[[Path], object]], ...] = ((metrics, read), (allocs, read_heap))
    for path, reader in readers:
        try:
            found.append(None if path is None else reader(path))
        except SpecError as error:
            problems += error.problems
    if problems:
        raise SpecError(problems, source="--metrics and --allocs")
    return found[0], found[1]


def parse_latency(text: str | None) -> float | None:
    """A time, in ns."""
    if text is None:
        return None
    try:
        value = parse_duration_ns(text)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--latency-p50") from error
    return float(value) if isinstance(value, int | float) else None


def log_options(function: F) -> F:
    """--go, --cores and, named by the caller's own signature, --gogc and --gomemlimit of the log."""
    for option in (
        *_REQUEST_OPTIONS,
        click.option(
            "--cores", type=click.IntRange(1, 1024), help="CPUs of the machine. [default: from the pauses]"
        ),
        click.option(
            "--gomemlimit", metavar="SIZE", help="GOMEMLIMIT that the log ran under. [default: off]"
        ),
        click.option("--gogc", metavar="PERCENT", help="GOGC that the log ran under. [default: inferred]"),
        click.option(
            "--go", metavar="RELEASE", help="Go release of the log, such as 1.25. [default: a guess]"
        ),
    ):
        function = option(function)
    return function


def log_settings(go: str | None, gogc: str | None, gomemlimit: str | None) -> Settings:
    """The options as settings."""
    if (
        go is not None
        and go not in GO_RELEASES
        and not re.fullmatch(r"(go)?1\.\d+(\.\d+|rc\d+|beta\d+)?", go)
    ):
        raise click.BadParameter(
            f"{go!r} is no Go release; write 1.25 or, as a profile of its own, one of {', '.join(GO_RELEASES)}",
            param_hint="--go",
        )
    return Settings(
        go=None if go is None else release_of(go),
        gogc=None if gogc is None else parse_gogc(gogc, "--gogc"),
        gomemlimit_bytes=None if gomemlimit is None else parse_limit(gomemlimit, "--gomemlimit"),
    )


def parse_gogc(text: str, option: str) -> Gogc:
    """A percentage or off."""
    if text.strip() == "off":
        return "off"
    if not text.strip().isdigit():
        raise click.BadParameter(
            f"{text!r} is no GOGC; write a percentage such as 100, or off", param_hint=option
        )
    return int(text)


def parse_limit(text: str, option: str) -> int | Literal["off"]:
    """A size or off."""
    if text.strip() == "off":
        return "off"
    try:
        size = parse_bytes(text.strip())
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint=option) from error
    size = int(size) if isinstance(size, int | float | str) else 0
    if size < 1:
        raise click.BadParameter(
            f"{text!r} is no limit; write a size such as 512MiB, or off", param_hint=option
        )
    return size


def parse_list(text: str | None) -> list[str]:
    """The parts of a comma-separated list."""
    return [part.strip() for part in (text or "").split(",") if part.strip()]
