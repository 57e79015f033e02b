"""Sweeps on a server: submitting, following, and bringing the results home as the directory of a local sweep."""

from __future__ import annotations

import asyncio
import contextlib
import json
import queue
import secrets
import tempfile
import threading
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import grpc.aio
from google.protobuf import duration_pb2

from gcsim.api import convert
from gcsim.api.v1 import run_pb2, sweep_pb2
from gcsim.api.v1 import simulation_service_pb2 as api
from gcsim.datasets.sweep import RUNS_DIR, SweepResult
from gcsim.errors import DatasetError
from gcsim.spec.check import is_profile_path
from gcsim.spec.load import load_spec
from gcsim.spec.models import Spec
from gcsim.sweep.axes import Axis, parse_axes
from gcsim.version import ENGINE_VERSION

if TYPE_CHECKING:
    # Loaded when results are brought home: with them come NumPy and SciPy, which `gcsim list` does without.
    from gcsim.client.aio import AsyncClient
    from gcsim.datasets.stopping import StopRule
    from gcsim.sweep.execute import SweepProgress
    from gcsim.sweep.executor import Outcome, Task
    from gcsim.sweep.plan import SweepPlan

PLAN_TIMEOUT_S = 300.0
"""The server lays a sweep out before it answers.  assumed: a minute for the largest that it takes."""
DOWNLOADS = 4
"""Results that travel at the same time."""
LOOK_AFTER = 32
"""So many runs have to end before the server is asked again which."""

GIVE_UP_S = 5.0
"""Downloads that are given up may take so long to end."""

ORIGIN_NAME = "server.json"

FINAL = frozenset(
    {sweep_pb2.SWEEP_STATE_SUCCEEDED, sweep_pb2.SWEEP_STATE_PARTIAL, sweep_pb2.SWEEP_STATE_CANCELLED}
)
_ENDED = frozenset({run_pb2.RUN_STATE_SUCCEEDED, run_pb2.RUN_STATE_FAILED, run_pb2.RUN_STATE_CANCELLED})


def complete(
    request: api.SubmitRunRequest | api.SubmitSweepRequest, spec: Spec, max_run_duration_s: int | None
) -> None:
    """Add to a request what is optional or comes from files of this machine."""
    if max_run_duration_s is not None:
        request.max_run_duration.CopyFrom(duration_pb2.Duration(seconds=max_run_duration_s))
    if is_profile_path(spec.machine.profile):
        request.machine_profile_yaml = Path(spec.machine.profile).read_text(encoding="utf-8")


