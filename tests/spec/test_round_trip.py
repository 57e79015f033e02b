"""A spec survives being written and read, in every notation."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings

from gcsim.spec.digest import canonical_json, run_id
from gcsim.spec.load import dump_spec, parse_spec, spec_from_dict
from gcsim.spec.models import Spec
from gcsim.spec.overrides import apply_overrides
from gcsim.spec.steps import STEP_MODELS
from tests.strategies import SETS, spec_data, specs, steps


@settings(max_examples=40)
@given(specs())
def test_a_spec_written_as_yaml_reads_back_equal(spec: Spec) -> None:
    assert parse_spec(dump_spec(spec)) == spec


@settings(max_examples=40)
@given(specs())
def test_a_spec_survives_json_and_has_the_same_name_after_it(spec: Spec) -> None:
    again = spec_from_dict(json.loads(spec.model_dump_json()))
    assert again == spec
    assert canonical_json(again) == canonical_json(spec)
    assert run_id(again, "profile", "1") == run_id(spec, "profile", "1")


@settings(max_examples=40)
@given(spec_data())
def test_short_and_explicit_steps_mean_the_same(data: dict[str, Any]) -> None:
    short = {
        **data,
        "requests": [
            {**request, "steps": [_shortened(step) for step in request["steps"]]}
            for request in data["requests"]
        ],
    }
    assert spec_from_dict(short) == spec_from_dict(data)


def _shortened(step: dict[str, Any]) -> dict[str, Any]:
    return {step["kind"]: {key: value for key, value in step.items() if key != "kind"}}


@settings(max_examples=30)
@given(specs())
def test_overriding_a_field_with_its_own_value_changes_nothing(spec: Spec) -> None:
    assert apply_overrides(spec, []) == spec
    assert apply_overrides(spec, [f"seed={spec.run.seed}", f"run.duration={spec.run.duration}"]) == spec


def test_the_strategy_draws_every_kind_of_step() -> None:
    kinds: set[str] = set()

    @settings(max_examples=300, database=None, derandomize=True)
    @given(steps(SETS))
    def collect(drawn: list[dict[str, Any]]) -> None:
        kinds.update(step["kind"] for step in drawn)

    collect()
    assert kinds == set(STEP_MODELS)
