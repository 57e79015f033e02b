"""Load: who runs requests, when they arrive, how sets are built, and what phases change.

Closed loop: `Worker` (in `goroutine`, requests that never block) or `RequestGoroutine` in a loop.  Open loop: arrivals
from the network, each starting a goroutine, or a dispatcher goroutine that sleeps until each arrival.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator
from itertools import repeat
from typing import TYPE_CHECKING, Any

import numpy as np

from gcsim.policy.constants import PAGE_BYTES
from gcsim.runtime.build import Builder
from gcsim.runtime.clock import Alarm
from gcsim.runtime.costs import Footprint
from gcsim.runtime.expand import expand_with_origins
from gcsim.runtime.goroutine import Goroutine, Worker
from gcsim.runtime.heap import RetainedState
from gcsim.runtime.program import Block, IntArray, Plan, SegmentPlan, Unlock
from gcsim.runtime.randomness import FloatArray, stream
from gcsim.runtime.sites import Site
from gcsim.runtime.stacks import stack_size
from gcsim.spec.models import BlockStep, DropStep, GCStep, LockStep, Phase, SyscallStep

if TYPE_CHECKING:
    from gcsim.runtime.world import P, World

# derived: runtime/sizeof_test.go TestSizeof, runtime.g and runtime.sudog (go1.27, 64-bit)
GOROUTINE_BYTES = 448
SUDOG_BYTES = 104
_BLOCK_REQUESTS = 512
_BLOCK_GAPS = 1024


def _each(values: int | IntArray, n: int) -> list[int]:
    """The value of each of `n` requests, a single number being that of all."""
    return [values] * n if isinstance(values, int) else values.tolist()


class Mutex:
    """A sync.Mutex: first come, first served."""

    def __init__(self) -> None:
        self.owner: Goroutine | None = None
        self.waiters: deque[Goroutine] = deque()


class _Part:
    """One segment of the requests of a block: its plan, and what each of them does in it.

    Attributes:
        sleeps: whether it ends with a timer.
        has_entry: whether its first instruction does something, see `RequestGoroutine.enter`.
        ns, alloc: CPU time and bytes.
        waits: how long the blocking step that ends it takes, in ns; nothing if it does not block for a time.
        temporary: bytes of its garbage that are dead as soon as they are used (None: none).
        dead: these, and what is dead from its end on (None: none).
    """

    __slots__ = ("alloc", "dead", "has_entry", "ns", "plan", "sleeps", "temporary", "waits")

    def __init__(self, plan: SegmentPlan, block: Block, number: int) -> None:
        self.plan = plan
        step = plan.ends_with
        self.sleeps = isinstance(step, BlockStep) and step.timer
        self.has_entry = bool(plan.pool_gets or plan.frames_bytes)
        self.ns: list[float] = block.ns[number].tolist()
        self.alloc = _each(block.alloc[number], block.n)
        waits = block.waits[number]
        self.waits: list[int] = [] if waits is None else waits.astype(int).tolist()
        dropped, temporary = block.deaths.dropped[number], block.deaths.temporary[number]
        self.temporary: list[int] | None = None if temporary is None else temporary.tolist()
        dead = temporary if dropped is None else dropped if temporary is None else dropped + temporary
        self.dead: list[int] | None = None if dead is None else dead.tolist()


class _Drawn:
    """A block of drawn requests, in lists with an element for each: one is read at a time, where arrays are slow.

    Attributes:
        parts: what they do by segment.
        ns, total, garbage, objects: CPU time, bytes allocated, and bytes and objects of them that die with the request.
        effects: what happens in a request, and how often.
        shares, varying: what each does at its sites: what is the same for all; and where it varies, the site, ns of
            an object there, bytes and objects.
    """

    __slots__ = ("effects", "garbage", "ns", "objects", "parts", "shares", "total", "varying")

    def __init__(self, plan: Plan, n: int) -> None:
        block = plan.draw(n)
        n = block.n
        parts = self.parts = [_Part(segment, block, i) for i, segment in enumerate(plan.segments)]
        self.ns: list[float] = list(map(sum, zip(*(part.ns for part in parts), strict=True)))
        self.total: list[int] = list(map(sum, zip(*(part.alloc for part in parts), strict=True)))
        self.garbage = _each(block.garbage, n)
        self.objects = _each(block.objects, n)
        self.effects = [(effect, _each(counts, n)) for effect, counts in block.effects]
        self.shares = block.shares
        self.varying: list[tuple[Site, float, list[int], list[int]]] = [
            (site, each_ns, sizes.tolist(), made.tolist()) for site, sizes, made, each_ns in block.varying
        ]


class RequestSource:
    """Drawn requests of one class, one after another.

    Attributes:
        frames_bytes, stack_bytes: a request's frames, and the stack that holds them.
        kept: pools that a request takes from and gives nothing back to.
        free: goroutines that have ended.  Go uses them again (runtime/proc.go gfput, gfget), and so does the simulation.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.name = plan.name
        self.frames_bytes = plan.spec.stack_used_bytes
        self.stack_bytes = stack_size(self.frames_bytes)
        self._rest: Iterator[tuple[_Drawn, int]] = iter(())
        self.free: list[RequestGoroutine] = []
        puts = [pool for segment in plan.segments for pool in segment.pool_puts]
        self.kept = [pool for segment in plan.segments for pool in segment.pool_gets if pool not in puts]

    def redraw(self) -> None:
        """Forget what was drawn ahead (a phase changed something)."""
        self._rest = iter(())

    def start(self, world: World, arrival_ns: int) -> RequestGoroutine:
        """A goroutine for a request that has arrived."""
        g = self.free.pop() if self.free else RequestGoroutine(world, self)
        return g.start(arrival_ns)

    def take(self) -> tuple[_Drawn, int]:
        """The next request: the block that it is drawn in, and its index there."""
        for request in self._rest:
            return request
        self._rest = zip(repeat(_Drawn(self.plan, _BLOCK_REQUESTS)), range(_BLOCK_REQUESTS), strict=False)
        return self.take()


