"""Machine profiles: the measured costs of one machine under one Go release.

A profile is data.  Each constant has a value and an origin: ``derived`` (file, function, release), ``measured``
(program, machine) or ``assumed`` (and what would change if it is wrong).  Profiles ship as YAML files named
``<machine>-go<release>.yaml``; a spec names the machine, and the release it runs picks the file whose release is
nearest in mechanism (one that was measured before the same change of collector).
"""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from gcsim.errors import Problem, SpecError

# name -> what it is; the unit is at the end of the name
CONSTANTS: dict[str, str] = {
    "cpu_noise_frac": "standard deviation of a request's pure CPU time, relative",
    "spin_overhead_frac": "how much longer than its nominal time a loop calibrated as the best of 20 tries takes",
    "request_overhead_ns": "taking two time stamps and going round the loop, per request",
    "alloc_small_noscan_ns": "mallocgc of a small pointer-free object, before zeroing",
    "alloc_small_noscan_ns_per_byte": "zeroing, cache misses on memory used before and refill, per byte; sweeping apart",
    "alloc_small_scan_ns": "mallocgc of a small object with pointers, before zeroing",
    "alloc_small_scan_ns_per_byte": "zeroing, pointer bitmap and refill share, per byte",
    "alloc_black_ns": "extra per small object allocated while marking: its mark bit is set (allocate black)",
    "alloc_scattered_ns": "extra per object of a set's entry built in place of another: cold slots all over the heap",
    "alloc_large_ns": "large-object path: span allocation, per object",
    "alloc_large_ns_per_byte": "zeroing of a large object in memory used before, per byte; fresh memory is not zeroed",
    "alloc_sigma": "log-normal spread of the time that a request's allocations take; their costs are medians",
    "alloc_contended_sigma": "the same in addition (in quadrature) when several Ps allocate",
    "alloc_drift_sigma": "log-normal spread of how fast a request class allocates over some time: caches, other tenants",
    "alloc_drift_ns": "how long that lasts: it is forgotten to 1/e in so much of its CPU time",
    "memory_contention_frac": "how much dearer the per-byte part of allocation gets when several Ps allocate",
    "page_fault_ns_per_byte": "first touch of memory fresh from the operating system, per byte",
    "touch_ns_per_byte": "writing to a pooled buffer that is in the cache, per byte",
    "random_entry_ns": "picking a random slot of a retained set's table",
    "pointer_write_ns": "a pointer store into a random entry of a set that fits into own_cache_bytes, barrier off",
    "pointer_write_growth_ns": "what it costs more for each factor e by which the set's slots, headers and first nodes "
    "outgrow that: dependent misses of caches and page tables",
    "own_cache_bytes": "cache that a core has for itself",
    "write_barrier_ns": "what the write barrier adds to such a store while marking: buffer, and shading both pointers",
    "write_barrier_new_ns": "the same for the store that links a new object: what it points to is black already",
    "mark_scan_object_ns": "marking and scanning an object with pointers in allocation order, tree or map; where Green Tea visits spans, besides that",
    "mark_list_object_ns": "the same along a linked list in allocation order: dependent loads that prefetch hides",
    "mark_slice_object_ns": "the same where one array points at them in allocation order: a set's entry headers",
    "mark_noscan_object_ns": "marking a pointer-free object in allocation order",
    "mark_large_object_ns": "marking an object of a span of its own: a span structure and a page-table entry each",
    "mark_scattered_scan_object_ns": "extra per object with pointers when the heap has been replaced at random, up to a span of them; where Green Tea visits spans these are more instead",
    "mark_scattered_list_object_ns": "extra per list node when scattered: a dependent cache and TLB miss",
    "mark_scattered_group_ns": "extra for the first object of each group of a scattered entry: misses on object and span",
    "mark_shaded_group_ns": "extra for a group in allocation order that the write barrier shades at random: a cache miss",
    "mark_scan_ns_per_byte": "scanning pointer words beyond the first 128 bytes of an object",
    "mark_contention_frac": "how much dearer marking in allocation order gets when other Ps run beside it: memory bandwidth",
    "mark_sigma": "log-normal spread of what marking costs from cycle to cycle; its costs are medians",
    "mark_globals_ns_per_byte": "scanning data and bss, per byte",
    "mark_fixed_ns": "start and end of a mark phase: root preparation, ragged barrier, flushes",
    "mark_stack_ns": "scanning one goroutine's stack, without frames",
    "mark_stack_ns_per_byte": "per byte of live frames",
    "dense_scan": "1 where the processor can scan whole spans (AVX-512 with VBMI2, BITALG and GFNI), else 0",
    "mark_span_ns": "Green Tea visiting a span for a few of its objects: misses on its marks and on them",
    "mark_dense_span_ns": "Green Tea scanning a span as a whole, with what it finds in it",
    "mark_scattered_dense_span_ns": "the same for a span of replaced entries, whose neighbours are strangers",
    "stack_copy_ns": "one doubling of a goroutine's stack, without the bytes copied",
    "stack_copy_frame_ns": "the same per frame on it: found by its return address, pointers in it adjusted",
    "stack_copy_ns_per_byte": "the same per byte of the old stack",
    "call_ns": "calling a function that is not inlined, and returning from it",
    "copy_ns_per_byte": "copying a struct that is in the cache into a callee's frame, per byte",
    "map_move_ns": "hashing a key of a map that grows and putting it into the new table, without its bytes",
    "assist_overhead_ns": "entering and leaving a mark assist",
    "mark_mutator_slowdown_frac": "how much slower the allocating part of mutators runs while a cycle marks: cold caches",
    "sweep_page_ns": "sweeping a one-page span, a mean of dead, mixed and live ones",
    "sweep_full_span_ns": "sweeping a one-page span in which every object lives",
    "sweep_contention_frac": "how much dearer sweeping is when several Ps allocate: central lists and heap lock shared",
    "context_switch_ns": "schedule and execute another goroutine on the same P",
    "goroutine_start_ns": "newproc: starting a goroutine",
    "block_ns": "parking on a timer or the netpoller and being readied again",
    "wakeup_ns": "waking an idle M by futex until it looks for work",
    "wakeup_slow_frac": "share of wake-ups onto the last free core that the operating system gets wrong; none of those when marking begins",
    "wakeup_slow_ns": "median time until it puts them right",
    "wakeup_slow_sigma": "log-normal spread of that time",
    "core_gather_frac": "share of mark phases of a process that uses less than one core whose threads begin on one core",
    "core_balance_frac": "share of the kernel's ticks that move one of two running threads to an idle core",
    "core_regather_ns": "mean time until the two are on one core again",
    "core_slice_ns": "who has woken a thread onto its own core is off it for at most so long",
    "netpoll_granularity_ns": "epoll_wait sleeps in steps of so much",
    "netpoll_late_ns": "how much later than asked epoll_wait returns",
    "spin_ns": "an M looks for work so long before it gives up its P",
    "stw_stop_at_once_frac": "share of stops of code that calls functions all the time that take no sleep of the stopper",
    "stw_at_once_ns": "what such a stop takes; a loop without calls that is longer is never stopped so",
    "stw_stop_ns": "median time until a running P has stopped for sweep termination where the stopper sleeps meanwhile",
    "stw_stop_mark_term_ns": "the same for mark termination, whose ragged barrier has just interrupted every P",
    "stw_stop_sigma": "log-normal spread of that time",
    "stw_sweep_term_ns": "work in the sweep-termination pause once stopped",
    "stw_mark_term_ns": "work in the mark-termination pause once stopped",
    "stw_per_p_ns": "either pause, extra per P beyond the first",
    "stw_work_sigma": "log-normal spread of the work in a pause",
    "stw_restart_ns": "start the world",
    "gc_start_ns": "from the trigger to the stop request: worker start, locks",
    "syscall_ns": "entering and leaving a system call",
    "scavenge_ns_per_byte": "returning memory to the operating system",
    "runtime_sys_bytes": "memory the runtime maps besides heap and stacks in a small program",
    "runtime_sys_frac": "the same per mapped heap byte: span structures, bitmaps, GC work buffers",
}

