"""What records keep of those whom they are about."""

from __future__ import annotations

from hashlib import blake2b

from turnout.record.v1.record_pb2 import RequestRecord, Usage

from services.core.pricing import TokenUsage
from services.core.routing.backtest import Past, Place
from services.core.routing.context import RequestContext
from services.core.routing.health import HealthView, Measurement
from services.core.routing.prompt_cache import PROMPT_CACHE
from services.wire.structs import plain_struct

_COST = {"cost_usd", "cost_is_providers", "cost_is_estimated"}
_COUNTED = tuple(n for n in Usage.DESCRIPTOR.fields_by_name if n not in _COST)


def unit_hash(unit: str) -> str:
    """What is kept of a user, a session or another unit: 16 hex digits, the same everywhere."""
    return blake2b(unit.encode(), digest_size=8).hexdigest()


def past_of(record: RequestRecord) -> Past | None:
    """A record as a decision that can be made again; None: it has no facts, so there was none to speak of."""
    if not record.HasField("facts"):
        return None
    facts = record.facts
    read = [Measurement(m.model, m.metric, m.percentile, m.value) for m in record.measurements]
    context = RequestContext(
        model=record.requested_model,
        models=tuple(facts.models),
        metadata=plain_struct(facts.metadata),
        user=record.user_hash,
        session=record.unit_hash,
        needs=frozenset(facts.needs),
        least_tokens=facts.least_tokens,
        cached={m.model: m.value for m in read if m.metric == PROMPT_CACHE},
    )
    answered = record.HasField("usage")
    return Past(
        context=context,
        place=Place(record.router_id, record.route_id, record.variant_id, facts.first_model),
        seed=record.seed,
        known=frozenset(facts.known_keys),
        at=record.started_at.seconds + record.started_at.nanos / 1e9,
        slot=record.slot if record.unit_hash and record.exposed else -1,
        usage=TokenUsage(**{name: getattr(record.usage, name) for name in _COUNTED}) if answered else None,
        cost_usd=record.usage.cost_usd if record.usage.HasField("cost_usd") else None,
        health=HealthView.replaying(read),
    )
