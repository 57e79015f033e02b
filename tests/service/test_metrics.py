"""Metrics on the side port: what Prometheus' own parser reads there."""

import asyncio
import sys
import urllib.request
from pathlib import Path

import grpc.aio
import pytest
from prometheus_client.parser import text_string_to_metric_families

from gcsim.api.v1 import simulation_service_pb2 as api
from gcsim.client import AsyncClient
from gcsim.service.core import ServerOptions
from gcsim.service.server import Server, ServerError
from tests.service.test_calls import refused, serving, with_server
from tests.sweep.runs import quick

SERVICE = "/gcsim.api.v1.SimulationService/"


def scrape(address: str) -> dict[tuple[str, ...], float]:
    """(name, label values in order of label names...) -> value."""
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_calls_runs_and_sweeps_are_counted(tmp_path: Path) -> None:
    async def body(server: Server, client: AsyncClient) -> None:
        await client.submit(quick(), run_id="one")
        await refused(client.run("nowhere"))
        await client.submit_sweep(quick(), ["gogc=50,100"])
        stream = client._runs.WatchRun(api.WatchRunRequest(name="runs/one"))
        await stream.read()
        made_up = client._channel.unary_unary("/made.up/Method", request_serializer=lambda data: data)
        with pytest.raises(grpc.aio.AioRpcError):
            await made_up(b"")
        found = await asyncio.to_thread(scrape, server.metrics_address)
        assert found["gcsim_calls_total", "OK", SERVICE + "SubmitRun"] == 1
        assert found["gcsim_calls_total", "NOT_FOUND", SERVICE + "GetRun"] == 1
        assert found["gcsim_calls_total", "UNIMPLEMENTED", "other"] == 1
        assert found["gcsim_call_seconds_count", SERVICE + "SubmitSweep"] == 1
        assert found["gcsim_calls_active", SERVICE + "WatchRun"] == 1
        assert found["gcsim_watchers",] == 1
        assert found["gcsim_runs", "QUEUED"] >= 1
        assert found["gcsim_sweeps", "RUNNING"] == 1
        assert (found["gcsim_workers",], found["gcsim_queue_limit",]) == (0, 10_000)
        stream.cancel()
        while not (await asyncio.to_thread(scrape, server.metrics_address)).get(
            ("gcsim_calls_total", "CANCELLED", SERVICE + "WatchRun")
        ):
            await asyncio.sleep(0.01)
        for name in ("token", "spec", "runs/one"):
            assert name not in str(sorted(found)), "nothing of callers' is shown"

    with_server(tmp_path, body, metrics_listen="127.0.0.1:0")


def test_every_error_passes_through_the_interceptor_as_it_is(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text("secret\n")

    async def body(server: Server, client: AsyncClient) -> None:
        assert (await refused(client.runs())).reason == "TOKEN_INVALID"
        found = await asyncio.to_thread(scrape, server.metrics_address)
        assert found["gcsim_calls_total", "UNAUTHENTICATED", SERVICE + "ListRuns"] == 1

    with_server(tmp_path / "data", body, metrics_listen="127.0.0.1:0", token_file=tokens)


def test_metrics_that_cannot_be_served_stop_the_server_with_a_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def start(listen: str) -> None:
        options = ServerOptions(
            data_dir=tmp_path / "other", listen="127.0.0.1:0", workers=0, metrics_listen=listen
        )
        async with Server(options):
            pass

    async def main() -> None:
        with pytest.raises(ServerError, match="metrics are served without TLS"):
            await start("0.0.0.0:0")
        with pytest.raises(ServerError, match="is no address"):
            await start("here")
        async with serving(tmp_path / "data", metrics_listen="127.0.0.1:0") as (server, _):
            with pytest.raises(ServerError, match="cannot serve metrics on"):
                await start(server.metrics_address)
        monkeypatch.setitem(sys.modules, "prometheus_client", None)
        with pytest.raises(ServerError, match=r"gcsim\[metrics\]"):
            await start("127.0.0.1:0")

    asyncio.run(main())
