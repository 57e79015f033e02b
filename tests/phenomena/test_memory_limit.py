"""GOMEMLIMIT: the death spiral just below it, and what it is good for."""

import pandas as pd
import pytest

from tests.phenomena.comparison import Run, phenomenon

MIB = 1 << 20


def live_bytes(run: Run) -> pd.Series:
    """Most that a cycle has marked by the end of each window: the leak only grows."""
    marked = run.cycles.set_index("start_ns")["heap_marked_bytes"]
    return pd.Series([marked.loc[:end].max() for end in run.windows["end_ns"]])


@phenomenon("near-limit", control=["gogc=100", "gomemlimit=off"])
def test_07_two_percent_more_live_heap_take_all_cpus(shown: Run, control: Run) -> None:
    """golang/go#58106: 3 P, GOGC=off, a leak towards 3 GiB: 2 % more live heap lead from about 1.3 to 3 busy cores.

    The collector then gives way: the limit is broken, the program goes on (golang/go#48409, at most half of the CPU).
    """
    windows, live = shown.windows, live_bytes(shown)
    busy = windows["busy_ps"]
    assert busy.max() >= 2.4
    cliff = int((busy >= 2.4).argmax())
    before = cliff - 3  # windows of 250 ms: the leak of 8 MiB a second adds 6 MiB, two percent
    assert busy[before] <= 1.6
    assert busy[cliff : cliff + 2].max() >= 2.7
    assert 1.005 <= live[cliff] / live[before] <= 1.04
    # Early sign, in the words of the issue: the effective GOGC is below ten percent.
    near = shown.cycles[shown.cycles["heap_marked_bytes"] >= live[before]]
    assert (near["heap_goal_bytes"] / near["heap_marked_bytes"]).max() < 1.10
    # Broken rather than stalled.
    after = windows.index > cliff
    assert shown.summary["memory_peak_bytes"] > 300 * MIB
    assert windows["completed"][after].sum() >= 0.95 * windows["arrived"][after].sum()
    cycles = shown.cycles[shown.cycles["start_ns"] >= windows["end_ns"][cliff]]
    collector_cpu_ns = (cycles["assist_cpu_ns"] + cycles["background_cpu_ns"] + cycles["stw_cpu_ns"]).sum()
    assert collector_cpu_ns <= 0.5 * 3 * (windows["end_ns"].iloc[-1] - windows["end_ns"][cliff])
    # Without a limit the same leak costs memory, not CPU.
    assert control.windows["busy_ps"].max() <= 0.5 * busy.max()


@phenomenon("live-near-memory", control=["gomemlimit=64MiB"])
def test_19_gogc_takes_twice_the_live_heap_whatever_there_is(shown: Run, control: Run) -> None:
    """golang/go#42805: 54 GiB live on a machine of 64 GiB, the next collection due at 108 GiB."""
    marked = shown.summary["heap_marked_bytes_mean"]
    # Twice, plus the same share of stacks and globals (1 MiB).
    assert shown.summary["heap_goal_bytes_mean"] / marked == pytest.approx(2.0, abs=0.05)
    assert shown.summary["memory_peak_bytes"] > 1.5 * 64 * MIB
    # A limit holds (it is a soft one), at the price of collections: headroom of a tenth instead of all of the live heap.
    assert control.summary["memory_peak_bytes"] <= 1.01 * 64 * MIB
    assert control.summary["num_gc"] >= 5 * shown.summary["num_gc"]
