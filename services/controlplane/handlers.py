"""What the handlers of the control plane's services share: authorisation, errors, and who is asking."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, TypeVar

import grpc
from turnout.policy.v1 import policy_service_pb2 as pb

from services.controlplane.auth import ADMIN, Authoriser
from services.controlplane.policy import Applied, DocumentChange, Note
from services.core.errors import RouterError
from services.runtime.clock import Clock
from services.wire.lifecycle import change_message
from services.wire.policy import problem_message
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
                if scopes:
                    self.authoriser.check(context, scopes)
                return await handler(self, request, context)
            except RouterError as error:
                await abort(context, error)

        return handle

    return wrap


def note_of(authoriser: Authoriser, context: Context, message: str, clock: Clock) -> Note:
    """Who writes, why, and when."""
    return Note(authoriser.check(context, ADMIN), message, clock.wall())


def changed(change: DocumentChange) -> pb.Change:
    """The message of what became of one document."""
    before, after = change.before, change.after
    return change_message(
        change.key,
        before.document if before is not None else None,
        after.document if after is not None else None,
        (before.revision if before is not None else 0, after.revision if after is not None else 0),
    )


def applied_message(applied: Applied) -> pb.ApplyResponse:
    """The message of what a write did, or would do."""
    return pb.ApplyResponse(
        changes=[changed(c) for c in applied.changes],
        revision=applied.revision,
        warnings=[problem_message(p) for p in applied.warnings],
    )
