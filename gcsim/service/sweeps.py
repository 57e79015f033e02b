"""SimulationService: the calls about sweeps.

A request is planned by the function that plans local sweeps, so that the same words give the same points and the same
problems; its runs then are ordinary runs.
"""

from __future__ import annotations

import asyncio
import json
import math
import secrets
from collections.abc import AsyncIterator, Iterator, Sequence

from gcsim.api import convert
from gcsim.api.v1 import simulation_service_pb2 as api
from gcsim.api.v1 import sweep_pb2
from gcsim.datasets.metrics import METRIC_BY_NAME, metric_remedy
from gcsim.datasets.stopping import StopRule
from gcsim.errors import Problem, SpecError
from gcsim.service.core import Core
from gcsim.service.limits import MAX_PLAN_BYTES, SweepWork
from gcsim.service.requests import (
    body_digest,
    check_stored_bytes,
    max_duration_s,
    request_problems,
    spec_of,
)
from gcsim.service.resources import (
    id_of,
    is_newest_first,
    page_size,
    page_token,
    parse_filter,
    parse_page_token,
)
from gcsim.service.status import DrainingError, RequestError
from gcsim.spec.check import is_profile_path
from gcsim.spec.load import spec_from_dict
from gcsim.spec.models import Spec
from gcsim.spec.overrides import full_path
from gcsim.spec.profile import MachineProfile, load_profile
from gcsim.sweep.axes import Axis, axis_problem, column_name
from gcsim.sweep.plan import Layout, SweepPlan, count_points, plan_sweep
from gcsim.sweep.states import NewSweep, RunState, StoredSweep, SweepMember, SweepState
from gcsim.version import ENGINE_VERSION

MAX_AXES = 64
MAX_WIDTHS = 64
MAX_PATH = 300
MAX_VALUE = 10_000
PAGE_BYTES = 1 << 20
"""A page of planned runs ends here, well below what clients take."""

_LAYOUTS: dict[int, Layout] = {
    sweep_pb2.SWEEP_LAYOUT_UNSPECIFIED: "grid",
    sweep_pb2.SWEEP_LAYOUT_GRID: "grid",
    sweep_pb2.SWEEP_LAYOUT_ZIP: "zip",
    sweep_pb2.SWEEP_LAYOUT_LATIN_HYPERCUBE: "latin-hypercube",
    sweep_pb2.SWEEP_LAYOUT_LIST: "grid",  # of no axes
}


