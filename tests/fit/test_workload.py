"""Specs as workloads of the Go program: the inverse of reading records, and refusals that name every field."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from gcsim.errors import Problem, SpecError
from gcsim.fit.workload import workload_from_spec
from gcsim.spec.load import spec_from_dict
from gcsim.spec.models import Spec
from gcsim.spec.records import spec_from_record
from tests.strategies import specs

RECORDED: dict[str, Any] = json.loads(
    (Path(__file__).parents[1] / "spec" / "data" / "record_headers.json").read_text()
)
SPEC = {
    "name": "small",
    "run": {"duration": "1s"},
    "retained": [
        {
            "name": "things",
            "entries": 1000,
            "objects": [
                {"size": 32, "pointer_words": 2, "shape": "slice"},
                {"count": 7, "size": 64, "pointer_words": 2},
            ],
        }
    ],
    "requests": [
        {
            "workers": 2,
            "steps": [{"kind": "cpu", "ns": 20_000}, {"kind": "allocate", "count": 4, "size": 1024}],
        }
    ],
}


def changed(**sections: Any) -> dict[str, Any]:
    return {**SPEC, **sections}


def requests(*steps: dict[str, Any], **fields: Any) -> list[dict[str, Any]]:
    return [{"workers": 2, "steps": list(steps), **fields}]


@pytest.mark.parametrize("case", RECORDED)
def test_every_recorded_program_comes_back(case: str) -> None:
    """The workload found in a spec makes that spec again; nothing needs adapting."""
    header = RECORDED[case]
    spec = spec_from_record(header["workload"], header["settings"])
    found = workload_from_spec(spec, go=header["settings"]["go"], cores=2)
    assert found.notes == ()
    assert spec_from_record(found.workload, found.settings) == spec


def test_a_spec_of_ones_own_is_adapted_and_told_so() -> None:
    found = workload_from_spec(spec_from_dict(SPEC), go="1.27.3", cores=2)
    assert found.workload["cache_entries"] == 1000
    assert found.workload["chain_nodes"] == 7
    assert found.workload["tree_shaped"]
    assert found.workload["garbage"] == [{"kind": "bytes", "size": 1024, "count": 4.0}]
    assert found.workload["spin_ns"] == 20_000
    assert found.settings == {"go": "1.27.3", "procs": 2, "cores": 2, "gogc": "100", "memlimit": ""}
    assert spec_from_record(found.workload, {**found.settings, "cores": 8}).machine.cores == 8
    assert [note.split()[0] for note in found.notes] == ["keeps", "computes", "allocates"]


@pytest.mark.parametrize(
    ("spec", "paths"),
    [
        (changed(runtime={"go": "1.22"}), ["$.runtime.go"]),
        (changed(machine={"cores": 64}), ["$.machine.cores"]),
        (changed(run={"duration": "1s", "warm_up": "100ms"}), ["$.run.warm_up"]),
        (changed(runtime={"assists": False}), ["$.runtime.assists"]),
        (changed(globals={"scan_bytes": "4MiB"}), ["$.globals.scan_bytes"]),
        (
            changed(idle_goroutines={"count": 5, "stack_used_bytes": 5000}),
            ["$.idle_goroutines.stack_used_bytes"],
        ),
        (
            changed(requests=requests({"kind": "lock", "name": "m", "hold_ns": 10})),
            ["$.requests[0].steps[0]"],
        ),
        (
            changed(
                requests=requests({"kind": "cpu", "ns": 5}, {"kind": "gc"}, {"kind": "syscall", "ns": 5})
            ),
            ["$.requests[0].steps[1]", "$.requests[0].steps[2]"],
        ),
        (
            changed(
                requests=requests({"kind": "cpu", "distribution": {"kind": "exponential", "mean": 1000}}),
            ),
            ["$.requests[0].steps[0]"],
        ),
        (
            changed(requests=requests({"kind": "allocate", "size": 100, "pointer_words": 3})),
            ["$.requests[0].steps[0]"],
        ),
        (
            changed(requests=requests({"kind": "allocate", "size": 100, "lifetime": "temporary"})),
            ["$.requests[0].steps[0].lifetime"],
        ),
        (
            changed(
                requests=requests(
                    {"kind": "leak", "size": 8}, {"kind": "replace", "set": "things", "count": 1}
                )
            ),
            ["$.requests[0].steps"],
        ),
        (
            changed(
                requests=[*requests({"kind": "cpu", "ns": 5}), {"name": "b", **requests({"kind": "gc"})[0]}]
            ),
            ["$.requests[1]"],
        ),
        (
            changed(
                requests=[{"rate_per_s": 100, "arrivals": "constant", "steps": [{"kind": "cpu", "ns": 5}]}]
            ),
            ["$.requests[0].arrivals", "$.requests[0].dispatcher"],
        ),
        (
            changed(retained=[*SPEC["retained"], {"name": "more", "entries": 5}]),  # type: ignore[misc]
            ["$.retained[1]"],
        ),
        (
            changed(retained=[{"name": "t", "entries": 5, "objects": [{"count": 3, "size": 48}]}]),
            None,  # several fields of the entry's objects
        ),
        (changed(phases=[{"duration": "1s", "gogc": 50}]), ["$.phases[0].gogc"]),
    ],
)
def test_every_field_that_the_program_cannot_do_is_named(
    spec: dict[str, Any], paths: list[str] | None
) -> None:
    with pytest.raises(SpecError) as caught:
        workload_from_spec(spec_from_dict(spec), go="1.27.3", cores=2)
    found = [problem.path for problem in caught.value.problems]
    if paths is None:
        assert all(path.startswith("$.retained[0].objects[0].") for path in found)
    else:
        assert found == paths
    assert all(problem.message and problem.remedy for problem in caught.value.problems)


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(specs())
def test_any_spec_is_either_translated_or_refused_by_name(spec: Spec) -> None:
    refused: tuple[Problem, ...] = ()
    try:
        found = workload_from_spec(spec, go=f"{spec.runtime.go}.1", cores=spec.machine.cores)
    except SpecError as error:
        refused = error.problems
    if refused:
        assert all(problem.path.startswith("$") and problem.remedy for problem in refused)
    else:
        again = spec_from_record(found.workload, found.settings)
        assert (
            workload_from_spec(again, go=found.settings["go"], cores=again.machine.cores).workload
            == found.workload
        )


def test_stopping_the_world_is_a_setting_of_the_program() -> None:
    for sweep, mode in ((False, 1), (True, 2)):
        runtime = {"collector": "stop_the_world", "stop_the_world_sweep": sweep}
        found = workload_from_spec(spec_from_dict(changed(runtime=runtime)), go="1.27.3", cores=2)
        assert found.settings["gcstoptheworld"] == mode
        back = spec_from_record(found.workload, found.settings).runtime
        assert (back.collector, back.stop_the_world_sweep) == ("stop_the_world", sweep)


def test_generations_are_refused_by_name_since_go_has_none() -> None:
    spec = spec_from_dict(changed(runtime={"collector": "generational"}))
    with pytest.raises(SpecError) as error:
        workload_from_spec(spec, go="1.27.3", cores=2)
    assert [problem.path for problem in error.value.problems] == ["$.runtime.collector"]
