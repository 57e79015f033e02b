"""From tables to curves, and which points no other one beats."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gcsim.datasets.pareto import pareto_front
from gcsim.datasets.reader import Result
from gcsim.datasets.sweep import SweepResult
from gcsim.report import extract, sweep_extract
from gcsim.runtime.buckets import N_BUCKETS, bucket_index_of


def test_the_sawtooth_has_the_corners_of_every_cycle(full_run: Result) -> None:
    curves = extract.heap_curves(full_run.tables)
    assert (np.diff(curves.live.x) >= 0).all()
    points = set(zip(curves.live.x.tolist(), curves.live.y.tolist(), strict=True))
    for row in full_run.tables["cycles"].to_arrow().to_pylist():
        assert (row["mark_start_ns"], row["heap_start_bytes"]) in points
        peak = curves.live.y[curves.live.x == row["end_ns"]].tolist()
        assert peak == [row["heap_end_bytes"], row["heap_marked_bytes"]]


def test_goal_and_trigger_are_those_of_the_cycle_they_end_with(full_run: Result) -> None:
    curves = extract.heap_curves(full_run.tables)
    for row in full_run.tables["cycles"].to_arrow().to_pylist():
        for curve, name in ((curves.goal, "heap_goal_bytes"), (curves.trigger, "trigger_bytes")):
            at = int(np.searchsorted(curve.x, row["mark_start_ns"], side="left"))
            assert curve.y[at] == row[name]


def test_shares_of_p_time_add_up(full_run: Result, small_sweep: SweepResult) -> None:
    *_, shares = extract.cpu_split(full_run.tables)
    assert sum(shares.values()) == pytest.approx(1.0)
    for point in small_sweep.points:
        assert sum(sweep_extract.cpu_shares(point).values()) == pytest.approx(1.0, abs=1e-5)


def test_quantiles_read_off_the_percentile_curve_are_those_of_the_summary(full_run: Result) -> None:
    (counts,) = extract.latency_counts(full_run.tables).values()
    x, y = extract.percentile_curve(counts, points=100_000)
    for name, nines in (("p90", 1.0), ("p99", 2.0), ("p999", 3.0)):
        assert y[np.searchsorted(x, nines)] == full_run.summary[f"latency_ns_{name}"]
    assert y[-1] == full_run.summary["latency_ns_max"]


def test_a_thinned_percentile_curve_keeps_its_ends() -> None:
    counts = np.zeros(N_BUCKETS, dtype=np.int64)
    for value in range(1000, 5000):
        counts[bucket_index_of(value)] += 1
    x, y = extract.percentile_curve(counts, points=20)
    whole_x, whole_y = extract.percentile_curve(counts, points=100_000)
    assert len(x) <= 24
    assert (x[0], y[0], x[-1], y[-1]) == (whole_x[0], whole_y[0], whole_x[-1], whole_y[-1])


def test_causes_of_the_tail_are_shares_of_every_band(full_run: Result, plain_run: Result) -> None:
    causes = extract.tail_causes(full_run.tables)
    assert causes is not None
    requests = full_run.tables["requests"].to_pandas()
    assert sum(causes.counts) == (requests["phase"] == "load").sum()
    for band in range(len(causes.bands)):
        assert sum(shares[band] for shares in causes.shares.values()) == pytest.approx(1)
    assert extract.tail_causes(plain_run.tables) is None


def test_time_in_pauses_is_the_overlap(full_run: Result) -> None:
    pause = full_run.tables["pauses"].to_arrow().to_pylist()[1]
    start, length = pause["start_ns"], pause["duration_ns"]
    starts = np.array([start - 500, start + length // 4, start + length])
    ends = np.array([start + length + 500, start + length // 2, start + length + 10])
    overlap = extract._overlap(full_run.tables, starts, ends)
    assert overlap.tolist() == pytest.approx([length, length // 2 - length // 4, 0])


def test_without_p_states_pauses_and_assists_are_shown(full_run: Result, plain_run: Result) -> None:
    assert extract.p_intervals(full_run.tables).recorded
    shown = extract.p_intervals(plain_run.tables)
    assert not shown.recorded
    assert set(shown.state) == {"stw", "assist"}
    assert len(shown.state) == 2 * plain_run.tables["pauses"].num_rows + plain_run.tables["assists"].num_rows


def test_a_long_run_is_cut_to_a_stretch_around_its_longest_cycle(
    full_run: Result, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extract, "MAX_INTERVALS", 100)
    shown = extract.p_intervals(full_run.tables)
    assert not shown.whole
    assert 0 < len(shown.state) <= 100


_ROWS = st.lists(st.lists(st.integers(0, 4) | st.none(), min_size=3, max_size=3), min_size=1, max_size=8)


@settings(derandomize=True, max_examples=50, deadline=None)
@given(_ROWS)
def test_the_front_is_what_nothing_beats(rows: list[list[float | None]]) -> None:
    front = pareto_front(rows)
    full = [[float("inf") if v is None else v for v in row] for row in rows]
    for row, on_front in zip(full, front, strict=True):
        beaten = any(all(a <= b for a, b in zip(other, row, strict=True)) and other != row for other in full)
        assert on_front == (float("inf") not in row and not beaten)


def test_curves_of_a_sweep_start_with_the_load(small_sweep: SweepResult) -> None:
    points = sweep_extract.done_points(small_sweep)
    curves, window_s, whole = sweep_extract.curves(points)
    assert whole
    assert 0.29 < window_s < 0.35
    assert all(0 <= c.heap_s[0] < 0.11 and c.heap_s == sorted(c.heap_s) for c in curves)
    assert sweep_extract.baseline(small_sweep, points) == 3  # GOGC 100, 2 Ps, as in the spec
    assert sweep_extract.knob_values(small_sweep, points) == {"gogc": [50, 100, 400], "gomaxprocs": [1, 2]}
