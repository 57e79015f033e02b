"""Load: who runs requests, when they arrive, how sets are built, and what phases change.

Closed loop: `Worker` (in `goroutine`, requests that never block) or `RequestGoroutine` in a loop.  Open loop: arrivals
from the network, each starting a goroutine, or a dispatcher goroutine that sleeps until each arrival.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from itertools import repeat
from typing import TYPE_CHECKING, Any

from gcsim.policy.constants import PAGE_BYTES
from gcsim.runtime.build import Builder
from gcsim.runtime.clock import Alarm
from gcsim.runtime.costs import Footprint
from gcsim.runtime.effects import Effect
from gcsim.runtime.expand import expand_with_origins
from gcsim.runtime.goroutine import Goroutine, Worker
from gcsim.runtime.heap import RetainedState
from gcsim.runtime.program import IntArray, Plan, Unlock
from gcsim.runtime.randomness import stream
from gcsim.runtime.sites import Shares, Site
from gcsim.spec.models import BlockStep, DropStep, GCStep, LockStep, Phase, SyscallStep

if TYPE_CHECKING:
    from gcsim.runtime.world import P, World

# derived: runtime/sizeof_test.go TestSizeof, runtime.g and runtime.sudog (go1.27, 64-bit)
GOROUTINE_BYTES = 448
SUDOG_BYTES = 104
_BLOCK_REQUESTS = 512


def _each(values: int | IntArray, n: int) -> list[int]:
    """The value of each of `n` requests, a single number being that of all."""
    return [values] * n if isinstance(values, int) else values.tolist()


class Mutex:
    """A sync.Mutex: first come, first served."""

    def __init__(self) -> None:
        self.owner: Goroutine | None = None
        self.waiters: deque[Goroutine] = deque()


class RequestSource:
    """Drawn requests of one class, one after another.

    Attributes:
        ns, alloc, waits: of each drawn request, by segment: CPU time, bytes, time blocked (ns, None if it is not).
        total, garbage, objects: of each: bytes allocated, and bytes and objects of them that die with it.
        dropped, temporary: of each, by segment: bytes of its garbage that are dead from the segment's end on, and that are
            dead as soon as they are used.
        effects: what happens in a request; `units` of each says how often.
        shares, varying: what each does at its sites: what is the same for all, and bytes and objects where it varies.
    """

    ns: list[tuple[float, ...]]
    alloc: list[tuple[int, ...]]
    waits: list[tuple[int | None, ...]]
    total: list[int]
    garbage: list[int]
    objects: list[int]
    dropped: list[tuple[int, ...]]
    temporary: list[tuple[int, ...]]
    effects: list[Effect]
    units: list[tuple[int, ...]]
    shares: Shares
    varying: list[tuple[tuple[int, int], ...]]
    varying_sites: list[tuple[Site, float]]

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._next = 0
        self._n = 0
        puts = [pool for segment in plan.segments for pool in segment.pool_puts]
        self.kept = [pool for segment in plan.segments for pool in segment.pool_gets if pool not in puts]

    def redraw(self) -> None:
        """Forget what was drawn ahead (a phase changed something)."""
        self._next = self._n

    def take(self) -> int:
        """Index of the next request in the lists of this source."""
        if self._next == self._n:
            block = self.plan.draw(_BLOCK_REQUESTS)
            self._next, self._n = 0, block.n
            self.ns = list(zip(*(a.tolist() for a in block.ns), strict=True))
            self.alloc = list(zip(*(_each(a, block.n) for a in block.alloc), strict=True))
            waits = (repeat(None, block.n) if a is None else a.astype(int).tolist() for a in block.waits)
            self.waits = list(zip(*waits, strict=True))
            self.dropped, self.temporary = (
                list(zip(*(repeat(0, block.n) if a is None else a.tolist() for a in rows), strict=True))
                for rows in (block.deaths.dropped, block.deaths.temporary)
            )
            self.total = [sum(segments) for segments in self.alloc]
            self.garbage = _each(block.garbage, block.n)
            self.objects = _each(block.objects, block.n)
            self.effects = [effect for effect, _ in block.effects]
            units = [_each(counts, block.n) for _, counts in block.effects]
            self.units = list(zip(*units, strict=True)) if units else [()] * block.n
            self.shares = block.shares
            pairs = [list(zip(b.tolist(), n.tolist(), strict=True)) for _, b, n, _ in block.varying]
            self.varying = list(zip(*pairs, strict=True)) if pairs else [()] * block.n
            self.varying_sites = [(site, each_ns) for site, _, _, each_ns in block.varying]
        index = self._next
        self._next += 1
        return index


class RequestGoroutine(Goroutine):
    """A goroutine that runs one request, or one after another (`loops`)."""

    __slots__ = (
        "_alloc", "_arrival_ns", "_assist_ns", "_buried", "_died", "_dropped", "_garbage", "_growth_ns", "_loops", "_ns", "_objects", "_segment", "_shares", "_source", "_temporary", "_total",
        "_units", "_varying", "_varying_sites", "_waits",
    )  # fmt: skip

    def __init__(self, world: World, source: RequestSource, arrival_ns: int, *, loops: bool = False) -> None:
        super().__init__(world, source.plan.name)
        self._source = source
        self._loops = loops
        self.use_rates(source.plan)
        world.stacks.add(self)
        self._growth_ns = world.stacks.grow(self, source.plan.spec.stack_used_bytes)
        self._next_request(arrival_ns)

    @property
    def request_class(self) -> str | None:
        return self._source.plan.name

    @property
    def makes(self) -> Footprint:
        return self._source.plan.mixed

    @property
    def garbage_frac(self) -> float:
        return self._source.plan.garbage_frac

    def _next_request(self, arrival_ns: int) -> None:
        source = self._source
        k = source.take()
        self._arrival_ns = arrival_ns
        self._assist_ns = 0
        self._ns = source.ns[k]
        self._alloc = source.alloc[k]
        self._waits = source.waits[k]
        self._dropped = source.dropped[k]
        self._temporary = source.temporary[k]
        self._died = 0
        self._garbage = source.garbage[k]
        self._objects = source.objects[k]
        self._units = source.units[k]
        self._shares = source.shares
        self._varying = source.varying[k]
        self._varying_sites = source.varying_sites
        self._total = source.total[k]
        self._enter(0)

    def assisted(self, ns: int) -> None:
        self._assist_ns += ns

    @property
    def in_flight_bytes(self) -> int:
        return int(sum(self._alloc[: self._segment])) + self.alloc - self._died

    @property
    def unbooked_bytes(self) -> int:
        return self.in_flight_bytes + self._died

    def bury(self) -> None:
        segment = self._segment
        total = self._alloc[segment]
        if self._temporary[segment] and total:
            self._bury(self._temporary[segment] * self.alloc // total - self._buried)

    def _bury(self, size: int) -> None:
        """So many bytes more of the request are dead."""
        heap = self.world.heap
        heap.in_flight_bytes -= size
        heap.dead_bytes += size
        self._buried += size
        self._died += size

    def _enter(self, segment: int) -> None:
        self._segment = segment
        self._buried = 0
        # The first request of a goroutine pays for its stack.
        self.begin((0.0, self._ns[segment] + self._growth_ns), (0, self._alloc[segment]))
        self._growth_ns = 0.0
        plan = self._source.plan.segments[segment]
        self.has_entered = not (plan.pool_gets or plan.frames_bytes)

    def enter(self) -> None:
        """The segment's first instruction: what its pools do not have is allocated by the P that runs it."""
        self.has_entered = True
        segment = self._source.plan.segments[self._segment]
        if segment.frames_bytes:
            used = self._source.plan.spec.stack_used_bytes + segment.frames_bytes
            ns = self.world.stacks.grow(self, used, segment.frames)
            if ns:
                self.begin((0.0, self.end + ns), self.cum_alloc)
        for pool in segment.pool_gets:
            if not pool.get():
                self.world.heap.allocate_now(pool.item, pool.site)

    def finish_stretch(self, p: P) -> bool | None:
        segment = self._segment
        plan_segment = self._source.plan.segments[segment]
        for pool in plan_segment.pool_puts:
            pool.put()
        if plan_segment.frames_bytes:
            self.frames_bytes = self._source.plan.spec.stack_used_bytes
        step = plan_segment.ends_with
        if step is None:
            return self._finish(p)
        world = self.world
        dead = self._dropped[segment] + self._temporary[segment]
        if dead:
            self._bury(dead - self._buried)
        wait = self._waits[segment]
        self._enter(segment + 1)
        if isinstance(step, BlockStep):
            assert wait is not None
            if step.timer:
                world.sched.sleep(self, p, world.env.now + wait)
            else:
                world.sched.block(self, wait)
            return False
        if isinstance(step, SyscallStep):
            assert wait is not None
            world.sched.syscall(p, self, wait)
            return None
        if isinstance(step, LockStep):
            mutex = world.probe.load.mutexes.setdefault(step.name, Mutex())
            if mutex.owner is None:
                mutex.owner = self
                return True
            mutex.waiters.append(self)
            return False
        if isinstance(step, Unlock):
            mutex = world.probe.load.mutexes[step.name]
            mutex.owner = mutex.waiters.popleft() if mutex.waiters else None
            if mutex.owner is not None:
                world.sched.ready(mutex.owner, p)
            return True
        if isinstance(step, DropStep):
            return True
        assert isinstance(step, GCStep)
        world.collector.force(self)
        return False

    def _finish(self, p: P) -> bool:
        world = self.world
        heap = world.heap
        now = world.env.now
        heap.in_flight_bytes -= self._total - self._died
        heap.dead_bytes += self._garbage - self._died
        heap.dead_objects += self._objects
        objects = self._objects
        self._shares.requests += 1
        self._shares.ns += sum(self._ns)
        if self._varying:
            for (site, each_ns), (bytes_, n) in zip(self._varying_sites, self._varying, strict=True):
                site.add(bytes_, n, n * each_ns)
                self._shares.ns -= n * each_ns
        for effect, units in zip(self._source.effects, self._units, strict=True):
            if units:
                effect.units += units
                effect.apply(units, now)
                objects += units * effect.unit.objects
        heap.allocated_objects += objects
        for pool in self._source.kept:
            pool.held -= 1
            heap.dead_bytes += pool.item.bytes
            heap.dead_objects += pool.item.objects
        world.probe.finish_request(self._source.plan.name, self._arrival_ns, now, self._assist_ns)
        if self._loops:
            world.probe.arrived += 1
            self._next_request(now)
            return True
        world.stacks.remove(self)
        world.probe.load.finished(self._source.plan.name)
        return False


