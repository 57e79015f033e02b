"""Heaps without parallelism."""

from tests.phenomena.comparison import Run, phenomenon

TREE = "retained[0].objects[0].shape=tree"


@phenomenon("chain", control=[TREE])
def test_05_a_list_is_marked_by_one_p_at_a_time(shown: Run, control: Run) -> None:
    """golang/go#14812: 15 s of mark CPU took 2 to 2.5 s on 8 cores; #37116: an LRU list 17.4 s, all on one P."""
    # 4 of the 8 Ps are free to mark beside the mutators; a list has work for one of them, whoever spins beside it.
    assert shown.cycles["mark_ns"].mean() >= 3 * control.cycles["mark_ns"].mean()


@phenomenon("chain", shown=["gomaxprocs=16"], control=["gomaxprocs=16", TREE])
def test_05_more_ps_do_not_help_a_list(shown: Run, control: Run) -> None:
    """golang/go#37116: three more Ps looked for work for the whole 17 s."""
    # 12 of 16 Ps are free to mark.
    assert shown.cycles["mark_ns"].mean() >= 8 * control.cycles["mark_ns"].mean()
