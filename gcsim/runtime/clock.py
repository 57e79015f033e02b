"""SimPy's clock with alarms: things that ring once, can be set again and taken back.

A slice's end moves whenever somebody cuts the slice.  SimPy's events cannot be cancelled and cost an object and a
list of callbacks each, so an alarm puts itself into SimPy's queue: an entry that is not the alarm's last is void.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any

import simpy
from simpy.events import NORMAL


class Clock(simpy.Environment):
    """SimPy's environment with time in whole nanoseconds.

    Attributes:
        now: nanoseconds since process start.  SimPy's own is a property; this is read several times per event.
    """

    now: int = 0
    _is_running = False

    @property
    def _now(self) -> int:
        """SimPy's own name for it."""
        return self.now

    @_now.setter
    def _now(self, now_ns: int) -> None:
        self.now = now_ns

    @property
    def events_scheduled(self) -> int:
        """Events scheduled so far; reading it counts as one."""
        return next(self._eid)

    def run(self, until: simpy.core.SimTime | simpy.Event | None = None) -> Any:
        """As SimPy's, but that its loop comes round for its own events alone."""
        self._is_running = True
        try:
            return super().run(until)
        finally:
            self._is_running = False

    def step(self) -> None:
        """Go on to the next event: an alarm rings, anything else is SimPy's."""
        queue: list[Any] = self._queue
        while queue:
            entry = queue[0]
            alarm = entry[3]
            if alarm.__class__ is not Alarm:
                break
            heappop(queue)
            self.now = entry[0]
            if alarm.entry is entry:
                alarm.entry = None
                action, of = alarm.action, alarm.of
                if of is None:
                    action()
                else:
                    action(of)
            if not self._is_running:
                return
        super().step()


Entry = tuple[int, int, int, "Alarm"]
"""When (ns), and for what happens at the same time: SimPy's priority and the order of setting."""


class Alarm:
    """Does something once at the time last set (ns); setting again or clearing takes the earlier time back.

    Attributes:
        action: what to do.  of: its argument; None if it takes none.
        entry: in the clock's queue; None if it does not ring.
    """

    __slots__ = ("_eid", "_queue", "action", "entry", "of")

    def __init__(self, env: Clock, action: Callable[..., None], of: Any = None) -> None:
        self._queue: list[Any] = env._queue
        self._eid = env._eid
        self.action = action
        self.of = of
        self.entry: Entry | None = None

    @property
    def at_ns(self) -> int | None:
        """When it rings; None if it does not."""
        return None if self.entry is None else self.entry[0]

    def set(self, at_ns: int) -> None:
        """Ring at `at_ns` (not before now)."""
        # What `Environment.schedule` does, with the time as it is.
        self.entry = entry = (at_ns, NORMAL, next(self._eid), self)
        heappush(self._queue, entry)

    def do(self, at_ns: int, action: Callable[..., None]) -> None:
        """Ring at `at_ns`, and do this then; `set` written out, since every slice of a P begins here."""
        self.action = action
        self.entry = entry = (at_ns, NORMAL, next(self._eid), self)
        heappush(self._queue, entry)

    def clear(self) -> None:
        """Do not ring."""
        self.entry = None


def after(env: Clock, delay_ns: int, action: Callable[[], None]) -> None:
    """Call `action` once, `delay_ns` from now; it cannot be taken back."""
    Alarm(env, action).set(env.now + delay_ns)
