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
# assumed: one retained object; smaller where marking costs more than so few would, larger where it costs less
BLOCK_BYTES = 1024
MIN_BLOCK_BYTES = 64
MAX_BLOCK_BYTES = 32_768
MAX_REFILL_SHARE = 0.8  # of what is allocated; more would be a program that only refills
MIN_RUNTIME_BYTES = 1 << 20
MIN_LEAK_BYTES = 16  # of a request; less is within what a live heap scatters by
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
WORD_BYTES = 8
MALLOC_HEADER_ABOVE_BYTES = 512  # derived: runtime/mbitmap.go minSizeForMallocHeader
# assumed: neither logs nor profiles say what has pointers; small objects are mostly structs, large ones mostly buffers.
# It decides little: garbage is hardly ever scanned.
POINTERS_UP_TO_BYTES = 256
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
_NOT_SCALED = ("mark_fixed_ns", "mark_sigma")


@dataclass(frozen=True, kw_only=True)
class Objects:
    """Objects of one size that a request allocates, from an allocs profile or a histogram of sizes.

    Attributes:
        size: bytes of one.
        per_byte: how many per byte that the request allocates.
        site: name of the place that allocates them, and `where` it is; empty where it is not known.
    """

    size: int
    per_byte: float
    site: str = ""
    where: str = ""

    @property
    def pointer_words(self) -> int:
        """Words with pointers: all of a small object, none of a large one."""
        return self.size // WORD_BYTES if self.size <= POINTERS_UP_TO_BYTES else 0


