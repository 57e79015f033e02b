"""The plan of a sweep: order, ids, seeds, layouts, and every problem at once."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gcsim.errors import SpecError
from gcsim.spec.digest import spec_digest
from gcsim.spec.load import spec_from_dict
from gcsim.spec.models import Spec
from gcsim.spec.overrides import apply_overrides
from gcsim.sweep.axes import parse_axes, read_points_csv, split_values
from gcsim.sweep.plan import SweepPlan, format_knob, plan_sweep

MIB = 1 << 20


def make_spec(**changes: Any) -> Spec:
    data = {
        "version": 1,
        "name": "steady",
        "run": {"duration": "2s", "seed": 7},
        "requests": [{"name": "get", "workers": 2, "steps": [{"cpu": "10us"}]}],
    }
    return spec_from_dict({**data, **changes})


def plan(*axes: str, **options: Any) -> SweepPlan:
    return plan_sweep(make_spec(), parse_axes(axes), **options)


def test_a_grid_is_every_combination_in_order_the_last_axis_fastest() -> None:
    made = plan("gogc=50,off", "gomemlimit=off,256MiB")
    assert [p.label for p in made.points] == [
        "gogc=50 gomemlimit=off",
        "gogc=50 gomemlimit=256MiB",
        "gogc=off gomemlimit=off",
        "gogc=off gomemlimit=256MiB",
    ]
    assert [dict(p.knobs) for p in made.points[1:3]] == [
        {"gogc": 50, "gomemlimit": 256 * MIB},
        {"gogc": None, "gomemlimit": None},
    ]


def test_zipped_axes_go_together() -> None:
    made = plan("gogc=50,100", "gomaxprocs=1,2", layout="zip")
    assert [p.label for p in made.points] == ["gogc=50 gomaxprocs=1", "gogc=100 gomaxprocs=2"]


def test_any_field_is_an_axis_by_path_or_by_names_on_the_way() -> None:
    made = plan("requests.get.workers=1,8", "requests[0].steps[0].cpu=5us,20us")
    assert made.points[0].knobs == {"requests.get.workers": 1, "requests[0].steps[0].cpu": 5000}
    assert [made.run_spec(p, 0).requests[0].workers for p in made.points] == [1, 1, 8, 8]


def test_a_knob_whose_short_name_is_a_metric_keeps_its_path() -> None:
    assert list(plan("assists=true,false", "gogc=50").columns) == ["runtime.assists", "gogc"]


def test_point_ids_depend_on_the_setting_alone() -> None:
    few, many = plan("gogc=100,200"), plan("gogc=50,200,100", replications=3, seed=9)
    ids = {p.label: p.point_id for p in many.points}
    assert [ids[p.label] for p in few.points] == [p.point_id for p in few.points]
    assert {p.label: p.point_id for p in plan("gomaxprocs=2", "gogc=100").points} != ids


def test_points_share_the_seeds_of_their_replications() -> None:
    made = plan("gogc=50,100", replications=3)
    seeds = [[made.run_spec(p, r).run.seed for r in range(3)] for p in made.points]
    assert seeds[0] == seeds[1]
    assert len(set(seeds[0])) == 3
    assert seeds[0][0] == 7
    assert plan("gogc=50", replications=3, seed=8).points[0].run_ids != made.points[0].run_ids


def test_run_ids_are_those_that_the_runs_will_have() -> None:
    from gcsim.datasets.run import identify
    from gcsim.spec.profile import load_profile

    made = plan("gogc=50,100", "go=1.22,1.27", replications=2)
    for point, replication, name in made.runs():
        spec = made.run_spec(point, replication)
        assert identify(spec, load_profile(spec.machine.profile, spec.runtime.go)).run_id == name
    assert len({name for _, _, name in made.runs()}) == 8


def test_a_latin_hypercube_covers_every_axis_evenly_and_repeatably() -> None:
    axes = ["gogc=20..120", "gomemlimit=64MiB..1GiB:log", "go=1.22,1.27"]
    made = plan(*axes, layout="latin-hypercube", samples=10)
    gogc = sorted(int(p.knobs["gogc"] or 0) for p in made.points)
    assert [(g - 20) // 10 for g in gogc] == pytest.approx(list(range(10)), abs=1)
    limits = [int(p.knobs["gomemlimit"] or 0) for p in made.points]
    assert all(64 * MIB <= limit <= 1024 * MIB for limit in limits)
    assert sum(limit < 256 * MIB for limit in limits) == 5  # half of the octaves
    assert [p.knobs["go"] for p in made.points].count("1.22") == 5
    assert plan(*axes, layout="latin-hypercube", samples=10) == made


def test_a_csv_list_gives_points_and_is_combined_with_axes(tmp_path: Path) -> None:
    (tmp_path / "points.csv").write_text("gogc,gomemlimit\n50,off\n100,256MiB\n200,\n")
    rows = read_points_csv(tmp_path / "points.csv")
    made = plan_sweep(make_spec(), parse_axes(["gomaxprocs=1,2"]), rows=rows)
    assert len(made.points) == 6
    assert made.points[2].label == "gogc=100 gomemlimit=256MiB gomaxprocs=1"
    assert made.points[4].knobs == {"gogc": 200, "gomemlimit": None, "gomaxprocs": 1}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "has no rows"),
        ("gogc\n", "has no rows"),
        ("gogc,gogc\n1,2\n", "there twice"),
        ("seed\n1\n", "--seed"),
        ("gogc\n1,2\n", "more cells"),
    ],
)
def test_a_bad_list_says_what_is_wrong(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "points.csv").write_text(text)
    with pytest.raises(SpecError, match=words):
        read_points_csv(tmp_path / "points.csv")


def test_a_list_that_is_not_there_is_a_problem_with_its_path() -> None:
    with pytest.raises(SpecError, match=r"nowhere\.csv: cannot be read"):
        read_points_csv("nowhere.csv")


def test_every_problem_of_the_axes_comes_at_once() -> None:
    with pytest.raises(SpecError) as raised:
        parse_axes(["gogc", "gogc=", "seed=1,2", "gomaxprocs=1", "runtime.gomaxprocs=2", "go=1.22,1.22"])
    assert [p.message for p in raised.value.problems] == [
        "is no axis", "is no axis", "is no axis of a sweep", "is an axis already", "has a value twice",
    ]  # fmt: skip
    assert all(p.remedy for p in raised.value.problems)


def test_an_unknown_field_hides_nothing_of_the_others() -> None:
    rows = [{"nope": "1", "runtime.gogc": "50"}, {"nope": "2", "runtime.gogc": "50"}]
    with pytest.raises(SpecError) as caught:
        plan_sweep(make_spec(), parse_axes(["gomaxprocs=1,abc", "requests[9].workers=3"]), rows=rows)
    assert [problem.path for problem in caught.value.problems] == [
        "$.nope", "$.requests[9]", "$.runtime.gomaxprocs",
    ]  # fmt: skip
    axes = ["gogc=9..5", "nope=1..2", "gomemlimit=much..1GiB"]
    with pytest.raises(SpecError) as caught:
        plan_sweep(make_spec(), parse_axes(axes), layout="latin-hypercube", samples=3)
    assert [problem.path for problem in caught.value.problems] == [
        "$.nope", "$.runtime.gogc", "$.runtime.gomemlimit",
    ]  # fmt: skip


def test_a_list_needs_no_axes_whatever_the_layout() -> None:
    rows = [{"runtime.gogc": "50"}, {"runtime.gogc": "off"}]
    assert len(plan_sweep(make_spec(), [], layout="zip", rows=rows).points) == 2


def test_every_problem_of_the_points_comes_at_once_and_once() -> None:
    with pytest.raises(SpecError) as raised:
        plan("gogc=-5,100", "gomaxprocs=0,2", "gomemlimmit=1")
    text = str(raised.value)
    assert text.count("$.gomemlimmit") == 1
    with pytest.raises(SpecError) as raised:
        plan("gogc=-5,100", "gomaxprocs=0,2")
    text = str(raised.value)
    assert text.count("$.runtime.gogc") == text.count("$.runtime.gomaxprocs") == 1


@pytest.mark.parametrize(
    ("axes", "options", "words"),
    [
        ([], {}, "nothing varies"),
        (["gogc=1..5"], {}, "is a range"),
        (["gogc=1,2", "gomaxprocs=1"], {"layout": "zip"}, "gogc has 2, gomaxprocs has 1"),
        (["gogc=1..5"], {"layout": "latin-hypercube"}, "is no number of samples"),
        (["gogc=off..5"], {"layout": "latin-hypercube", "samples": 3}, "no number"),
        (["gogc=9..5"], {"layout": "latin-hypercube", "samples": 3}, "no range from low to high"),
        (["gomemlimit=1MiB,1048576"], {}, "the same setting as gomemlimit=1MiB"),
        (["gogc=1,2"], {"replications": 600_000}, "more than 1,000,000 runs"),
        (["gogc=1,2"], {"rows": [{"runtime.gogc": "3"}]}, "an axis and a column"),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(axes: list[str], options: dict[str, Any], words: str) -> None:
    with pytest.raises(SpecError, match=words):
        plan(*axes, **options)


def test_thresholds_are_checked_before_anything_runs() -> None:
    with pytest.raises(SpecError, match="is no metric"):
        plan_sweep(make_spec(thresholds={"latency_p99": "<1ms"}), parse_axes(["gogc=50,100"]))


@pytest.mark.parametrize(
    ("text", "values"),
    [("a,b", ["a", "b"]), ("[1, 2],{a: 1, b: 2}", ["[1, 2]", "{a: 1, b: 2}"]), ("'a,b', c", ["'a,b'", "c"])],
)
def test_values_are_split_outside_brackets_and_quotes(text: str, values: list[str]) -> None:
    assert split_values(text) == values


@settings(derandomize=True, max_examples=20, deadline=None)
@given(
    st.lists(st.integers(1, 1000), min_size=1, max_size=4, unique=True),
    st.lists(st.integers(1, 64), min_size=1, max_size=4, unique=True),
    st.integers(1, 3),
)
def test_a_plan_has_each_combination_once_and_is_what_overrides_say(
    gogc: list[int], procs: list[int], replications: int
) -> None:
    axes = [f"gogc={','.join(map(str, gogc))}", f"gomaxprocs={','.join(map(str, procs))}"]
    made = plan(*axes, replications=replications)
    assert [(p.knobs["gogc"], p.knobs["gomaxprocs"]) for p in made.points] == [
        (g, n) for g in gogc for n in procs
    ]
    assert len({p.point_id for p in made.points}) == len(made.points)
    point = made.points[-1]
    by_hand = apply_overrides(make_spec(), [f"gogc={gogc[-1]}", f"gomaxprocs={procs[-1]}"])
    assert spec_digest(made.run_spec(point, 0)) == spec_digest(by_hand)


def test_knobs_are_shown_in_readable_units() -> None:
    assert [format_knob("gomemlimit", v) for v in (None, 256 * MIB)] == ["off", "256.0 MiB"]
    assert format_knob("gomaxprocs", None) == "by rule"
    assert format_knob("cfs_quota", 50_000_000) == "50 ms"
    assert format_knob("requests[0].rate_per_s", 1500.0) == "1500"
    assert format_knob("requests[0].steps[0].cpu", 20_000) == "20 µs"
    assert format_knob("retained.cache.objects[2].size", 1 << 20) == "1.0 MiB"
