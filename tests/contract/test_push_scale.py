"""Many workers and many documents: one edit is one resource for each, and a worker that stands still delays nobody."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import grpc
import pytest
from turnout.discovery.v1.discovery_pb2_grpc import DiscoveryServiceStub

from services.controlplane.app import ControlPlane
from services.controlplane.store.memory import MemoryStore
from services.core.discovery.messages import Acknowledgement, Subscription
from services.core.policy.documents import Alias, Provider, key_of
from services.runtime.grpc_channel import open_channel
from services.wire.discovery import request_message
from tests.support.nodes import plane
from tests.support.ports import free_port


class Listener:
    """A worker's stream without a worker: takes every push and says so, unless it stands still."""

    def __init__(self, name: str, *, still: bool = False) -> None:
        self.name = name
        self.still = still
        self.sizes: list[int] = []
        self.revision = 0
        self.changed = asyncio.Event()

    async def run(self, channel: grpc.aio.Channel, found: ControlPlane) -> None:
        current = found.board.current
        held = {str(key): entry.revision for key, entry in current.entries.items()}
        call = DiscoveryServiceStub(channel).StreamPolicy()
        await call.write(request_message(Subscription(self.name, "x:1", "1", held, current.revision, current.store_id)))
        while (message := await call.read()) is not grpc.aio.EOF:
            self.sizes.append(len(message.upserts))
            if self.still:
                continue
            self.revision = message.revision
            self.changed.set()
            await call.write(request_message(Acknowledgement(message.nonce, message.version, message.revision)))

    async def at(self, revision: int) -> None:
        while self.revision < revision:
            self.changed.clear()
            await self.changed.wait()


async def write(store: MemoryStore, *documents: Alias | Provider) -> int:
    listing = await store.listing()
    return await store.write({key_of(d): d for d in documents}, (), expected={}, generation=listing.generation)


async def acknowledged(found: ControlPlane, names: set[str], revision: int) -> None:
    """Wait until the control plane has read the acknowledgements of these workers: they write, it reads later."""
    while {n.applied_revision for n in await found.nodes.list_nodes() if n.id in names} != {revision}:
        found.nodes._changed.clear()
        await found.nodes._changed.wait()


async def rehearse(documents: int, workers: int, edits: int) -> None:
    store, port = MemoryStore(), free_port()
    aliases = [Alias(name=f"a{n}", model="openai/x") for n in range(documents)]
    first = await write(store, Provider(name="openai", type="openai"), *aliases)
    listeners = [Listener(f"w{n}") for n in range(workers)]
    still = Listener("still", still=True)
    async with AsyncExitStack() as stack:
        found = await stack.enter_async_context(plane(store, port))
        await found.board.ready.wait()
        channels = [await stack.enter_async_context(open_channel(f"127.0.0.1:{port}")) for _ in (*listeners, still)]
        pairs = zip((*listeners, still), channels, strict=True)
        tasks = [asyncio.create_task(listener.run(channel, found)) for listener, channel in pairs]
        await asyncio.gather(*(listener.at(first) for listener in listeners))
        for edit in range(edits):
            for listener in listeners:
                listener.sizes.clear()
            revision = await write(store, Alias(name="a7", model=f"openai/m{edit}"))
            await asyncio.gather(*(listener.at(revision) for listener in listeners))
            assert {tuple(listener.sizes) for listener in listeners} == {(1,)}, "each was sent the one document"
        assert len(still.sizes) == 1, "nothing is queued for a worker that does not answer"
        await acknowledged(found, {listener.name for listener in listeners}, revision)
        found._discovery.stop()
        await asyncio.gather(*tasks)


async def test_one_edit_is_one_document_for_every_worker_and_one_that_stands_still_delays_nobody() -> None:
    async with asyncio.timeout(60):
        await rehearse(documents=200, workers=20, edits=3)


@pytest.mark.soak
async def test_the_same_with_ten_thousand_documents_and_two_hundred_workers() -> None:
    async with asyncio.timeout(1_800):
        await rehearse(documents=10_000, workers=200, edits=20)
