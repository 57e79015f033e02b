"""SimulationService: the calls about runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from gcsim.api import convert
from gcsim.api.v1 import run_pb2
from gcsim.api.v1 import simulation_service_pb2 as api
from gcsim.datasets.schema import SCHEMA_VERSION
from gcsim.errors import SpecError
from gcsim.service.core import Core
from gcsim.service.limits import check_work
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
    run_message,
)
from gcsim.service.status import DrainingError, RequestError
from gcsim.spec.models import GO_RELEASES, SPEC_VERSION, Spec
from gcsim.spec.profile import shipped_profiles
from gcsim.sweep.states import NewRun, RunProgress, RunState, StoredRun
from gcsim.version import ENGINE_VERSION


class Runs:
    """The half of gcsim.api.v1.SimulationService that is about runs; methods have the names of the calls."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._store = core.store

    async def SubmitRun(self, request: api.SubmitRunRequest) -> api.SubmitRunResponse:  # noqa: N802
        if self._core.draining:
            raise DrainingError("the server is stopping; try again, or another server")
        run = await self._core.change(lambda: self._submit(request))
        self._core.supervisor.wake()
        return api.SubmitRunResponse(run=run)

    def _submit(self, request: api.SubmitRunRequest) -> run_pb2.Run:
        new, spec = self._new_run(request)
        if request.validate_only:
            message = run_pb2.Run(spec=convert.message_of(spec))
            message.spec_digest, message.engine_version = new.digest, ENGINE_VERSION
            return message
        first = None if new.request_id is None else self._store.by_request(new.request_id)
        if first is None:
            check_stored_bytes(self._core)
        run, _ = self._store.submit(new)
        # The same request gives the same spec, so a repeated one too needs no look at the stored text.
        message = run_message(run, with_spec=False)
        message.spec.CopyFrom(convert.message_of(spec))
        return message

    def _new_run(self, request: api.SubmitRunRequest) -> tuple[NewRun, Spec]:
        """The run and its spec, or everything that is wrong with the request, at once."""
        problems = request_problems(request, "run_id")
        try:
            spec, profile = spec_of(request)
            new = NewRun.of(
                spec,
                id=request.run_id or None,
                profile=profile,
                profile_yaml=request.machine_profile_yaml or None,
                request_id=request.request_id or None,
                request_digest=body_digest(request),
                labels=dict(request.labels),
                skip_cache=request.skip_cache,
                max_duration_s=max_duration_s(request),
            )
            check_work(spec, self._core.options.max_estimated_requests)
        except SpecError as error:
            raise SpecError([*problems, *error.problems], source="request") from error
        if problems:
            raise RequestError(problems)
        return new, spec

    async def GetRun(self, request: api.GetRunRequest) -> api.GetRunResponse:  # noqa: N802
        _, run_id = id_of(request.name, "runs")
        return api.GetRunResponse(run=await self._core.look(lambda: self._message(run_id)))

    def _message(self, run_id: str) -> run_pb2.Run:
        return run_message(self._store.get(run_id), self._core.supervisor.progress(run_id))

    async def ListRuns(self, request: api.ListRunsRequest) -> api.ListRunsResponse:  # noqa: N802
        wanted = parse_filter(request.filter, RunState)
        newest_first = is_newest_first(request.order_by)
        size = page_size(request.page_size)
        query = (request.filter, str(newest_first))
        after = parse_page_token(request.page_token, int, *query)
        rows = await self._core.look(
            lambda: self._store.runs(
                states=wanted.states,
                labels=wanted.labels,
                name=wanted.workload,
                sweep_id=wanted.sweep,
                after_seq=after,
                newest_first=newest_first,
                limit=size + 1,
            )
        )
        page = rows[:size]
        return api.ListRunsResponse(
            runs=[run_message(row, self._core.supervisor.progress(row.id), with_spec=False) for row in page],
            next_page_token=page_token(page[-1].seq, *query) if len(rows) > size else "",
        )

    async def CancelRun(self, request: api.CancelRunRequest) -> api.CancelRunResponse:  # noqa: N802
        _, run_id = id_of(request.name, "runs")
        run = await self._core.change(lambda: run_message(self._core.supervisor.cancel(run_id)))
        return api.CancelRunResponse(run=run)

    async def DeleteRun(self, request: api.DeleteRunRequest) -> api.DeleteRunResponse:  # noqa: N802
        _, run_id = id_of(request.name, "runs")
        await self._core.change(lambda: self._store.delete(run_id, etag=request.etag or None))
        self._core.hub.notify(run_id)
        return api.DeleteRunResponse()

    async def WatchRun(self, request: api.WatchRunRequest) -> AsyncIterator[api.WatchRunResponse]:  # noqa: N802
        _, run_id = id_of(request.name, "runs")
        if request.after_revision < 0:
            raise RequestError.at(
                "after_revision", f"{request.after_revision} is below 0", "send a revision seen, or 0"
            )
        core, seen, told = self._core, request.after_revision, None
        with_spec = True
        with core.hub.watching(run_id) as changed:
            while True:
                changed.clear()
                run = await core.hub.row(run_id)
                progress = _present(run, core.supervisor.progress(run_id))
                if run.revision > seen or progress != told:
                    if with_spec:
                        message = await core.look(lambda run=run, at=progress: run_message(run, at))  # type: ignore[misc]
                    else:
                        message = run_message(run, progress, with_spec=False)
                    yield api.WatchRunResponse(run=message)
                    seen, told, with_spec = run.revision, progress, False
                if run.state.is_final:
                    return
                if core.closing.is_set():
                    raise DrainingError("the server is stopping; watch again after revision " + str(seen))
                try:
                    await asyncio.wait_for(changed.wait(), core.options.keepalive_s)
                except TimeoutError:
                    yield api.WatchRunResponse(keepalive=True)

    async def GetCapabilities(  # noqa: N802
        self, request: api.GetCapabilitiesRequest
    ) -> api.GetCapabilitiesResponse:
        options = self._core.options
        counts, stored = await self._core.look(lambda: (self._store.counts(), self._store.stored_bytes()))
        return api.GetCapabilitiesResponse(
            engine_version=ENGINE_VERSION,
            schema_version=SCHEMA_VERSION,
            spec_version=SPEC_VERSION,
            go_releases=GO_RELEASES,
            machine_profiles=shipped_profiles(),
            max_request_bytes=options.max_request_bytes,
            max_estimated_requests=options.max_estimated_requests,
            queue_limit=options.queue_limit,
            queued_runs=counts[RunState.QUEUED],
            running_runs=counts[RunState.RUNNING] + counts[RunState.CANCELLING],
            workers=options.workers,
            stored_bytes=stored,
            max_stored_bytes=options.max_stored_bytes,
            max_sweep_runs=options.max_sweep_runs,
            max_estimated_sweep_requests=options.max_estimated_sweep_requests,
            max_open_sweeps=options.max_open_sweeps,
        )


def _present(run: StoredRun, progress: RunProgress | None) -> RunProgress | None:
    """Progress of this very attempt, while it runs."""
    is_now = progress is not None and run.state is RunState.RUNNING and progress.attempt == run.attempt
    return progress if is_now else None