class SweepCalls:
    """The half of `AsyncClient` that is about sweeps."""

    if TYPE_CHECKING:
        _runs: Any

        async def _call(self, method: Any, request: Any, timeout_s: float = 0.0) -> Any: ...
        async def _after(self, error: grpc.aio.AioRpcError, failures: int) -> int: ...
        def _metadata(self) -> tuple[tuple[str, str], ...]: ...

    async def submit_sweep(
        self,
        spec: Spec | str | Path,
        axes: Iterable[str | Axis] = (),
        *,
        layout: str = "grid",
        points: Sequence[Mapping[str, object]] = (),
        samples: int | None = None,
        replications: int | None = None,
        seed: int | None = None,
        until: StopRule | None = None,
        sweep_id: str = "",
        request_id: str | None = None,
        labels: Mapping[str, str] | None = None,
        skip_cache: bool = False,
        max_run_duration_s: int | None = None,
        validate_only: bool = False,
    ) -> AsyncSweep:
        """Submit a sweep of a spec or spec file; when this returns, it is on the server's disk with all its points.

        Args:
            axes: as on the command line, such as ``"gogc=50,100,200"`` or ``"gogc=25..400:log"``.
            layout: ``grid``, ``zip`` or ``latin-hypercube``.
            points: points by themselves, field -> value, such as ``{"gogc": 50, "gomemlimit": "64MiB"}``.
            samples: number of points of a Latin hypercube.
            replications, seed: instead of the spec's.
            until: stop the replications of a point early; its numbers stand instead of `replications`.
            validate_only: check and lay out; nothing is stored.
        Raises:
            SpecError: the spec, an axis or a point is wrong, with every problem.
        """
        resolved = spec if isinstance(spec, Spec) else load_spec(spec)
        axes = list(axes)
        parsed = iter(parse_axes([axis for axis in axes if isinstance(axis, str)]))
        request = api.SubmitSweepRequest(
            spec=convert.message_of(resolved),
            axes=[_axis_message(next(parsed) if isinstance(axis, str) else axis) for axis in axes],
            layout=f"SWEEP_LAYOUT_{layout.replace('-', '_').upper()}",
            points=[
                sweep_pb2.ExplicitPoint(
                    assignments=[
                        sweep_pb2.Assignment(path=path, value=_text(value)) for path, value in row.items()
                    ]
                )
                for row in points
            ],
            samples=samples,
            replications=replications if until is None else until.most,
            seed=seed,
            until=convert.rule_message(until),
            sweep_id=sweep_id,
            request_id=secrets.token_hex(16) if request_id is None else request_id,
            labels=labels or {},
            skip_cache=skip_cache,
            validate_only=validate_only,
        )
        complete(request, resolved, max_run_duration_s)
        response = await self._call(self._runs.SubmitSweep, request, PLAN_TIMEOUT_S)
        return AsyncSweep(self, response.sweep, resolved)  # type: ignore[arg-type]

    async def sweep(self, sweep_id: str) -> AsyncSweep:
        """A sweep by its id."""
        request = api.GetSweepRequest(name=sweep_name(sweep_id))
        return AsyncSweep(self, (await self._call(self._runs.GetSweep, request)).sweep)  # type: ignore[arg-type]

    async def sweeps(self, filter: str = "", *, newest_first: bool = False) -> list[sweep_pb2.Sweep]:  # noqa: A002
        """All sweeps that fit, without their specs."""
        order, token, found = "create_time desc" if newest_first else "create_time", "", []
        while True:
            request = api.ListSweepsRequest(filter=filter, order_by=order, page_size=500, page_token=token)
            response = await self._call(self._runs.ListSweeps, request)
            found += response.sweeps
            token = response.next_page_token
            if not token:
                return found

    async def sweep_runs(self, sweep_id: str) -> list[sweep_pb2.SweepRun]:
        """All planned runs of a sweep in order, with their states."""
        token = ""
        found: list[sweep_pb2.SweepRun] = []
        while True:
            response = await self.sweep_runs_page(sweep_id, token)
            found += response.runs
            token = response.next_page_token
            if not token:
                return found

    async def sweep_runs_page(self, sweep_id: str, token: str) -> api.ListSweepRunsResponse:
        """A page of them, from a token on."""
        request = api.ListSweepRunsRequest(name=sweep_name(sweep_id), page_size=500, page_token=token)
        response: api.ListSweepRunsResponse = await self._call(self._runs.ListSweepRuns, request)
        return response

    async def cancel_sweep(self, sweep_id: str) -> sweep_pb2.Sweep:
        request = api.CancelSweepRequest(name=sweep_name(sweep_id))
        sweep: sweep_pb2.Sweep = (await self._call(self._runs.CancelSweep, request)).sweep
        return sweep

    async def delete_sweep(self, sweep_id: str, *, etag: str = "") -> None:
        """Delete a finished sweep with its runs."""
        request = api.DeleteSweepRequest(name=sweep_name(sweep_id), etag=etag)
        await self._call(self._runs.DeleteSweep, request, PLAN_TIMEOUT_S)

    async def watch_sweep(
        self, sweep_id: str, *, after_revision: int = 0
    ) -> AsyncGenerator[sweep_pb2.Sweep, None]:
        """The sweep's states until it is finished.  A broken stream is taken up where it was."""
        failures = 0
        while True:
            request = api.WatchSweepRequest(name=sweep_name(sweep_id), after_revision=after_revision)
            try:
                async for response in self._runs.WatchSweep(request, metadata=self._metadata()):
                    failures = 0
                    if response.HasField("sweep"):
                        after_revision = response.sweep.revision
                        yield response.sweep
                return
            except grpc.aio.AioRpcError as error:
                failures = await self._after(error, failures)


