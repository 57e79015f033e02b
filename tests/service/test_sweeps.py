"""Sweeps over a real connection to a server in this process: laid out, refused, followed, cancelled, brought home."""

import asyncio
import random
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from gcsim.api import convert
from gcsim.api.v1 import simulation_service_pb2 as api
from gcsim.api.v1 import spec_pb2, sweep_pb2
from gcsim.client import AsyncClient
from gcsim.client.errors import translate
from gcsim.datasets.sweep import load_sweep
from gcsim.errors import DatasetError, SpecError
from gcsim.failpoints import VARIABLE
from gcsim.service.server import Server
from gcsim.spec.overrides import full_path
from gcsim.sweep.axes import parse_axes
from gcsim.sweep.execute import run_sweep
from gcsim.sweep.executor import InlineExecutor
from gcsim.sweep.plan import Layout, SweepPlan, plan_sweep
from gcsim.sweep.states import NewSweep
from tests.service.test_calls import answer_to, refused, with_server
from tests.sweep.runs import endless, quick
from tests.sweep.test_early_stopping import plan as early_plan
from tests.sweep.test_execute import table_bytes

AXES = ("gogc=50,100,off", "gomaxprocs=1,2")


async def refused_request(client: AsyncClient, request: api.SubmitSweepRequest) -> SpecError:
    """The problems that a request is answered with."""
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await client._runs.SubmitSweep(request)
    assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    problems = translate(error.value, "")
    assert isinstance(problems, SpecError)
    return problems


# ---- the same tables as here -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sweep of AXES over `quick()`, two replications, computed in this process."""
    directory = tmp_path_factory.mktemp("local") / "sweep"
    run_sweep(plan_sweep(quick(), parse_axes(AXES), replications=2), directory, executor=InlineExecutor)
    return directory


def test_tables_from_a_server_are_the_bytes_of_a_local_sweep_with_any_number_of_workers(
    local: Path, tmp_path: Path
) -> None:
    async def body(server: Server, client: AsyncClient) -> None:
        sweep = await client.submit_sweep(quick(), AXES, replications=2)
        result = await sweep.result(tmp_path / "first")
        assert [point.label for point in result.points][:2] == [
            "gogc=50 gomaxprocs=1",
            "gogc=50 gomaxprocs=2",
        ]
        # Whoever has only the id gets the same, and going on with a directory fetches what it lacks.
        again = await client.sweep(sweep.id)
        shutil.copytree(tmp_path / "first", tmp_path / "second")
        lost = sorted((tmp_path / "second/datasets").iterdir())[3:]
        for directory in lost:
            shutil.rmtree(directory)
        seen = []
        await again.result(tmp_path / "second", resume=True, progress=seen.append)
        assert (seen[0].reused, seen[-1].done, seen[-1].total) == (3, 12, 12)
        with pytest.raises(DatasetError, match="already there"):
            await again.result(tmp_path / "second")
        # The same runs in another sweep need no worker.
        cached = await client.submit_sweep(quick(), AXES, replications=2)
        await cached.wait()
        assert cached.message.plan_id == sweep.message.plan_id == load_sweep(local).sweep_id
        runs = await client.runs(f"sweep = {cached.id}")
        assert {(run.cached_result, run.attempt) for run in runs} == {(True, 0)}

    with_server(tmp_path / "data", body, workers=3)
    for name in ("first", "second"):
        assert table_bytes(tmp_path / name) == table_bytes(local), name


@pytest.mark.parametrize(
    ("layout", "axes", "points", "samples"),
    [
        ("grid", ["gogc=50,off", "requests[0].workers=1,2,3"], [], None),
        ("zip", ["gogc=50,100", "gomemlimit=off,256MiB"], [], None),
        ("grid", [], [{"gogc": "50", "gomaxprocs": "2"}, {"gogc": "off"}], None),
        ("grid", ["gomaxprocs=1,2"], [{"gogc": "50"}, {"assists": "false"}], None),
        ("latin-hypercube", ["gogc=25..400:log", "gomemlimit=64MiB..1GiB", "cores=2,4"], [], 7),
        ("grid", ["requests[0].steps[0].cpu=10us,20us"], [], None),
    ],
)  # fmt: skip
def test_a_request_is_laid_out_as_the_same_words_are_here(
    tmp_path: Path, layout: Layout, axes: list[str], points: list[dict[str, str]], samples: int | None
) -> None:
    def here() -> SweepPlan:
        rows = [{full_path(path): value for path, value in point.items()} for point in points]
        return plan_sweep(
            quick(), parse_axes(axes), layout=layout, rows=rows, samples=samples, replications=2, seed=5
        )

    async def body(server: Server, client: AsyncClient) -> None:
        submit = client.submit_sweep(
            quick(), axes, layout=layout, points=points, samples=samples, replications=2, seed=5
        )
        wanted, sweep = here(), await submit
        assert sweep.message.plan_id == wanted.sweep_id
        plan = await sweep.plan()
        assert plan.points == wanted.points
        assert plan.columns == wanted.columns
        assert (plan.layout, plan.seed, plan.replications) == (wanted.layout, 5, 2)
        assert plan.spec == wanted.spec

    with_server(tmp_path, body)


