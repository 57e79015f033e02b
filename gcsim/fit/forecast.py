"""What a fitted service would do under other settings: simulations of it, over seeds and over what the log leaves open.

Each seed after the first also draws the parameters anew within their uncertainty, so that the interval over seeds has
both: chance of the run, and what the log does not pin down.
"""

from __future__ import annotations

import math
import multiprocessing
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Literal

import numpy as np

from gcsim.fit.infer import Fit
from gcsim.fit.logs import Gogc
from gcsim.fit.service import Service
from gcsim.fit.simulation import Simulated, run_service
from gcsim.fit.window import Figures, of_simulated
from gcsim.units import MIB, S

MAX_CYCLES = 250  # settled cycles simulated; the rest of a longer window is more of the same
MAX_NS = 60 * S
MIN_NS = 300_000_000


@dataclass(frozen=True, kw_only=True)
class Settings:
    """One combination asked about."""

    gogc: Gogc
    gomemlimit_bytes: int | Literal["off"]
    gomaxprocs: int

    @property
    def text(self) -> str:
        """As environment variables."""
        limit = self.gomemlimit_bytes
        shown = "off" if limit == "off" else f"{limit / MIB:g}MiB"
        return f"GOGC={self.gogc} GOMEMLIMIT={shown} GOMAXPROCS={self.gomaxprocs}"


def own_settings(service: Service) -> Settings:
    """What the log ran under."""
    return Settings(
        gogc=service.gogc, gomemlimit_bytes=service.gomemlimit_bytes, gomaxprocs=service.gomaxprocs
    )


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One simulation's figures.

    Attributes:
        figures: over the window.
        memory_peak_bytes: most memory held by the runtime (sys less released).
        gc_cpu_frac: CPU of the collector, idle workers included, over all P time.
        alloc_per_s: bytes allocated per second in the load phase: what the program gets done.
        latency_p50_ns, latency_p99_ns: of the fitted service's requests.
        limiter_share: cycles that ended with the GC CPU limiter on.
        live_bytes: reachable at mark start, mean.
    """

    figures: Figures
    memory_peak_bytes: float
    gc_cpu_frac: float
    alloc_per_s: float
    latency_p50_ns: float
    latency_p99_ns: float
    limiter_share: float
    live_bytes: float


@dataclass(frozen=True)
class Task:
    """One simulation to run."""

    service: Service
    settings: Settings
    window_ns: float
    start_up: bool
    seed: int


def tasks(fit: Fit, settings: Settings, *, window_ns: float, start_up: bool, seeds: int) -> list[Task]:
    """The simulations of one combination."""
    return [
        Task(fit.service if seed == 1 else _varied(fit, seed), settings, window_ns, start_up, seed)
        for seed in range(1, seeds + 1)
    ]


def _varied(fit: Fit, seed: int) -> Service:
    """The service with its parameters drawn within their standard errors."""
    rng = np.random.default_rng([20, seed])
    seen, service = fit.observed, fit.service
    z = rng.standard_normal(3)

    def factor(value: float, error: float, z: float) -> float:
        return math.exp(z * min(0.5, error / value)) if value > 0 else 1.0

    speed = factor(seen.alloc_per_ns.value, seen.alloc_per_ns.error, float(z[0]))
    return replace(
        service,
        request_cpu_ns=service.request_cpu_ns / speed if service.load == "closed" else service.request_cpu_ns,
        rate_per_s=service.rate_per_s * speed,
        live_bytes=max(0.0, service.live_bytes + float(z[1]) * seen.live_bytes.error),
        mark_factor=service.mark_factor * factor(seen.mark_cpu_ns.value, seen.mark_cpu_ns.error, float(z[2])),
    )


def run_task(task: Task) -> Outcome:
    """Simulate one task."""
    service = replace(
        task.service,
        gogc=task.settings.gogc,
        gomemlimit_bytes=task.settings.gomemlimit_bytes,
        gomaxprocs=task.settings.gomaxprocs,
    )
    if service.load == "closed" and task.settings.gomaxprocs != task.service.gomaxprocs:
        service = replace(service, cores=max(service.cores, task.settings.gomaxprocs))
    done = _simulated(service, task)
    if service.refill_bytes and len(done.load_cycles) >= 2:
        # How often cycles come decides what requests allocate, and hardly the other way round: twice is enough.
        per_cycle = float(done.summary["alloc_bytes"] or 0) / len(done.load_cycles)
        done = _simulated(service.with_cycle_alloc(per_cycle), task)
    summary = done.summary
    loaded = done.load_cycles
    return Outcome(
        figures=of_simulated(done, window_ns=task.window_ns, start_up=task.start_up),
        memory_peak_bytes=float(summary["memory_peak_bytes"] or 0),
        gc_cpu_frac=float(summary["gc_cpu_frac"] or 0.0),
        alloc_per_s=float(summary["alloc_bytes"] or 0) / float(summary["duration_s"] or 1.0),
        latency_p50_ns=float(summary["latency_ns_p50"] or 0),
        latency_p99_ns=float(summary["latency_ns_p99"] or 0),
        limiter_share=float(summary["num_limited_gc"] or 0) / max(1, len(loaded)),
        live_bytes=sum(c.live_bytes for c in loaded) / len(loaded) if loaded else service.live_bytes,
    )


def _simulated(service: Service, task: Task) -> Simulated:
    spec = service.spec(duration_ns=simulated_ns(service, task.window_ns), seed=task.seed)
    return run_service(spec, task.service.profile("fit"))


def simulated_ns(service: Service, window_ns: float) -> int:
    """How long to simulate: the window, unless `MAX_CYCLES` cycles are over sooner and nothing changes over time."""
    if service.changes:
        return int(max(MIN_NS, min(window_ns, MAX_NS)))
    percent = service.gogc if service.gogc != "off" else math.inf
    base = service.live_bytes + service.stacks_bytes + service.globals_bytes
    room = max(4 * MIB * percent / 100, base * percent / 100)
    if service.gomemlimit_bytes != "off":
        room = min(room, max(MIB, service.gomemlimit_bytes - service.live_bytes))
    per_ns = (
        service.rate_per_s * service.request_bytes / S
        if service.load == "open"
        else service.request_bytes * service.gomaxprocs / service.request_cpu_ns
    )
    enough = MAX_CYCLES * room / per_ns if room < math.inf else MAX_NS
    return int(max(MIN_NS, min(window_ns, enough, MAX_NS)))


def run_all(work: Sequence[Task], *, jobs: int | None = None) -> list[Outcome]:
    """All tasks, in their order, on as many processes as there are CPUs."""
    jobs = min(len(work), jobs or os.cpu_count() or 1)
    if jobs <= 1:
        return [run_task(task) for task in work]
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        return pool.map(run_task, work, chunksize=1)


@dataclass(frozen=True)
class Range:
    """A figure over seeds: the mean, and an interval that has 95 % of what the seeds scatter over (one seed: none)."""

    value: float
    low: float
    high: float


def spread(values: Iterable[float | None]) -> Range | None:
    """Mean and mean ± 1.96 standard deviations, not below 0; None where no seed has the figure."""
    known = [v for v in values if v is not None]
    if not known:
        return None
    mean = math.fsum(known) / len(known)
    if len(known) == 1:
        return Range(mean, mean, mean)
    half = 1.96 * math.sqrt(math.fsum((v - mean) ** 2 for v in known) / (len(known) - 1))
    return Range(mean, max(0.0, mean - half), mean + half)


def figure_names() -> tuple[str, ...]:
    """Names of the figures of a window, in order."""
    return tuple(f.name for f in fields(Figures))
