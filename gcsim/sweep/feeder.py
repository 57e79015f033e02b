"""Moves the runs of unfinished sweeps into the queue as it empties, and ends sweeps whose runs have ended."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from gcsim.sweep.states import NotFoundError, StoreFullError
from gcsim.sweep.store import Store

log = logging.getLogger("gcsim.feeder")

IDLE_S = 1.0
"""Looks again after so long even if nobody woke it."""
PAUSE_S = 0.02
"""Least time between two rounds, so that many changes are one."""


class Feeder:
    """A thread over a store.  Start it, `wake` it when a run or a sweep has changed, stop it.

    Each sweep has few runs in the queue at a time (`window`), so that what others submit waits behind few of them.

    Args:
        on_fed: called when runs have been queued.
        on_change: called with the id of a sweep that has changed.
    """

    def __init__(
        self, store: Store, *, window: int, on_fed: Callable[[], None], on_change: Callable[[str], None]
    ) -> None:
        self._store = store
        self._window = window
        self._on_fed = on_fed
        self._on_change = on_change
        self._woken = threading.Event()
        self._stopping = threading.Event()
        self._revisions: dict[str, int] = {}
        self._trouble = False
        self._thread = threading.Thread(target=self._run, name="feeder", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        self._woken.set()

    def stop(self) -> None:
        self._stopping.set()
        self._woken.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._woken.wait(IDLE_S)
            self._woken.clear()
            self._trouble = False
            try:
                self._round()
            except Exception:
                log.exception("a round failed")
                self._trouble = True
            # Every sweep must reach its end: what went wrong is tried again.
            self._stopping.wait(IDLE_S if self._trouble else PAUSE_S)

    def _round(self) -> None:
        known = self._store.sweeps.open()
        known |= self._revisions  # what watchers were told of; a new sweep may end in this very round
        hungry = list(known)
        while hungry and not self._stopping.is_set():
            hungry = [sweep_id for sweep_id in hungry if self._feed(sweep_id)]  # in turn: none starves
        self._revisions = self._store.sweeps.open()
        for sweep_id, revision in known.items():
            if self._revisions.get(sweep_id) != revision:
                self._on_change(sweep_id)

    def _feed(self, sweep_id: str) -> bool:
        try:
            fed = self._store.sweeps.feed(sweep_id, window=self._window)
        except NotFoundError:
            return False
        except StoreFullError as error:
            log.warning("sweep %s: no run can be queued: %s", sweep_id, error)
            self._trouble = True
            return False
        except Exception:  # of this sweep; the others go on
            log.exception("sweep %s: no run can be queued", sweep_id)
            self._trouble = True
            return False
        if fed:
            self._on_fed()
        return fed > 0
