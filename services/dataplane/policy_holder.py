"""The policy in force in this worker: one snapshot, replaced by one assignment."""

from __future__ import annotations

from collections.abc import Callable

from services.core.discovery.messages import PolicySet, documents_of
from services.core.errors import PolicyNotReady, Problem
from services.core.policy.compile import Problems, compile
from services.core.policy.ports import ConditionCompiler, ModelCatalogue
from services.core.policy.snapshot import Snapshot

NO_POLICY = "this worker has no policy yet; it is waiting for the control plane"


class PolicyHolder:
    """Holds the present snapshot and the set it was compiled from."""

    def __init__(self, conditions: ConditionCompiler, catalogue: ModelCatalogue) -> None:
        self._conditions = conditions
        self._catalogue = catalogue
        self._snapshot: Snapshot | None = None
        self.held = PolicySet()
        self.last_nack: tuple[Problem, ...] = ()
        self.on_change: Callable[[Snapshot], None] = lambda _snapshot: None
        self.on_nack: Callable[[], None] = lambda: None

    @property
    def catalogue_version(self) -> str:
        """Version of the model catalogue that came with this release."""
        return self._catalogue.version

    def current(self) -> Snapshot | None:
        """The snapshot in force; None before the first one. A request takes it once and keeps it."""
        return self._snapshot

    def required(self) -> Snapshot:
        """The snapshot in force.

        Raises:
            PolicyNotReady: There is none yet.
        """
        if self._snapshot is None:
            raise PolicyNotReady(NO_POLICY, retry_after=1.0)
        return self._snapshot

    def compile(self, proposed: PolicySet) -> Snapshot | Problems:
        """Compile a set; what has not changed is reused. Safe to call in another thread."""
        compiled = compile(
            documents_of(proposed),
            self._conditions,
            self._catalogue,
            revision=proposed.revision,
            previous=self._snapshot,
        )
        if isinstance(compiled, Snapshot):
            for provider in compiled.providers.values():
                # Read now, so that no request waits for it: a large provider takes some ten milliseconds.
                compiled.catalogue.models_of(provider)
        return compiled

    def put(self, proposed: PolicySet, snapshot: Snapshot) -> None:
        """Put a compiled set in force."""
        self.held = proposed
        self._snapshot = snapshot
        self.last_nack = ()
        self.on_change(snapshot)

    def refused(self, problems: tuple[Problem, ...]) -> None:
        """Note that a set was refused; what is in force stays."""
        self.on_nack()
        self.last_nack = problems
