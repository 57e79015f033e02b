"""Runs cases, each in a fresh process."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from typing import Any

from gcsim.bench.cases import BY_NAME, MEMORY_LIMIT_MIB, Case
from gcsim.errors import RunError

_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Measurement:
    """What one case took.

    Attributes:
        sim_s, cpu_s: simulated seconds and the CPU time they took, the building of the retained sets included.
        load_sim_s, load_wall_s, load_cpu_s: the load phase alone, where a simulation has most to do.
        events: SimPy events.  cycles: GC cycles.
        peak_memory_bytes: of the whole process, interpreter and libraries included.
        bare_events_per_cpu_s: SimPy events per CPU second with no runtime model, in the same process.
        bare_open_loop_speed: simulated seconds per CPU second of SimPy's open loop of 4,000 requests/s.
    """

    name: str
    sim_s: float
    cpu_s: float
    load_sim_s: float
    load_wall_s: float
    load_cpu_s: float
    events: int
    cycles: int
    peak_memory_bytes: int
    bare_events_per_cpu_s: float
    bare_open_loop_speed: float

    @property
    def case(self) -> Case:
        """What was measured."""
        return BY_NAME[self.name]

    @property
    def speed(self) -> float:
        """Simulated seconds per CPU second in the load phase: per wall second on a core that nobody else uses."""
        return self.load_sim_s / self.load_cpu_s

    @property
    def wall_speed(self) -> float:
        """Simulated seconds per wall second in the load phase."""
        return self.load_sim_s / self.load_wall_s

    @property
    def events_per_cpu_s(self) -> float:
        """SimPy events per CPU second."""
        return self.events / self.cpu_s

    @property
    def events_per_sim_s(self) -> float:
        """SimPy events per simulated second."""
        return self.events / self.sim_s

    @property
    def bare_timeouts_per_event(self) -> float:
        """How many bare SimPy events one event of the simulation costs."""
        return self.bare_events_per_cpu_s / self.events_per_cpu_s

    @property
    def speed_per_bare_open_loop(self) -> float:
        """Speed over that of SimPy's open loop without a runtime."""
        return self.speed / self.bare_open_loop_speed

    @property
    def peak_memory_mib(self) -> float:
        """Peak memory in MiB."""
        return self.peak_memory_bytes / _MIB

    def as_dict(self) -> dict[str, Any]:
        """One flat object: what was measured, what follows from it, and what was promised."""
        return {
            **asdict(self),
            "table": self.case.table,
            "what": self.case.what,
            "knob": self.case.knob,
            "speed": self.speed,
            "wall_speed": self.wall_speed,
            "target_speed": self.case.target,
            "events_per_cpu_s": self.events_per_cpu_s,
            "events_per_sim_s": self.events_per_sim_s,
            "bare_timeouts_per_event": self.bare_timeouts_per_event,
            "speed_per_bare_open_loop": self.speed_per_bare_open_loop,
            "peak_memory_mib": self.peak_memory_mib,
            "memory_limit_mib": MEMORY_LIMIT_MIB,
        }


def run_case(case: Case, *, quick: bool = False) -> Measurement:
    """Measure a case in a process of its own.

    Raises:
        RunError: the process failed; its last line of standard error says how.
    """
    command = [sys.executable, "-m", "gcsim.bench.case", case.name, *(["--quick"] if quick else [])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise RunError(f"benchmark {case.name} failed with exit code {done.returncode}: {last}")
    return Measurement(**json.loads(done.stdout))
