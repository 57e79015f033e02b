"""sync.Pool."""

from tests.phenomena.comparison import Run, phenomenon

BUFFER_BYTES = 16 * 1024


@phenomenon("pool", control_workload="fresh")
def test_18_pooled_buffers_save_collections_and_time(shown: Run, control: Run) -> None:
    """golang/go#11834: pooling made the program 50 to 60 % faster, nearly every Get a hit."""
    assert shown.summary["throughput_rps"] >= 1.5 * control.summary["throughput_rps"]
    assert control.summary["num_gc"] >= 10 * shown.summary["num_gc"]
    # Hits: what is allocated per request is next to nothing of a buffer.
    per_request = (shown.summary["alloc_bytes"] / shown.summary["requests"]) - 4 * 64
    assert per_request <= 0.01 * BUFFER_BYTES


@phenomenon("pool-drain", control=["gogc=400"])
def test_18_collections_drain_a_pool_and_the_victim_cache_saves_it(shown: Run, control: Run) -> None:
    """golang/go#22950: 1,000 pooled objects, 1,017 allocations per cycle before there was a victim cache (go1.13).

    Eight bursts of 1,000.  Shown: many cycles between bursts, so nothing is left but for the first burst either way.
    Control: one cycle between bursts, and what it moved to the victim cache is found there.
    """
    # Requests of the other class are the same in both, so what differs is buffers.
    again = (shown.summary["alloc_bytes"] - control.summary["alloc_bytes"]) / BUFFER_BYTES
    assert control.summary["num_gc"] >= 4
    assert 5_000 <= again <= 8_000
