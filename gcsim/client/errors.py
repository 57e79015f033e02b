"""What goes wrong on the client's side, and what the server's errors become."""

from __future__ import annotations

from typing import Any

import grpc
from google.rpc import error_details_pb2, status_pb2

from gcsim.errors import GcsimError, Problem, RunError, SpecError


class ServiceError(GcsimError):
    """The server refused a call.

    Attributes:
        code: name of the gRPC status code, such as NOT_FOUND.
        reason: UPPER_SNAKE, such as QUEUE_FULL; empty if the error is not the server's own.
        retry_s: when to try again, where the server says so.
    """

    def __init__(self, message: str, code: str = "", reason: str = "", retry_s: float | None = None) -> None:
        self.message, self.code, self.reason, self.retry_s = message, code, reason, retry_s
        super().__init__(message, code, reason, retry_s)

    def __str__(self) -> str:
        return f"{self.message} ({self.reason or self.code})"


class ServerUnreachableError(ServiceError):
    """No server answers there, or the connection broke."""


class RunFailedError(RunError):
    """The run ended FAILED or CANCELLED: there is no result."""

    def __init__(self, message: str, reason: str = "") -> None:
        self.reason = reason
        super().__init__(message, reason)

    def __str__(self) -> str:
        return str(self.args[0])


def translate(error: Any, target: str) -> GcsimError:
    """A gRPC error as one of ours: a bad spec is a SpecError with every problem, as if it had been checked here."""
    code: grpc.StatusCode = error.code()
    reason, retry_s, problems = "", None, []
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            for detail in status_pb2.Status.FromString(value).details:
                info, bad, retry = (
                    error_details_pb2.ErrorInfo(),
                    error_details_pb2.BadRequest(),
                    error_details_pb2.RetryInfo(),
                )
                if detail.Unpack(info):
                    reason = info.reason
                elif detail.Unpack(bad):
                    problems = [
                        Problem(path=item.field, message=item.description) for item in bad.field_violations
                    ]
                elif detail.Unpack(retry):
                    retry_s = retry.retry_delay.ToTimedelta().total_seconds()
    message = str(error.details())
    if problems:
        return SpecError(problems, source=target)
    if not reason and code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
        return ServerUnreachableError(
            f"no server at {target}: {message}; start one with `gcsim serve`", code.name
        )
    return ServiceError(message, code.name, reason, retry_s)
