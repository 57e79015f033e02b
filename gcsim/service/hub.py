"""Who watches which run or sweep, and one look at the store for all who watch the same."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

R = TypeVar("R")


class _Topic(Generic[R]):
    def __init__(self) -> None:
        self.events: list[asyncio.Event] = []
        self.version = 0
        self.read: tuple[int, asyncio.Future[R]] | None = None


class Hub(Generic[R]):
    """Rows of one kind.  Belongs to the event loop; `notify` alone may be called from any thread.

    Args:
        read: reads a row by its id.
    """

    def __init__(self, read: Callable[[str], Awaitable[R]]) -> None:
        self._read = read
        self._topics: dict[str, _Topic[R]] = {}
        self._loop = asyncio.get_running_loop()

    def notify(self, key: str) -> None:
        """A row has changed.  Nothing happens after the loop has closed."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake, key)

    def wake_all(self) -> None:
        for key in list(self._topics):
            self._wake(key)

    def _wake(self, key: str) -> None:
        topic = self._topics.get(key)
        if topic is not None:
            topic.version += 1
            for event in topic.events:
                event.set()

    @contextmanager
    def watching(self, key: str) -> Iterator[asyncio.Event]:
        """An event that is set at each change; several changes before it is cleared are one."""
        topic = self._topics.setdefault(key, _Topic[R]())
        event = asyncio.Event()
        topic.events.append(event)
        try:
            yield event
        finally:
            topic.events.remove(event)
            if not topic.events:
                del self._topics[key]

    async def row(self, key: str) -> R:
        """A row that is watched, read once per change however many watch it."""
        topic = self._topics[key]
        if topic.read is None or topic.read[0] != topic.version or _failed(topic.read[1]):
            topic.read = (topic.version, asyncio.ensure_future(self._read(key)))
        # Shielded: one watcher that leaves takes nothing from the others.
        return await asyncio.shield(topic.read[1])

    @property
    def watchers(self) -> int:
        return sum(len(topic.events) for topic in self._topics.values())


def _failed(task: asyncio.Future[R]) -> bool:
    return task.done() and (task.cancelled() or task.exception() is not None)
