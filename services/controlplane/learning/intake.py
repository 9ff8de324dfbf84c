"""What comes in: decisions of workers and feedback of callers, into the store."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

from turnout.experiment.v1 import experiment_service_pb2 as pb

from services.controlplane.evidence.store import Observed
from services.controlplane.learning.rewards import Kept
from services.controlplane.learning.store import DecisionStore, Made, Repeat
from services.controlplane.learning.variants import VariantName, Variants
from services.runtime.metrics import LearningMetrics
from services.wire.learning import problem_of
from services.wire.lifecycle import seconds_of

log = logging.getLogger(__name__)


class Decisions:
    """Takes what is learned from. Its methods block; they are called in threads, but for `metrics`."""

    def __init__(self, store: DecisionStore, variants: Variants, metrics: LearningMetrics) -> None:
        self._store = store
        self._variants = variants
        self._metrics = metrics

    def add(self, outcomes: Iterable[pb.Outcome]) -> int:
        """Keep the decisions of outcomes, and what they repeat; the number of decisions that are refused."""
        made, repeats, problems = [], [], []
        for outcome in outcomes:
            if outcome.repeats:
                repeats.append(Repeat(outcome.repeats, seconds_of(outcome.at)))
            if not outcome.HasField("learned"):
                continue
            problem = _problem(outcome)
            if problem:
                problems.append(problem)
            else:
                made.append(_made(outcome))
        self._store.add(made, repeats)
        self._metrics.decisions("kept", len(made))
        self._metrics.decisions("refused", len(problems))
        if problems:
            log.warning("%d decisions of workers are refused; the first one: %s", len(problems), problems[0])
        return len(problems)

    def metrics(self) -> frozenset[str]:
        """Metrics of feedback that policy learns from. Does not block."""
        return frozenset(rule.metric for rule in self._variants.learning().values() if rule.metric)

    def observe(self, observations: Sequence[Observed], metrics: frozenset[str]) -> list[bool]:
        """Keep feedback; of each observation whether a decision that it is about is known.

        Args:
            metrics: Those that policy learns from.
        """
        return self._store.observe(observations, metrics)


def _problem(outcome: pb.Outcome) -> str:
    if not (outcome.generation_id and outcome.router_id and outcome.variant_id):
        return "its request, router or variant has no name"
    return problem_of(outcome.learned)


def _is_whole(outcome: pb.Outcome) -> bool:
    """Whether it is an answer that was of use, as far as can be seen from here."""
    return outcome.outcome == "ok" and outcome.finish_reason != "content_filter" and not outcome.invalid_json


def _made(outcome: pb.Outcome) -> Made:
    variant = VariantName(outcome.router_id, outcome.route_id, outcome.variant_id)
    kept = Kept(
        id=outcome.generation_id,
        at=seconds_of(outcome.at),
        user=outcome.user_hash,
        served=outcome.served_model,
        whole=_is_whole(outcome),
        repeated=False,
        cost=outcome.cost_usd if outcome.HasField("cost_usd") else None,
        seconds=outcome.time_to_first_token_ms / 1e3 if outcome.HasField("time_to_first_token_ms") else None,
        message=outcome.learned.SerializeToString(),
    )
    return Made(str(variant), outcome.learned.kinds, kept)
