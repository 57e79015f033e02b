"""From a log to a fitted service: first guesses in closed form, then a simulation brought to the log's figures.

Guesses alone would be biased: a simulated cycle has delays (waking, stopping, preempting) that no formula has.  So the
service is simulated under the log's own settings, measured as the log was (`moments`), and each parameter moved by what
is missing; a few rounds are enough, since each parameter has its own figure.

    figure of the log                             parameter
    allocation between cycles                     CPU per request (closed loop) or requests per second (open)
    P time of marking that is nobody else's       CPU per request (open loop)
    allocation while marking / between cycles     slowdown of the program beside marking
    marked less allocated meanwhile               retained set
    CPU of marking per cycle                      cost of marking
    clocks of the two pauses                      stopping the world, work of sweep termination
    goal over marked                              stacks and globals (or GOGC, where it is not known)
    goal under a limit                            memory of the runtime besides the heap
"""

from __future__ import annotations

import itertools
import math
import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from gcsim.errors import Problem, SpecError
from gcsim.fit.known import Fact, Known, known, merged
from gcsim.fit.logs import Gogc, Log, Observed, ProcessLog, Settings
from gcsim.fit.moments import Cycle, Estimate, Moments, moments, of_log, settled_from
from gcsim.fit.phases import Course, course
from gcsim.fit.service import MIN_RUNTIME_BYTES, REQUEST_CPU_NS, SCANNABLE_FRAC, Service, ServicePhase
from gcsim.fit.simulation import run_service
from gcsim.fit.window import window_ns
from gcsim.interop.pprof_reader import HeapProfile
from gcsim.interop.runtime_metrics import RuntimeMetrics
from gcsim.policy.constants import DEFAULT_HEAP_MINIMUM_BYTES
from gcsim.units import MIB, S

ROUNDS = 5
FIT_CYCLES = {"closed": 40, "open": 10}  # simulated cycles per round; requests that come singly cost more
# assumed: less than this of the P time of marking in idle workers is a program with work for every P
BUSY_IDLE_SHARE = 0.1
QUARTER_CYCLES = 6
VARIES = 1.6
FORCED_FRAC = 0.05
CLEAR_CHANGE = 1.25  # assumed: less is within what the same program does from minute to minute
LIMITED_GOAL_FRAC = 0.97  # of the goal by GOGC: below, it is the limit's
START_UP_FRAC = 0.2  # of a log from process start on
RUN_TO_RUN_FRAC = (
    0.05  # assumed: the speed of one program on one machine; repeats of the recorded ones differ by 2 to 10 %
)
MIN_FIT_NS, MAX_FIT_NS = 200_000_000, 60 * S


@dataclass(frozen=True, kw_only=True)
class Fit:
    """A fitted service and how sure it is.

    Attributes:
        observed: the log's figures over its settled cycles.
        simulated: the same of the last simulation, to compare.
        roots: stacks and globals together, bytes, from goal and marked; None where the goal does not show them.
        notes: what was assumed or inferred, for people.
        facts: what was known beside the log.
        course: what changes over the log.
        refill: allocated anew after each collection, where other logs show it.
    """

    log: Log
    service: Service
    observed: Moments
    simulated: Moments
    roots: Estimate | None
    notes: tuple[str, ...] = ()
    facts: tuple[Fact, ...] = ()
    is_scannable_known: bool = False
    course: Course = field(default_factory=Course)
    refill: Estimate | None = None

    @property
    def origin(self) -> str:
        """For the profile's constants."""
        return self.log.name


