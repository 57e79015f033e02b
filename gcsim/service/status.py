"""Errors on the wire (AIP-193): one table from the exception tree to gRPC codes, and the details that go with them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.rpc import error_details_pb2, status_pb2

from gcsim.errors import DatasetError, GcsimError, InvariantError, Problem, RunError, SpecError
from gcsim.sweep import states

DOMAIN = "gcsim"
DETAILS_KEY = "grpc-status-details-bin"
MAX_DETAILS_BYTES = 6000
"""Clients take 8 KiB of metadata unless told otherwise; the message needs some of it too."""


class RequestError(GcsimError):
    """A request is wrong outside its spec.  Carries every problem found."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(map(str, self.problems)))

    @classmethod
    def at(cls, path: str, message: str, remedy: str = "") -> RequestError:
        return cls([Problem(path=path, message=message, remedy=remedy)])


class WorkLimitError(GcsimError):
    """The spec or sweep would simulate more than this server takes on."""


class StoredBytesError(GcsimError):
    """The datasets take as much space as they may."""


class NotReadyError(GcsimError):
    """The run has no result (yet)."""


class OffsetError(GcsimError):
    """A download cannot begin there."""


class DrainingError(GcsimError):
    """The server is stopping."""


class UnauthenticatedError(GcsimError):
    """No token, or an unknown one."""


@dataclass(frozen=True)
class Mapping:
    """How an error class goes over the wire; `retry_s` adds RetryInfo."""

    code: grpc.StatusCode
    reason: str
    retry_s: int | None = None


_CODE = grpc.StatusCode
TABLE: dict[type[BaseException], Mapping] = {
    SpecError: Mapping(_CODE.INVALID_ARGUMENT, "SPEC_INVALID"),
    RequestError: Mapping(_CODE.INVALID_ARGUMENT, "REQUEST_INVALID"),
    WorkLimitError: Mapping(_CODE.INVALID_ARGUMENT, "WORK_LIMIT"),
    OffsetError: Mapping(_CODE.OUT_OF_RANGE, "BAD_OFFSET"),
    NotReadyError: Mapping(_CODE.FAILED_PRECONDITION, "NO_RESULT"),
    DatasetError: Mapping(_CODE.DATA_LOSS, "DATASET_DAMAGED"),
    DrainingError: Mapping(_CODE.UNAVAILABLE, "SERVER_DRAINING", 5),
    UnauthenticatedError: Mapping(_CODE.UNAUTHENTICATED, "TOKEN_INVALID"),
    StoredBytesError: Mapping(_CODE.RESOURCE_EXHAUSTED, "STORED_BYTES_LIMIT"),
    states.NotFoundError: Mapping(_CODE.NOT_FOUND, "NOT_FOUND"),
    states.RunExistsError: Mapping(_CODE.ALREADY_EXISTS, "RUN_EXISTS"),
    states.SweepExistsError: Mapping(_CODE.ALREADY_EXISTS, "SWEEP_EXISTS"),
    states.RequestReusedError: Mapping(_CODE.ALREADY_EXISTS, "REQUEST_ID_REUSED"),
    states.RunActiveError: Mapping(_CODE.FAILED_PRECONDITION, "RUN_ACTIVE"),
    states.SweepActiveError: Mapping(_CODE.FAILED_PRECONDITION, "SWEEP_ACTIVE"),
    states.RunOfSweepError: Mapping(_CODE.FAILED_PRECONDITION, "RUN_OF_SWEEP"),
    states.EtagMismatchError: Mapping(_CODE.ABORTED, "ETAG_MISMATCH"),
    states.QueueFullError: Mapping(_CODE.RESOURCE_EXHAUSTED, "QUEUE_FULL", 2),
    states.StoreFullError: Mapping(_CODE.RESOURCE_EXHAUSTED, "STORAGE_FULL", 60),
    states.StoreRefusedError: Mapping(_CODE.INTERNAL, "STORE_REFUSED"),
    states.StoreError: Mapping(_CODE.INTERNAL, "STORE_ERROR"),
    RunError: Mapping(_CODE.INTERNAL, "RUN_FAILED"),
    InvariantError: Mapping(_CODE.INTERNAL, "INTERNAL_ERROR"),
    GcsimError: Mapping(_CODE.INTERNAL, "INTERNAL_ERROR"),
}
"""Most specific class first met on the way up decides."""

_UNFORESEEN = Mapping(_CODE.INTERNAL, "INTERNAL_ERROR")


@dataclass(frozen=True)
class WireError:
    """What a call is aborted with."""

    code: grpc.StatusCode
    reason: str
    message: str
    trailers: tuple[tuple[str, bytes], ...]


def wire_error(error: BaseException) -> WireError:
    """Code, words and details of an error; of one that is ours only that it happened."""
    if isinstance(error, asyncio.CancelledError):
        raise error
    mapping = next((TABLE[cls] for cls in type(error).__mro__ if cls in TABLE), _UNFORESEEN)
    internal = mapping.code is _CODE.INTERNAL
    message = "an error of the server; its log has the details" if internal else _words(error)
    status = status_pb2.Status(code=mapping.code.value[0], message=message)
    problems = error.problems if isinstance(error, SpecError | RequestError) else ()
    violations = error_details_pb2.BadRequest()
    for problem in problems:
        description = str(Problem("", None, problem.value, problem.message, problem.remedy)).removeprefix(
            ": "
        )
        violations.field_violations.add(field=problem.path, description=description[:500])
        if violations.ByteSize() > MAX_DETAILS_BYTES - 500:
            break
    left_out = len(problems) - len(violations.field_violations)
    info = error_details_pb2.ErrorInfo(reason=mapping.reason, domain=DOMAIN)
    if left_out:
        info.metadata["violations_left_out"] = str(left_out)
    _pack(status.details, info)
    if problems:
        _pack(status.details, violations)
    if mapping.retry_s is not None:
        delay = duration_pb2.Duration(seconds=mapping.retry_s)
        _pack(status.details, error_details_pb2.RetryInfo(retry_delay=delay))
    trailers = ((DETAILS_KEY, status.SerializeToString()),)
    return WireError(mapping.code, mapping.reason, message, trailers)


def _words(error: BaseException) -> str:
    problems = error.problems if isinstance(error, SpecError | RequestError) else ()
    if not problems:
        return str(error)[:1000]
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return f"{problems[0]}"[:1000] + more


def _pack(details: object, message: object) -> None:
    packed = any_pb2.Any()
    packed.Pack(message)  # type: ignore[arg-type]
    details.append(packed)  # type: ignore[attr-defined]
