"""Prometheus metrics on a side port (extra ``metrics``): what callers ask, how long it takes, what waits and runs.

Served by a thread of its own, so that a scrape, which asks the store, holds up no call.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio

from gcsim.version import ENGINE_VERSION

if TYPE_CHECKING:
    from gcsim.service.core import Core

SECONDS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
"""Buckets of call durations."""


@dataclass(frozen=True)
class _Handler(grpc.RpcMethodHandler):  # type: ignore[misc]
    """A method's handler with its function replaced."""

    request_streaming: bool
    response_streaming: bool
    request_deserializer: Any
    response_serializer: Any
    unary_unary: Any = None
    unary_stream: Any = None
    stream_unary: Any = None
    stream_stream: Any = None


class CallMetrics(grpc.aio.ServerInterceptor):  # type: ignore[misc]
    """Counts calls by method and code, and times them.  Streams count when they end.

    Args:
        registry: a `prometheus_client.CollectorRegistry`.
        methods: paths that are counted under their own name; whatever else a caller makes up is one: ``other``.
    """

    def __init__(self, registry: Any, methods: frozenset[str]) -> None:
        from prometheus_client import Counter, Gauge, Histogram

        self._methods = methods
        self._calls = Counter("gcsim_calls", "Calls that have ended.", ["method", "code"], registry=registry)
        self._seconds = Histogram(
            "gcsim_call_seconds", "Duration of calls.", ["method"], buckets=SECONDS, registry=registry
        )
        self._active = Gauge("gcsim_calls_active", "Calls that go on.", ["method"], registry=registry)

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        details: grpc.HandlerCallDetails,
    ) -> Any:
        handler = await continuation(details)
        method = details.method if details.method in self._methods else "other"
        if handler is None:
            self._calls.labels(method, "UNIMPLEMENTED").inc()
            return handler
        kind = (
            f"{'stream' if handler.request_streaming else 'unary'}_"
            f"{'stream' if handler.response_streaming else 'unary'}"
        )
        inner = getattr(handler, kind)
        return _Handler(
            handler.request_streaming,
            handler.response_streaming,
            handler.request_deserializer,
            handler.response_serializer,
            **{kind: self._measured(method, inner)},
        )

    def _measured(self, method: str, inner: Any) -> Any:
        if inspect.isasyncgenfunction(inner):

            async def stream(request: Any, context: Any) -> Any:
                with _Ended(self, method, context):
                    async for response in inner(request, context):
                        yield response

            return stream

        async def call(request: Any, context: Any) -> Any:
            with _Ended(self, method, context):
                return await inner(request, context)

        return call

    def begin(self, method: str) -> None:
        self._active.labels(method).inc()

    def end(self, method: str, code: str, seconds: float) -> None:
        self._active.labels(method).dec()
        self._calls.labels(method, code).inc()
        self._seconds.labels(method).observe(seconds)


class _Ended:
    """From a call's beginning to its end, however that comes."""

    def __init__(self, metrics: CallMetrics, method: str, context: Any) -> None:
        self._metrics, self._method, self._context = metrics, method, context

    def __enter__(self) -> None:
        self._begun_s = time.monotonic()
        self._metrics.begin(self._method)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        code = "OK"
        if kind is not None:
            found = self._context.code()
            # An abort has set the code; without one the caller is gone.
            code = (
                found.name
                if isinstance(found, grpc.StatusCode) and found is not grpc.StatusCode.OK
                else "CANCELLED"
            )
        self._metrics.end(self._method, code, time.monotonic() - self._begun_s)


class StoreMetrics:
    """What the store and the workers are at, asked at each scrape; a collector of `prometheus_client`."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def collect(self) -> Iterator[Any]:
        from prometheus_client.core import GaugeMetricFamily

        core = self._core
        runs = GaugeMetricFamily("gcsim_runs", "Runs in the store by state.", labels=["state"])
        for state, count in core.store.counts().items():
            runs.add_metric([state.value], count)
        yield runs
        sweeps = GaugeMetricFamily("gcsim_sweeps", "Sweeps in the store by state.", labels=["state"])
        for sweep_state, count in core.store.sweeps.states().items():
            sweeps.add_metric([sweep_state.value], count)
        yield sweeps
        for name, help_text, value in (
            ("gcsim_queue_limit", "Runs that may wait.", core.options.queue_limit),
            ("gcsim_workers", "Worker processes.", core.options.workers),
            ("gcsim_workers_busy", "Workers that simulate.", core.supervisor.running),
            (
                "gcsim_watchers",
                "Open watches of runs and sweeps.",
                core.hub.watchers + core.sweep_hub.watchers,
            ),
            ("gcsim_stored_bytes", "Size of all datasets.", core.store.stored_bytes()),
            ("gcsim_draining", "1 while the server is stopping.", int(core.draining)),
        ):
            yield GaugeMetricFamily(name, help_text, value=value)
        info = GaugeMetricFamily("gcsim_build_info", "Version of gcsim.", labels=["version"])
        info.add_metric([ENGINE_VERSION], 1)
        yield info


class MetricsServer:
    """Serves ``/metrics`` until `close`.

    Args:
        host, port: where; port 0 takes a free one.
    Raises:
        OSError: the address is taken.
    """

    def __init__(self, host: str, port: int, registry: Any) -> None:
        from prometheus_client import start_http_server

        self._server, self._thread = start_http_server(port, host, registry)
        self.address = f"{host}:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
