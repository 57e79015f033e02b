"""How much a spec would simulate, by estimate, and what is too much."""

from __future__ import annotations

from gcsim.service.status import WorkLimitError
from gcsim.spec.models import CpuStep, Distribution, LockStep, RequestClass, Spec, SyscallStep

MAX_ESTIMATED_REQUESTS = 2e9
"""assumed: some days of one worker, by the engine's speed of 10,000s of requests per second."""
MAX_ESTIMATED_SWEEP_REQUESTS = 10 * MAX_ESTIMATED_REQUESTS
"""assumed: weeks of one worker."""
MAX_SWEEP_RUNS = 10_000
"""assumed: a few seconds to lay out, and an hour of one worker at a third of a second each."""
MAX_PLAN_BYTES = 64 << 20
"""Text of a sweep's points: the spec and the setting of each.  assumed: a minute to lay out."""
_LEAST_NS = 1000.0
"""A simulated request takes at least so long, lest an empty one be infinitely frequent.  assumed."""


def estimated_requests(spec: Spec) -> float:
    """Requests that a spec simulates at the most, over all replications.

    An open loop's is its rate (its highest, where phases change it) times duration.  A closed loop's is by the CPU that
    a request needs, with every core busy: collections, waits and contention make it fewer, so this errs on the high side.
    """
    seconds = (spec.run.duration + spec.run.settle) / 1e9
    total = sum(_per_second(request, spec) for request in spec.requests) * seconds
    return total * spec.run.replications


class SweepWork:
    """Sums up what the points of a sweep simulate, each of `replications` runs."""

    def __init__(self, replications: int, *, limit: float, sweep_limit: float) -> None:
        self._replications, self._limit, self._sweep_limit = replications, limit, sweep_limit
        self.requests = 0.0

    def add(self, spec: Spec) -> None:
        """A point.  Raises WorkLimitError if a run of it is above the limit of runs."""
        run = spec.model_copy(update={"run": spec.run.model_copy(update={"replications": 1})})
        check_work(run, self._limit)
        self.requests += estimated_requests(run) * self._replications

    def check(self) -> None:
        """Raise WorkLimitError if all points together are above the limit."""
        if self.requests > self._sweep_limit:
            raise WorkLimitError(
                f"the sweep simulates some {self.requests:.3g} requests, and this server takes on {self._sweep_limit:.3g}; "
                "shorten run.duration, or take fewer points or replications"
            )


def check_work(spec: Spec, limit: float) -> None:
    """Raise WorkLimitError if a spec is estimated above the limit."""
    requests = estimated_requests(spec)
    if requests > limit:
        raise WorkLimitError(
            f"the spec simulates some {requests:.3g} requests, and this server takes on {limit:.3g}; "
            "shorten run.duration, or lower rates or replications"
        )


def _per_second(request: RequestClass, spec: Spec) -> float:
    if request.workers is None:
        if request.arrivals == "recorded":
            return len(request.arrival_times_ns) * 1e9 / spec.run.duration
        rates = [request.rate_per_s or 0.0]
        for phase in spec.phases:
            rate = phase.rate_per_s
            rates.append(rate.get(request.name, 0.0) if isinstance(rate, dict) else rate or 0.0)
        return max(rates)
    cpu_ns = sum(_cpu_ns(step) for step in request.steps)
    return min(request.workers, spec.machine.cores) * 1e9 / max(cpu_ns, _LEAST_NS)


def _cpu_ns(step: object) -> float:
    if isinstance(step, LockStep):
        return float(step.hold_ns)
    if isinstance(step, CpuStep | SyscallStep):
        return float(step.ns) if step.ns is not None else _mean(step.distribution)
    return 0.0


def _mean(distribution: Distribution | None) -> float:
    if distribution is None:
        return 0.0
    if distribution.mean is not None:
        return distribution.mean
    if distribution.values:
        return sum(distribution.values) / len(distribution.values)
    return ((distribution.low or 0.0) + (distribution.high or 0.0)) / 2
