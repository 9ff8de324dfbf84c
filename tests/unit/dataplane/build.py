"""Values of the data plane, with what a test does not care about filled in."""

from __future__ import annotations

from typing import Any

from services.core.policy.documents import Prices
from services.core.policy.provider_types import protocol_of
from services.core.policy.rules import ClockRule, RetryRule
from services.core.policy.snapshot import CompiledProvider, Target
from services.core.routing.plan import Candidate, Plan
from services.dataplane.trail import AttemptTrail, Trail
from services.runtime.trace_context import TraceContext

TRACE = TraceContext("ab" * 16, "cd" * 8, "ef" * 8, sampled=True, tracestate="vendor=1")


def candidate(
    model: str = "openai/gpt-5", kind: str = "openai", *, prices: Prices | None = None, **more: Any
) -> Candidate:
    name, _, upstream = model.partition("/")
    provider = CompiledProvider(name, kind, f"https://{name}.example.com/v1", ("env:KEY",), protocol=protocol_of(kind))
    return Candidate(Target(model, provider, upstream, prices=prices or Prices()), ClockRule(), **more)


def plan(*candidates: Candidate, **more: Any) -> Plan:
    return Plan(candidates or (candidate(),), RetryRule(), "version", 7, 42, **more)


def attempt(number: int = 1, **more: Any) -> AttemptTrail:
    base: dict[str, Any] = {"candidate": candidate(), "credential": "env:KEY", "span_id": "11" * 8, "started": 100.0}
    return AttemptTrail(number, **{**base, **more})


def trail(**more: Any) -> Trail:
    base: dict[str, Any] = {
        "generation_id": "gen-1",
        "trace": TRACE,
        "api": "chat.completions",
        "started": 100.0,
        "started_wall": 1_750_000_000.25,
    }
    return Trail(**{**base, **more})