class Sweeps:
    """The half of gcsim.api.v1.SimulationService that is about sweeps; methods have the names of the calls."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._store = core.store

    async def SubmitSweep(self, request: api.SubmitSweepRequest) -> api.SubmitSweepResponse:  # noqa: N802
        if self._core.draining:
            raise DrainingError("the server is stopping; try again, or another server")
        digest = body_digest(request)
        if request.request_id:
            # Before planning, which takes long: a repeated request is answered at once.
            first = await self._core.look(lambda: self._store.sweeps.by_request(request.request_id, digest))
            if first is not None:
                return api.SubmitSweepResponse(sweep=await self._core.look(lambda: sweep_message(first)))
        plan = await self._core.plan(lambda: self._plan(request))
        if request.validate_only:
            return api.SubmitSweepResponse(sweep=_planned_message(plan))
        new = NewSweep(
            id=request.sweep_id or f"sweep-{secrets.token_hex(10)}",
            plan=plan,
            request_id=request.request_id or None,
            request_digest=digest,
            labels=dict(request.labels),
            skip_cache=request.skip_cache,
            max_duration_s=max_duration_s(request),
            profile_yaml=request.machine_profile_yaml or None,
        )

        def submit() -> sweep_pb2.Sweep:
            check_stored_bytes(self._core)
            return sweep_message(self._store.sweeps.submit(new)[0])

        sweep = await self._core.change(submit)
        self._core.feeder.wake()
        return api.SubmitSweepResponse(sweep=sweep)

    def _plan(self, request: api.SubmitSweepRequest) -> SweepPlan:
        """The plan of a request, or everything that is wrong with it, at once."""
        options = self._core.options
        problems = request_problems(request, "sweep_id")
        axes = list(_axes(request, problems))
        rows = list(_rows(request, problems))
        layout = _layout(request, problems)
        until = _stop_rule(request, problems)
        for name, low in (("replications", 1), ("seed", 0)):
            if request.HasField(name) and getattr(request, name) < low:
                value = str(getattr(request, name))
                problems.append(Problem(name, None, value, f"is below {low}", f"write {low} or more"))
        try:
            spec, profile = spec_of(request)
            replications = max(
                1, request.replications if request.HasField("replications") else spec.run.replications
            )
            # What is too large to be planned is not planned to find more problems either.
            count = count_points(axes, layout, rows, request.samples)
            too_large = []
            if count * replications <= options.max_sweep_runs:
                too_large = _size_problems(request, axes, rows, count)
            if too_large or (problems and not (axes or rows)):
                raise RequestError([*problems, *too_large])
            work = SweepWork(
                replications,
                limit=options.max_estimated_requests,
                sweep_limit=options.max_estimated_sweep_requests,
            )

            def examine(at: Spec) -> None:
                if self._core.draining:  # nobody waits for a long plan to be finished
                    raise DrainingError("the server is stopping; try again, or another server")
                work.add(at)

            plan = plan_sweep(
                spec,
                axes,
                layout=layout,
                rows=rows,
                samples=request.samples if request.HasField("samples") else None,
                replications=replications,
                seed=max(0, request.seed) if request.HasField("seed") else None,
                max_runs=options.max_sweep_runs,
                find_profile=lambda name, release: _profile(name, release, profile),
                examine=examine,
                until=until,
            )
        except SpecError as error:
            raise SpecError([*problems, *error.problems], source="request") from error
        if problems:
            raise RequestError(problems)
        work.check()
        return plan

    async def GetSweep(self, request: api.GetSweepRequest) -> api.GetSweepResponse:  # noqa: N802
        _, sweep_id = id_of(request.name, "sweeps")
        sweep = await self._core.look(lambda: sweep_message(self._store.sweeps.get(sweep_id)))
        return api.GetSweepResponse(sweep=sweep)

    async def ListSweeps(self, request: api.ListSweepsRequest) -> api.ListSweepsResponse:  # noqa: N802
        wanted = parse_filter(request.filter, SweepState)
        newest_first = is_newest_first(request.order_by)
        size = page_size(request.page_size)
        query = ("sweeps", request.filter, str(newest_first))
        after = parse_page_token(request.page_token, int, *query)
        rows = await self._core.look(
            lambda: self._store.sweeps.page(
                states=wanted.states,
                labels=wanted.labels,
                name=wanted.workload,
                after_seq=after,
                newest_first=newest_first,
                limit=size + 1,
            )
        )
        page = rows[:size]
        return api.ListSweepsResponse(
            sweeps=[sweep_message(row, with_spec=False) for row in page],
            next_page_token=page_token(page[-1].seq, *query) if len(rows) > size else "",
        )

    async def ListSweepRuns(self, request: api.ListSweepRunsRequest) -> api.ListSweepRunsResponse:  # noqa: N802
        _, sweep_id = id_of(request.name, "sweeps")
        size = page_size(request.page_size)
        query = ("sweep runs", sweep_id)
        first = parse_page_token(request.page_token, int, *query) or 0

        def read() -> api.ListSweepRunsResponse:
            response, used = api.ListSweepRunsResponse(), 0
            members = self._store.sweeps.members(sweep_id, first=first, limit=size + 1)
            for member in members[:size]:
                message = member_message(member)
                used += message.ByteSize()
                if response.runs and used > PAGE_BYTES:
                    break
                response.runs.append(message)
            if len(response.runs) < len(members):
                response.next_page_token = page_token(first + len(response.runs), *query)
            return response

        return await self._core.look(read)

    async def CancelSweep(self, request: api.CancelSweepRequest) -> api.CancelSweepResponse:  # noqa: N802
        _, sweep_id = id_of(request.name, "sweeps")
        sweep = await self._core.change(lambda: sweep_message(self._core.supervisor.cancel_sweep(sweep_id)))
        self._core.feeder.wake()
        self._core.sweep_hub.notify(sweep_id)
        return api.CancelSweepResponse(sweep=sweep)

    async def DeleteSweep(self, request: api.DeleteSweepRequest) -> api.DeleteSweepResponse:  # noqa: N802
        _, sweep_id = id_of(request.name, "sweeps")
        await self._core.change(lambda: self._store.sweeps.delete(sweep_id, etag=request.etag or None))
        self._core.sweep_hub.notify(sweep_id)
        return api.DeleteSweepResponse()

    async def WatchSweep(  # noqa: N802
        self, request: api.WatchSweepRequest
    ) -> AsyncIterator[api.WatchSweepResponse]:
        _, sweep_id = id_of(request.name, "sweeps")
        if request.after_revision < 0:
            raise RequestError.at(
                "after_revision", f"{request.after_revision} is below 0", "send a revision seen, or 0"
            )
        core, seen, with_spec = self._core, request.after_revision, True
        with core.sweep_hub.watching(sweep_id) as changed:
            while True:
                changed.clear()
                sweep = await core.sweep_hub.row(sweep_id)
                if sweep.revision > seen:
                    if with_spec:
                        message = await core.look(lambda sweep=sweep: sweep_message(sweep))  # type: ignore[misc]
                    else:
                        message = sweep_message(sweep, with_spec=False)
                    yield api.WatchSweepResponse(sweep=message)
                    seen, with_spec = sweep.revision, False
                if sweep.state.is_final:
                    return
                if core.closing.is_set():
                    raise DrainingError("the server is stopping; watch again after revision " + str(seen))
                try:
                    await asyncio.wait_for(changed.wait(), core.options.keepalive_s)
                except TimeoutError:
                    yield api.WatchSweepResponse(keepalive=True)


# ---- requests ----------------------------------------------------------------------------------------------


def _axes(request: api.SubmitSweepRequest, problems: list[Problem]) -> Iterator[Axis]:
    """The axes that are ones; what is wrong with the others is added to the problems."""
    taken: list[str] = []
    if len(request.axes) > MAX_AXES:
        problems.append(
            Problem("axes", None, str(len(request.axes)), "are too many", f"write at most {MAX_AXES}")
        )
    for number, axis in enumerate(request.axes[:MAX_AXES]):
        at = f"axes[{number}]"
        path = full_path(axis.path)
        values = tuple(value.strip() for value in axis.values.values)
        low, high = axis.range.low.strip(), axis.range.high.strip()
        message = remedy = ""
        if not _is_text(path, MAX_PATH):
            message, remedy = "is no path", "name a field such as gogc or requests[0].workers"
        elif axis.WhichOneof("variation") == "range":
            if not (_is_text(low, MAX_VALUE) and _is_text(high, MAX_VALUE)):
                message, remedy = "has a range without an end", "write low and high"
        elif not values or not all(_is_text(value, MAX_VALUE) for value in values):
            message, remedy = (
                "lacks a value, or has an empty or overlong one",
                "write values such as 50 and 100",
            )
        if not message:
            message, remedy = axis_problem(path, values, taken)
        if message:
            problems.append(Problem(at, None, repr(axis.path[:80]), message, remedy))
            continue
        taken.append(path)
        yield Axis(path=path, column=column_name(path), values=values, low=low, high=high, log=axis.range.log)


def _rows(request: api.SubmitSweepRequest, problems: list[Problem]) -> Iterator[dict[str, str]]:
    seen: set[str] = set()
    for number, point in enumerate(request.points):
        seen.update(assignment.path for assignment in point.assignments)
        if len(seen) > MAX_AXES:
            message = f"sets field number {len(seen):,}"
            problems.append(
                Problem(f"points[{number}]", None, "", message, f"let points set at most {MAX_AXES} fields")
            )
            return
        row: dict[str, str] = {}
        for place, assignment in enumerate(point.assignments):
            at = f"points[{number}].assignments[{place}]"
            path, value = full_path(assignment.path), assignment.value.strip()
            message = remedy = ""
            if not _is_text(path, MAX_PATH):
                message, remedy = "is no path", "name a field such as gogc or requests[0].workers"
            elif not _is_text(value, MAX_VALUE):
                message, remedy = "has an empty or overlong value", "leave the field out, or say its value"
            elif path in row:
                message, remedy = "is set twice", "keep one of them"
            else:
                message, remedy = axis_problem(path, (), ())
            if message:
                problems.append(Problem(at, None, repr(assignment.path[:80]), message, remedy))
            else:
                row[path] = value
        yield row


def _layout(request: api.SubmitSweepRequest, problems: list[Problem]) -> Layout:
    if request.layout not in _LAYOUTS:
        words = ("is no layout", "write GRID, ZIP or LATIN_HYPERCUBE")
        problems.append(Problem("layout", None, str(request.layout), *words))
        return "grid"
    if request.layout == sweep_pb2.SWEEP_LAYOUT_LIST and request.axes:
        words = ("is for points without axes", "write GRID, ZIP or LATIN_HYPERCUBE")
        problems.append(Problem("layout", None, "LIST", *words))
    return _LAYOUTS[request.layout]


def _stop_rule(request: api.SubmitSweepRequest, problems: list[Problem]) -> StopRule | None:
    """When replications are to stop early; what is wrong with that is added to the problems."""
    if not request.HasField("until"):
        return None
    least, most = request.until.least_replications, request.replications
    found = []
    if not 2 <= least < most:
        message = f"is not from 2 to below replications, which is {most}"
        remedy = "let replications be the most, such as 3 and replications 20"
        found.append(Problem("until.least_replications", None, str(least), message, remedy))
    if not 1 <= len(request.until.widths) <= MAX_WIDTHS:
        message, remedy = "is no number of widths", f"write 1 to {MAX_WIDTHS}"
        found.append(Problem("until.widths", None, str(len(request.until.widths)), message, remedy))
    widths: dict[str, float] = {}
    for number, width in enumerate(request.until.widths[:MAX_WIDTHS]):
        at, name = f"until.widths[{number}]", width.metric[:80]
        if name not in METRIC_BY_NAME:
            found.append(Problem(f"{at}.metric", None, repr(name), "is no metric", metric_remedy(name)))
        elif name in widths:
            found.append(Problem(f"{at}.metric", None, repr(name), "is there twice", "keep one of them"))
        if not 0 < width.half_width_frac < math.inf:
            remedy = "write a fraction of the mean such as 0.02"
            found.append(
                Problem(f"{at}.half_width_frac", None, f"{width.half_width_frac:g}", "is no width", remedy)
            )
        widths[name] = width.half_width_frac
    problems += found
    return None if found else StopRule(least=least, most=most, widths=widths)


def _size_problems(
    request: api.SubmitSweepRequest, axes: Sequence[Axis], rows: Sequence[dict[str, str]], count: int
) -> list[Problem]:
    """Whether the points' text alone is too much: each is the spec, and its setting."""
    each = request.spec.ByteSize()
    each += sum(len(axis.path) + max(map(len, (*axis.values, axis.high))) for axis in axes)
    each += max((sum(len(path) + len(value) for path, value in row.items()) for row in rows), default=0)
    if count * each <= MAX_PLAN_BYTES:
        return []
    message = f"{count:,} points of a spec of {each:,} bytes are more than {MAX_PLAN_BYTES:,} bytes"
    return [Problem(path="$", message=message, remedy="take fewer values, or a shorter spec")]


