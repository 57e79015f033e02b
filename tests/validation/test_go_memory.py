"""Bytes and allocations per operation of real Go benchmarks against what a spec with the same sites allocates.

The benchmarks are in `go_memory/`; what real releases counted is in `go_memory.json`, and where there is a toolchain
they are run again (slow). Bucket maps (until 1.23) have overflow buckets by chance: within 10 %; all else exactly.
"""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any, Final

import pytest

from gcsim.policy.objects import allocated
from gcsim.policy.releases import release_rules
from gcsim.policy.slices import queue_growth
from gcsim.runtime.expand import expand_request
from gcsim.spec.load import spec_from_dict
from gcsim.spec.models import AllocateStep
from gcsim.spec.profile import load_profile
from tests.validation.toolchain import go_release, run_go

HERE = Path(__file__).parent
RECORDED: Final[dict[str, Any]] = json.loads((HERE / "go_memory.json").read_text())
MIB = 1 << 20

SITES: Final = [
    {"name": "local", "construct": "new", "size": 64, "pointer_words": 1},
    {"name": "escaping", "construct": "new", "size": 64, "pointer_words": 1, "flows": ["returned"]},
    {"name": "makes", "construct": "make", "constant_size": False},
    {"name": "converts", "construct": "conversion"},
    {"name": "sums", "construct": "append"},
    {"name": "returned", "construct": "append", "flows": ["returned"]},
    {"name": "counts", "construct": "make_map"},
    {"name": "large", "construct": "new", "size": 8 * MIB, "flows": ["returned"]},
]
APPEND: Final = {"kind": "append", "elements": 1000, "element_size": 8}
MAP: Final = {"kind": "map_insert", "keys": 100, "key_size": 8, "value_size": 8}
STEPS: Final[dict[str, dict[str, Any]]] = {
    "Local": {"kind": "allocate", "site": "local"},
    "Escaping": {"kind": "allocate", "site": "escaping"},
    "Make32": {"kind": "allocate", "site": "makes", "size": 32},
    "Make33": {"kind": "allocate", "site": "makes", "size": 33},
    "Convert32": {"kind": "allocate", "site": "converts", "size": 32},
    "Convert33": {"kind": "allocate", "site": "converts", "size": 33},
    "Append": APPEND,
    "AppendHint": APPEND | {"hint": 1000},
    "AppendPointers": APPEND | {"pointer_words": 1, "site": "returned"},
    "AppendFew": APPEND | {"pointer_words": 1, "site": "returned", "elements": 3},
    "AppendLocal": APPEND | {"site": "sums"},
    "Map": MAP,
    "MapHint": MAP | {"hint": 100},
    "MapBig": MAP | {"value_size": 64},
    "MapSet": MAP | {"value_size": 0},
    "MapNarrow": MAP | {"key_size": 1},
    "MapStrings": MAP | {"key_size": 16, "key_pointers": True, "value_size": 1, "hint": 100},
    "MapIndirect": MAP | {"value_size": 200},
    "MapLocal": MAP | {"keys": 8, "site": "counts"},
    "LargePointer": {"kind": "allocate", "site": "large"},
}
"""Benchmark -> the step that does the same."""
QUEUES: Final = {f"Queue{depth}": depth for depth in (1, 3, 100, 1000, 5000)}
"""Benchmark -> entries of 16 bytes that wait in a slice, of which 10,000 are taken off and as many appended."""


def simulated(step: dict[str, Any], release: str) -> tuple[float, float]:
    """Bytes and allocations of one request that does the step."""
    rules = release_rules(release)
    spec = spec_from_dict(
        {
            "name": "a",
            "runtime": {"go": release},
            "sites": SITES,
            "requests": [{"workers": 1, "steps": [step]}],
        }
    )
    profile = load_profile(spec.machine.profile, release)
    request = expand_request(spec.requests[0], spec.sites, profile=profile, rules=rules, seed=1)
    total_bytes = mallocs = 0.0
    for made in request.steps:
        if isinstance(made, AllocateStep):
            # Many, because tiny objects of one operation and the next share a block.
            all_of_them = allocated(
                made.size or 0, has_pointers=made.pointer_words > 0, rules=rules, objects=240
            )
            total_bytes += made.count * all_of_them.bytes / 240
            mallocs += made.count * all_of_them.mallocs / 240
    return total_bytes, mallocs


def queued(depth: int, release: str) -> tuple[float, float]:
    """Bytes and allocations of a queue that is made with so many entries and used 10,000 times."""
    rules = release_rules(release)
    slots, lasts = queue_growth(depth=depth, elem_bytes=16, has_pointers=True, rules=rules)
    made = allocated(depth * 16, has_pointers=True, rules=rules)
    grown = allocated(slots * 16, has_pointers=True, rules=rules, objects=1 + (10_000 - 1) // lasts)
    return made.bytes + grown.bytes, made.mallocs + grown.mallocs


def check(name: str, release: str, bytes_per_op: int, allocs_per_op: int) -> None:
    got = queued(QUEUES[name], release) if name in QUEUES else simulated(STEPS[name], release)
    # Printed as whole numbers, rounded down.
    if name in STEPS and STEPS[name]["kind"] == "map_insert" and not release_rules(release).swiss_maps:
        assert got[0] == pytest.approx(bytes_per_op, rel=0.10), (name, release)  # overflow buckets by chance
        assert got[1] == pytest.approx(allocs_per_op, rel=0.25), (name, release)
    else:
        assert got == (bytes_per_op, allocs_per_op), (name, release)


@pytest.mark.parametrize("name", [*STEPS, *QUEUES])
@pytest.mark.parametrize("release", RECORDED["releases"])
def test_recorded_benchmarks(release: str, name: str) -> None:
    measured = RECORDED["releases"][release][name]
    check(name, ".".join(release.split(".")[:2]), measured["bytes_per_op"], measured["allocs_per_op"])


def measure(directory: Path) -> dict[str, dict[str, int]]:
    """Run the benchmarks there; the least of three, since the runtime allocates a little of its own beside them."""
    shutil.copy(HERE / "go_memory" / "memory_test.go", directory)
    (directory / "go.mod").write_text("module memory\n\ngo 1.21\n")
    done = run_go("test", "-run=^$", "-bench=.", "-benchtime=1000x", "-count=3", directory=directory)
    assert done.returncode == 0, done.stdout + done.stderr
    line = r"^Benchmark(\w+?)(?:-\d+)?\s+\d+\s+[\d.]+ ns/op\s+(\d+) B/op\s+(\d+) allocs/op$"
    measured: dict[str, dict[str, int]] = {}
    for match in re.finditer(line, done.stdout, re.MULTILINE):
        numbers = {"bytes_per_op": int(match[2]), "allocs_per_op": int(match[3])}
        known = measured.setdefault(match[1], numbers)
        measured[match[1]] = {name: min(known[name], value) for name, value in numbers.items()}
    return measured


@pytest.mark.slow
def test_benchmarks_run_here(tmp_path: Path) -> None:
    release = go_release(tmp_path)
    measured = measure(tmp_path)
    assert set(measured) == {*STEPS, *QUEUES}
    for name, numbers in measured.items():
        check(name, release, numbers["bytes_per_op"], numbers["allocs_per_op"])
