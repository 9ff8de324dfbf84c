"""`turnout.policy.v1.PolicyService`: thin handlers between messages and the use cases."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, TypeVar

import grpc
from turnout.policy.v1 import policy_service_pb2 as pb
from turnout.policy.v1 import policy_service_pb2_grpc
from turnout.policy.v1.policy_pb2 import Resource

from services.controlplane.auth import ADMIN, READ, Authoriser
from services.controlplane.board import Board
from services.controlplane.nodes import Nodes
from services.controlplane.policy import DocumentChange, PolicyAdmin, Write
from services.controlplane.simulate import simulate
from services.core.discovery.messages import Entry
from services.core.errors import InvalidRequest, PolicyRejected, RouterError
from services.core.policy.compile import Problems
from services.core.policy.documents import key_of
from services.wire.policy import problem_message, to_document, to_key, to_name, to_resource
from services.wire.status import abort

Context = grpc.aio.ServicerContext[Any, Any]
Answer = TypeVar("Answer")
Handler = Callable[[Any, Any, Context], Awaitable[Answer]]


def authorised(scopes: frozenset[str]) -> Callable[[Handler[Answer]], Handler[Answer]]:
    """Check the caller's key first, and turn our errors into statuses."""

    def wrap(handler: Handler[Answer]) -> Handler[Answer]:
        @wraps(handler)
        async def handle(self: Any, request: Any, context: Context) -> Answer:
            try:
                self.authoriser.check(context, scopes)
                return await handler(self, request, context)
            except RouterError as error:
                await abort(context, error)

        return handle

    return wrap


class PolicyServicer(policy_service_pb2_grpc.PolicyServiceServicer):
    """The service."""

    def __init__(self, admin: PolicyAdmin, authoriser: Authoriser, board: Board, nodes: Nodes) -> None:
        self.authoriser = authoriser
        self._admin = admin
        self._board = board
        self._nodes = nodes

    @authorised(READ)
    async def GetResource(self, request: pb.GetResourceRequest, context: Context) -> Resource:
        return _resource(await self._admin.get(to_key(request.name)))

    @authorised(READ)
    async def ListResources(self, request: pb.ListResourcesRequest, context: Context) -> pb.ListResourcesResponse:
        listing = await self._admin.listing()
        keys = sorted(key for key in listing.entries if request.kind in {"", key.kind})
        resources = [_resource(listing.entries[key]) for key in keys]
        return pb.ListResourcesResponse(resources=resources, revision=listing.revision)

    @authorised(ADMIN)
    async def CreateResource(self, request: pb.CreateResourceRequest, context: Context) -> Resource:
        return _resource(await self._admin.create(_write(request.resource).document))

    @authorised(ADMIN)
    async def UpdateResource(self, request: pb.UpdateResourceRequest, context: Context) -> Resource:
        return _resource(await self._admin.update(_write(request.resource), allow_missing=request.allow_missing))

    @authorised(ADMIN)
    async def DeleteResource(self, request: pb.DeleteResourceRequest, context: Context) -> pb.DeleteResourceResponse:
        revision = await self._admin.delete(to_key(request.name), _etag(request.etag))
        return pb.DeleteResourceResponse(revision=revision)

    @authorised(ADMIN)
    async def Apply(self, request: pb.ApplyRequest, context: Context) -> pb.ApplyResponse:
        writes = [_write(r) for r in request.resources]
        deletes = [to_key(n) for n in request.delete]
        applied = await self._admin.apply(writes, deletes, dry_run=request.dry_run)
        return pb.ApplyResponse(
            changes=[_change(c) for c in applied.changes],
            revision=applied.revision,
            warnings=[problem_message(p) for p in applied.warnings],
        )

    @authorised(READ)
    async def Validate(self, request: pb.ValidateRequest, context: Context) -> pb.ValidateResponse:
        documents = [_write(r).document for r in request.resources]
        problems = await self._admin.validate(documents, alone=request.alone)
        return pb.ValidateResponse(problems=[problem_message(p) for p in problems])

    @authorised(READ)
    async def Simulate(self, request: pb.SimulateRequest, context: Context) -> pb.SimulateResponse:
        listing = await self._admin.listing()
        documents = {key: entry.document for key, entry in listing.entries.items()}
        documents.update({key_of(d): d for r in request.overlay if (d := _write(r).document)})
        snapshot = self._admin.compile(documents, listing.revision)
        if isinstance(snapshot, Problems):
            raise PolicyRejected(snapshot.problems)
        return simulate(snapshot, request)

    @authorised(READ)
    async def ListNodes(self, request: pb.ListNodesRequest, context: Context) -> pb.ListNodesResponse:
        nodes = await self._nodes.list_nodes()
        current = self._board.current
        return pb.ListNodesResponse(nodes=nodes, revision=current.revision, version=current.version)


def _resource(entry: Entry) -> Resource:
    return to_resource(entry.document, entry.revision)


def _write(resource: Resource) -> Write:
    if resource.WhichOneof("document") is None:
        raise InvalidRequest("a resource holds no document", param="resource")
    return Write(to_document(resource), _etag(resource.etag))


def _etag(text: str) -> int | None:
    """The revision of an etag; None: it was not given."""
    if not text:
        return None
    if not text.isdecimal() or len(text) > 18:
        raise InvalidRequest(f"the etag {text!r} is not a revision", param="etag")
    return int(text)


def _change(change: DocumentChange) -> pb.Change:
    message = pb.Change(name=to_name(change.key))
    if change.before is not None:
        message.before.CopyFrom(_resource(change.before))
    if change.after is None:
        message.action = pb.Change.ACTION_DELETED
        return message
    message.after.CopyFrom(_resource(change.after))
    if change.before is None:
        message.action = pb.Change.ACTION_CREATED
    elif change.before == change.after:
        message.action = pb.Change.ACTION_UNCHANGED
    else:
        message.action = pb.Change.ACTION_UPDATED
    return message