class RequestGoroutine(Goroutine):
    """A goroutine that runs one request, or one after another (`loops`)."""

    __slots__ = (
        "_arrival_ns", "_assist_ns", "_buried", "_died", "_drawn", "_index", "_loops", "_part", "_segment", "_source",
    )  # fmt: skip

    _drawn: _Drawn
    _index: int

    def __init__(self, world: World, source: RequestSource, *, loops: bool = False) -> None:
        super().__init__(world, source.name)
        self.has_rows = False
        self._source = source
        self._loops = loops

    def start(self, arrival_ns: int) -> RequestGoroutine:
        """Begin a life with a request that arrived then."""
        world = self.world
        source = self._source
        self.rates = source.plan.rates
        self.credit = self.debited = 0
        self.assist_began_ns = -1
        self.frames_bytes = source.frames_bytes
        # The first request of a goroutine pays for its stack.
        growth_ns = 0.0
        self.stack_bytes = world.stacks.starting_bytes
        world.stacks.add(self)
        if self.stack_bytes < source.stack_bytes:
            growth_ns = world.stacks.grow(self, source.frames_bytes)
        self._next_request(arrival_ns, growth_ns)
        return self

    @property
    def request_class(self) -> str | None:
        return self._source.plan.name

    @property
    def makes(self) -> Footprint:
        return self._source.plan.mixed

    @property
    def garbage_frac(self) -> float:
        return self._source.plan.garbage_frac

    def _next_request(self, arrival_ns: int, growth_ns: float) -> None:
        self._drawn, self._index = self._source.take()
        self._arrival_ns = arrival_ns
        self._assist_ns = 0
        self._died = 0
        self._enter(0, growth_ns)

    def assisted(self, ns: int) -> None:
        self._assist_ns += ns

    @property
    def in_flight_bytes(self) -> int:
        before = self._drawn.parts[: self._segment]
        return sum(part.alloc[self._index] for part in before) + self.alloc - self._died

    @property
    def unbooked_bytes(self) -> int:
        return self.in_flight_bytes + self._died

    def bury(self) -> None:
        part = self._part
        total = part.alloc[self._index]
        if part.temporary is not None and total:
            self._bury(part.temporary[self._index] * self.alloc // total - self._buried)

    def _bury(self, size: int) -> None:
        """So many bytes more of the request are dead."""
        heap = self.world.heap
        heap.in_flight_bytes -= size
        heap.dead_bytes += size
        self._buried += size
        self._died += size

    def _enter(self, segment: int, growth_ns: float = 0.0) -> None:
        self._segment = segment
        self._buried = 0
        part = self._part = self._drawn.parts[segment]
        index = self._index
        # `begin` written out: most stretches of an open loop begin here.
        self.end = end = part.ns[index] + growth_ns
        self.cum_ns = (0.0, end)
        self.cum_alloc = (0, part.alloc[index])
        self.row = self.alloc = 0
        self.pos = 0.0
        self.has_entered = not part.has_entry

    def enter(self) -> None:
        """The segment's first instruction: what its pools do not have is allocated by the P that runs it."""
        self.has_entered = True
        segment = self._part.plan
        if segment.frames_bytes:
            ns = self.world.stacks.grow(
                self, self._source.frames_bytes + segment.frames_bytes, segment.frames
            )
            if ns:
                self.begin((0.0, self.end + ns), self.cum_alloc)
        for pool in segment.pool_gets:
            if not pool.get():
                self.world.heap.allocate_now(pool.item, pool.site)

    def finish_stretch(self, p: P) -> bool | None:
        part = self._part
        segment = part.plan
        for pool in segment.pool_puts:
            pool.put()
        if segment.frames_bytes:
            self.frames_bytes = self._source.frames_bytes
        step = segment.ends_with
        if step is None:
            return self._finish(p)
        world = self.world
        index = self._index
        if part.dead is not None and part.dead[index]:
            self._bury(part.dead[index] - self._buried)
        self._enter(self._segment + 1)
        if part.sleeps:
            world.sched.sleep(self, p, world.env.now + part.waits[index])
            return False
        if isinstance(step, BlockStep):
            world.sched.block(self, part.waits[index])
            return False
        if isinstance(step, SyscallStep):
            world.sched.syscall(p, self, part.waits[index])
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
        drawn = self._drawn
        index = self._index
        died = self._died
        objects = drawn.objects[index]
        heap.in_flight_bytes -= drawn.total[index] - died
        heap.dead_bytes += drawn.garbage[index] - died
        heap.dead_objects += objects
        shares = drawn.shares
        shares.requests += 1
        shares.ns += drawn.ns[index]
        for site, each_ns, sizes, made in drawn.varying:
            n = made[index]
            site.add(sizes[index], n, n * each_ns)
            shares.ns -= n * each_ns
        for effect, counts in drawn.effects:
            units = counts[index]
            if units:
                effect.units += units
                effect.apply(units, now)
                objects += units * effect.unit.objects
        heap.allocated_objects += objects
        source = self._source
        for pool in source.kept:
            pool.held -= 1
            heap.dead_bytes += pool.item.bytes
            heap.dead_objects += pool.item.objects
        probe = world.probe
        probe.finish_request(source.name, self._arrival_ns, now, self._assist_ns)
        if self._loops:
            probe.arrived += 1
            self._next_request(now, 0.0)
            return True
        world.stacks.remove(self)
        source.free.append(self)
        probe.load.finished(source.name)
        return False


class Dispatcher(Goroutine):
    """One goroutine that sleeps until each arrival and starts a goroutine for it; late ones go off in a burst."""

    __slots__ = ("_arrivals", "_due", "_one_ns", "_source", "_start_ns", "is_parked")

    def __init__(self, world: World, arrivals: Arrivals) -> None:
        super().__init__(world, f"{arrivals.source.plan.name}/dispatcher")
        self._arrivals = arrivals
        self._source = arrivals.source
        self._start_ns = world.profile["goroutine_start_ns"]
        self._one_ns = (0.0, self._start_ns)
        world.stacks.add(self)
        self._due: list[int] = []
        self.is_parked = False
        arrivals.changed = self.wake
        self._collect()

    def _collect(self) -> bool:
        """Arrivals that are due make the next stretch."""
        due = self._due = self._arrivals.take_due(self.world.env.now)
        n = len(due)
        if n <= 1:
            self.begin(self._one_ns, (0, 0))
        else:
            self.begin(tuple(k * self._start_ns for k in range(n + 1)), (0,) * (n + 1))
        return n > 0

    def finish_rows(self, p: P, first: int, last: int) -> None:
        world = self.world
        source = self._source
        load, sched = world.probe.load, world.sched
        for arrival_ns in self._due[first:last]:
            if load.admit(source.plan):
                sched.ready(source.start(world, arrival_ns), p, next_up=True)

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
        self._gaps: FloatArray = np.empty(0)  # still to come at a rate of one, the next one last
        self._gaps_ns: list[int] = []  # the same at the present rate
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
        if not self._gaps_ns:
            is_even = self._kind == "constant"
            self._gaps = (
                np.ones(_BLOCK_GAPS) if is_even else self._rng.standard_exponential(_BLOCK_GAPS)[::-1]
            )
            self._scale_gaps()
        return time_ns + self._gaps_ns.pop()

    def _scale_gaps(self) -> None:
        if self.rate_per_s > 0.0:
            gaps_ns = np.maximum(np.rint(self._gaps * (1e9 / self.rate_per_s)), 1.0)
            self._gaps_ns = list(map(int, gaps_ns.tolist()))

    @property
    def waiting(self) -> int:
        """Arrivals that nobody has seen yet."""
        return len(self._due)

    def advance(self, now: int) -> None:
        """Let everything arrive that is due."""
        next_ns = self.next_ns
        if next_ns is None or next_ns > now:
            return
        due = self._due
        before = len(due)
        while next_ns is not None and next_ns <= now:
            due.append(next_ns)
            next_ns = self._after(next_ns)
        self.next_ns = next_ns
        self._world.probe.arrived += len(due) - before

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
            self._gaps = self._gaps[: len(self._gaps_ns)]
            self._scale_gaps()
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
                world.sched.inject(self.source.start(world, arrival_ns))
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
            rate = plan.rates.bytes_per_ns * plan.rates.live_per_byte
            w.max_alloc_per_ns = (
                max(rate * w.procs, 1e-6) if len(self.plans) == 1 else max(w.max_alloc_per_ns, rate * w.procs)
            )
            if request.workers is not None:
                w.probe.arrived += request.workers
                self.closed_workers += request.workers
                for number in range(request.workers):
                    if plan.blocks:
                        source = RequestSource(plan)
                        w.sched.inject(RequestGoroutine(w, source, loops=True).start(w.env.now))
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
        limit = plan.max_in_flight
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
            fastest = max(
                (plan.rates.bytes_per_ns * plan.rates.live_per_byte for plan in self.plans), default=0.0
            )
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