def test_profile_comes_inline_for_every_point_and_never_from_a_path(tmp_path: Path) -> None:
    from gcsim.spec import profile as profiles

    text = (profiles._DIR / "epyc-genoa-kvm-go1.27.yaml").read_text().replace("epyc-genoa-kvm", "mine")
    mine = tmp_path / "mine.yaml"
    mine.write_text(text)
    spec = quick().model_copy(update={"machine": quick().machine.model_copy(update={"profile": str(mine)})})

    async def body(server: Server, client: AsyncClient) -> None:
        sweep = await client.submit_sweep(spec, ["gogc=50,100"])
        assert sweep.message.has_inline_machine_profile
        assert sweep.message.plan_id == plan_sweep(spec, parse_axes(["gogc=50,100"])).sweep_id
        result = await sweep.result(tmp_path / "there")
        assert set(result.tables["runs"].to_pandas()["profile"]) == {"mine"}
        run_sweep(plan_sweep(spec, parse_axes(["gogc=50,100"])), tmp_path / "here", executor=InlineExecutor)
        for axis in (f"profile={mine}", f"machine={{profile: {mine}}}", "machine.profile=/etc/x.yaml"):
            with pytest.raises(SpecError, match="the server reads none"):
                await client.submit_sweep(quick(), [axis])

    with_server(tmp_path / "data", body, workers=1)
    assert table_bytes(tmp_path / "there") == table_bytes(tmp_path / "here")


def test_replications_stop_as_they_do_here_whether_anybody_looks_or_not(tmp_path: Path) -> None:
    plan = early_plan()
    run_sweep(plan, tmp_path / "here", executor=InlineExecutor)

    async def body(server: Server, client: AsyncClient) -> None:
        submit = client.submit_sweep(plan.spec, ["gogc=25,400,off"], until=plan.until, sweep_id="one")
        sweep = await submit
        assert sweep.message.plan_id == plan.sweep_id
        assert (await sweep.plan()).until == plan.until
        await sweep.result(tmp_path / "followed")
        counts = (await client.sweep("one")).message.counts
        assert (counts.succeeded, counts.pending) == (len(list((tmp_path / "here/datasets").iterdir())), 0)
        assert counts.total == counts.succeeded + counts.skipped
        assert [run.skipped for run in await sweep.runs()] == [not run.run for run in await sweep.runs()]
        # Whoever comes when all is done gets the same.
        late = await client.submit_sweep(plan.spec, ["gogc=25,400,off"], until=plan.until, skip_cache=True)
        await late.wait()
        assert late.state == "SUCCEEDED"
        await (await client.sweep(late.id)).result(tmp_path / "late")

    with_server(tmp_path / "data", body, workers=3)
    for name in ("followed", "late"):
        assert table_bytes(tmp_path / name) == table_bytes(tmp_path / "here"), name


# ---- life --------------------------------------------------------------------------------------------------


