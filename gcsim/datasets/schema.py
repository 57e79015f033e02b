"""Every column of every table, once: type, unit, description, and the counterpart a real program offers.

The unit stands in a column's name, in its Parquet field metadata and in the data dictionary.  Types follow from the
unit: int64 for times, bytes and counts, float64 for ratios; no unsigned, no Arrow duration (DuckDB reads it as a bare
BIGINT), no dictionary type (pandas makes it Categorical).  A column is nullable only where absence has a meaning.

Every table begins with `run_id`; the knobs of a sweep are further real columns behind it, so that rows of many runs
can be put together without their paths.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

from gcsim.datasets.metrics import METRICS
from gcsim.errors import DatasetError

SCHEMA_VERSION = "1.2"
"""major.minor: a new nullable column is a minor step, a rename or a new meaning a major one."""

HISTORY: tuple[tuple[str, str], ...] = (
    ("1.0", "first version"),
    ("1.1", "new table sites"),
    (
        "1.2",
        "collectors without concurrency and with generations: new table minors, heap.nursery_bytes and heap.old_bytes, "
        "kinds stop_the_world and minor of pauses, runs.collector, metrics num_minor_gc, promoted_bytes, survivor_bytes and minor_pause_ns",
    ),
)
"""Versions and what each changed, oldest first."""

ColumnType = Literal["int64", "float64", "bool", "string"]
_ARROW = {"int64": pa.int64(), "float64": pa.float64(), "bool": pa.bool_(), "string": pa.string()}


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column.  `counterpart` names the same quantity in runtime/metrics or MemStats of a real program."""

    name: str
    type: ColumnType
    unit: str
    description: str
    counterpart: str = ""
    nullable: bool = False

    def field(self) -> pa.Field:
        """The Arrow field, with unit, description and counterpart in its metadata."""
        metadata = {"unit": self.unit, "description": self.description}
        if self.counterpart:
            metadata["counterpart"] = self.counterpart
        return pa.field(self.name, _ARROW[self.type], nullable=self.nullable, metadata=metadata)


@dataclass(frozen=True, kw_only=True)
class TableSchema:
    """One table: what a row is, and its columns without run_id and knobs."""

    name: str
    rows: str
    columns: tuple[Column, ...]
    optional: bool = False
    """Only there if the spec's `record` section asks for it."""


# Suffix of a name -> type and unit, longest suffix first.
_SUFFIXES: tuple[tuple[str, ColumnType, str], ...] = (
    ("_cpu_ns", "int64", "ns of CPU, summed over Ps"),
    ("_ns", "int64", "ns"),
    ("_bytes", "int64", "bytes"),
    ("_frac", "float64", "1"),
    ("_percent", "int64", "%"),
    ("_objects", "int64", "objects"),
)


def _column(
    name: str,
    description: str,
    counterpart: str = "",
    *,
    type: ColumnType | None = None,  # noqa: A002 - the field's own word
    unit: str | None = None,
    nullable: bool = False,
) -> Column:
    """A column whose type and unit follow from its name's suffix unless given."""
    for suffix, suffix_type, suffix_unit in _SUFFIXES:
        if name.endswith(suffix):
            type, unit = type or suffix_type, unit or suffix_unit  # noqa: A001
            break
    if type is None or unit is None:
        raise ValueError(f"column {name}: give type and unit, its name has no known suffix")
    return Column(
        name=name, type=type, unit=unit, description=description, counterpart=counterpart, nullable=nullable
    )


def _count(
    name: str, description: str, unit: str, counterpart: str = "", *, nullable: bool = False
) -> Column:
    return _column(name, description, counterpart, type="int64", unit=unit, nullable=nullable)


def _word(name: str, description: str, *, nullable: bool = False) -> Column:
    return _column(name, description, type="string", unit="word", nullable=nullable)


RUN_ID = _word(
    "run_id", "the run: r- and the first 16 hex digits of the digest of spec, profile, seed and engine"
)

_PHASE = _word(
    "phase", "part of the run in which the row starts: start_up, warm_up or load; summaries use load"
)
_CYCLE = _count(
    "cycle", "number of the GC cycle, from 1 at process start", "cycles", "/gc/cycles/total:gc-cycles"
)
_TIME = _column("time_ns", "when, since process start")
_WINDOW = (_column("start_ns", "start of the window"), _column("end_ns", "end of the window, exclusive"))
_BUCKET = (
    _count(
        "bucket_index", "log-linear bucket; 128 per octave, so the midpoint errs by 0.4 % at most", "index"
    ),
    _column("lower_ns", "lowest time in the bucket"),
    _column("upper_ns", "highest time in the bucket"),
)

