"""``--set path=value``: change any field of a spec, by its full path or by a short name."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gcsim.errors import Problem, SpecError
from gcsim.spec.check import SpecPath, did_you_mean, path_text
from gcsim.spec.load import spec_from_dict
from gcsim.spec.models import Spec
from gcsim.spec.problems import fields_at
from gcsim.spec.steps import SCALAR_FIELD, STEP_MODELS, expand_steps
from gcsim.spec.yaml_text import read_yaml


@dataclass(frozen=True)
class Knob:
    """A short name for a field of the spec."""

    alias: str
    path: str
    description: str


KNOBS = (
    Knob("go", "runtime.go", "Go release profile"),
    Knob("gogc", "runtime.gogc", "GOGC in percent, or off"),
    Knob("gomemlimit", "runtime.gomemlimit", "GOMEMLIMIT, or off"),
    Knob("gomaxprocs", "runtime.gomaxprocs", "GOMAXPROCS; null: the release's own rule"),
    Knob("assists", "runtime.assists", "what-if: false switches mark assists off"),
    Knob("idle_workers", "runtime.idle_workers", "what-if: false switches idle mark workers off"),
    Knob("collector", "runtime.collector", "concurrent (Go's), or a what-if: stop_the_world, generational"),
    Knob("nursery", "runtime.generational.nursery", "what-if: nursery of the collector generational"),
    Knob(
        "promotion_age",
        "runtime.generational.promotion_age",
        "what-if: minor collections that an object of the collector generational survives before it is old",
    ),
    Knob("profile", "machine.profile", "machine profile"),
    Knob("cores", "machine.cores", "CPUs of the machine"),
    Knob("cfs_quota", "machine.cfs_quota", "CPU time per cfs_period, or off"),
    Knob("cfs_period", "machine.cfs_period", "period of the CPU quota"),
    Knob("duration", "run.duration", "length of the load phase"),
    Knob("warm_up", "run.warm_up", "first part of the load phase that metrics leave out"),
    Knob("seed", "run.seed", "seed of every random stream"),
    Knob("replications", "run.replications", "number of runs with seeds of their own"),
)
"""Short names of fields, in the order in which they are listed."""

_ALIASES = {knob.alias: knob.path for knob in KNOBS}
_PART = re.compile(r"([^.\[\]]+)|\[([0-9]{1,9})\]")
_PATH = re.compile(r"[^.\[\]]+(?:\[[0-9]{1,9}\]|\.[^.\[\]]+)*")


def full_path(path: str) -> str:
    """``gogc`` -> ``runtime.gogc``; a full path, with or without ``$.``, is itself."""
    path = path.strip().removeprefix("$.")
    return _ALIASES.get(path, path)


def apply_overrides(data_or_spec: Spec | Mapping[str, Any], overrides: Sequence[str]) -> Spec:
    """A spec with fields replaced.

    Args:
        data_or_spec: a spec, or its plain data.
        overrides: each ``path=value``.  A path is a short name of KNOBS or a full path such as
            ``requests[0].workers``; members of lists that have a name go by it too (``retained.cache.entries``).
            A value is YAML text.
    Raises:
        SpecError: with every unknown path, unreadable value and problem of the resulting spec.
    """
    if isinstance(data_or_spec, Spec):
        data: Any = data_or_spec.model_dump(mode="json")
    else:
        data = expand_steps(data_or_spec)[0]
        if not overrides or not isinstance(data, Mapping):
            return spec_from_dict(data_or_spec)
        data = _plain_copy(data)
    problems: list[Problem] = []
    for override in overrides:
        path, equals, text = override.partition("=")
        path = full_path(path)
        try:
            if not equals or not _PATH.fullmatch(path):
                message = "is no override" if not equals else "is no path"
                remedy = "write path=value, such as runtime.gogc=50 or requests[0].workers=4"
                raise SpecError([Problem(path="$", value=repr(override), message=message, remedy=remedy)])
            parts: list[str | int] = [name or int(index) for name, index in _PART.findall(path)]
            place, at = _find(data, parts)
            document = read_yaml(text, at=at)
            if document.problems:
                raise SpecError(document.problems)
            place[at[-1]] = document.data
        except SpecError as error:
            problems += error.problems
    if not problems:
        return spec_from_dict(data)
    try:
        spec_from_dict(data)  # what is wrong with the other values is said too
    except SpecError as error:
        problems += error.problems
    raise SpecError(problems, source="--set")


def value_at(spec: Spec, path: str) -> Any:
    """The resolved value of a field as plain data: ``off`` where it is off, None where it is not set.

    Args:
        path: as in `apply_overrides`.
    Raises:
        SpecError: there is no such field.
    """
    path = full_path(path)
    if not _PATH.fullmatch(path):
        raise SpecError([Problem(path="$", value=repr(path), message="is no path")])
    parts: list[str | int] = [name or int(index) for name, index in _PART.findall(path)]
    place, at = _find(spec.model_dump(mode="json"), parts)
    return place[at[-1]]


def _plain_copy(data: Any) -> Any:
    if isinstance(data, Mapping):
        return {key: _plain_copy(value) for key, value in data.items()}
    return [_plain_copy(value) for value in data] if isinstance(data, list | tuple) else data


def _find(data: dict[str, Any], parts: list[str | int]) -> tuple[Any, SpecPath]:
    """The container of the field that a path names, and the path in full.  Absent mappings are made on the way."""
    here: Any = data
    at: SpecPath = ()
    made: tuple[dict[Any, Any], str | int] | None = None
    for position, part in enumerate(parts):
        last = position == len(parts) - 1
        if isinstance(here, Mapping) and here.get("kind") in STEP_MODELS and part == here["kind"]:
            if not last:
                continue  # steps[0].cpu.ns for steps[0].ns
            part = SCALAR_FIELD.get(here["kind"], part)  # steps[0].cpu=10us
        try:
            key = _key(here, at, part, data)
        except SpecError:
            if made:
                made[0].pop(made[1])  # a path that leads nowhere leaves nothing behind
            raise
        at = (*at, key)
        if last:
            return here, at
        if isinstance(here, dict) and here.get(key) is None:
            here[key] = {}
            made = made or (here, key)
        here = here[key]
    raise AssertionError("a path has at least one part")


def _key(here: Any, at: SpecPath, part: str | int, data: Any) -> str | int:
    """The key or index that a part of a path means.

    Raises:
        SpecError: there is no such thing.
    """
    if isinstance(here, list):
        if isinstance(part, int) and part < len(here):
            return part
        names: dict[str, int] = {}
        for index, item in enumerate(here):
            # keep and drop only refer to a step by its name.
            if isinstance(item, Mapping) and item.get("name") and item.get("kind") not in ("keep", "drop"):
                names.setdefault(str(item["name"]), index)
        if part in names:
            return names[str(part)]
        known = list(names) or [f"[{index}]" for index in range(len(here))]
    elif isinstance(here, Mapping):
        known = fields_at(at, data)
        if isinstance(part, str) and (part in known or not known):
            return part  # where no field is known, the keys are names: the rules check them
        if not at:
            known = [*known, *_ALIASES]
    else:
        known = []
    raise SpecError(
        [Problem(path_text((*at, part)), message="unknown field", remedy=did_you_mean(str(part), known))]
    )
