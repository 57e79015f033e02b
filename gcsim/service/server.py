"""The server process: start, serve, drain, stop."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import signal
from pathlib import Path
from typing import Any, Self

import grpc
import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from gcsim.api.v1 import dataset_service_pb2, simulation_service_pb2
from gcsim.errors import GcsimError
from gcsim.service.core import Core, ServerOptions
from gcsim.service.downloads import Datasets
from gcsim.service.methods import TokenInterceptor, generic_handler
from gcsim.service.metrics import CallMetrics, MetricsServer, StoreMetrics
from gcsim.service.runs import Runs
from gcsim.service.sweeps import Sweeps
from gcsim.sweep.store import Store

log = logging.getLogger("gcsim.server")

SERVICES = (
    simulation_service_pb2.DESCRIPTOR.services_by_name["SimulationService"],
    dataset_service_pb2.DESCRIPTOR.services_by_name["DatasetService"],
)


class Simulations(Runs, Sweeps):
    """SimulationService: the calls about runs and those about sweeps."""


class ServerError(GcsimError):
    """The server cannot start."""


class Server:
    """One server over one data directory.  An async context manager: entering starts it, leaving stops it at once.

    Raises:
        ServerError, StoreRefusedError: it cannot start; the message says what to do.
    """

    def __init__(self, options: ServerOptions) -> None:
        self.options = options
        self._metrics: MetricsServer | None = None
        self.address = ""
        """host:port, once it listens."""

    async def __aenter__(self) -> Self:
        options = self.options
        credentials = _credentials(options)
        tokens = _tokens(options)
        check_address(options, options.listen)
        calls, registry = self._call_metrics()
        self._store = Store.open(
            options.data_dir,
            queue_limit=options.queue_limit,
            sweep_limit=options.max_open_sweeps,
            max_pages=options.store_max_pages,
        )
        try:
            self.core = Core(options, self._store)
            self._server = grpc.aio.server(
                interceptors=[*calls, *([TokenInterceptor(tokens)] if tokens else [])],
                options=[
                    ("grpc.so_reuseport", 0),  # else a second server takes the same port without a word
                    ("grpc.max_receive_message_length", options.max_request_bytes),
                    ("grpc.http2.min_ping_interval_without_data_ms", 30_000),
                    ("grpc.keepalive_permit_without_calls", 1),
                ],
            )
            self._server.add_generic_rpc_handlers(
                (
                    generic_handler(SERVICES[0], Simulations(self.core)),
                    generic_handler(SERVICES[1], Datasets(self.core)),
                )
            )
            self._health = health.aio.HealthServicer()
            health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
            names = [service.full_name for service in SERVICES]
            reflection.enable_server_reflection(
                (*names, health.SERVICE_NAME, reflection.SERVICE_NAME), self._server
            )
            port = self._bind(credentials)
            if registry is not None:
                self._metrics = self._serve_metrics(registry)
            await self._server.start()
            for name in ("", *names):
                await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)
        except BaseException:
            if self._metrics is not None:
                self._metrics.close()
            self._store.close()
            raise
        self.core.start()
        self.address = f"{options.listen.rpartition(':')[0]}:{port}"
        log.info(
            "listening",
            extra={
                "fields": {
                    "address": self.address,
                    "data_dir": str(options.data_dir),
                    **({} if self._metrics is None else {"metrics": self.metrics_address}),
                }
            },
        )
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.stop()

    def _bind(self, credentials: grpc.ServerCredentials | None) -> int:
        listen = self.options.listen
        try:
            if credentials is None:
                port = self._server.add_insecure_port(listen)
            else:
                port = self._server.add_secure_port(listen, credentials)
        except RuntimeError:
            port = 0
        if port == 0:
            raise ServerError(
                f"cannot listen on {listen}: it is in use or not ours; choose another with --listen"
            )
        return int(port)

    @property
    def metrics_address(self) -> str:
        """host:port of the metrics; empty if there are none."""
        return "" if self._metrics is None else self._metrics.address

    def _call_metrics(self) -> tuple[list[CallMetrics], Any]:
        """The interceptor that counts calls and where it counts, if metrics are wanted."""
        if self.options.metrics_listen is None:
            return [], None
        check_address(self.options, self.options.metrics_listen)
        try:
            from prometheus_client import CollectorRegistry
        except ImportError as error:
            raise ServerError(
                "--metrics-listen needs prometheus-client: pip install 'gcsim[metrics]'"
            ) from error
        registry = CollectorRegistry()
        methods = frozenset(
            f"/{service.full_name}/{method.name}" for service in SERVICES for method in service.methods
        )
        return [CallMetrics(registry, methods)], registry

    def _serve_metrics(self, registry: Any) -> MetricsServer:
        listen = self.options.metrics_listen or ""
        registry.register(StoreMetrics(self.core))
        host, _, port = listen.rpartition(":")
        try:
            return MetricsServer(host.strip("[]"), int(port), registry)
        except OSError as error:
            raise ServerError(
                f"cannot serve metrics on {listen} ({error.strerror}); choose another --metrics-listen"
            ) from error

    async def drain(self) -> bool:
        """Take no more runs, let the running ones finish within the time; whether they did."""
        self.core.draining = True
        log.info("draining", extra={"fields": {"running": self.core.supervisor.running}})
        await self._health.enter_graceful_shutdown()
        return await asyncio.to_thread(self.core.supervisor.drain, self.options.drain_timeout_s)

    async def stop(self) -> None:
        """Give running runs back to the queue, send watchers away with a last state, and end.  Loses nothing."""
        self.core.draining = True
        await asyncio.to_thread(self.core.stop)
        self.core.closing.set()
        self.core.hub.wake_all()
        self.core.sweep_hub.wake_all()
        await self._server.stop(grace=2.0)
        if self._metrics is not None:
            await asyncio.to_thread(self._metrics.close)
        await asyncio.to_thread(self.core.close)
        self._store.close()
        log.info("stopped")

    def hurry(self) -> None:
        """End a drain at once."""
        self.core.supervisor.hurry()


async def serve(options: ServerOptions) -> None:
    """Serve until SIGTERM or SIGINT, then drain; a second signal stops at once."""
    loop = asyncio.get_running_loop()
    asked = asyncio.Event()

    async with Server(options) as server:

        def on_signal() -> None:
            if asked.is_set():
                server.hurry()
            asked.set()

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, on_signal)
        await asked.wait()
        await server.drain()


def check_address(options: ServerOptions, listen: str) -> None:
    """Refuse to listen beyond this machine in the clear; metrics are always in the clear."""
    host, _, port = listen.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65_535:
        raise ServerError(f"{listen!r} is no address; write host:port such as 127.0.0.1:7677")
    if options.insecure or is_loopback(host):
        return
    if listen == options.metrics_listen:
        raise ServerError(
            f"{listen} can be reached from other machines, and metrics are served without TLS; "
            "listen on 127.0.0.1, or say --insecure if the network itself is trusted"
        )
    if options.tls_cert is not None:
        return
    raise ServerError(
        f"{listen} can be reached from other machines; give --tls-cert and --tls-key, "
        "listen on 127.0.0.1, or say --insecure if the network itself is trusted"
    )


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _credentials(options: ServerOptions) -> Any:
    if options.tls_cert is None and options.tls_key is None:
        if options.client_ca is not None:
            raise ServerError(
                "--client-ca needs TLS: give --tls-cert and --tls-key, since certificates of clients come over it"
            )
        return None
    if options.tls_cert is None or options.tls_key is None:
        raise ServerError("--tls-cert and --tls-key go together; give both")
    ca = None if options.client_ca is None else _read(options.client_ca)
    return grpc.ssl_server_credentials(
        [(_read(options.tls_key), _read(options.tls_cert))],
        root_certificates=ca,
        require_client_auth=ca is not None,
    )


def _tokens(options: ServerOptions) -> list[str]:
    if options.token_file is None:
        return []
    tokens = _read(options.token_file).decode("utf-8", errors="replace").split()
    if not tokens:
        raise ServerError(f"{options.token_file} has no token; write one a line")
    return tokens


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ServerError(f"{path}: cannot be read ({error.strerror})") from error
