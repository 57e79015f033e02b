"""The state that all actors share: Ps, heap, pacer, limiter, the phase of the collector; and slices.

A P runs one **slice** at a time: a stretch of a goroutine, a piece of marking, an assist.  Starting, cutting and
finishing slices of mutators happens here; who runs next is the scheduler's, how marking proceeds the mark phase's.
After anything here returned, the world may have changed: read again.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Sequence
from math import ceil
from typing import TYPE_CHECKING

from gcsim.policy.limiter import GCCPULimiter, LimiterEvent, LimiterEventType
from gcsim.policy.pacer import make_pacer
from gcsim.policy.releases import ReleaseRules
from gcsim.policy.workers import TriggerKind
from gcsim.runtime.clock import Alarm, Clock
from gcsim.runtime.costs import CostModel, Footprint
from gcsim.runtime.goroutine import Goroutine, Rates
from gcsim.runtime.heap import Heap, PoolState
from gcsim.runtime.records import PState
from gcsim.spec.models import Spec
from gcsim.spec.profile import MachineProfile

if TYPE_CHECKING:
    from gcsim.runtime.audit import Audit
    from gcsim.runtime.cycle import Collector
    from gcsim.runtime.generations import Generations
    from gcsim.runtime.invariants import Watch
    from gcsim.runtime.machine import Cores
    from gcsim.runtime.mark import MarkPhase, Stage
    from gcsim.runtime.memory import Memory
    from gcsim.runtime.probe import Probe
    from gcsim.runtime.scheduler import Scheduler
    from gcsim.runtime.stacks import Stacks
    from gcsim.runtime.sweep import Sweep

NO_LIMIT = (1 << 63) - 1
_NEAR_ROWS = 32
_IDLE = LimiterEventType.IDLE  # enumerations are slow to look up
_SLOWS_KEPT = 64
STATES: tuple[PState, ...] = (
    "mutator", "assist", "dedicated", "fractional", "idle_worker", "stw", "sweep", "scavenge", "overhead", "idle",
)  # fmt: skip
GC_STATES = frozenset(("assist", "dedicated", "fractional"))


class P:
    """A processor in Go's sense: the right to run goroutines.

    Attributes:
        state: what its time is charged to.  since_ns: from when.
        goroutine: whom it runs; kept while the world is stopped.
        began_ns: start of the running slice (in the future while a switch is paid for).
        alarm: what it does next, and when.  at: do that at this time, unless something else is set before.
        schedtick: goroutines executed; sysmon recognises a new one by it.
        switches: to goroutines, whose time is still charged to the mutator (see `World.book_switches`).
        fractional_ns: time given to the fractional worker in this cycle.
        debt_ns: time that background goroutines took from it and its mutator has not lost yet.
        cache_empty: its span caches were flushed; the next allocation charges fresh spans.
        to_lump_bytes: what it allocates until it meets spans that have nothing free (see `Sweep`).
    """

    __slots__ = (
        "acc", "alarm", "at", "began_ns", "cache_empty", "claim", "debt_ns", "fractional_ns", "goroutine", "id", "is_spinning",
        "leaves_at_end", "limiter_event", "live_rest", "runnext", "runq", "schedtick", "seen_ns", "seen_tick",
        "since_ns", "state", "switches", "timers", "to_lump_bytes", "worker_began_ns",
    )  # fmt: skip

    def __init__(self, world: World, number: int) -> None:
        self.id = number
        self.state: PState = "idle"
        self.since_ns = world.env.now
        self.acc: dict[PState, int] = dict.fromkeys(STATES, 0)
        self.goroutine: Goroutine | None = None
        self.began_ns = 0
        self.alarm = Alarm(world.env, _nothing, self)
        self.at: Callable[[int, Callable[[P], None]], None] = self.alarm.do
        self.runq: deque[Goroutine] = deque()
        self.runnext: Goroutine | None = None
        self.timers: list[tuple[int, int, Goroutine]] = []
        self.schedtick = 0
        self.switches = 0
        self.seen_tick = -1
        self.seen_ns = 0
        self.is_spinning = False
        self.fractional_ns = 0
        self.worker_began_ns = 0
        self.leaves_at_end = False
        self.claim: tuple[Stage, float, float] | None = None
        self.cache_empty = True
        self.to_lump_bytes = 0.0
        self.live_rest = 0.0
        self.debt_ns = 0
        self.limiter_event = LimiterEvent()
        self.limiter_event.start(_IDLE, world.env.now)


def _near(sums: Sequence[float], x: float, lo: int) -> int:
    """`bisect_right` from `lo` on, for what is usually close by: fewer steps, and they meet what is in the cache."""
    hi = lo + _NEAR_ROWS
    if hi >= len(sums) or sums[hi] <= x:
        hi = len(sums)
    return bisect_right(sums, x, lo, hi)


def _nothing(p: P) -> None:
    """What a P's alarm does that has never been set."""


