"""Specs between messages and models.

The pydantic model is the truth: a message becomes the plain data that YAML would give, and is validated like it, so
problems have the same paths and words.  What corresponds to what is worked out from the names on both sides (a message's
field is the model's, with the unit at the end) and checked when this module is loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from google.protobuf.descriptor import EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message
from pydantic import BaseModel

from gcsim.api.v1 import (
    distribution_pb2,
    objects_pb2,
    settings_pb2,
    site_pb2,
    spec_pb2,
    steps_pb2,
    sweep_pb2,
    workload_pb2,
)
from gcsim.errors import InvariantError
from gcsim.spec import models
from gcsim.spec.check import is_profile_path
from gcsim.spec.load import spec_from_dict
from gcsim.spec.models import Spec
from gcsim.spec.steps import STEP_MODELS

if TYPE_CHECKING:
    from gcsim.datasets.stopping import StopRule

UNITS = ("", "_ns", "_bytes")
NOT_IN_API = {(models.RequestClass, "arrivals_csv")}
"""A file's name means nothing on another machine; the times themselves are sent."""
INLINE_PROFILE = "inline"
"""What `Machine.profile` says of a profile that came with the request."""
INLINE_FILE = "inline.yaml"
"""The same in a spec, where a file's name never enters the digest; there is no such file."""

MESSAGES: dict[type[BaseModel], str] = {models.Run: "RunSettings", models.Record: "RecordSettings"}
"""Models whose messages have another name, since Run is the resource."""

_OFF = {"GogcSetting": "percent", "MemoryLimitSetting": "limit_bytes", "CfsQuotaSetting": "quota_ns"}


@dataclass(frozen=True)
class _Pair:
    """A field of a model and of its message."""

    name: str
    field: FieldDescriptor


def pairs(model: type[BaseModel], descriptor: Any) -> list[_Pair]:
    """Fields of a model with those of its message; raises InvariantError if one side has more."""
    found = []
    for name in model.model_fields:
        if (model, name) in NOT_IN_API or (model in STEP_MODELS.values() and name == "kind"):
            continue
        field = next(
            (descriptor.fields_by_name[name + u] for u in UNITS if name + u in descriptor.fields_by_name),
            None,
        )
        if field is None:
            raise InvariantError(f"message {descriptor.name} has no field for {model.__name__}.{name}")
        found.append(_Pair(name, field))
    extra = set(descriptor.fields_by_name) - {pair.field.name for pair in found}
    if extra:
        raise InvariantError(f"message {descriptor.name} has fields without a model: {sorted(extra)}")
    return found


# ---- message -> plain data ---------------------------------------------------------------------------------


def spec_of(message: spec_pb2.Spec, *, profile: str | None = None) -> Spec:
    """The spec that a message says, validated.

    Args:
        profile: file of a machine profile that came along, instead of `machine.profile`.
    Raises:
        SpecError: with every problem, in the paths of YAML.
    """
    data = _plain(message)
    if profile is not None:
        data.setdefault("machine", {})["profile"] = profile
    return spec_from_dict(data)


def _plain(message: Message) -> dict[str, Any]:
    """A message as plain data, not validated; what is absent is left out."""
    out: dict[str, Any] = {}
    for pair in _PAIRS[message.DESCRIPTOR.name]:
        field = pair.field
        value = getattr(message, field.name)
        if field.is_repeated:
            if len(value):
                out[pair.name] = dict(value) if _is_map(field) else [_value(item, field) for item in value]
        elif message.HasField(field.name):
            converted = _value(value, field)
            if converted is not None:
                out[pair.name] = converted
    return out


def _value(value: Any, field: FieldDescriptor) -> Any:
    if field.enum_type is not None:
        return _word(value, field.enum_type)
    if field.message_type is None:
        return value
    special = _TO_PLAIN.get(field.message_type.name)
    return special(value) if special else _plain(value)


def _word(number: int, enum: EnumDescriptor) -> str | None:
    """The word of a YAML spec; None for "not said", text that no field takes for an unknown number."""
    if number == 0:
        return None
    value = enum.values_by_number.get(number)
    return f"unknown value {number}" if value is None else value.name.removeprefix(_prefix(enum)).lower()


def _prefix(enum: EnumDescriptor) -> str:
    """SHAPE_ of Shape: what the names of its values begin with."""
    return enum.values[0].name.removesuffix("UNSPECIFIED")


def _setting(value: Any) -> Any:
    which = value.WhichOneof("setting")
    if which == "off":
        return "off" if value.off else None
    return None if which is None else getattr(value, which)


def _lifetime(value: steps_pb2.Lifetime) -> Any:
    which = value.WhichOneof("lifetime")
    if which == "kind":
        return _word(value.kind, steps_pb2.LifetimeKind.DESCRIPTOR)
    return _plain(value.distribution) if which else None


