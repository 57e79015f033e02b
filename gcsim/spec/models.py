"""The spec: what to simulate, as frozen pydantic models.  One truth for YAML, gRPC and Python.

Sizes accept integers or text such as ``512MiB``; times accept text such as ``10ms`` (a bare number is ns);
settings that can be off accept ``off``.  Rules that span several models are in ``check``.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, Field, StrictStr, model_validator
from pydantic_core import PydanticCustomError

from gcsim.spec import check
from gcsim.spec.fields import (
    MAX_COUNT,
    MAX_NS,
    Amount,
    Bool,
    Bytes,
    CfsQuota,
    Count,
    DurationNs,
    Float,
    GogcPercent,
    Int,
    MemoryLimit,
    Model,
    Name,
    Shape,
    SizeDistribution,
    TimeDistribution,
    check_pointers,
    fault,
)
from gcsim.spec.fields import Distribution as Distribution
from gcsim.spec.site import AllocationSite as AllocationSite

SPEC_VERSION: Literal[1] = 1

GO_RELEASES = ("1.19", "1.20", "1.21", "1.22", "1.23", "1.24", "1.25", "1.25-greenteagc", "1.26", "1.27")
"""Release profiles, oldest first."""


def _exactly_one(model: BaseModel, first: str, second: str) -> None:
    if (getattr(model, first) is None) == (getattr(model, second) is None):
        both = getattr(model, first) is not None
        raise fault(
            f"{first} and {second} exclude each other" if both else f"neither {first} nor {second} is given",
            f"remove one of {first} and {second}" if both else f"add {first} or {second}",
        )


# ---- what the program keeps --------------------------------------------------------------------------------


class ObjectGroup(Model):
    """Equal objects: how many, how big, how many pointer words they begin with."""

    count: Annotated[Count, Field(ge=1)] = Field(default=1, description="number of such objects")
    size: Bytes = Field(gt=0, description="bytes of one object, before rounding to a size class")
    pointer_words: Count = Field(default=0, description="words up to the last pointer; 0 = pointer-free")
    shape: Shape = Field(
        default="tree", description="how the group's objects hang together: what limits parallel marking"
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        check_pointers(self.size, self.pointer_words)
        return self


class MapTable(Model):
    """A Go map of the release's design, which finds the entries of a set; it grows and never shrinks."""

    key_size: Bytes = Field(
        le=128, description="bytes of a key; a larger one is an object of its own: put it into objects"
    )
    value_size: Bytes = Field(le=128, description="bytes of a value; likewise, with 8 bytes for the pointer")
    key_pointers: Bool = Field(default=False, description="keys contain pointers (strings do)")
    value_pointers: Bool = Field(
        default=False, description="values contain pointers; a map with none is not scanned"
    )
    remade: Bool = Field(
        default=False,
        description="a phase that makes the set smaller puts what is left into a new map and drops the old one; "
        "otherwise keys are deleted, and the map stays as large as it was",
    )


class RetainedSet(Model):
    """A bounded set of entries reachable from a table (one array of pointers, or a map), e.g. a cache."""

    name: Name = Field(description="what steps and phases call it")
    entries: Count = Field(description="number of entries at load start")
    objects: tuple[ObjectGroup, ...] = Field(default=(), description="the objects of one entry")
    table_slot_bytes: Bytes = Field(default=8, description="bytes of the table per entry; 0 = no table")
    map: MapTable | None = Field(default=None, description="the table is a map, instead of an array")
    built: Literal["start_up", "load_start"] = Field(
        default="start_up",
        description="start_up: by one goroutine when the process starts, before settle; "
        "load_start: allocated at the first instant of the load phase, inside its metrics",
    )

    @model_validator(mode="after")
    def _is_found(self) -> Self:
        table = self.map
        if table is not None and self.objects and not (table.key_pointers or table.value_pointers):
            raise fault(
                "a map without pointers refers to no objects",
                "set value_pointers: true, or remove objects",
                at="map",
            )
        return self


class Globals(Model):
    """Package variables: data and bss that the collector scans as roots."""

    scan_bytes: Bytes = Field(default=1 << 20, description="bytes of data and bss with pointers")
    objects: tuple[ObjectGroup, ...] = Field(
        default=(), description="heap objects the globals point to for ever"
    )


