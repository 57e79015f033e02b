"""What-if collectors in the formats of the ecosystem: right, or refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from gcsim.cli.main import cli
from gcsim.datasets.reader import Result
from gcsim.datasets.run import run_spec
from gcsim.errors import DatasetError
from gcsim.interop import benchfmt, gctrace, pprof, trace_viewer
from gcsim.report.run_report import run_page
from gcsim.spec.models import Spec
from gcsim.spec.overrides import apply_overrides


@pytest.fixture(scope="session")
def stopped(everything: Spec, tmp_path_factory: pytest.TempPathFactory) -> Result:
    spec = apply_overrides(everything, ["collector=stop_the_world"])
    return run_spec(spec, tmp_path_factory.mktemp("stopped") / "run")


@pytest.fixture(scope="session")
def generational(everything: Spec, tmp_path_factory: pytest.TempPathFactory) -> Result:
    spec = apply_overrides(everything, ["collector=generational", "nursery=512KiB"])
    return run_spec(spec, tmp_path_factory.mktemp("generational") / "run")


def named(result: Result) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = trace_viewer.trace(result)["traceEvents"]
    return events


def test_gctrace_of_a_stopped_program_is_what_go_prints(stopped: Result) -> None:
    """Two short pauses and marking by all Ps, no assists: the runtime does not print that nobody else ran."""
    cycles = stopped.tables["cycles"].to_arrow().to_pylist()
    lines = list(gctrace.parse(gctrace.lines(stopped)))
    assert len(lines) == len(cycles) > 3
    for line, cycle in zip(lines, cycles, strict=True):
        assert line.mark_ns.low <= cycle["mark_ns"] < line.mark_ns.high
        assert line.heap_start_bytes == line.heap_end_bytes
        assert line.assist_cpu_ns.low == line.idle_cpu_ns.low == 0
        assert line.background_cpu_ns.high > 0.5 * line.mark_ns.low


def test_gctrace_of_generations_is_refused(generational: Result) -> None:
    with pytest.raises(
        DatasetError, match="generations, which Go and its gctrace have not; read the tables minors"
    ):
        list(gctrace.lines(generational))
    done = CliRunner().invoke(cli, ["gctrace", str(generational.path)])
    assert done.exit_code != 0
    assert done.stdout == ""


def test_a_trace_shows_marking_without_the_program(stopped: Result) -> None:
    names = {event["name"] for event in named(stopped)}
    assert {"mark (world stopped)", "STW (stop the world)"} <= names
    assert not {"concurrent mark", "MARK ASSIST", "GC (idle)"} & names


def test_a_trace_shows_minor_collections_and_both_generations(generational: Result) -> None:
    events = named(generational)
    minors = generational.tables["minors"].to_arrow().to_pylist()
    shown = [event for event in events if event["ph"] == "X" and event["name"].startswith("minor ")]
    assert len(shown) == len(minors) > 20
    assert shown[5]["args"]["promoted_bytes"] == minors[5]["promoted_bytes"]
    counters = [event["args"] for event in events if event["name"] == "Generations"]
    assert len(counters) == 2 * len(minors)
    assert counters[-1] == {"Nursery": minors[-1]["young_bytes"], "Old": minors[-1]["old_bytes"]}
    pauses = sum(event["name"] == "STW (minor)" for event in events)
    assert pauses == sum(row["reason"] == "nursery_full" for row in minors)


def test_benchmarks_of_other_collectors_are_not_taken_for_gos(
    real_run: Result, stopped: Result, generational: Result
) -> None:
    names = [list(benchfmt.lines([run]))[-1].split("\t")[0] for run in (real_run, stopped, generational)]
    assert [name.partition("collector=")[2] for name in names] == ["", "stop_the_world-2", "generational-2"]


def test_profiles_have_all_of_the_cpu_time(stopped: Result, generational: Result) -> None:
    for run in (stopped, generational):
        rows = {name: run.tables[name].to_arrow().to_pylist() for name in ("sites", "throughput", "assists")}
        total = sum(pprof.cpu_samples(rows["sites"], rows["throughput"], rows["assists"]).values())
        busy = sum(
            value
            for row in rows["throughput"]
            for name, value in row.items()
            if name.endswith("_cpu_ns") and name != "idle_cpu_ns"
        )
        assert total == busy


def test_reports_say_whose_collector_it_is(stopped: Result, generational: Result, tmp_path: Path) -> None:
    page = run_page(stopped)
    assert "what-if: stop the world" in page
    assert "nothing of the program runs while it marks" in page
    page = run_page(generational)
    assert "what-if: generations, nursery 512.0 KiB, age 2" in page
    assert "Go has no generations" in page


def test_generations_fill_the_heap_table(generational: Result, real_run: Result) -> None:
    heap = generational.tables["heap"].to_pandas()
    assert (heap["old_bytes"] <= heap["heap_live_bytes"]).all(), "heap live has the tails of spans too"
    assert (heap["heap_in_use_bytes"] >= heap["heap_live_bytes"] + (512 << 10)).all()
    assert heap["nursery_bytes"].max() >= 256 << 10
    assert real_run.tables["heap"].to_pandas()["nursery_bytes"].isna().all()
    assert "minors" not in real_run.tables
