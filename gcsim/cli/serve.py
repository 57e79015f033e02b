"""`gcsim serve`."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from gcsim.units import parse_bytes

DEFAULT_LISTEN = "127.0.0.1:7677"


class Size(click.ParamType):  # type: ignore[type-arg]
    """A size such as 512MiB, in bytes."""

    name = "size"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            size = parse_bytes(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        assert isinstance(size, int)
        return size


_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command("serve")
@click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("gcsim-data"),
    show_default=True,
    help="Directory for runs and results; made if it is not there.",
)
@click.option(
    "--listen", default=DEFAULT_LISTEN, show_default=True, help="host:port; port 0 takes a free one."
)
@click.option(
    "--workers", type=click.IntRange(1, 1024), default=1, show_default=True, help="Worker processes."
)
@click.option("--tls-cert", type=_FILE, help="PEM file of the server's certificate.")
@click.option("--tls-key", type=_FILE, help="PEM file of its key.")
@click.option("--client-ca", type=_FILE, help="PEM file; then clients need a certificate of this authority.")
@click.option("--token-file", type=_FILE, help="One token a line; then every call needs one.")
@click.option("--insecure", is_flag=True, help="Listen beyond this machine without TLS.")
@click.option(
    "--queue-limit",
    type=click.IntRange(1),
    default=10_000,
    show_default=True,
    help="Runs that may wait; more are refused.",
)
@click.option(
    "--drain-timeout",
    type=click.FloatRange(0),
    default=30.0,
    show_default=True,
    help="Seconds that running runs may take to finish after SIGTERM.",
)
@click.option(
    "--max-run-duration",
    type=click.FloatRange(min=0, min_open=True),
    default=3600.0,
    show_default=True,
    help="Seconds of wall-clock time a run may take, unless it was submitted with a limit of its own.",
)
@click.option(
    "--worker-memory", type=Size(), help="Address space of each worker, such as 4GiB. [default: any]"
)
@click.option(
    "--max-stored", type=Size(), help="Bytes of results beyond which no run is accepted. [default: any]"
)
@click.option(
    "--max-requests",
    type=click.FloatRange(min=1),
    default=2e9,
    show_default=True,
    help="Simulated requests of one run, by estimate, and a tenth of those of one sweep; more are refused.",
)
@click.option(
    "--max-sweep-runs",
    type=click.IntRange(min=1),
    default=10_000,
    show_default=True,
    help="Runs of one sweep; more are refused.",
)
@click.option(
    "--metrics-listen",
    metavar="HOST:PORT",
    help="Serve Prometheus metrics there under /metrics; needs gcsim[metrics]. [default: none]",
)
@click.option(
    "--log-level",
    type=click.Choice(["DEBUG", "INFO", "WARNING", "ERROR"]),
    default="INFO",
    show_default=True,
    help="Least level of the JSON lines on stderr.",
)
def command(
    data_dir: Path,
    listen: str,
    workers: int,
    tls_cert: Path | None,
    tls_key: Path | None,
    client_ca: Path | None,
    token_file: Path | None,
    insecure: bool,
    queue_limit: int,
    drain_timeout: float,
    max_run_duration: float,
    worker_memory: int | None,
    max_stored: int | None,
    max_requests: float,
    max_sweep_runs: int,
    metrics_listen: str | None,
    log_level: str,
) -> None:
    """Serve simulations over gRPC, with a durable queue and worker processes.

    SIGTERM or Ctrl-C drains: no new runs, running ones finish or go back to the queue. A second one stops at once;
    nothing is lost either way.
    """
    from gcsim.service.core import ServerOptions
    from gcsim.service.logs import configure
    from gcsim.service.server import serve
    from gcsim.sweep.supervisor import WorkerSettings

    configure(log_level)
    options = ServerOptions(
        data_dir=data_dir,
        listen=listen,
        workers=workers,
        tls_cert=tls_cert,
        tls_key=tls_key,
        client_ca=client_ca,
        token_file=token_file,
        insecure=insecure,
        queue_limit=queue_limit,
        drain_timeout_s=drain_timeout,
        max_estimated_requests=max_requests,
        max_estimated_sweep_requests=10 * max_requests,
        max_sweep_runs=max_sweep_runs,
        metrics_listen=metrics_listen,
        max_stored_bytes=max_stored,
        worker=WorkerSettings(max_run_s=max_run_duration, memory_bytes=worker_memory),
    )
    asyncio.run(serve(options))
