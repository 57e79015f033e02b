"""What both services stand on: options, store, supervisor, threads for what would hold up the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from gcsim.service.hub import Hub
from gcsim.service.limits import MAX_ESTIMATED_REQUESTS, MAX_ESTIMATED_SWEEP_REQUESTS, MAX_SWEEP_RUNS
from gcsim.sweep.feeder import Feeder
from gcsim.sweep.states import StoredRun
from gcsim.sweep.store import Store
from gcsim.sweep.supervisor import Supervisor, WorkerSettings

T = TypeVar("T")

LEAST_WINDOW = 32
"""Runs of a sweep that wait in the queue at a time: enough that no worker waits, few enough for others.  assumed."""


@dataclass(frozen=True, kw_only=True)
class ServerOptions:
    """How to serve.

    Attributes:
        listen: host:port; port 0 takes a free one.
        workers: worker processes.
        tls_cert, tls_key: PEM files; client_ca: PEM file, then clients need a certificate of it.
        token_file: one token a line; then every call but health needs one.
        insecure: listen beyond this machine without TLS.
        queue_limit: runs that may wait.
        max_sweep_runs: runs of one sweep; max_open_sweeps: sweeps that may be unfinished at a time.
        drain_timeout_s: how long running runs may finish after SIGTERM.
        metrics_listen: host:port of Prometheus metrics; None = none.
        keepalive_s: a watcher hears something at least so often.
        max_request_bytes: largest message.
        max_stored_bytes: datasets beyond which no run is accepted; None = no limit.
        store_max_pages: bound on the store's file; None = no limit.
    """

    data_dir: Path
    listen: str = "127.0.0.1:7677"
    workers: int = 1
    tls_cert: Path | None = None
    tls_key: Path | None = None
    client_ca: Path | None = None
    token_file: Path | None = None
    insecure: bool = False
    queue_limit: int = 10_000
    drain_timeout_s: float = 30.0
    metrics_listen: str | None = None
    keepalive_s: float = 15.0
    max_request_bytes: int = 4 << 20
    max_estimated_requests: float = MAX_ESTIMATED_REQUESTS
    max_estimated_sweep_requests: float = MAX_ESTIMATED_SWEEP_REQUESTS
    max_sweep_runs: int = MAX_SWEEP_RUNS
    max_open_sweeps: int = 100
    max_stored_bytes: int | None = None
    store_max_pages: int | None = None
    worker: WorkerSettings = field(default_factory=WorkerSettings)


class Core:
    """Made inside the event loop.  Nothing that takes longer than a look-up in memory runs on the loop itself."""

    def __init__(self, options: ServerOptions, store: Store) -> None:
        self.options = options
        self.store = store
        # Apart, so that looking at a run does not wait behind submits that wait for the disk, nor behind downloads.
        self._changes = ThreadPoolExecutor(2, "changes")
        self._looks = ThreadPoolExecutor(2, "looks")
        self._files = ThreadPoolExecutor(2, "files")
        # Laying out a sweep takes seconds where it has thousands of points.
        self._plans = ThreadPoolExecutor(1, "plans")
        self.hub = Hub(lambda run_id: self.look(lambda: store.get(run_id)))
        self.sweep_hub = Hub(lambda sweep_id: self.look(lambda: store.sweeps.get(sweep_id)))
        self.supervisor = Supervisor(
            store, workers=options.workers, settings=options.worker, on_change=self._on_run_change
        )
        self.feeder = Feeder(
            store,
            window=max(LEAST_WINDOW, 4 * options.workers),
            on_fed=self.supervisor.wake,
            on_change=self.sweep_hub.notify,
        )
        self.draining = False
        """No run is accepted any more."""
        self.closing = asyncio.Event()
        """Watchers get a last state and are sent away."""

    def _on_run_change(self, run_id: str) -> None:
        self.hub.notify(run_id)
        self.feeder.wake()

    def start(self) -> None:
        """Begin to work on what is queued."""
        self.supervisor.start()
        self.feeder.start()

    def stop(self) -> None:
        """End the workers; what they were at is queued again."""
        self.feeder.stop()
        self.supervisor.stop()

    async def change(self, function: Callable[[], T]) -> T:
        return await self._in(self._changes, function)

    async def look(self, function: Callable[[], T]) -> T:
        return await self._in(self._looks, function)

    async def plan(self, function: Callable[[], T]) -> T:
        return await self._in(self._plans, function)

    async def read_file(self, function: Callable[[], T]) -> T:
        return await self._in(self._files, function)

    async def _in(self, pool: ThreadPoolExecutor, function: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(pool, function)

    async def row(self, run_id: str) -> StoredRun:
        return await self.look(lambda: self.store.get(run_id))

    def close(self) -> None:
        for pool in (self._changes, self._looks, self._files, self._plans):
            pool.shutdown()
