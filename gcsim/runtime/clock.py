"""Alarms: SimPy events that can be set again and taken back.

A slice's end moves whenever somebody cuts the slice.  SimPy events cannot be cancelled, so an alarm drops the
callback of the event it no longer wants and schedules a new one.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import simpy
from simpy.events import NORMAL, Event


class Clock(simpy.Environment):
    """SimPy's environment with time in whole nanoseconds."""

    if TYPE_CHECKING:

        @property
        def now(self) -> int:
            """Nanoseconds since process start."""
    else:
        # Read several times per event: a getter in C takes half the time.
        now = property(attrgetter("_now"), doc="Nanoseconds since process start.")

    @property
    def events_scheduled(self) -> int:
        """Events scheduled so far; reading it counts as one."""
        return next(self._eid)


class _Ring(Event):
    """An event that has its value from the start: `Event.__init__` and a list of callbacks of its own are saved."""

    callbacks: Any  # a tuple does for SimPy, which only goes through it; () takes the event back
    _ok = True
    _value = None

    def __init__(self, callbacks: tuple[Callable[[Any], None], ...]) -> None:
        self.callbacks = callbacks


class Alarm:
    """Calls `action` once at the time last set (ns); setting again or clearing takes the earlier time back."""

    __slots__ = ("_action", "_callbacks", "_env", "_event", "at_ns")

    def __init__(self, env: Clock, action: Callable[[], None]) -> None:
        self._env = env
        self._action = action
        self._callbacks = (self._ring,)
        self._event: _Ring | None = None
        self.at_ns: int | None = None

    def set(self, at_ns: int) -> None:
        """Ring at `at_ns` (not before now)."""
        if self._event is not None:
            self._event.callbacks = ()
        env = self._env
        self._event = event = _Ring(self._callbacks)
        env.schedule(event, NORMAL, at_ns - env.now)
        self.at_ns = at_ns

    def clear(self) -> None:
        """Do not ring."""
        if self._event is not None:
            self._event.callbacks = ()
            self._event = None
            self.at_ns = None

    def _ring(self, _event: Any) -> None:
        self._event = None
        self.at_ns = None
        self._action()


def after(env: Clock, delay_ns: int, action: Callable[[], None]) -> None:
    """Call `action` once, `delay_ns` from now; it cannot be taken back."""
    env.schedule(_Ring((lambda _event: action(),)), NORMAL, delay_ns)