class IdleGoroutines(Model):
    """Goroutines blocked for ever; their stacks are scanned in every cycle."""

    count: Count = Field(default=0, description="number of goroutines")
    stack_used_bytes: Bytes = Field(
        default=512,
        description="bytes of live frames of each; the stack is the next power of two from 2 KiB that holds them and the guard",
    )


# ---- what a request does -----------------------------------------------------------------------------------


_LABEL = "what later steps of the request call it (keep, drop)"


class CpuStep(Model):
    """Compute."""

    kind: Literal["cpu"] = "cpu"
    ns: DurationNs | None = Field(default=None, description="constant CPU time")
    distribution: TimeDistribution | None = Field(default=None, description="CPU time in ns, instead of ns")
    calibrated_spin: Bool = Field(
        default=False,
        description="the time is a loop calibrated as the best of several tries: the profile's spin overhead applies",
    )

    @model_validator(mode="after")
    def _one(self) -> Self:
        _exactly_one(self, "ns", "distribution")
        return self


class AllocateStep(Model):
    """Allocate objects that live for the request, for a drawn lifetime, or die at once."""

    kind: Literal["allocate"] = "allocate"
    count: Amount = Field(default=1.0, description="objects per request; a fraction is rounded at random")
    size: Annotated[Bytes, Field(gt=0)] | None = Field(default=None, description="bytes of one object")
    size_distribution: SizeDistribution | None = Field(default=None, description="bytes, instead of size")
    pointer_words: Count = Field(
        default=0, description="words up to the last pointer (at most the object's); 0 = pointer-free"
    )
    lifetime: Literal["request", "temporary"] | TimeDistribution = Field(
        default="request",
        description="request: until the request ends; temporary: dead at once; a distribution: ns after birth",
    )
    shape: Shape = Field(
        default="slice", description="how the objects hang together; slice: all found at once"
    )
    scaled: Bool = Field(default=True, description="count follows the phase's garbage_scale")
    site: Name | None = Field(
        default=None,
        description="allocation site: decides stack or heap, and size and pointer_words where it has them",
    )
    name: Name | None = Field(default=None, description=_LABEL)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.site is None:
            _exactly_one(self, "size", "size_distribution")
        elif self.size_distribution is not None:
            remedy = "write size, or remove site"
            raise fault("a site's objects are of one size", remedy, at="size_distribution")
        check_pointers(self.size, self.pointer_words)
        return self


class AppendStep(Model):
    """Fill a slice by append: arrays that it outgrows are garbage, the last one lives on."""

    kind: Literal["append"] = "append"
    count: Amount = Field(default=1.0, description="slices per request; a fraction is rounded at random")
    elements: Annotated[Count, Field(ge=1)] = Field(description="elements of each in the end")
    element_size: Bytes = Field(gt=0, description="bytes of an element")
    pointer_words: Count = Field(default=0, description="words of an element up to its last pointer")
    hint: Count = Field(default=0, description="capacity it is made with")
    chunk: Annotated[Count, Field(ge=1)] = Field(default=1, description="elements appended at a time")
    lifetime: Literal["request", "temporary"] | TimeDistribution = Field(
        default="request", description="of the last array: as in allocate"
    )
    site: Name | None = Field(default=None, description="allocation site (append); none: it escapes")
    name: Name | None = Field(default=None, description=_LABEL)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        check_pointers(self.element_size, self.pointer_words)
        return self


class MapInsertStep(Model):
    """Make a map and insert keys: what it outgrows is garbage, what it has in the end lives on."""

    kind: Literal["map_insert"] = "map_insert"
    count: Amount = Field(default=1.0, description="maps per request; a fraction is rounded at random")
    keys: Annotated[Count, Field(le=10_000_000)] = Field(description="different keys inserted into each")
    hint: Annotated[Count, Field(le=10_000_000)] = Field(default=0, description="size given to make")
    key_size: Bytes = Field(description="bytes of a key; above 128 it is an object of its own")
    value_size: Bytes = Field(description="bytes of a value; above 128 it is an object of its own")
    key_pointers: Bool = Field(default=False, description="keys contain pointers (strings do)")
    value_pointers: Bool = Field(
        default=False, description="values contain pointers; a map with none is not scanned"
    )
    lifetime: Literal["request", "temporary"] | TimeDistribution = Field(
        default="request", description="of what it has in the end: as in allocate"
    )
    site: Name | None = Field(default=None, description="allocation site (make_map); none: it escapes")
    name: Name | None = Field(default=None, description=_LABEL)


