"""Short forms of steps: ``- cpu: 10us`` and ``- allocate: {count: 4, size: 1KiB}`` for ``kind:`` with its fields.

A step written with ``kind:`` passes through.  Where a short form was expanded, the paths of the expanded form
are mapped back, so that a problem names what its author wrote.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from gcsim.spec import models
from gcsim.spec.check import Finding, SpecPath, did_you_mean, shown
from gcsim.spec.fields import Model

STEP_MODELS: dict[str, type[Model]] = {
    get_args(model.model_fields["kind"].annotation)[0]: model for model in get_args(get_args(models.Step)[0])
}
"""Kind -> model of every step, in the order of the models."""

SCALAR_FIELD = {
    "cpu": "ns",
    "block": "ns",
    "syscall": "ns",
    "leak": "size",
    "pool_put": "pool",
    "drop": "name",
    "fifo": "set",
    "pointer_writes": "count",
}
"""Kind -> field that a lone value stands for: ``cpu: 10us``."""


class Rewritten:
    """Where expanded steps came from: a path in the expanded data -> the path in the text."""

    def __init__(self) -> None:
        self._written: dict[SpecPath, SpecPath] = {}

    def add(self, expanded: SpecPath, written: SpecPath) -> None:
        self._written[expanded] = written

    def written(self, path: SpecPath) -> SpecPath:
        """The path as its author wrote it, by the longest expanded prefix."""
        for length in range(len(path), 0, -1):
            start = self._written.get(path[:length])
            if start is not None:
                return (*start, *path[length:])
        return path


def expand_steps(data: Any) -> tuple[Any, Rewritten, list[Finding]]:
    """A copy of a spec's plain data with every short step written out; what has another form stays as it is."""
    rewritten, problems = Rewritten(), list[Finding]()
    if not isinstance(data, Mapping) or not isinstance(data.get("requests"), list | tuple):
        return data, rewritten, problems
    requests = []
    for index, request in enumerate(data["requests"]):
        if isinstance(request, Mapping) and isinstance(request.get("steps"), list | tuple):
            steps = []
            for number, step in enumerate(request["steps"]):
                at: SpecPath = ("requests", index, "steps", number)
                expanded, problem = _expand(step, at, rewritten)
                steps.append(expanded)
                if problem is not None:
                    problems.append(problem)
            request = {**request, "steps": steps}
        requests.append(request)
    return {**data, "requests": requests}, rewritten, problems


def _expand(step: Any, at: SpecPath, rewritten: Rewritten) -> tuple[Any, Finding | None]:
    """One step written out, or a harmless stand-in and the problem that already says what is wrong with it."""
    if isinstance(step, str) and _is_kind(step):
        step = {step: None}  # `- gc` for `- gc: {}`
    if isinstance(step, Mapping) and "kind" in step and not _is_kind(step["kind"]):
        return _STAND_IN, _unknown((*at, "kind"), step["kind"])
    if not isinstance(step, Mapping) or "kind" in step:
        return step, None
    if len(step) != 1:
        remedy = "write one step per dash, such as `- cpu: 10us`, or add kind"
        found = f"has the keys {', '.join(map(str, step))}" if step else "is empty"
        return _STAND_IN, Finding(at, f"a step {found}", remedy)
    [(kind, body)] = step.items()
    if not _is_kind(kind):
        return _STAND_IN, _unknown(at, kind)
    here: SpecPath = (*at, kind)
    rewritten.add(at, here)
    if isinstance(body, Mapping):
        return {**body, "kind": kind}, None
    if body is None:
        return {"kind": kind}, None
    if kind not in SCALAR_FIELD:
        fields = ", ".join(name for name in STEP_MODELS[kind].model_fields if name != "kind")
        remedy = f"write a mapping of {fields}" if fields else "write {}"
        return _STAND_IN, Finding(here, f"does not say what to {kind}", remedy, shown(body))
    rewritten.add((*at, SCALAR_FIELD[kind]), here)
    return {"kind": kind, SCALAR_FIELD[kind]: body}, None


def _is_kind(value: object) -> bool:
    return isinstance(value, str) and value in STEP_MODELS


def _unknown(path: SpecPath, kind: object) -> Finding:
    remedy = did_you_mean(str(kind), STEP_MODELS)
    return Finding(path, "is no kind of step", remedy, shown(kind))


_STAND_IN = {"kind": "gc"}