class AsyncSweep:
    """A sweep on a server."""

    def __init__(self, client: AsyncClient, message: sweep_pb2.Sweep, spec: Spec | None = None) -> None:
        self.client = client
        self.message = message
        """The sweep as it was last heard of."""
        self._spec = spec

    @property
    def id(self) -> str:
        return self.message.name.removeprefix("sweeps/")

    @property
    def state(self) -> str:
        """RUNNING, CANCELLING, SUCCEEDED, PARTIAL or CANCELLED, as last heard of."""
        return sweep_state_name(self.message)

    async def watch(self) -> AsyncGenerator[sweep_pb2.Sweep, None]:
        """Its states, until it is finished."""
        async for message in self.client.watch_sweep(self.id):
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

    async def runs(self) -> list[sweep_pb2.SweepRun]:
        """Its planned runs in order: setting, place of the result, run and its state."""
        return await self.client.sweep_runs(self.id)

    async def cancel(self) -> Self:
        self.message = await self.client.cancel_sweep(self.id)
        return self

    async def result(
        self,
        out: str | Path | None = None,
        *,
        resume: bool = False,
        progress: Callable[[SweepProgress], None] | None = None,
        stop: threading.Event | None = None,
    ) -> SweepResult:
        """The sweep as a directory, the same bytes as `gcsim sweep` makes here: results are fetched as runs end.

        Runs that ended without a result are rows with their error.

        Args:
            out: directory to make; default a temporary one.
            resume: go on with a directory that was begun for the same sweep.
            progress: called from another thread, with how far it is.
            stop: set it from another thread, and no further result is fetched; the sweep goes on at the server.
        Raises:
            DatasetError: the directory is taken, a result is damaged, or the server is of another version.
            SweepInterrupted: `stop` was set before all was there.
        """
        from gcsim.sweep.execute import begin_sweep, describe, run_sweep

        plan = await self.plan()
        directory = Path(out or Path(tempfile.mkdtemp(prefix="gcsim-")) / plan.sweep_id)
        begin_sweep(describe(plan), directory, resume=resume)
        write_origin(directory, Origin(sweep=f"sweeps/{self.id}", server=self.client.target))
        loop, stop = asyncio.get_running_loop(), stop or threading.Event()
        try:
            return await asyncio.to_thread(
                run_sweep,
                plan,
                directory,
                resume=True,
                executor=lambda directory: ServerExecutor(self.client, self.id, directory, loop),
                progress=progress,
                stop=stop,
            )
        finally:
            stop.set()  # the thread ends too where this coroutine is cancelled

    async def plan(self) -> SweepPlan:
        """The plan as the server has it, equal to what `plan_sweep` makes of the same spec and axes."""
        from gcsim.datasets.stopping import StopRule
        from gcsim.sweep.plan import Point, SweepPlan

        message = self.message
        if message.engine_version != ENGINE_VERSION:
            raise DatasetError(
                f"the sweep {self.id} is of gcsim {message.engine_version}, and this is {ENGINE_VERSION}; "
                "fetch it with the same version"
            )
        spec = self._spec
        if spec is None:
            inline = convert.INLINE_FILE if message.has_inline_machine_profile else None
            spec = convert.spec_of(message.spec, profile=inline)
        points: dict[str, list[sweep_pb2.SweepRun]] = {}
        for run in await self.runs():
            points.setdefault(run.point_id, []).append(run)
        layout = sweep_pb2.SweepLayout.Name(message.layout).removeprefix("SWEEP_LAYOUT_")
        until = None
        if message.HasField("until"):
            widths = {width.metric: width.half_width_frac for width in message.until.widths}
            least = message.until.least_replications
            until = StopRule(least=least, most=message.replications, widths=widths)
        plan = SweepPlan(
            spec=spec,
            until=until,
            seed=message.seed,
            replications=message.replications,
            layout=layout.lower().replace("_", "-"),
            axes=tuple(Axis(path=column.path, column=column.column) for column in message.columns),
            points=tuple(
                Point(
                    point_id=point_id,
                    label=runs[0].label,
                    overrides=tuple(f"{item.path}={item.value}" for item in runs[0].assignments),
                    knobs={
                        knob.column: None
                        if knob.WhichOneof("value") is None
                        else getattr(knob, knob.WhichOneof("value") or "")
                        for knob in runs[0].knobs
                    },
                    run_ids=tuple(run.dataset.removeprefix("datasets/") for run in runs),
                )
                for point_id, runs in points.items()
            ),
        )
        if plan.sweep_id != message.plan_id:
            raise DatasetError(
                f"the sweep {self.id} was listed as {plan.sweep_id}, and is {message.plan_id}; try again"
            )
        return plan


