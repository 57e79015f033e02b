"""JSON Schema of a spec as its author writes it: units in text, ``off``, short steps.

What spans several fields (names that must exist, fields that exclude each other) is beyond JSON Schema: an editor
that is content with a spec has checked its shape, ``gcsim validate-spec`` checks the rest.
"""

from __future__ import annotations

import copy
from typing import Any

from gcsim.spec.models import GO_RELEASES, Spec
from gcsim.spec.steps import SCALAR_FIELD, STEP_MODELS
from gcsim.units import SIZE_PATTERN, TIME_PATTERN

Json = dict[str, Any]

_CONDITION_PATTERN = r"^\s*(<=|>=|==|!=|<|>)\s*[0-9+-].*$"


def json_schema() -> Json:
    """The schema, as JSON Schema draft 2020-12."""
    schema = Spec.model_json_schema(mode="validation")
    definitions: dict[str, Json] = schema["$defs"]
    for name, pattern in (("Time", TIME_PATTERN), ("Size", SIZE_PATTERN)):
        definitions[f"{name}Distribution"] = _with_units(definitions["Distribution"], pattern)
    for definition in definitions.values():
        for field, name in (("distribution", "Time"), ("lifetime", "Time"), ("size_distribution", "Size")):
            if field in definition.get("properties", {}):
                _point_to(definition["properties"][field], f"#/$defs/{name}Distribution")
    del definitions["Distribution"]
    definitions["Step"] = {
        "description": "one step of a request: `- cpu: 10us`, `- allocate: {count: 4, size: 1KiB}` or with `kind:`",
        "anyOf": [form for kind in STEP_MODELS for form in _forms(kind, definitions)],
    }
    steps = definitions["RequestClass"]["properties"]["steps"]
    steps["items"] = {"$ref": "#/$defs/Step"}
    # Unquoted, an editor takes 1.20 for the number 1.2; gcsim takes it for the release that it says.
    numbers = [float(release) for release in GO_RELEASES if release.replace(".", "").isdigit()]
    definitions["RuntimeSettings"]["properties"]["go"]["enum"] = [*GO_RELEASES, *numbers]
    del definitions["RuntimeSettings"]["properties"]["go"]["type"]
    schema["properties"]["thresholds"]["additionalProperties"] = {
        "type": "string",
        "pattern": _CONDITION_PATTERN,
    }
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "gcsim spec"}
    return {**head, **_tidied(schema)}


# Pydantic's own words for bounds on a value that a function has converted first.
_BOUNDS = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum"}


def _tidied(schema: Json) -> Json:
    """Bounds in JSON Schema's words, names of maps checked, no titles that only repeat the field's name."""
    out: Json = {}
    for key, value in schema.items():
        if key in ("properties", "$defs", "patternProperties"):
            out[key] = {name: _tidied(field) for name, field in value.items()}
        elif key in ("anyOf", "oneOf", "prefixItems"):
            out[key] = [_tidied(branch) for branch in value]
        elif key in ("items", "additionalProperties") and isinstance(value, dict):
            out[key] = _tidied(value)
        elif key != "title":
            out[_BOUNDS.get(key, key)] = value
    if "patternProperties" in out:
        out["additionalProperties"] = False
    return out


def _with_units(distribution: Json, pattern: str) -> Json:
    """The schema of a distribution whose numbers may be text with a unit."""
    out = copy.deepcopy(distribution)
    text = {"type": "string", "pattern": pattern}
    for field in ("mean", "low", "high"):
        out["properties"][field]["anyOf"].append(text)
    values = out["properties"]["values"]
    values["items"] = {"anyOf": [values["items"], text]}
    return out


def _point_to(schema: Json, target: str) -> None:
    """Redirect every reference to a distribution within a field's schema."""
    if schema.get("$ref") == "#/$defs/Distribution":
        schema["$ref"] = target
    for branch in schema.get("anyOf", ()):
        _point_to(branch, target)


def _forms(kind: str, definitions: dict[str, Json]) -> list[Json]:
    """A kind's forms: with `kind:`, as a one-key mapping and, for some, with a lone value."""
    name = STEP_MODELS[kind].__name__
    explicit = definitions[name]
    explicit["required"] = ["kind", *explicit.get("required", ())]
    body = copy.deepcopy(explicit)
    body["required"].remove("kind")
    del body["properties"]["kind"]
    definitions[f"{name}Body"] = body
    bodies: list[Json] = [{"$ref": f"#/$defs/{name}Body"}]
    forms: list[Json] = [{"$ref": f"#/$defs/{name}"}]
    if kind in SCALAR_FIELD:
        bodies.append(_without_null(body["properties"][SCALAR_FIELD[kind]]))
    if not body["properties"]:
        bodies.append({"type": "null"})
        forms.append({"const": kind})
    short = {"properties": {kind: {"anyOf": bodies}}, "required": [kind], "additionalProperties": False}
    return [*forms, {"type": "object", **short}]


def _without_null(schema: Json) -> Json:
    out = {key: value for key, value in schema.items() if key != "default"}
    if "anyOf" in out:
        out["anyOf"] = [branch for branch in out["anyOf"] if branch.get("type") != "null"]
    return out
