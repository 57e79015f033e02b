"""An idealised program around a pacer, as the recorded cycles had it: fluid marking and allocation, no scheduler.

In a step of `revise_period_ns` the collector has a share of the CPU that the assist ratio decides, at least 25 %; it
scans at one rate, the program allocates at another. Floats are computed in the recorded order of operations.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from gcsim.policy.conversions import UINT64_MAX, divide, float_to_int64, float_to_uint64
from gcsim.policy.pacer import Pacer, TriggerKind

_MIN_GC_SHARE = 0.25


@dataclass
class Step:
    """What one step did."""

    utilization: float
    elapsed_ns: int
    bytes_allocated: int


@dataclass
class MarkPhase:
    """Sums over the steps of a mark phase."""

    work: dict[str, int]
    steps: int = 0
    elapsed_ns: int = 0
    allocated_bytes: int = 0
    assist_time_cpu_ns: int = 0


@dataclass
class IdealProgram:
    """The program of one scenario; its methods are the stages of a cycle, in order."""

    scenario: dict[str, Any]
    pacer: Pacer
    allocated_during_mark: int = field(default=0, init=False)
    warmed: bool = field(default=False, init=False)

    def prepare(self, inputs: dict[str, Any]) -> None:
        """Warm start, changes of settings, and the memory counters before a cycle."""
        pacer = self.pacer
        if self.scenario["warm_start"] and not self.warmed:
            initial = self.scenario["initial_heap_bytes"]
            pacer.heap_scan_work_bytes = float_to_int64(float(initial) * inputs["scannable_frac"])
            pacer.stack_scan_work_bytes = inputs["stack_bytes"]
            pacer.globals_scan_bytes = self.scenario["globals_bytes"]
            pacer.reset_live(initial)
            pacer.commit(True)
        self.warmed = True
        changes = inputs.get("changes", {})
        assert set(changes) <= {"set_gc_percent", "set_memory_limit", "set_n_cores", "commit_sweep_done"}, (
            changes
        )
        if "set_gc_percent" in changes:
            pacer.set_gc_percent(changes["set_gc_percent"])
        if "set_memory_limit" in changes:
            pacer.set_memory_limit(changes["set_memory_limit"])
        if "set_gc_percent" in changes or "set_memory_limit" in changes:
            pacer.commit(changes["commit_sweep_done"])
        self.count_memory(inputs)
        if self.scenario["memory_model"] == "static":
            pacer.mapped_ready_bytes = inputs["non_heap_bytes"]

    def count_memory(self, inputs: dict[str, Any]) -> None:
        """The memory counters that follow heap live, where the scenario has them."""
        if self.scenario["memory_model"] != "live":
            return
        pacer = self.pacer
        pacer.heap_free_bytes = float_to_uint64(float(pacer.heap_live_bytes) * inputs["heap_free_frac"])
        pacer.total_alloc_bytes = pacer.heap_live_bytes
        pacer.total_free_bytes = 0
        pacer.mapped_ready_bytes = pacer.heap_live_bytes + pacer.heap_free_bytes + inputs["non_heap_bytes"]

    def start(self, inputs: dict[str, Any], trigger_kind: TriggerKind) -> int:
        """Grow the heap to where the cycle starts, and start it; returns the scannable bytes added."""
        pacer = self.pacer
        marked = pacer.heap_marked_bytes
        if self.scenario["forced"]:
            start = max(float_to_uint64(float(marked) * (1 + inputs["force_frac"])), marked)
        else:
            start = max(pacer.trigger()[0], marked)
        pacer.max_stack_scan_bytes = inputs["stack_bytes"]
        pacer.globals_scan_bytes = self.scenario["globals_bytes"]
        pacer.heap_live_bytes = start
        added = float_to_int64(float(start - marked) * inputs["scannable_frac"])
        pacer.heap_scan_bytes += added
        pacer.start_cycle(0, inputs["n_cores"], trigger_kind)
        return added

    def work(self, inputs: dict[str, Any], *, first: bool) -> tuple[int, MarkPhase]:
        """Bytes that will be marked besides new objects, and the scan work of this cycle."""
        if first and not self.scenario["warm_start"]:
            next_marked: int = self.scenario["initial_heap_bytes"]
        else:
            old = float(self.pacer.heap_marked_bytes - self.allocated_during_mark)
            next_marked = float_to_int64(old * inputs["growth_rate"])
        heap = float_to_int64(float(next_marked) * inputs["scannable_frac"])
        work = {"globals": self.scenario["globals_bytes"], "stack": inputs["stack_bytes"], "heap": heap}
        return next_marked, MarkPhase(work)

    def step(self, inputs: dict[str, Any], phase: MarkPhase) -> Step:
        """Let the collector and the program run for one period, or until there is nothing left to scan."""
        pacer = self.pacer
        procs = float(inputs["n_cores"])
        period = float(self.scenario["revise_period_ns"])
        alloc_rate, scan_rate = inputs["alloc_rate"], inputs["scan_rate"]
        per_period = 1024.0 * period / 1e6
        alloc_weight = pacer.assist_work_per_byte * alloc_rate
        u = max(_MIN_GC_SHARE, alloc_weight / (alloc_weight + scan_rate))

        scanned = float_to_int64(scan_rate * per_period * procs * u)
        allocated = float_to_int64(alloc_rate * per_period * procs * (1 - u))
        elapsed = int(period)
        taken = {}
        left = scanned
        for root in ("globals", "stack", "heap"):
            taken[root] = min(left, phase.work[root])
            phase.work[root] -= taken[root]
            left -= taken[root]
        done = scanned - left
        if done < scanned:
            elapsed = float_to_int64(float(done) * period / (scan_rate * per_period * procs * u))
            allocated = float_to_int64(alloc_rate * per_period * float(elapsed) / period * procs * (1 - u))

        pacer.heap_live_bytes += allocated
        pacer.heap_scan_bytes += float_to_int64(float(allocated) * inputs["scannable_frac"])
        pacer.globals_scan_work_bytes += taken["globals"]
        pacer.stack_scan_work_bytes += taken["stack"]
        pacer.heap_scan_work_bytes += taken["heap"]
        self.count_memory(inputs)
        pacer.revise()
        phase.steps += 1
        phase.elapsed_ns += elapsed
        phase.allocated_bytes += allocated
        phase.assist_time_cpu_ns += float_to_int64(float(elapsed) * procs * (u - _MIN_GC_SHARE))
        return Step(u, elapsed, allocated)

    def end(self, inputs: dict[str, Any], phase: MarkPhase) -> None:
        """End marking: the measurement of the cycle."""
        pacer = self.pacer
        if self.scenario["reports_idle_time"]:
            procs = float(inputs["n_cores"])
            pacer.idle_mark_time_cpu_ns = float_to_int64(
                float(phase.elapsed_ns) * procs * inputs["idle_frac"]
            )
        pacer.assist_time_cpu_ns = phase.assist_time_cpu_ns
        pacer.end_cycle(phase.elapsed_ns, inputs["n_cores"])
        self.allocated_during_mark = phase.allocated_bytes

    def roll_over(self, inputs: dict[str, Any], bytes_marked: int) -> None:
        """Live is what was marked; set the next goal, with sweeping still to do."""
        self.pacer.reset_live(bytes_marked)
        self.count_memory(inputs)
        self.pacer.commit(False)


def derived(pacer: Pacer, phase: MarkPhase, procs: int) -> dict[str, int | float]:
    """The figures that tell how well a cycle was paced, taken just before `end_cycle`."""
    goal, triggered, marked = pacer.heap_goal(), pacer.triggered_bytes, pacer.heap_marked_bytes
    return {
        "heap_peak": pacer.heap_live_bytes,
        "heap_goal": goal,
        "goal_ratio": divide(float(pacer.heap_live_bytes), float(goal)),
        "runway": (goal - triggered) & UINT64_MAX,
        "trigger_ratio": divide(
            float((triggered - marked) & UINT64_MAX), float((goal - marked) & UINT64_MAX)
        ),
        "gc_utilization": divide(float(phase.assist_time_cpu_ns), float(phase.elapsed_ns * procs))
        + _MIN_GC_SHARE,
    }
