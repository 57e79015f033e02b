"""The GC CPU limiter: a leaky bucket that caps collection at about half of the CPU time, by switching assists off."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Final

from gcsim.policy.constants import (
    BACKGROUND_UTILIZATION_FRAC,
    LIMITER_CAPACITY_PER_PROC_CPU_NS,
    LIMITER_UPDATE_PERIOD_NS,
)
from gcsim.policy.conversions import UINT64_MAX, float_to_int64, wrap_int64

_EVENT_BITS: Final = 3
_STAMP_BITS: Final = 64 - _EVENT_BITS
_STAMP_MASK: Final = (1 << _STAMP_BITS) - 1
_TYPE_MASK: Final = UINT64_MAX ^ _STAMP_MASK


class LimiterEventType(IntEnum):
    """What a P does that the limiter has to know of; the values are Go's, as they are packed into the stamp."""

    NONE = 0
    IDLE_MARK_WORK = 1
    MARK_ASSIST = 2
    SCAVENGE_ASSIST = 3
    IDLE = 4


_TYPES: Final = tuple(LimiterEventType)  # in the order of their values, which begin with 0
_IDLE_EVENTS: Final = (LimiterEventType.IDLE, LimiterEventType.IDLE_MARK_WORK)


class LimiterEvent:
    """The event slot of one P: a type in the top 3 bits of a word, a clock in the other 61.

    Durations across a multiple of 2^61 ns come out as 0, as in Go.

    Source: runtime/mgclimit.go limiterEvent (go1.19 .. go1.27). Simplified: no.
    """

    __slots__ = ("stamp",)

    def __init__(self) -> None:
        self.stamp = 0

    @property
    def type(self) -> LimiterEventType:
        """Type of the running event."""
        return _TYPES[self.stamp >> _STAMP_BITS]

    def start(self, event_type: LimiterEventType, now_ns: int) -> bool:
        """Begin an event; False if one is running, which then has the time."""
        if self.stamp > _STAMP_MASK:
            return False
        self.stamp = (event_type << _STAMP_BITS) | (now_ns & _STAMP_MASK)
        return True

    def consume(self, now_ns: int) -> tuple[LimiterEventType, int]:
        """Take the time of the running event so far, in ns, and let it go on from now."""
        stamp = self.stamp
        bits = stamp >> _STAMP_BITS
        if not bits:
            return _TYPES[0], 0
        duration_ns = self._duration_ns(now_ns)
        if duration_ns == 0:
            return _TYPES[0], 0
        self.stamp = (stamp & _TYPE_MASK) | (now_ns & _STAMP_MASK)
        return _TYPES[bits], duration_ns

    def stop(self, event_type: LimiterEventType, now_ns: int, limiter: GCCPULimiter) -> int:
        """End the running event, which must be of that type; its remaining time goes to the limiter and is returned."""
        assert self.stamp >> _STAMP_BITS == event_type, (
            f"limiter event is {self.type.name}, not {event_type.name}"
        )
        duration_ns = self._duration_ns(now_ns)
        self.stamp = 0
        if event_type in _IDLE_EVENTS:
            limiter.add_idle_time(duration_ns)
        else:
            limiter.add_assist_time(duration_ns)
        return duration_ns

    def _duration_ns(self, now_ns: int) -> int:
        if now_ns >= 0 and not now_ns >> _STAMP_BITS:  # within 73 years nothing is lost
            duration_ns = now_ns - (self.stamp & _STAMP_MASK)
            return duration_ns if duration_ns > 0 else 0
        # The stamp has lost its top bits: they are taken from now.
        start_ns = wrap_int64((now_ns & _TYPE_MASK) | (self.stamp & _STAMP_MASK))
        return 0 if now_ns < start_ns else wrap_int64(now_ns - start_ns)