class Dispatcher(Goroutine):
    """One goroutine that sleeps until each arrival and starts a goroutine for it; late ones go off in a burst."""

    __slots__ = ("_arrivals", "_due", "_source", "_start_ns", "is_parked")

    def __init__(self, world: World, arrivals: Arrivals) -> None:
        super().__init__(world, f"{arrivals.source.plan.name}/dispatcher")
        self._arrivals = arrivals
        self._source = arrivals.source
        self._start_ns = world.profile["goroutine_start_ns"]
        world.stacks.add(self)
        self._due: list[int] = []
        self.is_parked = False
        arrivals.changed = self.wake
        self._collect()

    def _collect(self) -> bool:
        """Arrivals that are due make the next stretch."""
        self._due = self._arrivals.take_due(self.world.env.now)
        n = len(self._due)
        if n <= 1:
            self.begin((0.0, self._start_ns), (0, 0))
        else:
            self.begin(tuple(k * self._start_ns for k in range(n + 1)), (0,) * (n + 1))
        return bool(self._due)

    def finish_rows(self, p: P, first: int, last: int) -> None:
        world = self.world
        for arrival_ns in self._due[first:last]:
            if world.probe.load.admit(self._source.plan):
                world.sched.ready(RequestGoroutine(world, self._source, arrival_ns), p, next_up=True)

    def finish_stretch(self, p: P) -> bool | None:
        if self._collect():
            return True
        due = self._arrivals.next_ns
        if due is not None:
            self.world.sched.sleep(self, p, due)
        else:
            self.is_parked = True
        return False

    def wake(self) -> None:
        """The next arrival is at another time than it slept for."""
        if self.is_parked or self.world.sched.interrupt_sleep(self):
            self.is_parked = False
            self.world.sched.inject(self)

    @property
    def not_started(self) -> int:
        """Arrivals it has seen and started no goroutine for yet."""
        return len(self._due) - min(self.row, len(self._due))