def _is_text(text: str, longest: int) -> bool:
    return 0 < len(text) <= longest


def _profile(name: str, release: str, inline: MachineProfile | None) -> MachineProfile:
    """The profile of a point: shipped, or what came with the request; never a file of the server."""
    if not is_profile_path(name):
        return load_profile(name, release)
    if inline is not None and name == convert.INLINE_FILE:
        return inline
    raise SpecError(
        [
            Problem(
                path="$.machine.profile",
                value=repr(name[:80]),
                message="is a file, and the server reads none",
                remedy="name a shipped profile, or send machine_profile_yaml",
            )
        ]
    )


# ---- messages ----------------------------------------------------------------------------------------------


def sweep_message(sweep: StoredSweep, *, with_spec: bool = True) -> sweep_pb2.Sweep:
    counts = sweep.counts
    message = sweep_pb2.Sweep(
        name=f"sweeps/{sweep.id}",
        plan_id=sweep.plan_id,
        state=f"SWEEP_STATE_{sweep.state}",
        counts=sweep_pb2.SweepCounts(
            total=sweep.total,
            pending=sweep.pending,
            queued=counts[RunState.QUEUED],
            running=counts[RunState.RUNNING],
            cancelling=counts[RunState.CANCELLING],
            succeeded=counts[RunState.SUCCEEDED],
            failed=counts[RunState.FAILED],
            cancelled=counts[RunState.CANCELLED],
            skipped=sweep.skipped,
        ),
        until=convert.rule_message(sweep.until),
        points=sweep.points,
        replications=sweep.replications,
        seed=sweep.seed,
        layout=_layout_name(sweep.layout),
        columns=[sweep_pb2.KnobColumn(column=name, path=path) for name, path in sweep.columns.items()],
        revision=sweep.revision,
        engine_version=sweep.engine_version,
        etag=sweep.etag,
        labels=sweep.labels,
        has_inline_machine_profile=sweep.profile_sha256 is not None,
    )
    if with_spec:
        message.spec.CopyFrom(convert.message_of(spec_from_dict(json.loads(sweep.spec_json))))
    message.create_time.FromNanoseconds(sweep.create_time_ns)
    if sweep.end_time_ns is not None:
        message.end_time.FromNanoseconds(sweep.end_time_ns)
    return message


