"""Learning in a replica of the control plane: wiring only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from prometheus_client import CollectorRegistry

from services.controlplane.auth import Authoriser
from services.controlplane.board import Board
from services.controlplane.evidence.leader import Leader
from services.controlplane.learning.intake import Decisions
from services.controlplane.learning.learner import Learner
from services.controlplane.learning.logbook import Logbook
from services.controlplane.learning.relay import Relay
from services.controlplane.learning.report import Reports
from services.controlplane.learning.service import LearningServicer
from services.controlplane.learning.store import DecisionStore
from services.controlplane.learning.tables import Tables
from services.controlplane.learning.variants import Compile, Variants
from services.core.routing.learned.learner import learned_table
from services.runtime.clock import Clock
from services.runtime.kinds import shipped_kinds
from services.runtime.metrics import LearningMetrics
from services.runtime.supervise import Background


@dataclass(frozen=True, slots=True)
class LearningSettings:
    """How a replica learns.

    Attributes:
        address: Where other replicas reach this one.
        data_dir: Where decisions are kept; None: in memory.
        seconds: Between two looks at what there is to learn.
    """

    address: str
    data_dir: Path | None
    seconds: float


class Learning:
    """Everything of it, in one replica.

    Args:
        compile_: The compiler of the policy.
    """

    def __init__(
        self,
        board: Board,
        compile_: Compile,
        leader: Leader,
        authoriser: Authoriser,
        *,
        clock: Clock,
        registry: CollectorRegistry,
        settings: LearningSettings,
    ) -> None:
        folder = settings.data_dir
        metrics = LearningMetrics(registry)
        self.store = DecisionStore(folder / "decisions.sqlite" if folder is not None else None)
        self.tables = Tables()
        logbook = Logbook(self.store, shipped_kinds())
        variants = Variants(board, compile_)
        self.decisions = Decisions(self.store, variants, metrics)
        self.learner = Learner(
            logbook,
            variants,
            self.tables,
            leader=leader,
            clock=clock,
            metrics=metrics,
            learn=learned_table,
            seconds=settings.seconds,
        )
        reports = Reports(logbook, variants, self.tables, clock)
        self.servicer = LearningServicer(self.tables, reports, authoriser, leader)
        self._relay = Relay(leader, self.tables, settings.address, clock)

    def start(self, background: Background) -> None:
        """Learn, or hear what another replica has learned."""
        background.start("learner", self.learner.run())
        background.start("relay", self._relay.run())

    def stop(self) -> None:
        """End all streams."""
        self._relay.stop()
        self.servicer.stop()

    def close(self) -> None:
        """Close the file."""
        self.store.close()
