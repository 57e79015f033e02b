"""The scheduler: run queues, stealing, wake-ups, timers, the netpoller and sysmon.

Source: runtime/proc.go schedule, findRunnable, stealWork, wakep, sysmon, retake; runtime/netpoll_epoll.go netpoll
(go1.27).  Simplified: an M belongs to its P (system calls excepted); spinning costs wake-up latency, not CPU; stealing
looks at the other Ps in order from the next one instead of at random.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING

from gcsim.policy.workers import TriggerKind
from gcsim.runtime.clock import Alarm, after
from gcsim.runtime.goroutine import Goroutine
from gcsim.runtime.randomness import stream

if TYPE_CHECKING:
    from gcsim.runtime.world import P, World

# derived: runtime/proc.go forcePreemptNS, sysmon (go1.19 .. go1.27)
FORCE_PREEMPT_NS = 10_000_000
SYSMON_MIN_NS = 20_000
SYSMON_MAX_NS = 10_000_000
SYSMON_IDLE_ROUNDS = 50
# derived: runtime/proc.go findRunnable: every 61st schedule looks at the global queue first
GLOBAL_QUEUE_TICK = 61
FORCE_GC_PERIOD_NS = 120_000_000_000  # derived: runtime/proc.go forcegcperiod


class Scheduler:
    """Who runs where."""

    def __init__(self, world: World) -> None:
        self._w = world
        self._env = world.env
        profile = world.profile
        self._cores = world.spec.machine.cores
        self._switch_ns = int(profile["context_switch_ns"])
        self._wakeup_ns = int(profile["wakeup_ns"])
        self._slow_frac = profile["wakeup_slow_frac"]
        self._slow_ns = profile["wakeup_slow_ns"]
        self._slow_sigma = profile["wakeup_slow_sigma"]
        self._rng = stream(world.seed, "wakeups")
        self._granularity_ns = int(profile["netpoll_granularity_ns"])
        self._late_ns = int(profile["netpoll_late_ns"])
        self.globq: deque[Goroutine] = deque()
        self.spinning = 0
        self.note_latency: Callable[
            [int], None
        ]  # the probe's: a goroutine ran so many ns after it became runnable
        self.holds_users = False
        self._timer_seq = 0
        self._poller = Alarm(world.env, self._poll)
        self._has_poller = False
        self._poll_until = 0
        self._in_syscall: list[tuple[P, int, int]] = []
        self.blocked: dict[Goroutine, None] = {}  # in the kernel: system calls, the network
        self._sysmon = Alarm(world.env, self._sysmon_tick)
        self._sysmon_delay_ns = SYSMON_MIN_NS
        self._sysmon_rounds = 0
        self._sysmon.set(world.env.now + SYSMON_MIN_NS + self._late_ns)

    # ---- making runnable -----------------------------------------------------------------------------------

    def ready(self, g: Goroutine, p: P, *, next_up: bool = False) -> None:
        """Put a goroutine on the P's queue (its runnext slot if `next_up`) and wake an idle P for it."""
        g.ready_ns = self._env.now
        if next_up:
            kicked, p.runnext = p.runnext, g
            if kicked is not None:
                p.runq.append(kicked)
        else:
            p.runq.append(g)
        if p.state == "idle_worker":
            self._w.mark.poke(p)
        self.wake_p()

    def ready_global(self, g: Goroutine) -> None:
        """Put a goroutine on the global queue, as preemption does."""
        g.ready_ns = self._env.now
        self.globq.append(g)
        for p in self._w.ps:
            if p.state == "idle_worker":
                self._w.mark.poke(p)

    def inject(self, g: Goroutine) -> None:
        """Ready a goroutine from outside any P (the runtime's own threads)."""
        self.ready_global(g)
        self.wake_p()

    def wake_p(self, *, prompt: bool = False) -> None:
        """Wake one idle P to look for work, unless one is looking already; `prompt`: see `wakeup_ns`."""
        if self.spinning or not self._w.idle_ps:
            return
        for p in self._w.ps:
            if p.state == "idle":
                self.start_p(p, self.wakeup_ns(prompt=prompt))
                return

    def start_p(self, p: P, delay_ns: int) -> None:
        """An idle P's M wakes up and looks for work in `delay_ns`."""
        self._w.set_state(p, "overhead")
        p.is_spinning = True
        self.spinning += 1
        p.at(self._env.now + delay_ns, self.schedule)

    def wakeup_ns(self, *, prompt: bool = False) -> int:
        """How long a woken M takes until it runs.

        Where it takes the last free core, the operating system sometimes puts it behind a running thread instead,
        and moves it only when it next balances its queues.

        Args:
            prompt: never so: when marking begins.  Measured: micro programs on two Ps with marks of 1 to 3 ms, go1.22 to
                go1.27: 0 to 0.7 % of their cycles are without background marking, which a late P does not get to.
        """
        w = self._w
        if not prompt and w.procs - w.idle_ps + 1 >= self._cores > 1:
            running = w.procs - w.idle_ps - sum([p.state == "stw" for p in w.ps])
            if running + 1 >= self._cores and self._rng.random() < self._slow_frac:
                return int(self._slow_ns * math.exp(self._slow_sigma * float(self._rng.standard_normal())))
        return self._wakeup_ns

    def stop_spinning(self, p: P) -> None:
        """A P that looked for work has found some."""
        p.is_spinning = False
        self.spinning -= 1
        # The last one that stops looking because it found something wakes another: there may be more.
        if self.spinning == 0 and self._has_work():
            self.wake_p()

    def _has_work(self) -> bool:
        if self.globq:
            return True
        if self._w.is_marking and self._w.mark.wants_workers:
            return True
        return any(p.runq or p.runnext is not None for p in self._w.ps)

    # ---- cycles without the program ------------------------------------------------------------------------

    def hold_users(self) -> None:
        """From now on Ps mark or idle; what is runnable waits.  Source: runtime/proc.go schedEnableUser(false)."""
        self.holds_users = True
        self._w.watch.holds(self._w)

    def release_users(self) -> None:
        """What waits may run again."""
        self._w.watch.releases(self._w)
        self.holds_users = False

    # ---- the loop ------------------------------------------------------------------------------------------

    def schedule(self, p: P) -> None:
        """The P has nothing: find something.  Source: findRunnable."""
        w = self._w
        if w.is_stopped:
            w.set_state(p, "stw")
            return
        timers = p.timers
        if timers and timers[0][0] <= self._env.now:
            self._run_timers(p, p)
        if w.is_marking and w.mark.start_worker(p):
            return
        if self.holds_users:
            # It looks for work all the same: what timers ready meanwhile is in its queue, to run when it may.
            for victim in w.ps:
                if victim.timers and victim.timers[0][0] <= self._env.now:
                    self._run_timers(victim, p)
            self._idle(p)
            return
        g: Goroutine | None
        globq = self.globq
        if globq and p.schedtick % GLOBAL_QUEUE_TICK == 0:
            g = globq.popleft()
        elif p.runnext is not None:
            g, p.runnext = p.runnext, None
        elif p.runq:
            g = p.runq.popleft()
        elif globq:
            g = self._take_global(p)
        else:
            g = self._steal(p)
        if g is not None:
            if p.is_spinning:
                self.stop_spinning(p)
            self.execute(p, g)
            return
        if w.is_marking and w.mark.start_idle_worker(p):
            return
        self._idle(p)

    def execute(self, p: P, g: Goroutine) -> None:
        """Run the goroutine on the P from now, the switch paid first."""
        w = self._w
        now = self._env.now
        self.note_latency(now - g.ready_ns)
        p.goroutine = g
        p.schedtick += 1
        p.switches += 1
        p.began_ns = now + self._switch_ns
        if p.state != "mutator":
            w.set_state(p, "mutator")
        w.start_slice(p)

    def _take_global(self, p: P) -> Goroutine:
        n = min(len(self.globq), len(self.globq) // self._w.procs + 1, 128)
        g = self.globq.popleft()
        for _ in range(n - 1):
            p.runq.append(self.globq.popleft())
        return g

    def _steal(self, p: P) -> Goroutine | None:
        ps = self._w.ps
        now = self._env.now
        up_next: P | None = None  # whose next goroutine is taken where nobody has more than that
        for victim in ps[p.id + 1 :] + ps[: p.id]:
            if victim.timers and victim.timers[0][0] <= now:
                self._run_timers(victim, p)
                woken, p.runnext = p.runnext, None
                return woken
            if victim.runq:
                for _ in range((len(victim.runq) + 1) // 2 - 1):
                    p.runq.append(victim.runq.popleft())
                return victim.runq.popleft()
            if up_next is None and victim.runnext is not None:
                up_next = victim
        if up_next is None:
            return None
        stolen, up_next.runnext = up_next.runnext, None
        return stolen

    def _idle(self, p: P) -> None:
        if p.is_spinning:
            p.is_spinning = False
            self.spinning -= 1
        p.goroutine = None
        p.alarm.clear()
        self._w.set_state(p, "idle")
        self._update_poller()

    def preempt(self, p: P) -> None:
        """Take the P from what it runs, for others' sake."""
        w = self._w
        state = p.state
        g = p.goroutine
        if state in ("mutator", "assist") and g is not None:
            if state == "mutator":
                w.cut(p)
            else:
                w.mark.cut_assist(p)
            p.goroutine = None
            self.ready_global(g)
            self.schedule(p)
        elif state in ("fractional", "idle_worker"):
            w.mark.stop_worker(p)
            self.schedule(p)
        elif state == "dedicated":
            # A dedicated worker stays; others get what was queued behind it.
            for queued in p.runq:
                self.ready_global(queued)
            p.runq.clear()
            if p.runnext is not None:
                self.ready_global(p.runnext)
                p.runnext = None
            self.wake_p()

    def suspend_others(self, by: P) -> None:
        """Stacks are scanned: goroutines that run elsewhere are stopped for it, and readied again where it is done.

        The others' Ps look for something else meanwhile, a mark worker first.  Source: runtime/preempt.go suspendG,
        runtime/mgcmark.go markroot (go1.19 .. go1.27).  Simplified: all of them at once, and at no cost of their own.
        """
        w = self._w
        for p in w.ps:
            if p is not by and p.state == "mutator" and p.goroutine is not None and p.alarm.at_ns is not None:
                w.cut(p)
                g, p.goroutine = p.goroutine, None
                g.ready_ns = self._env.now
                kicked, by.runnext = by.runnext, g
                if kicked is not None:
                    by.runq.append(kicked)
                p.at(self._env.now, self.schedule)
                w.set_state(p, "overhead")

    # ---- timers and the netpoller --------------------------------------------------------------------------

    def sleep(self, g: Goroutine, p: P, until_ns: int) -> None:
        """Put a goroutine to sleep on the P's timers."""
        self._timer_seq += 1
        heappush(p.timers, (until_ns, self._timer_seq, g))
        if self._has_poller and until_ns < self._poll_until:
            self._update_poller()
        elif not self._has_poller:
            self.wake_p()

    def block(self, g: Goroutine, ns: int) -> None:
        """The goroutine waits for something outside the process that takes `ns`; the netpoller readies it."""
        self.blocked[g] = None

        def ready() -> None:
            del self.blocked[g]
            self.inject(g)

        after(self._env, ns, ready)

    def interrupt_sleep(self, g: Goroutine) -> bool:
        """Take a goroutine off the timers; False if it does not sleep.  It is the caller's to ready."""
        for p in self._w.ps:
            for entry in p.timers:
                if entry[2] is g:
                    p.timers.remove(entry)
                    heapify(p.timers)
                    return True
        return False

    def _run_timers(self, owner: P, p: P) -> None:
        """Run what is due on `owner`'s timers; the goroutines become runnable on `p`."""
        now = self._env.now
        timers = owner.timers
        while timers and timers[0][0] <= now:
            g = heappop(timers)[2]
            g.ready_ns = now
            # Goroutines readied by timers go to the runnext slot one after another.
            kicked, p.runnext = p.runnext, g
            if kicked is not None:
                p.runq.append(kicked)
        if p.runnext is not None or p.runq:
            self.wake_p()

    def _next_timer_ns(self) -> int | None:
        return min([p.timers[0][0] for p in self._w.ps if p.timers], default=None)

    def _update_poller(self) -> None:
        """An idle M waits in epoll_wait until the next timer, in the kernel's whole milliseconds."""
        due = self._next_timer_ns() if self._w.idle_ps else None
        if due is None:
            self._has_poller = False
            self._poller.clear()
            return
        now = self._env.now
        delay = due - now
        if delay <= 0:
            wait = 0
        elif delay < self._granularity_ns:
            wait = self._granularity_ns
        else:
            wait = delay // self._granularity_ns * self._granularity_ns
        self._has_poller = True
        self._poll_until = due
        self._poller.set(now + wait + (self._late_ns if wait else 0))

    def poll_again(self) -> None:
        """Ps became idle otherwise than by running out of work."""
        self._update_poller()

    def _poll(self) -> None:
        self._has_poller = False
        for p in self._w.ps:
            if p.state == "idle":
                self._w.set_state(p, "overhead")
                p.is_spinning = True
                self.spinning += 1
                p.alarm.clear()
                self.schedule(p)
                return

    # ---- system calls --------------------------------------------------------------------------------------

    def syscall(self, p: P, g: Goroutine, ns: int) -> None:
        """The goroutine is in a system call for `ns`; the P waits with it until sysmon retakes it."""
        w = self._w
        w.set_state(p, "overhead")
        until = self._env.now + ns
        p.goroutine = None
        seen = self._sysmon_looks()
        entry = (p, until, seen)
        self._in_syscall.append(entry)
        self.blocked[g] = None
        g.ready_ns = until

        def leave() -> None:
            del self.blocked[g]
            if entry in self._in_syscall:
                self._in_syscall.remove(entry)
                if w.is_stopped:
                    self.ready_global(g)
                    w.set_state(p, "stw")
                else:
                    self.execute(p, g)
            else:
                g.ready_ns = self._env.now
                self.inject(g)

        after(self._env, ns, leave)

    def _sysmon_looks(self) -> int:
        return self._looks

    _looks = 0

    def ps_in_syscall(self) -> list[P]:
        """Ps that wait with their goroutine in a system call."""
        return [p for p, _, _ in self._in_syscall]

    def release_syscalls(self) -> None:
        """The world stops: Ps in system calls are taken away at once."""
        for p, _, _ in self._in_syscall:
            self._w.set_state(p, "stw")
        self._in_syscall.clear()

    # ---- sysmon --------------------------------------------------------------------------------------------

    def _sysmon_tick(self) -> None:
        w = self._w
        now = self._env.now
        w.probe.settle()
        self._looks += 1
        if w.limiter.need_update(now):
            w.limiter.update(now)
            w.watch.limiter(w)
        retaken = 0
        for entry in list(self._in_syscall):
            p, _, seen = entry
            if seen < self._looks - 1 and (p.runq or p.runnext is not None or not self._has_idle()):
                self._in_syscall.remove(entry)
                retaken += 1
                self.schedule(p)
        for p in w.ps:
            if p.state in ("idle", "stw", "overhead"):
                continue
            if p.seen_tick != p.schedtick:
                p.seen_tick = p.schedtick
                p.seen_ns = now
            elif p.seen_ns + FORCE_PREEMPT_NS <= now:
                self.preempt(p)
        if (
            w.collector.cycle
            and now - w.collector.last_gc_ns > FORCE_GC_PERIOD_NS
            and w.pacer.gogc_percent >= 0
        ):
            w.collector.request(None, TriggerKind.TIME)
        if retaken:
            self._sysmon_rounds = 0
            self._sysmon_delay_ns = SYSMON_MIN_NS
        else:
            self._sysmon_rounds += 1
            if self._sysmon_rounds > SYSMON_IDLE_ROUNDS:
                self._sysmon_delay_ns = min(SYSMON_MAX_NS, self._sysmon_delay_ns * 2)
        self._sysmon.set(now + self._sysmon_delay_ns + self._late_ns)  # a sleep, as late as any other

    def _has_idle(self) -> bool:
        return self.spinning > 0 or self._w.idle_ps > 0


def whole_ns(ns: float) -> int:
    """A duration in whole nanoseconds, never shorter."""
    return math.ceil(ns)
