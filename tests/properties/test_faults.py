"""Every invariant can fail: for each a fault is injected into the engine, and the end of the run has to find it.

A check is known by its own text in the engine's source, with `…` for the numbers.  `FAULTS` has one fault for each;
`test_every_check_has_its_fault` reads the source, so a check without a fault, or one that is gone, is found.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from gcsim.errors import InvariantError
from gcsim.policy.generations import Cohort
from gcsim.policy.pacer import Pacer
from gcsim.runtime import audit, invariants, simulate
from gcsim.runtime.audit import Audit
from gcsim.runtime.cycle import Collector
from gcsim.runtime.engine import RunStatistics
from gcsim.runtime.generations import Generations
from gcsim.runtime.goroutine import Goroutine
from gcsim.runtime.heap import Heap, MarkSnapshot, RetainedState
from gcsim.runtime.load import Load
from gcsim.runtime.mark import MarkPhase, Stage
from gcsim.runtime.probe import Probe
from gcsim.runtime.scheduler import Scheduler
from gcsim.runtime.stacks import Stacks
from gcsim.runtime.sweep import Sweep
from gcsim.runtime.world import P, World
from gcsim.spec.load import parse_spec
from gcsim.spec.models import Spec
from gcsim.spec.overrides import apply_overrides
from gcsim.spec.profile import load_profile

# Two closed-loop classes, one of which never waits; more workers than Ps, so that somebody is always runnable.
BUSY = parse_spec("""
version: 1
name: busy
runtime: {gomaxprocs: 2}
run: {duration: 301ms}
record: {assists: true}
retained:
  - {name: cache, entries: 2000, objects: [{count: 8, size: 64B, pointer_words: 2}]}
requests:
  - name: steady
    workers: 3
    steps:
      - cpu: 10us
      - allocate: {count: 8, size: 1KiB}
      - replace: {set: cache, count: 0.5}
  - name: open
    arrivals: poisson
    rate_per_s: 2000
    steps:
      - cpu: 10us
      - allocate: {count: 8, size: 1KiB}
""")
# A memory limit below what is live: collection follows collection.  The limiter's bucket holds a second of CPU time
# for each P, so it takes a second or two of this until it limits.
LIMITED = parse_spec("""
version: 1
name: limited
runtime: {gomaxprocs: 2, gomemlimit: 16MiB}
run: {duration: 2400ms}
retained:
  - {name: cache, entries: 30000, objects: [{count: 16, size: 64B, pointer_words: 2}]}
requests:
  - name: steady
    workers: 6
    steps:
      - cpu: 2us
      - allocate: {count: 16, size: 1KiB}
""")

WITHOUT_PROGRAM = apply_overrides(BUSY, ["collector=stop_the_world"])
GENERATIONAL = apply_overrides(
    BUSY, ["collector=generational", "nursery=256KiB", "gogc=25", "run.duration=501ms"]
)

# More goroutines than Ps and hardly a collection, so that nobody is on the way to the queue when the run ends.
CROWDED = parse_spec("""
version: 1
name: crowded
runtime: {gomaxprocs: 2}
run: {duration: 100ms}
requests:
  - name: steady
    workers: 6
    steps:
      - cpu: 100us
      - allocate: {size: 64B}
