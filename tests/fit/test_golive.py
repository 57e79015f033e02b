"""The workload program, built and run for real where there is a Go toolchain."""

from __future__ import annotations

from pathlib import Path

import pytest

from gcsim.errors import RunError, SpecError
from gcsim.fit.golive import build_program, case_name, complete_workload, find_go, run_program, split_trace
from gcsim.interop.gctrace import parse

GARBAGE = [{"kind": "bytes", "size": 1024, "count": 4}, {"kind": "node", "size": 64, "count": 16}]
SERVICE = {
    "name": "small-service", "workers": 1, "seconds": 0.3, "garbage": GARBAGE, "cache_entries": 100, "chain_nodes": 7,
    "tree_shaped": True, "payload_bytes": 128, "latency_cap": 4096,
}  # fmt: skip


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    try:
        find_go()
    except RunError:
        pytest.skip("no Go toolchain")
    return build_program(tmp_path_factory.mktemp("program"))


def test_live_record_has_what_recorded_ones_have(program: Path) -> None:
    """Bytes per request are known: 4 KiB, 16 nodes, the slice of slices and its boxed header."""
    done = []
    record = run_program(program, SERVICE, {"procs": 1, "gogc": "50"}, repeats=1, on_repeat=done.append)
    (repeat,) = record.repeats
    assert done == [1]
    assert record.case == f"small-service__go{record.settings['go']}_p1_gogc50"
    # A handful of objects and the latency arrays belong to the measuring.
    assert repeat["alloc_bytes"] / repeat["requests"] == pytest.approx(4 * 1024 + 16 * 64 + 96 + 24, rel=0.02)
    assert repeat["alloc_objects"] / repeat["requests"] == pytest.approx(4 + 16 + 2, rel=0.02)
    lines = list(parse(repeat["gctrace"]))
    assert len(lines) in (repeat["num_gc"], repeat["num_gc"] - 1)
    assert set(repeat["latency_ns"]) == {"p50", "p90", "p99", "p99.9", "p100"}
    assert {"cpu_s", "stw_pause_s", "sched_latency_s", "sys_bytes", "heap_released_bytes"} <= set(repeat)


def test_live_open_loop_serves_its_arrivals(program: Path) -> None:
    """Sleep, pool, leak, pointer writes, replacement and phases in one program."""
    workload = {
        **SERVICE, "name": "everything", "workers": 0, "rate_per_s": 2000, "sleep_us": 100, "pool_buffer_bytes": 4096,
        "leak_bytes_per_request": 64, "pointer_writes": 3, "replace_per_request": 0.5, "idle_goroutines": 10,
        "stack_depth": 4, "globals_ptr_mb": 1,
        "phases": [{"seconds": 0.1, "cache_entries": 200, "garbage_scale": 2.0}, {"seconds": 0.1, "rate_per_s": 1000}],
    }  # fmt: skip
    (repeat,) = run_program(program, workload, {"procs": 2}, repeats=1).repeats
    assert 150 < repeat["requests"] < 1200
    assert repeat["stack_inuse_bytes"] >= 10 * 8192


def test_program_that_fails_is_an_error_with_its_words(tmp_path: Path) -> None:
    program = tmp_path / "workload"
    program.write_text("#!/bin/sh\necho no memory >&2\nexit 3\n")
    program.chmod(0o755)
    with pytest.raises(RunError, match=r"cannot run small-service: .* ended with 3: no memory"):
        run_program(program, SERVICE, {"procs": 1}, repeats=1)


def test_workload_without_sense_is_refused() -> None:
    with pytest.raises(SpecError) as error:
        complete_workload({"wrkers": 2})
    assert [p.path for p in error.value.problems] == [
        "$.workload.wrkers",
        "$.workload.name",
        "$.workload.workers",
    ]


def test_trace_is_split_at_the_marks_and_foreign_lines_go() -> None:
    text = "hello\ngc 1 @0.1s a\ngcsim: load begins\ngc 2 @0.2s b\nnoise\ngcsim: load ends\ngc 3 @0.3s c\n"
    assert split_trace(text) == (["gc 1 @0.1s a"], ["gc 2 @0.2s b"])
    with pytest.raises(RunError, match="did not say"):
        split_trace("gc 1 @0.1s a\n")


def test_case_is_named_after_program_and_settings() -> None:
    settings = {"go": "1.27.3", "procs": 2, "gogc": "off", "memlimit": "128MiB"}
    assert case_name({"name": "x"}, settings) == "x__go1.27.3_p2_gogcoff_lim128MiB"
    assert (
        case_name({"name": "x"}, {**settings, "gcstoptheworld": 2}) == "x__go1.27.3_p2_gogcoff_lim128MiB_stw2"
    )


def test_stopping_the_world_is_asked_of_the_real_program(program: Path) -> None:
    """Its trace says so: marking by the one P, and the heap is at the end what it was at the start."""
    settings = {"procs": 1, "gogc": "50", "gcstoptheworld": 1}
    (repeat,) = run_program(program, SERVICE, settings, repeats=1).repeats
    lines = list(parse(repeat["gctrace"]))
    assert len(lines) > 2
    assert all(line.heap_start_bytes == line.heap_end_bytes for line in lines)
    assert all(line.assist_cpu_ns.low == line.idle_cpu_ns.low == 0 for line in lines)


def test_go_command_that_is_not_there_is_refused() -> None:
    with pytest.raises(RunError, match="no such command"):
        find_go("/nowhere/go")