class KeepStep(Model):
    """Keep a part of what an earlier step made beyond the request: a pointer into it, or a copy of the part."""

    kind: Literal["keep"] = "keep"
    name: Name = Field(description="name of the allocate, append or map_insert step that made it")
    by: Literal["reference", "copy"] = Field(
        default="reference",
        description="reference: the address of a field, a sub-slice such as s[1:], a substring: all of the object stays; "
        "copy: the part is copied to an object of its own, and only that stays",
    )
    size: Annotated[Bytes, Field(gt=0)] | None = Field(default=None, description="copy: bytes of the part")
    pointer_words: Count = Field(default=0, description="copy: words of the part up to its last pointer")
    lifetime: TimeDistribution = Field(description="how long it is kept, ns after the end of the request")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.by == "copy":
            if self.size is None:
                raise fault("a copy has a size", "add size")
            check_pointers(self.size, self.pointer_words)
        elif self.size is not None or self.pointer_words:
            at = "size" if self.size is not None else "pointer_words"
            raise fault("a reference keeps all of the object, whatever it refers to", f"remove {at}", at=at)
        return self


class DropStep(Model):
    """Drop the last reference to what an earlier step made (set it to nil), before the request ends."""

    kind: Literal["drop"] = "drop"
    name: Name = Field(description="name of the allocate, append or map_insert step that made it")


class CallStep(Model):
    """Call a function that takes a struct, by value (copied into the frame) or by pointer."""

    kind: Literal["call"] = "call"
    count: Annotated[Count, Field(ge=1)] = Field(default=1, description="calls per request")
    size: Bytes = Field(default=0, description="bytes of the struct; 0 = no argument worth speaking of")
    by: Literal["value", "pointer"] = Field(
        default="value", description="value: each call copies it; pointer: each call passes 8 bytes"
    )
    frame: Bytes = Field(
        default=0,
        description="bytes of the function's own variables in its frame, which each call writes once",
    )
    nested: Bool = Field(
        default=False,
        description="each calls the next (recursion): all frames are there at once, and the stack must hold them",
    )


class BlockStep(Model):
    """Block without holding a P: a sleep or an I/O wait (netpoller, timers)."""

    kind: Literal["block"] = "block"
    ns: DurationNs | None = Field(default=None, description="constant wait")
    distribution: TimeDistribution | None = Field(default=None, description="wait in ns, instead of ns")
    timer: Bool = Field(default=False, description="a time.Sleep: the profile's timer lateness is added")

    @model_validator(mode="after")
    def _one(self) -> Self:
        _exactly_one(self, "ns", "distribution")
        return self


class SyscallStep(Model):
    """A blocking system call: keeps the P until sysmon retakes it."""

    kind: Literal["syscall"] = "syscall"
    ns: DurationNs | None = Field(default=None, description="constant time in the kernel")
    distribution: TimeDistribution | None = Field(default=None, description="time in ns, instead of ns")

    @model_validator(mode="after")
    def _one(self) -> Self:
        _exactly_one(self, "ns", "distribution")
        return self


class LockStep(Model):
    """Hold a mutex for so much CPU time; waiters park first come, first served."""

    kind: Literal["lock"] = "lock"
    name: Name = Field(description="the mutex; steps with the same name share it, across request classes")
    hold_ns: DurationNs = Field(description="CPU time for which it is held")


