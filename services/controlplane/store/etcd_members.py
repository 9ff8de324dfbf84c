"""The members of one etcd: a channel per endpoint, and which one is asked now.

One channel over all endpoints would have to be given addresses. Names stay names here: what they
stand for may move, and certificates are made out to them. A name with several addresses is
balanced by its channel.
"""

from __future__ import annotations

from collections.abc import Sequence

import grpc
from aetcd import rpc

from services.runtime.grpc_channel import CHANNEL_OPTIONS

_SETTINGS = (*CHANNEL_OPTIONS, ("grpc.lb_policy_name", "round_robin"))


class Member:
    """One endpoint: its channel and its stubs."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.channel = channel
        self.kv = rpc.KVStub(channel)
        self.leases = rpc.LeaseStub(channel)
        self.watches = rpc.WatchStub(channel)
        self.auth = rpc.AuthStub(channel)


class Members:
    """All endpoints, of which one is asked until it fails. Make it inside the running loop."""

    def __init__(self, endpoints: Sequence[str], credentials: grpc.ChannelCredentials | None) -> None:
        self._members = [Member(_channel(endpoint, credentials)) for endpoint in endpoints]
        self._turn = 0

    def __len__(self) -> int:
        return len(self._members)

    @property
    def present(self) -> Member:
        """The member to ask."""
        return self._members[self._turn]

    def lost(self, member: Member) -> None:
        """`member` gave no answer: the next one is asked from now on, whoever says so first."""
        if member is self.present:
            self._turn = (self._turn + 1) % len(self._members)

    async def aclose(self) -> None:
        """Let go of all connections."""
        for member in self._members:
            await member.channel.close()


def _channel(endpoint: str, credentials: grpc.ChannelCredentials | None) -> grpc.aio.Channel:
    # The scheme is spelled out, or a host of the name "unix" or "ipv4" would be taken for one.
    target = f"dns:///{endpoint}"
    if credentials is None:
        return grpc.aio.insecure_channel(target, options=_SETTINGS)
    return grpc.aio.secure_channel(target, credentials, options=_SETTINGS)
