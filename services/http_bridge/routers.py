"""`/router/v1/routers`: the Inworld Router API over the control plane's PolicyService.

Writes answer a long-running operation, as there; ours are always done. Unknown
fields are accepted and reported in the operation's metadata.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import grpc
from turnout.policy.v1 import policy_service_pb2 as pb
from turnout.policy.v1.policy_pb2 import Resource, ResourceName, Router
from turnout.policy.v1.policy_service_pb2_grpc import PolicyServiceStub

from services.core.errors import InvalidRequest
from services.core.policy.names import bare_router_name
from services.http_bridge.control import call, handler, if_match, json_body, page_size, page_token
from services.http_bridge.http import Request, Response, json_response
from services.http_bridge.router_form import masked, read_router, router_form
from services.http_bridge.routing import Route

DEFAULT_PAGE = 100
_CREATE = "type.googleapis.com/ai.inworld.router.v1.CreateRouterMetadata"
_UPDATE = "type.googleapis.com/ai.inworld.router.v1.UpdateRouterMetadata"


class RouterRoutes:
    """Serves the router API."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub: Any = PolicyServiceStub(channel)

    def routes(self) -> list[Route]:
        """Every route of it."""
        one = "/router/v1/routers/{router_id}"
        return [
            Route("POST", "/router/v1/routers", handler(self.create)),
            Route("GET", "/router/v1/routers", handler(self.list)),
            Route("GET", one, handler(self.get)),
            Route("PATCH", one, handler(self.update)),
            Route("DELETE", one, handler(self.delete)),
            Route("GET", "/lro/v1alpha/{name...}", handler(self.operation)),
        ]

    async def create(self, request: Request, parameters: Mapping[str, str]) -> Response:
        """POST /router/v1/routers."""
        del parameters
        resource, warnings = read_router(json_body(request))
        message = pb.CreateResourceRequest(resource=resource)
        created: Resource = await call(self._stub.CreateResource, message, request)
        return _operation(created.router, _CREATE, warnings)

    async def list(self, request: Request, parameters: Mapping[str, str]) -> Response:
        """GET /router/v1/routers, by pages."""
        del parameters
        listing = await call(self._stub.ListResources, pb.ListResourcesRequest(kind="Router"), request)
        routers = sorted((r.router for r in listing.resources), key=lambda r: str(r.name))
        after = _page_token(page_token(request))
        size = page_size(request, DEFAULT_PAGE)
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
        form = json_body(request)
        resource, warnings = read_router(form, name=current.router.name)
        mask = request.query.get("update_mask") or request.query.get("updateMask") or ""
        changed = Resource(router=masked(current.router, resource.router, mask), etag=_etag(request, current))
        updated = await call(self._stub.UpdateResource, pb.UpdateResourceRequest(resource=changed), request)
        return _operation(updated.router, _UPDATE, warnings)

    async def delete(self, request: Request, parameters: Mapping[str, str]) -> Response:
        """DELETE /router/v1/routers/{router_id}."""
        name = ResourceName(kind="Router", name=bare_router_name(parameters["router_id"]))
        await call(self._stub.DeleteResource, pb.DeleteResourceRequest(name=name), request)
        return json_response(200, {})

    async def operation(self, request: Request, parameters: Mapping[str, str]) -> Response:
        """GET /lro/v1alpha/{name}: every operation of ours is done; it is told from its name alone."""
        name = parameters["name"]
        router = name.removeprefix("operations/").rpartition("-")[0]
        found = await self._get(request, router)
        return json_response(200, {"name": name, "done": True, "response": router_form(found.router)})

    async def _get(self, request: Request, router_id: str) -> Resource:
        name = ResourceName(kind="Router", name=bare_router_name(router_id))
        found: Resource = await call(self._stub.GetResource, pb.GetResourceRequest(name=name), request)
        return found


def _etag(request: Request, current: Resource) -> str:
    """The revision that the write must find: If-Match where it was given, else the one just read."""
    return if_match(request) or current.etag


def _operation(router: Router, kind: str, warnings: list[str]) -> Response:
    metadata: dict[str, Any] = {"@type": kind}
    if warnings:
        metadata["warnings"] = warnings
    name = f"operations/{router.name}-write"
    return json_response(200, {"name": name, "metadata": metadata, "done": True, "response": router_form(router)})


def _page_token(text: str) -> str:
    try:
        return base64.b64decode(text.encode(), altchars=b"-_", validate=True).decode()
    except ValueError as error:
        raise InvalidRequest("page_token is not one of ours", param="page_token") from error
