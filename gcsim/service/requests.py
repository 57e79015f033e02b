"""What submitting a run and submitting a sweep have in common: the spec, what stands around it, and when two are the same."""

from __future__ import annotations

import hashlib
import re

from gcsim.api import convert
from gcsim.api.v1 import simulation_service_pb2 as api
from gcsim.errors import Problem, SpecError
from gcsim.service.core import Core
from gcsim.service.resources import ID
from gcsim.service.status import StoredBytesError
from gcsim.spec.models import Spec
from gcsim.spec.profile import MachineProfile, parse_profile

MAX_DURATION_S = 30 * 86_400
_LABEL_KEY = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}")

Submission = api.SubmitRunRequest | api.SubmitSweepRequest


def spec_of(request: Submission) -> tuple[Spec, MachineProfile | None]:
    """The spec that is to be simulated, and the machine profile if it came along.  Raises SpecError."""
    text = request.machine_profile_yaml
    if not text:
        if request.spec.machine.profile.endswith((".yaml", ".yml")) or "/" in request.spec.machine.profile:
            message, remedy = (
                "is a file, and the server reads none",
                "name a shipped profile, or send machine_profile_yaml",
            )
            raise SpecError([Problem("$.machine.profile", None, "", message, remedy)])
        return convert.spec_of(request.spec), None
    return convert.spec_of(request.spec, profile=convert.INLINE_FILE), parse_profile(text)


def request_problems(request: Submission, id_field: str) -> list[Problem]:
    """What is wrong outside the spec."""
    found: list[Problem] = []

    def problem(path: str, value: str, message: str, remedy: str) -> None:
        found.append(Problem(path=path, value=repr(value[:80]), message=message, remedy=remedy))

    given = getattr(request, id_field)
    if given and not ID.fullmatch(given):
        problem(
            id_field,
            given,
            "is no id",
            "write lower-case letters, digits and -, beginning with a letter",
        )
    if request.request_id and not _REQUEST_ID.fullmatch(request.request_id):
        problem("request_id", request.request_id, "is no request id", "write 1 to 128 printable characters")
    if len(request.labels) > 64:
        problem("labels", str(len(request.labels)), "are too many", "write at most 64")
    for key, value in sorted(request.labels.items())[:64]:
        if not _LABEL_KEY.fullmatch(key):
            problem("labels", key, "is no key of a label", "write lower-case letters, digits, - and _")
        if len(value) > 256:
            problem(f"labels.{key[:80]}", value, "is too long", "write at most 256 characters")
    if request.HasField("max_run_duration"):
        duration = request.max_run_duration
        if duration.nanos or not 1 <= duration.seconds <= MAX_DURATION_S:
            text = f"{duration.seconds} s and {duration.nanos} ns"
            problem(
                "max_run_duration",
                text,
                "is no possible duration",
                f"write whole seconds from 1 to {MAX_DURATION_S}",
            )
    return found


def max_duration_s(request: Submission) -> int | None:
    """Longest attempt in wall-clock seconds, if the request says one."""
    return request.max_run_duration.seconds if request.HasField("max_run_duration") else None


def body_digest(request: Submission) -> str:
    """What makes a request the same as another: all of it but its id."""
    body = type(request)()
    body.CopyFrom(request)  # type: ignore[arg-type]
    body.ClearField("request_id")
    return hashlib.sha256(body.SerializeToString(deterministic=True)).hexdigest()


def check_stored_bytes(core: Core) -> None:
    """Raise StoredBytesError if the datasets take as much space as they may."""
    limit = core.options.max_stored_bytes
    if limit is not None and core.store.stored_bytes() >= limit:
        raise StoredBytesError(
            f"the datasets take {core.store.stored_bytes()} bytes of {limit}; delete runs, or `gcsim prune`"
        )
