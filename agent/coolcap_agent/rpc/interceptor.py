"""The one place where a server checks roles, before any servicer sees the call."""

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeAlias, TypeVar, cast

import grpc
import grpc.aio

from coolcap_agent.rpc.context import CallContext
from coolcap_agent.rpc.roles import caller_of, refusal

# A request is one message or an iterator of them; it is handed through untouched.
Unary: TypeAlias = Callable[[object, CallContext], Awaitable[object]]
Stream: TypeAlias = Callable[[object, CallContext], AsyncIterator[object]]
Q = TypeVar("Q")
A = TypeVar("A")


class RoleInterceptor(grpc.aio.ServerInterceptor):
    """Ends calls whose client certificate lacks the method's role with PERMISSION_DENIED."""

    async def intercept_service(
        self,
        continuation: Callable[
            [grpc.HandlerCallDetails], Awaitable["grpc.RpcMethodHandler[Q, A] | None"]
        ],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> "grpc.RpcMethodHandler[Q, A] | None":
        """Return the method's handler behind the check; None (UNIMPLEMENTED) if there is none."""
        handler = await continuation(handler_call_details)
        return None if handler is None else _guarded(handler, handler_call_details.method)


async def _check(method: str, context: CallContext) -> None:
    why = refusal(method, caller_of(context))
    if why is not None:
        await context.abort(grpc.StatusCode.PERMISSION_DENIED, why)


def _answers_once(inner: Unary, method: str) -> Unary:
    async def behaviour(request: object, context: CallContext) -> object:
        await _check(method, context)
        return await inner(request, context)

    return behaviour


def _answers_many(inner: Stream, method: str) -> Stream:
    # grpc.aio looks at the function itself: only an async generator may yield.
    async def behaviour(request: object, context: CallContext) -> AsyncIterator[object]:
        await _check(method, context)
        async for message in inner(request, context):
            yield message

    return behaviour


def _guarded(handler: "grpc.RpcMethodHandler[Q, A]", method: str) -> "grpc.RpcMethodHandler[Q, A]":
    """Return ``handler`` with the check in front, whatever its kind.

    A streaming method may also be a plain coroutine that writes through its context (the
    standard health service does); it is then wrapped as one.
    """
    inner, make = {
        (False, False): (handler.unary_unary, grpc.unary_unary_rpc_method_handler),
        (False, True): (handler.unary_stream, grpc.unary_stream_rpc_method_handler),
        (True, False): (handler.stream_unary, grpc.stream_unary_rpc_method_handler),
        (True, True): (handler.stream_stream, grpc.stream_stream_rpc_method_handler),
    }[handler.request_streaming, handler.response_streaming]
    behaviour = (
        _answers_many(cast("Stream", inner), method)
        if inspect.isasyncgenfunction(inner)
        else _answers_once(cast("Unary", inner), method)
    )
    wrap = cast("Callable[..., grpc.RpcMethodHandler[Q, A]]", make)
    return wrap(
        behaviour,
        request_deserializer=handler.request_deserializer,
        response_serializer=handler.response_serializer,
    )
