"""The client for scripts and notebooks: the asynchronous one on a loop in a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncGenerator, Coroutine, Iterable, Iterator
from pathlib import Path
from typing import Any, Self, TypeVar

from gcsim.api.v1 import dataset_pb2, run_pb2, sweep_pb2
from gcsim.api.v1 import simulation_service_pb2 as api
from gcsim.client.aio import Access, AsyncClient, AsyncRun
from gcsim.client.sweeps import AsyncSweep
from gcsim.datasets.reader import Result
from gcsim.datasets.sweep import SweepResult
from gcsim.spec.models import Spec
from gcsim.sweep.axes import Axis

T = TypeVar("T")


class Client:
    """A connection to a server; a context manager, usable from any thread.

    Args:
        target: host:port.
        ca, cert, key, token, retries: as in `Access`.
    Raises:
        As `AsyncClient`.
    """

    def __init__(self, target: str, **access: Any) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="gcsim-client", daemon=True)
        self._thread.start()
        try:
            self._client = self._do(_connect(target, Access(**access)))
        except BaseException:
            self._stop()
            raise

    def close(self) -> None:
        if not self._loop.is_closed():
            self._do(self._client.close())
            self._stop()

    def _stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def submit(self, spec: Spec | str | Path, **fields: Any) -> SubmittedRun:
        """Submit a spec or spec file; when this returns, the run is on the server's disk.

        Args:
            fields: run_id, request_id, labels, skip_cache, max_run_duration_s, validate_only.
        """
        return SubmittedRun(self, self._do(self._client.submit(spec, **fields)))

    def run(self, run_id: str) -> SubmittedRun:
        """A run by its id."""
        return SubmittedRun(self, self._do(self._client.run(run_id)))

    def runs(self, filter: str = "", *, newest_first: bool = False) -> list[run_pb2.Run]:  # noqa: A002
        """All runs that fit, such as ``state = FAILED AND labels.team = "x"``, without their specs."""
        return self._do(self._client.runs(filter, newest_first=newest_first))

    def cancel(self, run_id: str) -> run_pb2.Run:
        return self._do(self._client.cancel(run_id))

    def delete(self, run_id: str, *, etag: str = "") -> None:
        self._do(self._client.delete(run_id, etag=etag))

    def capabilities(self) -> api.GetCapabilitiesResponse:
        return self._do(self._client.capabilities())

    def datasets(self) -> list[dataset_pb2.Dataset]:
        return self._do(self._client.datasets())

    def download(self, name: str, target: str | Path) -> Result:
        """Download the dataset of a run, or ``datasets/...``, to a new directory."""
        return self._do(self._client.download(name, Path(target)))

    def watch(self, run_id: str, *, after_revision: int = 0) -> Iterator[run_pb2.Run]:
        """The run's states and progress until it is finished."""
        return self._iterate(self._client.watch(run_id, after_revision=after_revision))

    def submit_sweep(
        self, spec: Spec | str | Path, axes: Iterable[str | Axis] = (), **fields: Any
    ) -> SubmittedSweep:
        """Submit a sweep; when this returns, it is on the server's disk with all its points.

        Args:
            axes: as on the command line, such as ``"gogc=50,100,200"``.
            fields: layout, points, samples, replications, seed, until, sweep_id, request_id, labels, skip_cache,
                max_run_duration_s, validate_only, as of `AsyncClient.submit_sweep`.
        """
        return SubmittedSweep(self, self._do(self._client.submit_sweep(spec, axes, **fields)))

    def sweep(self, sweep_id: str) -> SubmittedSweep:
        """A sweep by its id."""
        return SubmittedSweep(self, self._do(self._client.sweep(sweep_id)))

    def sweeps(self, filter: str = "", *, newest_first: bool = False) -> list[sweep_pb2.Sweep]:  # noqa: A002
        """All sweeps that fit, without their specs."""
        return self._do(self._client.sweeps(filter, newest_first=newest_first))

    def cancel_sweep(self, sweep_id: str) -> sweep_pb2.Sweep:
        return self._do(self._client.cancel_sweep(sweep_id))

    def delete_sweep(self, sweep_id: str, *, etag: str = "") -> None:
        self._do(self._client.delete_sweep(sweep_id, etag=etag))

    def watch_sweep(self, sweep_id: str, *, after_revision: int = 0) -> Iterator[sweep_pb2.Sweep]:
        """The sweep's states until it is finished."""
        return self._iterate(self._client.watch_sweep(sweep_id, after_revision=after_revision))

    # ---- inside --------------------------------------------------------------------------------------------

    def _do(self, coroutine: Coroutine[Any, Any, T]) -> T:
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result()
        except BaseException:  # Ctrl-C too
            future.cancel()
            raise

    def _iterate(self, items: AsyncGenerator[T, None]) -> Iterator[T]:
        async def step() -> tuple[T] | None:
            try:
                return (await anext(items),)
            except StopAsyncIteration:
                return None

        try:
            while (item := self._do(step())) is not None:
                yield item[0]
        finally:
            with contextlib.suppress(RuntimeError):
                self._do(items.aclose())