def fit(
    log: Log,
    *,
    override: Settings | None = None,
    cores: int | None = None,
    requests_per_s: float | None = None,
    latency_p50_ns: float | None = None,
    metrics: RuntimeMetrics | None = None,
    allocs: HeapProfile | None = None,
    also: Sequence[Log] = (),
) -> Fit:
    """Fit a service to a log.

    Args:
        override: settings that are known better than the log says.
        cores: CPUs of the machine; default as the log's pauses show, at least as many as Ps where they do not.
        requests_per_s: known request rate; a request then has its share of CPU and allocation.
        latency_p50_ns: known median latency; what a request's CPU does not explain it spends blocked (open loop).
        metrics: dump of the process's runtime/metrics; allocs: its allocs or heap profile.
        also: logs of the same program under other settings: they show what each collection makes it allocate anew.
    Raises:
        SpecError: a setting can be neither read nor inferred, or the log has too little.
    """
    beside = known(metrics, allocs)
    notes: list[str] = list(beside.notes)
    all_runs = [[of_log(c) for c in process.cycles] for process in log.processes]
    over_time = _course(log, all_runs)
    firsts = [
        _first(run, process, log) if over_time.changes else settled_from(run, process.load_from)
        for run, process in zip(all_runs, log.processes, strict=True)
    ]
    runs = [run[first:] for run, first in zip(all_runs, firsts, strict=True) if len(run) - first >= 2]
    if log.damaged:
        shown = ", ".join(map(str, log.damaged[:5])) + (", ..." if len(log.damaged) > 5 else "")
        notes.append(
            f"{len(log.damaged)} gctrace lines are cut or changed and were passed over (line {shown})"
        )
    forced = sum(c.line.forced for c in log.cycles)
    if forced > FORCED_FRAC * len(log.cycles):
        notes.append(
            f"{forced} of {len(log.cycles)} cycles were forced (runtime.GC); predictions are without them"
        )
    left_out = sum(first - p.load_from for first, p in zip(firsts, log.processes, strict=True))
    if left_out > 0.3 * len(log.cycles):
        notes.append(
            f"{left_out} of {len(log.cycles)} cycles are left out as start-up: the live heap was still growing"
        )
    try:
        seen = moments(runs)
    except ValueError as error:
        raise SpecError(
            [Problem(log.name, message=str(error), remedy="give a log with more cycles in a row")],
            source="trace",
        ) from error
    seen = _with_exact_live(seen, runs, beside, notes)
    settings = _settings(_with_settings(log, beside, notes), runs, override or Settings(), notes)
    assert settings.go
    assert settings.gogc is not None
    assert settings.gomaxprocs
    assert settings.gomemlimit_bytes
    roots = _roots(runs, settings)
    stacks, globals_ = _split_roots(log, roots)
    stacks = stacks if beside.stacks_bytes is None else beside.stacks_bytes
    globals_ = globals_ if beside.globals_bytes is None else beside.globals_bytes
    scannable = _scannable(log, seen) if beside.scannable_frac is None else beside.scannable_frac
    if scannable is None:
        notes.append(
            f"scannable share of the heap assumed: {SCANNABLE_FRAC:.0%} (gcpacertrace would show it)"
        )
    load: Literal["closed", "open"] = "closed" if seen.idle_share.value < BUSY_IDLE_SHARE else "open"
    procs = settings.gomaxprocs
    busy_frac = (
        1 - seen.gc_share.value - seen.idle_share.value if beside.busy_frac is None else beside.busy_frac
    )
    busy = procs if load == "closed" else max(0.02, procs * busy_frac)
    rate = max(seen.alloc_per_ns.value, 1e-9)
    cpu_ns = REQUEST_CPU_NS if requests_per_s is None else max(1_000.0, busy * S / requests_per_s)
    request_bytes = max(64.0, rate * cpu_ns / busy)
    block_ns = 0.0
    if requests_per_s is not None and load == "closed":
        notes.append(
            "no P is idle while marking: the rate is what the CPU allows, and the spec a closed loop of that many requests"
        )
    if latency_p50_ns is not None:
        block_ns = max(0.0, latency_p50_ns - cpu_ns) if load == "open" else 0.0
        if not block_ns:
            notes.append("latency not used: CPU alone explains it, or the program leaves no P idle")
    notes += _course_notes(over_time) if over_time.changes else _changes(runs)
    service = Service(
        name=_spec_name(log.name),
        go=settings.go,
        gomaxprocs=procs,
        cores=cores or _cores(log, procs),
        gogc=settings.gogc,
        gomemlimit_bytes=settings.gomemlimit_bytes,
        load=load,
        request_bytes=request_bytes,
        request_cpu_ns=cpu_ns,
        block_ns=block_ns,
        rate_per_s=rate * S / request_bytes,
        live_bytes=max(0.0, seen.live_bytes.value),
        scannable_frac=SCANNABLE_FRAC if scannable is None else scannable,
        stacks_bytes=stacks,
        globals_bytes=globals_,
        goroutines=beside.goroutines,
    )
    service = _with_course(_with_objects(service, beside, seen), over_time)
    service, refill = _with_refill(service, seen, beside, also, notes)
    service, simulated = _refine(
        service,
        seen,
        is_busy_known=beside.busy_frac is not None,
        is_memory_known=beside.besides_bytes is not None,
        window=max(window_ns(p) for p in log.processes),
    )
    return Fit(
        log=log,
        service=service,
        observed=seen,
        simulated=simulated,
        roots=roots,
        notes=tuple(notes),
        facts=beside.facts,
        course=over_time,
        refill=refill,
        is_scannable_known=scannable is not None,
    )