_CYCLES = TableSchema(
    name="cycles",
    rows="one row per GC cycle, in order",
    columns=(
        _CYCLE,
        _PHASE,
        _word(
            "trigger_reason",
            "why it started: heap (trigger reached), time (two minutes) or forced (runtime.GC)",
        ),
        _column("start_ns", "start of sweep termination, stopping included", "gctrace @"),
        _column("sweep_term_ns", "duration of the sweep-termination pause", "gctrace clock, first"),
        _column("mark_start_ns", "start of concurrent mark"),
        _column("mark_ns", "duration of concurrent mark, up to mark termination", "gctrace clock, second"),
        _column("mark_term_ns", "duration of the mark-termination pause", "gctrace clock, third"),
        _column("end_ns", "end of mark termination"),
        _column("heap_start_bytes", "heap live at mark start", "gctrace heap, first"),
        _column("trigger_bytes", "heap live at which the cycle was due"),
        _column("heap_goal_bytes", "heap goal of this cycle", "/gc/heap/goal:bytes"),
        _column("heap_end_bytes", "heap live at mark termination", "gctrace heap, second"),
        _column(
            "heap_marked_bytes",
            "heap marked, what was allocated while marking included",
            "/gc/heap/live:bytes",
        ),
        _column("stacks_bytes", "stack scanned", "/gc/scan/stack:bytes"),
        _column("globals_bytes", "globals that are scanned", "/gc/scan/globals:bytes"),
        _column("heap_scan_work_bytes", "scan work done on the heap", "/gc/scan/heap:bytes"),
        _column("stack_scan_work_bytes", "scan work done on stacks"),
        _column("globals_scan_work_bytes", "scan work done on globals"),
        _column("assist_cpu_ns", "mark assists", "/cpu/classes/gc/mark/assist:cpu-seconds"),
        _column(
            "dedicated_cpu_ns",
            "dedicated mark workers",
            "/cpu/classes/gc/mark/dedicated:cpu-seconds, which includes fractional",
        ),
        _column("fractional_cpu_ns", "fractional mark workers"),
        _column("idle_cpu_ns", "idle mark workers", "/cpu/classes/gc/mark/idle:cpu-seconds"),
        _column(
            "stw_cpu_ns", "both pauses, as the release charges them", "/cpu/classes/gc/pause:cpu-seconds"
        ),
        _column("sweep_term_stopping_ns", "sweep termination: until the last P had stopped"),
        _column("mark_term_stopping_ns", "mark termination: until the last P had stopped"),
        _column(
            "cons_mark",
            "the pacer's ratio of allocation to scan rate",
            "gcpacertrace",
            type="float64",
            unit="1",
        ),
        _column("runway_bytes", "heap growth the pacer expects while marking"),
        _column(
            "assist_work_per_byte_start",
            "scan work an assist owes per byte allocated, at mark start",
            "gcpacertrace assist ratio",
            type="float64",
            unit="bytes of scan work per byte allocated",
        ),
        _count("assists", "mark assists that ran", "assists"),
        _column(
            "limiter_enabled", "the GC CPU limiter was limiting at the end", type="bool", unit="yes or no"
        ),
        _count("gomaxprocs", "Ps", "Ps", "/sched/gomaxprocs:threads"),
        _column("gogc_percent", "GOGC; null: off", "/gc/gogc:percent", nullable=True),
        _column("memory_limit_bytes", "GOMEMLIMIT; null: none", "/gc/gomemlimit:bytes", nullable=True),
        _column("total_alloc_bytes", "allocated since process start, at the end", "/gc/heap/allocs:bytes"),
        _column(
            "gc_cpu_frac_cumulative",
            "share of P time since process start in the collector, idle marking excluded",
            "MemStats.GCCPUFraction, gctrace %",
            type="float64",
            unit="1",
        ),
    ),
)

