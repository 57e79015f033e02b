"""Reading heap profiles that Go and gcsim write."""

import gzip
import math
from pathlib import Path

import pytest

from gcsim.errors import SpecError
from gcsim.interop.pprof import encode
from gcsim.interop.pprof_reader import HeapProfile, read_heap, scale

DATA = Path(__file__).parent.parent / "fit" / "data" / "service"
TYPES = (
    ("alloc_objects", "count"), ("alloc_space", "bytes"), ("inuse_objects", "count"), ("inuse_space", "bytes"),
)  # fmt: skip


def by_place(profile: HeapProfile) -> dict[tuple[str, int | None], tuple[float, float]]:
    """Objects and bytes by innermost function and size."""
    out: dict[tuple[str, int | None], tuple[float, float]] = {}
    for sample in profile.samples:
        key = (sample.stack[0].function, sample.object_bytes)
        before = out.get(key, (0.0, 0.0))
        out[key] = (before[0] + sample.alloc_objects, before[1] + sample.alloc_bytes)
    return out


def test_a_profile_of_real_go_has_the_programs_sites() -> None:
    """52,000 and more requests of 1 x 10,240, 4 x 1,024 and 32 x 64 B; sampling leaves a few percent."""
    profile = read_heap(DATA / "gogc100-allocs.pb.gz")
    found = by_place(profile)
    assert profile.rate_bytes == 512 * 1024
    answers, encodes, parses = (
        found["main.answer", 10240], found["main.encode", 1024], found["main.parse", 64],
    )  # fmt: skip
    assert encodes[0] / answers[0] == pytest.approx(4, rel=0.15)
    assert parses[0] / answers[0] == pytest.approx(32, rel=0.25)
    assert answers[1] / answers[0] == pytest.approx(10240, rel=1e-4)


def test_text_is_scaled_as_go_scales_its_protos() -> None:
    """Both were written one after the other by the same process: a cycle may lie in between."""
    proto, text = (by_place(read_heap(DATA / f"gogc100-allocs.{e}")) for e in ("pb.gz", "txt"))
    for key in (("main.encode", 1024), ("main.parse", 64), ("main.answer", 10240)):
        assert text[key][0] == pytest.approx(proto[key][0], rel=0.05)
        assert text[key][1] == pytest.approx(proto[key][1], rel=0.05)


def test_scaling_by_hand() -> None:
    # 64 B objects at one sample per 512 KiB: each stands for 8,192.5 of them.
    assert scale(1, 64, 512 * 1024) == pytest.approx((8192.5, 8192.5 * 64), rel=1e-6)
    # What is far larger than the rate is always sampled.
    assert scale(3, 3 * 64e6, 512 * 1024) == (3, 3 * 64e6)
    assert scale(2, 100, 1) == (2, 100)
    assert scale(0, 0, 512) == (0, 0)
    assert math.isfinite(scale(1, 1, 2**40)[0])


def test_what_gcsim_writes_it_reads(tmp_path: Path) -> None:
    stacks = {("main.main", "main.a"): (3, 300, 1, 100), ("main.main", "sync.(*Pool).Get"): (1, 64, 0, 0)}
    path = tmp_path / "heap.pb.gz"
    path.write_bytes(encode(stacks, TYPES, "alloc_space", ("space", "bytes"), 1, 10, ()))
    profile = read_heap(path)
    assert [f.function for f in profile.samples[0].stack] == ["main.a", "main.main"]
    assert [(s.alloc_objects, s.alloc_bytes, s.inuse_bytes) for s in profile.samples] == [
        (3, 300, 100),
        (1, 64, 0),
    ]
    assert profile.rate_bytes == 1


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "has no alloc_objects"),
        (b"hello", "is no pprof profile"),
        (b"heap profile: of something\n", "line 1"),
        (b"heap profile: 0: 0 [0: 0] @ heap/1048576\n", "has no allocation in it"),
        (gzip.compress(b"x" * 100)[:20], "damaged gzip"),
    ],
)
def test_what_is_no_heap_profile_is_refused_by_name(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "p.pb.gz"
    path.write_bytes(content)
    with pytest.raises(SpecError, match=words) as caught:
        read_heap(path)
    assert str(path) in str(caught.value)
    assert "/debug/pprof" in str(caught.value) or "again" in str(caught.value)


def test_a_cpu_profile_says_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "cpu.pb.gz"
    path.write_bytes(
        encode(
            {("main.main",): (1, 10)},
            (("samples", "count"), ("cpu", "nanoseconds")),
            "cpu",
            ("cpu", "ns"),
            1,
            1,
            (),
        )
    )
    with pytest.raises(SpecError, match="is a profile of samples, cpu"):
        read_heap(path)


@pytest.mark.parametrize("cut", [10, 100, 500, 1000])
def test_a_cut_off_profile_is_damaged(tmp_path: Path, cut: int) -> None:
    whole = gzip.decompress((DATA / "gogc100-allocs.pb.gz").read_bytes())
    path = tmp_path / "cut.pb"
    path.write_bytes(whole[:-cut])
    with pytest.raises(SpecError, match=r"is no pprof profile|has no"):
        read_heap(path)