# ---- over time -------------------------------------------------------------------------------------------------


def _first(run: Sequence[Cycle], process: ProcessLog, log: Log) -> int:
    """First cycle that counts in a log that changes over time: of its load, or of a heap that is built."""
    if log.has_load_phase:
        return process.load_from
    first = settled_from(run, 0)
    late = START_UP_FRAC * run[-1].end_ns
    # What takes longer is no start-up: a leak, or a first phase with less live.
    return first if run[first].start_ns < late else 0


def _course(log: Log, all_runs: Sequence[Sequence[Cycle]]) -> Course:
    """Of the longest process: others of the same program have their phases at slightly other times."""
    number = max(range(len(all_runs)), key=lambda i: len(all_runs[i]))
    run, process = all_runs[number], log.processes[number]
    first = _first(run, process, log)
    if log.has_load_phase:
        begin = run[first - 1].end_ns if first else 0.0
    else:
        begin = 0.0 if process.cycles[0].line.cycle == 1 else run[0].start_ns
    return course(run, begin_ns=begin, end_ns=begin + window_ns(process), first=first)


def _with_course(service: Service, over_time: Course) -> Service:
    """The service with phases, or a leak, as a log has them; their mean is what it has without."""
    if over_time.leak_frac.value > 0:
        return replace(service, leak_frac=over_time.leak_frac.value, live_bytes=over_time.leak_start_bytes)
    if not over_time.pieces:
        return service
    total = math.fsum(p.duration_ns for p in over_time.pieces)
    live = math.fsum(p.live_bytes.value * p.duration_ns for p in over_time.pieces) / total
    rate = math.fsum(p.alloc_per_ns.value * p.duration_ns for p in over_time.pieces) / total
    return replace(
        service,
        live_bytes=max(0.0, live),
        phases=tuple(
            ServicePhase(
                duration_ns=round(p.duration_ns),
                scale=p.alloc_per_ns.value / rate if rate else 1.0,
                live_delta_bytes=p.live_bytes.value - live,
            )
            for p in over_time.pieces
        ),
    )


def _course_notes(over_time: Course) -> list[str]:
    if over_time.leak_frac.value > 0:
        share = over_time.leak_frac
        return [
            f"a leak: {share.value:.1%} of what is allocated is never let go ({share.low:.1%} .. {share.high:.1%}); the spec"
            " goes on leaking for as long as it runs"
        ]
    return [
        f"{len(over_time.pieces)} phases in the log: the spec has them, one after the other and then again; what happens"
        " after the log is not known"
    ]


def _with_settings(log: Log, beside: Known, notes: list[str]) -> Log:
    """The log with settings that only the metrics say; where they differ the log's stand."""
    for name, of_log_, of_metrics in (
        (name, getattr(log.settings, name), getattr(beside.settings, name))
        for name in Settings.__annotations__
    ):
        if of_log_ is not None and of_metrics is not None and of_log_ != of_metrics:
            notes.append(
                f"{name.removesuffix('_bytes')} is {of_log_} in the log and {of_metrics} in the metrics: the log's is"
                " taken (is it the same process?)"
            )
    return replace(log, settings=merged(log.settings, beside.settings))