class SubmittedRun:
    """A run on a server."""

    def __init__(self, client: Client, run: AsyncRun) -> None:
        self._client = client
        self._run = run

    @property
    def id(self) -> str:
        return self._run.id

    @property
    def state(self) -> str:
        """QUEUED, RUNNING, CANCELLING, SUCCEEDED, FAILED or CANCELLED, as last heard of."""
        return self._run.state

    @property
    def message(self) -> run_pb2.Run:
        """The run as it was last heard of."""
        return self._run.message

    def watch(self) -> Iterator[run_pb2.Run]:
        """Its states and progress, until it is finished."""
        return self._client._iterate(self._run.watch())

    def wait(self) -> Self:
        """Until it is finished, whatever the outcome."""
        self._client._do(self._run.wait())
        return self

    def result(self, out: str | Path | None = None) -> Result:
        """The dataset, once the run is finished: downloaded to `out`, or to a temporary directory.

        Raises:
            RunFailedError: there is none.
        """
        return self._client._do(self._run.result(out))

    def cancel(self) -> Self:
        self._client._do(self._run.cancel())
        return self


class SubmittedSweep:
    """A sweep on a server."""

    def __init__(self, client: Client, sweep: AsyncSweep) -> None:
        self._client = client
        self._sweep = sweep

    @property
    def id(self) -> str:
        return self._sweep.id

    @property
    def state(self) -> str:
        """RUNNING, CANCELLING, SUCCEEDED, PARTIAL or CANCELLED, as last heard of."""
        return self._sweep.state

    @property
    def message(self) -> sweep_pb2.Sweep:
        """The sweep as it was last heard of."""
        return self._sweep.message

    def watch(self) -> Iterator[sweep_pb2.Sweep]:
        """Its states, until it is finished."""
        return self._client._iterate(self._sweep.watch())

    def wait(self) -> Self:
        """Until it is finished, whatever the outcome."""
        self._client._do(self._sweep.wait())
        return self

    def runs(self) -> list[sweep_pb2.SweepRun]:
        """Its planned runs in order: setting, place of the result, run and its state."""
        return self._client._do(self._sweep.runs())

    def result(self, out: str | Path | None = None, **fields: Any) -> SweepResult:
        """The sweep as a directory, the same bytes as a local sweep makes: fetched as runs end.

        Args:
            out: directory to make; default a temporary one.
            fields: resume, progress, stop, as of `AsyncSweep.result`.
        """
        return self._client._do(self._sweep.result(out, **fields))

    def cancel(self) -> Self:
        self._client._do(self._sweep.cancel())
        return self


async def _connect(target: str, access: Access) -> AsyncClient:
    return AsyncClient(target, access)  # within the loop that it is to live in
