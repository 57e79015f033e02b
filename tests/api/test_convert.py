"""The .proto files mirror the spec's models: nothing on one side that is not on the other."""

import math
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
from google.protobuf.descriptor import FieldDescriptor
from hypothesis import given, settings
from pydantic import BaseModel

from gcsim.api import convert
from gcsim.api.v1 import spec_pb2
from gcsim.errors import SpecError
from gcsim.spec import models
from gcsim.spec.digest import canonical_json
from gcsim.spec.load import load_spec, spec_from_dict
from tests.strategies import specs

WORKLOADS = sorted((Path(__file__).parents[2] / "workloads").glob("*.yaml"))


def leaves(annotation: Any) -> set[Any]:
    """Plain types, models and Literals inside an annotation."""
    if get_origin(annotation) is Literal:
        return {annotation}
    arguments = [a for a in get_args(annotation) if not isinstance(a, str)]
    if hasattr(annotation, "__metadata__"):
        return leaves(annotation.__origin__)
    return set().union(*map(leaves, arguments)) if arguments else {annotation}


FIELDS = [(name, pair) for name, pairs in convert._PAIRS.items() for pair in pairs]
MODEL_OF = dict(convert._models())
WIRE = {int: FieldDescriptor.TYPE_INT64, float: FieldDescriptor.TYPE_DOUBLE, bool: FieldDescriptor.TYPE_BOOL, str: FieldDescriptor.TYPE_STRING}  # fmt: skip


@pytest.mark.parametrize(("message", "pair"), FIELDS, ids=[f"{name}.{pair.name}" for name, pair in FIELDS])
def test_field_has_the_same_type_on_both_sides(message: str, pair: Any) -> None:
    field = pair.field
    types = leaves(MODEL_OF[message].model_fields[pair.name].annotation)
    literals = {word for t in types if get_origin(t) is Literal for word in get_args(t)}
    if field.enum_type is not None:
        words = {
            v.name.removeprefix(convert._prefix(field.enum_type)).lower() for v in field.enum_type.values
        }
        assert words == {"unspecified", *literals}
    elif field.message_type is None:
        plain = {t for t in types if t in WIRE} or {type(word) for word in literals}
        assert {WIRE[t] for t in plain} == {field.type}
    elif not convert._is_map(field):
        model_types = {t for t in types if isinstance(t, type) and issubclass(t, BaseModel)}
        if field.message_type.name in convert._PAIRS:
            assert {MODEL_OF[field.message_type.name]} == model_types
        else:
            assert field.message_type.name in convert._TO_PLAIN
    if not field.is_repeated:
        assert field.has_presence, "absent and 0 differ"


def test_no_model_without_a_message() -> None:
    every = {m for m in vars(models).values() if isinstance(m, type) and issubclass(m, models.Model)}
    assert every - {models.Model} == set(MODEL_OF.values())


def test_a_field_that_one_side_lacks_is_noticed() -> None:
    with pytest.raises(Exception, match="no field for Machine"):
        convert.pairs(models.Machine, convert._descriptor("RunSettings"))


def assert_same(spec: models.Spec) -> None:
    message = spec_pb2.Spec.FromString(convert.message_of(spec).SerializeToString())
    assert canonical_json(convert.spec_of(message)) == canonical_json(spec)


@pytest.mark.parametrize("path", WORKLOADS, ids=lambda p: p.stem)
def test_shipped_workloads_come_through_unchanged(path: Path) -> None:
    assert_same(load_spec(path))


@settings(derandomize=True, max_examples=30, deadline=None)
@given(specs())
def test_any_spec_comes_through_unchanged(spec: models.Spec) -> None:
    assert_same(spec)


def test_problems_have_the_paths_and_words_of_yaml() -> None:
    message = spec_pb2.Spec(name="Bad Name")
    message.run.duration_ns = -1
    message.runtime.gogc.percent = -5
    request = message.requests.add(rate_per_s=math.nan)
    request.steps.add().allocate.size_bytes = 0
    request.steps.add().cpu.distribution.mean_ns = math.inf
    request.steps.add()
    message.retained.add(name="cache", entries=2**62).objects.add(shape=99, size_bytes=8)
    with pytest.raises(SpecError) as over_grpc:
        convert.spec_of(message)
    nan, inf = math.nan, math.inf
    written: dict[str, Any] = {
        "name": "Bad Name", "run": {"duration": -1}, "runtime": {"gogc": -5},
        "requests": [{"rate_per_s": nan, "steps": [{"allocate": {"size": 0}}, {"cpu": {"distribution": {"mean": inf}}}, {}]}],
        "retained": [{"name": "cache", "entries": 2**62, "objects": [{"shape": "unknown value 99", "size": 8}]}],
    }  # fmt: skip
    with pytest.raises(SpecError) as in_yaml:
        spec_from_dict(written)
    assert over_grpc.value.problems == in_yaml.value.problems
    assert {problem.path for problem in over_grpc.value.problems} >= {
        "$.name", "$.run.duration", "$.runtime.gogc", "$.requests[0].rate_per_s", "$.requests[0].steps[0].allocate.size",
        "$.requests[0].steps[1].cpu.distribution.mean", "$.requests[0].steps[2]", "$.retained[0].entries",
        "$.retained[0].objects[0].shape",
    }  # fmt: skip
