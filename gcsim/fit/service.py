"""A fitted service: few parameters, and the spec and machine profile that express them.

What a log does not tell is filled in so that it matters little: objects are of one size, garbage dies with its request,
the retained set is a tree that nobody replaces.  What the log does tell is in the parameters: allocation per CPU time or
per second, the live heap, what its marking costs, how much slower the program runs beside it, how long pauses are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from gcsim.policy.constants import PAGE_BYTES
from gcsim.policy.releases import release_rules
from gcsim.runtime.costs import CostModel, Footprint
from gcsim.spec.load import spec_from_dict
from gcsim.spec.models import Spec
from gcsim.spec.profile import CONSTANTS, Constant, MachineProfile, load_profile

BASE_PROFILE = "epyc-genoa-kvm"
LIVE = "live"
BLOCK_BYTES = 1024  # the smallest retained object; a heap that is cheap to mark has larger ones
MAX_BLOCK_BYTES = 32_768
ENTRY_OBJECTS = 16
# assumed: without --rps a request is a piece of work of so much CPU; it decides latencies, hardly anything else
REQUEST_CPU_NS = 200_000
# assumed: without an allocs profile; decides sweeping and how much of an allocation is the allocator's
OBJECT_BYTES = 512
SMALL_OBJECT_BYTES = 64  # of requests that allocate little
# assumed: what allocates so fast that objects of OBJECT_BYTES would take more of the CPU to allocate and sweep has
# larger ones; fleets spend a tenth to a fifth on it
MAX_ALLOC_SHARE = 0.25
LARGE_OBJECT_BYTES = (2048, 8192, 32768)
STACK_BYTES = 4096
# assumed: part of the live heap that is scanned, without gcpacertrace.  Scan work cancels out of trigger and assists.
SCANNABLE_FRAC = 0.5

# Constants that scale together with what the log shows.
_MARK = tuple(
    name for name in CONSTANTS if name.startswith("mark_") and "mutator" not in name and "frac" not in name
)
_SLOWDOWN = (
    "mark_mutator_slowdown_frac", "alloc_black_ns", "write_barrier_new_ns",
)  # fmt: skip
_STOP = ("stw_stop_ns", "stw_stop_mark_term_ns", "stw_mark_term_ns")
_SWEEP_TERM = ("stw_sweep_term_ns",)
_ALLOC = (
    "alloc_small_noscan_ns", "alloc_small_noscan_ns_per_byte", "alloc_small_scan_ns", "alloc_small_scan_ns_per_byte",
    "alloc_large_ns", "alloc_large_ns_per_byte",
)  # fmt: skip
_NOT_SCALED = ("mark_fixed_ns", "mark_sigma", "mark_sparse_factor")


@dataclass(frozen=True, kw_only=True)
class Service:
    """Parameters of a fitted service.

    Attributes:
        load: closed = CPU-bound, as many workers as Ps; open = requests come at a rate whatever the collector does.
        request_bytes, request_cpu_ns: what a request allocates, and its CPU time outside marking, allocation included.
        rate_per_s: open loop: requests per second.
        live_bytes: retained set; scannable_frac: share of it with pointers; block_bytes: one object of it.
        mark_factor: marking costs so many times the base profile's; likewise stop_factor (stopping the world),
            sweep_term_factor (work in the first pause), slowdown_factor (the program beside marking).
    """

    name: str
    go: str
    gomaxprocs: int
    cores: int
    gogc: int | Literal["off"]
    gomemlimit_bytes: int | Literal["off"]
    load: Literal["closed", "open"]
    request_bytes: float
    request_cpu_ns: float
    rate_per_s: float = 0.0
    block_ns: float = 0.0
    live_bytes: float = 0.0
    scannable_frac: float = SCANNABLE_FRAC
    stacks_bytes: float = 0.0
    globals_bytes: float = 1 << 18
    object_bytes: int = OBJECT_BYTES
    block_bytes: int = BLOCK_BYTES
    mark_factor: float = 1.0
    slowdown_factor: float = 1.0
    stop_factor: float = 1.0
    sweep_term_factor: float = 1.0
    base_profile: str = BASE_PROFILE

    # ---- the program ---------------------------------------------------------------------------------------

    def _objects(self) -> tuple[int, int]:
        """Objects of a request with and without pointers."""
        n = max(1, round(self.request_bytes / self.object_bytes))
        scan = round(n * self.scannable_frac)
        return scan, n - scan

    def _footprint(self, costs: CostModel) -> Footprint:
        scan, noscan = self._objects()
        words = self.object_bytes // 8
        return costs.object(self.object_bytes, words, "slice").times(scan) + costs.object(
            self.object_bytes, 0, "slice"
        ).times(noscan)

    def _alloc_share(self, base: MachineProfile) -> float:
        """Share of a request's CPU that the base profile's allocation would take."""
        costs = CostModel(base, release_rules(self.go), self.gomaxprocs, self.cores)
        return self._footprint(costs).alloc_ns / max(1.0, self.request_cpu_ns)

    def _alloc_factor(self, base: MachineProfile) -> float:
        """Allocation can take no more than nearly all of a request's CPU: then it is cheaper than the base profile's."""
        return min(1.0, 0.9 / max(1e-9, self._alloc_share(base)))

    def with_likely_objects(self) -> Service:
        """Objects of the size that a program of this rate of allocation has most likely."""
        base = load_profile(self.base_profile, self.go)
        sizes = (SMALL_OBJECT_BYTES,) if self.request_bytes <= 4096 else (OBJECT_BYTES, *LARGE_OBJECT_BYTES)
        for size in sizes:
            found = replace(self, object_bytes=size)
            if found._alloc_share(base) + found._sweep_share(base) <= MAX_ALLOC_SHARE:
                break
        return found

    def with_likely_blocks(self, mark_cpu_ns: float) -> Service:
        """Retained objects as large as they have to be for marking to cost no more than it does on the base machine.

        Args:
            mark_cpu_ns: CPU of marking a cycle in the log.
        """
        base = load_profile(self.base_profile, self.go)
        roots = self.globals_bytes * base["mark_globals_ns_per_byte"] + self.stacks_bytes * base["mark_stack_ns_per_byte"]
        scanned = self.live_bytes * self.scannable_frac * base["mark_scan_ns_per_byte"]
        left = mark_cpu_ns - base["mark_fixed_ns"] - roots - scanned
        share = self.scannable_frac
        object_ns = share * base["mark_scan_object_ns"] + (1 - share) * base["mark_noscan_object_ns"]
        block = BLOCK_BYTES
        while block < MAX_BLOCK_BYTES and self.live_bytes / block * object_ns > left:
            block *= 2
        return replace(self, block_bytes=block)

    def _sweep_share(self, base: MachineProfile) -> float:
        """Share of a request's CPU that sweeping the spans of what it allocates would take."""
        spans = self.request_bytes / max(PAGE_BYTES, self.object_bytes)
        contended = 1 + (base["sweep_contention_frac"] if self.gomaxprocs > 1 else 0.0)
        return spans * base["sweep_page_ns"] * contended / max(1.0, self.request_cpu_ns)

    def slowdown_share(self) -> float:
        """How much longer a request takes beside marking per unit of slowdown_factor."""
        base = load_profile(self.base_profile, self.go)
        each_ns = base["alloc_black_ns"] + base["write_barrier_new_ns"]
        black = each_ns * sum(self._objects()) / max(1.0, self.request_cpu_ns)
        allocating = self._alloc_share(base) * self._alloc_factor(base)
        return base["mark_mutator_slowdown_frac"] * allocating + black

    def profile(self, origin: str) -> MachineProfile:
        """The base profile with its constants scaled.

        Args:
            origin: where the factors come from, for the constants' origins.
        """
        base = load_profile(self.base_profile, self.go)
        factors = (
            {n: self.mark_factor for n in _MARK if n not in _NOT_SCALED}
            | dict.fromkeys(_SLOWDOWN, self.slowdown_factor)
            | dict.fromkeys(_STOP, self.stop_factor)
            | dict.fromkeys(_SWEEP_TERM, self.sweep_term_factor)
            | dict.fromkeys(_ALLOC, self._alloc_factor(base))
        )
        constants = {
            name: Constant(
                value=float(f"{base[name] * factors[name]:.6g}"),
                origin=f"measured: gcsim fit, {origin}; {factors[name]:.3g} times {base.name} go{base.go}",
            )
            if factors.get(name, 1.0) != 1.0
            else constant
            for name, constant in base.constants.items()
        }
        return base.model_copy(
            update={"name": f"fit-{self.name}", "machine": f"fitted from {origin}", "constants": constants}
        )

    def _steps(self) -> list[dict[str, Any]]:
        base = load_profile(self.base_profile, self.go)
        costs = CostModel(base, release_rules(self.go), self.gomaxprocs, self.cores)
        alloc_ns = self._footprint(costs).alloc_ns * self._alloc_factor(base)
        cpu_ns = max(0.0, self.request_cpu_ns - alloc_ns - base["request_overhead_ns"])
        scan, noscan = self._objects()
        steps: list[dict[str, Any]] = [{"kind": "cpu", "ns": round(cpu_ns / 2)}]
        for count, words in ((scan, self.object_bytes // 8), (noscan, 0)):
            if count:
                steps.append(
                    {
                        "kind": "allocate", "count": float(count), "size": self.object_bytes,
                        "pointer_words": words, "lifetime": "request",
                    }
                )  # fmt: skip
        if self.block_ns >= 1:
            steps.append({"kind": "block", "ns": round(self.block_ns)})
        steps.append({"kind": "cpu", "ns": round(cpu_ns) - round(cpu_ns / 2)})
        return steps

    def spec_data(self, *, duration_ns: int, seed: int = 1, profile: str | None = None) -> dict[str, Any]:
        """The spec as plain data, only fields that differ from their defaults.

        Args:
            duration_ns: length of the load phase.
            profile: name or path of the machine profile; None = the base profile's name.
        """
        entries = max(0, round(self.live_bytes / (ENTRY_OBJECTS * self.block_bytes)))
        scan, block = round(ENTRY_OBJECTS * self.scannable_frac), self.block_bytes
        groups = [
            {"count": scan, "size": block - 8, "pointer_words": block // 8 - 1, "shape": "tree"},
            {"count": ENTRY_OBJECTS - scan, "size": block, "pointer_words": 0, "shape": "tree"},
        ]
        request: dict[str, Any] = {"name": "request"}
        if self.load == "closed":
            request["workers"] = self.gomaxprocs
        else:
            request |= {"rate_per_s": self.rate_per_s, "arrivals": "poisson"}
        return {
            "version": 1,
            "name": self.name,
            "runtime": {
                "go": self.go, "gomaxprocs": self.gomaxprocs, "gogc": self.gogc, "gomemlimit": self.gomemlimit_bytes,
            },
            "machine": {"profile": profile or self.base_profile, "cores": self.cores},
            "run": {"duration": duration_ns, "settle": 0, "seed": seed},
            "record": {"assists": False},
            "globals": {"scan_bytes": round(self.globals_bytes)},
            "idle_goroutines": {
                "count": round(self.stacks_bytes / STACK_BYTES), "stack_used_bytes": STACK_BYTES,
            },
            "retained": [
                {"name": LIVE, "entries": entries, "objects": [g for g in groups if g["count"]], "table_slot_bytes": 8}
            ] if entries else [],
            "requests": [{**request, "steps": self._steps()}],
        }  # fmt: skip

    def spec(self, *, duration_ns: int, seed: int = 1, changes: Mapping[str, Any] | None = None) -> Spec:
        """The spec, with other runtime settings (`gogc`, `gomemlimit`, `gomaxprocs`) where `changes` has them."""
        data = self.spec_data(duration_ns=duration_ns, seed=seed)
        data["runtime"] |= dict(changes or {})
        return spec_from_dict(data)