def member_message(member: SweepMember) -> sweep_pb2.SweepRun:
    point = member.point
    message = sweep_pb2.SweepRun(
        number=member.number,
        point_id=point.point_id,
        label=point.label,
        replication=member.replication,
        dataset=f"datasets/{point.run_ids[member.replication]}",
        run="" if member.run_id is None else f"runs/{member.run_id}",
        skipped=member.skipped,
    )
    for override in point.overrides:
        path, _, value = override.partition("=")
        message.assignments.add(path=path, value=value)
    for column, knob in point.knobs.items():
        kind = {bool: "flag", int: "integer", float: "number", str: "text"}.get(type(knob))
        message.knobs.add(column=column, **({} if kind is None else {kind: knob}))
    if member.state is not None:
        message.state = f"RUN_STATE_{member.state}"  # type: ignore[assignment]
    if member.state is RunState.FAILED:
        message.error.reason, message.error.message = member.reason, member.message
    return message


def _planned_message(plan: SweepPlan) -> sweep_pb2.Sweep:
    """A sweep that was planned only."""
    total = len(plan.points) * plan.replications
    return sweep_pb2.Sweep(
        spec=convert.message_of(plan.spec),
        plan_id=plan.sweep_id,
        counts=sweep_pb2.SweepCounts(total=total, pending=total),
        points=len(plan.points),
        replications=plan.replications,
        seed=plan.seed,
        layout=_layout_name(plan.layout),
        columns=[sweep_pb2.KnobColumn(column=name, path=path) for name, path in plan.columns.items()],
        engine_version=ENGINE_VERSION,
        until=convert.rule_message(plan.until),
    )


def _layout_name(layout: str) -> str:
    return f"SWEEP_LAYOUT_{layout.replace('-', '_').upper()}"