@dataclass
class _Pages:
    """Where to look for runs that have not ended: `token` of the first page that has one."""

    token: str = ""
    begun: int = 0
    """Runs before it that have been queued."""
    looked_at: int = -1
    """Runs that had ended when it was looked at last."""


class ServerExecutor:
    """Fetches what a server computes; an `Executor` for the driver of local sweeps, which does the rest.

    The driver is in a thread; everything else happens on the client's event loop.
    """

    capacity = 1000

    def __init__(
        self, client: AsyncClient, sweep_id: str, directory: Path, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._client, self._sweep_id, self._loop = client, sweep_id, loop
        self._runs_dir = directory / RUNS_DIR
        self._outcomes: queue.SimpleQueue[Outcome | BaseException] = queue.SimpleQueue()
        self._wanted: set[str] = set()
        self._ended: dict[str, sweep_pb2.SweepRun] = {}
        self._skipped: set[str] = set()
        self._fetching: set[asyncio.Task[None]] = set()
        self._places = asyncio.Semaphore(DOWNLOADS)
        self._following = asyncio.run_coroutine_threadsafe(self._follow(), loop)

    # ---- for the driver, in its thread ---------------------------------------------------------------------

    @property
    def running(self) -> int:
        return len(self._fetching)

    def submit(self, task: Task) -> None:
        self._loop.call_soon_threadsafe(self._want, task.run_id)

    def next(self, timeout_s: float) -> Outcome | None:
        try:
            outcome = self._outcomes.get(timeout=timeout_s)
        except queue.Empty:
            return None
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    def drain(self) -> None:
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._wanted.clear)

    def close(self) -> None:
        self._following.cancel()
        # Where the client is being closed, the loop ends, and everything with it.
        if not self._loop.is_closed():
            with contextlib.suppress(RuntimeError, TimeoutError):
                asyncio.run_coroutine_threadsafe(self._give_up(), self._loop).result(GIVE_UP_S)

    # ---- on the loop ---------------------------------------------------------------------------------------

    async def _give_up(self) -> None:
        for task in self._fetching:
            task.cancel()
        await asyncio.gather(*self._fetching, return_exceptions=True)

    def _want(self, run_id: str) -> None:
        self._wanted.add(run_id)
        self._hand_out(run_id)

    def _hand_out(self, run_id: str) -> None:
        """Fetch a run, or say why there is nothing to fetch; once it has ended and was asked for."""
        from gcsim.sweep.executor import RETRY, Outcome

        if run_id not in self._wanted:
            return
        if run_id in self._skipped:
            self._wanted.discard(run_id)
            message = "the server did not begin it, because its point has a run without a result"
            self._outcomes.put(Outcome(run_id=run_id, error="SKIPPED", message=message, retry=True))
            return
        run = self._ended.get(run_id)
        if run is None:
            return
        self._wanted.discard(run_id)
        if run.state == run_pb2.RUN_STATE_SUCCEEDED:
            task = asyncio.ensure_future(self._fetch(run_id))
            self._fetching.add(task)
            task.add_done_callback(self._fetching.discard)
        elif run.state == run_pb2.RUN_STATE_FAILED:
            error = run.error
            self._outcomes.put(
                Outcome(run_id=run_id, error=error.reason, message=error.message, retry=error.reason in RETRY)
            )
        else:
            message = "it was cancelled on the server"
            self._outcomes.put(Outcome(run_id=run_id, error="CANCELLED", message=message, retry=True))

    async def _fetch(self, run_id: str) -> None:
        from gcsim.sweep.executor import Outcome

        try:
            async with self._places:
                await self._client.download(f"datasets/{run_id}", self._runs_dir / run_id)
        except Exception as error:
            self._outcomes.put(error)
        else:
            self._outcomes.put(Outcome(run_id=run_id))

    async def _follow(self) -> None:
        """Watch the sweep, and look which runs have ended whenever some have."""
        pages = _Pages()
        try:
            async for sweep in self._client.watch_sweep(self._sweep_id):
                counts, final = sweep.counts, sweep.state in FINAL
                ended = counts.succeeded + counts.failed + counts.cancelled
                if final or ended - max(0, pages.looked_at) >= LOOK_AFTER or pages.looked_at < 0:
                    await self._look(
                        pages, begun=sweep.counts.total - counts.pending - counts.skipped, final=final
                    )
                    pages.looked_at = ended
        except Exception as error:
            self._outcomes.put(error)

    async def _look(self, pages: _Pages, *, begun: int, final: bool) -> None:
        """Look through the runs, up to the last of `begun` ones that have been queued."""
        token, seen = pages.token, pages.begun
        while True:
            page = await self._client.sweep_runs_page(self._sweep_id, token)
            open_runs = 0
            for run in page.runs:
                run_id = run.dataset.removeprefix("datasets/")
                if run.skipped:
                    self._skipped.add(run_id)
                elif not (final or run.state in _ENDED):
                    open_runs += 1
                    continue
                elif run_id not in self._ended:
                    self._ended[run_id] = run
                self._hand_out(run_id)
            seen += sum(bool(run.run) for run in page.runs)
            if not page.next_page_token or (seen >= begun and not final):
                return
            if token == pages.token and not open_runs:
                pages.token, pages.begun = page.next_page_token, seen
            token = page.next_page_token


