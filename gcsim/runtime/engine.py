"""Wiring a world together and running it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from gcsim.policy.maps import MapType, insert_keys
from gcsim.policy.releases import release_rules
from gcsim.runtime import invariants
from gcsim.runtime.audit import Audit
from gcsim.runtime.clock import Alarm
from gcsim.runtime.costs import WORD_BYTES, CostModel, Footprint, Mixes, SpanClass
from gcsim.runtime.cycle import Collector
from gcsim.runtime.generations import Generations
from gcsim.runtime.heap import Heap, PoolState, RetainedState
from gcsim.runtime.load import Load
from gcsim.runtime.machine import Cores
from gcsim.runtime.mark import MarkPhase
from gcsim.runtime.memory import Memory
from gcsim.runtime.probe import Probe
from gcsim.runtime.randomness import stream
from gcsim.runtime.records import Recorder
from gcsim.runtime.scheduler import Scheduler
from gcsim.runtime.stacks import Stacks
from gcsim.runtime.sweep import Sweep
from gcsim.runtime.world import World
from gcsim.spec.models import PoolGetStep, RetainedSet, Spec
from gcsim.spec.profile import MachineProfile

_PROGRESS_NS = 50_000_000
_MAP_DRAWN_BITS = 20  # hashes of up to a million keys are drawn to work out a map


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run is: simulated time (ns since process start), its expected end, cycles so far."""

    sim_time_ns: int
    end_ns: int
    cycles: int


@dataclass(frozen=True, slots=True)
class RunStatistics:
    """What a finished run says of itself."""

    sim_time_ns: int
    load_start_ns: int
    cycles: int
    events: int
    gomaxprocs: int
    allocated_bytes: int
    freed_bytes: int
    reachable_bytes: int
    memory_peak_bytes: int
    pool_gets: int
    pool_misses: int
    stacks_grown: int
    stacks_shrunk: int


def gomaxprocs_of(spec: Spec) -> int:
    """GOMAXPROCS as set, or by the release's own rule."""
    if spec.runtime.gomaxprocs is not None:
        return spec.runtime.gomaxprocs
    machine = spec.machine
    quota = None if machine.cfs_quota is None else machine.cfs_quota / machine.cfs_period
    return release_rules(spec.runtime.go).default_gomaxprocs(cpus=machine.cores, quota_cpus=quota)


def build(spec: Spec, *, seed: int | None, profile: MachineProfile, recorder: Recorder) -> World:
    """A world at process start, its load process scheduled but nothing run yet."""
    rules = release_rules(spec.runtime.go)
    world = World(spec, profile, rules, spec.run.seed if seed is None else seed, gomaxprocs_of(spec))
    world.cores = Cores(world)
    world.stacks = Stacks(world)
    world.sched = Scheduler(world)
    world.mark = MarkPhase(world)
    world.memory = Memory(world)
    world.sweep = Sweep(world)
    world.watch = invariants.Watch()
    world.audit = Audit(recorder, world.procs)
    world.probe = Probe(world, world.audit)
    _fill(world.heap, world)
    world.collector = Collector(world)
    if spec.runtime.collector == "generational":
        world.generations = Generations(world)
    load = world.probe.load = Load(world)
    world.env.process(load.run())
    return world


def simulate(
    spec: Spec,
    *,
    seed: int | None = None,
    profile: MachineProfile,
    recorder: Recorder,
    progress: Callable[[Progress], None] | None = None,
    check: bool = True,
) -> RunStatistics:
    """Run one simulation from process start to the end of its load phase.

    Args:
        seed: instead of the spec's.
        recorder: receives the rows.
        progress: called every 50 ms of simulated time.
        check: verify the invariants at the end.
    Raises:
        InvariantError: the simulation contradicts itself (our bug).
    """
    world = build(spec, seed=seed, profile=profile, recorder=recorder)
    env = world.env
    load = world.probe.load
    if progress is not None:
        _report(world, progress)
    env.run(until=load.end)
    world.probe.finish()
    if check:
        invariants.check(world)
    pools = world.heap.pools.values()
    return RunStatistics(
        sim_time_ns=env.now,
        load_start_ns=load.load_start_ns,
        cycles=world.collector.cycle,
        events=env.events_scheduled,
        gomaxprocs=world.procs,
        allocated_bytes=world.heap.allocated_bytes,
        freed_bytes=world.heap.freed_bytes,
        reachable_bytes=world.heap.reachable_bytes,
        memory_peak_bytes=world.memory.peak_bytes,
        pool_gets=sum(p.gets for p in pools),
        pool_misses=sum(p.misses for p in pools),
        stacks_grown=world.stacks.grown,
        stacks_shrunk=world.stacks.shrunk,
    )