class Arrivals:
    """Arrival times of one open-loop class."""

    def __init__(self, world: World, plan: Plan) -> None:
        spec = plan.spec
        self._world = world
        self.source = RequestSource(plan)
        self._kind = spec.arrivals
        self._rng = stream(world.seed, f"arrivals.{spec.name}")
        self.rate_per_s = spec.rate_per_s or 0.0
        self._recorded = iter(spec.arrival_times_ns)
        self._start_ns = world.env.now
        self._end_ns = self._start_ns + world.spec.run.duration
        self._gaps: list[float] = []
        self._due: list[int] = []
        self._network = Alarm(world.env, self._from_network)
        self.changed = self._plan
        self.next_ns: int | None = self._after(self._start_ns)

    def _after(self, time_ns: int) -> int | None:
        if self._kind == "recorded":
            t = next(self._recorded, None)
            return None if t is None else self._start_ns + t
        if self.rate_per_s <= 0.0:
            return None
        mean = 1e9 / self.rate_per_s
        if self._kind == "constant":
            return time_ns + max(1, round(mean))
        if not self._gaps:
            self._gaps = self._rng.standard_exponential(1024).tolist()
            self._gaps.reverse()
        return time_ns + max(1, round(self._gaps.pop() * mean))

    @property
    def waiting(self) -> int:
        """Arrivals that nobody has seen yet."""
        return len(self._due)

    def advance(self, now: int) -> None:
        """Let everything arrive that is due."""
        next_ns = self.next_ns
        while next_ns is not None and next_ns <= now:
            self._due.append(next_ns)
            self._world.probe.arrived += 1
            self.next_ns = next_ns = self._after(next_ns)

    def take_due(self, now: int) -> list[int]:
        """Arrivals up to now, in order."""
        self.advance(now)
        due, self._due = self._due, []
        return due

    def set_rate(self, rate_per_s: float) -> None:
        """From now on another mean rate."""
        if self._kind != "recorded":
            now = self._world.env.now
            self.advance(now)
            self.rate_per_s = rate_per_s
            self.next_ns = self._after(now)
            self.changed()

    def listen(self) -> None:
        """Each arrival readies a goroutine through the netpoller."""
        self._plan()

    def _plan(self) -> None:
        if self._due:
            self._network.set(self._world.env.now)
        elif self.next_ns is not None:
            self._network.set(max(self.next_ns, self._world.env.now))
        else:
            self._network.clear()

    def _from_network(self) -> None:
        world = self._world
        for arrival_ns in self.take_due(world.env.now):
            if world.probe.load.admit(self.source.plan):
                world.sched.inject(RequestGoroutine(world, self.source, arrival_ns))
        self._plan()


