"""Laws of collection that hold over steady workloads, whatever they allocate and retain.

Each example is a closed loop that allocates garbage beside a retained set, simulated at several settings of GOGC.
Derived from what a cycle is: it starts when the heap has grown by GOGC percent of what is live, and marks what is
live; so cycles per second go with 1 / GOGC, the heap's overhead with GOGC, and the cost of a cycle with neither.
"""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from gcsim.datasets.summary import SummaryAccumulator
from gcsim.runtime import simulate
from gcsim.spec.load import spec_from_dict
from gcsim.spec.models import Spec
from gcsim.spec.profile import load_profile

MS = 1_000_000
GOGC = (100, 200, 400)


class Outcome(NamedTuple):
    """What a run says of the load phase: numbers, CPU ns, bytes."""

    cycles: int
    gc_cpu_ns: float
    overhead_bytes: float
    live_bytes: float

    @property
    def overhead_frac(self) -> float:
        """What the heap may grow by, relative to what is live."""
        return self.overhead_bytes / self.live_bytes


def steady(*, procs: int, workers: int, cpu_ns: int, size: int, entries: int, gogc: int) -> Spec:
    """One closed loop, with a live heap well above Go's minimum heap, which would hide the settings."""
    return spec_from_dict(
        {
            "name": "steady",
            "runtime": {"gomaxprocs": procs, "gogc": gogc},
            "machine": {"cores": procs},
            "run": {"duration": 2500 * MS, "warm_up": 500 * MS},
            "retained": [
                {
                    "name": "cache",
                    "entries": entries,
                    "objects": [{"count": 16, "size": 64, "pointer_words": 2}],
                }
            ],
            "requests": [
                {
                    "workers": workers,
                    "steps": [
                        {"kind": "cpu", "ns": cpu_ns},
                        {"kind": "allocate", "count": 4, "size": size},
                    ],
                }
            ],
        }
    )


def outcome(spec: Spec) -> Outcome:
    summary = SummaryAccumulator()
    simulate(spec, profile=load_profile(spec.machine.profile, spec.runtime.go), recorder=summary)
    found: dict[str, Any] = dict(summary.metrics())
    live = found["heap_marked_bytes_mean"]
    return Outcome(found["num_gc"], found["gc_cpu_ns"], found["heap_goal_bytes_mean"] - live, live)


@settings(
    max_examples=5,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
    phases=[Phase.generate],
)
@given(
    procs=st.sampled_from([1, 2, 4]),
    cpu_ns=st.integers(20_000, 60_000),
    size=st.sampled_from([2048, 4096, 8192]),
    entries=st.integers(8_000, 20_000),
)
def test_doubling_gogc_halves_collections_and_doubles_the_overhead(
    procs: int, cpu_ns: int, size: int, entries: int
) -> None:
    """Roughly: a quarter, and more between rates, for the work that assists take from the mutator, and a cycle of few counts as one more or less."""
    outcomes = [
        outcome(steady(procs=procs, workers=procs, cpu_ns=cpu_ns, size=size, entries=entries, gogc=gogc))
        for gogc in GOGC
    ]
    for low, high in itertools.pairwise(outcomes):
        assert low.cycles >= high.cycles
        assert low.gc_cpu_ns >= high.gc_cpu_ns * 0.95
        if high.cycles >= 10:
            # What is allocated while marking counts as live for a cycle: per byte of live heap the overhead doubles.
            assert high.overhead_frac / 2 == pytest.approx(low.overhead_frac, rel=0.25)
            growth = high.overhead_bytes / low.overhead_bytes
            assert low.cycles / high.cycles == pytest.approx(growth, rel=0.35)


def limited(spec: Spec, limit_bytes: int | None) -> Spec:
    runtime = spec.runtime.model_copy(update={"gomemlimit": limit_bytes})
    return spec.model_copy(update={"runtime": runtime})


@settings(
    max_examples=4,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
    phases=[Phase.generate],
)
@given(
    procs=st.sampled_from([1, 2]),
    cpu_ns=st.integers(20_000, 60_000),
    size=st.sampled_from([2048, 4096]),
    entries=st.integers(20_000, 40_000),
)
def test_a_tighter_memory_limit_collects_no_less_and_grows_no_more(
    procs: int, cpu_ns: int, size: int, entries: int
) -> None:
    """Limits from well above what GOGC wants down to a tenth of it; where none of two binds, a tenth is chance."""
    spec = steady(procs=procs, workers=procs, cpu_ns=cpu_ns, size=size, entries=entries, gogc=200)
    free = outcome(spec)
    wanted = free.live_bytes + free.overhead_bytes
    outcomes = [free]
    for share in (2.0, 0.5, 0.1):
        # besides heap and stacks the limit covers what the runtime needs for itself: a few MiB
        limit = int(free.live_bytes + share * free.overhead_bytes) + (16 << 20)
        outcomes.append(outcome(limited(spec, limit)))
    for looser, tighter in itertools.pairwise(outcomes):
        assert tighter.cycles >= 0.9 * looser.cycles - 1
        loose_goal, tight_goal = (o.live_bytes + o.overhead_bytes for o in (looser, tighter))
        assert tight_goal <= loose_goal * 1.1
    assert outcomes[-1].live_bytes + outcomes[-1].overhead_bytes < 0.8 * wanted
    assert outcomes[-1].cycles > 1.5 * free.cycles
