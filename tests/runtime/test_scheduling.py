"""Who runs when: timelines computed by hand from sysmon's looks, the netpoller's steps and the quota's periods."""

from __future__ import annotations

import pytest

from tests.runtime.conftest import Worlds
from tests.runtime.tiny import MS, US, Interval

# sysmon looks every 20 us, and after 50 looks with nothing to retake its pause doubles up to 10 ms:
# 51 looks by 1020 us, then 1060, 1140, 1300, 1620, 2260, 3540, 6100, 11220, 21220, 31220 us ...
FIRST_LOOK_NS = 20 * US
LOOKS_FROM_11_MS_NS = [11_220 * US + k * 10 * MS for k in range(10)]


def spin(name: str, cpu: str = "1ms") -> dict[str, object]:
    return {"name": name, "workers": 1, "steps": [{"cpu": cpu}]}


def test_one_goroutine_on_one_p_runs_its_requests_back_to_back(world: Worlds) -> None:
    """Ten requests of 1 us fill 10 us of one P, with nothing in between."""
    w = world({}, spin("request", "1us"), duration=10 * US).run()
    assert w.intervals() == [Interval("mutator", 0, 10 * US)]
    assert w.spans() == [(k * US, (k + 1) * US) for k in range(10)]


def test_a_context_switch_costs_its_time_once_per_execution(world: Worlds) -> None:
    """A goroutine that is alone is executed once, so that one switch of 300 ns delays all its requests."""
    w = world({"context_switch_ns": 300.0}, spin("request", "1us"), duration=10_300).run()
    assert w.latencies() == [1 * US] * 10
    assert w.spans()[0] == (300, 1_300)


