"""The summary of the stand-in's run, by hand; replications; means as gctrace shows them."""

import json
import math
from pathlib import Path

import pytest
from scipy import stats

from gcsim.datasets.metrics import METRICS
from gcsim.datasets.reader import Result
from gcsim.datasets.run import replication_seed, run
from gcsim.datasets.summary import combine, floored_heap_means, student_t
from gcsim.runtime.buckets import RELATIVE_ERROR
from gcsim.spec.models import Spec
from tests.datasets import fake_engine as fake

# The issue's own list: scripts rely on these names.
PROMISED = [
    "num_gc",
    "duration_s",
    "requests",
    "throughput_rps",
    "alloc_bytes",
    "heap_start_bytes_mean",
    "heap_peak_bytes_mean",
    "heap_goal_bytes_mean",
    "heap_marked_bytes_mean",
    "memory_peak_bytes",
    "memory_end_bytes",
    "gc_cpu_ns",
    "gc_cpu_frac",
    "mark_assist_cpu_ns",
    "mark_background_cpu_ns",
    "mark_idle_cpu_ns",
    "stw_pause_ns_p50",
    "stw_pause_ns_p90",
    "stw_pause_ns_p99",
    "stw_pause_ns_max",
    "stw_stopping_ns_p50",
    "stw_stopping_ns_p90",
    "stw_stopping_ns_p99",
    "stw_stopping_ns_max",
    "latency_ns_p50",
    "latency_ns_p90",
    "latency_ns_p99",
    "latency_ns_p999",
    "latency_ns_max",
    "sched_latency_ns_p50",
    "sched_latency_ns_p90",
    "sched_latency_ns_p99",
    "sched_latency_ns_p999",
    "sched_latency_ns_max",
    "mmu_1ms",
    "mmu_10ms",
    "mmu_100ms",
]


def test_every_promised_metric_is_there_and_every_metric_has_unit_and_description() -> None:
    names = [m.name for m in METRICS]
    assert set(PROMISED) <= set(names)
    assert len(set(names)) == len(names)
    assert all(m.unit and m.description for m in METRICS)


def test_only_the_load_phase_after_warm_up_counts(result: Result) -> None:
    s = result.summary
    cycles = 15  # 2 s of load, of which 0.5 s warm-up, a cycle per 100 ms; two before the load
    assert s["duration_s"] == pytest.approx(1.5)
    assert s["num_gc"] == cycles
    assert s["requests"] == cycles * fake.REQUESTS_PER_WINDOW
    assert s["throughput_rps"] == pytest.approx(10_000)
    assert s["heap_start_bytes_mean"] == pytest.approx(90 * fake.MIB + sum(range(8, 23)) / 15)
    assert s["mark_background_cpu_ns"] == cycles * fake.MARK_NS
    assert s["gc_cpu_ns"] == cycles * (fake.MARK_NS + 300_000)
    assert s["gc_cpu_frac"] == pytest.approx((fake.MARK_NS + 300_000) / (2 * fake.CYCLE_NS))
    assert (s["memory_peak_bytes"], s["memory_end_bytes"]) == (140 * fake.MIB, 130 * fake.MIB)
    assert (s["stw_pause_ns_p50"], s["stw_pause_ns_p90"], s["stw_pause_ns_max"]) == (50_000, 100_000, 100_000)
    assert (s["stw_stopping_ns_p50"], s["stw_stopping_ns_max"]) == (20_000, 30_000)
    assert s["latency_ns_p50"] == pytest.approx(fake.LATENCY_NS, rel=RELATIVE_ERROR)
    assert s["latency_ns_p999"] == pytest.approx(10 * fake.LATENCY_NS, rel=RELATIVE_ERROR)
    assert s["sched_latency_ns_p50"] == 100
    # One of two Ps for 20 ms; the worst millisecond is 0.1 ms of pause and 0.9 ms of that.
    assert s["mmu_1ms"] == pytest.approx(1 - (0.1 + 0.9 / 2))
    assert s["mmu_10ms"] == pytest.approx(1 - (0.1 + 9.9 / 2) / 10)
    assert s["mmu_100ms"] == pytest.approx(1 - (0.15 + 20 / 2) / 100)