class PointerWritesStep(Model):
    """Store pointers: each passes the write barrier while the collector marks."""

    kind: Literal["pointer_writes"] = "pointer_writes"
    count: Count = Field(description="pointer stores per request")
    set: Name | None = Field(default=None, description="retained set whose random entries are written to")
    drops_subtree: Bool = Field(
        default=False,
        description="the first write to a tree-shaped entry makes one of the root's two subtrees garbage: "
        "n objects of its first tree group with more than one become 1 + (n - 1) // 2, until it is replaced",
    )

    @model_validator(mode="after")
    def _has_set(self) -> Self:
        if self.drops_subtree and self.set is None:
            raise fault("drops_subtree needs a retained set to drop from", "add set", at="drops_subtree")
        return self


class DeleteStep(Model):
    """Delete entries of a retained set, which shrinks; its table stays as large as it was."""

    kind: Literal["delete"] = "delete"
    set: Name = Field(description="the retained set")
    count: Amount = Field(description="entries per request, as far as there are any; fractions accumulate")


class ReplaceStep(Model):
    """Replace random entries of a retained set; fractions accumulate from request to request."""

    kind: Literal["replace"] = "replace"
    set: Name = Field(description="the retained set")
    count: Amount = Field(description="entries per request")


class PublishStep(Model):
    """Add new entries to a retained set, which grows."""

    kind: Literal["publish"] = "publish"
    set: Name = Field(description="the retained set")
    count: Amount = Field(description="entries per request; fractions accumulate")


class FifoStep(Model):
    """Use a retained set as a queue in a slice: the first entry off, a new one on, `s = append(s[1:], x)`.

    The array is made with room for the set's entries.  When it is full append copies the entries that wait to a new
    one; until then it keeps the entries that were taken off.
    """

    kind: Literal["fifo"] = "fifo"
    set: Name = Field(description="the retained set; its table is the slice's array")
    count: Amount = Field(default=1.0, description="entries per request; fractions accumulate")
    clear: Bool = Field(
        default=False,
        description="s[0] = nil first: what was taken off is dead at once, only its slot is kept",
    )