@dataclass(frozen=True, kw_only=True)
class Origin:
    """The sweep of a server that a directory is made of."""

    sweep: str
    server: str


def write_origin(directory: Path, origin: Origin) -> None:
    """Keep it in the directory."""
    from gcsim.sweep.execute import write_whole

    write_whole(directory / ORIGIN_NAME, json.dumps(asdict(origin), indent=1) + "\n")


def read_origin(directory: Path) -> Origin | None:
    """The sweep that a directory is made of; None: of none that is known.  Raises DatasetError."""
    path = directory / ORIGIN_NAME
    try:
        return Origin(**json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise DatasetError(f"{path}: cannot be read ({error}); remove it to submit the sweep anew") from error


def sweep_state_name(sweep: sweep_pb2.Sweep) -> str:
    return sweep_pb2.SweepState.Name(sweep.state).removeprefix("SWEEP_STATE_")


def sweep_name(sweep_id: str) -> str:
    return sweep_id if sweep_id.startswith("sweeps/") else f"sweeps/{sweep_id}"


def _axis_message(axis: Axis) -> sweep_pb2.SweepAxis:
    if axis.is_range:
        return sweep_pb2.SweepAxis(
            path=axis.path, range=sweep_pb2.AxisRange(low=axis.low, high=axis.high, log=axis.log)
        )
    return sweep_pb2.SweepAxis(path=axis.path, values=sweep_pb2.AxisValues(values=axis.values))


def _text(value: object) -> str:
    """A value as YAML text; text is taken to be YAML already."""
    return value if isinstance(value, str) else json.dumps(value)
