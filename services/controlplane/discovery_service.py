"""`turnout.discovery.v1.DiscoveryService`: one session per worker stream.

A reader task takes what the worker says, the handler writes what the session
wants to push. The reader is never cancelled while it reads: when the stream
ends, its read ends with it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import grpc
from turnout.discovery.v1 import discovery_pb2 as pb
from turnout.discovery.v1 import discovery_pb2_grpc

from services.controlplane.board import Board
from services.controlplane.nodes import Nodes
from services.core.discovery.messages import Acknowledgement, Resync, Subscription
from services.core.discovery.publisher_session import (
    PublisherSession,
    next_push,
    on_acknowledgement,
    on_resync,
    open_session,
)
from services.core.errors import InvalidRequest
from services.wire.discovery import push_message, to_request
from services.wire.status import abort

log = logging.getLogger(__name__)

Context = grpc.aio.ServicerContext[Any, Any]


class _Stream:
    """One stream's session, and what wakes its writer."""

    def __init__(self, session: PublisherSession) -> None:
        self.session = session
        self.answered = asyncio.Event()
        self.ended = False


class DiscoveryServicer(discovery_pb2_grpc.DiscoveryServiceServicer):
    """Pushes the board to workers."""

    def __init__(self, board: Board, nodes: Nodes) -> None:
        self._board = board
        self._nodes = nodes

    # The handler writes through the context instead of yielding, which grpc allows and its types do not.
    async def StreamPolicy(  # type: ignore[override]
        self, request_iterator: AsyncIterator[pb.StreamPolicyRequest], context: Context
    ) -> None:
        del request_iterator
        first = await context.read()
        subscription = to_request(first) if first is not grpc.aio.EOF else None
        if not isinstance(subscription, Subscription) or not subscription.node_id:
            await abort(context, InvalidRequest("a stream begins with `subscribe` and a node_id", param="subscribe"))
        await self._board.ready.wait()
        stream = _Stream(open_session(subscription, self._board.current))
        self._nodes.seen(stream.session, connected=True)
        log.info("node %s subscribed from %s", subscription.node_id, subscription.address)
        reader = asyncio.create_task(self._read(stream, context))
        try:
            await self._write(stream, context)
        finally:
            self._nodes.seen(stream.session, connected=False)
            log.info("node %s left", subscription.node_id)
            # The call is over, so its read returns by itself.
            await asyncio.wait({reader}, timeout=1.0)

    async def _read(self, stream: _Stream, context: Context) -> None:
        while True:
            message = await context.read()
            if message is grpc.aio.EOF:
                break
            said = to_request(message)
            if isinstance(said, Acknowledgement):
                stream.session = on_acknowledgement(stream.session, said)
                if said.problems:
                    told = "; ".join(str(p) for p in said.problems)
                    log.warning("node %s refused a policy: %s", stream.session.subscription.node_id, told)
                self._nodes.seen(stream.session, connected=True)
            elif isinstance(said, Resync):
                log.warning("node %s asks for everything: %s", stream.session.subscription.node_id, said.reason)
                stream.session = on_resync(stream.session, said)
            stream.answered.set()
        stream.ended = True
        stream.answered.set()

    async def _write(self, stream: _Stream, context: Context) -> None:
        while not stream.ended:
            seen = self._board.current
            stream.answered.clear()
            stream.session, push = next_push(stream.session, seen)
            if push is not None:
                await context.write(push_message(push))
                continue
            changed = asyncio.create_task(self._board.other_than(seen))
            answered = asyncio.create_task(stream.answered.wait())
            try:
                await asyncio.wait({changed, answered}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                # Neither task reads from gRPC.
                changed.cancel()
                answered.cancel()
