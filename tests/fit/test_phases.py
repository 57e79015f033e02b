"""Change points and leaks: found where they are, not found where there are none."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gcsim.fit.infer import fit
from gcsim.fit.logs import read_log
from gcsim.fit.moments import Cycle, of_log
from gcsim.fit.phases import Course, course
from gcsim.fit.specfile import rows, write
from gcsim.fit.whatif import compare
from gcsim.fit.window import window_ns
from gcsim.spec.load import load_spec
from gcsim.units import MIB, S

DATA = Path(__file__).parent / "data" / "logs"
STEPS = DATA / "live-step__go1.27.3_p2_gogc100.json.gz"


def cycles(
    live: "list[float]",
    rate: "list[float]",
    *,
    gogc: float = 100.0,
    seed: int = 1,
    noise: float = 0.03,
    leak: float = 0.0,
) -> list[Cycle]:
    """Cycles of a service with a level of live MiB and of MiB/s in each second; sizes cut to whole MiB as in logs.

    Args:
        leak: share of what is allocated that stays.
    """
    rng = np.random.default_rng([22, seed])
    out: list[Cycle] = []
    now, kept, marked = 0.0, 0.0, live[0] * MIB
    while now < len(live) * S:
        size, goal, time = 0.0, marked * (1 + gogc / 100), 0.0
        while marked + size < goal and now + time < len(live) * S:
            step = 0.01 * S
            size += (
                rate[min(len(rate) - 1, int((now + time) / S))]
                * MIB
                * 0.01
                * (1 + noise * rng.standard_normal())
            )
            time += step
        now += time
        if now >= len(live) * S:
            break
        kept += leak * size
        held = live[min(len(live) - 1, int(now / S))] * MIB * (1 + 0.3 * noise * rng.standard_normal()) + kept
        start, end = marked + size, marked + size + MIB
        out.append(
            Cycle(
                start_ns=now, sweep_term_ns=1e5, mark_ns=5e6, mark_term_ns=1e5, assist_cpu_ns=0, background_cpu_ns=3e6,
                idle_cpu_ns=0, stw_cpu_ns=4e5, heap_start_bytes=start // MIB * MIB, heap_end_bytes=end // MIB * MIB,
                heap_marked_bytes=(held + MIB) // MIB * MIB, heap_goal_bytes=goal // MIB * MIB, gomaxprocs=2,
                forced=False, follows=bool(out),
            )
        )  # fmt: skip
        now += 5.2e6
        marked = held + MIB
    return out


def course_of(found: list[Cycle], seconds: int) -> Course:
    return course(found, begin_ns=0.0, end_ns=float(seconds * S))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("noise", [0.01, 0.1])
def test_a_steady_service_has_no_phases(seed: int, noise: float) -> None:
    found = cycles([40.0] * 12, [300.0] * 12, seed=seed, noise=noise)
    assert not course_of(found, 12).changes


@pytest.mark.parametrize("seed", range(3))
def test_steps_of_the_live_heap_are_found_where_they_are(seed: int) -> None:
    found = cycles([20.0] * 4 + [80.0] * 4 + [30.0] * 4, [300.0] * 12, seed=seed)
    pieces = course_of(found, 12).pieces
    assert len(pieces) == 3
    assert [p.live_bytes.value / MIB for p in pieces] == pytest.approx([20, 80, 30], rel=0.1)
    assert [p.end_ns / S for p in pieces] == pytest.approx([4, 8, 12], abs=0.5)
    assert all(p.live_bytes.low <= p.live_bytes.value <= p.live_bytes.high for p in pieces)


@pytest.mark.parametrize("seed", range(3))
def test_bursts_of_allocation_are_found_though_quiet_times_have_few_cycles(seed: int) -> None:
    found = cycles([40.0] * 12, [240.0, 240.0, 30.0, 30.0] * 3, seed=seed)
    pieces = course_of(found, 12).pieces
    rates = [p.alloc_per_ns.value * S / MIB for p in pieces]
    assert rates[:-1] == pytest.approx([240, 30, 240, 30, 240], rel=0.25)
    assert rates[-1] < 80  # no interval between cycles ends in it
    assert [p.end_ns / S for p in pieces] == pytest.approx([2, 4, 6, 8, 10, 12], abs=0.3)


@pytest.mark.parametrize("leak", [0.02, 0.1])
def test_a_leak_is_a_slope_over_what_is_allocated(leak: float) -> None:
    found = course_of(cycles([20.0] * 10, [300.0] * 10, leak=leak), 10)
    assert not found.pieces
    assert found.leak_frac.value == pytest.approx(leak, rel=0.1)
    assert found.leak_frac.low < leak * 1.05
    assert found.leak_start_bytes == pytest.approx(20 * MIB, rel=0.2)


def test_one_odd_cycle_is_no_phase() -> None:
    found = cycles([40.0] * 12, [300.0] * 12)
    middle = len(found) // 2
    found[middle] = replace(found[middle], heap_marked_bytes=3 * found[middle].heap_marked_bytes)
    assert not course_of(found, 12).changes


def test_few_cycles_have_no_course() -> None:
    assert not course_of(cycles([20.0, 80.0], [100.0] * 2), 2).changes


def test_a_constant_series_is_cut_nowhere() -> None:
    assert not course_of(cycles([40.0] * 12, [300.0] * 12, noise=0.0), 12).changes


@pytest.mark.parametrize(
    "name",
    [
        "cache-service__go1.27.3_p2_gogc100",
        "json__gogc100",
        "json__gogc200",
        "open-loop__go1.27.3_p2_gogc100",
    ],
)
def test_real_programs_that_do_one_thing_have_no_phases(name: str) -> None:
    log = read_log(DATA / f"{name}.json.gz")
    for process in log.processes:
        found = [of_log(c) for c in process.cycles]
        first = process.load_from
        begin = found[first - 1].end_ns if first else 0.0
        assert not course(found, begin_ns=begin, end_ns=begin + window_ns(process), first=first).changes


def test_a_real_heap_that_steps_has_its_steps() -> None:
    """Every 3 s the cache goes from 5,000 entries to 40,000 or back; truth by the program: 26 and 96 MiB live."""
    log = read_log(STEPS)
    (process,) = log.processes
    found = [of_log(c) for c in process.cycles]
    begin = found[process.load_from - 1].end_ns
    pieces = course(found, begin_ns=begin, end_ns=begin + window_ns(process), first=process.load_from).pieces
    assert [p.duration_ns / S for p in pieces] == pytest.approx([3, 3, 3, 3], abs=0.5)
    assert [p.live_bytes.value / MIB for p in pieces] == pytest.approx([26, 96, 26, 96], rel=0.12)


@pytest.mark.slow
def test_a_real_heap_that_steps_is_a_spec_that_steps(tmp_path: Path) -> None:
    fitted = fit(read_log(STEPS))
    spec = load_spec(write(fitted, tmp_path / "s.yaml")[0])
    assert len(spec.phases) == 4
    assert [r.value for r in rows(fitted) if r.name.startswith("phase 2: live")] == ["95.5 MiB"]
    (found,) = compare(fitted, [fitted.log], seeds=1, jobs=1)
    assert found.errors["heap_goal_bytes"] == pytest.approx(0, abs=0.1)
    assert found.errors["cycles_per_s"] == pytest.approx(0, abs=0.15)


def test_a_real_leak_goes_on_in_the_spec() -> None:
    """Truth by the program: 256 B of 4,160 B a request stay, 6.2 %; before, the mean live heap was off by 80 %."""
    fitted = fit(read_log(DATA / "leak__go1.27.3_p2_gogc100.json.gz"))
    assert fitted.service.leak_frac == pytest.approx(256 / 4160, rel=0.03)
    assert any("a leak: 6." in note for note in fitted.notes)
    (found,) = compare(fitted, [fitted.log], seeds=1, jobs=1)
    for name in ("cycles_per_s", "heap_end_bytes", "heap_goal_bytes"):
        error = found.errors[name]
        assert error is not None
        assert math.fabs(error) < 0.08, name