def test_runs_enter_the_queue_bit_by_bit_and_leave_places_for_others(tmp_path: Path) -> None:
    async def body(server: Server, client: AsyncClient) -> None:
        sweep = await client.submit_sweep(quick(), ["gogc=10,20,30"], replications=100, labels={"team": "x"})
        assert sweep.state == "RUNNING"
        stream = sweep.watch()
        async for message in stream:
            if message.counts.queued:
                break
        await stream.aclose()
        counts = sweep.message.counts
        assert (counts.total, counts.queued, counts.pending) == (300, 32, 268)
        runs = await sweep.runs()
        assert [run.number for run in runs] == list(range(300))
        assert [bool(run.run) for run in runs] == [True] * 32 + [False] * 268
        assert {run.HasField("state") for run in runs[32:]} == {False}
        assert (runs[299].label, runs[299].replication) == ("gogc=30", 99)
        first = await client.run(runs[0].run)
        assert (first.message.sweep, first.message.point_id) == (f"sweeps/{sweep.id}", runs[0].point_id)
        assert first.message.replication == 0
        assert dict(first.message.labels) == {"team": "x"}
        assert len(await client.runs(f'sweep = "{sweep.id}" AND labels.team = x')) == 32
        assert (await refused(client.delete_sweep(sweep.id))).reason == "SWEEP_ACTIVE"
        # Cancelled: what waits, what has not been queued, and the sweep.
        cancelled = await client.cancel_sweep(sweep.id)
        assert cancelled.state == sweep_pb2.SWEEP_STATE_CANCELLED
        assert (cancelled.counts.cancelled, cancelled.counts.pending) == (32, 268)
        assert await client.cancel_sweep(sweep.id) == cancelled
        result = await (await client.sweep(sweep.id)).result(tmp_path / "out")
        assert {failure.error for failure in result.failures.values()} == {"CANCELLED"}
        assert (await refused(client.delete(first.id))).reason == "RUN_OF_SWEEP"
        assert (await refused(client.delete_sweep(sweep.id, etag='"1"'))).code == "ABORTED"
        await client.delete_sweep(sweep.id, etag=cancelled.etag)
        assert (await client.runs(), await client.sweeps()) == ([], [])
        for call in (
            client.sweep(sweep.id), client.cancel_sweep(sweep.id), client.delete_sweep(sweep.id), client.sweep_runs(sweep.id),
        ):  # fmt: skip
            assert (await refused(call)).code == "NOT_FOUND"

    with_server(tmp_path / "data", body)


def test_a_sweep_larger_than_the_queue_is_fed_as_there_are_places(tmp_path: Path) -> None:
    async def body(server: Server, client: AsyncClient) -> None:
        sweep = await client.submit_sweep(quick(), ["gogc=50,100"], replications=6)
        most = 0
        async for message in sweep.watch():
            most = max(most, message.counts.queued)
        assert sweep.state == "SUCCEEDED"
        assert 0 < most <= 3

    with_server(tmp_path, body, workers=2, queue_limit=3)


def test_cancelling_reaches_runs_in_workers(tmp_path: Path) -> None:
    async def body(server: Server, client: AsyncClient) -> None:
        sweep = await client.submit_sweep(endless(), ["gogc=50,100"], replications=20)
        async for message in sweep.watch():
            if message.counts.running == 1:
                await client.cancel_sweep(sweep.id)
        assert sweep.state == "CANCELLED"
        counts = sweep.message.counts
        assert counts.cancelled + counts.pending == 40
        assert (await client.capabilities()).running_runs == 0

    with_server(tmp_path, body, workers=1, max_estimated_sweep_requests=1e12)


def test_failed_runs_are_rows_as_in_a_local_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "worker.before_run@quick:enospc")

    async def body(server: Server, client: AsyncClient) -> None:
        sweep = await client.submit_sweep(quick(), ["gogc=50,100"])
        await sweep.wait()
        assert (sweep.state, sweep.message.counts.failed) == ("PARTIAL", 2)
        assert {run.error.reason for run in await sweep.runs()} == {"STORAGE_FULL"}
        await sweep.result(tmp_path / "there")

    with_server(tmp_path / "data", body, workers=1)
    run_sweep(plan_sweep(quick(), parse_axes(["gogc=50,100"])), tmp_path / "here", jobs=1)
    assert table_bytes(tmp_path / "there") == table_bytes(tmp_path / "here")


def test_a_run_that_another_version_planned_is_failed_and_says_so(tmp_path: Path) -> None:
    async def body(server: Server, client: AsyncClient) -> None:
        plan = plan_sweep(quick(), parse_axes(["gogc=50,100"]))
        points = [replace(point, run_ids=(f"r-{n:016x}",)) for n, point in enumerate(plan.points)]
        old = replace(plan, points=tuple(points))
        server.core.store.sweeps.submit(NewSweep(id="old", plan=old))
        server.core.feeder.wake()
        sweep = await (await client.sweep("old")).wait()
        assert sweep.state == "PARTIAL"
        assert {run.error.reason for run in await sweep.runs()} == {"PLAN_OUTDATED"}

    with_server(tmp_path, body)


