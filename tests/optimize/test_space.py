"""Dimensions: places and values there and back, defaults that follow from the program, wrong ranges."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gcsim.errors import SpecError
from gcsim.optimize.space import GOGC, GOMAXPROCS, GOMEMLIMIT, Dimension, make_space, parse_over, present_row
from gcsim.spec.models import Spec
from gcsim.units import GIB, MIB
from tests.sweep.test_plan import make_spec

MEASURED = {"memory_peak_bytes": 200 * MIB, "heap_marked_bytes_mean": 50 * MIB}


def space_of(spec: Spec, over: list[str], *ranges: str, bounds: tuple[float, ...] = ()) -> list[str]:
    space = make_space(spec, parse_over(over, ranges, spec), measured=MEASURED, bounds=bounds)
    return [str(dimension) for dimension in space.dimensions]


def test_defaults_follow_from_the_cores_and_the_live_heap() -> None:
    spec = make_spec(machine={"cores": 4})
    assert space_of(spec, ["gogc,gomemlimit", "gomaxprocs"]) == [
        "gogc=25..800:log,off", "gomemlimit=55MiB..250MiB:log,off", "gomaxprocs=1,2,3,4",
    ]  # fmt: skip
    wide = space_of(spec, ["gomemlimit"], bounds=(GIB,))
    assert wide == ["gomemlimit=55MiB..1020MiB:log,off"]  # three digits, and no higher than asked
    assert space_of(make_spec(machine={"cores": 64}), ["gomaxprocs"]) == ["gomaxprocs=1..64:log"]


def test_gogc_off_is_offered_only_where_something_limits_memory() -> None:
    assert space_of(make_spec(), ["gogc"]) == ["gogc=25..800:log"]
    limited = make_spec(runtime={"gomemlimit": "100MiB"})
    assert space_of(limited, ["gogc"]) == ["gogc=25..800:log,off"]
    spec = make_spec()
    space = make_space(spec, parse_over(["gogc,gomemlimit"], [], spec), measured=MEASURED)
    assert space.row([1.0, 0.0]) == {GOGC: "off", GOMEMLIMIT: "55MiB"}
    assert space.row([1.0, 1.0]) == {GOGC: "800", GOMEMLIMIT: "off"}


def test_ranges_are_read_as_they_are_written() -> None:
    spec = make_spec()
    ranges = (
        "gogc=50..100",
        "gomemlimit=64MiB..1GiB,off",
        "go=1.24,1.27",
        "requests[0].workers=2..4",
        "gomaxprocs=4,1",
    )
    assert space_of(spec, [], *ranges) == [
        "gogc=50..100", "gomemlimit=64MiB..1020MiB:log,off", "go=1.24,1.27", "requests[0].workers=2,3,4", "gomaxprocs=1,4",
    ]  # fmt: skip
    space = make_space(spec, parse_over([], ranges, spec), measured=MEASURED)
    assert [d.is_ordered for d in space.dimensions] == [True, True, False, True, True]


@pytest.mark.parametrize(
    ("over", "ranges", "text"),
    [
        ([], [], "names no field"),
        (["gogcc"], [], "did you mean gogc"),
        (["cores"], [], "give one: --range cores=LOW..HIGH"),
        (["seed"], [], "is nothing to optimise"),
        ([], ["gogc"], "is no range"),
        ([], ["gogc=9..5"], "is no range from low to high"),
        ([], ["gogc=-9..5"], "runtime.gogc"),
        ([], ["gogc=5..9,20"], "mixes ranges and values"),
        ([], ["gogc=5"], "is a single value"),
        ([], ["go=1.19..1.27"], "an end that is no number"),
        ([], ["gogc=5..9", "runtime.gogc=5..10"], "second range"),
    ],
)
def test_wrong_ranges_say_what_to_write(over: list[str], ranges: list[str], text: str) -> None:
    with pytest.raises(SpecError, match=text):
        space_of(make_spec(), over, *ranges)


DIMENSIONS = [
    Dimension(path=GOGC, low=25, high=800, log=True, off=True),
    Dimension(path=GOMEMLIMIT, low=55 * MIB, high=3 * GIB, step=MIB, log=True, off=True),
    Dimension(path=GOMAXPROCS, values=("1", "2", "4")),
    Dimension(path="x", low=0.5, high=0.75, step=0),
    Dimension(path="y", low=0, high=1_000_000),
]


@settings(derandomize=True, max_examples=100, deadline=None)
@given(st.sampled_from(DIMENSIONS), st.floats(0.0, 1.0))
def test_a_value_lies_where_it_came_from(dimension: Dimension, place: float) -> None:
    text = dimension.text_at(place)
    back = dimension.place_of(text)
    assert back is not None
    assert 0.0 <= back <= 1.0
    assert dimension.text_at(back) == text


def test_the_present_setting_is_written_as_the_dimensions_write_it() -> None:
    spec = make_spec(runtime={"gogc": 100, "gomemlimit": "512MiB"})
    row = present_row(spec, [GOGC, GOMEMLIMIT, GOMAXPROCS, "runtime.assists"], gomaxprocs=2)
    assert row == {GOGC: "100", GOMEMLIMIT: "512MiB", GOMAXPROCS: "2", "runtime.assists": "true"}
    assert present_row(make_spec(), [GOMEMLIMIT], gomaxprocs=2) == {GOMEMLIMIT: "off"}
