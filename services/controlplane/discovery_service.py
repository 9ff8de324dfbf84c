"""`turnout.discovery.v1.DiscoveryService`: one session per worker stream.

A reader task takes what the worker says, the handler writes what the session
wants to push. The reader is never cancelled while it reads: when the stream
ends, its read ends with it. Streams end by themselves only when their worker
leaves, so a replica that stops ends them, and its workers find another one.
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
from services.runtime.waiting import first_of
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
        self._stopping = asyncio.Event()
        self._readers: set[asyncio.Task[None]] = set()

    def stop(self) -> None:
        """End every stream now, and each new one as soon as it has begun."""
        self._stopping.set()

    # The handler writes through the context instead of yielding, which grpc allows and its types do not.
    async def StreamPolicy(  # type: ignore[override]
        self, request_iterator: AsyncIterator[pb.StreamPolicyRequest], context: Context
    ) -> None:
        del request_iterator
        first = await context.read()
        subscription = to_request(first) if first is not grpc.aio.EOF else None
        if not isinstance(subscription, Subscription) or not subscription.node_id:
            await abort(context, InvalidRequest("a stream begins with `subscribe` and a node_id", param="subscribe"))
        await first_of(self._board.ready.wait(), self._stopping.wait())
        if self._stopping.is_set():
            return
        stream = _Stream(open_session(subscription, self._board.offered(subscription.node_id)))
        self._nodes.seen(stream.session, connected=True)
        log.info("node %s subscribed from %s", subscription.node_id, subscription.address)
        # Its read returns when the call is over, which it is once this handler has returned.
        reader = asyncio.create_task(self._read(stream, context))
        self._readers.add(reader)
        reader.add_done_callback(self._readers.discard)
        try:
            await self._write(stream, context)
        finally:
            stream.ended = True
            self._nodes.seen(stream.session, connected=False)
            log.info("node %s left", subscription.node_id)

    async def _read(self, stream: _Stream, context: Context) -> None:
        while not stream.ended:
            try:
                message = await context.read()
            except grpc.aio.UsageError:
                break  # the call ended between two reads, and its handler has not heard of it yet
            if message is grpc.aio.EOF or stream.ended:
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
        node = stream.session.subscription.node_id
        while not (stream.ended or self._stopping.is_set()):
            seen = self._board.offered(node)
            stream.answered.clear()
            before = stream.session
            stream.session, push = next_push(before, seen)
            if push is not None:
                await context.write(push_message(push))
                continue
            if stream.session is not before:
                # It has caught up without a push: what it refused is no longer news.
                self._nodes.seen(stream.session, connected=True)
            await first_of(self._board.other_than(seen, node), stream.answered.wait(), self._stopping.wait())