""")


class _Ignore:
    def __getattr__(self, _name: str) -> Callable[[object], None]:
        return lambda _rec: None


def run(spec: Spec) -> RunStatistics:
    profile = load_profile(spec.machine.profile, spec.runtime.go)
    return simulate(spec, profile=profile, recorder=_Ignore())


@pytest.mark.parametrize(
    "spec", [BUSY, LIMITED, WITHOUT_PROGRAM, GENERATIONAL], ids=["busy", "limited", "stopped", "generational"]
)
def test_without_a_fault_nothing_is_found(spec: Spec) -> None:
    assert run(spec).cycles > 3, "faults need collections to show"


# ---- faults: each takes what it replaces and returns what is put in its place ------------------------------------

Method = Callable[..., Any]


def _then(extra: Method) -> Callable[[Method], Method]:
    """The method as it is, and `extra` with the same arguments after it."""

    def fault(original: Method) -> Method:
        def method(*args: Any) -> Any:
            result = original(*args)
            extra(*args)
            return result

        return method

    return fault


def _instead(replacement: Method) -> Callable[[Method], Method]:
    return lambda original: replacement


def _row(**changes: Callable[[Any], Any]) -> Callable[[Method], Method]:
    """Rows that lie: the fields named are made from the row as it should be."""

    def fault(original: Method) -> Method:
        return lambda self, rec: original(
            self, rec._replace(**{name: change(rec) for name, change in changes.items()})
        )

    return fault


def _on_call(number: int, lost: Method) -> Callable[[Method], Method]:
    """`lost` instead of the method when a worker of a closed loop comes by for the `number`-th time."""

    def fault(original: Method) -> Method:
        calls = 0

        def method(self: Scheduler, g: Goroutine) -> None:
            nonlocal calls
            calls += g.request_class == "steady"
            if calls == number:
                calls += 1
                lost(self, g)
            else:
                original(self, g)

        return method

    return fault


def _lose_objects(state: RetainedState, n: int, heap: Heap) -> None:
    heap.dead_objects -= 1


def _leave_in_flight(world: World, p: P, g: Goroutine, n: int) -> None:
    world.heap.in_flight_bytes += 64
    world.heap.dead_bytes -= 64  # so that the sum is right


def _sweep_what_is_alive(heap: Heap) -> None:
    heap.freed_bytes += 1 << 40  # more than can be garbage at the end, whatever the cycle is at
    heap.unswept_bytes -= 1 << 40


def _free_twice(heap: Heap) -> None:
    heap.freed_bytes += 64


def _charge_half(world: World, p: P, g: Goroutine, n: int) -> None:
    world.pacer.heap_live_bytes -= n // 2


def _lose_a_page(sweep: Sweep, pages: int) -> None:
    sweep.swept_pages -= 1


def _trigger_beyond_goal(original: Method) -> Method:
    def trigger(self: Pacer) -> tuple[int, int]:
        _, goal = original(self)
        return goal + 4096, goal

    return trigger


def _charge_twice(self: World, p: P, state: Any, ns: int) -> None:
    p.acc[state] += ns  # and not taken from the state it was in


def _misplace_time_in(wrong: str, right: str) -> Callable[[Method], Method]:
    """When a P enters state `wrong`, ten nanoseconds of it are charged to `right`."""

    def charge(world: World, p: P, state: Any) -> None:
        if state == wrong:
            p.acc[state] -= 10
            p.acc[right] += 10  # type: ignore[index]

    return _then(charge)


def _commit_again(world: World, p: P) -> None:
    if p.state == "mutator":
        p.began_ns -= 1000  # the last microsecond will be committed once more


def _forget(sched: Scheduler, g: Goroutine) -> None:
    """Nothing: it is in no queue."""


def _run_the_dead(sched: Scheduler, g: Goroutine) -> None:
    del sched._w.alive[g]
    sched.globq.append(g)


def _never_wake(sched: Scheduler, p: P, delay_ns: int) -> None:
    if p.id == 1:  # the other one gets the run to its end
        p.alarm.clear()


def _idle_beside_work(original: Method) -> Method:
    def schedule(self: Scheduler, p: P) -> None:
        if p.id == 1 and not self._w.is_stopped:
            self._idle(p)
        else:
            original(self, p)

    return schedule


def _allocate_while_stopped(collector: Collector, by: P | None) -> None:
    collector._w.heap.allocated_bytes += 64


def _allocate_meanwhile(sched: Scheduler) -> None:
    sched._w.heap.allocated_bytes += 64


def _grow_unseen(stacks: Stacks, g: Goroutine) -> None:
    g.stack_bytes *= 2


def _lose_the_dead(original: Method) -> Method:
    """What died in the old generation is not where it was, and nowhere else."""

    def die(self: Cohort, frac: float) -> int:
        return original(self, frac) // 2

    return die


def _condemn_too_much(generations: Generations, dead_bytes: int, dead_objects: int) -> None:
    generations.condemned_bytes += 1 << 40


def _forget_survivors(original: Method) -> Method:
    """As without a remembered set, but unsaid: survivors are found and not kept."""
    return lambda self, reachable_bytes: original(self, reachable_bytes)._replace(copied_bytes=0)


def _leave_one_running(collector: Collector, by: P | None) -> None:
    collector._w.set_state(collector._w.ps[0], "overhead")


def _start_late(collector: Collector) -> None:
    collector.trigger_bytes = 2 * collector._w.pacer.heap_goal()


def _end_mark_early(self: MarkPhase, p: P) -> bool:
    if self.is_complete or self.claims:
        return False
    self.is_complete = True
    self._credit_alarm.clear()
    self._w.collector.mark_done(p)
    return True


def _drop_scan_work(original: Method) -> Method:
    return lambda self, kind, work: original(self, kind, work / 2)


def _mark_for_free(original: Method) -> Method:
    def claim(
        self: MarkPhase, p: P, stage: Stage, ns: float, work: float | None = None
    ) -> tuple[float, float]:
        taken_ns, work = original(self, p, stage, ns, work)
        return taken_ns / 2, work

    return claim


def _resurrect(heap: Heap, snapshot: MarkSnapshot) -> None:
    heap.dead_bytes += 64


def _assist_all_the_same(original: object) -> property:
    return property(lambda self: self._w.assists_enabled and not self.is_complete)


def _lose_a_latency(original: Method) -> Method:
    return lambda self, name, ns, ends_ns, assists: original(self, name, ns[1:], ends_ns[1:], assists)


def _lose_a_completion(probe: Probe, name: str, arrival_ns: int, now: int, assist_ns: int) -> None:
    probe.completed -= 1


def _count_arrivals_twice(load: Load, plan: Any) -> None:
    """A request that nobody has brought, in the counts on both sides."""
    load.in_flight[plan.name] += 1
    load._w.probe.arrived += 1


class Fault(NamedTuple):
    owner: type
    name: str
    fault: Callable[[Any], Any]
    spec: Spec = BUSY


FAULTS = {
    # Bytes and objects.
    "bytes allocated … != freed + live by fate …": Fault(
        RetainedState, "replace", _instead(lambda state, n, heap: None)
    ),
    "objects allocated … != freed + live by fate …": Fault(RetainedState, "replace", _then(_lose_objects)),
    "bytes in flight … != … by goroutine": Fault(World, "allocate", _then(_leave_in_flight)),
    "stacks in use … B != … B by goroutine": Fault(Stacks, "add", _then(_grow_unseen)),
    "a cohort is negative: …": Fault(Heap, "sweep_all", _then(_sweep_what_is_alive)),
    "heap live … < … bytes marked and allocated since": Fault(World, "allocate", _then(_charge_half)),
    "pages to sweep … != swept and left …": Fault(Sweep, "take", _then(_lose_a_page)),
    "trigger … > goal …": Fault(Pacer, "trigger", _trigger_beyond_goal),
    # Time of Ps.
    "P …: time per state adds up to … ns, elapsed … ns": Fault(World, "charge", _instead(_charge_twice)),
    "…: … ns by state of Ps, … ns by cycle": Fault(
        World, "set_state", _misplace_time_in("fractional", "idle")
    ),
    "stw: … ns by state of Ps, the world was stopped for … ns": Fault(
        World, "set_state", _misplace_time_in("stw", "idle")
    ),
    "mutators: … ns by state of Ps, … ns by slice, … ns to wait at most": Fault(
        World, "commit", _then(_commit_again)
    ),
    # Where everybody is.
    "goroutine … is in … places": Fault(Scheduler, "ready_global", _on_call(6, _forget)),
    "goroutine … is gone, and somewhere": Fault(Scheduler, "ready_global", _on_call(6, _run_the_dead)),
    "P … is in state … for good": Fault(Scheduler, "start_p", _then(_never_wake)),
    "… Ps idle beside … runnable goroutines": Fault(Scheduler, "schedule", _idle_beside_work, CROWDED),
    # The world is stopped.
    "mutator ran while the world was stopped: bytes, ns … -> …": Fault(
        Collector, "stop_world", _then(_allocate_while_stopped)
    ),
    "mutator ran in a cycle without it: bytes, ns … -> …": Fault(
        Scheduler, "hold_users", _then(_allocate_meanwhile), WITHOUT_PROGRAM
    ),
    "P … is … and was stopped for … of … ns": Fault(Collector, "stop_world", _then(_leave_one_running)),
    # Generations.
    "old generation … bytes by moves != … by fate": Fault(Cohort, "die", _lose_the_dead, GENERATIONAL),
    "a generation is negative: …": Fault(Generations, "condemned", _then(_condemn_too_much), GENERATIONAL),
    "minor collection … freed … bytes of the nursery, … were dead": Fault(
        Cohort, "collect", _forget_survivors, GENERATIONAL
    ),
    "minor collection …: … bytes were there, … are accounted for": Fault(
        Audit, "minor", _row(promoted_bytes=lambda rec: rec.promoted_bytes + 1), GENERATIONAL
    ),
    # Marking.
    "marking begins with … bytes unswept": Fault(Heap, "sweep_all", _instead(lambda heap: None)),
    "marking begins on … bytes, … are there": Fault(Heap, "sweep_all", _then(_free_twice)),
    "cycle … waited for … bytes, beyond its goal …": Fault(Collector, "watch", _then(_start_late)),
    "cycle … ended with … ns of grey work and … at it": Fault(
        MarkPhase, "_check_complete", _instead(_end_mark_early)
    ),
    "cycle …: scan work … != globals, stacks and heap …": Fault(MarkPhase, "_book", _drop_scan_work),
    "cycle …: marking took … ns of CPU, its work costs …": Fault(MarkPhase, "_claim", _mark_for_free),
    "… bytes marked, … are there": Fault(Heap, "condemn", _then(_resurrect)),
    "… ns of GC CPU in … ns while the limiter was on": Fault(
        MarkPhase, "needs_assists", _assist_all_the_same, LIMITED
    ),
    # Rows.
    "cycle … from … ns after …, over at … ns": Fault(Audit, "cycle", _row(cycle=lambda rec: rec.cycle + 1)),
    "cycle … from … to … ns has parts of … ns": Fault(
        Audit, "cycle", _row(mark_ns=lambda rec: rec.mark_ns + 1)
    ),
    "cycle …: trigger … > goal …": Fault(Pacer, "trigger", _trigger_beyond_goal),
    "… after a pause until … ns": Fault(Audit, "pause", _row(stopping_ns=lambda rec: rec.duration_ns + 1)),
    "…; the last cycle ended at … ns": Fault(
        Audit, "assist", _row(parked_ns=lambda rec: rec.duration_ns + 1)
    ),
    "sizes do not contain one another: …": Fault(
        Audit, "heap", _row(heap_live_bytes=lambda rec: rec.heap_in_use_bytes + 1)
    ),
    "window from … to … ns follows one that ended at … ns": Fault(
        Audit, "throughput", _row(start_ns=lambda rec: rec.start_ns + 1)
    ),
    "P time of a window of … ns on … Ps adds up to … ns": Fault(World, "charge", _instead(_charge_twice)),
    "… requests arrived, … completed, … dropped, … are in the system": Fault(
        Probe, "finish_request", _then(_lose_a_completion)
    ),
    "window with … more requests completed than latencies": Fault(Probe, "latencies", _lose_a_latency),
    "windows add up to … …, the run has …": Fault(
        Audit, "throughput", _row(alloc_bytes=lambda rec: rec.alloc_bytes + 1)
    ),
    "a count is negative: …": Fault(Audit, "site", _row(inuse_bytes=lambda rec: -1)),
    "sites add up to … bytes and objects, the run has … and …": Fault(
        Audit, "site", _row(alloc_bytes=lambda rec: rec.alloc_bytes + 1)
    ),
    "the last window ended at … ns": Fault(Probe, "finish", _instead(lambda probe: probe._sample_heap())),
    "… requests are said to be in the system, … are": Fault(Load, "admit", _then(_count_arrivals_twice)),
}


@pytest.mark.parametrize("check", FAULTS)
def test_a_fault_is_found(check: str, monkeypatch: pytest.MonkeyPatch) -> None:
    owner, name, fault, spec = FAULTS[check]
    monkeypatch.setattr(owner, name, fault(getattr(owner, name)))
    # A breach begins with its time and ends at the next semicolon (rows and tuples have none).
    words = r"at \d+ ns: " + "[^;]*".join(re.escape(part) for part in check.split("…"))
    with pytest.raises(InvariantError, match=words) as found:
        run(spec)
    assert found.value.spec_name == spec.name
    assert found.value.seed == spec.run.seed
    assert found.value.events, "the last rows help to see what went before"


def test_every_check_has_its_fault() -> None:
    assert sorted(checks()) == sorted(FAULTS)


def checks() -> set[str]:
    """The texts of what the engine reports as a breach: f-strings that are yielded or added to the breaches."""
    found = set()
    for module in (invariants, audit):
        for node in ast.walk(ast.parse(inspect.getsource(module))):
            if isinstance(node, ast.Yield):
                texts = [node.value]
            elif isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == "add":
                texts = list(node.args)
            else:
                continue
            found |= {_skeleton(text) for text in texts if isinstance(text, ast.JoinedStr)}
    return found


def _skeleton(text: ast.JoinedStr) -> str:
    return "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in text.values)