def test_watch_begins_with_the_present_state_resumes_keeps_alive_and_ends(tmp_path: Path) -> None:
    async def body(server: Server, client: AsyncClient) -> None:
        sweep = await client.submit_sweep(quick(), ["gogc=50,100"])
        stream = aiter(client._runs.WatchSweep(api.WatchSweepRequest(name=f"sweeps/{sweep.id}")))
        first = await anext(stream)
        assert first.sweep.HasField("spec")
        while not (last := await anext(stream)).keepalive:
            first = last
        assert first.sweep.counts.queued == 2
        seen = first.sweep.revision
        request = api.WatchSweepRequest(name=f"sweeps/{sweep.id}", after_revision=seen)
        resumed = aiter(client._runs.WatchSweep(request))
        assert (await anext(resumed)).keepalive, "this revision has been seen"
        await client.cancel_sweep(sweep.id)
        for watcher in (stream, resumed):
            messages = [message async for message in watcher if not message.keepalive]
            assert messages[-1].sweep.state == sweep_pb2.SWEEP_STATE_CANCELLED
            assert messages[-1].sweep.revision > seen
        assert server.core.sweep_hub.watchers == 0
        late = [m async for m in client._runs.WatchSweep(api.WatchSweepRequest(name=f"sweeps/{sweep.id}"))]
        assert len(late) == 1

    with_server(tmp_path, body, keepalive_s=0.3)


