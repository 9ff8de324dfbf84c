"""The control plane as a process: wiring only."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sqlite3
from dataclasses import dataclass
from pathlib import Path

import grpc
from prometheus_client import REGISTRY, CollectorRegistry
from turnout.discovery.v1 import discovery_pb2, discovery_pb2_grpc
from turnout.experiment.v1 import experiment_service_pb2, experiment_service_pb2_grpc
from turnout.learning.v1 import learning_service_pb2, learning_service_pb2_grpc
from turnout.policy.v1 import (
    lifecycle_service_pb2,
    lifecycle_service_pb2_grpc,
    policy_service_pb2,
    policy_service_pb2_grpc,
)

from services.controlplane.auth import Authoriser
from services.controlplane.board import Board
from services.controlplane.discovery_service import DiscoveryServicer
from services.controlplane.evidence.copying import Copier, Copies, Files
from services.controlplane.evidence.experiments import RAMP_SECONDS, AutoRamps, Experiments
from services.controlplane.evidence.leader import Leader
from services.controlplane.evidence.service import ExperimentServicer
from services.controlplane.evidence.store import DAY, KEPT_DAYS, EvidenceStore
from services.controlplane.learning.app import Learning, LearningSettings
from services.controlplane.learning.learner import LEARN_SECONDS
from services.controlplane.lifecycle import PolicyLifecycle
from services.controlplane.lifecycle_service import LifecycleServicer
from services.controlplane.nodes import Nodes
from services.controlplane.policy import PolicyAdmin
from services.controlplane.policy_service import PolicyServicer
from services.controlplane.publish import Publisher
from services.controlplane.store.base import PolicyStore
from services.controlplane.store.etcd import EtcdOptions, EtcdStore
from services.runtime.catalogue.shipped import ShippedCatalogue
from services.runtime.clock import Clock, SystemClock
from services.runtime.conditions import CelCompiler
from services.runtime.grpc_server import RunningServer, start_server
from services.runtime.keys import hash_key
from services.runtime.listening import check_address
from services.runtime.metrics import serve_metrics
from services.runtime.supervise import Background, Stop

log = logging.getLogger(__name__)

SERVICES = (
    policy_service_pb2.DESCRIPTOR.services_by_name["PolicyService"].full_name,
    lifecycle_service_pb2.DESCRIPTOR.services_by_name["LifecycleService"].full_name,
    experiment_service_pb2.DESCRIPTOR.services_by_name["ExperimentService"].full_name,
    learning_service_pb2.DESCRIPTOR.services_by_name["LearningService"].full_name,
    discovery_pb2.DESCRIPTOR.services_by_name["DiscoveryService"].full_name,
)


@dataclass(frozen=True, slots=True, repr=False)
class ControlPlaneSettings:
    """How a replica of the control plane runs.

    Attributes:
        listen: gRPC address, HOST:PORT.
        admin_key: A key that may do everything, for a store without keys; empty: none.
        metrics_port: Port of Prometheus metrics; 0: none.
        grace: Seconds that running calls get at the end.
        advertise: Address that other replicas reach this one at; empty: `listen`.
        data_dir: Where the evidence of experiments, and decisions by what was learned, are kept; None: in memory, until
            the end of the process.
        learn_seconds: Seconds between two looks at what there is to learn.
    """

    etcd: EtcdOptions
    listen: str = "127.0.0.1:7001"
    admin_key: str = ""
    metrics_port: int = 0
    grace: float = 5.0
    replica: str = ""
    advertise: str = ""
    data_dir: Path | None = None
    learn_seconds: float = LEARN_SECONDS


class ControlPlane:
    """One replica, around any store.

    Args:
        registry: Where its metrics are registered; None: in one of its own.
    """

    def __init__(
        self,
        store: PolicyStore,
        settings: ControlPlaneSettings,
        clock: Clock,
        registry: CollectorRegistry | None = None,
    ) -> None:
        self.board = Board()
        self.publisher = Publisher(store, self.board, clock)
        replica = settings.replica or f"{socket.gethostname()}-{os.getpid()}"
        self.nodes = Nodes(store, replica, clock)
        authoriser = Authoriser(self.board, hash_key(settings.admin_key) if settings.admin_key else "")
        admin = PolicyAdmin(store, CelCompiler(), ShippedCatalogue())
        lifecycle = PolicyLifecycle(admin, store)
        self.evidence = EvidenceStore(settings.data_dir / "evidence.sqlite" if settings.data_dir is not None else None)
        address = settings.advertise or settings.listen
        self.leader = Leader(store, address, clock)
        self.learning = Learning(
            self.board,
            admin.compile,
            self.leader,
            authoriser,
            clock=clock,
            registry=registry or CollectorRegistry(),
            settings=LearningSettings(address, settings.data_dir, settings.learn_seconds),
        )
        self._policy = PolicyServicer(admin, authoriser, self.board, self.nodes, clock, tables=self.learning.tables)
        copied = {"evidence": self.evidence, "decisions": self.learning.store}
        if any(file.lacks for file in copied.values()):
            self.leader.await_copy(lambda: _complete(copied))
        self._copies = Copies(copied, self.leader, clock)
        self._copier = Copier(copied, self.leader, address, clock)
        experiments = Experiments(admin, lifecycle, self.board, self.evidence)
        self._experiments = ExperimentServicer(
            experiments, self.learning.decisions, self._copies, authoriser, self.leader, clock
        )
        self._ramps = AutoRamps(experiments, admin, clock)
        self._lifecycle = LifecycleServicer(lifecycle, authoriser, self.board, self.nodes, clock)
        self._discovery = DiscoveryServicer(self.board, self.nodes)
        self._settings = settings
        self._clock = clock

    async def start(self, background: Background) -> RunningServer:
        """Start serving; the health service says SERVING once the store was read."""
        server = await start_server(self._settings.listen, self._add, SERVICES)
        background.start("publish", self.publisher.run())
        background.start("nodes", self.nodes.run())
        background.start("leader", self.leader.run())
        background.start("evidence copies", self._copier.run())
        background.start("ramps", self._run_ramps())
        self.learning.start(background)
        background.start("readiness", self._announce(server))
        return server

    async def stop(self, server: RunningServer, background: Background) -> None:
        """End the policy streams, let running calls finish within the grace, let go."""
        self.publisher.stop()
        self._discovery.stop()
        self.learning.stop()
        self._copies.stop()
        self._copier.stop()
        await server.stop(self._settings.grace)
        await background.cancel()
        await self.leader.release()
        await self.leader.aclose()
        self.evidence.close()
        self.learning.close()

    def _add(self, server: grpc.aio.Server) -> None:
        policy_service_pb2_grpc.add_PolicyServiceServicer_to_server(self._policy, server)
        lifecycle_service_pb2_grpc.add_LifecycleServiceServicer_to_server(self._lifecycle, server)
        experiment_service_pb2_grpc.add_ExperimentServiceServicer_to_server(self._experiments, server)
        learning_service_pb2_grpc.add_LearningServiceServicer_to_server(self.learning.servicer, server)
        discovery_pb2_grpc.add_DiscoveryServiceServicer_to_server(self._discovery, server)

    async def _run_ramps(self) -> None:
        """Ramps, at the replica that collects the evidence, and housekeeping."""
        await self.board.ready.wait()
        while True:
            if self.leader.is_mine:
                await self._ramps.look_safely()
            await self._forget_old()
            await self._clock.sleep(RAMP_SECONDS)

    async def _forget_old(self) -> None:
        """Forget what is old, in every replica's own files; a disk that fails is told, since policy goes on without it."""
        now = self._clock.wall()
        try:
            await asyncio.to_thread(self.evidence.forget, now - KEPT_DAYS * DAY)
            await asyncio.to_thread(self.learning.store.forget, now - KEPT_DAYS * DAY, now)
        except sqlite3.Error as error:
            log.error("old evidence is not forgotten: %s", error)

    async def _announce(self, server: RunningServer) -> None:
        await self.board.ready.wait()
        await server.set_serving(serving=True)
        log.info("serving policy at revision %d", self.board.current.revision)


def _complete(files: Files) -> None:
    for file in files.values():
        file.complete()


async def serve(settings: ControlPlaneSettings, stop: Stop) -> None:
    """Run a replica until `stop`.

    Raises:
        CannotListen: An address is taken.
    """
    serve_metrics(settings.metrics_port, REGISTRY)
    check_address(settings.listen)
    clock = SystemClock()
    store = EtcdStore(settings.etcd, clock)
    background = Background(stop)
    plane = ControlPlane(store, settings, clock, REGISTRY)
    server = await plane.start(background)
    log.info("control plane listens on %s, etcd at %s", settings.listen, ", ".join(settings.etcd.endpoints))
    await stop.wait()
    log.info("stopping")
    await plane.stop(server, background)
    await store.aclose()
