"""An idealised machine and programs of given rates: what Go's own pacer test assumes, as inputs to whole simulations.

Go's test drives the pacer alone: a program allocates and marking scans at constant rates per CPU time, nothing else
takes time, and a cycle begins exactly at its trigger.  Here the same rates come out of a machine profile and a
workload: marking costs so many ns per byte of scan work, a request so many ns per byte it allocates, all else next to
nothing.  Scheduling, discrete assists, stopping the world and sweeping remain what they are.

Source of regimes and rates: runtime/mgcpacer_test.go TestGcPacer (go1.27.3).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from gcsim.runtime import simulate
from gcsim.runtime.records import CycleRecord, EventRecord, PhaseChange
from gcsim.spec.load import spec_from_dict
from gcsim.spec.models import Spec
from gcsim.spec.profile import MachineProfile
from tests.runtime.tiny import bare_profile

KIB = 1 << 10
MIB = 1 << 20
US = 1_000
MS = 1_000_000

# Objects fill the size class of 1 KiB to the last byte, eight to a span: with pointers 127 words and the header, so
# that all of an object is scan work; without, 128 words.  Heap live and bytes of objects are then the same.
SLOT_BYTES = 1024
SCAN_OBJECT = {"size": 1016, "pointer_words": 127}
PLAIN_OBJECT = {"size": 1024}
# One request takes about so long, so that a change of the rate takes effect soon.
REQUEST_NS = 100 * US
# Allocating takes some time, or building the live heap would take none.
NS_PER_ALLOCATED_BYTE = 0.1
# derived: runtime/mgcmark.go gcOverAssistWork (go1.19 .. go1.27); written out, so as not to follow the code under test
LEAST_ASSIST_BYTES = 64 * KIB
# Idle goroutines with stacks as good as full, 31 of 32 KiB: Go's test scans all stack there is.
FRAMES_BYTES = 31 * KIB


def grown(first_factor: float, cycles: int = 12, *, initial_bytes: int = 256 * KIB) -> int:
    """Live heap after a growth whose factor falls from `first_factor` to 1 over so many cycles.

    The first cycle finds `initial_bytes`, and each later one multiplies what the one before found.
    """
    live = float(initial_bytes)
    for cycle in range(1, cycles):
        live *= first_factor + (1.0 - first_factor) * cycle / cycles
    return int(live)


def ideal_profile(scan_rate: float) -> MachineProfile:
    """A machine that does `scan_rate` KiB of scan work per CPU-ms, and all else at next to no cost."""
    ns_per_byte = MS / (scan_rate * KIB)
    return bare_profile(
        {
            # The cost per byte begins behind an object's first 128 bytes.
            "mark_scan_object_ns": ns_per_byte * 128,
            "mark_scan_ns_per_byte": ns_per_byte,
            "mark_globals_ns_per_byte": ns_per_byte,
            "mark_stack_ns_per_byte": ns_per_byte,
            "alloc_small_noscan_ns_per_byte": NS_PER_ALLOCATED_BYTE,
            "alloc_small_scan_ns_per_byte": NS_PER_ALLOCATED_BYTE,
            # Not 0, so that who is woken runs after who wakes.
            "wakeup_ns": 1_000.0,
            "stw_stop_ns": 1_000.0,
        }
    )


@dataclass(frozen=True, kw_only=True)
class Program:
    """A closed-loop program that keeps all Ps busy, in the units of Go's test.

    Attributes:
        alloc_rate: KiB allocated per CPU-ms of mutators.
        scan_rate: KiB scanned per CPU-ms of marking.
        live_bytes: what it keeps, built at process start.
        scannable_frac: share of live heap and garbage that has pointers.
        gogc, gomemlimit: None is off.
        phases: as in specs; the first begins with the load phase.
        repeat_phases: start over after the last.
    """

    alloc_rate: float = 33.0
    scan_rate: float = 1024.0
    live_bytes: int = grown(2.0)
    scannable_frac: float = 1.0
    globals_bytes: int = 32 * KIB
    stack_bytes: int = 8 * KIB
    gogc: int | None = 100
    gomemlimit: int | None = None
    procs: int = 8
    duration_ns: int = 3_000 * MS
    phases: tuple[dict[str, Any], ...] = ()
    repeat_phases: bool = False

    @property
    def request_objects(self) -> int:
        """Objects that a request of about `REQUEST_NS` allocates."""
        return max(1, round(self.alloc_rate * KIB / MS * REQUEST_NS / SLOT_BYTES))

    @property
    def cpu_ns(self) -> int:
        """CPU time of a request besides allocating."""
        return round(
            self.request_objects * SLOT_BYTES * (MS / (self.alloc_rate * KIB) - NS_PER_ALLOCATED_BYTE)
        )

    def scale(self, alloc_rate: float) -> float:
        """The phase's `garbage_scale` that makes this the allocation rate, in KiB per CPU-ms."""
        bytes_per_ns = alloc_rate * KIB / MS
        # scale * bytes / (cpu + scale * bytes * cost of allocating a byte) = rate
        scaled_bytes = bytes_per_ns * self.cpu_ns / (1.0 - bytes_per_ns * NS_PER_ALLOCATED_BYTE)
        return scaled_bytes / (self.request_objects * SLOT_BYTES)

    def entries(self, scannable_frac: float, growth: float = 1.0) -> dict[str, int]:
        """Entries of the two retained sets that make such a live heap, `growth` times the program's."""
        whole = round(growth * self.live_bytes / SLOT_BYTES)
        pointers = round(whole * scannable_frac)
        return {"pointers": pointers, "plain": whole - pointers}

    def spec(self, name: str) -> Spec:
        """The program as a spec."""
        pointers = self.request_objects * self.scannable_frac
        garbage = ((pointers, SCAN_OBJECT), (self.request_objects - pointers, PLAIN_OBJECT))
        steps: list[dict[str, Any]] = [{"cpu": self.cpu_ns}]
        steps += [{"allocate": {"count": count, **group}} for count, group in garbage if count]
        entries = self.entries(self.scannable_frac)
        return spec_from_dict(
            {
                "version": 1,
                "name": name,
                "runtime": {
                    "go": "1.27",
                    "gomaxprocs": self.procs,
                    "gogc": "off" if self.gogc is None else self.gogc,
                    "gomemlimit": "off" if self.gomemlimit is None else self.gomemlimit,
                },
                "machine": {"cores": self.procs},
                "run": {"duration": self.duration_ns, "settle": "1ms"},
                "record": {"assists": False},
                "globals": {"scan_bytes": self.globals_bytes},
                "idle_goroutines": {
                    "count": self.stack_bytes // FRAMES_BYTES,
                    "stack_used_bytes": FRAMES_BYTES,
                },
                "retained": [
                    {"name": name, "entries": entries[name], "table_slot_bytes": 0, "objects": [group]}
                    for name, group in (("pointers", SCAN_OBJECT), ("plain", PLAIN_OBJECT))
                ],
                "requests": [{"workers": self.procs, "steps": steps}],
                "phases": list(self.phases),
                "repeat_phases": self.repeat_phases,
            }
        )