def _with_exact_live(
    seen: Moments, runs: Sequence[Sequence[Cycle]], beside: Known, notes: list[str]
) -> Moments:
    """The live heap moved by what its last cycle's whole MiB cut off, where every cycle marked about the same."""
    if beside.live_bytes is None:
        return seen
    marked = [c.heap_marked_bytes for run in runs for c in run]
    last = runs[-1][-1].heap_marked_bytes
    if abs(beside.live_bytes - last) > max(1.5 * MIB, 0.25 * last):
        notes.append(
            f"/gc/heap/live is {beside.live_bytes / MIB:.1f} MiB, the log's last cycle marked {last / MIB:.0f} MiB: the"
            " log's live heap is kept"
        )
        return seen
    if max(marked) - min(marked) > MIB:
        return seen  # it varies by more than rounding hides
    live = seen.live_bytes
    shift = max(-0.5 * MIB, min(0.5 * MIB, beside.live_bytes - last))
    return replace(seen, live_bytes=Estimate(max(0.0, live.value + shift), min(live.error, 0.2 * MIB)))


def _with_objects(service: Service, beside: Known, seen: Moments) -> Service:
    """Sizes of what is allocated and retained, known or likely; memory besides the heap, where it is known."""
    if beside.objects:
        service = replace(service, objects=beside.objects)
    elif beside.object_bytes is not None:
        service = replace(service, object_bytes=beside.object_bytes)
    else:
        service = service.with_likely_objects()
    if beside.block_bytes is not None:
        service = replace(service, block_bytes=beside.block_bytes)
    else:
        service = service.with_likely_blocks(seen.mark_cpu_ns.value)
    if beside.besides_bytes is not None:
        service = service.with_memory_besides(beside.besides_bytes, beside.mapped_bytes or 0.0)
    return service


def _with_refill(
    service: Service, seen: Moments, beside: Known, also: Sequence[Log], notes: list[str]
) -> tuple[Service, Estimate | None]:
    """What each collection makes the program allocate anew: from other logs of it, else from its profile's pools.

    Returns:
        The service, and the figure where logs show it.
    """
    per_cycle = seen.cycle_alloc_bytes.value
    found = _refill(seen, also) if also else None
    refill = found.value if found is not None else beside.refill_share * per_cycle
    if found is not None and found.low <= 0:
        notes.append(
            "the logs do not show that the program allocates more where it collects more often"
            f" ({max(0.0, found.low) / MIB:.1f} .. {max(0.0, found.high) / MIB:.1f} MiB per collection)"
        )
        refill = 0.0
    if refill <= 0:
        return service, found
    return replace(service, refill_bytes=refill, cycle_alloc_bytes=per_cycle), found


def _refill(seen: Moments, also: Sequence[Log]) -> Estimate:
    """Bytes per collection: slope of bytes per second over collections per second, between logs.

    Both are per time in which the program runs undisturbed.  Machines differ from run to run, which no log shows.
    """
    points: list[tuple[float, float, float]] = []
    for one in [seen, *(_moments_of(log) for log in also)]:
        rate = one.alloc_per_ns
        error = math.hypot(rate.error, RUN_TO_RUN_FRAC * rate.value)
        points.append((rate.value / max(1.0, one.cycle_alloc_bytes.value), rate.value, error))
    weights = [1 / error**2 for _, _, error in points]
    whole = math.fsum(weights)
    mx = math.fsum(w * x for w, (x, _, _) in zip(weights, points, strict=True)) / whole
    my = math.fsum(w * y for w, (_, y, _) in zip(weights, points, strict=True)) / whole
    sxx = math.fsum(w * (x - mx) ** 2 for w, (x, _, _) in zip(weights, points, strict=True))
    if sxx <= 0:
        return Estimate(0.0)
    slope = math.fsum(w * (x - mx) * (y - my) for w, (x, y, _) in zip(weights, points, strict=True)) / sxx
    return Estimate(slope, math.sqrt(1 / sxx))


def _moments_of(log: Log) -> Moments:
    runs = [[of_log(c) for c in process.cycles] for process in log.processes]
    firsts = [settled_from(run, p.load_from) for run, p in zip(runs, log.processes, strict=True)]
    try:
        return moments(
            [run[first:] for run, first in zip(runs, firsts, strict=True) if len(run) - first >= 2]
        )
    except ValueError as error:
        raise SpecError(
            [Problem(log.name, message=str(error), remedy="give a log with more cycles in a row")],
            source="--also",
        ) from error