def test_the_summary_on_disk_is_one_flat_json_object(result: Result) -> None:
    on_disk = json.loads((result.path / "summary.json").read_text())
    assert on_disk == result.summary
    assert all(value is None or isinstance(value, int | float | str) for value in on_disk.values())


def test_without_requests_or_cycles_their_metrics_are_null(
    spec: Spec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def idle(spec, *, seed, profile, recorder, progress=None):  # type: ignore[no-untyped-def]
        recorder.phase(fake.PhaseChange("load", 0))
        recorder.phase(fake.PhaseChange("end", 50 * fake.MS))

    monkeypatch.setattr("gcsim.runtime.simulate", idle, raising=False)
    s = run(spec, out=tmp_path / "idle").summary
    assert (s["num_gc"], s["requests"], s["throughput_rps"]) == (0, 0, 0.0)
    for name in (
        "latency_ns_p50",
        "stw_pause_ns_max",
        "heap_start_bytes_mean",
        "memory_end_bytes",
        "mmu_100ms",
    ):
        assert s[name] is None
    assert s["mmu_10ms"] == 1.0


def test_floored_means_are_those_of_gctrace(result: Result) -> None:
    floored = floored_heap_means(result.tables["cycles"].to_arrow())
    assert floored["heap_start_bytes_mean"] == 90 * fake.MIB  # every one of them is 90 MiB and a few bytes
    assert floored["heap_start_bytes_mean"] < result.summary["heap_start_bytes_mean"]


def test_replications_differ_in_seed_and_give_an_interval(engine: None, spec: Spec, tmp_path: Path) -> None:
    seen: list[int] = []
    result = run(spec, replications=3, out=tmp_path / "three", progress=lambda number, _: seen.append(number))
    assert sorted(set(seen)) == [0, 1, 2]
    seeds = [r.summary["seed"] for r in result.runs]
    assert seeds[0] == spec.run.seed
    assert len(set(seeds)) == 3
    goals = [r.summary["heap_goal_bytes_mean"] for r in result.runs]
    mean = sum(goals) / 3
    stddev = math.sqrt(sum((g - mean) ** 2 for g in goals) / 2)
    s = result.summary
    assert s["replications"] == 3
    assert s["heap_goal_bytes_mean"] == pytest.approx(mean)
    assert s["heap_goal_bytes_mean_stddev"] == pytest.approx(stddev)
    half = 4.302653 * stddev / math.sqrt(3)  # t of 2 degrees of freedom, 97.5 %
    assert s["heap_goal_bytes_mean_ci95_high"] == pytest.approx(mean + half)
    assert s["heap_goal_bytes_mean_ci95_low"] == pytest.approx(mean - half)
    assert result.tables["runs"].num_rows == 3
    assert result.tables["cycles"].to_pandas()["run_id"].nunique() == 3


def test_a_metric_that_one_replication_lacks_has_no_mean() -> None:
    row = {m.name: 1.0 for m in METRICS}
    combined = combine([row, row | {"latency_ns_p50": None}])
    assert combined["latency_ns_p50"] is None
    assert combined["num_gc"] == 1.0
    assert combined["num_gc_stddev"] == 0.0


def test_one_replication_has_no_spread() -> None:
    combined = combine([{m.name: 2.0 for m in METRICS}])
    assert (combined["num_gc"], combined["num_gc_stddev"], combined["num_gc_ci95_low"]) == (2.0, None, None)


@pytest.mark.parametrize("degrees", [1, 2, 3, 4, 9, 10, 30, 99, 9_999])
def test_student_t_agrees_with_scipy(degrees: int) -> None:
    for quantile in (0.9, 0.975, 0.995):
        assert student_t(quantile, degrees) == pytest.approx(stats.t.ppf(quantile, degrees), rel=1e-8)


def test_replication_seeds_are_in_range_and_apart() -> None:
    seeds = {replication_seed(s, n) for s in range(20) for n in range(1, 50)}
    assert len(seeds) == 20 * 49
    assert all(0 <= s < 2**63 for s in seeds)
