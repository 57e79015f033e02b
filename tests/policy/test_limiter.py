"""The GC CPU limiter: what fills and drains its bucket, and when it limits."""

from __future__ import annotations

import pytest

from gcsim.policy.limiter import GCCPULimiter, LimiterEvent, LimiterEventType

MS = 1_000_000
SECOND = 1_000_000_000


def test_background_marking_alone_never_limits() -> None:
    limiter = GCCPULimiter(0, 4)
    limiter.start_gc_transition(True, 0)
    limiter.finish_gc_transition(0)
    for second in range(1, 20):
        limiter.update(second * SECOND)
    assert limiter.fill_cpu_ns == 0
    assert not limiter.limiting


def test_assists_of_most_of_the_time_fill_the_bucket_and_end_assisting() -> None:
    limiter = GCCPULimiter(0, 2)
    limiter.start_gc_transition(True, 0)
    limiter.finish_gc_transition(0)
    # Each second 2 CPU-s: 0.5 background + 1.0 assists against 0.5 of the program fill 1.0; capacity is 2.0.
    for second, fill in ((1, 1 * SECOND), (2, 2 * SECOND)):
        limiter.add_assist_time(SECOND)
        limiter.update(second * SECOND)
        assert limiter.fill_cpu_ns == fill
    assert limiter.limiting
    limiter.update(3 * SECOND)  # no assists now: 0.5 against 1.5
    assert not limiter.limiting
    assert limiter.fill_cpu_ns == SECOND


def test_idle_time_takes_the_program_out_of_the_account() -> None:
    limiter = GCCPULimiter(0, 2)
    limiter.add_assist_time(500 * MS)
    limiter.add_idle_time(1500 * MS)
    limiter.update(SECOND)
    assert limiter.fill_cpu_ns == 500 * MS


def test_a_pause_counts_on_every_proc() -> None:
    limiter = GCCPULimiter(0, 8)
    limiter.start_gc_transition(True, SECOND)
    limiter.finish_gc_transition(SECOND + MS)
    assert limiter.fill_cpu_ns == 8 * MS


def test_an_update_within_a_transition_is_dropped() -> None:
    limiter = GCCPULimiter(0, 1)
    limiter.start_gc_transition(True, 10)
    limiter.update(20)
    assert limiter.last_update_ns == 10


@pytest.mark.parametrize("enable_gc", [True, False])
def test_transitions_must_alternate(enable_gc: bool) -> None:
    limiter = GCCPULimiter(0, 1)
    with pytest.raises(AssertionError):
        limiter.finish_gc_transition(0)
    limiter.gc_enabled = enable_gc
    with pytest.raises(AssertionError):
        limiter.start_gc_transition(enable_gc, 0)


def test_running_events_are_cut_at_every_update() -> None:
    events = [LimiterEvent(), LimiterEvent(), LimiterEvent()]
    limiter = GCCPULimiter(0, 3, events)
    events[0].start(LimiterEventType.MARK_ASSIST, 0)
    events[1].start(LimiterEventType.IDLE, 0)
    limiter.update(SECOND)
    # 1 CPU-s of assist against 1 of the program on the third P; the second was idle.
    assert limiter.fill_cpu_ns == 0
    limiter.add_assist_time(100 * MS)
    limiter.update(2 * SECOND)
    assert limiter.fill_cpu_ns == 200 * MS
    assert events[0].stop(LimiterEventType.MARK_ASSIST, 2 * SECOND + 5, limiter) == 5
    assert limiter.assist_time_pool_cpu_ns == 5


def test_an_event_does_not_start_within_another_and_ends_as_what_it_is() -> None:
    event = LimiterEvent()
    assert event.start(LimiterEventType.IDLE_MARK_WORK, 5)
    assert not event.start(LimiterEventType.MARK_ASSIST, 6)
    with pytest.raises(AssertionError, match="IDLE_MARK_WORK"):
        event.stop(LimiterEventType.MARK_ASSIST, 7, GCCPULimiter(0, 1))


def test_fewer_procs_shrink_the_bucket() -> None:
    limiter = GCCPULimiter(0, 4)
    limiter.accumulate(0, 3 * SECOND)
    assert not limiter.limiting
    limiter.reset_capacity(0, 2)
    assert limiter.limiting
    assert limiter.fill_cpu_ns == limiter.capacity_cpu_ns == 2 * SECOND
    limiter.reset_capacity(0, 4)
    assert not limiter.limiting


def test_a_bucket_that_a_reset_leaves_exactly_full_does_not_limit_until_it_was_drained() -> None:
    limiter = GCCPULimiter(0, 4)
    limiter.accumulate(0, 2 * SECOND)
    limiter.reset_capacity(0, 2)
    limiter.accumulate(0, SECOND)
    assert not limiter.limiting  # an oddity of the real one, which only looks at what the bucket was
    limiter.accumulate(SECOND, 0)
    limiter.accumulate(0, SECOND)
    assert limiter.limiting
