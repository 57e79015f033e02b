"""Globals and stacks."""

from tests.phenomena.comparison import Run, phenomenon

MS = 1_000_000


@phenomenon("roots", shown=["globals.scan_bytes=1MiB"])
def test_13_globals_were_ballast(shown: Run, control: Run) -> None:
    """golang/go#67857: removing global variables made for more collections, since go1.18 counts them in the goal."""
    # Goal is marked + (marked + globals): 16 + 17 against 16 + 80 MiB, and so room to allocate of 17 against 80.
    assert shown.summary["num_gc"] >= 3 * control.summary["num_gc"]
    assert shown.summary["heap_goal_bytes_mean"] < control.summary["heap_goal_bytes_mean"]
    assert control.cycles["globals_bytes"].min() == 64 << 20


@phenomenon("roots", shown=["idle_goroutines.count=100000"])
def test_13_stacks_make_marking_long_but_not_the_pauses(shown: Run, control: Run) -> None:
    """golang/go#14420: a million goroutines on 36 P paused for 38 and 129 ms in go1.6.

    Pauses did work for each goroutine then; since go1.8 stacks are scanned while the program runs.
    """
    assert shown.cycles["mark_ns"].mean() >= 2 * control.cycles["mark_ns"].mean()
    assert shown.cycles["stacks_bytes"].min() >= 50_000_000
    # A tenth of the goroutines would be 4 to 13 ms.
    assert shown.summary["stw_pause_ns_max"] <= 2 * MS
