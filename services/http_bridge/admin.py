"""`/admin/v1`: the control plane's API as REST, in the form of policy files.

Documents are JSON objects as in policy files, with `kind` and `name`; on reads they carry their `etag`, which writes may
give back, or send as If-Match. Whole sets may be sent as YAML too (content type application/yaml).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import grpc
import msgspec
from google.protobuf.message import Message
from turnout.policy.v1 import lifecycle_service_pb2 as life
from turnout.policy.v1 import policy_service_pb2 as pb
from turnout.policy.v1.lifecycle_service_pb2_grpc import LifecycleServiceStub
from turnout.policy.v1.policy_pb2 import Resource, ResourceName
from turnout.policy.v1.policy_service_pb2_grpc import PolicyServiceStub

from services.core.errors import InvalidRequest
from services.http_bridge.admin_form import (
    document_set,
    flag_of,
    message_form,
    name_of,
    names_of,
    number_of,
    object_of,
    resource_form,
    resource_of,
    resources_of,
    strings_of,
    text_of,
)
from services.http_bridge.control import call, handler, if_match, json_body, page_size, page_token
from services.http_bridge.http import Request, Response, json_response
from services.http_bridge.routing import Route

DEFAULT_PAGE = 50
Parameters = Mapping[str, str]


class AdminRoutes:
    """Serves the control plane's API."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._policy: Any = PolicyServiceStub(channel)
        self._life: Any = LifecycleServiceStub(channel)

    def routes(self) -> list[Route]:
        """Every route of it."""
        base = "/admin/v1"
        table = [
            ("GET", "/resources", self.list_resources),
            ("GET", "/resources/{kind}/{name...}", self.get_resource),
            ("PUT", "/resources/{kind}/{name...}", self.put_resource),
            ("DELETE", "/resources/{kind}/{name...}", self.delete_resource),
            ("POST", "/apply", self.apply),
            ("POST", "/validate", self.validate),
            ("POST", "/simulate", self.simulate),
            ("GET", "/nodes", self.nodes),
            ("GET", "/revisions", self.revisions),
            ("GET", "/revisions/{revision}", self.revision),
            ("POST", "/rollback", self.rollback),
            ("GET", "/drafts", self.drafts),
            ("GET", "/drafts/{name}", self.get_draft),
            ("PUT", "/drafts/{name}", self.save_draft),
            ("DELETE", "/drafts/{name}", self.delete_draft),
            ("POST", "/drafts/{name}/publish", self.publish),
            ("GET", "/canary", self.get_canary),
            ("POST", "/canary", self.start_canary),
            ("DELETE", "/canary", self.stop_canary),
        ]
        return [Route(method, base + path, handler(action)) for method, path, action in table]

    async def list_resources(self, request: Request, parameters: Parameters) -> Response:
        """GET /admin/v1/resources?kind=…"""
        del parameters
        message = pb.ListResourcesRequest(kind=request.query.get("kind", ""))
        found = await call(self._policy.ListResources, message, request)
        return json_response(
            200, {"resources": [resource_form(r) for r in found.resources], "revision": found.revision}
        )

    async def get_resource(self, request: Request, parameters: Parameters) -> Response:
        """GET /admin/v1/resources/{kind}/{name}."""
        found = await call(self._policy.GetResource, pb.GetResourceRequest(name=_name(parameters)), request)
        return _one(found)

    async def put_resource(self, request: Request, parameters: Parameters) -> Response:
        """PUT /admin/v1/resources/{kind}/{name}: create or replace; If-Match: 0 means that it must not exist."""
        form = json_body(request)
        if isinstance(form, dict):
            form = {**form, "kind": parameters["kind"], "name": parameters["name"]}
        resource = resource_of(form)
        resource.etag = if_match(request) or resource.etag
        message = pb.UpdateResourceRequest(resource=resource, allow_missing=True, message=_why(request))
        return _one(await call(self._policy.UpdateResource, message, request))

    async def delete_resource(self, request: Request, parameters: Parameters) -> Response:
        """DELETE /admin/v1/resources/{kind}/{name}."""
        message = pb.DeleteResourceRequest(name=_name(parameters), etag=if_match(request), message=_why(request))
        found = await call(self._policy.DeleteResource, message, request)
        return json_response(200, {"revision": found.revision})

    async def apply(self, request: Request, parameters: Parameters) -> Response:
        """POST /admin/v1/apply: a set of documents, all or none."""
        del parameters
        body = document_set(request)
        message = pb.ApplyRequest(
            resources=resources_of(body),
            delete=names_of(body, "delete"),
            dry_run=flag_of(body, "dry_run") or request.query.get("dry_run") == "true",
            message=text_of(body, "message") or _why(request),
        )
        return _answer(await call(self._policy.Apply, message, request))

    async def validate(self, request: Request, parameters: Parameters) -> Response:
        """POST /admin/v1/validate."""
        del parameters
        body = document_set(request)
        message = pb.ValidateRequest(resources=resources_of(body), alone=flag_of(body, "alone"))
        found = await call(self._policy.Validate, message, request)
        valid = all(p.warning for p in found.problems)
        return json_response(200, {"valid": valid, "problems": [message_form(p) for p in found.problems]})

    async def simulate(self, request: Request, parameters: Parameters) -> Response:
        """POST /admin/v1/simulate: where a request would go, and why."""
        del parameters
        body = object_of(json_body(request))
        message = pb.SimulateRequest(
            model=text_of(body, "model"),
            user=text_of(body, "user"),
            overlay=resources_of(body, required=False),
            delete=names_of(body, "delete"),
        )
        seed = body.get("seed", 0)
        if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < 1 << 64:
            raise InvalidRequest("`seed` must be a whole number that is not negative", param="seed")
        message.seed = seed
        metadata = body.get("metadata") or {}
        if not isinstance(metadata, dict):
            raise InvalidRequest("`metadata` must be an object", param="metadata")
        message.facts.metadata.update(metadata)
        if body.get("body") is not None:
            message.body = msgspec.json.encode(body["body"])
        return _answer(await call(self._policy.Simulate, message, request))

    async def nodes(self, request: Request, parameters: Parameters) -> Response:
        """GET /admin/v1/nodes: who runs which policy, and who refused what."""
        del parameters
        return _answer(await call(self._policy.ListNodes, pb.ListNodesRequest(), request))

    async def revisions(self, request: Request, parameters: Parameters) -> Response:
        """GET /admin/v1/revisions?name=Kind/name."""
        del parameters
        message = life.ListRevisionsRequest(page_size=page_size(request, DEFAULT_PAGE), page_token=page_token(request))
        name = request.query.get("name", "")
        if name:
            message.name.CopyFrom(name_of(name, "name"))
        return _answer(await call(self._life.ListRevisions, message, request))

    async def revision(self, request: Request, parameters: Parameters) -> Response:
        """GET /admin/v1/revisions/{revision}."""
        message = life.GetRevisionRequest(revision=number_of(parameters["revision"], "revision"))
        return _answer(await call(self._life.GetRevision, message, request))

    async def rollback(self, request: Request, parameters: Parameters) -> Response:
        """POST /admin/v1/rollback."""
        del parameters
        body = object_of(json_body(request))
        message = life.RollbackRequest(
            revision=number_of(body.get("revision"), "revision"),
            names=names_of(body, "names"),
            message=text_of(body, "message"),
            dry_run=flag_of(body, "dry_run"),
        )
        return _answer(await call(self._life.Rollback, message, request))

    async def drafts(self, request: Request, parameters: Parameters) -> Response:
        """GET /admin/v1/drafts."""
        del parameters
        return _answer(await call(self._life.ListDrafts, life.ListDraftsRequest(), request))

    async def get_draft(self, request: Request, parameters: Parameters) -> Response:
        """GET /admin/v1/drafts/{name}."""
        return _answer(await call(self._life.GetDraft, life.GetDraftRequest(name=parameters["name"]), request))

    async def save_draft(self, request: Request, parameters: Parameters) -> Response:
        """PUT /admin/v1/drafts/{name}."""
        body = document_set(request)
        message = life.SaveDraftRequest(
            name=parameters["name"],
            resources=resources_of(body, required=False),
            delete=names_of(body, "delete"),
            message=text_of(body, "message") or _why(request),
            etag=if_match(request),
        )
        return _answer(await call(self._life.SaveDraft, message, request))

    async def delete_draft(self, request: Request, parameters: Parameters) -> Response:
        """DELETE /admin/v1/drafts/{name}."""
        return _answer(await call(self._life.DeleteDraft, life.DeleteDraftRequest(name=parameters["name"]), request))

    async def publish(self, request: Request, parameters: Parameters) -> Response:
        """POST /admin/v1/drafts/{name}/publish."""
        message = life.PublishDraftRequest(name=parameters["name"], message=_why(request))
        return _answer(await call(self._life.PublishDraft, message, request))

    async def get_canary(self, request: Request, parameters: Parameters) -> Response:
        """GET /admin/v1/canary."""
        del parameters
        return _answer(await call(self._life.GetCanary, life.GetCanaryRequest(), request))

    async def start_canary(self, request: Request, parameters: Parameters) -> Response:
        """POST /admin/v1/canary: {"draft": …, "percent": 10} or {"draft": …, "nodes": […]}."""
        del parameters
        body = object_of(json_body(request))
        percent = body.get("percent", 0.0)
        if not isinstance(percent, (int, float)) or isinstance(percent, bool):
            raise InvalidRequest("`percent` must be a number", param="percent")
        message = life.StartCanaryRequest(
            draft=text_of(body, "draft"), percent=percent, nodes=strings_of(body, "nodes")
        )
        return _answer(await call(self._life.StartCanary, message, request))

    async def stop_canary(self, request: Request, parameters: Parameters) -> Response:
        """DELETE /admin/v1/canary."""
        del parameters
        return _answer(await call(self._life.StopCanary, life.StopCanaryRequest(), request))


def _one(resource: Resource) -> Response:
    return json_response(200, resource_form(resource), {"etag": f'"{resource.etag}"'})


def _answer(message: Message) -> Response:
    return json_response(200, message_form(message))


def _name(parameters: Parameters) -> ResourceName:
    return ResourceName(kind=parameters["kind"], name=parameters["name"])


def _why(request: Request) -> str:
    """The message for the history, for requests whose body has no room for it."""
    return request.query.get("message", "")
