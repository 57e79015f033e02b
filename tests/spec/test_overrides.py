"""--set: any field, by path or short name."""

from __future__ import annotations

from typing import Any

import pytest

from gcsim.errors import SpecError
from gcsim.spec.load import parse_spec
from gcsim.spec.models import Spec
from gcsim.spec.overrides import KNOBS, apply_overrides, full_path

TEXT = """
name: a
retained: [{name: cache, entries: 5}, {name: index, entries: 6}]
requests:
- name: read
  workers: 2
  steps: [{cpu: 10us}, {allocate: {count: 4, size: 1KiB}}, {cpu: {distribution: {kind: exponential, mean: 5us}}}]
- {name: write, rate_per_s: 10, steps: [gc]}
phases: [{duration: 1s}]
"""
SPEC = parse_spec(TEXT)


def value_at(spec: Spec, path: str) -> Any:
    return eval(f"spec.{path}", {"spec": spec})


@pytest.mark.parametrize(
    ("override", "path", "value"),
    [
        ("gogc=50", "runtime.gogc", 50),
        ("gogc=off", "runtime.gogc", None),
        ("runtime.gogc=50", "runtime.gogc", 50),
        ("$.runtime.gogc=50", "runtime.gogc", 50),
        ("gomemlimit=1.5GiB", "runtime.gomemlimit", 3 << 29),
        ("go=1.20", "runtime.go", "1.20"),
        ("runtime.go=1.20", "runtime.go", "1.20"),
        ("gomaxprocs=null", "runtime.gomaxprocs", None),
        ("assists=false", "runtime.assists", False),
        ("duration=2s", "run.duration", 2_000_000_000),
        ("cfs_quota=50ms", "machine.cfs_quota", 50_000_000),
        ("retained[0].entries=1000", "retained[0].entries", 1000),
        ("retained.index.entries=1e3", "retained[1].entries", 1000),
        ("requests.read.workers=4", "requests[0].workers", 4),
        ("requests.write.rate_per_s=99.5", "requests[1].rate_per_s", 99.5),
        ("requests[0].steps[0].ns=5us", "requests[0].steps[0].ns", 5000),
        ("requests[0].steps[0].cpu=5us", "requests[0].steps[0].ns", 5000),
        ("requests.read.steps[1].allocate.size=64", "requests[0].steps[1].size", 64),
        ("requests[0].steps[2].distribution.mean=7us", "requests[0].steps[2].distribution.mean", 7000.0),
        ("phases[0].entries.cache=9", "phases[0].entries['cache']", 9),
        ("phases[0].gogc=off", "phases[0].gogc", None),
        ("thresholds.num_gc=<5", "thresholds['num_gc']", "<5"),
        ("phases=[]", "phases", ()),
        ("description=a = b", "description", "a = b"),
    ],
)
def test_an_override_sets_one_field_and_leaves_the_rest(override: str, path: str, value: Any) -> None:
    changed = apply_overrides(SPEC, [override])
    assert value_at(changed, path) == value
    restored = SPEC.model_dump()
    section = path.split(".")[0].split("[")[0]
    assert {key: item for key, item in changed.model_dump().items() if key != section} == {
        key: item for key, item in restored.items() if key != section
    }


@pytest.mark.parametrize(
    ("override", "path", "part"),
    [
        ("gogcc=5", "$.gogcc", "did you mean gogc?"),
        ("runtime.gogcc=5", "$.runtime.gogcc", "did you mean gogc?"),
        ("retained.cash.entries=1", "$.retained.cash", "did you mean cache?"),
        ("retained[2].entries=1", "$.retained[2]", "cache, index"),
        ("requests[0].steps[9].ns=1", "$.requests[0].steps[9]", "[0]"),
        ("requests[0].steps[0].size=1", "$.requests[0].steps[0].size", "ns, distribution"),
        ("runtime.gogc.x=1", "$.runtime.gogc.x", "there is none"),
        ("retained.cache[0]=1", "$.retained[0][0]", "name, entries"),
        ("gogc", "$", "path=value"),
        ("=5", "$", "path=value"),
        ("a..b=5", "$", "path=value"),
        ("gogc={", "$.runtime.gogc", "indentation"),
        ("run={seed: 1, seed: 2}", "$.run.seed", "keep one"),
    ],
)
def test_an_override_that_names_nothing_is_refused(override: str, path: str, part: str) -> None:
    with pytest.raises(SpecError) as caught:
        apply_overrides(SPEC, [override])
    (problem,) = caught.value.problems
    assert problem.path == path
    assert part in problem.remedy


def test_all_unknown_paths_come_at_once() -> None:
    with pytest.raises(SpecError) as caught:
        apply_overrides(SPEC, ["gogcc=5", "gogc=50", "sed=1"])
    assert [problem.path for problem in caught.value.problems] == ["$.gogcc", "$.sed"]


def test_unknown_paths_and_bad_values_come_at_once_and_bring_no_other_problem() -> None:
    wrong = ["gogc=-4", "nonsense=3", "requests[0].steps[0].distribution.nope.rate=1"]
    with pytest.raises(SpecError) as caught:
        apply_overrides(SPEC, wrong)
    paths = [problem.path for problem in caught.value.problems]
    assert paths == ["$.nonsense", "$.requests[0].steps[0].distribution.nope", "$.runtime.gogc"]


def test_a_bad_value_is_a_problem_of_its_field() -> None:
    with pytest.raises(SpecError, match=r'\$\.runtime\.gogc: -5 is below 0; use "off" for GOGC=off'):
        apply_overrides(SPEC, ["gogc=-5"])
    with pytest.raises(SpecError, match=r"\$\.requests\[0\]\.rate_per_s: .*workers for a closed one"):
        apply_overrides(SPEC, ["requests.read.rate_per_s=5"])


def test_later_overrides_win_and_the_spec_is_untouched() -> None:
    before = SPEC.model_dump()
    assert apply_overrides(SPEC, ["gogc=50", "runtime.gogc=25"]).runtime.gogc == 25
    assert SPEC.model_dump() == before


def test_plain_data_may_leave_out_what_is_overridden() -> None:
    data = {"name": "a", "requests": [{"workers": 1, "steps": [{"cpu": "1us"}]}]}
    spec = apply_overrides(data, ["gogc=50", "requests[0].steps[0].cpu=2us", "requests[0].workers=3"])
    assert (spec.runtime.gogc, spec.requests[0].workers) == (50, 3)
    assert spec.requests[0].steps[0].ns == 2000  # type: ignore[union-attr]
    assert data["requests"][0]["workers"] == 1  # type: ignore[index]


def test_every_knob_has_a_short_name_of_its_own_and_a_field() -> None:
    assert len({knob.alias for knob in KNOBS}) == len({knob.path for knob in KNOBS}) == len(KNOBS)
    for knob in KNOBS:
        value_at(SPEC, knob.path)
        assert full_path(knob.alias) == knob.path
        assert knob.description
