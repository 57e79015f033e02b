"""Load figures of the service, over loopback: ``python -m tests.service.load [--runs 10000] [--watchers 1000] [--points 2000]``.

Starts a server of its own in a temporary directory, with one worker that is kept busy by one long run, so that the queue
only grows.  Prints JSON: submits acknowledged durably per second, latency of GetRun meanwhile, bytes per second of a
download, memory of the server before, after so many runs and with so many watchers; then how fast a sweep is laid out,
what GetRun takes meanwhile, and how fast tiny runs of a sweep are done.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from gcsim.api.v1 import dataset_service_pb2
from gcsim.client import AsyncClient
from gcsim.spec.load import parse_spec

SPEC = """\
version: 1
name: load
run: {duration: DURATION, settle: 1ms}
record: {p_states: true, requests_sample: 1.0}
requests:
  - workers: 2
    steps:
      - cpu: 10us
      - allocate: {count: 10, size: 1KiB}
"""


def rss_mib(pid: int) -> float:
    return round(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 / 2**20, 1)


async def measure(
    target: str, pid: int, runs: int, watchers: int, in_flight: int, points: int
) -> dict[str, float]:
    out: dict[str, float] = {}
    async with AsyncClient(target) as client:
        big = await client.submit(parse_spec(SPEC.replace("DURATION", "2s")))
        await big.wait()
        await client.submit(parse_spec(SPEC.replace("DURATION", "5000s")), run_id="long")
        out["server_rss_mib_idle"] = rss_mib(pid)

        request = dataset_service_pb2.DownloadDatasetRequest(name=big.message.dataset)
        size, begun = 0, time.perf_counter()
        while time.perf_counter() - begun < 3:
            async for part in client._datasets.DownloadDataset(request):
                size += len(part.chunk.data)
        out["download_mib_per_s"] = round(size / 2**20 / (time.perf_counter() - begun), 1)

        spec = parse_spec(SPEC.replace("DURATION", "20ms"))
        numbers = iter(range(runs))

        async def submit_some() -> None:
            for number in numbers:
                one = spec.model_copy(update={"run": spec.run.model_copy(update={"seed": number})})
                await client.submit(one)

        async def look(done: asyncio.Event) -> tuple[float, float]:
            """Median and 99th percentile of GetRun until then, in ms."""
            latencies: list[float] = []
            while not done.is_set():
                at = time.perf_counter()
                await client.run("long")
                latencies.append((time.perf_counter() - at) * 1000)
                await asyncio.sleep(0.01)
            latencies.sort()
            return round(latencies[len(latencies) // 2], 2), round(latencies[int(len(latencies) * 0.99)], 2)

        done = asyncio.Event()
        looking = asyncio.create_task(look(done))
        begun = time.perf_counter()
        await asyncio.gather(*(submit_some() for _ in range(in_flight)))
        out["submits_per_s"] = round(runs / (time.perf_counter() - begun), 1)
        done.set()
        out["get_run_p50_ms"], out["get_run_p99_ms"] = await looking
        out[f"server_rss_mib_after_{runs}_runs"] = rss_mib(pid)

        streams = [client.watch("long") for _ in range(watchers)]
        begun = time.perf_counter()
        await asyncio.gather(*(anext(stream) for stream in streams))
        out[f"first_state_of_{watchers}_watchers_s"] = round(time.perf_counter() - begun, 2)
        out[f"server_rss_mib_with_{watchers}_watchers"] = rss_mib(pid)
        await asyncio.gather(*(stream.aclose() for stream in streams))

        done = asyncio.Event()
        looking = asyncio.create_task(look(done))
        begun = time.perf_counter()
        axis = "gogc=" + ",".join(str(10 + number) for number in range(points))
        sweep = await client.submit_sweep(spec, [axis])
        out["sweep_points_laid_out_per_s"] = round(points / (time.perf_counter() - begun), 1)
        done.set()
        _, out["get_run_p99_ms_while_laying_out"] = await looking
        out[f"server_rss_mib_after_a_sweep_of_{points}"] = rss_mib(pid)
        await client.cancel_sweep(sweep.id)
        for run in await client.runs("state = QUEUED"):
            await client.cancel(run.name)
        await client.cancel("long")
        begun = time.perf_counter()
        tiny = await (await client.submit_sweep(spec, ["gogc=50,100"], replications=50)).wait()
        out["sweep_runs_per_s_of_one_worker"] = round(100 / (time.perf_counter() - begun), 1)
        assert tiny.state == "SUCCEEDED"
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--watchers", type=int, default=1_000)
    parser.add_argument("--in-flight", type=int, default=16)
    parser.add_argument("--points", type=int, default=2_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        command = [sys.executable, "-m", "gcsim", "serve", "--data-dir", directory, "--listen", "127.0.0.1:0"]
        server = subprocess.Popen(
            [*command, "--queue-limit", str(given.runs + 10), "--drain-timeout", "0"],
            stderr=subprocess.PIPE,
            text=True,
        )
        assert server.stderr is not None
        target = json.loads(server.stderr.readline())["address"]
        drain = subprocess.Popen(["cat"], stdin=server.stderr, stdout=subprocess.DEVNULL)
        try:
            found = asyncio.run(
                measure(target, server.pid, given.runs, given.watchers, given.in_flight, given.points)
            )
        finally:
            server.terminate()
            server.wait(60)
            drain.wait()
    print(json.dumps({"cpus": os.cpu_count(), **found}, indent=2))


if __name__ == "__main__":
    main()