class LeakStep(Model):
    """Keep an object for ever in a growing global slice."""

    kind: Literal["leak"] = "leak"
    size: Bytes = Field(gt=0, description="bytes of the object")
    pointer_words: Count = Field(default=0, description="words up to the last pointer; 0 = pointer-free")
    slot_bytes: Bytes = Field(
        default=24,
        description="bytes of an element of the slice: 24 = a slice header, 8 = a pointer; 0 = no slice",
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        check_pointers(self.size, self.pointer_words)
        return self


class PoolGetStep(Model):
    """Take a buffer from a sync.Pool (a miss allocates one) and use it."""

    kind: Literal["pool_get"] = "pool_get"
    pool: Name = Field(description="the pool")
    size: Bytes = Field(gt=0, description="bytes of a buffer; the same wherever the pool is used")
    touch: Bool = Field(default=True, description="the buffer's memory is written to")


class PoolPutStep(Model):
    """Give the buffer back."""

    kind: Literal["pool_put"] = "pool_put"
    pool: Name = Field(description="the pool it was taken from, earlier in the same request")


class GCStep(Model):
    """runtime.GC(): a forced cycle; the caller waits for mark and sweep."""

    kind: Literal["gc"] = "gc"


Step = Annotated[
    CpuStep
    | AllocateStep
    | AppendStep
    | MapInsertStep
    | KeepStep
    | DropStep
    | CallStep
    | BlockStep
    | SyscallStep
    | LockStep
    | PointerWritesStep
    | ReplaceStep
    | PublishStep
    | DeleteStep
    | FifoStep
    | LeakStep
    | PoolGetStep
    | PoolPutStep
    | GCStep,
    Field(discriminator="kind"),
]


class RequestClass(Model):
    """Requests of one kind and how they arrive: closed loop (workers) or open loop (a rate or recorded times)."""

    name: Name = Field(default="request", description="what phases and tables call it")
    workers: Annotated[Int, Field(ge=1, le=1_000_000)] | None = Field(
        default=None, description="closed loop: so many goroutines, each doing one request after another"
    )
    rate_per_s: Annotated[Float, Field(gt=0, le=1e9)] | None = Field(
        default=None, description="open loop: mean arrivals per second"
    )
    arrivals: Literal["poisson", "constant", "recorded"] = Field(
        default="poisson", description="open loop: how they are spread in time"
    )
    arrivals_csv: str | None = Field(
        default=None,
        description="recorded: CSV with a column arrival_ns (relative to load start, ascending), relative to the spec file",
    )
    arrival_times_ns: tuple[Annotated[Int, Field(ge=0, le=MAX_NS)], ...] = Field(
        default=(), description="recorded: the times themselves, ascending (filled from the CSV)"
    )
    dispatcher: Bool = Field(
        default=False,
        description="open loop: one goroutine sleeps until each arrival and starts a goroutine per request",
    )
    max_in_flight: Annotated[Int, Field(ge=1, le=MAX_COUNT)] | None = Field(
        default=None, description="open loop: arrivals beyond are dropped"
    )
    stack_used_bytes: Bytes = Field(default=1024, description="deepest stack of a request's goroutine")
    steps: tuple[Step, ...] = Field(
        min_length=1, max_length=1000, description="what a request does, in order"
    )


# ---- change over time --------------------------------------------------------------------------------------


class Phase(Model):
    """Settings in force for a while.  Phases follow one another from load start; the list repeats if ``repeat_phases``.

    What a phase leaves out stays as it is.
    """

    duration: DurationNs = Field(gt=0, description="how long it lasts")
    rate_per_s: (
        dict[Name, Annotated[Float, Field(ge=0, le=1e9)]] | Annotated[Float, Field(ge=0, le=1e9)] | None
    ) = Field(
        default=None, description="arrivals per second: of each open-loop class by name, or of all of them"
    )
    garbage_scale: Annotated[Float, Field(ge=0, le=1e6)] | None = Field(
        default=None, description="factor on the count of allocate steps that are `scaled`"
    )
    entries: dict[Name, Count] | None = Field(
        default=None,
        description="size of retained sets by name; growing takes a goroutine, shrinking is at once",
    )
    gogc: GogcPercent | Literal["keep"] = Field(
        default="keep", description="debug.SetGCPercent; keep: no call"
    )
    gomemlimit: MemoryLimit | Literal["keep"] = Field(
        default="keep", description="debug.SetMemoryLimit; keep: no call"
    )


# ---- settings, machine, run --------------------------------------------------------------------------------


class Generational(Model):
    """The what-if collector with generations (`runtime.collector: generational`); other collectors ignore it.

    New objects go to a nursery.  When it is full, a minor collection stops the world, copies what is reachable and
    takes the rest back whole; what has survived `promotion_age` of them is promoted to the old generation, which Go's
    concurrent collector marks and sweeps.
    """

    nursery: Annotated[Bytes, Field(ge=64 << 10)] = Field(
        default=4 << 20, description="bytes allocated between two minor collections"
    )
    promotion_age: Annotated[Int, Field(ge=1, le=15)] = Field(
        default=2,
        description="minor collections that an object survives before it is old; 1 = the first promotes",
    )
    remembered_set: Bool = Field(
        default=True,
        description="false: minor collections do not look at pointers from old objects to new ones; the run fails at "
        "the first object that is lost by that",
    )


class RuntimeSettings(Model):
    """The Go release and what its environment variables and what-if switches say."""

    go: str = Field(
        default="1.27", description="release profile", json_schema_extra={"enum": list(GO_RELEASES)}
    )
    gomaxprocs: Annotated[Int, Field(ge=1, le=1024)] | None = Field(
        default=None, description="GOMAXPROCS; default: by the release's own rule"
    )
    gogc: GogcPercent = Field(default=100, description="GOGC in percent, or off")
    gomemlimit: MemoryLimit = Field(default=None, description="GOMEMLIMIT in bytes, or off")
    assists: Bool = Field(default=True, description="what-if: mark assists off")
    idle_workers: Bool = Field(default=True, description="what-if: idle mark workers off")
    collector: Literal["concurrent", "stop_the_world", "generational"] = Field(
        default="concurrent",
        description="concurrent: Go's own; stop_the_world: whole cycles without the program, as under "
        "GODEBUG=gcstoptheworld=1; generational: what-if, Go has none",
    )
    stop_the_world_sweep: Bool = Field(
        default=False,
        description="collector stop_the_world: sweep before the program goes on too, as under GODEBUG=gcstoptheworld=2",
    )
    generational: Generational = Field(
        default=Generational(), description="collector generational: nursery, promotion and remembered set"
    )


class Machine(Model):
    """The computer and its container."""

    profile: str = Field(default="epyc-genoa-kvm", description="machine profile: a shipped name or a path")
    cores: Annotated[Int, Field(ge=1, le=1024)] = Field(default=2, description="CPUs the process may run on")
    cfs_quota: CfsQuota = Field(
        default=None, description="CPU time per period (cgroup cpu.max); off = unlimited"
    )
    cfs_period: DurationNs = Field(
        default=100_000_000, ge=1_000_000, le=1_000_000_000, description="period of the quota, 1 ms to 1 s"
    )


class Run(Model):
    """How long, how often and from which seed."""

    duration: DurationNs = Field(default=8_000_000_000, gt=0, description="load phase, warm-up included")
    warm_up: DurationNs = Field(
        default=0, description="first part of the load phase, left out of the metrics"
    )
    settle: DurationNs = Field(default=50_000_000, description="idle time between start-up and load")
    seed: Annotated[Int, Field(ge=0, lt=2**63)] = Field(default=1, description="seed of every random stream")
    replications: Annotated[Int, Field(ge=1, le=10_000)] = Field(
        default=1, description="runs with seeds of their own"
    )
    latency_report_bytes_per_request: Annotated[Float, Field(ge=0, le=1e6)] = Field(
        default=0.0, description="bytes a measuring program allocates per request when it reports at the end"
    )


class Record(Model):
    """What to write down beyond the standing tables."""

    window: DurationNs = Field(
        default=1_000_000_000, gt=0, description="window of the tables throughput and latency_hist"
    )
    heap_interval: DurationNs = Field(
        default=100_000_000, gt=0, description="time between rows of the table heap"
    )
    requests_sample: Annotated[Float, Field(ge=0, le=1)] = Field(
        default=0.0, description="share of requests in table requests"
    )
    p_states: Bool = Field(
        default=False, description="write table p_states: what each P did, interval by interval"
    )
    assists: Bool = Field(default=True, description="write table assists: one row per mark assist")
    tricolor: Bool = Field(
        default=False, description="write table tricolor: white, grey and black over each cycle"
    )


class Spec(Model):
    """A whole simulation."""

    version: Literal[1] = Field(default=SPEC_VERSION, description="version of the spec format")
    name: Name = Field(description="name of the workload")
    description: str = Field(default="", description="what it shows, for people")
    runtime: RuntimeSettings = Field(default=RuntimeSettings(), description="Go release and settings")
    machine: Machine = Field(default=Machine(), description="computer and container")
    run: Run = Field(default=Run(), description="duration, seed, replications")
    record: Record = Field(default=Record(), description="what to write down")
    globals: Globals = Field(default=Globals(), description="package variables")
    idle_goroutines: IdleGoroutines = Field(
        default=IdleGoroutines(), description="goroutines blocked for ever"
    )
    retained: tuple[RetainedSet, ...] = Field(
        default=(), max_length=1000, description="what the program keeps"
    )
    sites: tuple[AllocationSite, ...] = Field(
        default=(), max_length=100_000, description="where it allocates: stack or heap (`gcsim escape`)"
    )
    requests: tuple[RequestClass, ...] = Field(default=(), max_length=1000, description="what it does")
    phases: tuple[Phase, ...] = Field(default=(), max_length=10_000, description="change over time")
    repeat_phases: Bool = Field(
        default=True, description="start over after the last phase; otherwise the last one stays in force"
    )
    thresholds: dict[StrictStr, StrictStr] = Field(
        default_factory=dict, description="metric -> condition such as '<10ms'"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        problems = list(check.spec_rules(self.model_dump(mode="python"), go_releases=GO_RELEASES))
        if problems:
            text = "; ".join(f"{check.path_text(p.path)}: {p.message}; {p.remedy}" for p in problems)
            raise PydanticCustomError("inconsistent", "{text}", {"text": text})
        return self


Json = dict[str, Any]
