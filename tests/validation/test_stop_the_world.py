"""Stop-the-world collection, simulated and by real Go under GODEBUG=gcstoptheworld=0, 1 and 2.

`stop_the_world.json` has what the Go program measured, on a machine that was busy with other programs.  So what is
compared is what a busy machine does not change much: counts per request, heap sizes, throughput of one mode against
another of the same round, and the first quartile of how long cycles keep the program from running.

The tolerances were written down before measuring: 15 % for the number of cycles, 10 % for what stopping the world
does to throughput, 35 % for how long a cycle keeps the program from running.  Heap sizes have the tenth that all
recorded runs have.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from statistics import fmean, median
from typing import Any

import pytest

from gcsim.datasets.recorders import Tee
from gcsim.datasets.summary import SummaryAccumulator
from gcsim.fit.predict import Instrument
from gcsim.runtime import simulate
from gcsim.runtime.records import CycleRecord
from gcsim.spec.profile import load_profile
from gcsim.spec.records import spec_from_record
from gcsim.units import MIB, MS

RECORDED: dict[str, Any] = json.loads((Path(__file__).parent / "stop_the_world.json").read_text())

CYCLES_WITHIN = 0.15
THROUGHPUT_WITHIN = 0.10
STOPPED_WITHIN = 0.35
HEAP_WITHIN = 0.10
CONCURRENT, STOPPED, SWEPT = "0", "1", "2"


@cache
def simulated(mode: str) -> tuple[list[CycleRecord], dict[str, Any]]:
    """Cycles that ended in the load phase, and the summary."""
    case = RECORDED["cases"][mode]
    spec = spec_from_record(case["workload"], case["settings"])
    summary, instrument = SummaryAccumulator(), Instrument()
    profile = load_profile(spec.machine.profile, spec.runtime.go)
    simulate(spec, profile=profile, recorder=Tee(summary, instrument))
    return instrument.cycles, dict(summary.metrics())


def repeats(mode: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = RECORDED["cases"][mode]["repeats"]
    return found


def first_quartile(values: list[float]) -> float:
    return sorted(values)[len(values) // 4]


@pytest.mark.parametrize("mode", [CONCURRENT, STOPPED, SWEPT])
def test_as_many_cycles_per_request(mode: str) -> None:
    cycles, summary = simulated(mode)
    measured = sum(r["num_gc"] for r in repeats(mode)) / sum(r["requests"] for r in repeats(mode))
    assert len(cycles) / summary["requests"] == pytest.approx(measured, rel=CYCLES_WITHIN)


@pytest.mark.parametrize("mode", [STOPPED, SWEPT])
def test_throughput_suffers_as_much_from_stopping_the_world(mode: str) -> None:
    """After over before, in the same round: others take as much from the one as from the other."""
    measured = median(round_[int(mode)] / round_[0] for round_ in RECORDED["requests_per_s"])
    predicted = simulated(mode)[1]["throughput_rps"] / simulated(CONCURRENT)[1]["throughput_rps"]
    assert predicted == pytest.approx(measured, rel=THROUGHPUT_WITHIN)


@pytest.mark.parametrize("mode", [STOPPED, SWEPT])
def test_cycles_keep_the_program_from_running_as_long(mode: str) -> None:
    """From the first stop to the last start: all three clocks of gctrace.  In the concurrent case these are not one
    pause, and are not compared."""
    cycles, _ = simulated(mode)
    measured = first_quartile([sum(clock) * MS for r in repeats(mode) for clock in r["clock_ms"]])
    predicted = first_quartile([float(c.end_ns - c.start_ns) for c in cycles])
    assert predicted == pytest.approx(measured, rel=STOPPED_WITHIN)


def test_sweeping_makes_the_last_stop_as_much_longer() -> None:
    measured, predicted = (
        [first_quartile(values) for values in pair]
        for pair in (
            [[clock[2] * MS for r in repeats(mode) for clock in r["clock_ms"]] for mode in (STOPPED, SWEPT)],
            [[float(c.mark_term_ns) for c in simulated(mode)[0]] for mode in (STOPPED, SWEPT)],
        )
    )
    assert predicted[1] - predicted[0] == pytest.approx(measured[1] - measured[0], rel=STOPPED_WITHIN)


@pytest.mark.parametrize("mode", [CONCURRENT, STOPPED, SWEPT])
@pytest.mark.parametrize(
    ("column", "field"),
    list(enumerate(["heap_start_bytes", "heap_end_bytes", "heap_marked_bytes", "heap_goal_bytes"])),
)
def test_heap_sizes(mode: str, column: int, field: str) -> None:
    measured = fmean(heap[column] for r in repeats(mode) for heap in r["heap_mib"])
    predicted = fmean(getattr(c, field) // MIB for c in simulated(mode)[0])
    assert predicted == pytest.approx(measured, rel=HEAP_WITHIN)


def test_nobody_assists_and_the_heap_stands_still_in_both() -> None:
    for mode in (STOPPED, SWEPT):
        assert all(r["assist_cpu_s"] == 0 for r in repeats(mode))
        assert all(start == end for r in repeats(mode) for start, end, *_ in r["heap_mib"])
        assert all(
            c.assist_cpu_ns == 0 and c.heap_start_bytes == c.heap_end_bytes for c in simulated(mode)[0]
        )
