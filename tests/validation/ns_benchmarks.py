"""The benchmarks of `go_ns/` as workloads: what `gcsim run` and `gcsim benchfmt` say, beside what real Go measured.

An operation is a thousand calls, so a request is too. The machine profile is the shipped one with the constants that the
benchmarks named Cal determine on the machine that was measured, and without its noise: a benchmark's figure is the least
of several runs, which is one that nothing disturbed. The others are then said in advance.

Run `python -m tests.validation.ns_benchmarks` for the table of results/ns-per-op.md; with `--measure DIRECTORY` the
benchmarks are run first (a quiet machine wanted) and go_ns.json is written anew.
"""

from __future__ import annotations

import json
import math
import re
import shutil
import subprocess
import sys
import tempfile
from datetime import date
from pathlib import Path
from typing import Any, Final

import yaml
from click.testing import CliRunner

from gcsim.cli.main import cli
from gcsim.spec.profile import MachineProfile, load_profile
from tests.validation.toolchain import go_command

HERE = Path(__file__).parent
RECORD = HERE / "go_ns.json"
KIB = 1 << 10
CALLS = 1000
RUNS = 3
FEW = 20  # of those that take a microsecond each, a request makes fewer, so that there are many requests

SITES: Final = [
    {"name": "local", "construct": "new"},
    {"name": "heap", "construct": "new", "flows": ["global"]},
]


QUEUES: Final = {"queue-250": 250, "queue-5000": 5000}
"""Retained sets that are queues, and how many entries wait in each."""


def _heap(size: int, pointer_words: int = 0) -> list[dict[str, Any]]:
    made = {"site": "heap", "size": size, "pointer_words": pointer_words, "lifetime": "temporary"}
    return [{"allocate": made | {"count": CALLS if size < 4 * KIB else FEW}}]


def _local(size: int) -> list[dict[str, Any]]:
    return [{"call": {"count": CALLS}}, {"allocate": {"site": "local", "size": size, "count": CALLS}}]


def _call(size: int = 0, by: str = "value") -> list[dict[str, Any]]:
    return [{"call": {"count": CALLS, "size": size, "by": by}}]


def _nested(frame: int) -> list[dict[str, Any]]:
    """101 calls nested in each other, each with variables of so many bytes."""
    return [{"call": {"count": 101, "frame": frame, "nested": True}}] * FEW


def _queue(depth: int) -> list[dict[str, Any]]:
    return [{"fifo": {"set": f"queue-{depth}", "count": CALLS}}]


def _append(hint: int) -> dict[str, Any]:
    step = {"count": FEW, "elements": 1000, "element_size": 8, "lifetime": "temporary"}
    return {"append": step | {"hint": hint}}


def _map(hint: int) -> dict[str, Any]:
    step = {"count": FEW, "keys": 100, "key_size": 8, "value_size": 8, "lifetime": "temporary"}
    return {"map_insert": step | {"hint": hint}}


ROWS: Final[dict[str, dict[str, list[dict[str, Any]]]]] = {
    "calibration": {
        "CalCall": _call(),
        "CalLocal256": _local(256),
        "CalLocal4k": _local(4 * KIB),
        "CalValue4k": _call(4 * KIB),
        "CalNoscan64": _heap(64),
        "CalNoscan2k": _heap(2 * KIB),
        "CalScan64": _heap(64, 1),
        "CalScan1k": _heap(KIB, 1),
        "CalLarge64k": _heap(64 * KIB),
        "CalLarge256k": _heap(256 * KIB),
    },
    "stack allocation": {
        "Local64": _local(64),
        "Local1k": _local(KIB),
        "Local16k": _local(16 * KIB),
        "Nested": _nested(200),
    },
    "value and reference semantics": {
        "Value64": _call(64),
        "Value256": _call(256),
        "Value1k": _call(KIB),
        "Value16k": _call(16 * KIB),
        "Value32k": _call(32 * KIB),
        "Pointer1k": _call(KIB, "pointer"),
        "Pointer16k": _call(16 * KIB, "pointer"),
        "PointerEscaping1k": _heap(KIB) + _call(KIB, "pointer"),
    },
    "heap allocation": {
        "Tiny16": _heap(16),
        "Escaping256": _heap(256),
        "Escaping1k": _heap(KIB),
        "Escaping4k": _heap(4 * KIB),
        "Escaping16k": _heap(16 * KIB),
        "Pointers512": _heap(512, 1),
        "Large128k": _heap(128 * KIB),
        "Large512k": _heap(512 * KIB),
    },
    # What the program itself does with 1000 elements or 100 keys is measured where nothing grows, and put in as CPU time.
    "slices": {
        "Append": [_append(0)],
        "AppendHint": [_append(1000)],
        "Queue250": _queue(250),
        "Queue5000": _queue(5000),
    },
    "maps": {"Map": [_map(0)], "MapHint": [_map(100)]},
}
OWN_WORK: Final = {
    "Append": "CalAppend",
    "AppendHint": "CalAppend",
    "Map": "CalMap",
    "MapHint": "CalMap",
    "Queue250": "CalQueue",
    "Queue5000": "CalQueue",
}
STEPS: Final = {name: steps for row in ROWS.values() for name, steps in row.items()}