_DIR = files("gcsim.spec") / "profiles"


class Constant(BaseModel):
    """One measured figure and where it comes from."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    value: float = Field(ge=0)
    origin: str = Field(pattern=r"^(derived|measured|assumed): ")


class Stall(BaseModel):
    """One kind of the operating system's noise: stalls of a running P, at random."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    rate_per_s: float = Field(gt=0, description="per second of running P time")
    mean_ns: float = Field(gt=0)
    sigma: float = Field(ge=0, description="log-normal spread; 0 = constant")
    all_cores_busy: bool = Field(default=False, description="only where there are as many Ps as cores")
    spread: bool = Field(
        default=False, description="another's work, of which a machine with more cores has no more"
    )
    origin: str = Field(pattern=r"^(derived|measured|assumed): ")


class MachineProfile(BaseModel):
    """The costs of one machine under one Go release."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str
    go: str = Field(description="the release it was measured with")
    machine: str = Field(description="what the machine is")
    constants: dict[str, Constant]
    stalls: tuple[Stall, ...] = ()

    @field_validator("constants")
    @classmethod
    def _is_complete(cls, constants: dict[str, Constant]) -> dict[str, Constant]:
        missing = [name for name in CONSTANTS if name not in constants]
        unknown = [name for name in constants if name not in CONSTANTS]
        if missing or unknown:
            raise ValueError(
                f"missing: {', '.join(missing) or 'none'}; unknown: {', '.join(unknown) or 'none'}; "
                "a profile made by another gcsim has to be calibrated again"
            )
        return constants

    def __getitem__(self, name: str) -> float:
        """Value of one constant (unit at the end of its name)."""
        return self.constants[name].value

    @property
    def content(self) -> str:
        """Canonical text of the whole profile, for digests."""
        return self.model_dump_json()


# Which measured release stands for which: the last one measured before the same collector changes.
_NEAREST = {
    "1.19": "1.22", "1.20": "1.22", "1.21": "1.22", "1.22": "1.22", "1.23": "1.22", "1.24": "1.25", "1.25": "1.25",
    "1.25-greenteagc": "1.27", "1.26": "1.27", "1.27": "1.27",
}  # fmt: skip


def measured_release(go_release: str) -> str:
    """The release whose profile stands for this one."""
    return _NEAREST[go_release]


def shipped_profiles() -> list[str]:
    """Names of the machines that profiles ship for."""
    names = (Path(str(f)).name for f in _DIR.iterdir())
    return sorted({name.split("-go1.")[0] for name in names if name.endswith(".yaml")})


def _problem(value: str, message: str, remedy: str) -> Problem:
    return Problem(path="$.machine.profile", value=repr(value), message=message, remedy=remedy)


@lru_cache(maxsize=32)
def load_profile(name_or_path: str, go_release: str = "1.27") -> MachineProfile:
    """The profile of a shipped machine for a Go release, or the profile in a YAML file.

    Raises:
        SpecError: no such profile, or the file is not a valid one.
    """
    if name_or_path.endswith((".yaml", ".yml")):
        path = Path(name_or_path)
        if not path.is_file():
            raise SpecError(
                (
                    Problem(
                        "$.machine.profile",
                        None,
                        repr(name_or_path),
                        "no such file",
                        "give the path of a profile",
                    ),
                )
            )
        text = path.read_text()
    elif name_or_path in shipped_profiles():
        text = (_DIR / f"{name_or_path}-go{measured_release(go_release)}.yaml").read_text()
    else:
        known = ", ".join(shipped_profiles())
        raise SpecError(
            (
                Problem(
                    "$.machine.profile",
                    None,
                    repr(name_or_path),
                    "unknown machine profile",
                    f"one of {known}, or a .yaml path",
                ),
            )
        )
    return parse_profile(text, shown=name_or_path)


def parse_profile(text: str, *, shown: str = "") -> MachineProfile:
    """A machine profile from YAML text, wherever that came from.

    Args:
        shown: what error messages call it.
    Raises:
        SpecError: it is not a valid one.
    """
    from gcsim.spec.yaml_text import read_yaml  # here: it imports `check`, which imports this module

    try:
        # Read like a spec: no tags, and aliases that expand to too much are refused.
        document = read_yaml(text, at=("machine", "profile"))
        if document.problems:
            raise SpecError(document.problems)
        return MachineProfile.model_validate(document.data)
    except ValidationError as error:
        raise SpecError(
            (
                Problem(
                    "$.machine.profile",
                    None,
                    repr(shown) if shown else "",
                    f"not a machine profile: {error}",
                    "see a shipped one",
                ),
            )
        ) from error