class Load:
    """The course of a run: start-up, settle, load; and its phases."""

    def __init__(self, world: World) -> None:
        self._w = world
        self.mutexes: dict[str, Mutex] = {}
        self.plans: list[Plan] = []
        self.workers: list[Worker] = []
        self.arrivals: dict[str, Arrivals] = {}
        self.dispatchers: list[Dispatcher] = []
        self.in_flight: dict[str, int] = {}
        self.closed_workers = 0
        self.load_start_ns = 0
        self.end = world.env.event()

    @property
    def spans_per_byte(self) -> float:
        """Spans per byte of what requests allocate, on average over the classes."""
        if not self.plans:
            return 1 / PAGE_BYTES
        return sum(plan.spans_per_byte for plan in self.plans) / len(self.plans)

    def run(self) -> Generator[Any, Any, None]:
        """SimPy process: the whole course.  Succeeds `end` when the load phase is over."""
        w = self._w
        env = w.env
        spec = w.spec
        self._declare_idle()
        built = env.event()
        early = [(w.heap.retained[s.name], s.entries) for s in spec.retained if s.built == "start_up"]
        w.sched.inject(Builder(w, early, built.succeed))
        w.collector.watch()
        yield built
        yield env.timeout(spec.run.settle)
        w.commit_all()
        self.load_start_ns = env.now
        w.probe.set_phase("warm_up" if spec.run.warm_up else "load")
        late = [(w.heap.retained[s.name], s.entries) for s in spec.retained if s.built == "load_start"]
        if late:
            built = env.event()
            w.sched.inject(Builder(w, late, built.succeed))
            w.collector.watch()
            yield built
        self._start_requests()
        if spec.phases:
            env.process(self._phases())
        if spec.run.warm_up:
            yield env.timeout(max(0, self.load_start_ns + spec.run.warm_up - env.now))
            w.probe.set_phase("load")
        # In the last nanosecond, so that it belongs to the last window.
        yield env.timeout(max(0, self.load_start_ns + spec.run.duration - 1 - env.now))
        self._report()
        yield env.timeout(max(0, self.load_start_ns + spec.run.duration - env.now))
        self.end.succeed()

    def _report(self) -> None:
        """A measuring program puts its results together at the end: counted as allocated, its time is not."""
        w = self._w
        w.commit_all()
        w.settle()
        size = round(w.spec.run.latency_report_bytes_per_request * w.probe.completed_in_load)
        if size:
            unit = w.costs.object(size, 0)
            w.heap.leaked = w.heap.leaked + unit
            w.heap.allocate_now(unit, w.heap.sites.get("report"))

    def _declare_idle(self) -> None:
        w = self._w
        idle = w.spec.idle_goroutines
        # Each goroutine is a heap object too, and each that waits on a channel has a sudog.
        for size, words in ((GOROUTINE_BYTES, GOROUTINE_BYTES // 8), (SUDOG_BYTES, SUDOG_BYTES // 8)):
            if idle.count:
                unit = w.costs.object(size, words).times(idle.count)
                w.heap.fixed.append(unit)
                w.heap.allocate_now(unit, w.heap.sites.get("goroutines"))

    def _start_requests(self) -> None:
        w = self._w
        for request in w.spec.requests:
            written_out, origins = expand_with_origins(
                request, w.spec.sites, profile=w.profile, rules=w.rules, seed=w.seed
            )
            asked = [(number, request.steps[number]) for number in origins]
            plan = Plan(written_out, w.costs, w.heap, w.seed, asked)
            self.plans.append(plan)
            self.in_flight[plan.name] = 0
            rate = plan.bytes_per_ns * plan.live_per_byte
            w.max_alloc_per_ns = (
                max(rate * w.procs, 1e-6) if len(self.plans) == 1 else max(w.max_alloc_per_ns, rate * w.procs)
            )
            if request.workers is not None:
                w.probe.arrived += request.workers
                self.closed_workers += request.workers
                for number in range(request.workers):
                    if plan.blocks:
                        source = RequestSource(plan)
                        w.sched.inject(RequestGoroutine(w, source, w.env.now, loops=True))
                    else:
                        worker = Worker(w, plan, number)
                        w.stacks.add(worker)
                        self.workers.append(worker)
                        w.sched.inject(worker)
            else:
                arrivals = self.arrivals[plan.name] = Arrivals(w, plan)
                if request.dispatcher:
                    self.dispatchers.append(Dispatcher(w, arrivals))
                    w.sched.inject(self.dispatchers[-1])
                else:
                    arrivals.listen()
        if w.generations is None:  # a nursery has no spans
            w.refill_ahead_bytes = w.costs.refill_ahead_bytes
        w.memory.watch()
        w.collector.watch()

    def admit(self, plan: Plan) -> bool:
        """Whether an arrival may start, or is dropped."""
        limit = plan.spec.max_in_flight
        if limit is not None and self.in_flight[plan.name] >= limit:
            self._w.probe.dropped += 1
            return False
        self.in_flight[plan.name] += 1
        return True

    @property
    def queued(self) -> int:
        """Requests in the system: waiting to be started, runnable, running or blocked."""
        waiting = sum(arrivals.waiting for arrivals in self.arrivals.values())
        waiting += sum(dispatcher.not_started for dispatcher in self.dispatchers)
        return waiting + sum(self.in_flight.values()) + self.closed_workers

    def finished(self, name: str) -> None:
        """A request of an open-loop class has ended."""
        self.in_flight[name] -= 1

    # ---- phases --------------------------------------------------------------------------------------------

    def _phases(self) -> Generator[Any, Any, None]:
        w = self._w
        start_ns = self.load_start_ns
        while True:
            for phase in w.spec.phases:
                yield w.env.timeout(max(0, start_ns - w.env.now))
                self._apply(phase)
                start_ns += phase.duration
            if not w.spec.repeat_phases:
                return

    def _apply(self, phase: Phase) -> None:
        w = self._w
        w.commit_all()
        w.settle()
        if phase.rate_per_s is not None:
            for name, arrivals in self.arrivals.items():
                rate = phase.rate_per_s.get(name) if isinstance(phase.rate_per_s, dict) else phase.rate_per_s
                if rate is not None:
                    arrivals.set_rate(rate)
        if phase.garbage_scale is not None:
            for plan in self.plans:
                plan.set_scale(phase.garbage_scale)
            for arrivals in self.arrivals.values():
                arrivals.source.redraw()
            for worker in self.workers:
                worker.cut_short()
            fastest = max((plan.bytes_per_ns * plan.live_per_byte for plan in self.plans), default=0.0)
            w.max_alloc_per_ns = max(w.max_alloc_per_ns, fastest * w.procs)
            w.restart_slices()
        for name, entries in (phase.entries or {}).items():
            self._resize(w.heap.retained[name], entries)
        if phase.gogc != "keep":
            w.pacer.set_gc_percent(-1 if phase.gogc is None else phase.gogc)
            w.probe.event("gogc", "percent; -1 is off", float(w.pacer.gogc_percent))
        if phase.gomemlimit != "keep":
            w.pacer.set_memory_limit((1 << 63) - 1 if phase.gomemlimit is None else phase.gomemlimit)
            w.probe.event("gomemlimit", "bytes", float(w.pacer.memory_limit_bytes))
        if phase.gogc != "keep" or phase.gomemlimit != "keep":
            w.memory.update()
            w.pacer.commit(not w.sweep.is_active)
            w.memory.pace_scavenger()
        w.collector.watch()

    def _resize(self, retained: RetainedState, entries: int) -> None:
        w = self._w
        coming = retained.entries - retained.stale + retained.building
        if entries < coming:
            retained.shrink(min(coming - entries, retained.entries), w.heap)
            if retained.is_remade:
                retained.room = 0
                w.sched.inject(Builder(w, [(retained, 0)], lambda: None))
        elif entries > coming:
            w.sched.inject(Builder(w, [(retained, entries - coming)], lambda: None))
