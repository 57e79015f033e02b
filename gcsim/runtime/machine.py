"""The machine under the Ps: a number of cores and a CFS quota.

With more running Ps than cores each gets its share of them (processor sharing; the real scheduler's slices are a few
milliseconds, and what a P loses while it is off its core is this share on average).  Under a quota the whole process
stops when the period's CPU time is used up, until the period ends: mutators, workers and pauses alike.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gcsim.runtime.clock import Alarm
from gcsim.runtime.randomness import stream
from gcsim.runtime.records import PState

if TYPE_CHECKING:
    from gcsim.runtime.world import P, World


TICK_NS = (
    4_000_000  # derived: kernel/sched/fair.c runs the balancer from the tick, CONFIG_HZ=250 (Linux 6.18)
)
_OFF_CORE: tuple[PState, ...] = ("idle", "overhead")


class Cores:
    """How fast Ps run.

    Attributes:
        slow: wall time per CPU time for each running P (1.0 while there are cores enough).
        is_gathered: two threads that run are on one core.
        is_throttled: the quota of this period is used up.
    """

    def __init__(self, world: World) -> None:
        machine = world.spec.machine
        self._world = world
        self._cores = machine.cores
        self._quota_ns = machine.cfs_quota
        self._period_ns = machine.cfs_period
        self._is_shared = world.procs > machine.cores
        # Measured on two cores; with more a woken thread finds an idle one (assumed).
        self._gather_frac = world.profile["core_gather_frac"] if world.procs >= 2 == machine.cores else 0.0
        self._rng = stream(world.seed, "cores")
        self._tick = Alarm(world.env, self._balance)
        self._wake = Alarm(world.env, self._come_together)
        self.is_gathered = False
        self._seen_ns = 0
        self._seen_off_ns = 0
        self.slow = 1.0
        self.is_throttled = False
        self.throttled_ns = 0
        self._throttled_at_ns = 0
        self.periods_throttled = 0
        self._held: list[P] = []
        self._used_ns = 0.0
        self._counted_ns = 0
        self._running = 0
        self._exhausted = Alarm(world.env, self._throttle)
        self._is_changing = False
        if self._quota_ns is not None:
            self._period_end = Alarm(world.env, self._end_period)
            self._period_end.set(world.env.now + self._period_ns)

    def throttled_until(self, now_ns: int) -> int:
        """Wall time off the cores up to now, in ns."""
        return self.throttled_ns + (now_ns - self._throttled_at_ns if self.is_throttled else 0)

    # ---- threads on one core -------------------------------------------------------------------------------

    @property
    def _usable(self) -> int:
        """Cores that the process's threads lie on."""
        return 1 if self.is_gathered else self._cores

    def _used_cores(self) -> float:
        """Cores' worth of time that Ps ran since the last call."""
        world = self._world
        now = world.env.now
        world.book_switches()
        off = sum(p.acc[state] for p in world.ps for state in _OFF_CORE)
        off += sum(now - p.since_ns for p in world.ps if p.state in _OFF_CORE)
        wall, off_since = now - self._seen_ns, off - self._seen_off_ns
        self._seen_ns, self._seen_off_ns = now, off
        return len(world.ps) - off_since / wall if wall else 0.0

    def gather(self) -> int:
        """Marking begins: are the process's threads on one core?  How long who wakes another is off it then, in ns."""
        if not self._gather_frac or self._used_cores() >= 1.0:
            return 0
        if float(self._rng.random()) >= self._gather_frac:
            return 0
        self._come_together()
        return int(self._world.profile["core_slice_ns"] * float(self._rng.random()))

    def _come_together(self) -> None:
        """A thread is woken on the core of the one that wakes it, and both go on running."""
        self._count()  # at the old rate up to now
        self.is_gathered = True
        self._tick.set(self._world.env.now + 1 + int(TICK_NS * float(self._rng.random())))
        self.changed()

    def _balance(self) -> None:
        """The kernel's tick: one of two running threads is moved to the idle core, or not."""
        world = self._world
        running = sum(p.state != "idle" for p in world.ps)
        if running < 2 or float(self._rng.random()) >= world.profile["core_balance_frac"]:
            self._tick.set(world.env.now + TICK_NS)
        else:
            self._part()
            self._wake.set(world.env.now + 1 + int(self._rng.exponential(world.profile["core_regather_ns"])))

    def _part(self) -> None:
        if self.is_gathered:
            self._tick.clear()
            self._count()
            self.is_gathered = False
            self.changed()

    def spread(self) -> None:
        """Marking is over: threads do not run for long enough for it to matter where."""
        self._wake.clear()
        self._part()

    # ---- sharing and quota ---------------------------------------------------------------------------------

    def changed(self) -> None:
        """A P became idle or busy."""
        if not self._is_shared and self._quota_ns is None and not self.is_gathered and self.slow == 1.0:
            return
        self._count()
        running = sum(p.state != "idle" for p in self._world.ps)
        self._running = running
        slow = max(1.0, running / self._usable)
        if slow != self.slow:
            self.slow = slow
            self._world.forget_slows()
            if not self._is_changing:
                # Not at once: whoever is changing state is in the middle of it.
                self._is_changing = True
                alarm = Alarm(self._world.env, self._apply)
                alarm.set(self._world.env.now)
        self._plan()

    def _apply(self) -> None:
        self._is_changing = False
        if not self.is_throttled:
            self._world.restart_slices()
            self._world.mark.restart_legs()

    def hold(self, p: P) -> None:
        """A P that would run waits for the period to end."""
        # Whoever books progress before that (sysmon, the end of a window) finds a slice that has not begun.
        p.began_ns = max(p.began_ns, self._period_end.at_ns or 0)
        if p not in self._held:
            self._held.append(p)

    def _count(self) -> None:
        now = self._world.env.now
        if not self.is_throttled:
            self._used_ns += min(self._running, self._usable) * (now - self._counted_ns)
        self._counted_ns = now

    def _plan(self) -> None:
        if self._quota_ns is None or self.is_throttled:
            return
        rate = min(self._running, self._usable)
        if rate:
            left = max(0.0, self._quota_ns - self._used_ns)
            self._exhausted.set(self._world.env.now + int(left / rate) + 1)
        else:
            self._exhausted.clear()

    def _throttle(self) -> None:
        self._count()
        if self._quota_ns is None or self._used_ns < self._quota_ns:
            self._plan()
            return
        world = self._world
        self.is_throttled = True
        self.periods_throttled += 1
        self._throttled_at_ns = world.env.now
        world.probe.event(
            "cfs_throttled", "ns until the period ends", (self._period_end.at_ns or 0) - world.env.now
        )
        for p in world.ps:
            if p.state == "mutator" and p.goroutine is not None:
                world.cut(p)
                self.hold(p)
        world.mark.suspend_legs()

    def _end_period(self) -> None:
        world = self._world
        self._count()
        self._period_end.set(world.env.now + self._period_ns)
        assert self._quota_ns is not None
        # What was used beyond the quota in the end is owed, as the kernel's negative runtime is.
        self._used_ns = max(0.0, self._used_ns - self._quota_ns)
        if self.is_throttled:
            self.is_throttled = False
            self.throttled_ns += world.env.now - self._throttled_at_ns
            held, self._held = self._held, []
            for p in held:
                if p.state == "mutator" and p.goroutine is not None and p.alarm.at_ns is None:
                    world.start_slice(p)
            world.mark.resume_legs()
        self._plan()
