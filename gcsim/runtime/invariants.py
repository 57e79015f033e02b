"""What must always hold, checked from counts that were kept apart.  A breach is our bug, never the user's.

`Watch` looks at the moments that matter (the world stops and restarts, marking begins and ends); `check` compares at
the end of a run what was counted by who did it with what was counted by where it went; `Audit` (in `audit`) checks
the rows.  What each invariant compares is said where it is checked; none is a sum that holds by construction.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from gcsim.errors import InvariantError
from gcsim.policy.workers import TriggerKind
from gcsim.runtime.audit import Breaches
from gcsim.runtime.cycle import NO_LIMIT
from gcsim.runtime.records import PState

if TYPE_CHECKING:
    from gcsim.runtime.generations import Generations
    from gcsim.runtime.goroutine import Goroutine
    from gcsim.runtime.heap import MarkSnapshot
    from gcsim.runtime.world import P, World

# Background marking has a quarter of the Ps; a fractional worker leaves only above 1.2 times its share of the cycle.
_BACKGROUND_FRAC = 0.25 * 1.2
_GC_STATES: tuple[PState, ...] = ("assist", "dedicated", "fractional")
# Scan work is added up in floating point, byte counts of stages being shares of shares.
_WORK_SLACK_BYTES = 2


def check(world: World) -> None:
    """Check the end of a run (slices committed, time accounts flushed, windows closed).

    Raises:
        InvariantError: something does not add up; the breaches are named with their numbers.
    """
    watch = world.watch
    watch.limiter(world, at_end=True)
    world.audit.close(world)
    now = world.env.now
    breaches = Breaches()
    for what in (*_bytes(world), *_time(world), *_places(world)):
        breaches.add(now, what)
    found = [str(part) for part in (watch.breaches, world.audit.breaches, breaches) if part]
    if found:
        raise InvariantError("; ".join(found), world.spec.name, world.seed, now, world.audit.last_rows())


def _bytes(world: World) -> Iterator[str]:
    """Bytes and objects by who allocated = by fate; in flight by goroutine = in flight by cohort; live is charged."""
    heap = world.heap
    by_fate = heap.freed_bytes + heap.unswept_bytes + heap.dead_bytes + heap.reachable_bytes
    if heap.allocated_bytes != by_fate:
        yield f"bytes allocated {heap.allocated_bytes} != freed + live by fate {by_fate}"
    objects = heap.freed_objects + heap.dead_objects + heap.reachable_objects
    if heap.allocated_objects != objects:
        yield f"objects allocated {heap.allocated_objects} != freed + live by fate {objects}"
    in_flight = sum(g.in_flight_bytes for g in world.alive)
    if heap.in_flight_bytes != in_flight:
        yield f"bytes in flight {heap.in_flight_bytes} != {in_flight} by goroutine"
    stacks = world.stacks.by_goroutine_bytes()
    if world.stacks.in_use_bytes != stacks:
        yield f"stacks in use {world.stacks.in_use_bytes} B != {stacks} B by goroutine"
    cohorts = (heap.dead_bytes, heap.dead_objects, heap.unswept_bytes, heap.in_flight_bytes, heap.freed_bytes)
    if min(cohorts) < 0:
        yield f"a cohort is negative: {cohorts}"
    # Heap live counts spans with their tails, so it is at least the objects that survived and came since; up to one
    # byte on each P is still to be charged.
    since = world.watch.marked_bytes + heap.allocated_bytes - world.watch.marked_at_bytes
    if world.generations is not None:
        since = world.generations.old_bytes
        yield from _generations(world.generations)
    if world.pacer.heap_live_bytes < since - world.procs:
        yield f"heap live {world.pacer.heap_live_bytes} < {since} bytes marked and allocated since"
    begun, swept = world.sweep.begun_pages, world.sweep.swept_pages + world.sweep.left_pages
    if abs(begun - swept) > 1e-6 * (begun + 1):
        yield f"pages to sweep {begun} != swept and left {swept}"
    trigger, goal = world.pacer.trigger()
    if trigger > goal:
        yield f"trigger {trigger} > goal {goal}"


def _generations(generations: Generations) -> Iterator[str]:
    """Where bytes were moved = where they are by fate, in the old generation; what is not there is in the nursery."""
    by_fate = generations.old_by_fate_bytes
    if generations.old_bytes != by_fate:
        yield f"old generation {generations.old_bytes} bytes by moves != {by_fate} by fate"
    sizes = (generations.nursery_bytes, generations.old_bytes, generations.dead_old_bytes)
    if min(sizes) < 0:
        yield f"a generation is negative: {sizes}"


def _time(world: World) -> Iterator[str]:
    """P time by state fills the run, and agrees with what those say who worked: workers, assists, pauses, slices."""
    now = world.env.now
    for p in world.ps:
        spent = sum(p.acc.values())
        if spent != now:
            yield f"P {p.id}: time per state adds up to {spent} ns, elapsed {now} ns"
    by_state = {state: sum(p.acc[state] for p in world.ps) for state in world.ps[0].acc}
    for state, ns in _marked_for(world).items():
        if by_state[state] != ns:
            yield f"{state}: {by_state[state]} ns by state of Ps, {ns} ns by cycle"
    watch = world.watch
    stopped = watch.stopped_ns + (now - watch.stop_ns if world.is_stopped else 0)
    if by_state["stw"] != stopped * world.procs:
        yield f"stw: {by_state['stw']} ns by state of Ps, the world was stopped for {stopped} ns"
    # Between slices a mutator's P waits for switches, for the restart after a pause, and while throttled.
    charged = by_state["mutator"] + watch.moved_ns
    waits = int(world.profile["context_switch_ns"]) * sum(p.schedtick for p in world.ps)
    minors = 0 if world.generations is None else world.generations.minors
    waits += int(world.profile["stw_restart_ns"]) * (2 * (world.collector.cycle + 1) + minors)
    waits += world.cores.throttled_until(now) * world.procs + by_state["scavenge"]
    if not 0 <= charged - watch.ran_ns <= waits:
        yield f"mutators: {charged} ns by state of Ps, {watch.ran_ns} ns by slice, {waits} ns to wait at most"


def _marked_for(world: World) -> dict[PState, int]:
    """CPU time of marking by kind, as the pacer was told: cycles that are over, the present one, who is at it."""
    spent = dict(world.audit.cycles_cpu_ns)
    if world.collector.is_unrecorded:
        pacer = world.pacer
        spent["assist"] += pacer.assist_time_cpu_ns
        spent["dedicated"] += pacer.dedicated_mark_time_cpu_ns
        spent["fractional"] += pacer.fractional_mark_time_cpu_ns
        spent["idle_worker"] += pacer.idle_mark_time_cpu_ns
    for p in world.ps:
        if p.state == "assist":
            spent["assist"] += world.env.now - p.began_ns
        elif p.state in spent:
            spent[p.state] += world.env.now - p.worker_began_ns
    return spent


def _places(world: World) -> Iterator[str]:
    """Every goroutine is in exactly one place, every P that is not idle has something to come, none idles beside work."""
    places: Counter[Goroutine] = Counter(_whereabouts(world))
    for g in world.alive:
        if places[g] != 1:
            yield f"goroutine {g.name} is in {places[g]} places"
    for g in places:
        if g not in world.alive and g is not world.sweep.background:
            yield f"goroutine {g.name} is gone, and somewhere"
    if world.is_stopped:
        return
    in_syscall = world.sched.ps_in_syscall()
    ender = world.collector.ender if world.is_marking and world.mark.is_complete else None
    for p in world.ps:
        waits = p in in_syscall or p is ender or world.cores.is_throttled
        if p.state != "idle" and p.alarm.at_ns is None and not waits:
            yield f"P {p.id} is in state {p.state} for good"
    runnable = len(world.sched.globq) + sum(len(p.runq) + (p.runnext is not None) for p in world.ps)
    idle = sum(p.state == "idle" for p in world.ps)
    if runnable and idle and not world.sched.spinning and not world.sched.holds_users:
        yield f"{idle} Ps idle beside {runnable} runnable goroutines"


def _whereabouts(world: World) -> Iterator[Goroutine]:
    for p in world.ps:
        if p.goroutine is not None:
            yield p.goroutine
        if p.runnext is not None:
            yield p.runnext
        yield from p.runq
        yield from (entry[2] for entry in p.timers)
    yield from world.sched.globq
    yield from world.sched.blocked
    yield from world.mark.parked
    yield from world.collector.forced_waiters
    yield from world.collector.next_waiters
    load = world.probe.load
    yield from (g for mutex in load.mutexes.values() for g in mutex.waiters)
    yield from (dispatcher for dispatcher in load.dispatchers if dispatcher.is_parked)


class Watch:
    """Checks that need the moment: the runtime calls them as it goes.

    Attributes:
        breaches: what was found.
        ran_ns: P time of mutators' slices, added up as they are committed.
        moved_ns: P time charged away from mutators (switches, sweeping on the way).
        stop_ns, stopped_ns: when the world last stopped; how long it has been stopped, the present pause left out.
        marked_bytes, marked_at_bytes: what the last cycle marked, and bytes allocated by then.
    """

    def __init__(self) -> None:
        self.breaches = Breaches()
        self.ran_ns = 0
        self.moved_ns = 0
        self.stop_ns = 0
        self.stopped_ns = 0
        self.marked_bytes = 0
        self.marked_at_bytes = 0
        self._goal_bytes = 0
        self._before: tuple[int, int] = (0, 0)
        self._stw_ns: list[int] = []
        self._held: tuple[int, int] = (0, 0)
        self._work: tuple[float, float, float] = (0.0, 0.0, 0.0)
        self._cost_ns = 0.0
        self._limited: tuple[int, int, float] | None = None

    # ---- the world is stopped ------------------------------------------------------------------------------

    def stops(self, world: World) -> None:
        """All Ps have stopped."""
        self.stop_ns = world.env.now
        # Asked for now: once a cycle has begun, its goal is raised above the heap at which it did.
        self._goal_bytes = world.pacer.heap_goal()
        self._before = self._progress(world)
        self._stw_ns = [_time_in(p, ("stw",), world.env.now) for p in world.ps]

    def restarts(self, world: World) -> None:
        """The world is about to run again: every P was stopped all the time, and nothing of the mutator happened."""
        now = world.env.now
        stopped = now - self.stop_ns
        self.stopped_ns += stopped
        if self._progress(world) != self._before:
            self.breaches.add(
                now,
                f"mutator ran while the world was stopped: bytes, ns {self._before} -> {self._progress(world)}",
            )
        for p, before in zip(world.ps, self._stw_ns, strict=True):
            ns = _time_in(p, ("stw",), now) - before
            if p.state != "stw" or ns != stopped:
                self.breaches.add(now, f"P {p.id} is {p.state} and was stopped for {ns} of {stopped} ns")

    def holds(self, world: World) -> None:
        """Ps run again, for marking alone."""
        self._held = self._progress(world)

    def releases(self, world: World) -> None:
        """Goroutines may run again: none has meanwhile."""
        if self._progress(world) != self._held:
            self.breaches.add(
                world.env.now,
                f"mutator ran in a cycle without it: bytes, ns {self._held} -> {self._progress(world)}",
            )

    @staticmethod
    def _progress(world: World) -> tuple[int, int]:
        return world.heap.allocated_bytes, world.watch.ran_ns

    # ---- marking -------------------------------------------------------------------------------------------

    def mark_begins(self, world: World, kind: TriggerKind, snapshot: MarkSnapshot, stack_bytes: int) -> None:
        """Sweeping is over, and what is there is what was allocated and not freed."""
        now = world.env.now
        heap = world.heap
        if heap.unswept_bytes or world.sweep.is_active:
            self.breaches.add(now, f"marking begins with {heap.unswept_bytes} bytes unswept")
        there = snapshot.dead_bytes + snapshot.reachable_bytes
        if there != heap.allocated_bytes - heap.freed_bytes:
            self.breaches.add(
                now, f"marking begins on {there} bytes, {heap.allocated_bytes - heap.freed_bytes} are there"
            )
        trigger, goal = world.collector.trigger_bytes, self._goal_bytes
        # Under a memory limit the goal sinks as memory besides the heap grows; the trigger is evaluated now and then.
        slack = goal // 16 if world.pacer.memory_limit_bytes < NO_LIMIT else 0
        if kind is TriggerKind.HEAP and trigger > goal + slack:
            self.breaches.add(
                now, f"cycle {world.collector.cycle} waited for {trigger} bytes, beyond its goal {goal}"
            )
        self._work = (float(world.spec.globals.scan_bytes), float(stack_bytes), snapshot.scan_work_bytes)
        self._cost_ns = world.mark.left_ns

    def mark_ends(self, world: World) -> None:
        """Mark termination: no grey work is left, nobody holds any, each kind was scanned whole, at its cost."""
        now = world.env.now
        cycle = world.collector.cycle
        held = sum(p.claim is not None for p in world.ps)
        if world.mark.left_ns > 0.0 or world.mark.claims or held:
            self.breaches.add(
                now, f"cycle {cycle} ended with {world.mark.left_ns} ns of grey work and {held} at it"
            )
        pacer = world.pacer
        done = (pacer.globals_scan_work_bytes, pacer.stack_scan_work_bytes, pacer.heap_scan_work_bytes)
        if any(abs(a - b) > _WORK_SLACK_BYTES for a, b in zip(done, self._work, strict=True)):
            self.breaches.add(
                now, f"cycle {cycle}: scan work {done} != globals, stacks and heap {self._work}"
            )
        cpu_ns = (
            pacer.assist_time_cpu_ns + pacer.dedicated_mark_time_cpu_ns + pacer.fractional_mark_time_cpu_ns
            + pacer.idle_mark_time_cpu_ns
        )  # fmt: skip
        if cpu_ns < self._cost_ns * (1 - 1e-6) - world.procs:
            self.breaches.add(
                now, f"cycle {cycle}: marking took {cpu_ns} ns of CPU, its work costs {self._cost_ns}"
            )

    def survived(self, world: World, marked_bytes: int) -> None:
        """What marking found dead is condemned: the rest, by structure, is what it marked."""
        heap = world.heap
        left = heap.dead_bytes + heap.reachable_bytes
        if left != marked_bytes:
            self.breaches.add(world.env.now, f"{marked_bytes} bytes marked, {left} are there")
        self.marked_bytes = marked_bytes
        self.marked_at_bytes = heap.allocated_bytes

    def minor_freed(self, world: World, freed_bytes: int, dead_bytes: int) -> None:
        """What a minor collection freed is what was dead: everything else can still be reached."""
        if freed_bytes != dead_bytes:
            self.breaches.add(
                world.env.now,
                f"minor collection {world.generations and world.generations.minors} freed {freed_bytes} bytes of the nursery, {dead_bytes} were dead",
            )

    # ---- the limiter ---------------------------------------------------------------------------------------

    def limiter(self, world: World, *, at_end: bool = False) -> None:
        """While it limits, marking has at most half of the CPU (pauses apart, which nothing can limit)."""
        limiting = world.limiter.limiting and not at_end
        if limiting == (self._limited is not None):
            return
        now = world.env.now
        spent = sum(_time_in(p, _GC_STATES, now) for p in world.ps)
        if limiting:
            # Assists under way go on, and a fractional worker may make up for what it has not had in this cycle.
            slack = float(sum((p.alarm.at_ns or now) - now for p in world.ps if p.state == "assist"))
            if world.is_marking:
                slack += _BACKGROUND_FRAC * world.procs * (now - world.pacer.mark_start_time_ns)
            self._limited = (now, spent, slack)
            return
        assert self._limited is not None
        since, before, slack = self._limited
        self._limited = None
        if spent - before > 0.5 * world.procs * (now - since) + slack:
            self.breaches.add(
                now, f"{spent - before} ns of GC CPU in {now - since} ns while the limiter was on"
            )


def _time_in(p: P, states: tuple[PState, ...], now_ns: int) -> int:
    """A P's time in these states up to now."""
    return sum(p.acc[state] for state in states) + (now_ns - p.since_ns if p.state in states else 0)