# Constant -> benchmarks that determine it, in the order in which they are worked out.
DETERMINED_BY: Final[dict[str, tuple[str, ...]]] = {
    "call_ns": ("CalCall",),
    "touch_ns_per_byte": ("CalLocal256", "CalLocal4k"),
    "copy_ns_per_byte": ("CalValue4k",),
    "alloc_small_noscan_ns_per_byte": ("CalNoscan2k",),
    "alloc_small_noscan_ns": ("CalNoscan64",),
    "alloc_small_scan_ns_per_byte": ("CalScan1k",),
    "alloc_small_scan_ns": ("CalScan64",),
    "alloc_large_ns_per_byte": ("CalLarge64k", "CalLarge256k"),
}


def _calls(name: str) -> int:
    """Calls of a benchmark that a request of its workload makes."""
    steps = STEPS[name]
    (last,) = steps[-1].values()
    return len(steps) if len(steps) == FEW else int(last["count"])


def spec_of(name: str, record: dict[str, Any], profile: Path) -> dict[str, Any]:
    """The workload of a benchmark."""
    own = OWN_WORK.get(name)
    queued = STEPS[name][-1].get("fifo", {}).get("set")
    own_work = [{"cpu": round(record["benchmarks"][own]["ns_per_op"] * _calls(name) / CALLS)}] if own else []
    return {
        "version": 1,
        "name": name.lower(),
        "runtime": {"go": "1.27", "gomaxprocs": 1, "gogc": 100},
        "machine": {"cores": 2, "profile": str(profile)},
        "run": {"duration": "80ms", "warm_up": "30ms", "replications": RUNS},
        "globals": {"scan_bytes": record["program"]["globals_scan_bytes"]},
        "sites": SITES,
        "retained": [{"name": queue, "entries": depth} for queue, depth in QUEUES.items() if queue == queued],
        "requests": [{"workers": 1, "steps": own_work + STEPS[name]}],
    }


def simulated(name: str, record: dict[str, Any], profile: MachineProfile) -> dict[str, float]:
    """The benchmark's lines as `gcsim run` and `gcsim benchfmt` make them, for a thousand calls: least value by unit."""
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        (place / "profile.yaml").write_text(yaml.safe_dump(profile.model_dump(mode="json")))
        spec = spec_of(name, record, place / "profile.yaml")
        (place / "spec.yaml").write_text(yaml.safe_dump(spec, sort_keys=False))
        for arguments in (
            ["run", str(place / "spec.yaml"), "--out", str(place / "run")],
            ["benchfmt", str(place / "run")],
        ):
            done = CliRunner().invoke(cli, arguments)
            assert done.exit_code == 0, done.stderr
    lines = [line.split()[2:] for line in done.stdout.splitlines() if line.startswith("Benchmark")]
    assert len(lines) == RUNS, done.stdout
    times = CALLS / _calls(name)
    runs = [dict(zip(fields[1::2], fields[::2], strict=True)) for fields in lines]
    return {unit: times * min(float(run[unit]) for run in runs) for unit in runs[0]}


def profile_of(record: dict[str, Any]) -> MachineProfile:
    """The shipped profile with what the machine that was measured has instead."""
    shipped = load_profile("epyc-genoa-kvm", "1.27")
    constants = shipped.model_dump()["constants"]
    for name, value in record["constants"].items():
        constants[name] = {"value": value, "origin": f"measured: go_ns, {record['machine']}"}
    data = {**shipped.model_dump(), "name": "go-ns", "constants": constants, "stalls": ()}
    return MachineProfile.model_validate(data)


