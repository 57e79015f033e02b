"""JSON Schema of specs: content with what loads, and not with what has another shape."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from jsonschema import Draft202012Validator

from gcsim.spec.load import dump_spec
from gcsim.spec.models import Spec
from gcsim.spec.schema import json_schema
from gcsim.spec.yaml_text import read_yaml
from tests.spec.test_load import BAD, LOOP, SHORT
from tests.strategies import spec_data, specs

SCHEMA = json_schema()
VALIDATOR = Draft202012Validator(SCHEMA)
WORKLOADS = sorted((Path(__file__).parents[2] / "workloads").glob("*.yaml"))


def valid(data: Any) -> bool:
    return bool(VALIDATOR.is_valid(data))


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("path", WORKLOADS, ids=lambda path: path.stem)
def test_workloads_are_valid_by_any_yaml_reader(path: Path) -> None:
    assert valid(read_yaml(path.read_text()).data)
    assert valid(yaml.safe_load(path.read_text()))  # YAML 1.1: off is false


@pytest.mark.parametrize("step", SHORT)
def test_short_steps_are_valid(step: str) -> None:
    assert valid(read_yaml(LOOP + f"  - {step}").data)


@settings(max_examples=20)
@given(spec_data())
def test_random_specs_are_valid(data: dict[str, Any]) -> None:
    assert valid(data)


@settings(max_examples=20)
@given(specs())
def test_dumped_specs_are_valid(spec: Spec) -> None:
    assert valid(yaml.safe_load(dump_spec(spec)))


# What JSON Schema cannot see: rules between fields, and what a YAML reader has dropped.
BEYOND = {
    "set", "no sets", "two sets", "two classes", "pool", "pool sizes", "phase set", "phase class",
    "phase of a closed loop", "neither", "both", "pointers", "subtree of nothing", "parameter", "superfluous",
    "weights", "no weight", "uniform", "no arrivals", "two loops", "no times", "stray times", "rate of a recording",
    "order", "warm-up", "warm-up of the default", "rows", "quota", "too much", "bound", "profile", "files",
    "profile file", "huge size", "huge time", "duplicate", "deep duplicate", "tag", "python tag", "no YAML", "tab",
    "two documents", "empty", "nan", "site", "site construct", "site sizes", "site without size", "two sites",
    "site pointers",
}  # fmt: skip


@pytest.mark.parametrize("case", sorted(set(BAD) - BEYOND))
def test_specs_of_another_shape_are_not_valid(case: str) -> None:
    assert not valid(read_yaml(BAD[case][0]).data)


def test_every_field_is_described() -> None:
    models = {name: model for name, model in SCHEMA["$defs"].items() if "properties" in model}
    undescribed = [
        f"{name}.{field}"
        for name, model in {"Spec": SCHEMA, **models}.items()
        for field, schema in model["properties"].items()
        if field != "kind" and not schema.get("description")
    ]
    assert not undescribed