@dataclass(frozen=True, slots=True)
class Cycle:
    """One collection of the load phase, in the figures Go's test looks at.

    Attributes:
        live_bytes: marked by the cycle before.
        peak_bytes: heap live when marking ended.
        utilization: share of P time while marking: 0.25 for background workers, as Go counts them, and assists.
        background: what background workers really had of it.
        entry: what the assists at mark start may cost of it, see `entry_assists_ns`.
        gap_ns: from the end of the cycle before to the start of this one.
        gc_cpu_ns: workers, assists and pauses.
    """

    start_ns: int
    end_ns: int
    mark_ns: int
    gap_ns: int
    live_bytes: int
    trigger_bytes: int
    start_bytes: int
    peak_bytes: int
    goal_bytes: int
    scan_work_bytes: int
    utilization: float
    background: float
    entry: float
    gc_cpu_ns: int
    limiting: bool

    @property
    def goal_ratio(self) -> float:
        """Peak over goal."""
        return self.peak_bytes / self.goal_bytes

    @property
    def runway_bytes(self) -> int:
        """From trigger to goal."""
        return self.goal_bytes - self.trigger_bytes

    @property
    def trigger_ratio(self) -> float:
        """How far on the way from live to goal the trigger is."""
        return (self.trigger_bytes - self.live_bytes) / (self.goal_bytes - self.live_bytes)


class CycleRecorder:
    """Keeps cycles and rare events; no other row is of interest here."""

    def __init__(self) -> None:
        self.cycles: list[CycleRecord] = []
        self.events: list[EventRecord] = []
        self.phases: dict[str, int] = {}

    def cycle(self, rec: CycleRecord) -> None:
        self.cycles.append(rec)

    def event(self, rec: EventRecord) -> None:
        self.events.append(rec)

    def phase(self, rec: PhaseChange) -> None:
        self.phases[rec.phase] = rec.time_ns

    def _ignore(self, rec: object) -> None:
        pass

    pause = gc_intervals = heap = throughput = latency = sched_latency = _ignore
    request = assist = tricolor = p_state = site = _ignore


def run(name: str, program: Program) -> list[Cycle]:
    """Simulate the program from process start, invariants checked; the cycles of its load phase."""
    recorder = CycleRecorder()
    simulate(program.spec(name), profile=ideal_profile(program.scan_rate), recorder=recorder)
    return list(_figures(recorder.cycles, program))


def entry_assists_ns(program: Program, scan_work_bytes: int) -> float:
    """CPU time of one least assist by each goroutine that runs when marking begins.

    Nobody has credit then, and no worker has flushed any: whoever allocates first assists, 64 KiB of scan work each
    or what there is.  Go's test knows no least assist.
    Source: runtime/mgcmark.go gcAssistAlloc, gcOverAssistWork (go1.27).
    """
    running = program.procs - program.procs // 4
    work_bytes = min(running * LEAST_ASSIST_BYTES, scan_work_bytes)
    return work_bytes * MS / (program.scan_rate * KIB)


def _figures(records: Iterable[CycleRecord], program: Program) -> Iterable[Cycle]:
    live = ended = 0
    for r in records:
        mark_cpu_ns = r.mark_ns * r.gomaxprocs
        work = r.heap_scan_work_bytes + r.stack_scan_work_bytes + r.globals_scan_work_bytes
        background_ns = r.dedicated_cpu_ns + r.fractional_cpu_ns
        if r.phase == "load":
            yield Cycle(
                start_ns=r.start_ns,
                end_ns=r.end_ns,
                mark_ns=r.mark_ns,
                gap_ns=r.start_ns - ended,
                live_bytes=live,
                trigger_bytes=r.trigger_bytes,
                start_bytes=r.heap_start_bytes,
                peak_bytes=r.heap_end_bytes,
                goal_bytes=r.heap_goal_bytes,
                scan_work_bytes=work,
                utilization=0.25 + r.assist_cpu_ns / mark_cpu_ns,
                background=background_ns / mark_cpu_ns,
                entry=entry_assists_ns(program, work) / mark_cpu_ns,
                gc_cpu_ns=r.assist_cpu_ns + background_ns + r.stw_cpu_ns,
                limiting=r.limiter_enabled,
            )
        live, ended = r.heap_marked_bytes, r.end_ns
