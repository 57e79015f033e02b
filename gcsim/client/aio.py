"""The client for event loops; the other one is this one on a loop of its own."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import secrets
import tempfile
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import grpc
import grpc.aio

from gcsim.api import convert
from gcsim.api.v1 import dataset_pb2, dataset_service_pb2, dataset_service_pb2_grpc, run_pb2
from gcsim.api.v1 import simulation_service_pb2 as api
from gcsim.api.v1 import simulation_service_pb2_grpc as stubs
from gcsim.client.errors import RunFailedError, ServerUnreachableError, ServiceError, translate
from gcsim.client.sweeps import SweepCalls, complete
from gcsim.datasets.archive import unpack
from gcsim.datasets.reader import Result, load
from gcsim.errors import DatasetError
from gcsim.spec.load import load_spec
from gcsim.spec.models import Spec

FINAL = frozenset({run_pb2.RUN_STATE_SUCCEEDED, run_pb2.RUN_STATE_FAILED, run_pb2.RUN_STATE_CANCELLED})
CALL_TIMEOUT_S = 30.0
"""For calls that answer once.  assumed: a submit waits for the disk, and no longer than this."""


@dataclass(frozen=True, kw_only=True)
class Access:
    """How to reach a server.

    Attributes:
        ca: PEM file of the authority of the server's certificate; then TLS is used.
        cert, key: PEM files of the client's own certificate, for servers that ask for one.
        token: sent with every call.
        retries: further tries of a call that did not reach the server.  Submitting is safe to repeat: each has a request id.
    """

    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    token: str | None = None
    retries: int = 4


class AsyncClient(SweepCalls):
    """A connection to a server.  An async context manager.

    Raises:
        ServerUnreachableError: no server answers (from any call).
        ServiceError: the server refuses; has a `reason`.
        SpecError: the spec or another part of a request is wrong, with every problem.
    """

    def __init__(self, target: str, access: Access | None = None) -> None:
        self.target = target
        self.access = access or Access()
        options = [
            ("grpc.max_metadata_size", 1 << 20),
            ("grpc.keepalive_time_ms", 60_000),
            # A server that comes back is found within a second.
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.min_reconnect_backoff_ms", 100),
            ("grpc.max_reconnect_backoff_ms", 1_000),
        ]
        if self.access.ca is None:
            self._channel = grpc.aio.insecure_channel(target, options=options)
        else:
            read = [
                None if path is None else path.read_bytes() for path in (self.access.key, self.access.cert)
            ]
            credentials = grpc.ssl_channel_credentials(self.access.ca.read_bytes(), *read)
            self._channel = grpc.aio.secure_channel(target, credentials, options=options)
        self._runs = stubs.SimulationServiceStub(self._channel)  # type: ignore[no-untyped-call]
        self._datasets = dataset_service_pb2_grpc.DatasetServiceStub(self._channel)  # type: ignore[no-untyped-call]

    async def close(self) -> None:
        await self._channel.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    # ---- runs ----------------------------------------------------------------------------------------------

    async def submit(
        self,
        spec: Spec | str | Path,
        *,
        run_id: str = "",
        request_id: str | None = None,
        labels: Mapping[str, str] | None = None,
        skip_cache: bool = False,
        max_run_duration_s: int | None = None,
        validate_only: bool = False,
    ) -> AsyncRun:
        """Submit a spec or spec file; when this returns, the run is on the server's disk.

        Files that the spec names (arrival times, a machine profile) are read here and sent along.
        """
        resolved = spec if isinstance(spec, Spec) else load_spec(spec)
        request = api.SubmitRunRequest(
            spec=convert.message_of(resolved),
            run_id=run_id,
            request_id=secrets.token_hex(16) if request_id is None else request_id,
            labels=labels or {},
            skip_cache=skip_cache,
            validate_only=validate_only,
        )
        complete(request, resolved, max_run_duration_s)
        response = await self._call(self._runs.SubmitRun, request)
        return AsyncRun(self, response.run)

    async def run(self, run_id: str) -> AsyncRun:
        """A run by its id."""
        return AsyncRun(
            self, (await self._call(self._runs.GetRun, api.GetRunRequest(name=_name(run_id)))).run
        )

    async def runs(self, filter: str = "", *, newest_first: bool = False) -> list[run_pb2.Run]:  # noqa: A002
        """All runs that fit, without their specs."""
        order, token, found = "create_time desc" if newest_first else "create_time", "", []
        while True:
            request = api.ListRunsRequest(filter=filter, order_by=order, page_size=500, page_token=token)
            response = await self._call(self._runs.ListRuns, request)
            found += response.runs
            token = response.next_page_token
            if not token:
                return found

    async def cancel(self, run_id: str) -> run_pb2.Run:
        response = await self._call(self._runs.CancelRun, api.CancelRunRequest(name=_name(run_id)))
        run: run_pb2.Run = response.run
        return run

    async def delete(self, run_id: str, *, etag: str = "") -> None:
        await self._call(self._runs.DeleteRun, api.DeleteRunRequest(name=_name(run_id), etag=etag))

    async def capabilities(self) -> api.GetCapabilitiesResponse:
        response: api.GetCapabilitiesResponse = await self._call(
            self._runs.GetCapabilities, api.GetCapabilitiesRequest()
        )
        return response

    async def watch(self, run_id: str, *, after_revision: int = 0) -> AsyncGenerator[run_pb2.Run, None]:
        """The run's states and progress until it is finished.  A broken stream is taken up where it was."""
        failures = 0
        while True:
            request = api.WatchRunRequest(name=_name(run_id), after_revision=after_revision)
            try:
                async for response in self._runs.WatchRun(request, metadata=self._metadata()):
                    failures = 0
                    if response.HasField("run"):
                        after_revision = response.run.revision
                        yield response.run
                return
            except grpc.aio.AioRpcError as error:
                failures = await self._after(error, failures)

    # ---- datasets ------------------------------------------------------------------------------------------

    async def datasets(self) -> list[dataset_pb2.Dataset]:
        """All datasets."""
        token, found = "", []
        while True:
            request = dataset_service_pb2.ListDatasetsRequest(page_size=500, page_token=token)
            response = await self._call(self._datasets.ListDatasets, request)
            found += response.datasets
            token = response.next_page_token
            if not token:
                return found

    async def download(self, name: str, target: Path) -> Result:
        """Download a dataset (a run's id, ``runs/...``, or ``datasets/...``) to a new directory.

        What has been written is kept while the connection breaks and comes back; the directory appears when the
        SHA-256 is right.
        """
        if target.exists():
            raise DatasetError(f"{target} is already there; choose another directory or remove it")
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            dir=target.parent, prefix=f".{target.name}.", suffix=".tar.part"
        ) as file:
            expected = await self._fetch(name if "/" in name else _name(name), file)
            await asyncio.to_thread(_check, file, expected, name)
            await asyncio.to_thread(unpack, Path(file.name), target)
        return load(target)

    async def _fetch(self, name: str, file: Any) -> str:
        failures, offset = 0, 0
        while True:
            request = dataset_service_pb2.DownloadDatasetRequest(name=name, read_offset=offset)
            header: dataset_service_pb2.DownloadHeader | None = None
            try:
                async for response in self._datasets.DownloadDataset(request, metadata=self._metadata()):
                    if response.HasField("header"):
                        header = response.header
                        continue
                    failures = 0
                    if response.chunk.offset != offset:
                        raise DatasetError(f"{name}: a chunk for {response.chunk.offset} came at {offset}")
                    file.write(response.chunk.data)
                    offset += len(response.chunk.data)
                if header is None or offset != header.size_bytes:
                    raise DatasetError(f"{name}: the download ended after {offset} bytes")
                return header.sha256
            except grpc.aio.AioRpcError as error:
                failures = await self._after(error, failures)

    # ---- inside --------------------------------------------------------------------------------------------

    def _metadata(self) -> tuple[tuple[str, str], ...]:
        token = self.access.token
        return () if token is None else (("authorization", f"Bearer {token}"),)

    async def _call(self, method: Any, request: Any, timeout_s: float = CALL_TIMEOUT_S) -> Any:
        failures = 0
        while True:
            try:
                return await method(request, metadata=self._metadata(), timeout=timeout_s)
            except grpc.aio.AioRpcError as error:
                failures = await self._after(error, failures)

    async def _after(self, error: grpc.aio.AioRpcError, failures: int) -> int:
        """Wait before the next try, or raise: only a server that was not reached, or is stopping, is tried again."""
        ours = translate(error, self.target)
        again = isinstance(ours, ServerUnreachableError) or (
            isinstance(ours, ServiceError) and ours.reason == "SERVER_DRAINING"
        )
        if not again or failures >= self.access.retries:
            raise ours from None
        await asyncio.sleep(0.2 * 2**failures)
        return failures + 1