def _report(world: World, progress: Callable[[Progress], None]) -> None:
    def tell() -> None:
        load = world.probe.load
        start = load.load_start_ns or world.env.now + world.spec.run.settle
        progress(Progress(world.env.now, start + world.spec.run.duration, world.collector.cycle))
        alarm.set(world.env.now + _PROGRESS_NS)

    alarm = Alarm(world.env, tell)
    tell()


def _fill(heap: Heap, world: World) -> None:
    """Retained sets and pools as the program declares them, still empty."""
    costs = world.costs
    for declared in world.spec.retained:
        heap.retained[declared.name] = RetainedState(
            declared.name,
            _entry_of(declared, costs),
            declared.table_slot_bytes,
            _width(declared),
            _span_classes(declared, costs),
            _map_of(declared, world) if declared.map is not None else None,
            is_remade=declared.map is not None and declared.map.remade,
            declared=declared.entries,
        )
    for group in world.spec.globals.objects:
        unit = costs.group(group)
        heap.fixed.append(unit)
        world.heap.allocate_now(unit, heap.sites.get("globals"))
    for request in world.spec.requests:
        for step in request.steps:
            if isinstance(step, PoolGetStep) and step.pool not in heap.pools:
                heap.pools[step.pool] = PoolState(
                    costs.object(step.size, 0), heap.sites.get("pool", step.pool)
                )
    world.pacer.globals_scan_bytes = world.spec.globals.scan_bytes
    world.pacer.commit(True)


def _entry_of(declared: RetainedSet, costs: CostModel) -> Callable[[bool, Mixes], Footprint]:
    return lambda halved, mixes: costs.entry(declared.objects, halved=halved, mixes=mixes)


def _map_of(declared: RetainedSet, world: World) -> Callable[[int], Footprint]:
    """The objects of a set's map by its number of entries.

    Large maps are worked out from a smaller one in the same state of growth: a power of two fewer entries.
    """
    assert declared.map is not None
    table = declared.map
    map_type = MapType(
        key_bytes=table.key_size,
        value_bytes=table.value_size,
        key_pointers=table.key_pointers,
        value_pointers=table.value_pointers,
    )

    def objects(entries: int) -> Footprint:
        halvings = max(0, entries.bit_length() - _MAP_DRAWN_BITS)
        drawn = entries >> halvings
        rng = stream(world.seed, f"map.{declared.name}.{entries}")
        hashes = rng.integers(2**64, size=drawn, dtype=np.uint64)
        total = Footprint()
        for item, count in insert_keys(map_type, hashes, hint=drawn, rules=world.rules).kept.items():
            words = item.request_bytes // WORD_BYTES if item.has_pointers else 0
            total = total + world.costs.object(item.request_bytes, words, "map").times(count)
        return total.times(1 << halvings)

    return objects


def _span_classes(declared: RetainedSet, costs: CostModel) -> dict[SpanClass, int]:
    """Small objects of an entry by the spans they share."""
    found: dict[SpanClass, int] = {}
    for group in declared.objects:
        span_class = costs.span_class(group.size, group.pointer_words)
        if span_class is not None:
            found[span_class] = found.get(span_class, 0) + group.count
    return found


def _width(declared: RetainedSet) -> int:
    """How many Ps can mark an entry at once: a list has one frontier, anything else fans out."""
    return sum(
        1 if group.shape == "list" else group.count for group in declared.objects if group.pointer_words
    )
