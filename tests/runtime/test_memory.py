"""First touches: memory of dead objects is taken again before fresh memory is."""

from __future__ import annotations

from tests.runtime.tiny import MS, US, tiny

KIB = 1 << 10


def test_large_objects_in_a_small_heap_find_the_memory_of_dead_ones() -> None:
    """256 KiB each in a heap of 4 MiB at 1 ns a byte of fresh memory: once it has been touched none of them waits."""
    make = {"kind": "allocate", "size": 256 * KIB}
    request = {"workers": 1, "steps": [{"kind": "cpu", "ns": 100 * US}, make]}
    world = tiny({"page_fault_ns_per_byte": 1.0, "sweep_page_ns": 1.0}, request, duration=100 * MS).run()
    assert len(world.rows["cycle"]) > 20
    late = world.latencies()[-500:]
    assert sum(late) < 500 * 105 * US
    first = sum(world.latencies()[:15])
    assert first > 15 * 350 * US, "the first 4 MiB are fresh"