_PAUSES = TableSchema(
    name="pauses",
    rows="one row per stop-the-world, in order",
    columns=(
        _count("cycle", "GC cycle it belongs to; null: none", "cycles", nullable=True),
        _PHASE,
        _word(
            "kind",
            "sweep_termination or mark_termination; stop_the_world: a whole cycle without the program, of which Go's own"
            " counters have the two short stops; minor: a minor collection; or other",
        ),
        _column("start_ns", "when stopping began"),
        _column("stopping_ns", "until the last P had stopped", "/sched/pauses/stopping/gc:seconds"),
        _column(
            "duration_ns", "until the world ran again, stopping included", "/sched/pauses/total/gc:seconds"
        ),
        _column("stw_cpu_ns", "CPU time charged for it", "/cpu/classes/gc/pause:cpu-seconds"),
    ),
)

_MINORS = TableSchema(
    name="minors",
    rows="one row per minor collection, in order; only of the what-if collector with generations, Go has none",
    optional=True,
    columns=(
        _count("minor", "number of the minor collection, from 1 at process start", "collections"),
        _PHASE,
        _word("reason", "nursery_full, or major: part of a major collection's first pause"),
        _column("start_ns", "when stopping began"),
        _column("stopping_ns", "until the last P had stopped"),
        _column(
            "duration_ns", "until the world ran again, or in a major collection's pause until it was done"
        ),
        _column("nursery_bytes", "objects in the nursery before, dead or alive"),
        _column(
            "copied_bytes", "survivors, promoted ones included; large objects count but keep their pages"
        ),
        _column("promoted_bytes", "of them moved to the old generation"),
        _column("freed_bytes", "garbage of the nursery, free at once"),
        _column("freed_objects", "objects of it, those of requests under way left out"),
        _count("remembered_cards", "cards of old memory that pointers were stored into", "cards"),
        _column("roots_cpu_ns", "looking through stacks and cards"),
        _column("copy_cpu_ns", "finding and copying survivors"),
        _column("stw_cpu_ns", "CPU time charged for its own pause; 0 in a major collection's"),
        _column("young_bytes", "survivors in the nursery after it"),
        _column("old_bytes", "objects in the old generation after it, garbage not found yet included"),
    ),
)

_HEAP = TableSchema(
    name="heap",
    rows="one row per instant: every record.heap_interval and at the end of each phase",
    columns=(
        _PHASE,
        _TIME,
        _column("heap_live_bytes", "heap live as the pacer sees it; with generations: of the old one"),
        _column("heap_in_use_bytes", "spans in use", "MemStats.HeapInuse"),
        _column("heap_goal_bytes", "present heap goal", "/gc/heap/goal:bytes"),
        _column("heap_mapped_bytes", "heap obtained from the operating system", "MemStats.HeapSys"),
        _column("heap_released_bytes", "of it given back", "/memory/classes/heap/released:bytes"),
        _column("stacks_in_use_bytes", "goroutine stacks", "/memory/classes/heap/stacks:bytes"),
        _column(
            "memory_bytes",
            "all the runtime holds, not given back",
            "/memory/classes/total:bytes less released",
        ),
        _column("memory_peak_bytes", "largest memory_bytes since the row before"),
        _column(
            "nursery_bytes", "objects in the nursery, dead or alive; null: no generations", nullable=True
        ),
        _column(
            "old_bytes",
            "objects in the old generation, garbage not found yet included; null: no generations",
            nullable=True,
        ),
    ),
)

_THROUGHPUT = TableSchema(
    name="throughput",
    rows="one row per window of record.window; a window ends early where the phase changes",
    columns=(
        _PHASE,
        *_WINDOW,
        _count("arrived", "requests that arrived (closed loop: were begun)", "requests"),
        _count("completed", "requests that ended", "requests"),
        _count("dropped", "arrivals turned away at max_in_flight", "requests"),
        _count("queued", "requests in the system at the end", "requests"),
        _column("alloc_bytes", "heap allocated", "/gc/heap/allocs:bytes"),
        _column("alloc_objects", "objects allocated", "/gc/heap/allocs:objects"),
        _column(
            "mutator_cpu_ns",
            "the program's own code",
            "/cpu/classes/user:cpu-seconds, less sweep and overhead",
        ),
        _column("assist_cpu_ns", "mark assists", "/cpu/classes/gc/mark/assist:cpu-seconds"),
        _column("dedicated_cpu_ns", "dedicated mark workers", "/cpu/classes/gc/mark/dedicated:cpu-seconds"),
        _column("fractional_cpu_ns", "fractional mark workers"),
        _column("idle_worker_cpu_ns", "idle mark workers", "/cpu/classes/gc/mark/idle:cpu-seconds"),
        _column("stw_cpu_ns", "the world stopped or being stopped", "/cpu/classes/gc/pause:cpu-seconds"),
        _column("sweep_cpu_ns", "background sweeping and sweep assists"),
        _column("scavenge_cpu_ns", "scavenging", "/cpu/classes/scavenge/total:cpu-seconds"),
        _column("overhead_cpu_ns", "scheduling, system calls and switching"),
        _column("idle_cpu_ns", "nothing to run", "/cpu/classes/idle:cpu-seconds"),
    ),
)

