"""The decisions of a variant with their rewards: what tables and reports are made of. Its methods block."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from turnout.learning.v1 import learning_service_pb2 as pb

from services.controlplane.learning.rewards import Kept, RewardRule, implicit, observed
from services.controlplane.learning.store import DecisionStore
from services.controlplane.learning.variants import VariantName
from services.core.routing.learned.clusters import Kinds
from services.core.routing.learned.decision import Decision
from services.core.routing.learned.table import EVERYBODY
from services.wire.learning import to_decision

SEGMENTS = 50
"""Segments that are told apart, the most frequent ones: a table must not grow with the values that callers send."""


class Logbook:
    """Reads a store for one version of the kinds of requests."""

    def __init__(self, store: DecisionStore, kinds: Kinds) -> None:
        self._store = store
        self.kinds = kinds

    def mark(self, variant: VariantName) -> int:
        """A number that grows whenever something comes that the variant can learn from."""
        return self._store.mark(str(variant))

    def other_kinds(self, variant: VariantName) -> int:
        """Decisions that are about other kinds of requests, which nothing is learned from."""
        return self._store.other_kinds(str(variant), self.kinds.version)

    def decisions(self, variant: VariantName, rule: RewardRule) -> list[Decision]:
        """The decisions in the order in which they were made, each with its reward as far as it is known."""
        kept = self._store.decisions(str(variant), self.kinds.version)
        values = observed(kept, self._store.feedback(str(variant), rule.metric)) if rule.metric else None
        messages = [pb.LearnedDecision.FromString(one.message) for one in kept]
        segments = _frequent(message.segment for message in messages)
        found = []
        for one, message in zip(kept, messages, strict=True):
            if message.segment not in segments:
                message.segment = EVERYBODY
            # A kind that this version does not have cannot be one of it.
            if max(message.kind) < self.kinds.clusters.count:
                reward = implicit(one, message.chosen) if values is None else _told(one, message.chosen, values, rule)
                found.append(
                    to_decision(message, one.at, one.served, reward=reward, cost=one.cost, seconds=one.seconds)
                )
        return found


def _frequent(segments: Iterable[str]) -> frozenset[str]:
    ranked = sorted(Counter(segments).items(), key=lambda pair: (-pair[1], pair[0]))
    return frozenset(segment for segment, _ in ranked[:SEGMENTS])


def _told(kept: Kept, chosen: str, values: Mapping[str, float], rule: RewardRule) -> float | None:
    value = values.get(kept.id)
    return None if value is None or kept.served != chosen else rule.of(value)
