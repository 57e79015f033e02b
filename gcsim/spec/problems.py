"""What pydantic found wrong, in the words of a spec's author: path, value, message, remedy."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from gcsim.errors import Problem
from gcsim.spec.check import SpecPath, did_you_mean, path_text, shown
from gcsim.spec.models import Spec
from gcsim.spec.steps import STEP_MODELS, Rewritten

# Remedies that depend on the field, for problems of range and type.
_FIELD_REMEDY = {
    "gogc": 'use "off" for GOGC=off',
    "gomemlimit": 'use "off" for no limit',
    "cfs_quota": 'use "off" for no quota',
    "go": 'put the release in quotes: "1.27"',
    "name": "write lower-case letters, digits, - and _, beginning with a letter, at most 63",
    "set": "write lower-case letters, digits, - and _, beginning with a letter",
    "pool": "write lower-case letters, digits, - and _, beginning with a letter",
    "steps": "write a list of one step or more, such as `- cpu: 10us`",
}
# A number of a distribution may be text with a unit; by the field that holds the distribution.
_UNIT_REMEDY = {
    "distribution": "write a time such as 10us",
    "lifetime": "write a time such as 10ms",
    "size_distribution": "write a size such as 4KiB",
}
_NOT_A = {
    "int_type": "is not a whole number",
    "int_parsing": "is not a whole number",
    "int_from_float": "is not a whole number",
    "float_type": "is not a number",
    "float_parsing": "is not a number",
    "finite_number": "is not a finite number",
    "bool_type": "is neither true nor false",
    "bool_parsing": "is neither true nor false",
    "string_type": "is not text",
    "string_pattern_mismatch": "is not a name",
    "tuple_type": "is not a list",
    "dict_type": "is not a mapping of fields",
    "model_type": "is not a mapping of fields",
    "model_attributes_type": "is not a mapping of fields",
    "union_tag_not_found": "is not a step",
}


def problems_of(
    error: ValidationError, data: Any, rewritten: Rewritten, lines: Mapping[SpecPath, int]
) -> list[Problem]:
    """Every problem of a failed validation of ``data``, once per place.

    A field with several types makes pydantic report the failure of each; the one that says most is kept.
    """
    found: dict[SpecPath, Problem] = {}
    for detail in sorted(error.errors(include_url=False), key=_how_vague):
        if detail["type"] == "inconsistent":
            continue  # the same rules ran over the data and say more
        if detail["type"] == "too_short" and len(detail["input"]) >= detail["ctx"]["min_length"]:
            continue  # pydantic counts the items that are right; those that are wrong are reported themselves
        path, of_union = _path_in(data, detail)
        if of_union and any(path[: len(other)] == other or other[: len(path)] == path for other in found):
            continue
        blamed = str(detail.get("ctx", {}).get("at", ""))
        place = (*path, blamed) if blamed else path
        found.setdefault(place, _problem(detail, place, rewritten.written(place), data, lines))
    return list(found.values())


def _how_vague(detail: ErrorDetails) -> int:
    """Of a union's failures: a bad value says more than a wrong word, a wrong word more than a wrong type."""
    if detail["type"] in ("model_type", "model_attributes_type", "dict_type"):
        return 2
    return 1 if detail["type"] == "literal_error" else 0


def line_of(path: SpecPath, lines: Mapping[SpecPath, int]) -> int | None:
    """The line of a place, or of the nearest thing around it that stands in the text."""
    for length in range(len(path), -1, -1):
        if path[:length] in lines:
            return lines[path[:length]]
    return None


def _path_in(data: Any, detail: ErrorDetails) -> tuple[SpecPath, bool]:
    """The error's place in the data, and whether it is one of several types that the place may have.

    Pydantic's own place also has the tags of steps and the names of union members.
    """
    path: list[str | int] = []
    of_union = False
    here = data
    loc = detail["loc"]
    for position, part in enumerate(loc):
        if isinstance(part, int) and isinstance(here, list | tuple) and part < len(here):
            here = here[part]
        elif isinstance(here, Mapping) and here.get("kind") == part and position + 1 < len(loc):
            continue  # the tag of a step
        elif isinstance(here, Mapping) and part in here:
            here = here[part]
        elif detail["type"] != "missing" or position != len(loc) - 1:
            of_union = of_union or part not in STEP_MODELS
            continue
        path.append(part)
    return tuple(path), of_union or detail["type"] == "literal_error"


