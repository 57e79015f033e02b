"""Stacks grow by copying, start at the average of those scanned, and shrink in cycles."""

from __future__ import annotations

from typing import Any

import pytest

from gcsim.runtime import RunStatistics, simulate
from gcsim.runtime.stacks import stack_size
from gcsim.spec.load import spec_from_dict
from gcsim.spec.profile import load_profile


class _Ignore:
    def __getattr__(self, _name: str) -> Any:
        return lambda _rec: None


def run(request: dict[str, Any], **parts: Any) -> RunStatistics:
    spec = spec_from_dict(
        {
            "version": 1,
            "name": "stacks",
            "runtime": {"gomaxprocs": 2},
            "run": {"duration": "100ms"},
            "requests": [request],
            **parts,
        }
    )
    return simulate(spec, profile=load_profile(spec.machine.profile, spec.runtime.go), recorder=_Ignore())


def opened(used: int) -> dict[str, Any]:
    return {"rate_per_s": 1000, "arrivals": "constant", "stack_used_bytes": used}


@pytest.mark.parametrize(("used", "size"), [(0, 2048), (1120, 2048), (1121, 4096), (20_000, 32_768)])
def test_a_stack_is_doubled_until_frames_fit_above_the_guard(used: int, size: int) -> None:
    assert stack_size(used) == size


def test_each_goroutine_copies_its_stack_up_while_no_cycle_has_averaged_them() -> None:
    """Four doublings from 2 to 32 KiB for each of the requests; without allocation nothing collects."""
    deep = run({**opened(20_000), "steps": [{"cpu": "1us"}]})
    assert deep.cycles == 0
    assert deep.stacks_grown % 4 == 0
    assert deep.stacks_grown == pytest.approx(4 * 100, abs=8)


def test_new_goroutines_start_at_the_average_of_the_last_cycle() -> None:
    """Requests with 20 KB of frames copy their stacks until a cycle has seen that 32 KiB is what they need."""
    steps = [{"cpu": "1us"}, {"allocate": {"count": 1500, "size": "1KiB"}}]
    averaged = run({**opened(20_000), "steps": steps})
    assert averaged.cycles > 2
    assert 0 < averaged.stacks_grown < 4 * 100 / 2


def test_a_cycle_halves_stacks_that_are_less_than_a_quarter_used() -> None:
    """Requests with 100 B of frames on stacks of 32 KiB, blocked while cycles go by."""
    steps = [{"cpu": "1us"}, {"allocate": {"count": 1500, "size": "1KiB"}}, {"block": "40ms"}]
    shallow = run(
        {**opened(100), "steps": steps}, idle_goroutines={"count": 1000, "stack_used_bytes": 20_000}
    )
    assert shallow.stacks_shrunk > 0
