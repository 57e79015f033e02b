"""Mark assists: what they cost in the tail, and when the pacer calls for them."""

import pytest

from tests.phenomena.comparison import Run, phenomenon

# derived: runtime/mgcpacer.go maxTriggerRatioNumerator / triggerRatioDenominator (go1.19 .. go1.27)
LATEST_TRIGGER = 61 / 64
# Lulls of two or three cycles: the mean of two has forgotten the wave, the largest of five has not.
LONG_LULLS = [
    *(f"phases[{i}].rate_per_s=7600" for i in (0, 2)),
    *(f"phases[{i}].rate_per_s=2500" for i in (1, 3)),
    "phases[1].duration=600ms",
    "phases[3].duration=800ms",
]


@phenomenon("connections", control=["assists=false"])
def test_01_assists_make_the_latency_tail_at_equal_throughput(shown: Run, control: Run) -> None:
    """golang/go#56966: CockroachDB kv95 on go1.19, p99 73.4 ms with assists and 3.9 without.

    2 to 7 % of the CPU went into assists.
    """
    # Arrivals are the same; a few requests more or fewer are under way when the run ends.
    assert shown.summary["throughput_rps"] == pytest.approx(control.summary["throughput_rps"], rel=0.01)
    p_time_ns = 8 * shown.summary["duration_s"] * 1e9
    assert 0.005 <= shown.summary["mark_assist_cpu_ns"] / p_time_ns <= 0.07
    assert control.summary["mark_assist_cpu_ns"] == 0
    # Reported 19 times.  Here 5 to 7: without assists requests still wait for the Ps that mark.
    assert shown.summary["latency_ns_p99"] >= 3 * control.summary["latency_ns_p99"]


@phenomenon("connections", shown=["go=1.20", *LONG_LULLS], control=["go=1.21", *LONG_LULLS])
def test_01_go1_21_assists_less_than_go1_20(shown: Run, control: Run) -> None:
    """golang/go#56966: 20,000 connections, p99 67.1 ms on go1.20 and 25.2 on go1.21."""
    assert shown.summary["throughput_rps"] == pytest.approx(control.summary["throughput_rps"], rel=0.01)
    assert shown.summary["mark_assist_cpu_ns"] > 1.3 * control.summary["mark_assist_cpu_ns"]
    # Reported 2.7 times; here 1.5 to 2.2 by the seed.
    assert shown.summary["latency_ns_p99"] >= 1.3 * control.summary["latency_ns_p99"]


@phenomenon("connections", control=["go=1.20"])
def test_01_go1_20_assists_less_than_go1_19(shown: Run, control: Run) -> None:
    """golang/go#56966: the PI controller of go1.18 and go1.19 had the longest tail (73.4 ms, 54.5 in go1.17)."""
    assert shown.summary["throughput_rps"] == pytest.approx(control.summary["throughput_rps"], rel=0.01)
    assert shown.summary["mark_assist_cpu_ns"] > 1.3 * control.summary["mark_assist_cpu_ns"]
    # Reported 1.3 times go1.17; here 2.2 to 3.5 times go1.20 by the seed.
    assert shown.summary["latency_ns_p99"] >= 1.3 * control.summary["latency_ns_p99"]


@phenomenon("connections", control=["go=1.21"])
def test_02_late_trigger_bursts_into_assists(shown: Run, control: Run) -> None:
    """golang/go#40225, 24 P: start at 97.5 % of the goal, 422 ms of assists beside 185 background, 66 to 74 % of CPU.

    There it was the controller of go1.15, here that of go1.19, which forgets the last burst in the lull; the window of
    five cycles in go1.21 remembers it.
    """
    cycles = shown.cycles
    burst = cycles[cycles["assist_cpu_ns"] > cycles["background_cpu_ns"]]
    assert len(burst) >= 1
    assert burst["trigger_position"].max() >= 0.99 * LATEST_TRIGGER
    # Share of all P time while marking, where 0.25 is meant.
    assert (burst["gc_cores"] / 8).max() >= 0.6
    assert not (control.cycles["assist_cpu_ns"] > control.cycles["background_cpu_ns"]).any()
