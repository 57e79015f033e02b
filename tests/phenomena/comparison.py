"""What a test of a phenomenon is made of: two runs of a spec, and a check that tells them apart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path

import pandas as pd
import pytest

import gcsim

WORKLOADS = Path(__file__).parents[2] / "workloads" / "phenomena"


class Run:
    """A finished simulation: its summary and the rows of its load phase."""

    def __init__(self, result: gcsim.Result) -> None:
        self.result = result
        self.summary = result.summary

    def table(self, name: str) -> pd.DataFrame:
        rows = self.result.tables[name].to_pandas()
        return rows[rows["phase"] == "load"].reset_index(drop=True)

    @cached_property
    def cycles(self) -> pd.DataFrame:
        """Cycles that began in the load phase, with what tests ask of them."""
        rows = self.result.tables["cycles"].to_pandas()
        before = rows["heap_marked_bytes"].shift(1)
        rows["trigger_position"] = (rows["trigger_bytes"] - before) / (rows["heap_goal_bytes"] - before)
        rows["background_cpu_ns"] = rows["dedicated_cpu_ns"] + rows["fractional_cpu_ns"]
        rows["gc_cores"] = (rows["assist_cpu_ns"] + rows["background_cpu_ns"] + rows["idle_cpu_ns"]) / rows[
            "mark_ns"
        ]
        return rows[rows["phase"] == "load"].reset_index(drop=True)

    @cached_property
    def windows(self) -> pd.DataFrame:
        """Windows of table throughput, with the number of busy Ps."""
        rows = self.table("throughput")
        procs = (
            self.cycles["gomaxprocs"].iloc[0]
            if len(self.cycles)
            else self.result.spec["runtime"]["gomaxprocs"]
        )
        rows["busy_ps"] = procs - rows["idle_cpu_ns"] / (rows["end_ns"] - rows["start_ns"])
        return rows

    def events(self, kind: str) -> int:
        return int((self.table("events")["kind"] == kind).sum())


Simulated = Callable[[str, Sequence[str]], Run]


def phenomenon(
    workload: str, *, shown: Sequence[str] = (), control: Sequence[str] = (), control_workload: str = ""
) -> Callable[[Callable[[Run, Run], None]], Callable[[Simulated], None]]:
    """Make a test of `check(shown, control)`, which has to fail between a run and itself.

    Args:
        workload: spec in workloads/phenomena, without suffix.
        shown, control: overrides of the run that shows the phenomenon and of the one that must not.
        control_workload: spec of the control, where it is another.
    """

    def decorate(check: Callable[[Run, Run], None]) -> Callable[[Simulated], None]:
        def test(simulated: Simulated) -> None:
            pair = simulated(workload, shown), simulated(control_workload or workload, control)
            check(*pair)
            for run in pair:
                with pytest.raises(AssertionError):
                    check(run, run)

        test.__name__ = check.__name__
        test.__doc__ = check.__doc__
        test.__module__ = check.__module__
        return test

    return decorate
