"""Idle mark workers: Ps without work mark, where that is wanted."""

from tests.phenomena.comparison import Run, phenomenon

MS = 1_000_000


@phenomenon("idle-workers", control=["idle_workers=false"])
def test_04_idle_workers_take_every_p_but_no_longer_hold_it(shown: Run, control: Run) -> None:
    """golang/go#16528 and #16432: a box of 8 P that was 75 % idle spent 98 % of its CPU during a 9.5 ms mark.

    The harm was a wake-up that waited 7 to 10 ms for the worker's time slice; since workers look for others, it does
    not (below 10 us more).  golang/go#14812: without idle workers p99 changed from 8.9 to 8.4 ms, which is noise.
    """
    # Mean Ps that mark, of 8; about a quarter of them run requests meanwhile.
    assert shown.cycles["gc_cores"].mean() >= 5
    assert control.cycles["gc_cores"].mean() <= 2.2
    assert control.cycles["mark_ns"].mean() >= 2 * shown.cycles["mark_ns"].mean()
    assert shown.summary["sched_latency_ns_p999"] <= 4 * MS
    assert 0.7 <= shown.summary["latency_ns_p99"] / control.summary["latency_ns_p99"] <= 1.4


@phenomenon("idle-process", control=["idle_workers=false"])
def test_06_the_periodic_cycle_spares_the_idle_ps(shown: Run, control: Run) -> None:
    """golang/go#44163, #39983: an idle program went to 100 % of GOMAXPROCS every two minutes, until go1.19."""
    forced, periodic = shown.cycles.iloc[0], shown.cycles.iloc[1]
    assert (forced["trigger_reason"], periodic["trigger_reason"]) == ("forced", "time")
    assert periodic["start_ns"] - forced["end_ns"] >= 120_000 * MS
    # The same heap: runtime.GC() marks on all 8 Ps as every cycle did in go1.18, the periodic one on two or three.
    assert forced["gc_cores"] >= 7
    assert periodic["gc_cores"] <= 3.1
    # Without idle workers the two do not differ.
    assert control.cycles["gc_cores"].max() <= 2.1
