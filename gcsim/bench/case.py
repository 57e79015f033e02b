"""Measures one case in this process: `python -m gcsim.bench.case [--quick] NAME` prints a JSON object.

A process of its own makes peak memory the case's own.  Bare SimPy is measured before and after the case, so that
both have had the same machine.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter, process_time

from gcsim.bench.bare import open_loop_speed, timeout_events_per_s
from gcsim.bench.cases import BY_NAME
from gcsim.bench.memory import peak_memory_bytes
from gcsim.datasets.recorders import Tee
from gcsim.datasets.run import identify
from gcsim.datasets.summary import SummaryAccumulator
from gcsim.datasets.writer import RunWriter
from gcsim.runtime import simulate
from gcsim.runtime.records import PhaseChange
from gcsim.spec.profile import load_profile

_EVENTS = 100_000  # a tenth of a second
_REQUESTS = 4_000
_QUICK = 10  # so many times less with --quick


class _Stopwatch(SummaryAccumulator):
    """Accumulates the summary and notes when the load phase began, by the clock and in CPU time."""

    load_began_s = 0.0
    load_began_cpu_s = 0.0

    def phase(self, rec: PhaseChange) -> None:
        super().phase(rec)
        if rec.phase == "load":
            self.load_began_s, self.load_began_cpu_s = perf_counter(), process_time()


def measure(name: str, *, quick: bool) -> dict[str, float | int | str]:
    """Simulate the case of this name, recording into a directory that is thrown away.

    Returns:
        The fields of `gcsim.bench.suite.Measurement`.
    """
    spec = BY_NAME[name].spec(quick=quick)
    profile = load_profile(spec.machine.profile, spec.runtime.go)
    share = _QUICK if quick else 1
    bare_before = _bare(share)
    stopwatch = _Stopwatch()
    with (
        tempfile.TemporaryDirectory() as scratch,
        # Left without `finish`, the writer publishes nothing.
        RunWriter(Path(scratch) / "run", identify(spec, profile), tables=["assists"]) as writer,
    ):
        began_cpu_s = process_time()
        statistics = simulate(spec, profile=profile, recorder=Tee(writer, stopwatch))
        ended_s, ended_cpu_s = perf_counter(), process_time()
    peak = peak_memory_bytes()
    bare_events, bare_open_loop = map(_mean, zip(bare_before, _bare(share), strict=True))
    return {
        "name": name,
        "sim_s": statistics.sim_time_ns / 1e9,
        "cpu_s": ended_cpu_s - began_cpu_s,
        "load_sim_s": (statistics.sim_time_ns - statistics.load_start_ns) / 1e9,
        "load_wall_s": ended_s - stopwatch.load_began_s,
        "load_cpu_s": ended_cpu_s - stopwatch.load_began_cpu_s,
        "events": statistics.events,
        "cycles": statistics.cycles,
        "peak_memory_bytes": peak,
        "bare_events_per_cpu_s": bare_events,
        "bare_open_loop_speed": bare_open_loop,
    }


def _bare(share: int) -> tuple[float, float]:
    return timeout_events_per_s(_EVENTS // share), open_loop_speed(_REQUESTS // share)


def _mean(pair: tuple[float, float]) -> float:
    """Of two rates over equal work: the harmonic mean, as if it had been done in one go."""
    return 2 / (1 / pair[0] + 1 / pair[1])


def main(arguments: list[str] | None = None, write: Callable[[str], None] = print) -> None:
    """Entry point of the process."""
    parser = argparse.ArgumentParser(prog="python -m gcsim.bench.case", description=__doc__)
    parser.add_argument("name", choices=list(BY_NAME))
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args(arguments)
    write(json.dumps(measure(given.name, quick=given.quick)))


if __name__ == "__main__":
    main()
