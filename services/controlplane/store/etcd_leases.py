"""Leases in etcd: what is written under one goes with it. One per length and half of that, shared by all that is written."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import grpc
from aetcd import rpc

from services.core.errors import StoreUnavailable
from services.runtime.clock import Clock

T = TypeVar("T")


class Leases:
    """The leases of one client.

    Args:
        grant: Asks etcd for a lease; raises `StoreUnavailable`.
    """

    def __init__(self, grant: Callable[[Any], Awaitable[Any]], clock: Clock) -> None:
        self._grant = grant
        self._clock = clock
        self._made: dict[int, tuple[int, float]] = {}

    async def under(self, ttl: int, write: Callable[[int], Awaitable[T]]) -> T:
        """Do `write` with a lease that lasts at least `ttl` more seconds; once more if etcd does not know the lease.

        Raises:
            StoreUnavailable: No answer in time, or etcd refuses.
        """
        for last in (False, True):
            lease = await self._lease(ttl)
            try:
                return await write(lease)
            except StoreUnavailable as error:
                # The lease may be unknown from now on: it dies with the store that gave it.
                self._made.pop(ttl, None)
                if last or not _is_unknown(error):
                    raise
        raise AssertionError("the loop returns or raises")

    async def _lease(self, ttl: int) -> int:
        now = self._clock.monotonic()
        lease, made = self._made.get(ttl, (0, 0.0))
        if lease == 0 or now - made > ttl / 2:
            answer = await self._grant(rpc.LeaseGrantRequest(TTL=ttl + (ttl + 1) // 2))
            lease = answer.ID
            self._made[ttl] = (lease, now)
        return lease


def _is_unknown(error: StoreUnavailable) -> bool:
    cause = error.__cause__
    return isinstance(cause, grpc.aio.AioRpcError) and cause.code() is grpc.StatusCode.NOT_FOUND
