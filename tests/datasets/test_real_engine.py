"""The engine and the datasets together: a short run of a service that collects."""

import json
from pathlib import Path

import numpy as np
import pytest

import gcsim
from gcsim.datasets.summary import floored_heap_means
from gcsim.interop.gctrace import lines, parse
from gcsim.spec.load import spec_from_dict

SPEC = spec_from_dict(
    {
        "version": 1,
        "name": "small-cache",
        "run": {"duration": "400ms", "warm_up": "100ms", "settle": "10ms"},
        "record": {"p_states": True, "tricolor": True, "requests_sample": 0.01, "window": "100ms"},
        "retained": [
            {"name": "cache", "entries": 2000, "objects": [{"count": 16, "size": 64, "pointer_words": 2}]}
        ],
        "requests": [
            {
                "workers": 2,
                "steps": [
                    {"cpu": "10us"},
                    {"allocate": {"count": 4, "size": "1KiB"}},
                    {"replace": {"set": "cache", "count": 0.2}},
                ],
            }
        ],
    }
)


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> gcsim.Result:
    return gcsim.run(SPEC, out=tmp_path_factory.mktemp("real") / "run")


def test_the_same_run_twice_has_the_same_bytes(result: gcsim.Result, tmp_path: Path) -> None:
    again = gcsim.run(SPEC, out=tmp_path / "again")
    for path in result.path.iterdir():
        assert path.read_bytes() == (again.path / path.name).read_bytes(), path.name


def test_every_completed_request_is_in_the_latency_buckets(result: gcsim.Result) -> None:
    hist, windows = result.tables["latency_hist"].to_pandas(), result.tables["throughput"].to_pandas()
    assert hist.groupby("start_ns")["count"].sum().to_dict() == {
        row.start_ns: row.completed for row in windows.itertuples() if row.completed
    }


def test_where_p_time_went_adds_up_in_every_window(result: gcsim.Result) -> None:
    windows = result.tables["throughput"].to_pandas()
    parts = [name for name in windows.columns if name.endswith("_cpu_ns")]
    elapsed_ns = windows["end_ns"] - windows["start_ns"]
    # Times are cut to whole ns per state and P.
    assert np.abs(windows[parts].sum(axis=1) - 2 * elapsed_ns).max() <= 2 * len(parts)


def test_the_summary_agrees_with_the_tables(result: gcsim.Result) -> None:
    cycles = result.tables["cycles"].to_pandas()
    load = cycles[cycles["phase"] == "load"]
    s = result.summary
    assert s["num_gc"] == len(load) > 3
    assert s["heap_goal_bytes_mean"] == pytest.approx(load["heap_goal_bytes"].mean())
    assert s["duration_s"] == pytest.approx(0.3)
    pauses = result.tables["pauses"].to_pandas()
    assert s["stw_pause_ns_max"] == pauses.loc[pauses["phase"] == "load", "duration_ns"].max()
    assert 0 <= s["mmu_1ms"] <= s["mmu_10ms"] <= s["mmu_100ms"] < 1
    assert s["gc_cpu_frac"] == pytest.approx(s["gc_cpu_ns"] / (2 * 0.3e9), rel=1e-3)


def test_gctrace_lines_say_what_the_tables_say(result: gcsim.Result) -> None:
    parsed = list(parse("\n".join(lines(result))))
    cycles = result.tables["cycles"].to_pandas()
    assert [line.cycle for line in parsed] == cycles["cycle"].tolist()
    for line, row in zip(parsed, cycles.itertuples(), strict=True):
        assert line.start_ns.low <= row.start_ns < line.start_ns.high
        assert line.heap_start_bytes.low <= row.heap_start_bytes < line.heap_start_bytes.high
        assert line.mark_ns.low <= row.mark_ns < line.mark_ns.high
    load = [line for line, phase in zip(parsed, cycles["phase"], strict=True) if phase == "load"]
    means = floored_heap_means(result.tables["cycles"].to_arrow())
    assert np.mean([line.heap_goal_bytes.low for line in load]) == means["heap_goal_bytes_mean"]


def test_p_states_follow_without_gap(result: gcsim.Result) -> None:
    for _, intervals in result.tables["p_states"].to_pandas().groupby("p"):
        assert (intervals["start_ns"].to_numpy()[1:] == intervals["end_ns"].to_numpy()[:-1]).all()


def test_every_table_has_rows_and_phases_in_order(result: gcsim.Result) -> None:
    order = {"start_up": 0, "warm_up": 1, "load": 2}
    for name, table in result.tables.items():
        frame = table.to_pandas()
        assert len(frame) > 0, name
        if name in {"cycles", "pauses", "heap", "throughput", "events"}:
            assert frame["phase"].map(order).is_monotonic_increasing, name


def test_the_manifest_computes_the_run_again(result: gcsim.Result, tmp_path: Path) -> None:
    spec = json.loads((result.path / "manifest.json").read_text())["spec"]
    assert gcsim.run(spec_from_dict(spec), out=tmp_path / "again").run_id == result.run_id
