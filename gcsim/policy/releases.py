"""What differs between Go releases, as data: one frozen `ReleaseRules` per release profile.

Every other module takes the rule it needs as an argument; none of them compares version numbers. Rules that hold for
all of 1.19 .. 1.27 are plain code.

Source: read in the sources of go1.19.8, 1.21.13, 1.22.10, 1.24.11, 1.25.5, 1.26.6 and 1.27.3. **1.20 is not verified**:
its pacer is from its release notes, everything else is assumed to be as in 1.19, and a wrong guess would show in runs
under a memory limit only. 1.23 is assumed to equal 1.22.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

from gcsim.policy.constants import KIB, MALLOC_HEADER_BYTES, MAX_SMALL_BYTES


class PacerEra(Enum):
    """How the pacer turns cons/mark measurements into its estimate."""

    PI = "pi"
    MEAN = "mean"
    WINDOW = "window"


class SpanLayout(Enum):
    """What a span holds besides its objects."""

    BARE = "bare"
    HEAP_BITS = "heap_bits"  # a pointer bitmap where objects up to 512 bytes have pointers
    INLINE_MARK_BITS = (
        "inline_mark_bits"  # that, and Green Tea's mark bits where objects have 16 .. 512 bytes
    )


class PauseCharge(Enum):
    """The CPUs that Go's own CPU statistics charge for the time the world is stopped."""

    MIN_PROCS_CPUS = "min_procs_cpus"  # min(GOMAXPROCS, CPUs) for the whole pause
    STOPPING_ONE_THEN_PROCS = "stopping_one_then_procs"  # one while stopping, then GOMAXPROCS


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseRules:
    """The decisions of one Go release that others decide differently.

    Attributes:
        release: name of the profile, such as "1.27" or "1.25-greenteagc".
        pacer_era: how cons/mark is estimated.
        memory_limit_headroom_percent: share of the memory-limit goal kept free, at least 1 MiB; 0 leaves the 1 MiB.
        scavenge_limit_slip: the scavenger's limit target is limit * 95 instead of limit * 0.95 (golang/go#62449).
        large_object_min_bytes: requests above this are large objects.
        malloc_headers: objects with pointers above 512 bytes carry an 8-byte header.
        span_layout: what a span holds besides its objects.
        green_tea: small objects are scanned span by span.
        dense_scan_allowed: whole spans in one pass, where the CPU has the instructions (AVX-512 sub-features).
        span_queue_stealing: a full span queue spills to a list of its P that others steal from, not to a global one.
        idle_wakeup_for_mark: whoever makes work wakes idle Ps for it.
        mark_workers_at_restart: idle Ps get their mark worker when the world restarts in the mark phase.
        checks_worker_needed_first: a P looks for a worker only where one is needed.
        cgroup_gomaxprocs: default GOMAXPROCS follows the CFS quota.
        pause_charge: CPUs charged for a pause in Go's CPU statistics.
        sweep_batch_spans: spans the background sweeper takes before it looks whether to yield.
        sweep_yields_only_to_work: the background sweeper goes on while there is nothing else to do.
        scavenger_skips_dense_chunks: 4 MiB chunks used to 31/32 are left alone.
        idle_ps_return_page_cache: each cycle takes the cached pages from idle Ps.
        strconv_settings: settings are read by strconv.ParseInt, which knows "+50" and refuses a lone "-".
        swiss_maps: maps are Swiss tables.
        max_stack_variable_bytes: the largest explicit variable that may be on the stack.
        variable_make_stack_bytes: a slice made with a variable size is in the frame up to this; 0: always in the heap.
        append_stack_bytes: the first array of a slice that append fills is in the frame up to this; 0: never.
        append_moves_to_heap: so it is even where the slice leaves the function in the end, and moves to the heap then.
    """

    release: str
    pacer_era: PacerEra
    memory_limit_headroom_percent: int
    scavenge_limit_slip: bool
    large_object_min_bytes: int
    malloc_headers: bool
    span_layout: SpanLayout
    green_tea: bool
    dense_scan_allowed: bool
    span_queue_stealing: bool
    idle_wakeup_for_mark: bool
    mark_workers_at_restart: bool
    checks_worker_needed_first: bool
    cgroup_gomaxprocs: bool
    pause_charge: PauseCharge
    sweep_batch_spans: int
    sweep_yields_only_to_work: bool
    scavenger_skips_dense_chunks: bool
    idle_ps_return_page_cache: bool
    strconv_settings: bool
    swiss_maps: bool
    max_stack_variable_bytes: int
    variable_make_stack_bytes: int
    append_stack_bytes: int
    append_moves_to_heap: bool

    def default_gomaxprocs(self, *, cpus: int, quota_cpus: float | None) -> int:
        """GOMAXPROCS where the program does not set it.

        Args:
            cpus: CPUs in the affinity mask, >= 1.
            quota_cpus: CFS quota / period, or None where there is no quota.

        Source: runtime/cgroup_linux.go adjustCgroupGOMAXPROCS (go1.25 .. go1.27). Simplified: no re-reading.
        """
        if quota_cpus is None or not self.cgroup_gomaxprocs:
            return cpus
        return min(cpus, max(2, math.ceil(quota_cpus)))


