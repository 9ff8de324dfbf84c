"""What the routes over the control plane share: calls with the caller's key, bodies, and errors as google.rpc.Status."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import grpc
import msgspec
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from services.core.errors import InvalidRequest, Overloaded, RouterError
from services.http_bridge.http import Request, Response, json_response
from services.wire.status import from_rpc_error, to_status

CALL_SECONDS = 10.0
MAX_PAGE = 1_000

Action = Callable[[Request, Mapping[str, str]], Awaitable[Response]]


def handler(action: Action) -> Action:
    """`action` with its errors as google.rpc.Status bodies."""

    async def handle(request: Request, parameters: Mapping[str, str]) -> Response:
        try:
            return await action(request, parameters)
        except RouterError as error:
            return status_response(error)
        except grpc.aio.AioRpcError as error:
            return status_response(_told(error))

    return handle


async def call(method: Any, message: Any, request: Request) -> Any:
    """Call the control plane with the caller's own key."""
    metadata = tuple(
        (n, request.headers[n]) for n in ("authorization", "x-api-key", "x-goog-api-key") if n in request.headers
    )
    return await method(message, metadata=metadata, timeout=CALL_SECONDS)


def answer(message: Message) -> Response:
    """A message as JSON, with all of its fields."""
    form = MessageToDict(message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)
    return json_response(200, form)


def _told(error: grpc.aio.AioRpcError) -> RouterError:
    told = from_rpc_error(error)
    if isinstance(told, Overloaded):
        return Overloaded("the control plane cannot be reached; traffic is served as before", retry_after=1.0)
    return told


def status_response(error: RouterError) -> Response:
    """One of our errors as google.rpc.Status in JSON."""
    status = MessageToDict(to_status(error))
    body = {"code": status.get("code", 13), "message": error.message, "details": status.get("details", [])}
    headers = {"retry-after": str(max(1, math.ceil(error.retry_after)))} if error.retry_after is not None else {}
    return json_response(error.status, body, headers)


def json_body(request: Request) -> Any:
    """The request's JSON.

    Raises:
        InvalidRequest: It is none, or too large.
    """
    if request.too_large:
        raise InvalidRequest("the request's body is too large")
    try:
        return msgspec.json.decode(request.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest(f"the request's body is not JSON: {error}") from error


def if_match(request: Request) -> str:
    """The revision of the If-Match header; empty: it was not given."""
    return request.headers.get("if-match", "").strip().strip('"')


def page_size(request: Request, default: int) -> int:
    """The size of a page, cut to `MAX_PAGE`.

    Raises:
        InvalidRequest: It is not a positive number.
    """
    text = request.query.get("page_size") or request.query.get("pageSize") or ""
    if not text:
        return default
    if not text.isdecimal() or int(text) < 1:
        raise InvalidRequest("page_size must be a positive number", param="page_size")
    return min(int(text), MAX_PAGE)


def page_token(request: Request) -> str:
    """The token of a page; empty: the first one."""
    return request.query.get("page_token") or request.query.get("pageToken") or ""