_CLASS = _word("request_class", "name of the request class")
_COUNT = _count("count", "values in the bucket", "values")

_LATENCY_HIST = TableSchema(
    name="latency_hist",
    rows="one row per request class, window and bucket in use",
    columns=(_PHASE, _CLASS, *_WINDOW, *_BUCKET, _COUNT),
)
_SCHED_LATENCY_HIST = TableSchema(
    name="sched_latency_hist",
    rows="one row per window and bucket in use: time goroutines were runnable before they ran (/sched/latencies)",
    columns=(_PHASE, *_WINDOW, *_BUCKET, _COUNT),
)

_REQUESTS = TableSchema(
    name="requests",
    rows="one row per sampled request (record.requests_sample), by end",
    optional=True,
    columns=(
        _PHASE,
        _CLASS,
        _column("arrival_ns", "open loop: scheduled arrival; closed loop: when it was begun"),
        _column("start_ns", "when its goroutine first ran it"),
        _column("end_ns", "when it was done"),
        _column("latency_ns", "end less arrival"),
        _column("assist_ns", "of it in mark assists, waiting for credit included"),
        _column("in_mark", "some of it ran while a cycle was marking", type="bool", unit="yes or no"),
    ),
)

_ASSISTS = TableSchema(
    name="assists",
    rows="one row per mark assist, by start within a P",
    optional=True,
    columns=(
        _CYCLE,
        _PHASE,
        _column("start_ns", "when it began"),
        _column("duration_ns", "until its debt was paid, parked time included"),
        _column("parked_ns", "of it waiting in the assist queue"),
        _count("p", "number of the P it began on", "index"),
        _word("request_class", "request class of its goroutine; null: not a request", nullable=True),
        _column("debt_bytes", "allocation debt it set out to pay"),
        _column("scan_work_bytes", "scan work it did itself"),
        _column("stolen_bytes", "scan work taken from background credit"),
    ),
)

_TRICOLOR = TableSchema(
    name="tricolor",
    rows="several rows per GC cycle, in order of time",
    optional=True,
    columns=(
        _CYCLE,
        _PHASE,
        _TIME,
        _column("white_bytes", "not reached yet, garbage included"),
        _column("grey_bytes", "reached, not scanned"),
        _column("black_bytes", "reached and scanned, or allocated while marking"),
        _column("white_objects", "not reached yet, garbage included"),
        _column("grey_objects", "reached, not scanned"),
        _column("black_objects", "reached and scanned, or allocated while marking"),
    ),
)

_P_STATES = TableSchema(
    name="p_states",
    rows="one row per P and interval; those of one P follow without gap",
    optional=True,
    columns=(
        _PHASE,
        _count("p", "number of the P", "index"),
        _word(
            "state",
            "mutator, assist, dedicated, fractional, idle_worker, stw, sweep, scavenge, overhead"
            " (scheduling, system calls) or idle",
        ),
        _column("start_ns", "start of the interval"),
        _column("end_ns", "its end, exclusive"),
    ),
)

