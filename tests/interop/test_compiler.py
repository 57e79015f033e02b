"""Reading `go build -gcflags=-m`: what the compilers of two releases said about `data/escape/service.go`."""

from __future__ import annotations

from pathlib import Path

import pytest

from gcsim.interop.compiler import CompilerSite, read_compiler_output
from gcsim.policy.escape import Construct, Flow, Site, decide
from gcsim.policy.releases import release_rules

DATA = Path(__file__).parent / "data" / "escape"


def sites(name: str) -> dict[tuple[int, int], CompilerSite]:
    found = read_compiler_output((DATA / name).read_text())
    return {tuple(map(int, site.where.split(":")[1:])): site for site in found}  # type: ignore[misc]


def test_verdicts_of_a_plain_m() -> None:
    found = sites("said-m1-go1.27.txt")
    assert [(line, site.construct.value, site.escapes) for (line, _), site in found.items()] == [
        (13, "variable", True),
        (18, "make", False),
        (19, "make", True),
        (20, "make", False),
        (29, "new", True),
        (29, "new", True),
        (29, "new", True),
        (29, "new", True),
        (35, "variable", True),
        (36, "interface_conversion", True),
        (36, "new", True),
        (40, "conversion", False),
        (43, "append", True),
        (49, "make_map", False),
    ]
    assert not any(site.flows or site.is_explained for site in found.values())


@pytest.mark.parametrize("release", ["1.22", "1.27"])
def test_flows_of_an_explaining_m(release: str) -> None:
    found = sites(f"said-m2-go{release}.txt")
    assert {at: site.flows for at, site in found.items() if site.flows} == {
        (13, 2): (Flow.RETURNED,),
        (29, 19): (Flow.STORED_IN_ARGUMENT,),
        (29, 30): (Flow.STORED_IN_ARGUMENT,),
        (29, 41): (Flow.CHANNEL,),
        (29, 52): (Flow.STORED_IN_ARGUMENT,),
        (35, 2): (Flow.METHOD_VALUE_RETURNED,),
        (36, 10): (Flow.RETURNED,),
        (36, 21): (Flow.RETURNED,),
        **({(43, 15): (Flow.RETURNED,)} if release == "1.27" else {}),  # append is no site before 1.25
    }
    assert all(site.is_explained for site in found.values())


@pytest.mark.parametrize("release", ["1.22", "1.27"])
def test_what_one_release_explained_the_rules_decide_for_both(release: str) -> None:
    """The compiler of 1.22 and that of 1.27 were asked about the same file: one's sites give the other's verdicts."""
    other = {"1.22": "1.27", "1.27": "1.22"}[release]
    explained, wanted = sites(f"said-m2-go{release}.txt"), sites(f"said-m2-go{other}.txt")
    checked = 0
    for at, site in explained.items():
        if at in wanted:
            declared = Site(site.construct, site.size_bytes, site.constant_size, site.flows)
            assert decide(declared, release_rules(other)).escapes is wanted[at].escapes, at
            checked += 1
    assert checked >= 13


def test_sizes_are_read_where_types_are_written_out() -> None:
    text = "\n".join(
        f"./a.go:{line}:1: {what} escapes to heap"
        for line, what in enumerate(
            (
                "new(int32)",
                "new([3]string)",
                "new(user)",
                "make([]*int, 4)",
                "make([]int, n)",
                "make([]user, 4)",
            ),
            1,
        )
    )
    assert [(s.size_bytes, s.pointer_words, s.constant_size) for s in read_compiler_output(text)] == [
        (4, 0, True),
        (48, 5, True),
        (None, 0, True),
        (32, 4, True),
        (None, 0, False),
        (None, 0, True),
    ]


def test_what_is_no_site_is_left_out() -> None:
    text = """# service
./a.go:1:1: can inline f
./a.go:1:7: leaking param: u
./a.go:1:9: s does not escape
./a.go:2:1: inlining call to g
./a.go:3:5: make(chan int) escapes to heap
./a.go:4:5: zero-copy string->[]byte conversion
not a line of the compiler
./a.go:5:5: x escapes to heap
./a.go:5:5: x escapes to heap
"""
    assert [(s.where, s.construct) for s in read_compiler_output(text)] == [
        ("./a.go:5:5", Construct.INTERFACE_CONVERSION)
    ]
    assert read_compiler_output("") == []