def determine(record: dict[str, Any]) -> dict[str, float]:
    """Constants with which the Cal benchmarks take as long as they did; in the geometric mean where several share one."""
    constants = dict(record["constants"])
    for _ in range(2):  # a small object's cost per byte and by object depend on each other
        for name, benchmarks in DETERMINED_BY.items():
            constants[name] = _solved(name, benchmarks, {**record, "constants": constants})
    return constants


def _solved(constant: str, benchmarks: tuple[str, ...], record: dict[str, Any]) -> float:
    """The constant with which the benchmarks take as long as they did; time is linear in what one thing costs."""
    at = profile_of(record)[constant]
    lines = []
    for benchmark in benchmarks:
        low, high = (
            simulated(
                benchmark,
                record,
                profile_of({**record, "constants": {**record["constants"], constant: value}}),
            )["ns/op"]
            for value in (0.5 * at, 1.5 * at)
        )
        assert high > low, f"{benchmark} does not depend on {constant}"
        lines.append(
            (low - 0.5 * (high - low), (high - low) / at, record["benchmarks"][benchmark]["ns_per_op"])
        )
    least_ns, most_ns = 0.0, 10 * at
    for _ in range(40):
        middle = (least_ns + most_ns) / 2
        off = sum(math.log(max(1e-9, base + slope * middle) / real) for base, slope, real in lines)
        least_ns, most_ns = (least_ns, middle) if off > 0 else (middle, most_ns)
    return float(f"{(least_ns + most_ns) / 2:.3g}")


def measure(directory: Path) -> dict[str, Any]:
    """Run the benchmarks there: the least of many short runs, bytes and allocations of the run with the fewest."""
    shutil.copy(HERE / "go_ns" / "ns_test.go", directory)
    (directory / "go.mod").write_text("module ns\n\ngo 1.21\n")
    subprocess.run(
        [go_command(), "test", "-c", "-o", "ns.test", "."], cwd=directory, check=True, capture_output=True
    )
    command = [
        "./ns.test",
        "-test.run=^$",
        "-test.bench=.",
        "-test.benchtime=50ms",
        "-test.count=12",
        "-test.cpu=1",
    ]
    done = subprocess.run(command, cwd=directory, check=True, capture_output=True, text=True)
    return least(done.stdout)


def least(text: str) -> dict[str, Any]:
    """Benchmarks of a `go test -bench` output, the least of each figure."""
    line = r"^Benchmark(\w+?)(?:-\d+)?\s+\d+\s+([\d.]+) ns/op\s+(\d+) B/op\s+(\d+) allocs/op$"
    found: dict[str, Any] = {}
    for match in re.finditer(line, text, re.MULTILINE):
        figures = {
            "ns_per_op": float(match[2]),
            "bytes_per_op": int(match[3]),
            "allocs_per_op": int(match[4]),
        }
        known = found.setdefault(match[1], figures)
        found[match[1]] = {unit: min(known[unit], value) for unit, value in figures.items()}
    return found


def table(record: dict[str, Any]) -> str:
    """Markdown: each benchmark, measured and simulated, per call."""
    profile = profile_of(record)
    lines = ["| row | benchmark | measured ns | simulated ns | off |", "| --- | --- | ---: | ---: | ---: |"]
    for row, benchmarks in ROWS.items():
        for name in benchmarks:
            real = record["benchmarks"][name]["ns_per_op"]
            said = simulated(name, record, profile)["ns/op"]
            lines.append(
                f"| {row} | {name} | {real / CALLS:.4g} | {said / CALLS:.4g} | {100 * (said / real - 1):+.0f} % |"
            )
    return "\n".join(lines)


def main() -> None:
    record = json.loads(RECORD.read_text())
    if "--measure" in sys.argv:
        directory = Path(sys.argv[sys.argv.index("--measure") + 1])
        record |= {"benchmarks": measure(directory), "date": date.today().isoformat()}
    if "--determine" in sys.argv or "--measure" in sys.argv:
        record["constants"] = determine(record)
        temporary = RECORD.with_suffix(".part")
        temporary.write_text(json.dumps(record, indent=1) + "\n")
        temporary.replace(RECORD)
    print(table(record))


if __name__ == "__main__":
    main()
