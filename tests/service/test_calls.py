"""The calls, over a real connection to a server in this process."""

import asyncio
import hashlib
import random
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from gcsim.api import convert
from gcsim.api.v1 import dataset_service_pb2, dataset_service_pb2_grpc, run_pb2, spec_pb2
from gcsim.api.v1 import simulation_service_pb2 as api
from gcsim.client import AsyncClient, RunFailedError, ServiceError
from gcsim.client.aio import Access
from gcsim.client.errors import translate
from gcsim.datasets.run import run_spec
from gcsim.errors import DatasetError, GcsimError, SpecError
from gcsim.service import status
from gcsim.service.core import ServerOptions
from gcsim.service.limits import estimated_requests
from gcsim.service.server import SERVICES, Server, ServerError
from gcsim.sweep.states import NewRun
from gcsim.sweep.store import Store
from tests.sweep.runs import endless, quick

Body = Callable[[Server, AsyncClient], Awaitable[None]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with one finished run, of `quick()`."""
    data_dir = tmp_path_factory.mktemp("made")
    with Store.open(data_dir) as store:
        dataset_id = NewRun.of(quick()).dataset_id
        run_spec(quick(), store.dataset_path(dataset_id))
        store.adopt(store.dataset_path(dataset_id))
    return data_dir


@asynccontextmanager
async def serving(data_dir: Path, **options: Any) -> AsyncIterator[tuple[Server, AsyncClient]]:
    """No workers unless asked for: then runs wait for ever."""
    given = {"listen": "127.0.0.1:0", "workers": 0, **options}
    async with (
        Server(ServerOptions(data_dir=data_dir, **given)) as server,
        AsyncClient(server.address, Access(retries=0)) as client,
    ):
        yield server, client


def with_server(data_dir: Path, body: Body, **options: Any) -> None:
    async def main() -> None:
        async with serving(data_dir, **options) as (server, client):
            await body(server, client)

    asyncio.run(main())


async def refused(call: Awaitable[Any]) -> ServiceError:
    with pytest.raises(ServiceError) as error:
        await call
    return error.value


def copy_of(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "data"))


# ---- runs --------------------------------------------------------------------------------------------------


def test_submit_watch_and_tables_in_a_line(tmp_path: Path) -> None:
    async def body(server: Server, client: AsyncClient) -> None:
        run = await client.submit(quick(), labels={"team": "x"})
        states = [message.state async for message in run.watch()]
        assert states[-1] == run_pb2.RUN_STATE_SUCCEEDED
        result = await run.result(tmp_path / "out")
        assert len(result.tables["pauses"].to_pandas()) == result.tables["pauses"].num_rows > 0
        assert {m.name: m.integer for m in run.message.summary}["num_gc"] == result.summary["num_gc"]
        # The same again: no worker is needed, and the first dataset is the answer.
        again = await client.submit(quick())
        assert again.message.cached_result
        assert (again.message.attempt, again.message.dataset) == (0, run.message.dataset)

    with_server(tmp_path / "data", body, workers=1)


def test_fifty_submits_at_once_with_one_request_id_are_one_run(tmp_path: Path) -> None:
    async def body(server: Server, client: AsyncClient) -> None:
        runs = await asyncio.gather(*(client.submit(quick(), request_id="once") for _ in range(50)))
        assert len({run.message.SerializeToString(deterministic=True) for run in runs}) == 1
        error = await refused(client.submit(quick(seed=8), request_id="once"))
        assert (error.code, error.reason) == ("ALREADY_EXISTS", "REQUEST_ID_REUSED")
        assert len(await client.runs()) == 1

    with_server(tmp_path, body)


def test_full_queue_refuses_at_once_says_when_and_looking_goes_on(tmp_path: Path) -> None:
    async def body(server: Server, client: AsyncClient) -> None:
        for number in range(3):
            await client.submit(quick(seed=number), run_id=f"n{number}")
        error = await refused(client.submit(quick(seed=3)))
        assert (error.code, error.reason) == ("RESOURCE_EXHAUSTED", "QUEUE_FULL")
        assert error.retry_s
        assert (await client.run("n0")).state == "QUEUED"
        # What was accepted before is answered still: repeating is no new run.
        capabilities = await client.capabilities()
        assert (capabilities.queued_runs, capabilities.queue_limit) == (3, 3)

    with_server(tmp_path, body, queue_limit=3)


def test_store_without_space_refuses_and_looking_goes_on(tmp_path: Path) -> None:
    async def body(server: Server, client: AsyncClient) -> None:
        accepted = []
        with pytest.raises(ServiceError) as error:  # noqa: PT012 - which one is open
            for number in range(1000):
                accepted.append((await client.submit(quick(seed=number))).id)
        assert (error.value.code, error.value.reason) == ("RESOURCE_EXHAUSTED", "STORAGE_FULL")
        assert [run.name.removeprefix("runs/") for run in await client.runs()] == accepted

    with_server(tmp_path, body, store_max_pages=40)


def test_cancel_delete_etag_and_what_is_not_there(tmp_path: Path) -> None:
    async def body(server: Server, client: AsyncClient) -> None:
        run = await client.submit(quick(), run_id="one")
        assert (await refused(client.submit(quick(), run_id="one"))).reason == "RUN_EXISTS"
        assert (await refused(client.delete("one"))).reason == "RUN_ACTIVE"
        assert (await refused(client.download("one", tmp_path / "x"))).reason == "NO_RESULT"
        cancelled = await client.cancel("one")
        assert cancelled.state == run_pb2.RUN_STATE_CANCELLED
        assert await client.cancel("one") == cancelled
        with pytest.raises(RunFailedError, match="is CANCELLED"):
            await run.result()
        assert (await refused(client.delete("one", etag='"1"'))).code == "ABORTED"
        await client.delete("one", etag=cancelled.etag)
        for call in (client.run("one"), client.cancel("one"), client.delete("one")):
            assert (await refused(call)).code == "NOT_FOUND"
        assert (await refused(client.download("datasets/r-0", tmp_path / "x"))).code == "NOT_FOUND"

    with_server(tmp_path / "data", body)


def test_pages_filters_and_orders(tmp_path: Path) -> None:
    async def body(server: Server, client: AsyncClient) -> None:
        for number in range(5):
            await client.submit(quick(seed=number), run_id=f"n{number}", labels={"odd": str(number % 2)})
        await client.cancel("n1")
        found = await client.runs('state = QUEUED AND labels.odd = "1" AND workload = quick')
        assert [run.name for run in found] == ["runs/n3"]
        stub = client._runs
        first = await stub.ListRuns(api.ListRunsRequest(page_size=2, order_by="create_time desc"))
        assert [run.name for run in first.runs] == ["runs/n4", "runs/n3"]
        request = api.ListRunsRequest(
            page_size=9, order_by="create_time desc", page_token=first.next_page_token
        )
        rest = await stub.ListRuns(request)
        assert [run.name for run in rest.runs] == ["runs/n2", "runs/n1", "runs/n0"]
        assert rest.next_page_token == ""
        for bad in (
            api.ListRunsRequest(page_token="x"),
            api.ListRunsRequest(page_token=first.next_page_token, filter="state = FAILED"),
            api.ListRunsRequest(page_size=-1),
            api.ListRunsRequest(filter="state = WRONG"),
            api.ListRunsRequest(filter="drop table runs"),
            api.ListRunsRequest(order_by="size"),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as error:
                await stub.ListRuns(bad)
            assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT
            assert isinstance(translate(error.value, ""), SpecError), "with the field that is wrong"

    with_server(tmp_path, body)


def test_every_bad_field_at_once(tmp_path: Path) -> None:
    async def body(server: Server, client: AsyncClient) -> None:
        request = api.SubmitRunRequest(
            spec=spec_pb2.Spec(name="Bad"), run_id="../../etc", labels={"A": "x" * 300}, request_id="a b"
        )
        request.spec.run.duration_ns = -1
        request.spec.requests.add(rate_per_s=float("nan")).steps.add().cpu.ns = -5
        request.max_run_duration.seconds = -1
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await client._runs.SubmitRun(request)
        assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        problems = translate(error.value, "")
        assert isinstance(problems, SpecError)
        assert {problem.path for problem in problems.problems} >= {
            "run_id", "labels", "labels.A", "request_id", "max_run_duration",
            "$.name", "$.run.duration", "$.requests[0].rate_per_s", "$.requests[0].steps[0].cpu.ns",
        }  # fmt: skip
        assert await client.runs() == []
        await client.submit(quick(), validate_only=True)
        assert await client.runs() == []

    with_server(tmp_path, body)


def test_too_much_work_is_refused_with_the_figure(tmp_path: Path) -> None:
    async def body(server: Server, client: AsyncClient) -> None:
        error = await refused(client.submit(endless()))
        assert error.reason == "WORK_LIMIT"
        assert f"{estimated_requests(endless()):.3g}" in error.message
        await client.submit(quick())

    with_server(tmp_path, body, max_estimated_requests=1e6)


def test_stored_bytes_have_a_limit(made: Path, tmp_path: Path) -> None:
    async def body(server: Server, client: AsyncClient) -> None:
        error = await refused(client.submit(quick(seed=99)))
        assert (error.code, error.reason) == ("RESOURCE_EXHAUSTED", "STORED_BYTES_LIMIT")

    with_server(copy_of(made, tmp_path), body, max_stored_bytes=1000)


def test_profile_comes_inline_and_never_from_a_path(tmp_path: Path) -> None:
    from gcsim.spec import profile as profiles

    text = (profiles._DIR / "epyc-genoa-kvm-go1.27.yaml").read_text().replace("epyc-genoa-kvm", "mine")
    mine = tmp_path / "mine.yaml"
    mine.write_text(text)
    spec = quick().model_copy(update={"machine": quick().machine.model_copy(update={"profile": str(mine)})})

    async def body(server: Server, client: AsyncClient) -> None:
        run = await client.submit(spec)
        assert run.message.spec.machine.profile == "inline"
        assert run.message.has_inline_machine_profile
        assert run.message.spec_digest == NewRun.of(spec).digest
        result = await run.result(tmp_path / "out")
        assert result.tables["runs"].to_pandas()["profile"][0] == "mine"
        for name in ("/etc/passwd", "../../x.yaml", str(mine)):
            message = convert.message_of(quick())
            message.machine.profile = name
            with pytest.raises(grpc.aio.AioRpcError) as error:
                await client._runs.SubmitRun(api.SubmitRunRequest(spec=message))
            assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        bombs = ["a: &a [1,1,1,1,1,1,1,1,1,1]\n" + "".join(f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join(['*' + chr(97 + n)] * 10)}]\n" for n in range(8)), "!!python/object:os.system x", ":", "[]"]  # fmt: skip
        for text in bombs:
            request = api.SubmitRunRequest(spec=convert.message_of(quick()), machine_profile_yaml=text)
            with pytest.raises(grpc.aio.AioRpcError) as error:
                await client._runs.SubmitRun(request)
            assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT

    with_server(tmp_path / "data", body, workers=1)


def test_watching_shows_how_far_a_run_is_and_what_it_found_so_far(tmp_path: Path) -> None:
    async def body(server: Server, client: AsyncClient) -> None:
        run = await client.submit(endless())
        seen: list[run_pb2.Progress] = []
        async for message in run.watch():
            seen += [message.progress] if message.HasField("progress") else []
            if len(seen) == 4:
                await run.cancel()
        first, last = seen[0], seen[-1]
        assert first.sim_time_ns < last.sim_time_ns < last.end_ns
        assert first.gc_cycles < last.gc_cycles
        assert last.eta_s > 0
        assert {m.name: m.integer for m in last.partial_summary}["num_gc"] > 0
        assert run.state == "CANCELLED"

    with_server(tmp_path, body, workers=1)


# ---- watching ----------------------------------------------------------------------------------------------


def test_watch_resumes_by_revision_keeps_alive_and_ends(tmp_path: Path) -> None:
    async def body(server: Server, client: AsyncClient) -> None:
        await client.submit(quick(), run_id="one")
        stream = aiter(client._runs.WatchRun(api.WatchRunRequest(name="runs/one")))
        first = await anext(stream)
        assert first.run.HasField("spec")
        assert (await anext(stream)).keepalive
        resumed = aiter(client._runs.WatchRun(api.WatchRunRequest(name="runs/one", after_revision=1)))
        assert (await anext(resumed)).keepalive, "revision 1 has been seen"
        await client.cancel("one")
        for watcher in (stream, resumed):
            messages = [message async for message in watcher if not message.keepalive]
            assert [(m.run.state, m.run.revision) for m in messages] == [(run_pb2.RUN_STATE_CANCELLED, 2)]
        assert server.core.hub.watchers == 0

    with_server(tmp_path, body, keepalive_s=0.05)


@pytest.mark.parametrize("count", [300, pytest.param(10_000, marks=pytest.mark.slow)])
def test_lost_watchers_leave_nothing_behind_and_cancel_nothing(tmp_path: Path, count: int) -> None:
    async def body(server: Server, client: AsyncClient) -> None:
        await client.submit(quick(), run_id="one")

        async def watch_and_leave() -> None:
            stream = client._runs.WatchRun(api.WatchRunRequest(name="runs/one"))
            await stream.read()
            stream.cancel()

        async def several(number: int) -> None:
            for _ in range(0, number, 100):
                await asyncio.gather(*(watch_and_leave() for _ in range(100)))

        async def none_left() -> None:
            while server.core.hub.watchers:
                await asyncio.sleep(0.01)

        await several(100)
        await asyncio.wait_for(none_left(), 30)
        tasks, rss = len(asyncio.all_tasks()), rss_bytes()
        await several(count)
        await asyncio.wait_for(none_left(), 30)
        assert (await client.run("one")).state == "QUEUED"
        assert len(asyncio.all_tasks()) <= tasks + 5
        # Client and server are both in this process; a leaked call would be some 50 KB.
        assert rss_bytes() - rss < 8_000_000 + 2_000 * count

    with_server(tmp_path, body)


def rss_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


# ---- downloads ---------------------------------------------------------------------------------------------


def test_download_cut_anywhere_and_resumed_is_whole(made: Path, tmp_path: Path) -> None:
    async def body(server: Server, client: AsyncClient) -> None:
        (dataset,) = await client.datasets()
        rng = random.Random(1)
        for _ in range(100):
            data = b""
            while len(data) < dataset.size_bytes:
                request = dataset_service_pb2.DownloadDatasetRequest(name=dataset.name, read_offset=len(data))
                stream = client._datasets.DownloadDataset(request)
                header = (await stream.read()).header
                assert (header.sha256, header.size_bytes) == (dataset.sha256, dataset.size_bytes)
                chunk = (await stream.read()).chunk
                assert chunk.offset == len(data)
                data += chunk.data[: rng.randrange(1, len(chunk.data) + 1)]
                stream.cancel()
            assert hashlib.sha256(data).hexdigest() == dataset.sha256
        result = await client.download(dataset.name, tmp_path / "out")
        result.verify()
        for offset in (-1, dataset.size_bytes + 1):
            request = dataset_service_pb2.DownloadDatasetRequest(name=dataset.name, read_offset=offset)
            with pytest.raises(grpc.aio.AioRpcError) as error:
                await client._datasets.DownloadDataset(request).read()
            assert error.value.code() is grpc.StatusCode.OUT_OF_RANGE

    with_server(copy_of(made, tmp_path), body)


@pytest.mark.parametrize("harm", ["altered table", "altered manifest", "truncated"])
def test_damaged_dataset_is_data_loss_and_nothing_appears(made: Path, tmp_path: Path, harm: str) -> None:
    data_dir = copy_of(made, tmp_path)
    (directory,) = (data_dir / "datasets").iterdir()
    table = directory / ("manifest.json" if harm == "altered manifest" else "cycles.parquet")
    data = bytearray(table.read_bytes())
    if harm == "truncated":
        table.write_bytes(data[:-1])
    else:
        at = data.index(b'"seed": 7') + 8 if harm == "altered manifest" else len(data) // 2
        data[at] ^= 1
        table.write_bytes(data)

    async def body(server: Server, client: AsyncClient) -> None:
        error = await refused(client.download(f"datasets/{directory.name}", tmp_path / "out"))
        assert (error.code, error.reason) == ("DATA_LOSS", "DATASET_DAMAGED")
        assert [path.name for path in tmp_path.iterdir()] == ["data"]

    with_server(data_dir, body)


def test_slow_readers_hold_little_and_hold_nobody_up(made: Path, tmp_path: Path) -> None:
    async def body(server: Server, client: AsyncClient) -> None:
        (dataset,) = await client.datasets()
        await client.submit(quick(seed=5), run_id="one")
        await client.run("one")
        before = rss_bytes()
        slow = []
        for _ in range(100):
            stream = client._datasets.DownloadDataset(
                dataset_service_pb2.DownloadDatasetRequest(name=dataset.name)
            )
            await stream.read()
            slow.append(stream)
        watchers = [client._runs.WatchRun(api.WatchRunRequest(name="runs/one")) for _ in range(50)]
        for watcher in watchers:
            await watcher.read()
        for _ in range(5_000):
            server.core.hub.notify("one")
        assert (await client.run("one")).state == "QUEUED"
        # One chunk per stream at most, on both sides of the connection.
        assert rss_bytes() - before < 100 * 3 * (1 << 20) + (32 << 20)
        for stream in (*slow, *watchers):
            stream.cancel()

    with_server(copy_of(made, tmp_path), body)


# ---- malformed, unauthenticated, unknown -------------------------------------------------------------------


async def answer_to(call: Any, data: bytes, *, streams: bool) -> tuple[str, str]:
    """Status code and words of a call's answer, or of a stream's beginning."""
    try:
        answer = call(data, timeout=10)
        if streams:
            await answer.read()
            answer.cancel()
        else:
            await answer
    except grpc.aio.AioRpcError as error:
        return error.code().name, str(error.details())
    return "OK", ""


def test_bytes_that_are_no_message_and_random_messages_get_a_proper_answer(tmp_path: Path) -> None:
    async def body(server: Server, client: AsyncClient) -> None:
        rng = random.Random(2)
        allowed = {"OK", "INVALID_ARGUMENT", "NOT_FOUND", "OUT_OF_RANGE", "RESOURCE_EXHAUSTED"}
        seen: set[str] = set()
        whole = api.SubmitRunRequest(spec=convert.message_of(quick())).SerializeToString()
        for service in SERVICES:
            for method in service.methods:
                path = f"/{service.full_name}/{method.name}"
                make = (
                    client._channel.unary_stream if method.server_streaming else client._channel.unary_unary
                )
                call = make(path, request_serializer=lambda data: data)
                for number in range(40):
                    data = bytearray(whole) if number % 2 else bytearray(rng.randbytes(rng.randrange(1, 200)))
                    for _ in range(rng.randrange(1, 6)):
                        data[rng.randrange(len(data))] = rng.randrange(256)
                    name, words = await answer_to(call, bytes(data), streams=method.server_streaming)
                    assert name in allowed, (path, words)
                    assert "Traceback" not in words
                    seen.add(name)
        assert "INVALID_ARGUMENT" in seen
        big = api.SubmitRunRequest(spec=spec_pb2.Spec(name="x", description="y" * (5 << 20)))
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await client._runs.SubmitRun(big)
        assert error.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED

    with_server(tmp_path, body)


@pytest.mark.parametrize(
    "name", ["", "runs/", "runs/../x", "runs/a/b", "datasets/r-1", "runs/A", "runs/\x00", "x" * 9999]
)
def test_names_that_are_no_names(tmp_path: Path, name: str) -> None:
    async def body(server: Server, client: AsyncClient) -> None:
        stub = client._runs
        for call in (
            stub.GetRun(api.GetRunRequest(name=name)),
            stub.CancelRun(api.CancelRunRequest(name=name)),
            stub.DeleteRun(api.DeleteRunRequest(name=name)),
            stub.WatchRun(api.WatchRunRequest(name=name)).read(),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as error:
                await call
            assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT
            assert "\n" not in error.value.details()

    with_server(tmp_path, body)


def test_token_is_asked_for_everything_but_health(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text("first\nsecond\n")

    async def body(server: Server, client: AsyncClient) -> None:
        check = health_pb2_grpc.HealthStub(client._channel).Check(health_pb2.HealthCheckRequest())
        assert (await check).status == health_pb2.HealthCheckResponse.SERVING
        assert (await refused(client.runs())).code == "UNAUTHENTICATED"
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await client._runs.WatchRun(api.WatchRunRequest(name="runs/x")).read()
        assert error.value.code() is grpc.StatusCode.UNAUTHENTICATED
        for token, lets_in in (("second", True), ("secon", False), ("", False)):
            async with AsyncClient(server.address, Access(token=token)) as other:
                if lets_in:
                    assert await other.runs() == []
                else:
                    assert (await refused(other.runs())).reason == "TOKEN_INVALID"

    with_server(tmp_path / "data", body, token_file=tokens)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"listen": "0.0.0.0:0"}, "reached from other machines"),
        ({"listen": "[::]:0"}, "reached from other machines"),
        ({"listen": "nonsense"}, "is no address"),
        ({"tls_cert": "x"}, "go together"),
        ({"client_ca": "x"}, "needs TLS"),
        ({"token_file": Path("/nowhere")}, "cannot be read"),
    ],
)
def test_unsafe_or_impossible_options_are_refused(
    tmp_path: Path, options: dict[str, Any], words: str
) -> None:
    async def main() -> None:
        with pytest.raises(ServerError, match=words):
            async with serving(tmp_path, **options):
                pass

    asyncio.run(main())


def test_every_error_has_one_status() -> None:
    def tree(cls: type[BaseException]) -> set[type[BaseException]]:
        return {cls}.union(*(tree(sub) for sub in cls.__subclasses__()))

    elsewhere = (
        "gcsim.client",
        "gcsim.optimize",
        "gcsim.sweep.dask_executor",
        "tests.",
    )  # the server imports none
    ours = {cls for cls in tree(GcsimError) if not cls.__module__.startswith(elsewhere)}
    assert ours - {ServerError} == set(status.TABLE), "ServerError never reaches a call"
    assert status.wire_error(ValueError("secret path")).message.startswith("an error of the server")
    assert status.wire_error(DatasetError("x")).code is grpc.StatusCode.DATA_LOSS


def test_client_made_of_reflection_alone_can_run_a_simulation(made: Path, tmp_path: Path) -> None:
    """Plain grpcio, nothing of ours: what grpcurl does."""

    def session(target: str) -> str:
        with grpc.insecure_channel(target) as channel:
            database = ProtoReflectionDescriptorDatabase(channel)
            assert "gcsim.api.v1.SimulationService" in database.get_services()
            pool = DescriptorPool(database)
            method = pool.FindServiceByName("gcsim.api.v1.SimulationService").methods_by_name["SubmitRun"]
            request = GetMessageClass(method.input_type)()
            spec = request.spec
            spec.name = "quick"
            spec.run.duration_ns, spec.run.settle_ns, spec.run.seed = 20_000_000, 1_000_000, 7
            klass = spec.requests.add(workers=2)
            klass.steps.add().cpu.ns = 10_000
            step = klass.steps.add().allocate
            step.count, step.size_bytes = 10, 1024
            call = channel.unary_unary(
                "/gcsim.api.v1.SimulationService/SubmitRun",
                request_serializer=lambda message: message.SerializeToString(),
                response_deserializer=GetMessageClass(method.output_type).FromString,
            )
            run = call(request, timeout=10).run
            assert run.cached_result, "the same spec as in YAML, by the digest"
            return str(run.dataset)

    async def body(server: Server, client: AsyncClient) -> None:
        dataset = await asyncio.to_thread(session, server.address)
        assert [d.name for d in await client.datasets()] == [dataset]
        stub = reflection_pb2_grpc.ServerReflectionStub(client._channel)
        listing = stub.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(list_services="")]))
        names = {s.name async for r in listing for s in r.list_services_response.service}
        assert {service.full_name for service in SERVICES} <= names
        assert hasattr(dataset_service_pb2_grpc, "DatasetServiceStub")

    with_server(copy_of(made, tmp_path), body)
