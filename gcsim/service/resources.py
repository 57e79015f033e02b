"""Rows of the store as messages of the API, and names, tokens and filters of requests."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from gcsim.api import convert
from gcsim.api.v1 import dataset_pb2, run_pb2
from gcsim.service.status import RequestError
from gcsim.spec.load import spec_from_dict
from gcsim.sweep.states import RunProgress, RunState, StoredDataset, StoredRun, SweepState
from gcsim.version import ENGINE_VERSION

ID = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")
"""Of runs and datasets (AIP-122).  No dot and no slash: an id is no path."""
_TERM = re.compile(
    r"""\s*(state|workload|sweep|labels\.[a-z][a-z0-9_-]{0,62})\s*=\s*(?:"([^"\\]{0,256})"|([A-Za-z0-9_-]{1,256}))\s*"""
)
_ORDERS = {"": False, "create_time": False, "create_time asc": False, "create_time desc": True}
MAX_PAGE = 500
DEFAULT_PAGE = 50


def run_message(
    run: StoredRun, progress: RunProgress | None = None, *, with_spec: bool = True
) -> run_pb2.Run:
    message = run_pb2.Run(
        name=f"runs/{run.id}",
        spec_digest=run.digest,
        state=f"RUN_STATE_{run.state}",
        attempt=run.attempt,
        revision=run.revision,
        cached_result=run.cached_result,
        engine_version=ENGINE_VERSION,
        etag=run.etag,
        labels=run.labels,
        has_inline_machine_profile=run.profile_sha256 is not None,
        sweep="" if run.sweep_id is None else f"sweeps/{run.sweep_id}",
        point_id=run.point if run.sweep_id is not None else None,
        replication=run.replication,
    )
    if with_spec:
        message.spec.CopyFrom(convert.message_of(spec_from_dict(json.loads(run.spec_json))))
    if run.state is RunState.FAILED:
        message.error.reason, message.error.message = run.reason, run.message
    if run.state is RunState.SUCCEEDED:
        message.dataset = f"datasets/{run.dataset_id}"
        _add_metrics(message.summary, run.summary)
    for field_name, time_ns in (
        ("create_time", run.create_time_ns),
        ("start_time", run.start_time_ns),
        ("end_time", run.end_time_ns),
    ):
        if time_ns is not None:
            getattr(message, field_name).FromNanoseconds(time_ns)
    if progress is not None and run.state is RunState.RUNNING and progress.attempt == run.attempt:
        message.progress.sim_time_ns = progress.sim_time_ns
        message.progress.end_ns = progress.end_ns
        message.progress.gc_cycles = progress.cycles
        if progress.eta_s is not None:
            message.progress.eta_s = progress.eta_s
        _add_metrics(message.progress.partial_summary, progress.partial)
    return message


def _add_metrics(target: Any, metrics: Mapping[str, Any]) -> None:
    """Numbers of a summary; its text, the run's name and versions, is elsewhere in the message."""
    for name, value in metrics.items():
        if value is None:
            target.add(name=name)
        elif isinstance(value, int) and not isinstance(value, bool):
            target.add(name=name, integer=value)
        elif isinstance(value, float):
            target.add(name=name, number=value)


def dataset_message(dataset: StoredDataset) -> dataset_pb2.Dataset:
    message = dataset_pb2.Dataset(
        name=f"datasets/{dataset.id}",
        workload_name=dataset.name,
        size_bytes=dataset.size_bytes,
        sha256=dataset.sha256,
        schema_version=dataset.schema_version,
        engine_version=dataset.engine_version,
    )
    message.create_time.FromNanoseconds(dataset.create_time_ns)
    return message


def id_of(name: str, *collections: str) -> tuple[str, str]:
    """Collection and id of a resource name.  Raises RequestError."""
    collection, _, given = name.partition("/")
    if collection not in collections or not ID.fullmatch(given):
        forms = " or ".join(f"{c}/{{id}}" for c in collections)
        raise RequestError.at(
            "name",
            f"{name[:80]!r} is no resource name",
            f"write {forms} with lower-case letters, digits and -",
        )
    return collection, given


S = TypeVar("S", RunState, SweepState)


@dataclass(frozen=True)
class Filter(Generic[S]):
    """What a list is filtered by; every part has to fit."""

    states: tuple[S, ...] = ()
    workload: str | None = None
    sweep: str | None = None
    labels: dict[str, str] = field(default_factory=dict)


def parse_filter(text: str, states_of: type[S]) -> Filter[S]:
    """``state = RUNNING AND labels.team = "x"``.  Raises RequestError."""
    states: list[S] = []
    workload: str | None = None
    sweep: str | None = None
    labels: dict[str, str] = {}
    for term in re.split(r"\bAND\b", text[:4096]) if text.strip() else []:
        match = _TERM.fullmatch(term)
        if match is None or (match[1] == "sweep" and states_of is SweepState):
            remedy = 'join terms such as state = RUNNING, workload = "x", labels.team = "y" by AND'
            raise RequestError.at("filter", f"{term.strip()[:80]!r} is no term", remedy)
        key, value = match[1], match[2] if match[2] is not None else match[3]
        if key == "state":
            if value not in states_of.__members__:
                raise RequestError.at(
                    "filter", f"{value!r} is no state", f"one of {', '.join(states_of.__members__)}"
                )
            states.append(states_of(value))
        elif key == "workload":
            workload = value
        elif key == "sweep":
            sweep = value.removeprefix("sweeps/")
        else:
            labels[key.removeprefix("labels.")] = value
    if len(set(states)) > 1:
        raise RequestError.at("filter", "nothing has two states", "name one")
    return Filter(tuple(states), workload, sweep, labels)


def is_newest_first(order_by: str) -> bool:
    """Raises RequestError."""
    if order_by not in _ORDERS:
        raise RequestError.at(
            "order_by", f"{order_by[:80]!r} is no order", "write create_time or create_time desc"
        )
    return _ORDERS[order_by]


def page_size(given: int) -> int:
    if given < 0:
        raise RequestError.at("page_size", f"{given} is below 0", f"write 1 to {MAX_PAGE}, or leave it out")
    return min(given, MAX_PAGE) or DEFAULT_PAGE


def page_token(position: Any, *query: str) -> str:
    """Where the next page begins, tied to the query that it belongs to."""
    return base64.urlsafe_b64encode(json.dumps([position, _mark(query)]).encode()).decode()


def parse_page_token(token: str, kind: type[int] | type[str], *query: str) -> Any:
    """The position in a token; None if there is none.  Raises RequestError."""
    if not token:
        return None
    try:
        position, mark = json.loads(base64.b64decode(token[:1000], altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, TypeError, RecursionError):
        position, mark = None, None
    fits = type(position) is kind and (not isinstance(position, int) or 0 <= position < 2**63)
    if not fits or mark != _mark(query):
        raise RequestError.at(
            "page_token", "is no token of this query", "send next_page_token with the same filter"
        )
    return position


def _mark(query: tuple[str, ...]) -> str:
    return hashlib.sha256(json.dumps(query).encode()).hexdigest()[:8]
