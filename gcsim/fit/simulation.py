"""Running a fitted service for as long as a fit or a question needs, and what to keep of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gcsim.datasets.recorders import Tee
from gcsim.datasets.summary import Metrics, SummaryAccumulator
from gcsim.fit.moments import Cycle, of_simulation
from gcsim.runtime import simulate
from gcsim.runtime.records import CycleRecord
from gcsim.spec.models import Spec
from gcsim.spec.profile import MachineProfile


class _Cycles(SummaryAccumulator):
    """Keeps the cycles' records besides what the summary needs."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[CycleRecord] = []

    def cycle(self, rec: CycleRecord) -> None:
        super().cycle(rec)
        self.records.append(rec)


@dataclass(frozen=True)
class Simulated:
    """One simulation.

    Attributes:
        cycles: all, start-up included.
        load_from: index of the first cycle of the load phase.
        load_start_ns, end_ns: the load phase, since process start.
        limited: cycles of the load phase that ended with the CPU limiter on.
        summary: metrics of the load phase.
    """

    cycles: tuple[Cycle, ...]
    load_from: int
    load_start_ns: int
    end_ns: int
    summary: Metrics

    @property
    def load_cycles(self) -> Sequence[Cycle]:
        """Cycles that started in the load phase."""
        return self.cycles[self.load_from :]


def run_service(spec: Spec, profile: MachineProfile) -> Simulated:
    """Simulate a spec in memory: nothing is written.

    Raises:
        RunError, InvariantError: as `gcsim.runtime.simulate`.
    """
    recorder = _Cycles()
    done = simulate(spec, profile=profile, recorder=Tee(recorder))
    records = recorder.records
    return Simulated(
        cycles=tuple(of_simulation(r, spec.machine.cores) for r in records),
        load_from=next((i for i, r in enumerate(records) if r.phase == "load"), len(records)),
        load_start_ns=done.load_start_ns,
        end_ns=done.sim_time_ns,
        summary=recorder.metrics(),
    )