class World:
    """One simulated process.  Built by `gcsim.runtime.engine`, which wires the parts."""

    sched: Scheduler
    mark: MarkPhase
    collector: Collector
    stacks: Stacks
    sweep: Sweep
    memory: Memory
    probe: Probe
    cores: Cores
    watch: Watch
    audit: Audit

    def __init__(
        self, spec: Spec, profile: MachineProfile, rules: ReleaseRules, seed: int, procs: int
    ) -> None:
        self.env = Clock(initial_time=0)
        self.spec = spec
        self.profile = profile
        self.rules = rules
        self.seed = seed
        self.costs = CostModel(profile, rules, procs, spec.machine.cores)
        self.heap = Heap(self.charge_now)
        gogc = spec.runtime.gogc
        limit = spec.runtime.gomemlimit
        self.pacer = make_pacer(
            rules,
            gogc_percent=-1 if gogc is None else gogc,
            memory_limit_bytes=NO_LIMIT if limit is None else limit,
        )
        # Bound here: to bind a method anew costs as much as calling it.
        self._slice_ends = self.finish_slice
        self._credit_ends = self._credit_used_up
        self._lump_met = self._meet_lump
        self._slows: dict[Rates, dict[int, float]] = {}  # `slow_of`, by number of running mutators
        self._switch_ns = int(profile["context_switch_ns"])
        self.procs = procs  # GOMAXPROCS
        self.ps = [P(self, i) for i in range(procs)]
        self.limiter = GCCPULimiter(0, procs, [p.limiter_event for p in self.ps])
        self.is_marking = False
        self.is_stopped = False
        self.generations: Generations | None = None
        has_generations = spec.runtime.collector == "generational"
        self.costs.barrier_always_on = has_generations
        self.assists_enabled = spec.runtime.assists and not has_generations
        self.idle_workers_enabled = spec.runtime.idle_workers
        # As GODEBUG=gcstoptheworld: 0, 1 (marking without the program) or 2 (sweeping too).
        self.stop_the_world = 0
        if spec.runtime.collector == "stop_the_world":
            self.stop_the_world = 2 if spec.runtime.stop_the_world_sweep else 1
        self.alive: dict[Goroutine, None] = {}
        self.running_mutators = 0  # Ps in that state
        self.idle_ps = procs
        self.max_alloc_per_ns = 0.0
        self.refill_ahead_bytes = 0

    # ---- time of Ps ----------------------------------------------------------------------------------------

    def set_state(self, p: P, state: PState) -> None:
        """From now on the P's time is charged to `state`."""
        old = p.state
        if old is state:
            return
        now = self.env.now
        since = p.since_ns
        if now > since:
            p.acc[old] += now - since
            if self.probe.records_p_states:
                self.probe.p_interval(p, old, since, now)
            p.since_ns = now
        p.state = state
        if state == "mutator":
            self.running_mutators += 1
        elif old == "mutator":
            self.running_mutators -= 1
        if old == "idle":
            self.idle_ps -= 1
            p.limiter_event.stop(_IDLE, now, self.limiter)
            self.cores.changed()
        elif state == "idle":
            self.idle_ps += 1
            p.limiter_event.start(_IDLE, now)
            self.cores.changed()

    def charge(self, p: P, state: PState, ns: int) -> None:
        """Move `ns` of the P's present state to `state` (switches, sweeping on the way)."""
        if p.state == "mutator":
            self.watch.moved_ns += ns
        p.acc[p.state] -= ns
        p.acc[state] += ns

    def book_switches(self) -> None:
        """Charge the time of the switches so far, each of which delayed the mutator that it was for.

        Nobody looks at it in between, so it is not done at each switch.
        """
        for p in self.ps:
            ns = p.switches * self._switch_ns
            p.switches = 0
            self.watch.moved_ns += ns
            p.acc["mutator"] -= ns
            p.acc["overhead"] += ns

    def flush_states(self) -> None:
        """Bring every P's time accounts up to now."""
        self.book_switches()
        now = self.env.now
        for p in self.ps:
            if now > p.since_ns:
                p.acc[p.state] += now - p.since_ns
                if self.probe.records_p_states:
                    self.probe.p_interval(p, p.state, p.since_ns, now)
                p.since_ns = now

    # ---- slices of mutators --------------------------------------------------------------------------------

    def charge_background(self, state: PState, ns: int) -> None:
        """A background goroutine of the runtime took `ns` from a P: an idle one if there is, else a mutator pays."""
        for p in self.ps:
            if p.state == "idle":
                self.charge(p, state, ns)
                return
        for p in self.ps:
            if p.state == "mutator":
                p.debt_ns += ns
                self.charge(p, state, ns)
                return

    def start_slice(self, p: P) -> None:
        """Let the P's goroutine go on, as fast as it is just now, until its stretch ends or its assist credit does."""
        g = p.goroutine
        assert g is not None, "a slice needs a goroutine"
        if p.state != "mutator":
            self.set_state(p, "mutator")
        if self.cores.is_throttled:
            self.cores.hold(p)
            return
        now = self.env.now
        if p.began_ns < now:
            p.began_ns = now
        if p.debt_ns:
            p.began_ns += p.debt_ns
            p.debt_ns = 0
        if p.cache_empty and g.rates.bytes_per_ns > 0.0:
            # Its first allocations take whole spans.
            p.cache_empty = False
            self.pacer.heap_live_bytes += self.refill_ahead_bytes
        try:
            g.slow = self._slows[g.rates][self.running_mutators]
        except KeyError:
            g.slow = self._work_out_slow(g.rates)
        if g.trace_knots:
            g.knot(p.began_ns)
        if not g.has_entered:
            g.enter()
        if not self.is_marking:
            end, action = g.end, self._slice_ends
            if self.sweep.lumps_every_bytes:
                until = max(0, int(p.to_lump_bytes))
                if g.cum_alloc[-1] - g.alloc > until:
                    end = self._pos_of_alloc(g, g.alloc + until + 1)
                    action = self._lump_met
            p.alarm.do(p.began_ns + ceil((end - g.pos) * g.slow), action)
        elif g.credit < 0 and self.mark.needs_assists:
            self.mark.assist(p, g)
        else:
            self._plan_slice(p, g)

    def slow_of(self, rates: Rates) -> float:
        """Wall time per CPU time of a mutator that does so much, beside what else is going on just now."""
        slow = rates.plain_slow
        if self.is_marking:
            slow = rates.mark_slow
        elif self.sweep.is_active:
            slow += self.sweep.ns_per_byte * rates.bytes_per_ns * rates.live_per_byte
        if rates.contended_frac:
            # Costs are those beside mutators on all other Ps; markers and idle Ps leave the caches to whom they are.
            busy_frac = (self.running_mutators - 1) / (self.procs - 1)
            slow *= 1.0 - rates.contended_frac * (1.0 - busy_frac)
        memory = self.memory
        faulting_frac = 1.0 if memory.is_faulting else memory.reused_frac
        if faulting_frac:
            slow += memory.fault_ns_per_byte * rates.bytes_per_ns * faulting_frac
        return slow * self.cores.slow

    def _work_out_slow(self, rates: Rates) -> float:
        """As `slow_of`, and remembered: it changes some hundred times a second, and slices begin by the ten thousand."""
        if len(self._slows) >= _SLOWS_KEPT:  # each block of requests brings rates of its own
            self._slows.clear()
        slow = self._slows.setdefault(rates, {})[self.running_mutators] = self.slow_of(rates)
        return slow

    def forget_slows(self) -> None:
        """Something is going on that was not, or no longer: whoever changes what `slow_of` reads says so here."""
        self._slows.clear()

    def _plan_slice(self, p: P, g: Goroutine) -> None:
        """When a slice beside marking ends: with its stretch, or with the goroutine's credit."""
        end = g.end
        action = self._slice_ends
        if self.mark.needs_assists:
            g.credit += g.debited  # paid for; from here on it is counted as it is allocated
            g.debited = 0
            if g.cum_alloc[-1] - g.alloc > g.credit:
                at = self._pos_of_alloc(g, g.alloc + g.credit + 1)
                if at < end:
                    end = at
                    action = self._credit_ends
        p.alarm.do(p.began_ns + ceil((end - g.pos) * g.slow), action)

    @staticmethod
    def _pos_of_alloc(g: Goroutine, alloc: int) -> float:
        """CPU ns into the stretch at which `alloc` of its bytes have been allocated."""
        i = g.ahead = _near(g.cum_alloc, alloc - 1, g.row) - 1
        if i + 1 >= len(g.cum_alloc):
            return g.end
        a0, a1 = g.cum_alloc[i], g.cum_alloc[i + 1]
        t0, t1 = g.cum_ns[i], g.cum_ns[i + 1]
        return max(g.pos, t0 + (t1 - t0) * (alloc - a0) / (a1 - a0))

    def commit(self, p: P) -> None:
        """Book what the P's mutator has done up to now; its slice may then be cut or go on."""
        g = p.goroutine
        now = self.env.now
        ran = now - p.began_ns
        if ran <= 0 or g is None or p.state != "mutator":
            return
        self.watch.ran_ns += ran
        p.began_ns = now
        pos = g.pos + ran / g.slow
        at_end = pos >= g.end
        if at_end:
            pos = g.end
        g.pos = pos
        if g.trace_knots:
            g.knot(now)
        row = g.row
        if g.has_rows:
            cum = g.cum_ns
            last = len(cum) - 1
            if row < last and pos >= cum[row + 1]:
                done = last if at_end else g.ahead
                # Elsewhere than its slice was planned to end?  If not, nothing else of a long curve is touched.
                if not at_end and not (row < done < last and cum[done] <= pos < cum[done + 1]):
                    done = _near(cum, pos, row + 1) - 1
                g.finish_rows(p, row, done)
                g.row = row = done
        if at_end:
            alloc = g.cum_alloc[-1]
        else:
            t0, t1 = g.cum_ns[row], g.cum_ns[row + 1]
            a0, a1 = g.cum_alloc[row], g.cum_alloc[row + 1]
            alloc = a0 + int((a1 - a0) * ((pos - t0) / (t1 - t0)))
        n = alloc - g.alloc
        if n > 0:
            g.alloc = alloc
            self.allocate(p, g, n)

    def allocate(self, p: P, g: Goroutine, n: int) -> None:
        """`n` bytes of objects were allocated by `g` on `p`: heap, pacer, credit, trigger."""
        heap = self.heap
        heap.allocated_bytes += n
        heap.in_flight_bytes += n
        if self.generations is not None:
            self.generations.allocated(p, g, n)
            return
        rates = g.rates
        live = n * rates.live_per_byte + p.live_rest
        charged = int(live)
        p.live_rest = live - charged
        pacer = self.pacer
        pacer.heap_live_bytes += charged
        if self.is_marking:
            g.credit -= n
            # Only allocation revises the ratio, as in Go: who has just worked is credited at the old one.
            pacer.revise()
            return
        pacer.heap_scan_bytes += int(n * rates.scannable_per_byte)
        if self.sweep.is_active:
            p.to_lump_bytes -= n
            self.sweep.by_allocation(p, charged)
        if pacer.heap_live_bytes >= self.collector.trigger_bytes:
            self.collector.request(p, TriggerKind.HEAP)

    def finish_slice(self, p: P) -> None:
        """The stretch of the P's goroutine should be over by now."""
        self.commit(p)
        g = p.goroutine
        assert g is not None
        # If not, somebody slowed it down meanwhile.
        going_on = g.finish_stretch(p) if g.pos >= g.end - 1e-6 else True
        if going_on:
            self.start_slice(p)
        elif going_on is False:
            p.goroutine = None
            self.sched.schedule(p)

    def _meet_lump(self, p: P) -> None:
        self.commit(p)
        if not self.is_marking and self.sweep.lumps_every_bytes and p.to_lump_bytes <= 1.0:
            self.set_state(p, "sweep")
            p.at(self.env.now + ceil(self.sweep.meet_lump(p) * self.cores.slow), self.start_slice)
        else:
            self.start_slice(p)

    def _credit_used_up(self, p: P) -> None:
        self.commit(p)
        g = p.goroutine
        assert g is not None
        if self.is_marking and g.credit <= 0 and self.mark.needs_assists:
            if g.credit == 0:
                # Rounding of the position may leave the byte that goes below zero to be allocated.
                g.credit = -1
            # Go debits an object whole, before it allocates it.
            g.debited = g.rates.object_bytes - 1
            g.credit -= g.debited
            if self.mark.steal(g):
                self._plan_slice(p, g)
            else:
                self.mark.assist_itself(p, g)
        else:
            self.start_slice(p)

    def cut(self, p: P) -> None:
        """Commit a mutator's slice and silence its alarm."""
        self.commit(p)
        p.alarm.clear()

    def commit_all(self) -> None:
        """Commit every running mutator; slices go on."""
        for p in self.ps:
            if p.state == "mutator":
                self.commit(p)

    def settle(self) -> None:
        """Book every finished request of closed-loop workers (see `Worker.settle`)."""
        for worker in self.probe.load.workers:
            worker.settle()

    def restart_slices(self) -> None:
        """Rates have changed: cut every running mutator and let it go on at its new rate."""
        for p in self.ps:
            if p.state == "mutator" and p.goroutine is not None:
                self.cut(p)
                self.start_slice(p)

    def charge_now(self, unit: Footprint) -> None:
        """Something was allocated outside any stretch: the pacer's view of it (called by `Heap.allocate_now`)."""
        if self.generations is not None:
            self.generations.check(None)
            return
        self.pacer.heap_live_bytes += int(unit.live_bytes)
        if not self.is_marking:
            self.pacer.heap_scan_bytes += unit.scannable_bytes

    # ---- pools ---------------------------------------------------------------------------------------------

    def pool_cycle(self, pool: PoolState, n: int, *, returned: bool) -> None:
        """A goroutine that never blocks did `n` Gets (and Puts, if `returned`)."""
        missed = 0
        if returned:
            # Get and Put alternate on one P: only the first can miss, the rest find what was just put back.
            pool.gets += n - 1
            if not pool.get():
                missed = 1
            pool.put()
        else:
            for _ in range(n):
                if not pool.get():
                    missed += 1
                pool.held -= 1
            self.heap.dead_bytes += n * pool.item.bytes
            self.heap.dead_objects += n * pool.item.objects
        for _ in range(missed):
            self.heap.allocate_now(pool.item, pool.site)
