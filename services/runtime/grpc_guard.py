"""Keeps the words of our own faults inside: what a caller hears of an unexpected exception is one sentence.

gRPC would send the exception's text, which may quote a prompt, an answer or a key. The log has it all.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import grpc

log = logging.getLogger(__name__)

OURS = "/turnout."
TOLD = "the service failed; its log says how"

if TYPE_CHECKING:  # at run time the class takes no parameters
    Handler = grpc.RpcMethodHandler[Any, Any]
    Continuation = Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]]


class Guard(grpc.aio.ServerInterceptor):
    """Ends calls that fail unexpectedly with INTERNAL."""

    async def intercept_service(
        self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> Handler | None:
        handler = await continuation(handler_call_details)
        # gRPC's own services (health, reflection) hold nothing of a caller's.
        if handler is None or not handler_call_details.method.startswith(OURS):
            return handler
        guarded: Any = handler
        if guarded.unary_unary is not None:
            guarded = guarded._replace(unary_unary=_guarded(guarded.unary_unary))
        elif guarded.unary_stream is not None:
            guarded = guarded._replace(unary_stream=_guarded_stream(guarded.unary_stream))
        found: Handler = guarded
        return found


def _guarded(method: Callable[[Any, Any], Awaitable[Any]]) -> Callable[[Any, Any], Awaitable[Any]]:
    async def call(request: Any, context: Any) -> Any:
        try:
            return await method(request, context)
        except (grpc.aio.AbortError, asyncio.CancelledError):
            raise
        except Exception:
            log.exception("a call failed")
            await context.abort(grpc.StatusCode.INTERNAL, TOLD)

    return call


def _guarded_stream(
    method: Callable[[Any, Any], AsyncGenerator[Any, None]],
) -> Callable[[Any, Any], AsyncIterator[Any]]:
    async def call(request: Any, context: Any) -> AsyncIterator[Any]:
        try:
            # Closed with the call: a caller that goes away must reach the upstream at once.
            async with aclosing(method(request, context)) as messages:
                async for message in messages:
                    yield message
        except (grpc.aio.AbortError, asyncio.CancelledError):
            raise
        except Exception:
            log.exception("a streaming call failed")
            await context.abort(grpc.StatusCode.INTERNAL, TOLD)

    return call