def test_sweeps_page_by_page_and_filtered(tmp_path: Path) -> None:
    async def body(server: Server, client: AsyncClient) -> None:
        for number in range(4):
            await client.submit_sweep(
                quick(), ["gogc=50"], sweep_id=f"s{number}", labels={"odd": str(number % 2)}
            )
        await client.cancel_sweep("s1")
        found = await client.sweeps('state = RUNNING AND labels.odd = "1" AND workload = quick')
        assert [sweep.name for sweep in found] == ["sweeps/s3"]
        assert not found[0].HasField("spec")
        stub = client._runs
        first = await stub.ListSweeps(api.ListSweepsRequest(page_size=3, order_by="create_time desc"))
        assert [sweep.name for sweep in first.sweeps] == ["sweeps/s3", "sweeps/s2", "sweeps/s1"]
        request = api.ListSweepsRequest(order_by="create_time desc", page_token=first.next_page_token)
        assert [sweep.name for sweep in (await stub.ListSweeps(request)).sweeps] == ["sweeps/s0"]
        big = await client.submit_sweep(quick(), ["gogc=50,60,70"], replications=3, sweep_id="big")
        pages, token = [], ""
        while token or not pages:
            page = await stub.ListSweepRuns(
                api.ListSweepRunsRequest(name="sweeps/big", page_size=4, page_token=token)
            )
            pages.append([run.number for run in page.runs])
            token = page.next_page_token
        assert pages == [[0, 1, 2, 3], [4, 5, 6, 7], [8]]
        assert (
            await refused(client.submit_sweep(quick(), ["gogc=5"], sweep_id="big"))
        ).reason == "SWEEP_EXISTS"
        for bad in (
            api.ListSweepsRequest(page_token="x"),
            api.ListSweepsRequest(page_token=first.next_page_token),
            api.ListSweepsRequest(page_size=-1),
            api.ListSweepsRequest(filter="state = QUEUED"),
            api.ListSweepsRequest(filter="sweep = s1"),
            api.ListSweepsRequest(order_by="size"),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as error:
                await stub.ListSweeps(bad)
            assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await stub.ListSweepRuns(api.ListSweepRunsRequest(name="sweeps/s0", page_token=token or "AAAA"))
        assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert big.state == "RUNNING"

    with_server(tmp_path, body)


def test_twenty_submits_at_once_with_one_request_id_are_one_sweep(tmp_path: Path) -> None:
    async def body(server: Server, client: AsyncClient) -> None:
        sweeps = await asyncio.gather(
            *(client.submit_sweep(quick(), ["gogc=50,100"], request_id="once") for _ in range(20))
        )
        assert len({sweep.id for sweep in sweeps}) == 1
        error = await refused(client.submit_sweep(quick(), ["gogc=50,101"], request_id="once"))
        assert (error.code, error.reason) == ("ALREADY_EXISTS", "REQUEST_ID_REUSED")
        assert len(await client.sweeps()) == 1

    with_server(tmp_path, body)


# ---- refusals ----------------------------------------------------------------------------------------------


def test_every_bad_field_at_once(tmp_path: Path) -> None:
    request = api.SubmitSweepRequest(
        spec=convert.message_of(quick()), sweep_id="../x", request_id="a b", labels={"A": "x"}, replications=-2, seed=-1,
        axes=[
            axis("gogc", "50", "-5"),
            axis("gogcc", "1"),
            axis("seed", "1", "2"),
            axis("gomaxprocs", "1", "1"),
            axis("cores"),
            axis("", "1"),
            axis("gogc", "7"),
            sweep_pb2.SweepAxis(path="duration"),
            sweep_pb2.SweepAxis(path="warm_up", range=sweep_pb2.AxisRange(low="1ms")),
        ],
        points=[
            sweep_pb2.ExplicitPoint(assignments=[assignment("assists", "maybe"), assignment("assists", "true")]),
            sweep_pb2.ExplicitPoint(assignments=[assignment("name", "x"), assignment("cfs_quota", "")]),
        ],
        layout=9,  # type: ignore[arg-type]
    )  # fmt: skip

    async def body(server: Server, client: AsyncClient) -> None:
        problems = await refused_request(client, request)
        assert {problem.path for problem in problems.problems} >= {
            "sweep_id", "request_id", "labels", "replications", "seed", "layout", "axes[2]", "axes[3]", "axes[4]", "axes[5]",
            "axes[6]", "axes[7]", "axes[8]", "points[0].assignments[1]", "points[1].assignments[0]",
            "points[1].assignments[1]", "$.gogcc", "$.runtime.gogc", "$.runtime.assists",
        }  # fmt: skip
        many = sweep_pb2.ExplicitPoint(assignments=[assignment(f"x{n}", "1") for n in range(50_000)])
        wide = api.SubmitSweepRequest(spec=convert.message_of(quick()), points=[many])
        assert "sets field number 50,000" in str(await refused_request(client, wide))
        # A bad spec beside a bad axis: both.
        bad = api.SubmitSweepRequest(spec=spec_pb2.Spec(name="Bad"), axes=[axis("seed", "1")])
        paths = {problem.path for problem in (await refused_request(client, bad)).problems}
        assert {"$.name", "axes[0]"} <= paths
        nothing = api.SubmitSweepRequest(spec=convert.message_of(quick()))
        assert "nothing varies" in str(await refused_request(client, nothing))
        assert await client.sweeps() == []

    with_server(tmp_path, body)


def test_every_bad_word_of_a_stop_rule_at_once(tmp_path: Path) -> None:
    widths = [("latency_ns_p98", 0.1), ("num_gc", 0.0), ("num_gc", float("nan")), ("requests", -1.0)]
    request = api.SubmitSweepRequest(
        spec=convert.message_of(quick()),
        axes=[axis("gogc", "50", "-5")],
        until=sweep_pb2.StopRule(
            least_replications=1,
            widths=[sweep_pb2.IntervalWidth(metric=name, half_width_frac=width) for name, width in widths],
        ),
    )

    async def body(server: Server, client: AsyncClient) -> None:
        problems = (await refused_request(client, request)).problems
        assert {problem.path for problem in problems} == {
            "until.least_replications", "until.widths[0].metric", "until.widths[1].half_width_frac",
            "until.widths[2].metric", "until.widths[2].half_width_frac", "until.widths[3].half_width_frac",
            "$.runtime.gogc",
        }  # fmt: skip
        assert "did you mean latency_ns_p99" in str(problems)
        request.until.ClearField("widths")
        assert "until.widths" in str(await refused_request(client, request))

    with_server(tmp_path, body)


def axis(path: str, *values: str) -> sweep_pb2.SweepAxis:
    return sweep_pb2.SweepAxis(path=path, values=sweep_pb2.AxisValues(values=values))


def assignment(path: str, value: str) -> sweep_pb2.Assignment:
    return sweep_pb2.Assignment(path=path, value=value)


def test_too_many_points_are_refused_with_the_figure_before_any_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gcsim.sweep import plan as plans

    def no_points(*_: Any, **__: Any) -> None:
        raise AssertionError("points were made")

    monkeypatch.setattr(plans, "_points", no_points)
    monkeypatch.setattr(plans, "_combinations", no_points)
    thousand = ",".join(str(10 + n) for n in range(1000))

    async def body(server: Server, client: AsyncClient) -> None:
        for fields in (
            {"axes": [f"gogc={thousand}", f"requests[0].workers={thousand}"]},
            {"axes": ["gogc=50"], "replications": 1_000_000},
            {"axes": ["gogc=1..9"], "layout": "latin-hypercube", "samples": 1_000_000},
        ):
            with pytest.raises(SpecError, match="1,000,000") as error:
                await client.submit_sweep(quick(), **fields)  # type: ignore[arg-type]
            assert "10,000 runs" in str(error.value)
        # Few points of so long a spec that their text alone would be too much.
        long = quick().model_copy(update={"description": "y" * 1_000_000})
        with pytest.raises(SpecError, match="1,000 points of a spec of"):
            await client.submit_sweep(long, [f"gogc={thousand}"])
        assert await client.sweeps() == []

    with_server(tmp_path, body)


def test_too_much_work_is_refused_with_the_figure(tmp_path: Path) -> None:
    async def body(server: Server, client: AsyncClient) -> None:
        error = await refused(client.submit_sweep(endless(), ["gogc=50,100"]))
        assert error.reason == "WORK_LIMIT"
        assert "the spec simulates" in error.message
        error = await refused(client.submit_sweep(quick(), ["gogc=50,100"], replications=100))
        assert error.reason == "WORK_LIMIT"
        assert "the sweep simulates some 8.4e+05 requests" in error.message
        await client.submit_sweep(quick(), ["gogc=50,100"])

    with_server(tmp_path, body, max_estimated_requests=1e5, max_estimated_sweep_requests=1e5)


def test_full_queue_and_open_sweeps_have_limits(tmp_path: Path) -> None:
    async def body(server: Server, client: AsyncClient) -> None:
        await client.submit_sweep(quick(), ["gogc=50,100"])
        error = await refused(client.submit_sweep(quick(), ["gogc=51,101"]))
        assert (error.code, error.reason) == ("RESOURCE_EXHAUSTED", "QUEUE_FULL")
        assert error.retry_s
        limits = await client.capabilities()
        assert (limits.max_open_sweeps, limits.max_sweep_runs) == (1, 10_000)

    with_server(tmp_path / "open", body, max_open_sweeps=1)

    async def full(server: Server, client: AsyncClient) -> None:
        await client.submit(quick())
        error = await refused(client.submit_sweep(quick(), ["gogc=51,101"]))
        assert error.reason == "QUEUE_FULL"
        assert await client.sweeps() == []

    with_server(tmp_path / "full", full, queue_limit=1)


def test_store_without_space_refuses_and_keeps_nothing_of_the_sweep(tmp_path: Path) -> None:
    async def body(server: Server, client: AsyncClient) -> None:
        error = await refused(
            client.submit_sweep(quick(), ["gogc=" + ",".join(str(10 + n) for n in range(900))])
        )
        assert (error.code, error.reason) == ("RESOURCE_EXHAUSTED", "STORAGE_FULL")
        assert await client.sweeps() == []
        with server.core.store.reading() as db:
            assert db.execute("SELECT COUNT(*) FROM sweep_points").fetchone()[0] == 0
        await client.submit_sweep(quick(), ["gogc=50"])

    with_server(tmp_path, body, store_max_pages=38)


@pytest.mark.parametrize(
    "name", ["", "sweeps/", "sweeps/../x", "sweeps/a/b", "runs/r-1", "sweeps/A", "sweeps/\x00", "x" * 9999]
)
def test_names_that_are_no_names(tmp_path: Path, name: str) -> None:
    async def body(server: Server, client: AsyncClient) -> None:
        stub = client._runs
        for call in (
            stub.GetSweep(api.GetSweepRequest(name=name)),
            stub.CancelSweep(api.CancelSweepRequest(name=name)),
            stub.DeleteSweep(api.DeleteSweepRequest(name=name)),
            stub.ListSweepRuns(api.ListSweepRunsRequest(name=name)),
            stub.WatchSweep(api.WatchSweepRequest(name=name)).read(),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as error:
                await call
            assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT

    with_server(tmp_path, body)


def test_axes_that_are_no_text_or_bombs_are_refused(tmp_path: Path) -> None:
    bomb = "a: &a [1,1,1,1,1,1,1,1,1,1]\n" + "".join(
        f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join(['*' + chr(97 + n)] * 10)}]\n" for n in range(8)
    )

    async def body(server: Server, client: AsyncClient) -> None:
        for path, value in (
            ("gogc", bomb), ("gogc", "!!python/object:os.system x"), ("gogc", "nan"), ("gogc", "[" * 5000),
            ("requests[999999999].workers", "1"), ("requests[0].rate_per_s", "inf"), ("gogc", "1" * 9000),
            ("duration", "-1s"), ("duration", "1e400"), ("x" * 10_000, "1"), ("gogc", "y" * 20_000), ("a.b[", "1"),
        ):  # fmt: skip
            request = api.SubmitSweepRequest(spec=convert.message_of(quick()), axes=[axis(path, value)])
            await refused_request(client, request)

    with_server(tmp_path, body)


