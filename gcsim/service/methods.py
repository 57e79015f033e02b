"""Putting calls on the wire: decoding that cannot blow up, tokens, errors to statuses, a log line per call.

grpcio answers a request that it cannot decode with UNKNOWN and the name of a Python class, before any handler runs.
So requests are decoded by a function that never raises, and the handler says INVALID_ARGUMENT.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import grpc
import grpc.aio
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from gcsim.service.status import RequestError, UnauthenticatedError, wire_error

log = logging.getLogger("gcsim.calls")

OPEN = "/grpc.health.v1.Health/"
"""Health is asked without a token, as load balancers do."""


class _Undecodable:
    """Stands for a request that is no message."""


def generic_handler(service: ServiceDescriptor, implementation: object) -> grpc.GenericRpcHandler:
    """Handlers of every method of a service: those of the same names of `implementation`.

    A method takes the request and gives the response; a streaming one is an async generator of responses.
    """
    handlers = {}
    for method in service.methods:
        implemented = getattr(implementation, method.name)
        kind = (
            grpc.unary_stream_rpc_method_handler
            if method.server_streaming
            else grpc.unary_unary_rpc_method_handler
        )
        wrap = _streaming if method.server_streaming else _unary
        handlers[method.name] = kind(
            wrap(method.name, implemented),
            request_deserializer=_decoder(GetMessageClass(method.input_type)),
            response_serializer=lambda message: message.SerializeToString(),
        )
    return grpc.method_handlers_generic_handler(service.full_name, handlers)


def _decoder(cls: type[Message]) -> Callable[[bytes], Any]:
    def decode(data: bytes) -> Any:
        try:
            return cls.FromString(data)
        except (DecodeError, RecursionError, ValueError):
            return _Undecodable()

    return decode


def _unary(name: str, method: Callable[[Any], Awaitable[Message]]) -> Callable[..., Awaitable[Message]]:
    async def call(request: Any, context: grpc.aio.ServicerContext) -> Message:
        async with _aborting(name, request, context):
            return await method(request)
        raise AssertionError("unreachable: abort raises")

    return call


def _streaming(name: str, method: Callable[[Any], AsyncIterator[Message]]) -> Callable[..., Awaitable[None]]:
    async def call(request: Any, context: grpc.aio.ServicerContext) -> None:
        async with _aborting(name, request, context), contextlib.aclosing(method(request)) as responses:  # type: ignore[type-var]
            # Each write waits until the transport has taken it: what a slow reader has not fetched is one message.
            async for response in responses:
                await context.write(response)

    return call


@contextlib.asynccontextmanager
async def _aborting(name: str, request: Any, context: grpc.aio.ServicerContext) -> AsyncIterator[None]:
    """Turn what goes wrong into a status.  Cancellation passes through: swallowing it leaks the call."""
    begun = time.monotonic()
    code, reason = "OK", ""
    try:
        try:
            if isinstance(request, _Undecodable):
                raise RequestError.at("$", "the bytes are no such message", "encode it by the .proto files")
            yield
        except asyncio.CancelledError:
            code = "CANCELLED"
            raise
        except Exception as error:
            wire = wire_error(error)
            code, reason = wire.code.name, wire.reason
            if wire.code is grpc.StatusCode.INTERNAL:
                log.exception("call failed", extra={"fields": {"method": name}})
            await context.abort(wire.code, wire.message, wire.trailers)
    finally:
        fields = {
            "method": name,
            "peer": context.peer(),
            "code": code,
            "ms": round((time.monotonic() - begun) * 1000, 1),
        }
        if reason:
            fields["reason"] = reason
        for key in ("name", "run_id", "sweep_id"):
            if value := getattr(request, key, ""):
                fields["run"] = str(value)[:80]
        log.info("call", extra={"fields": fields})


class TokenInterceptor(grpc.aio.ServerInterceptor):  # type: ignore[misc]
    """Lets in who brings one of the tokens: ``authorization: Bearer <token>``."""

    def __init__(self, tokens: Sequence[str]) -> None:
        self._tokens = [token.encode() for token in tokens]

    async def intercept_service(self, continuation: Any, details: grpc.HandlerCallDetails) -> Any:
        handler = await continuation(details)
        if handler is None or details.method.startswith(OPEN) or self._is_known(details):
            return handler
        if handler.response_streaming:
            make = (
                grpc.stream_stream_rpc_method_handler
                if handler.request_streaming
                else grpc.unary_stream_rpc_method_handler
            )
        else:
            make = (
                grpc.stream_unary_rpc_method_handler
                if handler.request_streaming
                else grpc.unary_unary_rpc_method_handler
            )
        return make(_deny)

    def _is_known(self, details: grpc.HandlerCallDetails) -> bool:
        given = next((value for key, value in details.invocation_metadata if key == "authorization"), "")
        kind, _, token = str(given).partition(" ")
        # Every token is compared, each in constant time: how long it takes says nothing.
        same = [hmac.compare_digest(known, token.encode()) for known in self._tokens]
        return kind.lower() == "bearer" and any(same)


async def _deny(_: Any, context: grpc.aio.ServicerContext) -> None:
    error = UnauthenticatedError("the call needs a token: metadata `authorization: Bearer <token>`")
    wire = wire_error(error)
    await context.abort(wire.code, wire.message, wire.trailers)