@dataclass(frozen=True, kw_only=True)
class ServicePhase:
    """A stretch of time in which the service does something else than before.

    Attributes:
        duration_ns: how long.
        scale: allocation per second over the mean of all phases.
        live_delta_bytes: live heap over `Service.live_bytes`, or under it.
    """

    duration_ns: int
    scale: float = 1.0
    live_delta_bytes: float = 0.0


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
        object_bytes: size of allocated objects, where `objects` does not say more.
        goroutines: how many share `stacks_bytes`; None = not known.
        leak_frac: share of what is allocated that is never let go.
        refill_bytes: allocated anew after each collection, as by pools that it empties; `request_bytes` has its share
            of it where a cycle comes every `cycle_alloc_bytes`.
        runtime_sys_bytes: memory of the runtime besides the heap; None = the base profile's.
        phases: what changes over time; they repeat.
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
    objects: tuple[Objects, ...] = ()
    block_bytes: int = BLOCK_BYTES
    mark_factor: float = 1.0
    slowdown_factor: float = 1.0
    stop_factor: float = 1.0
    sweep_term_factor: float = 1.0
    goroutines: int | None = None
    leak_frac: float = 0.0
    refill_bytes: float = 0.0
    cycle_alloc_bytes: float = 0.0
    runtime_sys_bytes: float | None = None
    phases: tuple[ServicePhase, ...] = ()
    base_profile: str = BASE_PROFILE

    # ---- the program ---------------------------------------------------------------------------------------

    def _objects(self) -> list[tuple[float, int, int, str]]:
        """What a request allocates and lets go: count, size, words with pointers, site."""
        garbage = self.request_bytes * (1 - self.leak_frac)
        if self.objects:
            return [(garbage * o.per_byte, o.size, o.pointer_words, o.site) for o in self.objects]
        n = max(1, round(garbage / self.object_bytes))
        scan = round(n * self.scannable_frac)
        words = self.object_bytes // WORD_BYTES
        return [(float(c), self.object_bytes, w, "") for c, w in ((scan, words), (n - scan, 0)) if c]

    def _footprint(self, costs: CostModel) -> Footprint:
        parts = [costs.object(size, words, "slice").times(count) for count, size, words, _ in self._objects()]
        return sum(parts[1:], parts[0])

    def _alloc_ns(self) -> float:
        """CPU of allocating in a request."""
        base = load_profile(self.base_profile, self.go)
        costs = CostModel(base, release_rules(self.go), self.gomaxprocs, self.cores)
        return self._footprint(costs).alloc_ns * self._alloc_factor(base)

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
        """Retained objects of a size at which marking costs about what it does on the base machine.

        Args:
            mark_cpu_ns: CPU of marking a cycle in the log.
        """
        base = load_profile(self.base_profile, self.go)
        roots = (
            self.globals_bytes * base["mark_globals_ns_per_byte"]
            + self.stacks_bytes * base["mark_stack_ns_per_byte"]
        )
        scanned = self.live_bytes * self.scannable_frac * base["mark_scan_ns_per_byte"]
        left = mark_cpu_ns - base["mark_fixed_ns"] - roots - scanned
        share = self.scannable_frac
        object_ns = share * base["mark_scan_object_ns"] + (1 - share) * base["mark_noscan_object_ns"]
        block = BLOCK_BYTES
        while block < MAX_BLOCK_BYTES and self.live_bytes / block * object_ns > left:
            block *= 2
        while block > MIN_BLOCK_BYTES and self.live_bytes / (block // 2) * object_ns < left:
            block //= 2
        return replace(self, block_bytes=block)

    def with_cycle_alloc(self, cycle_alloc_bytes: float) -> Service:
        """The service where a cycle comes every so many bytes: its requests bear more or less of the refilling.

        A request's own bytes r0 and its share of refilling, R per cycle of C bytes: r = r0 + r R / C.
        """
        if not self.refill_bytes or cycle_alloc_bytes <= 0:
            return self
        refill, before = self.refill_bytes, self.cycle_alloc_bytes
        own = self.request_bytes * (1 - min(MAX_REFILL_SHARE, refill / before))
        request_bytes = own / (1 - min(MAX_REFILL_SHARE, refill / cycle_alloc_bytes))
        found = replace(self, request_bytes=request_bytes, cycle_alloc_bytes=cycle_alloc_bytes)
        return replace(found, request_cpu_ns=self.request_cpu_ns + found._alloc_ns() - self._alloc_ns())

    def with_memory_besides(self, besides_bytes: float, mapped_bytes: float) -> Service:
        """The runtime's memory as /memory/classes says it.

        Args:
            besides_bytes: all but heap objects, free and released memory, and stacks.
            mapped_bytes: heap memory, of which the base profile takes a share for its bookkeeping.
        """
        base = load_profile(self.base_profile, self.go)
        own = besides_bytes - base["runtime_sys_frac"] * mapped_bytes
        return replace(self, runtime_sys_bytes=max(MIN_RUNTIME_BYTES, own))

    def _sweep_share(self, base: MachineProfile) -> float:
        """Share of a request's CPU that sweeping the spans of what it allocates would take."""
        spans = self.request_bytes / max(PAGE_BYTES, self.object_bytes)
        contended = 1 + (base["sweep_contention_frac"] if self.gomaxprocs > 1 else 0.0)
        return spans * base["sweep_page_ns"] * contended / max(1.0, self.request_cpu_ns)

    def slowdown_share(self) -> float:
        """How much longer a request takes beside marking per unit of slowdown_factor."""
        base = load_profile(self.base_profile, self.go)
        each_ns = base["alloc_black_ns"] + base["write_barrier_new_ns"]
        black = each_ns * sum(count for count, *_ in self._objects()) / max(1.0, self.request_cpu_ns)
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
        if self.runtime_sys_bytes is not None:
            constants["runtime_sys_bytes"] = Constant(
                value=round(self.runtime_sys_bytes),
                origin=f"measured: gcsim fit, {origin}; memory besides the heap",
            )
        return base.model_copy(
            update={"name": f"fit-{self.name}", "machine": f"fitted from {origin}", "constants": constants}
        )

    def _steps(self) -> list[dict[str, Any]]:
        base = load_profile(self.base_profile, self.go)
        cpu_ns = max(0.0, self.request_cpu_ns - self._alloc_ns() - base["request_overhead_ns"])
        steps: list[dict[str, Any]] = [{"kind": "cpu", "ns": round(cpu_ns / 2)}]
        for count, size, words, site in self._objects():
            what = {"site": site} if site else {"size": size, "pointer_words": words}
            steps.append({"kind": "allocate", "count": float(f"{count:.6g}"), **what, "lifetime": "request"})
        leak = round(self.leak_frac * self.request_bytes)
        if leak >= MIN_LEAK_BYTES:
            steps.append({"kind": "leak", "size": leak, "slot_bytes": 0})
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
        scan = round(ENTRY_OBJECTS * self.scannable_frac)
        own = min(self.block_bytes, BLOCK_BYTES)
        header = WORD_BYTES if own > MALLOC_HEADER_ABOVE_BYTES else 0
        rest = (
            ENTRY_OBJECTS - scan
        ) * own  # bytes without pointers, in fewer and larger objects where marking is cheap
        size = min(self.block_bytes, rest)
        groups = [
            {
                "count": scan,
                "size": own - header,
                "pointer_words": (own - header) // WORD_BYTES,
                "shape": "tree",
            },
            {"count": round(rest / size) if rest else 0, "size": size, "pointer_words": 0, "shape": "tree"},
        ]
        phases = self._phases()
        entries = phases[0]["entries"][LIVE] if phases else self._entries(0.0)
        has_set = entries > 0 or any(p["entries"][LIVE] for p in phases)
        request: dict[str, Any] = {"name": "request"}
        if self.load == "closed":
            request["workers"] = self.gomaxprocs
        else:
            request |= {"rate_per_s": self.rate_per_s, "arrivals": "poisson"}
        data = {
            "version": 1,
            "name": self.name,
            "runtime": {
                "go": self.go, "gomaxprocs": self.gomaxprocs, "gogc": self.gogc, "gomemlimit": self.gomemlimit_bytes,
            },
            "machine": {"profile": profile or self.base_profile, "cores": self.cores},
            "run": {"duration": duration_ns, "settle": 0, "seed": seed},
            "record": {"assists": False},
            "globals": {"scan_bytes": round(self.globals_bytes)},
            "idle_goroutines": self._goroutines(),
            "retained": [
                {"name": LIVE, "entries": entries, "objects": [g for g in groups if g["count"]], "table_slot_bytes": 8}
            ] if has_set else [],
            "sites": [
                {
                    "name": o.site, "construct": "new", "size": o.size, "pointer_words": o.pointer_words,
                    "escapes": True, "where": o.where,
                }
                for o in self.objects if o.site
            ],
            "requests": [{**request, "steps": self._steps()}],
            "phases": phases if has_set else [{k: v for k, v in p.items() if k != "entries"} for p in phases],
        }  # fmt: skip
        return {key: value for key, value in data.items() if value != []}

    def _entries(self, delta_bytes: float) -> int:
        return max(
            0, round((self.live_bytes + delta_bytes) / (ENTRY_OBJECTS * min(self.block_bytes, BLOCK_BYTES)))
        )

    def _phases(self) -> list[dict[str, Any]]:
        out = []
        for phase in self.phases:
            one: dict[str, Any] = {"duration": phase.duration_ns}
            if self.load == "open":
                one["rate_per_s"] = float(f"{self.rate_per_s * phase.scale:.6g}")
            else:
                one["garbage_scale"] = float(f"{phase.scale:.4g}")
            out.append(one | {"entries": {LIVE: self._entries(phase.live_delta_bytes)}})
        return out

    def _goroutines(self) -> dict[str, int]:
        if self.goroutines:
            return {
                "count": self.goroutines,
                "stack_used_bytes": max(64, round(self.stacks_bytes / self.goroutines)),
            }
        return {"count": round(self.stacks_bytes / STACK_BYTES), "stack_used_bytes": STACK_BYTES}

    @property
    def changes(self) -> bool:
        """Whether it is not the same from beginning to end."""
        return bool(self.phases) or self.leak_frac > 0

    @property
    def timeline_ns(self) -> int:
        """Length of all phases; 0 where there are none."""
        return sum(phase.duration_ns for phase in self.phases)

    def spec(self, *, duration_ns: int, seed: int = 1, changes: Mapping[str, Any] | None = None) -> Spec:
        """The spec, with other runtime settings (`gogc`, `gomemlimit`, `gomaxprocs`) where `changes` has them."""
        data = self.spec_data(duration_ns=duration_ns, seed=seed)
        data["runtime"] |= dict(changes or {})
        return spec_from_dict(data)
