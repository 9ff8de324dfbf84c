"""`turnout.policy.v1.PolicyService`: thin handlers between messages and the use cases."""

from __future__ import annotations

from turnout.policy.v1 import policy_service_pb2 as pb
from turnout.policy.v1 import policy_service_pb2_grpc
from turnout.policy.v1.policy_pb2 import Resource

from services.controlplane.auth import ADMIN, READ, Authoriser
from services.controlplane.board import Board
from services.controlplane.handlers import Context, applied_message, authorised, note_of
from services.controlplane.learning.tables import Tables
from services.controlplane.nodes import Nodes
from services.controlplane.policy import Note, PolicyAdmin, Write
from services.controlplane.simulate import simulate
from services.core.discovery.messages import Entry
from services.core.errors import InvalidRequest
from services.runtime.clock import Clock
from services.wire.policy import problem_message, to_document, to_key, to_resource


class PolicyServicer(policy_service_pb2_grpc.PolicyServiceServicer):
    """The service."""

    def __init__(
        self,
        admin: PolicyAdmin,
        authoriser: Authoriser,
        board: Board,
        nodes: Nodes,
        clock: Clock,
        *,
        tables: Tables,
    ) -> None:
        self.authoriser = authoriser
        self._admin = admin
        self._board = board
        self._nodes = nodes
        self._clock = clock
        self._tables = tables

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
        return _resource(
            await self._admin.create(to_write(request.resource).document, self._note(context, request.message))
        )

    @authorised(ADMIN)
    async def UpdateResource(self, request: pb.UpdateResourceRequest, context: Context) -> Resource:
        return _resource(
            await self._admin.update(
                to_write(request.resource),
                allow_missing=request.allow_missing,
                note=self._note(context, request.message),
            )
        )

    @authorised(ADMIN)
    async def DeleteResource(self, request: pb.DeleteResourceRequest, context: Context) -> pb.DeleteResourceResponse:
        revision = await self._admin.delete(
            to_key(request.name), revision_of(request.etag), self._note(context, request.message)
        )
        return pb.DeleteResourceResponse(revision=revision)

    @authorised(ADMIN)
    async def Apply(self, request: pb.ApplyRequest, context: Context) -> pb.ApplyResponse:
        writes = [to_write(r) for r in request.resources]
        deletes = [to_key(n) for n in request.delete]
        applied = await self._admin.apply(
            writes, deletes, dry_run=request.dry_run, note=self._note(context, request.message)
        )
        return applied_message(applied)

    @authorised(READ)
    async def Validate(self, request: pb.ValidateRequest, context: Context) -> pb.ValidateResponse:
        documents = [to_write(r).document for r in request.resources]
        problems = await self._admin.validate(documents, alone=request.alone)
        return pb.ValidateResponse(problems=[problem_message(p) for p in problems])

    @authorised(READ)
    async def Simulate(self, request: pb.SimulateRequest, context: Context) -> pb.SimulateResponse:
        writes = [to_write(r) for r in request.overlay]
        snapshot = await self._admin.tried(writes, [to_key(n) for n in request.delete])
        return simulate(snapshot, request, self._tables.current)

    @authorised(READ)
    async def ListNodes(self, request: pb.ListNodesRequest, context: Context) -> pb.ListNodesResponse:
        nodes = await self._nodes.list_nodes()
        current = self._board.current
        trial = self._board.trial
        return pb.ListNodesResponse(
            nodes=nodes,
            revision=current.revision,
            version=current.version,
            canary_version=trial.version if trial is not None else "",
        )

    def _note(self, context: Context, message: str) -> Note:
        return note_of(self.authoriser, context, message, self._clock)


def _resource(entry: Entry) -> Resource:
    return to_resource(entry.document, entry.revision)


def to_write(resource: Resource) -> Write:
    """A document to write, with the revision that its writer read.

    Raises:
        InvalidRequest: It holds no document, or its etag is none.
    """
    if resource.WhichOneof("document") is None:
        raise InvalidRequest("a resource holds no document", param="resource")
    return Write(to_document(resource), revision_of(resource.etag))


def revision_of(text: str) -> int | None:
    """The revision of an etag; None: it was not given."""
    if not text:
        return None
    if not text.isdecimal() or len(text) > 18:
        raise InvalidRequest(f"the etag {text!r} is not a revision", param="etag")
    return int(text)
