"""SimPy's clock with alarms: things that ring once, can be set again and taken back.

A slice's end moves whenever somebody cuts the slice.  SimPy's events cannot be cancelled and cost an object and a
list of callbacks each, so an alarm puts itself into SimPy's queue and is recognised by the number of its entry: an
entry whose number is not the alarm's last is void.
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

    @property
    def events_scheduled(self) -> int:
        """Events scheduled so far; reading it counts as one."""
        return next(self._eid)

    def step(self) -> None:
        """Go on to the next event: an alarm rings, anything else is SimPy's."""
        queue: list[Any] = self._queue
        if queue:
            self.now, _, number, event = queue[0]
            if event.__class__ is Alarm:
                heappop(queue)
                self._now = self.now
                if number == event.number:
                    event.number = -1
                    event.at_ns = None
                    event.action(*event.args)
                return
        super().step()


class Alarm:
    """Calls `action(*args)` once at the time last set (ns); setting again or clearing takes the earlier time back.

    Attributes:
        at_ns: when it rings; None if it does not.
        number: of its entry in the clock's queue.
    """

    __slots__ = ("_eid", "_queue", "action", "args", "at_ns", "number")

    def __init__(self, env: Clock, action: Callable[..., None], *args: Any) -> None:
        self._queue: list[Any] = env._queue
        self._eid = env._eid
        self.action = action
        self.args = args
        self.at_ns: int | None = None
        self.number = -1

    def set(self, at_ns: int) -> None:
        """Ring at `at_ns` (not before now)."""
        self.at_ns = at_ns
        self.number = number = next(self._eid)
        # What `Environment.schedule` does, with the time as it is.
        heappush(self._queue, (at_ns, NORMAL, number, self))

    def do(self, at_ns: int, action: Callable[..., None]) -> None:
        """Ring at `at_ns`, and do this then; `set` written out, since every slice of a P begins here."""
        self.action = action
        self.at_ns = at_ns
        self.number = number = next(self._eid)
        heappush(self._queue, (at_ns, NORMAL, number, self))

    def clear(self) -> None:
        """Do not ring."""
        self.number = -1
        self.at_ns = None


def after(env: Clock, delay_ns: int, action: Callable[[], None]) -> None:
    """Call `action` once, `delay_ns` from now; it cannot be taken back."""
    Alarm(env, action).set(env.now + delay_ns)
