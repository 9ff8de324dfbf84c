"""The worker's end of the policy stream, as a shell around `core/discovery/subscriber_session`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import grpc
from turnout.discovery.v1.discovery_pb2_grpc import DiscoveryServiceStub

from services.core.discovery.messages import Push, Resync
from services.core.discovery.subscriber_session import Accept, acknowledge, on_push, subscription_of
from services.core.policy.compile import Problems
from services.dataplane.control_stream import ControlStream
from services.dataplane.policy_holder import PolicyHolder
from services.dataplane.snapshot_file import SnapshotFile
from services.runtime.clock import Clock
from services.runtime.version import VERSION
from services.wire.discovery import request_message, to_push

log = logging.getLogger(__name__)

LARGE_SET = 200
"""Documents from which on compiling moves off the event loop."""


@dataclass(frozen=True, slots=True)
class NodeIdentity:
    """Who a worker says it is."""

    node_id: str
    address: str


class PolicyClient(ControlStream):
    """Keeps a holder equal to the control plane."""

    def __init__(
        self,
        addresses: Sequence[str],
        node: NodeIdentity,
        holder: PolicyHolder,
        file: SnapshotFile | None,
        clock: Clock,
    ) -> None:
        super().__init__(addresses, clock, "reconnect")
        self._node = node
        self._holder = holder
        self._file = file
        self.connected = False
        self.file_failures = 0

    def load_file(self) -> bool:
        """Put the newest good policy of the disk in force; whether there was one."""
        for policy in self._file.load() if self._file is not None else ():
            compiled = self._holder.compile(policy)
            if not isinstance(compiled, Problems):
                self._holder.put(policy, compiled)
                log.info("policy revision %d from disk is in force", policy.revision)
                return True
            told = "policy revision %d from disk does not compile with this release: %s"
            log.warning(told, policy.revision, "; ".join(map(str, compiled.problems)))
        return False

    def _open(self, channel: grpc.aio.Channel) -> Any:
        return DiscoveryServiceStub(channel).StreamPolicy()

    async def _stream(self, call: Any, address: str) -> int:
        pushes = 0
        try:
            held, node = self._holder.held, self._node
            subscription = subscription_of(held, node.node_id, node.address, VERSION, self._holder.catalogue_version)
            await call.write(request_message(subscription))
            while True:
                message: Any = await call.read()
                if message is grpc.aio.EOF:
                    break
                if not self.connected:
                    log.info("connected to the control plane at %s", address)
                self.connected = True
                pushes += 1
                await call.write(request_message(await self._answer(to_push(message))))
        except grpc.aio.AioRpcError as error:
            if self.connected or pushes:
                log.warning("lost the control plane at %s: %s", address, error.code().name)
        except asyncio.InvalidStateError:
            pass  # the stream ended between a read and the answer to it
        finally:
            self.connected = False
        return pushes

    async def _answer(self, push: Push) -> Any:
        """Apply or refuse a push; the answer for the control plane."""
        verdict = on_push(self._holder.held, push)
        if not isinstance(verdict, Accept):
            if not isinstance(verdict, Resync):
                self._holder.refused(verdict.problems)
            return verdict
        proposed = verdict.proposed
        if len(proposed.entries) > LARGE_SET:
            compiled = await asyncio.to_thread(self._holder.compile, proposed)
        else:
            compiled = self._holder.compile(proposed)
        if isinstance(compiled, Problems):
            self._holder.refused(compiled.problems)
            log.error("refused policy revision %d: %s", push.revision, "; ".join(map(str, compiled.problems)))
            return acknowledge(push, self._holder.held, compiled.problems)
        self._holder.put(proposed, compiled)
        await self._save()
        return acknowledge(push, proposed)

    async def _save(self) -> None:
        if self._file is None:
            return
        try:
            await asyncio.to_thread(self._file.save, self._holder.held)
        except OSError as error:
            # Serving does not need the file; starting without a control plane does.
            self.file_failures += 1
            log.error("the policy was not written to disk: %s", error.strerror)
