"""`/router/v1/routers`: the Inworld Router API over the control plane's PolicyService.

Writes answer a long-running operation, as there; ours are always done. Unknown
fields are accepted and reported in the operation's metadata.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import grpc
import msgspec
from google.protobuf.json_format import MessageToDict
from turnout.policy.v1 import policy_service_pb2 as pb
from turnout.policy.v1.policy_pb2 import Resource, ResourceName, Router
from turnout.policy.v1.policy_service_pb2_grpc import PolicyServiceStub

from services.core.errors import InvalidRequest, Overloaded, RouterError
from services.core.policy.names import bare_router_name
from services.http_bridge.http import Request, Response, json_response
from services.http_bridge.router_form import masked, read_router, router_form
from services.wire.status import from_rpc_error, to_status

CALL_SECONDS = 10.0
DEFAULT_PAGE = 100
MAX_PAGE = 1_000
_CREATE = "type.googleapis.com/ai.inworld.router.v1.CreateRouterMetadata"
_UPDATE = "type.googleapis.com/ai.inworld.router.v1.UpdateRouterMetadata"

Action = Callable[[Request, Mapping[str, str]], Awaitable[Response]]


class RouterRoutes:
    """Serves the router API."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub: Any = PolicyServiceStub(channel)

    def handler(self, action: Action) -> Action:
        """`action` with its errors as google.rpc.Status bodies."""

        async def handle(request: Request, parameters: Mapping[str, str]) -> Response:
            try:
                return await action(request, parameters)
            except RouterError as error:
                return status_response(error)
            except grpc.aio.AioRpcError as error:
                return status_response(_told(error))

        return handle

    async def create(self, request: Request, parameters: Mapping[str, str]) -> Response:
        """POST /router/v1/routers."""
        del parameters
        resource, warnings = read_router(_json(request))
        message = pb.CreateResourceRequest(resource=resource)
        created: Resource = await self._call(self._stub.CreateResource, message, request)
        return _operation(created.router, _CREATE, warnings)

    async def list(self, request: Request, parameters: Mapping[str, str]) -> Response:
        """GET /router/v1/routers, by pages."""
        del parameters
        listing = await self._call(self._stub.ListResources, pb.ListResourcesRequest(kind="Router"), request)
        routers = sorted((r.router for r in listing.resources), key=lambda r: str(r.name))
        after = _page_token(request.query.get("page_token") or request.query.get("pageToken") or "")
        size = _page_size(request.query.get("page_size") or request.query.get("pageSize") or "")
        rest = [r for r in routers if r.name > after]
        answer: dict[str, Any] = {"routers": [router_form(r) for r in rest[:size]]}
        if len(rest) > size:
            answer["nextPageToken"] = base64.urlsafe_b64encode(rest[size - 1].name.encode()).decode()
        return json_response(200, answer)

    async def get(self, request: Request, parameters: Mapping[str, str]) -> Response:
        """GET /router/v1/routers/{router_id}."""
        found = await self._get(request, parameters["router_id"])
        return json_response(200, router_form(found.router), {"etag": f'"{found.etag}"'})

    async def update(self, request: Request, parameters: Mapping[str, str]) -> Response:
        """PATCH /router/v1/routers/{router_id}?update_mask=…"""
        current = await self._get(request, parameters["router_id"])
        form = _json(request)
        resource, warnings = read_router(form, name=current.router.name)
        mask = request.query.get("update_mask") or request.query.get("updateMask") or ""
        changed = Resource(router=masked(current.router, resource.router, mask), etag=_etag(request, current))
        updated = await self._call(self._stub.UpdateResource, pb.UpdateResourceRequest(resource=changed), request)
        return _operation(updated.router, _UPDATE, warnings)

    async def delete(self, request: Request, parameters: Mapping[str, str]) -> Response:
        """DELETE /router/v1/routers/{router_id}."""
        name = ResourceName(kind="Router", name=bare_router_name(parameters["router_id"]))
        await self._call(self._stub.DeleteResource, pb.DeleteResourceRequest(name=name), request)
        return json_response(200, {})

    async def operation(self, request: Request, parameters: Mapping[str, str]) -> Response:
        """GET /lro/v1alpha/{name}: every operation of ours is done; it is told from its name alone."""
        name = parameters["name"]
        router = name.removeprefix("operations/").rpartition("-")[0]
        found = await self._get(request, router)
        return json_response(200, {"name": name, "done": True, "response": router_form(found.router)})

    async def _get(self, request: Request, router_id: str) -> Resource:
        name = ResourceName(kind="Router", name=bare_router_name(router_id))
        found: Resource = await self._call(self._stub.GetResource, pb.GetResourceRequest(name=name), request)
        return found

    async def _call(self, method: Any, message: Any, request: Request) -> Any:
        metadata = tuple((n, request.headers[n]) for n in ("authorization", "x-api-key") if n in request.headers)
        return await method(message, metadata=metadata, timeout=CALL_SECONDS)


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


def _json(request: Request) -> Any:
    if request.too_large:
        raise InvalidRequest("the request's body is too large")
    try:
        return msgspec.json.decode(request.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest(f"the request's body is not JSON: {error}") from error


def _etag(request: Request, current: Resource) -> str:
    """The revision that the write must find: If-Match where it was given, else the one just read."""
    return request.headers.get("if-match", "").strip().strip('"') or current.etag


def _operation(router: Router, kind: str, warnings: list[str]) -> Response:
    metadata: dict[str, Any] = {"@type": kind}
    if warnings:
        metadata["warnings"] = warnings
    name = f"operations/{router.name}-write"
    return json_response(200, {"name": name, "metadata": metadata, "done": True, "response": router_form(router)})


def _page_size(text: str) -> int:
    if not text:
        return DEFAULT_PAGE
    if not text.isdecimal() or int(text) < 1:
        raise InvalidRequest("page_size must be a positive number", param="page_size")
    return min(int(text), MAX_PAGE)


def _page_token(text: str) -> str:
    try:
        return base64.b64decode(text.encode(), altchars=b"-_", validate=True).decode()
    except ValueError as error:
        raise InvalidRequest("page_token is not one of ours", param="page_token") from error
