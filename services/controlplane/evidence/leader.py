"""Which replica of the control plane collects the evidence of experiments: one, by a claim in the store under a lease.

The others hand on what they are sent, and copy the evidence (`copying.py`). A replica that cannot renew its claim lets go
when the lease must have ended by its own clock, so that no two collect at once. When the one that collects dies, another
takes over within a lease, with its copy. One whose own files were broken lets the others collect until it has copied them:
else it would begin anew although they have everything.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import wraps
from typing import Any, Protocol

import grpc

from services.controlplane.handlers import Answer, Context, Handler
from services.controlplane.store.base import PolicyStore
from services.core.errors import Overloaded, StoreUnavailable
from services.runtime.clock import Clock
from services.runtime.grpc_channel import open_channel
from services.runtime.grpc_server import headers_of
from services.wire.status import from_rpc_error

log = logging.getLogger(__name__)

CLAIM = "evidence"
LEASE_SECONDS = 10
CLAIM_SECONDS = 3.0
CALL_SECONDS = 10.0
YIELD_SECONDS = 15.0
"""How long a replica without its evidence waits for another one to collect: they claim every few seconds, if there are any."""


class Leader:
    """This replica's claim.

    Args:
        address: Where the other replicas reach this one.
    """

    def __init__(self, store: PolicyStore, address: str, clock: Clock) -> None:
        self._store = store
        self._address = address
        self._clock = clock
        self._holder = ""
        self._until = 0.0
        self._changed = asyncio.Event()
        self._channel: grpc.aio.Channel | None = None
        self._channel_to = ""
        self._done: Callable[[], None] | None = None
        self._waits_until = 0.0

    @property
    def is_mine(self) -> bool:
        """Whether this replica collects: it was given the claim, and the lease cannot have ended yet."""
        return self._holder == self._address and self._clock.monotonic() < self._until

    @property
    def holder(self) -> str:
        """Address of the replica that collects; empty: not known, or this one until its lease ended."""
        return "" if self._holder == self._address and not self.is_mine else self._holder

    async def other_than(self, seen: str) -> str:
        """The address of the replica that collects as soon as it is not `seen`."""
        while self.holder == seen:
            await self._changed.wait()
        return self.holder

    def await_copy(self, done: Callable[[], None]) -> None:
        """Leave the claim to others until `has_copy`, or until none has wanted it for `YIELD_SECONDS`.

        Args:
            done: Called then, in a thread.
        """
        self._done, self._waits_until = done, self._clock.monotonic() + YIELD_SECONDS

    @property
    def awaits_copy(self) -> bool:
        """Whether this replica collects nothing because its own files were broken."""
        return self._done is not None

    async def has_copy(self) -> None:
        """This replica has what the one that collects has, and may collect itself."""
        done, self._done = self._done, None
        if done is not None:
            await asyncio.to_thread(done)
            log.info("this replica has a copy of the evidence in place of its broken files")

    async def run(self) -> None:
        """Claim, and claim again before the lease ends."""
        while True:
            await self.claim()
            await self._clock.sleep(CLAIM_SECONDS)

    async def claim(self) -> None:
        """Claim once; who holds it is known afterwards, as far as the store answers."""
        if self._done is not None and await self._leaves_it(self._done):
            return
        before, was_mine = self.holder, self.is_mine
        # The lease begins when the store grants it, which is not before it was asked.
        asked = self._clock.monotonic()
        try:
            holder = await self._store.claim(CLAIM, self._address, LEASE_SECONDS)
        except StoreUnavailable as error:
            log.debug("the claim on the evidence was not renewed: %s", error.message)
            if self._holder and not self.holder:
                self._holder = ""
                log.warning("this replica collects no evidence any more: its claim ended while the store was away")
                self._wake()
            return
        self._until, self._holder = asked + LEASE_SECONDS, holder
        if self.holder != before:
            self._wake()
        if self.is_mine != was_mine:
            log.info("evidence is collected by %s", "this replica" if self.is_mine else self.holder)

    async def _leaves_it(self, done: Callable[[], None]) -> bool:
        """Whether the claim is left to others; what this replica claimed before it lost its files is given up."""
        now, before = self._clock.monotonic(), self.holder
        try:
            await self._store.release(CLAIM, self._address)
            holder = await self._store.claimed(CLAIM)
        except StoreUnavailable as error:
            log.debug("nobody can claim the evidence: %s", error.message)
            self._waits_until = now + YIELD_SECONDS
            return True
        if holder:
            self._waits_until = now + YIELD_SECONDS
        elif now >= self._waits_until:
            log.error("no other replica has collected evidence for %.0f seconds: this one begins anew", YIELD_SECONDS)
            self._done = None
            await asyncio.to_thread(done)
            return False
        self._holder = holder
        if self.holder != before:
            self._wake()
        return True

    def _wake(self) -> None:
        """Wake those who wait for another replica to collect."""
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def release(self) -> None:
        """Give the claim up, so that another replica collects at once."""
        if self.is_mine:
            self._holder = ""
            self._wake()
            try:
                await self._store.release(CLAIM, self._address)
            except StoreUnavailable as error:
                log.debug("the claim on the evidence was not given up: %s", error.message)

    async def hand_on(self, stub: Any, method: str, request: Any, metadata: tuple[tuple[str, str], ...]) -> Any:
        """Let the replica that collects answer.

        Args:
            stub: Class of the service's stub.

        Raises:
            RouterError: It refuses, or cannot be reached.
        """
        holder = self.holder
        if not holder:
            raise Overloaded("no replica of the control plane collects evidence yet", retry_after=CLAIM_SECONDS)
        if self._channel is None or self._channel_to != holder:
            await self.aclose()
            self._channel, self._channel_to = open_channel(holder), holder
        call = getattr(stub(self._channel), method)
        try:
            return await call(request, metadata=metadata, timeout=CALL_SECONDS)
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from error

    async def aclose(self) -> None:
        """Let go of the connection."""
        channel, self._channel = self._channel, None
        if channel is not None:
            await channel.close()


class Collecting(Protocol):
    """A servicer that only the replica that collects can answer for; `stub` is the class of its service's stub."""

    leader: Leader
    stub: Any


def collected(handler: Handler[Answer]) -> Handler[Answer]:
    """Let the replica that collects answer; under `authorised`, which turns what that refuses into a status."""

    @wraps(handler)
    async def handle(self: Collecting, request: Any, context: Context) -> Answer:
        if self.leader.is_mine:
            return await handler(self, request, context)
        headers = headers_of(context)
        metadata = tuple((n, headers[n]) for n in ("authorization", "x-api-key") if n in headers)
        handed: Answer = await self.leader.hand_on(self.stub, handler.__name__, request, metadata)
        return handed

    return handle