def _rate(value: workload_pb2.PhaseRate) -> Any:
    which = value.WhichOneof("rate")
    return dict(value.by_class.per_s) if which == "by_class" else value.all_per_s if which else None


def _step(value: steps_pb2.Step) -> dict[str, Any]:
    """In the short form of YAML, so that paths read `steps[0].allocate.size`."""
    kind = value.WhichOneof("step")
    return {} if kind is None else {kind: _plain(getattr(value, kind))}


def _entries(value: workload_pb2.EntryCounts) -> dict[str, int]:
    return dict(value.entries)


def _is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry


_TO_PLAIN: dict[str, Callable[[Any], Any]] = {
    "GogcSetting": _setting,
    "MemoryLimitSetting": _setting,
    "CfsQuotaSetting": _setting,
    "Lifetime": _lifetime,
    "PhaseRate": _rate,
    "EntryCounts": _entries,
    "Step": _step,
}


# ---- model -> message --------------------------------------------------------------------------------------


def message_of(spec: Spec) -> spec_pb2.Spec:
    """The message of a spec, every field in full.  A profile that is a file becomes `inline`."""
    message = spec_pb2.Spec()
    _fill(message, spec)
    if is_profile_path(spec.machine.profile):
        message.machine.profile = INLINE_PROFILE
    return message


def rule_message(rule: StopRule | None) -> sweep_pb2.StopRule | None:
    """When the replications of a sweep's points are stopped early; None: never."""
    if rule is None:
        return None
    widths = [
        sweep_pb2.IntervalWidth(metric=metric, half_width_frac=width) for metric, width in rule.widths.items()
    ]
    return sweep_pb2.StopRule(least_replications=rule.least, widths=widths)


def _fill(message: Any, model: BaseModel) -> None:
    for pair in _PAIRS[message.DESCRIPTOR.name]:
        field, value = pair.field, getattr(model, pair.name)
        if field.is_repeated and _is_map(field):
            getattr(message, field.name).update(value)
        elif field.is_repeated and field.message_type is not None:
            for item in value:
                _put(getattr(message, field.name).add(), item)
        elif field.is_repeated:
            getattr(message, field.name).extend(
                _number(word, field.enum_type) if field.enum_type else word for word in value
            )
        elif field.message_type is not None:
            if field.message_type.name in _OFF:
                if value != "keep":
                    _put_setting(getattr(message, field.name), value)
            elif value is not None:
                _put(getattr(message, field.name), value)
        elif value is not None:
            setattr(message, field.name, _number(value, field.enum_type) if field.enum_type else value)


def _put(message: Any, value: Any) -> None:
    name = message.DESCRIPTOR.name
    if name == "Step":
        step = getattr(message, value.kind)
        step.SetInParent()  # a step without fields is there too
        _fill(step, value)
    elif name == "Lifetime":
        if isinstance(value, str):
            message.kind = _number(value, steps_pb2.LifetimeKind.DESCRIPTOR)
        else:
            _fill(message.distribution, value)
    elif name == "PhaseRate":
        if isinstance(value, dict):
            message.by_class.SetInParent()
            message.by_class.per_s.update(value)
        else:
            message.all_per_s = value
    elif name == "EntryCounts":
        message.SetInParent()
        message.entries.update(value)
    else:
        message.SetInParent()
        _fill(message, value)


def _put_setting(message: Any, value: int | None) -> None:
    if value is None:
        message.off = True
    else:
        setattr(message, _OFF[message.DESCRIPTOR.name], value)


def _number(word: str, enum: EnumDescriptor) -> int:
    return int(enum.values_by_name[_prefix(enum) + word.upper()].number)


# ---- what corresponds to what ------------------------------------------------------------------------------


def _models() -> Iterator[tuple[str, type[BaseModel]]]:
    """Message name -> model, for every message that mirrors a model."""
    every: tuple[type[BaseModel], ...] = (
        Spec, models.RuntimeSettings, models.Generational, models.Machine, models.Run, models.Record, models.Globals, models.IdleGoroutines,
        models.AllocationSite, models.RetainedSet, models.MapTable, models.ObjectGroup, models.RequestClass, models.Phase, *STEP_MODELS.values(),
    )  # fmt: skip
    for model in every:
        yield MESSAGES.get(model, model.__name__), model
    yield "TimeDistribution", models.Distribution
    yield "SizeDistribution", models.Distribution


def _descriptor(name: str) -> Any:
    for module in (
        spec_pb2,
        settings_pb2,
        site_pb2,
        workload_pb2,
        objects_pb2,
        steps_pb2,
        distribution_pb2,
    ):
        if name in module.DESCRIPTOR.message_types_by_name:
            return module.DESCRIPTOR.message_types_by_name[name]
    raise InvariantError(f"there is no message {name}")


_PAIRS = {name: pairs(model, _descriptor(name)) for name, model in _models()}
assert set(STEP_MODELS) == set(steps_pb2.Step.DESCRIPTOR.fields_by_name)
