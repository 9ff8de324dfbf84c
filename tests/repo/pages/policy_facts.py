"""What docs/policy.md says of single fields beyond their comments: defaults, limits, and what is required."""

from __future__ import annotations

import dataclasses
from typing import Any

from services.core.policy.attempt_checks import FAULTS, MODES
from services.core.policy.checks import EFFORTS, ROLES, SCOPES
from services.core.policy.compile import DEFAULT_NAMESPACE
from services.core.policy.documents import Prices, PriceTier
from services.core.policy.durations import format_duration
from services.core.policy.learned_rules import MAX_EXPLORE
from services.core.policy.preferences import DEFAULT_DELTA, LearnedRule
from services.core.policy.rules import (
    BreakerRule,
    BudgetRule,
    ClockRule,
    CommitRule,
    ExhaustedRule,
    FaultRule,
    HedgeRule,
    Recovery,
    Resilience,
    RetryRule,
    TtftRule,
)
from services.core.routing.learned.choice import OBJECTIVES

RULES: dict[str, Any] = {
    "Clocks": ClockRule(),
    "AdaptiveTtft": TtftRule(),
    "Retry": RetryRule(),
    "RetryBudget": BudgetRule(),
    "Breaker": BreakerRule(),
    "Hedge": HedgeRule(),
    "CommitAfter": CommitRule(),
    "OnExhausted": ExhaustedRule(),
    "Fault": FaultRule(""),
    "Learned": LearnedRule(),
}
"""The rule that a message lies over, with its defaults."""

_OTHERS: dict[tuple[str, str], str] = {
    ("AdaptiveTtft", "max"): "first_content",
    ("Hedge", "after"): f"p{HedgeRule().percentile * 100:g}",
    ("QualityFloor", "delta"): f"{DEFAULT_DELTA:g}",
    ("Settings", "namespace"): DEFAULT_NAMESPACE,
    ("Settings", "recovery"): Resilience().recovery.value,
}


def default_of(message: str, field: str, kind: str) -> str:
    """What holds when nothing is set, from the code; empty: nothing, or what the level below says."""
    if (message, field) in _OTHERS:
        return _OTHERS[message, field]
    value = getattr(RULES.get(message), field, None)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return format_duration(value) if kind == "duration" else f"{value:g}"
    return value if isinstance(value, str) else ""


_TIME = "1ms to 24h"

LIMITS: dict[tuple[str, str], str] = {
    **{("Clocks", f): _TIME for f in ("connect", "headers", "first_event", "first_content", "idle", "total")},
    ("Clocks", "min_tokens_per_second"): "0 to 10000",
    ("QualityFloor", "delta"): "0 to 1",
    ("Learned", "objective"): ", ".join(OBJECTIVES),
    ("Learned", "explore"): f"0 to {MAX_EXPLORE:.1f}",
    ("Learned", "max_regret"): "at least 0",
    **{("Scores", f): "0 to 1" for f in ("intelligence", "math", "coding")},
    ("AdaptiveTtft", "p"): "0.01 to 0.999",
    ("AdaptiveTtft", "factor"): "1 to 100",
    ("AdaptiveTtft", "min"): _TIME,
    ("AdaptiveTtft", "max"): _TIME,
    ("Retry", "max_retries"): "0 to 10",
    ("Retry", "max_attempts"): "1 to 20",
    ("Retry", "max_wait"): "0s to 10m",
    ("Retry", "deadline"): _TIME,
    ("RetryBudget", "ratio"): "0 to 1",
    ("RetryBudget", "min_per_second"): "0 to 100000",
    ("Breaker", "consecutive_failures"): "1 to 1000",
    ("Breaker", "error_rate"): "0.01 to 1",
    ("Breaker", "min_requests"): "1 to 100000",
    **{("Breaker", f): "10ms to 1h" for f in ("open_for", "max_open_for", "window", "ramp")},
    ("Hedge", "budget"): "0 to 1",
    ("CommitAfter", "tokens"): "0 to 10000",
    ("CommitAfter", "ms"): "0 to 60000",
    **{(message, "recovery"): ", ".join(Recovery) for message in ("Settings", "Router", "Variant")},
    ("OnExhausted", "mode"): ", ".join(MODES),
    ("OnExhausted", "max_wait"): "1ms to 10m",
    ("OnExhausted", "max_len"): "1 to 100000",
    ("Fault", "kind"): ", ".join(FAULTS),
    ("Fault", "status"): "400 to 599",
    ("Fault", "delay"): _TIME,
    ("Fault", "after_bytes"): "0 to 100000000",
    ("Fault", "percent"): "0 to 100",
    ("TextGenerationConfig", "max_tokens"): "at least 1",
    ("TextGenerationConfig", "temperature"): "0 to 2",
    ("TextGenerationConfig", "top_p"): "0 to 1",
    ("TextGenerationConfig", "frequency_penalty"): "-2 to 2",
    ("TextGenerationConfig", "presence_penalty"): "-2 to 2",
    ("WeightedVariant", "weight"): "0 to 100",
    ("Model", "context_length"): "at least 0",
    ("Model", "max_output_tokens"): "at least 0",
    **{("Prices", f.name): "at least 0" for f in dataclasses.fields(Prices) if f.name != "tiers"},
    **{("PriceTier", f.name): "at least 0" for f in dataclasses.fields(PriceTier) if f.name != "above_tokens"},
    ("PriceTier", "above_tokens"): "at least 1",
    ("ApiKey", "scopes"): ", ".join(SCOPES),
    ("MessageTemplate", "role"): ", ".join(ROLES),
    ("Reasoning", "effort"): ", ".join(EFFORTS),
}
"""What is accepted; tests/repo/test_docs.py tries every bound."""

REQUIRED = {
    ("Provider", "name"), ("Provider", "type"), ("Model", "name"), ("Router", "name"), ("Alias", "name"),
    ("Alias", "model"), ("ApiKey", "name"), ("ApiKey", "hash"), ("ApiKey", "scopes"), ("Settings", "name"),
    ("ConditionalRoute", "condition"), ("ConditionalRoute", "route"), ("Condition", "cel_expression"),
    ("Route", "variants"), ("WeightedVariant", "variant"), ("MessageTemplate", "role"),
    ("Endpoint", "name"), ("Endpoint", "base_url"), ("Fault", "kind"), ("Catalogue", "name"),
    ("PriceTier", "above_tokens"), ("PricePeriod", "prices"),
}  # fmt: skip
"""Fields without which a document is refused; the tests leave each one out."""

NOTES = {
    ("Capabilities", "prefill"): "`recovery: continue` needs it",
    ("Provider", "labels"): "`api_version` chooses a dated version of the API of an `azure_openai`",
}
"""What else is to be said of a field."""