class GCCPULimiter:
    """GC time fills the bucket, mutator time drains it; while it is full, `limiting` holds and nobody assists.

    Args:
        now_ns: clock, counted from 0.
        nprocs: GOMAXPROCS.
        events: the event slot of each P, looked through at every update.

    Source: runtime/mgclimit.go gcCPULimiterState (go1.19 .. go1.27). Simplified: no.
    """

    __slots__ = (
        "assist_time_pool_cpu_ns",
        "capacity_cpu_ns",
        "events",
        "fill_cpu_ns",
        "gc_enabled",
        "idle_time_pool_cpu_ns",
        "last_update_ns",
        "limiting",
        "nprocs",
        "overflow_cpu_ns",
        "transitioning",
    )

    def __init__(self, now_ns: int, nprocs: int, events: Sequence[LimiterEvent] = ()) -> None:
        self.events = events
        self.fill_cpu_ns = 0
        self.capacity_cpu_ns = 0
        self.overflow_cpu_ns = 0  # GC time that the full bucket could not take, since the start
        self.limiting = False
        self.gc_enabled = False
        self.transitioning = False
        self.assist_time_pool_cpu_ns = 0  # since the last update, like the next
        self.idle_time_pool_cpu_ns = 0
        self.last_update_ns = 0
        self.nprocs = 0
        self.reset_capacity(now_ns, nprocs)

    def start_gc_transition(self, enable_gc: bool, now_ns: int) -> None:
        """The world has stopped to switch the mark phase on or off; until the end nothing else may update."""
        assert not self.transitioning, "GC transition within a GC transition"
        assert self.gc_enabled != enable_gc, "GC transition to the state it is in"
        self._update(now_ns)
        self.gc_enabled = enable_gc
        self.transitioning = True

    def finish_gc_transition(self, now_ns: int) -> None:
        """The world restarts. The pause counts as GC time on every P, since none could do anything else."""
        assert self.transitioning, "end of a GC transition that was not started"
        if now_ns >= self.last_update_ns:
            self.accumulate(0, wrap_int64((now_ns - self.last_update_ns) * self.nprocs))
        self.last_update_ns = now_ns
        self.transitioning = False

    def need_update(self, now_ns: int) -> bool:
        """Whether the last update is more than 10 ms ago."""
        return now_ns - self.last_update_ns > LIMITER_UPDATE_PERIOD_NS

    def add_assist_time(self, duration_ns: int) -> None:
        """Report time spent assisting."""
        self.assist_time_pool_cpu_ns += duration_ns

    def add_idle_time(self, duration_ns: int) -> None:
        """Report time a P was idle or marked only because it was."""
        self.idle_time_pool_cpu_ns += duration_ns

    def update(self, now_ns: int) -> None:
        """Bring the bucket up to date. A clock behind the last update is ignored, and so is a call in a transition."""
        if not self.transitioning:
            self._update(now_ns)

    def _update(self, now_ns: int) -> None:
        if now_ns < self.last_update_ns:
            return
        window_total = wrap_int64((now_ns - self.last_update_ns) * self.nprocs)
        self.last_update_ns = now_ns

        assist_time = self.assist_time_pool_cpu_ns
        self.assist_time_pool_cpu_ns = 0
        idle_time = self.idle_time_pool_cpu_ns
        self.idle_time_pool_cpu_ns = 0
        # Running events are cut here, so that what is counted did happen within this window.  Each of many Ps comes by
        # at each assist: what is usual, a stamp that is right and not ahead, is `LimiterEvent.consume` written out.
        is_usual = not now_ns >> _STAMP_BITS
        for event in self.events:
            stamp = event.stamp
            if stamp <= _STAMP_MASK:
                continue  # none is running
            duration_ns = now_ns - (stamp & _STAMP_MASK)
            if not duration_ns:
                continue  # it began just now
            event_type = stamp >> _STAMP_BITS
            if is_usual and duration_ns > 0:
                event.stamp = stamp + duration_ns
            else:
                event_type, duration_ns = event.consume(now_ns)
            if event_type in _IDLE_EVENTS:
                idle_time += duration_ns
            else:
                assist_time += duration_ns

        # Background marking takes its share of the real total; only then is idle time subtracted, since an idle
        # system would otherwise never look like thrashing.
        window_gc = assist_time
        if self.gc_enabled:
            window_gc += float_to_int64(float(window_total) * BACKGROUND_UTILIZATION_FRAC)
        window_total -= idle_time
        self.accumulate(wrap_int64(window_total - window_gc), wrap_int64(window_gc))

    def accumulate(self, mutator_time_cpu_ns: int, gc_time_cpu_ns: int) -> None:
        """Fill or drain the bucket by the difference, and decide whether to limit."""
        headroom = self.capacity_cpu_ns - self.fill_cpu_ns
        was_full = headroom == 0
        change = wrap_int64(gc_time_cpu_ns - mutator_time_cpu_ns)

        if change > 0 and headroom <= change:
            self.overflow_cpu_ns = (self.overflow_cpu_ns + change - headroom) & UINT64_MAX
            self.fill_cpu_ns = self.capacity_cpu_ns
            if not was_full:  # A bucket that is full after a reset of the capacity does not limit: as in Go.
                self.limiting = True
            return
        self.fill_cpu_ns = max(0, self.fill_cpu_ns + change)
        if change != 0 and was_full:
            self.limiting = False

    def reset_capacity(self, now_ns: int, nprocs: int) -> None:
        """GOMAXPROCS has changed; not while marking."""
        assert not self.transitioning, "capacity reset within a GC transition"
        self._update(now_ns)
        self.nprocs = nprocs
        self.capacity_cpu_ns = nprocs * LIMITER_CAPACITY_PER_PROC_CPU_NS
        if self.fill_cpu_ns > self.capacity_cpu_ns:
            self.fill_cpu_ns = self.capacity_cpu_ns
            self.limiting = True
        elif self.fill_cpu_ns < self.capacity_cpu_ns:
            self.limiting = False