def _changes(runs: Sequence[Sequence[Cycle]]) -> list[str]:
    """A note where live heap or allocation changes clearly between the quarters of a log: the fit has its mean."""
    longest = max(runs, key=len)
    if len(longest) < QUARTER_CYCLES:
        return []
    live = sorted(c.live_bytes for c in longest)
    low_live, high_live = live[len(live) // 10], live[-1 - len(live) // 10]
    if high_live > VARIES * max(low_live, 2.0 * MIB):
        return [
            f"live heap varies ({low_live / MIB:.0f} to {high_live / MIB:.0f} MiB in eight of ten cycles): the spec has"
            " the mean, other settings are predicted for it"
        ]
    if len(longest) < 4 * QUARTER_CYCLES:
        return []
    size = len(longest) // 4
    quarters = [moments([longest[i * size : (i + 1) * size + 1]]) for i in range(4)]
    notes = []
    for what, values, unit in (
        ("live heap", [q.live_bytes for q in quarters], "MiB"),
        ("allocation", [q.alloc_per_ns for q in quarters], "MiB/s"),
    ):
        low, high = min(values, key=lambda e: e.value), max(values, key=lambda e: e.value)
        apart = high.value - low.value > 4 * math.hypot(low.error, high.error)
        if apart and high.value > CLEAR_CHANGE * low.value:
            scale = MIB if unit == "MiB" else MIB / S
            shown = ", ".join(f"{e.value / scale:.0f}" for e in values)
            notes.append(f"{what} changes over the log ({shown} {unit} by quarters): the spec has the mean")
    return notes


# ---- settings ------------------------------------------------------------------------------------------------


def _settings(log: Log, runs: Sequence[Sequence[Cycle]], override: Settings, notes: list[str]) -> Settings:
    last = runs[0][-1]
    go = override.go or log.settings.go
    if go is None:
        go = "1.19" if log.cycles[0].line.stacks_bytes is None else "1.27"
        notes.append(f"Go release assumed: {go} (--go)")
    limit = override.gomemlimit_bytes or log.settings.gomemlimit_bytes
    gogc = override.gogc if override.gogc is not None else log.settings.gogc
    if gogc is None:
        gogc = infer_gogc(log.cycles)
        if gogc is None:
            raise SpecError(
                [
                    Problem(
                        log.name,
                        message="the goals do not follow from what was marked by one GOGC",
                        remedy="give --gogc and, if the service has a limit, --gomemlimit",
                    )
                ],
                source="trace",
            )
        notes.append(f"GOGC inferred from goal and marked heap: {gogc}")
    if limit is None:
        limit = "off"
        notes.append("GOMEMLIMIT assumed: off (--gomemlimit)")
    return Settings(
        go=go, gogc=gogc, gomemlimit_bytes=limit, gomaxprocs=override.gomaxprocs or last.gomaxprocs
    )


def infer_gogc(cycles: Sequence[Observed]) -> int | None:
    """GOGC from each goal and what the cycle before had marked; None where no one value explains them.

    A goal is marked + (marked + stacks + globals) * GOGC / 100, and no less than 4 MiB * GOGC / 100.
    """
    ratios, floors = list[float](), list[float]()
    for a, b in itertools.pairwise(cycles):
        if not b.follows:
            continue
        marked, goal = a.line.heap_marked_bytes.middle, b.line.heap_goal_bytes.middle
        roots = sum(i.middle for i in (a.line.stacks_bytes, a.line.globals_bytes) if i is not None)
        exact = b.pacer
        if exact is not None and exact.stack_scan_work_bytes is not None:
            roots = exact.stack_scan_work_bytes + (exact.globals_scan_work_bytes or 0)
        base = marked + roots
        ratios.append(100 * (goal - marked) / base)
        floors.append(100 * (b.line.heap_goal_bytes.low / DEFAULT_HEAP_MINIMUM_BYTES))
    if not ratios:
        return None
    middle = statistics.median(ratios)
    goals = {c.line.heap_goal_bytes.low for c in cycles[1:]}
    if len(goals) <= 2 and max(goals) <= 16 * MIB and statistics.median(floors) > middle * 0.5 and middle > 0:
        # The goal stays at the heap minimum, which is 4 MiB for GOGC=100.
        return round(statistics.median(floors))
    if middle <= 0:
        return None
    spread = statistics.median(abs(r - middle) for r in ratios)
    if spread > 0.15 * middle + 5:
        return None
    # People write round numbers.
    step = 50 if middle >= 300 else 25 if middle >= 120 else 10 if middle >= 75 else 5
    return max(1, step * round(middle / step))


def _roots(runs: Sequence[Sequence[Cycle]], settings: Settings) -> Estimate | None:
    """Stacks and globals from goal and marked heap.  None: GOGC is off, a limit or the heap minimum set the goal."""
    if settings.gogc == "off" or settings.gomemlimit_bytes != "off":
        return None
    gogc: Gogc | None = settings.gogc
    assert isinstance(gogc, int)
    if gogc == 0:
        return None
    floor = DEFAULT_HEAP_MINIMUM_BYTES * gogc / 100
    values = [
        (b.heap_goal_bytes - a.heap_marked_bytes) * 100 / gogc - a.heap_marked_bytes
        for run in runs
        for a, b in itertools.pairwise(run)
        if b.follows and b.heap_goal_bytes > floor + 1.5 * MIB
    ]
    if len(values) < 3:
        return None
    values.sort()
    cut = len(values) // 10
    kept = values[cut : len(values) - cut]
    error = statistics.stdev(kept) / math.sqrt(len(kept)) if len(kept) > 1 else float(MIB)
    return Estimate(statistics.fmean(kept), error)


def _split_roots(log: Log, roots: Estimate | None) -> tuple[float, float]:
    """Stacks and globals, bytes: exact from gcpacertrace, else by goal within what gctrace prints."""
    exact = [
        c.pacer for c in log.cycles if c.pacer is not None and c.pacer.globals_scan_work_bytes is not None
    ]
    if exact:
        stacks = statistics.median(float(p.stack_scan_work_bytes or 0) for p in exact)
        return stacks, statistics.median(float(p.globals_scan_work_bytes or 0) for p in exact)
    lines = [c.line for c in log.cycles]
    last = lines[-1]
    if last.globals_bytes is None or last.stacks_bytes is None:
        return 0.0, 256.0 * 1024
    # 0 MB is most often a few hundred KiB of either.
    guess = [float(i.low) if i.low else 0.25 * MIB for i in (last.stacks_bytes, last.globals_bytes)]
    if roots is None:
        return guess[0], guess[1]
    stacks = statistics.median(line.stacks_bytes.low for line in lines if line.stacks_bytes is not None)
    rest = roots.value - guess[1]
    # 1.19 to 1.21 print stacks allocated, of which the goal counts what was scanned.
    high = stacks + MIB
    return min(max(rest, 0.0), high), guess[1]


def _scannable(log: Log, seen: Moments) -> float | None:
    exact = [c.pacer.heap_scan_work_bytes for c in log.cycles if c.pacer is not None]
    if not exact or seen.live_bytes.value <= 0:
        return None
    return min(1.0, max(0.02, statistics.median(exact) / seen.live_bytes.value))


def _cores(log: Log, procs: int) -> int:
    """CPUs: pauses are charged wall x min(Ps, CPUs)."""
    ratios = [
        c.line.sweep_term_cpu_ns.middle / c.line.sweep_term_ns.middle
        for c in log.cycles
        if c.line.sweep_term_ns.low > 0
    ]
    charged = round(statistics.median(ratios)) if ratios else procs
    return min(charged, procs) if 0 < charged < procs else procs


def _spec_name(name: str) -> str:
    kept = re.sub(r"[^a-z0-9_-]+", "-", name.lower()).strip("-_")
    return (kept if kept[:1].isalpha() else f"log-{kept}").strip("-")[:60]


# ---- bringing the simulation to the log ------------------------------------------------------------------------


def fit_duration_ns(seen: Moments, service: Service) -> int:
    """Simulated time of about as many cycles as `FIT_CYCLES` says."""
    percent = service.gogc if isinstance(service.gogc, int) else 100
    room = max(4 * MIB * percent / 100, (seen.live_bytes.value + service.stacks_bytes) * percent / 100)
    if service.gomemlimit_bytes != "off":
        room = min(room, max(MIB, service.gomemlimit_bytes - seen.live_bytes.value))
    return int(min(MAX_FIT_NS, max(MIN_FIT_NS, FIT_CYCLES[service.load] * room / seen.alloc_per_ns.value)))


def measure(service: Service, *, duration_ns: int, seed: int = 1) -> Moments | None:
    """Moments of the service under its own settings; None where it has too few cycles in that time."""
    done = run_service(service.spec(duration_ns=duration_ns, seed=seed), service.profile("fit"))
    first = done.load_from if service.changes else settled_from(done.cycles, done.load_from)
    cycles = done.cycles[first:]
    try:
        return moments([cycles], rounded=False)
    except ValueError:
        return None


def _refine(
    service: Service, seen: Moments, *, is_busy_known: bool, is_memory_known: bool, window: float
) -> tuple[Service, Moments]:
    duration = fit_duration_ns(seen, service)
    if service.changes:
        duration = int(min(MAX_FIT_NS, max(MIN_FIT_NS, service.timeline_ns or window)))
    got = measure(service, duration_ns=duration)
    for _ in range(ROUNDS):
        if got is None:
            duration = min(MAX_FIT_NS, 2 * duration)
            if duration == MAX_FIT_NS:
                break
        else:
            service = _step(service, seen, got, is_busy_known=is_busy_known, is_memory_known=is_memory_known)
        got = measure(service, duration_ns=duration)
    return service, got if got is not None else seen


def _step(
    service: Service, seen: Moments, got: Moments, *, is_busy_known: bool, is_memory_known: bool
) -> Service:
    """Move every parameter by what its figure lacks."""
    changes: dict[str, float] = {}
    speed = got.alloc_per_ns.value / seen.alloc_per_ns.value
    if service.load == "closed":
        changes["request_cpu_ns"] = service.request_cpu_ns * speed
    else:
        changes["rate_per_s"] = service.rate_per_s / speed
    if service.load == "open" and not is_busy_known:
        cpu_ns = service.request_cpu_ns * _bounded(_program_share(seen), _program_share(got))
        changes["request_cpu_ns"] = cpu_ns
        # What the latency is made of changes, not the latency.
        changes["block_ns"] = (
            max(0.0, service.block_ns + service.request_cpu_ns - cpu_ns) if service.block_ns else 0.0
        )
    changes["live_bytes"] = max(0.0, service.live_bytes + seen.live_bytes.value - got.live_bytes.value)
    changes["mark_factor"] = service.mark_factor * _bounded(seen.mark_cpu_ns.value, got.mark_cpu_ns.value)
    seen_slow = seen.mark_alloc_per_ns.value / seen.alloc_per_ns.value
    got_slow = got.mark_alloc_per_ns.value / got.alloc_per_ns.value
    share = service.slowdown_share()
    if service.load == "closed" and seen_slow > 0 and got_slow > 0 and share > 0:
        now = 1 + share * service.slowdown_factor
        wanted = now * _bounded(got_slow, seen_slow)
        changes["slowdown_factor"] = min(200.0, max(0.0, (wanted - 1) / share))
    if not is_memory_known and _is_limited(service, seen):
        base = service.profile("fit")["runtime_sys_bytes"]
        beside = base + got.heap_goal_bytes.value - seen.heap_goal_bytes.value
        changes["runtime_sys_bytes"] = max(MIN_RUNTIME_BYTES, beside)
    changes["stop_factor"] = service.stop_factor * _bounded(seen.mark_term_ns.value, got.mark_term_ns.value)
    changes["sweep_term_factor"] = max(0.05, service.sweep_term_factor) * _bounded(
        seen.sweep_term_ns.value, got.sweep_term_ns.value
    )
    return replace(service, **changes)  # type: ignore[arg-type]


def _is_limited(service: Service, seen: Moments) -> bool:
    """Whether the memory limit sets the goals: then they show how much memory there is besides the heap."""
    if service.gomemlimit_bytes == "off":
        return False
    by_gogc = math.inf if service.gogc == "off" else seen.live_bytes.value * (1 + service.gogc / 100)
    return seen.heap_goal_bytes.value < LIMITED_GOAL_FRAC * by_gogc


def _program_share(found: Moments) -> float:
    """Share of the P time of marking that neither workers nor assists nor idle workers have."""
    return max(0.02, 1 - found.gc_share.value - found.idle_share.value)


def _bounded(wanted: float, got: float) -> float:
    """Ratio of a step, at most fourfold either way."""
    return min(4.0, max(0.25, wanted / got)) if got > 0 and wanted > 0 else 1.0