def _at(data: Any, path: SpecPath) -> Any:
    """The value as written, before units were converted."""
    for part in path:
        data = data[part]
    return data


def _problem(
    detail: ErrorDetails, path: SpecPath, written: SpecPath, data: Any, lines: Mapping[SpecPath, int]
) -> Problem:
    field = str(path[-1]) if path else ""
    value = "" if detail["type"] in ("missing", "rule", "extra_forbidden") else shown(_at(data, path))
    message, remedy = _words(detail, path, field, data)
    return Problem(
        path=path_text(written), line=line_of(written, lines), value=value, message=message, remedy=remedy
    )


def _words(detail: ErrorDetails, path: SpecPath, field: str, data: Any) -> tuple[str, str]:
    kind, ctx = detail["type"], detail.get("ctx", {})
    hint = _FIELD_REMEDY.get(field, "")
    if kind == "rule":
        return str(ctx["message"]), str(ctx["remedy"])
    if kind == "value_error":
        message, _, remedy = str(ctx["error"]).partition("; ")
        return message.removeprefix(f"{detail['input']!r} "), remedy
    if kind == "missing":
        return "is missing", f"add {path[-1]}"
    if kind == "extra_forbidden":
        known = fields_at(path[:-1], data)
        return "unknown field", did_you_mean(str(path[-1]), known)
    if kind in ("literal_error", "enum"):
        known = [word.strip("'") for word in str(ctx["expected"]).replace(" or ", ", ").split(", ")]
        return "is not one of the allowed words", did_you_mean(str(detail["input"]), known)
    for bound, word, advice in (
        ("ge", "is below", "at least"),
        ("gt", "is not above", "more than"),
        ("le", "is above", "at most"),
        ("lt", "is not below", "less than"),
    ):
        if bound in ctx:
            return (
                f"{word} {_plain(ctx[bound])}",
                hint if bound == "ge" and hint else f"write {advice} {_plain(ctx[bound])}",
            )
    if kind in ("too_short", "too_long"):
        most = ctx.get("max_length", ctx.get("min_length"))
        return (
            f"has {ctx['actual_length']} items",
            hint or f"write at {'most' if kind == 'too_long' else 'least'} {most}",
        )
    if kind.startswith("float") and isinstance(detail["input"], str) and len(path) > 1:
        hint = _UNIT_REMEDY.get(str(path[-2]), hint)
    return _NOT_A.get(kind, detail["msg"]), hint or _remedy_for(kind)


def _plain(bound: object) -> str:
    return f"{bound:,}".removesuffix(".0") if isinstance(bound, int | float) else str(bound)


def _remedy_for(kind: str) -> str:
    if kind.startswith(("int", "float", "finite")):
        return "write a plain number, without quotes"
    if kind.startswith("bool"):
        return "write true or false"
    return {"string": "put it in quotes", "tuple_": "write a list, each item after a dash"}.get(
        kind[:6], "write its fields, each with a colon and a value"
    )


def fields_at(path: SpecPath, data: Any) -> list[str]:
    """Names of the fields that the model at a place of the data has."""
    candidates: list[type[BaseModel]] = [Spec]
    here = data
    for part in path:
        here = here[part]
        if isinstance(part, int):
            continue
        candidates = [
            inner
            for model in candidates
            if part in model.model_fields
            for inner in _models_in(model.model_fields[part].annotation)
        ]
        # the annotation of `steps` holds every kind of step; the data says which one is meant
    kind = here.get("kind") if isinstance(here, Mapping) else None
    named = [
        model
        for model in candidates
        if kind in get_args(getattr(model.model_fields.get("kind"), "annotation", None))
    ]
    return [name for model in (named or candidates[:1]) for name in model.model_fields]


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in _parts(annotation):
        yield from _models_in(part)


def _parts(annotation: Any) -> Iterable[Any]:
    return [part for part in get_args(annotation) if not isinstance(part, str)]
