"""Who watches which run, and one look at the store for all who watch the same."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from gcsim.sweep.states import StoredRun


class _Topic:
    def __init__(self) -> None:
        self.events: list[asyncio.Event] = []
        self.version = 0
        self.read: tuple[int, asyncio.Task[StoredRun]] | None = None


class Hub:
    """Belongs to the event loop; `notify` alone may be called from any thread.

    Args:
        read: reads a run's row.
    """

    def __init__(self, read: Callable[[str], Awaitable[StoredRun]]) -> None:
        self._read = read
        self._topics: dict[str, _Topic] = {}
        self._loop = asyncio.get_running_loop()

    def notify(self, run_id: str) -> None:
        """A run has changed.  Nothing happens after the loop has closed."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake, run_id)

    def wake_all(self) -> None:
        for run_id in list(self._topics):
            self._wake(run_id)

    def _wake(self, run_id: str) -> None:
        topic = self._topics.get(run_id)
        if topic is not None:
            topic.version += 1
            for event in topic.events:
                event.set()

    @contextmanager
    def watching(self, run_id: str) -> Iterator[asyncio.Event]:
        """An event that is set at each change; several changes before it is cleared are one."""
        topic = self._topics.setdefault(run_id, _Topic())
        event = asyncio.Event()
        topic.events.append(event)
        try:
            yield event
        finally:
            topic.events.remove(event)
            if not topic.events:
                del self._topics[run_id]

    async def row(self, run_id: str) -> StoredRun:
        """The row of a watched run, read once per change however many watch it."""
        topic = self._topics[run_id]
        if topic.read is None or topic.read[0] != topic.version or _failed(topic.read[1]):
            topic.read = (topic.version, asyncio.ensure_future(self._read(run_id)))
        # Shielded: one watcher that leaves takes nothing from the others.
        return await asyncio.shield(topic.read[1])

    @property
    def watchers(self) -> int:
        return sum(len(topic.events) for topic in self._topics.values())


def _failed(task: asyncio.Task[StoredRun]) -> bool:
    return task.done() and (task.cancelled() or task.exception() is not None)