def test_two_cpu_bound_goroutines_on_one_p_switch_every_20_ms(world: Worlds) -> None:
    """Sysmon sees the first at 20 us and preempts it at its look at 11.22 ms; the second is seen at the look after
    that switch and has had 10 ms only at the look after that."""
    w = world({}, spin("a"), spin("b"), duration=100 * MS)
    switches: list[tuple[int, str | None]] = []
    for step in range(1, 100 * MS // (20 * US)):
        w.until(step * 20 * US + 1)
        if not switches or switches[-1][1] != w.running():
            switches.append((step * 20 * US, w.running()))
    expected = [FIRST_LOOK_NS, *LOOKS_FROM_11_MS_NS[0::2]]
    assert [time for time, _ in switches] == expected[: len(switches)]
    assert [name for _, name in switches] == ["a/0", "b/0", "a/0", "b/0", "a/0", "b/0"]


def test_a_preempted_request_waits_for_the_other_goroutine(world: Worlds) -> None:
    """The request that is under way at 11.22 ms ends when its goroutine has come back at 31.22 ms."""
    w = world({}, spin("a"), spin("b"), duration=40 * MS).run()
    waits = [latency for latency in w.latencies("a") if latency != 1 * MS]
    assert waits == [21 * MS]
    assert w.latencies("b")[0] == 1 * MS


def test_sysmon_retakes_the_p_of_a_system_call_at_its_second_look(world: Worlds) -> None:
    """A call that begins at 100 us is seen at the look at 120 us and loses its P at the one at 140 us."""
    caller = {"name": "caller", "workers": 1, "steps": [{"cpu": "100us"}, {"syscall": "1ms"}]}
    w = world({}, caller, spin("other"), duration=1 * MS).run()
    looked_at_ns = 140 * US - w.start_ns
    assert w.intervals() == [
        Interval("mutator", 0, 100 * US),
        Interval("overhead", 100 * US, looked_at_ns),
        Interval("mutator", looked_at_ns, 1 * MS),
    ]


def test_a_system_call_keeps_a_p_that_nobody_needs(world: Worlds) -> None:
    """With two Ps and nothing else to run the caller finds its P again after the call."""
    caller = {"workers": 1, "steps": [{"cpu": "100us"}, {"syscall": "300us"}]}
    w = world({}, caller, procs=2, duration=2 * MS).run()
    assert w.latencies() == pytest.approx([400 * US] * 4, abs=10)


def test_a_lock_goes_to_whoever_has_waited_longest(world: Worlds) -> None:
    """Four goroutines on four Ps hold one lock for 100 us each: first come, first served, each has it every fourth
    time."""
    locker = {"workers": 4, "steps": [{"lock": {"name": "m", "hold_ns": "100us"}}]}
    w = world({}, locker, procs=4, duration=2 * MS + 100).run()
    # What is drawn costs at least 1 ns a segment, hence the rounding.
    ends = [round(end, -2) for _, end in w.spans()]
    assert ends == [(k + 1) * 100 * US for k in range(len(ends))]
    assert [round(latency, -2) for latency in w.latencies()] == [100 * US, 200 * US, 300 * US] + [
        400 * US
    ] * (len(ends) - 3)


@pytest.mark.parametrize(
    ("sleep", "waited_ns"),
    [("500us", 1 * MS), ("1ms", 1 * MS), ("1500us", 2 * MS), ("2ms", 2 * MS)],
)
def test_an_idle_process_wakes_for_timers_in_steps_of_a_millisecond(
    world: Worlds, sleep: str, waited_ns: int
) -> None:
    """epoll_wait takes whole milliseconds: less than one is waited as one, the rest of more than one after it."""
    sleeper = {"workers": 1, "steps": [{"block": {"ns": sleep, "timer": True}}]}
    w = world({}, sleeper, duration=9 * MS).run()
    assert {round(latency, -2) for latency in w.latencies()} == {waited_ns}


def test_a_busy_p_runs_timers_when_it_schedules(world: Worlds) -> None:
    """Beside a goroutine that computes, a sleeper wakes when sysmon next takes the P, at 11.22 ms, not after 0.5 ms."""
    sleeper = {"name": "sleeper", "workers": 1, "steps": [{"block": {"ns": "500us", "timer": True}}]}
    w = world({}, sleeper, spin("spin"), duration=12 * MS).run()
    assert w.spans("sleeper")[0][1] == pytest.approx(LOOKS_FROM_11_MS_NS[0], abs=10)


def test_arrivals_are_served_in_their_order(world: Worlds) -> None:
    """Three arrivals within a service time queue: the second waits for the first, the third for both."""
    served = {"arrivals": "recorded", "arrival_times_ns": [0, 100 * US, 200 * US], "steps": [{"cpu": "1ms"}]}
    w = world({}, served, duration=5 * MS).run()
    assert w.latencies() == [1 * MS, 2 * MS - 100 * US, 3 * MS - 200 * US]


def test_a_woken_p_starts_after_the_wake_up_latency(world: Worlds) -> None:
    """An arrival at 1 ms finds an idle P; its M needs 50 us to wake."""
    served = {"arrivals": "recorded", "arrival_times_ns": [1 * MS], "steps": [{"cpu": "100us"}]}
    w = world({"wakeup_ns": 50_000.0}, served, duration=5 * MS).run()
    assert w.latencies() == [150 * US]


def test_a_quota_stops_the_process_until_its_period_ends(world: Worlds) -> None:
    """20 ms of every 100 are computed; the request in which the quota runs out takes 80 ms more."""
    w = world(
        {}, spin("request"), machine={"cfs_quota": "20ms", "cfs_period": "100ms"}, duration=300 * MS
    ).run()
    latencies = w.latencies()
    assert len(latencies) == pytest.approx(60, abs=1)
    waits = [latency for latency in latencies if latency > 1 * MS + 10]
    assert waits == pytest.approx([81 * MS] * len(waits), abs=10)
    throttled = [row.time_ns for row in w.rows["event"] if row.kind == "cfs_throttled"]
    assert throttled == pytest.approx([20 * MS, 120 * MS, 220 * MS], abs=10)


def test_two_ps_use_up_a_quota_in_half_the_time(world: Worlds) -> None:
    """At two cores the 20 ms of the quota last for 10 ms of each period."""
    spinning = {"workers": 2, "steps": [{"cpu": "1ms"}]}
    w = world(
        {}, spinning, procs=2, machine={"cfs_quota": "20ms", "cfs_period": "100ms"}, duration=200 * MS
    ).run()
    throttled = [row.time_ns for row in w.rows["event"] if row.kind == "cfs_throttled"]
    assert throttled == pytest.approx([10 * MS, 110 * MS], abs=10)


def test_more_ps_than_cores_share_them(world: Worlds) -> None:
    """Two goroutines on two Ps of one core take twice their CPU time."""
    spinning = {"workers": 2, "steps": [{"cpu": "1ms"}]}
    w = world({}, spinning, procs=2, machine={"cores": 1}, duration=20 * MS).run()
    assert set(w.latencies()) <= {2 * MS - 1, 2 * MS, 2 * MS + 1}
    assert len(w.latencies()) == pytest.approx(20, abs=2)
