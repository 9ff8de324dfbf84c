"""`turnout.policy.v1.LifecycleService`: thin handlers between messages and the use cases."""

from __future__ import annotations

import base64

from turnout.policy.v1 import lifecycle_service_pb2 as pb
from turnout.policy.v1 import lifecycle_service_pb2_grpc
from turnout.policy.v1.policy_service_pb2 import ApplyResponse, Change

from services.controlplane.auth import ADMIN, READ, Authoriser
from services.controlplane.board import Board
from services.controlplane.handlers import Context, applied_message, authorised, changed, note_of
from services.controlplane.lifecycle import DEFAULT_PAGE, MAX_PAGE, PolicyLifecycle, Reviewed
from services.controlplane.nodes import Nodes
from services.controlplane.policy import Note
from services.controlplane.policy_service import revision_of, to_write
from services.controlplane.store.base import Draft, Recorded
from services.core.discovery.canary import Canary, overlaid
from services.core.errors import InvalidRequest, NotFound
from services.runtime.clock import Clock
from services.wire.lifecycle import canary_message, change_message, timestamp
from services.wire.policy import problem_message, to_key, to_name, to_resource


class LifecycleServicer(lifecycle_service_pb2_grpc.LifecycleServiceServicer):
    """The service."""

    def __init__(
        self, lifecycle: PolicyLifecycle, authoriser: Authoriser, board: Board, nodes: Nodes, clock: Clock
    ) -> None:
        self.authoriser = authoriser
        self._lifecycle = lifecycle
        self._board = board
        self._nodes = nodes
        self._clock = clock

    @authorised(READ)
    async def ListRevisions(self, request: pb.ListRevisionsRequest, context: Context) -> pb.ListRevisionsResponse:
        if not 0 <= request.page_size <= MAX_PAGE:
            raise InvalidRequest(f"expected up to {MAX_PAGE:,}", param="page_size")
        size = request.page_size or DEFAULT_PAGE
        key = to_key(request.name) if request.HasField("name") else None
        found = await self._lifecycle.revisions(before=_before(request.page_token), limit=size + 1, key=key)
        token = _token(found[size - 1].revision) if len(found) > size else ""
        return pb.ListRevisionsResponse(revisions=[_named(r) for r in found[:size]], next_page_token=token)

    @authorised(READ)
    async def GetRevision(self, request: pb.GetRevisionRequest, context: Context) -> pb.Revision:
        return _revision(await self._lifecycle.revision(request.revision))

    @authorised(ADMIN)
    async def Rollback(self, request: pb.RollbackRequest, context: Context) -> ApplyResponse:
        note = self._note(context, request.message)
        keys = [to_key(n) for n in request.names]
        applied = await self._lifecycle.rollback(request.revision, note, keys=keys, dry_run=request.dry_run)
        return applied_message(applied)

    @authorised(ADMIN)
    async def SaveDraft(self, request: pb.SaveDraftRequest, context: Context) -> pb.Draft:
        documents = [to_write(r).document for r in request.resources]
        deletes = [to_key(n) for n in request.delete]
        note, expected = self._note(context, request.message), revision_of(request.etag)
        return _reviewed(await self._lifecycle.save_draft(request.name, documents, deletes, note, expected=expected))

    @authorised(READ)
    async def GetDraft(self, request: pb.GetDraftRequest, context: Context) -> pb.Draft:
        return _reviewed(await self._lifecycle.draft(request.name))

    @authorised(READ)
    async def ListDrafts(self, request: pb.ListDraftsRequest, context: Context) -> pb.ListDraftsResponse:
        return pb.ListDraftsResponse(drafts=[_head(d) for d in await self._lifecycle.drafts()])

    @authorised(ADMIN)
    async def DeleteDraft(self, request: pb.DeleteDraftRequest, context: Context) -> pb.DeleteDraftResponse:
        await self._lifecycle.delete_draft(request.name)
        return pb.DeleteDraftResponse()

    @authorised(ADMIN)
    async def PublishDraft(self, request: pb.PublishDraftRequest, context: Context) -> ApplyResponse:
        return applied_message(await self._lifecycle.publish(request.name, self._note(context, request.message)))

    @authorised(ADMIN)
    async def StartCanary(self, request: pb.StartCanaryRequest, context: Context) -> pb.Canary:
        workers = [node.id for node in await self._nodes.list_nodes() if node.connected]
        canary = await self._lifecycle.start_canary(
            request.draft, self._note(context, ""), workers, percent=request.percent, nodes=tuple(request.nodes)
        )
        return self._canary(canary)

    @authorised(ADMIN)
    async def StopCanary(self, request: pb.StopCanaryRequest, context: Context) -> pb.StopCanaryResponse:
        canary = await self._lifecycle.stop_canary()
        return pb.StopCanaryResponse(draft=canary.draft if canary is not None else "")

    @authorised(READ)
    async def GetCanary(self, request: pb.GetCanaryRequest, context: Context) -> pb.Canary:
        canary = self._board.canary
        if canary is None:
            raise NotFound("no canary runs")
        return self._canary(canary)

    def _canary(self, canary: Canary) -> pb.Canary:
        return canary_message(canary, overlaid(self._board.current, canary).version)

    def _note(self, context: Context, message: str) -> Note:
        return note_of(self.authoriser, context, message, self._clock)


def _token(revision: int) -> str:
    return base64.urlsafe_b64encode(str(revision).encode()).decode()


def _before(token: str) -> int:
    """The revision that a page token holds; 0: there is none."""
    if not token:
        return 0
    try:
        return int(base64.urlsafe_b64decode(token.encode()))
    except ValueError as error:
        raise InvalidRequest("page_token is not one of ours", param="page_token") from error


def _named(record: Recorded) -> pb.Revision:
    """A write with the names of what it changed."""
    message = pb.Revision(
        revision=record.revision, author=record.author, message=record.message, at=timestamp(record.at)
    )
    for change in record.changes:
        action = change_message(change.key, change.before, change.after).action
        message.changes.append(Change(name=to_name(change.key), action=action))
    return message


def _revision(record: Recorded) -> pb.Revision:
    message = _named(record)
    del message.changes[:]
    message.changes.extend(change_message(c.key, c.before, c.after) for c in record.changes)
    return message


def _head(draft: Draft) -> pb.Draft:
    """A draft without its documents."""
    return pb.Draft(
        name=draft.name,
        author=draft.author,
        message=draft.message,
        saved_at=timestamp(draft.saved_at),
        etag=str(draft.revision),
    )


def _reviewed(reviewed: Reviewed) -> pb.Draft:
    message = _head(reviewed.draft)
    for key in sorted(reviewed.draft.puts):
        entry = reviewed.draft.puts[key]
        resource = to_resource(entry.document)
        resource.etag = str(entry.revision)
        message.resources.append(resource)
    message.delete.extend(to_name(key) for key in sorted(reviewed.draft.deletes))
    message.changes.extend(changed(c) for c in reviewed.changes)
    message.problems.extend(problem_message(p) for p in reviewed.problems)
    return message