class AsyncRun:
    """A run on a server."""

    def __init__(self, client: AsyncClient, message: run_pb2.Run) -> None:
        self.client = client
        self.message = message
        """The run as it was last heard of."""

    @property
    def id(self) -> str:
        return self.message.name.removeprefix("runs/")

    @property
    def state(self) -> str:
        """QUEUED, RUNNING, CANCELLING, SUCCEEDED, FAILED or CANCELLED, as last heard of."""
        return state_name(self.message)

    async def watch(self) -> AsyncGenerator[run_pb2.Run, None]:
        """Its states and progress, until it is finished."""
        async for message in self.client.watch(self.id):
            if not message.HasField("spec"):
                message.spec.CopyFrom(self.message.spec)
            self.message = message
            yield message

    async def wait(self) -> Self:
        """Until it is finished, whatever the outcome."""
        if self.message.state not in FINAL:
            async with contextlib.aclosing(self.watch()) as states:
                async for _ in states:
                    pass
        return self

    async def result(self, out: str | Path | None = None) -> Result:
        """The dataset, once the run is finished: downloaded to `out`, or to a temporary directory.

        Raises:
            RunFailedError: there is none.
        """
        await self.wait()
        if self.message.state != run_pb2.RUN_STATE_SUCCEEDED:
            error = self.message.error
            why = f": {error.message} ({error.reason})" if error.reason else ""
            raise RunFailedError(f"run {self.id} is {self.state}{why}", error.reason)
        if out is None:
            out = Path(tempfile.mkdtemp(prefix="gcsim-")) / self.message.dataset.removeprefix("datasets/")
        return await self.client.download(self.id, Path(out))

    async def cancel(self) -> Self:
        self.message = await self.client.cancel(self.id)
        return self


def state_name(run: run_pb2.Run) -> str:
    return run_pb2.RunState.Name(run.state).removeprefix("RUN_STATE_")


def _name(run_id: str) -> str:
    return run_id if run_id.startswith("runs/") else f"runs/{run_id}"


def _check(file: Any, expected: str, name: str) -> None:
    file.flush()
    file.seek(0)
    found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != expected:
        raise DatasetError(f"{name}: what was downloaded has the SHA-256 {found} instead of {expected}")
