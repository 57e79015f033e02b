"""Records of the micro cases, made on this machine."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from gcsim.fit.golive import run_program
from gcsim.fit.records import Record


@dataclass(frozen=True, kw_only=True)
class LiveCase:
    """One micro case to run: its workload and GOMAXPROCS."""

    name: str
    workload: dict[str, Any]
    procs: int


def live_cases(seconds: float | None = None) -> list[LiveCase]:
    """Every micro case with one P and, where there are as many CPUs, with two.

    Args:
        seconds: length of a run, in place of the case's own.
    """
    workloads = yaml.safe_load((files("gcsim.fit") / "micro_cases.yaml").read_text())
    cases = []
    for name, workload in workloads.items():
        for procs in (1, 2) if (os.cpu_count() or 1) > 1 else (1,):
            # As recorded: a closed loop keeps every P busy.
            closed = {"workers": procs} if "rate_per_s" not in workload else {}
            length = {} if seconds is None else {"seconds": seconds}
            cases.append(
                LiveCase(name=name, workload={"name": name, **workload, **closed, **length}, procs=procs)
            )
    return cases


def record_live(
    binary: Path, case: LiveCase, repeats: int, on_repeat: Callable[[int], None] | None = None
) -> Record:
    """Run a micro case.

    Args:
        binary: from `gcsim.fit.golive.build_program`.
    Raises:
        RunError: the program fails.
    """
    return run_program(binary, case.workload, {"procs": case.procs, "gogc": "100"}, repeats, on_repeat)