_GO_1_19: Final = ReleaseRules(
    release="1.19",
    pacer_era=PacerEra.PI,
    memory_limit_headroom_percent=0,
    scavenge_limit_slip=True,
    large_object_min_bytes=MAX_SMALL_BYTES,
    malloc_headers=False,
    span_layout=SpanLayout.BARE,
    green_tea=False,
    dense_scan_allowed=False,
    span_queue_stealing=False,
    idle_wakeup_for_mark=False,
    mark_workers_at_restart=False,
    checks_worker_needed_first=False,
    cgroup_gomaxprocs=False,
    pause_charge=PauseCharge.MIN_PROCS_CPUS,
    sweep_batch_spans=1,
    sweep_yields_only_to_work=False,
    scavenger_skips_dense_chunks=False,
    idle_ps_return_page_cache=False,
    strconv_settings=False,
    swiss_maps=False,
    # cmd/compile/internal/ir/cfg.go MaxStackVarSize: 10 MiB to 1.23, 128 KiB from 1.24.
    max_stack_variable_bytes=10 * 1024 * KIB,
    variable_make_stack_bytes=0,
    append_stack_bytes=0,
    append_moves_to_heap=False,
)
_GO_1_20: Final = replace(_GO_1_19, release="1.20", pacer_era=PacerEra.MEAN)
_GO_1_21: Final = replace(
    _GO_1_19,
    release="1.21",
    pacer_era=PacerEra.WINDOW,
    memory_limit_headroom_percent=3,
    sweep_batch_spans=10,
    sweep_yields_only_to_work=True,
    scavenger_skips_dense_chunks=True,
    idle_ps_return_page_cache=True,
)
_GO_1_22: Final = replace(
    _GO_1_21,
    release="1.22",
    scavenge_limit_slip=False,
    # The header must still fit, and the check does not ask whether the object needs one.
    large_object_min_bytes=MAX_SMALL_BYTES - MALLOC_HEADER_BYTES,
    malloc_headers=True,
    span_layout=SpanLayout.HEAP_BITS,
)
_GO_1_23: Final = replace(_GO_1_22, release="1.23")
_GO_1_24: Final = replace(
    _GO_1_23,
    release="1.24",
    checks_worker_needed_first=True,
    pause_charge=PauseCharge.STOPPING_ONE_THEN_PROCS,
    swiss_maps=True,
    max_stack_variable_bytes=128 * KIB,
)
_GO_1_25: Final = replace(
    _GO_1_24,
    release="1.25",
    cgroup_gomaxprocs=True,
    # cmd/compile/internal/base/flag.go VariableMakeThreshold, for make and append alike.
    variable_make_stack_bytes=32,
    append_stack_bytes=32,
)
_GO_1_25_GREEN_TEA: Final = replace(
    _GO_1_25,
    release="1.25-greenteagc",
    green_tea=True,
    idle_wakeup_for_mark=True,
    span_layout=SpanLayout.INLINE_MARK_BITS,
)
_GO_1_26: Final = replace(
    _GO_1_25_GREEN_TEA,
    release="1.26",
    dense_scan_allowed=True,
    span_queue_stealing=True,
    mark_workers_at_restart=True,
    strconv_settings=True,
    append_moves_to_heap=True,  # cmd/compile/internal/slice
)
_GO_1_27: Final = replace(_GO_1_26, release="1.27")


def _without_green_tea(rules: ReleaseRules) -> ReleaseRules:
    """The same release built with GOEXPERIMENT=nogreenteagc."""
    return replace(
        rules,
        release=f"{rules.release}-nogreenteagc",
        span_layout=SpanLayout.HEAP_BITS,
        green_tea=False,
        dense_scan_allowed=False,
        span_queue_stealing=False,
        idle_wakeup_for_mark=False,
    )


RELEASES: Final[dict[str, ReleaseRules]] = {
    rules.release: rules
    for rules in (
        _GO_1_19,
        _GO_1_20,
        _GO_1_21,
        _GO_1_22,
        _GO_1_23,
        _GO_1_24,
        _GO_1_25,
        _GO_1_25_GREEN_TEA,
        _GO_1_26,
        _without_green_tea(_GO_1_26),
        _GO_1_27,
        _without_green_tea(_GO_1_27),
    )
}


def release_rules(release: str) -> ReleaseRules:
    """The rules of a release profile.

    Raises:
        ValueError: no such profile; the message lists the known ones.
    """
    try:
        return RELEASES[release]
    except KeyError:
        raise ValueError(f"unknown Go release {release!r}; known: {', '.join(RELEASES)}") from None
