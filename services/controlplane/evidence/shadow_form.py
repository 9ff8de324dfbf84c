"""Shadows as messages: what workers report of them, and what the report says."""

from __future__ import annotations

import math

from turnout.experiment.v1 import experiment_service_pb2 as pb

from services.controlplane.evidence.shadow_pairs import ShadowPair
from services.core.experiments.shadows import ShadowData, paired
from services.wire.lifecycle import seconds_of

_PREFIX = "shadow:"


def pair_of(outcome: pb.Outcome) -> ShadowPair:
    """The outcome of a shadow, beside the answered request."""
    answered = outcome.answered
    return ShadowPair(
        id=outcome.generation_id,
        experiment=f"{outcome.router_id}/{outcome.route_id}",
        model=outcome.variant_id.removeprefix(_PREFIX),
        unit=answered.unit_hash or answered.generation_id,
        at=seconds_of(outcome.at),
        failed=outcome.outcome != "ok",
        cost=outcome.cost_usd if outcome.HasField("cost_usd") else None,
        ttft=outcome.time_to_first_token_ms if outcome.HasField("time_to_first_token_ms") else None,
        invalid_json=outcome.invalid_json if outcome.HasField("invalid_json") else None,
        answered_cost=answered.cost_usd if answered.HasField("cost_usd") else None,
        answered_ttft=answered.time_to_first_token_ms if answered.HasField("time_to_first_token_ms") else None,
        answered_invalid_json=answered.invalid_json if answered.HasField("invalid_json") else None,
    )


def shadow_message(data: ShadowData, *, alpha: float, fixed: bool) -> pb.ShadowReport:
    """What can be said of a candidate."""
    message = pb.ShadowReport(
        model=data.model,
        requests=data.requests,
        units=data.units,
        error_rate=data.failed / data.requests,
        p95_ttft_ms=data.p95_ttft,
        answered_p95_ttft_ms=data.answered_p95_ttft,
    )
    for pairs in data.pairs:
        found = paired(pairs, alpha=alpha, fixed=fixed)
        told = message.metrics.add(
            metric=found.metric,
            pairs=found.pairs,
            answered=found.answered,
            shadow=found.shadow,
            difference=found.difference,
            p=found.interval.p,
        )
        if math.isfinite(found.interval.low) and math.isfinite(found.interval.high):
            told.low, told.high = found.interval.low, found.interval.high
    return message