_SITES = TableSchema(
    name="sites",
    rows="one row per phase and place in the program that allocates, computes or holds memory",
    columns=(
        _PHASE,
        _word("request_class", "request class; null: set-up, the runtime, or a holder", nullable=True),
        _count("step", "index of the step in its request class; null: no step", "index", nullable=True),
        _word(
            "kind",
            "of a step: its kind, growslice for the slice that a leak or a queue grows; request (its own code), under_way"
            " (requests not ended, in the run's last phase), build, pool, globals, goroutines, report;"
            " of holders: retained, pool, leaked, globals, lifetimes",
        ),
        _word("name", "set, pool, mutex or allocation site it is about; empty: none"),
        _column("alloc_bytes", "allocated in the phase, by requests that ended in it", "alloc_space"),
        _column("alloc_objects", "objects of it", "alloc_objects"),
        _column("alloc_cpu_ns", "time in the allocator at full speed"),
        _column("code_cpu_ns", "time of its own code at full speed"),
        _column("inuse_bytes", "reachable at the end of the phase", "inuse_space of live objects"),
        _column("inuse_objects", "objects of it", "inuse_objects of live objects"),
    ),
)

_EVENTS = TableSchema(
    name="events",
    rows="one row per rare event, in order of time: phases, settings, throttling by the quota, the GC CPU limiter,"
    " a memory limit that leaves next to no room above the live heap",
    columns=(
        _PHASE,
        _TIME,
        _word("kind", "what happened"),
        _word("detail", "more about it, with the unit of amount"),
        _column("amount", "a number that belongs to it", type="float64", unit="see detail", nullable=True),
    ),
)

_RUNS = TableSchema(
    name="runs",
    rows="one row: the run itself, its settings and all summary metrics",
    columns=(
        _word("name", "name of the spec"),
        _word("status", "succeeded: a run that failed leaves no dataset"),
        _word("go_release", "release profile"),
        _word("profile", "machine profile, by the name it gives itself"),
        _word("engine_version", "version of gcsim that computed it"),
        _word("schema_version", "version of these tables"),
        _word("spec_digest", "SHA-256 of the resolved spec"),
        _count("seed", "seed of the run", "seed"),
        _count("gomaxprocs", "Ps, as set or by the release's own rule", "Ps", "/sched/gomaxprocs:threads"),
        _column("gogc_percent", "GOGC at the start; null: off", nullable=True),
        _column("memory_limit_bytes", "GOMEMLIMIT at the start; null: none", nullable=True),
        _count("cores", "CPUs of the machine", "CPUs"),
        _word(
            "collector",
            "concurrent (Go's own) or a what-if: stop_the_world, generational; null: before schema 1.2",
            nullable=True,
        ),
        *(
            _column(m.name, m.description, m.counterpart, type=m.type, unit=m.unit, nullable=True)
            for m in METRICS
        ),
    ),
)

TABLES: dict[str, TableSchema] = {
    t.name: t
    for t in (
        _RUNS, _CYCLES, _PAUSES, _MINORS, _HEAP, _THROUGHPUT, _LATENCY_HIST, _SCHED_LATENCY_HIST, _REQUESTS, _ASSISTS,
        _TRICOLOR, _P_STATES, _SITES, _EVENTS,
    )
}  # fmt: skip

Knob = int | float | str | bool | None
"""Value of a swept knob, as it stands in its column."""


def knob_column(name: str, value: Knob) -> Column:
    """The column of a swept knob.  None (off) keeps no type of its own: it is an int64, as GOGC and GOMEMLIMIT are."""
    kinds: dict[type, ColumnType] = {
        bool: "bool",
        int: "int64",
        float: "float64",
        str: "string",
        type(None): "int64",
    }
    return Column(
        name=name,
        type=kinds[type(value)],
        unit="as in the spec",
        description="swept knob; null: off",
        nullable=True,
    )


def arrow_schema(table: str, *, knobs: Mapping[str, Knob] | None = None) -> pa.Schema:
    """Arrow schema of a table: run_id, the knobs, the table's columns."""
    columns = TABLES[table].columns
    taken = {RUN_ID.name} | {c.name for c in columns}
    extra = [knob_column(name, value) for name, value in (knobs or {}).items() if name not in taken]
    return pa.schema([c.field() for c in (RUN_ID, *extra, *columns)])


def check_schema_version(version: str, *, where: str) -> None:
    """Raise DatasetError unless this code can read tables of that version: same or older major."""
    try:
        major = int(version.split(".")[0])
    except ValueError:
        raise DatasetError(f"{where}: schema version {version!r} is no version") from None
    if major > int(SCHEMA_VERSION.split(".")[0]):
        raise DatasetError(f"{where}: schema version {version} is newer than {SCHEMA_VERSION}; update gcsim")
