"""The recorded names of the pacer's state, and the state of a pacer under them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from gcsim.policy.pacer import Pacer, PIPacer
from gcsim.policy.releases import ReleaseRules
from tests.policy.vector_files import bits, number

ATTRIBUTES: Final[dict[str, str]] = {
    "gc_percent": "gogc_percent",
    "memory_limit": "memory_limit_bytes",
    "heap_minimum": "heap_minimum_bytes",
    "gc_percent_heap_goal": "gc_percent_heap_goal_bytes",
    "sweep_dist_min_trigger": "sweep_dist_min_trigger_bytes",
    "runway": "runway_bytes",
    "cons_mark": "cons_mark",
    "triggered": "triggered_bytes",
    "heap_live": "heap_live_bytes",
    "heap_scan": "heap_scan_bytes",
    "heap_marked": "heap_marked_bytes",
    "last_heap_scan": "last_heap_scan_bytes",
    "last_stack_scan": "last_stack_scan_bytes",
    "max_stack_scan": "max_stack_scan_bytes",
    "globals_scan": "globals_scan_bytes",
    "heap_scan_work": "heap_scan_work_bytes",
    "stack_scan_work": "stack_scan_work_bytes",
    "globals_scan_work": "globals_scan_work_bytes",
    "bg_scan_credit": "bg_scan_credit_bytes",
    "assist_time": "assist_time_cpu_ns",
    "dedicated_mark_time": "dedicated_mark_time_cpu_ns",
    "fractional_mark_time": "fractional_mark_time_cpu_ns",
    "idle_mark_time": "idle_mark_time_cpu_ns",
    "mark_start_time": "mark_start_time_ns",
    "dedicated_mark_workers_needed": "dedicated_mark_workers_needed",
    "idle_mark_workers": "idle_mark_workers",
    "max_idle_mark_workers": "max_idle_mark_workers",
    "fractional_utilization_goal": "fractional_utilization_goal",
    "assist_work_per_byte": "assist_work_per_byte",
    "assist_bytes_per_work": "assist_bytes_per_work",
    "heap_free": "heap_free_bytes",
    "total_alloc": "total_alloc_bytes",
    "total_free": "total_free_bytes",
    "mapped_ready": "mapped_ready_bytes",
    "last_heap_goal": "last_heap_goal_bytes",
}


def distinct_pacers(rules: Iterable[ReleaseRules]) -> list[ReleaseRules]:
    """One release for each pacer among them: the others are the same code with the same arguments."""
    return list({(r.pacer_era, r.memory_limit_headroom_percent): r for r in rules}.values())


def state_of(pacer: Pacer) -> dict[str, Any]:
    """Everything that is recorded of a controller, results included."""
    state = {name: getattr(pacer, attribute) for name, attribute in ATTRIBUTES.items()}
    if isinstance(pacer, PIPacer):
        controller = pacer.cons_mark_controller
        state["pi_err_integral"] = controller.err_integral
        state["pi_err_overflow"] = controller.err_overflow
        state["pi_input_overflow"] = controller.input_overflow
    else:
        state["last_cons_mark"] = pacer.last_cons_mark
    state["memory_limit_heap_goal"] = pacer.memory_limit_heap_goal()
    state["heap_goal"], state["min_trigger"] = pacer.heap_goal_internal()
    state["trigger"], goal = pacer.trigger()
    assert goal == pacer.heap_goal()
    return state


def canonical(state: dict[str, Any]) -> dict[str, Any]:
    """The state with every number as a text of its bits."""
    return {
        name: [bits(number(v)) for v in value] if isinstance(value, list) else bits(number(value))
        for name, value in state.items()
    }
