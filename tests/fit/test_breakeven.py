"""Value against pointer: where the break-even is, and that it moves the way it should."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from gcsim.cli.main import cli
from gcsim.fit.breakeven import Program, break_even, costs_of
from gcsim.spec.profile import load_profile
from tests.runtime.tiny import bare_profile

MACHINE = load_profile("epyc-genoa-kvm", "1.27")


def test_costs_by_hand() -> None:
    """Copies spare the first 64 bytes. 1000 bytes are a slot of 1024: 50 ns + 2 ns a byte; marking 8 ns per 64 live bytes, once per 64 bytes allocated."""
    costs = {
        "alloc_small_scan_ns": 50.0,
        "alloc_small_scan_ns_per_byte": 2.0,
        "mark_scan_object_ns": 8.0,
        "sweep_page_ns": 800.0,
    }
    program = Program(copy_ns_per_byte=0.5)
    found = costs_of(1000, 3, program, bare_profile(costs))
    assert (found.copy_ns, found.alloc_ns, found.sweep_ns, found.mark_ns) == (1404.0, 2050.0, 100.0, 128.0)
    assert found.heap_ns == 2278.0
    halved = costs_of(1000, 3, Program(gogc_percent=200), bare_profile(costs))
    assert halved.mark_ns == 64.0
    off = costs_of(1000, 3, Program(gogc_percent=None), bare_profile(costs))
    assert (off.mark_ns, off.sweep_ns) == (0.0, 0.0)


def test_at_the_break_even_the_pointer_is_cheaper_and_a_word_below_it_is_not() -> None:
    program = Program()
    found = break_even(60, program, MACHINE)
    assert found is not None
    assert found.heap_ns < found.copy_ns
    below = costs_of(found.size_bytes - 8, 60, program, MACHINE)
    assert below.heap_ns >= below.copy_ns


def test_one_call_never_pays_for_an_allocation() -> None:
    assert break_even(1, Program(), MACHINE) is None


def test_more_calls_and_fewer_collections_bring_it_down() -> None:
    def size(calls: int, gogc: int) -> int:
        found = break_even(calls, Program(gogc_percent=gogc), MACHINE)
        return 1 << 30 if found is None else found.size_bytes

    by_calls = [size(calls, 100) for calls in (10, 40, 60, 100, 300)]
    assert by_calls == sorted(by_calls, reverse=True)
    assert by_calls[0] > by_calls[-1]
    by_gogc = [size(60, gogc) for gogc in (50, 100, 200, 400)]
    assert by_gogc == sorted(by_gogc, reverse=True)
    assert by_gogc[0] > by_gogc[-1]


def test_the_command() -> None:
    done = CliRunner().invoke(cli, ["breakeven", "--calls", "1", "--calls", "100"])
    assert done.exit_code == 0, done.stderr
    assert done.stdout.splitlines()[1].split()[:2] == ["1", "never"]
    rows = json.loads(
        CliRunner().invoke(cli, ["breakeven", "--output", "json", "--gogc", "0", "--calls", "100"]).stdout
    )
    assert rows[0]["break_even"]["mark_ns"] == 0.0
    wrong = CliRunner().invoke(cli, ["breakeven", "--profile", "nowhere.yaml"])
    assert wrong.exit_code == 2
    assert "nowhere.yaml" in wrong.stderr


@pytest.mark.parametrize("release", ["1.22", "1.27"])
def test_other_releases(release: str) -> None:
    assert break_even(200, Program(go=release), load_profile("epyc-genoa-kvm", release)) is not None