def test_mutated_requests_get_a_proper_answer(tmp_path: Path) -> None:
    whole = api.SubmitSweepRequest(
        spec=convert.message_of(quick()), axes=[axis("gogc", "50", "100")], replications=2,
        points=[sweep_pb2.ExplicitPoint(assignments=[assignment("gomaxprocs", "2")])],
    ).SerializeToString()  # fmt: skip

    async def body(server: Server, client: AsyncClient) -> None:
        rng = random.Random(3)
        call = client._channel.unary_unary(
            "/gcsim.api.v1.SimulationService/SubmitSweep", request_serializer=lambda data: data
        )
        seen = set()
        for _ in range(150):
            data = bytearray(whole)
            for _ in range(rng.randrange(1, 4)):
                data[rng.randrange(len(data))] = rng.randrange(256)
            name, words = await answer_to(call, bytes(data), streams=False)
            assert name in {"OK", "INVALID_ARGUMENT", "RESOURCE_EXHAUSTED"}, words
            assert "Traceback" not in words
            seen.add(name)
        assert "INVALID_ARGUMENT" in seen

    with_server(tmp_path, body, max_sweep_runs=100)


def test_client_made_of_reflection_alone_can_run_a_sweep(tmp_path: Path) -> None:
    """Plain grpcio, nothing of ours: submit, watch to the end, list the runs, download each."""

    def session(target: str) -> list[tuple[str, int]]:
        with grpc.insecure_channel(target) as channel:
            pool = DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
            service = "gcsim.api.v1.SimulationService"

            def method(name: str, of: str = service) -> tuple[Any, Callable[..., Any]]:
                found = pool.FindServiceByName(of).methods_by_name[name]
                kind = channel.unary_stream if found.server_streaming else channel.unary_unary
                call = kind(
                    f"/{of}/{name}",
                    request_serializer=lambda message: message.SerializeToString(),
                    response_deserializer=GetMessageClass(found.output_type).FromString,
                )
                return GetMessageClass(found.input_type), call

            make, submit = method("SubmitSweep")
            request = make(replications=2)
            spec = request.spec
            spec.name = "quick"
            spec.run.duration_ns, spec.run.settle_ns, spec.run.seed = 20_000_000, 1_000_000, 7
            klass = spec.requests.add(workers=2)
            klass.steps.add().cpu.ns = 10_000
            request.axes.add(path="gogc").values.values.extend(["50", "off"])
            name = submit(request, timeout=30).sweep.name
            make, watch = method("WatchSweep")
            *_, last = watch(make(name=name), timeout=60)
            assert last.sweep.counts.succeeded == 4
            make, runs = method("ListSweepRuns")
            found = runs(make(name=name), timeout=10).runs
            make, download = method("DownloadDataset", "gcsim.api.v1.DatasetService")
            return [
                (run.label, sum(len(m.chunk.data) for m in download(make(name=run.dataset), timeout=30)))
                for run in found
            ]

    async def body(server: Server, client: AsyncClient) -> None:
        found = await asyncio.to_thread(session, server.address)
        assert [label for label, _ in found] == ["gogc=50", "gogc=50", "gogc=off", "gogc=off"]
        sizes = {f"datasets/{d.name.partition('/')[2]}": d.size_bytes for d in await client.datasets()}
        assert sorted(size for _, size in found) == sorted(sizes.values())

    with_server(tmp_path, body, workers=2)
