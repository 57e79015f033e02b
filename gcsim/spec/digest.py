"""Names for runs, from what they simulate: the same input has the same name, anywhere and at any time.

Names of files never enter, contents do: recorded arrival times are in the spec, and the profile comes as text.
The name of a shipped profile is no file's and stays.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from gcsim.spec.check import is_profile_path
from gcsim.spec.models import Generational, Spec

# Fields that came later: where they say nothing they are left out, so that older specs keep their names.
_LATER: dict[str, Any] = {"sites": []}
_LATER_IN_RUNTIME: dict[str, Any] = {
    "collector": "concurrent",
    "stop_the_world_sweep": False,
    "generational": Generational().model_dump(mode="json"),
}
_LATER_IN_STEPS: dict[str, Any] = {"site": None, "name": None}
_LATER_IN_SETS: dict[str, Any] = {"map": None}


def canonical_json(spec: Spec) -> str:
    """A spec as JSON that is equal for equal simulations: every field, keys sorted, no names of files."""
    data = spec.model_dump(mode="json")
    if is_profile_path(spec.machine.profile):
        del data["machine"]["profile"]
    _drop(data, _LATER)
    if all(data["runtime"][field] == value for field, value in _LATER_IN_RUNTIME.items()):
        _drop(
            data["runtime"], _LATER_IN_RUNTIME
        )  # all or none: who reads a run of another collector finds all of it
    for retained in data["retained"]:
        _drop(retained, _LATER_IN_SETS)
    for request in data["requests"]:
        del request["arrivals_csv"]
        for step in request["steps"]:
            _drop(step, _LATER_IN_STEPS)
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _drop(data: dict[str, Any], unsaid: dict[str, Any]) -> None:
    for field, value in unsaid.items():
        if field in data and data[field] == value:
            del data[field]


def spec_digest(spec: Spec) -> str:
    """SHA-256 of the canonical JSON, 64 hex digits."""
    return hashlib.sha256(canonical_json(spec).encode()).hexdigest()


def run_digest(spec: Spec, profile_content: str, engine_version: str) -> str:
    """SHA-256 of all that decides a run's result, 64 hex digits.

    Args:
        profile_content: canonical text of the profile that the run uses.
        engine_version: version of gcsim; another version may compute other numbers.
    """
    parts = json.dumps(
        [canonical_json(spec), profile_content, engine_version]
    )  # JSON: no part can run into the next
    return hashlib.sha256(parts.encode()).hexdigest()


def run_id(spec: Spec, profile_content: str, engine_version: str) -> str:
    """Name of the run of a spec (with its seed) on a machine profile: ``r-`` and 16 hex digits of its digest."""
    return "r-" + run_digest(spec, profile_content, engine_version)[:16]
