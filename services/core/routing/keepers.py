"""Whom to ask for what only its maker keeps: every provider that speaks an API, each once, in the order of its names."""

from __future__ import annotations

from dataclasses import replace

from services.core.policy.provider_types import apis_of
from services.core.policy.selection import unlabelled
from services.core.policy.snapshot import CompiledProvider, Snapshot, Target
from services.core.routing.bounds import bounded, clocks_of
from services.core.routing.context import RequestContext
from services.core.routing.plan import Candidate, Plan, Undecided


def keepers(snapshot: Snapshot, context: RequestContext, api: str, seed: int) -> Plan | Undecided:
    """The plan for a request that names no model: as many attempts as there are providers, and no retries.

    Args:
        api: Name of the API. A provider speaks it by its type, or because a Model of it says so.
    """
    found = [p for _, p in sorted(snapshot.providers.items()) if _speaks(snapshot, p, api)]
    asked = [p for p in found if not unlabelled(p, snapshot.demands)]
    if not asked:
        return Undecided("NO_PROVIDER", f"no provider of the policy speaks the API {api!r}")
    targets = [Target(f"{provider.name}/{api}", provider, api, api=api) for provider in asked]
    names = ", ".join(provider.name for provider in asked)
    retry = bounded(snapshot.resilience.retry, context)
    return Plan(
        candidates=tuple(Candidate(t, *clocks_of(snapshot, t, {}, context)) for t in targets),
        retry=replace(retry, max_attempts=max(retry.max_attempts, len(targets)), max_retries=0),
        policy_version=snapshot.version,
        policy_revision=snapshot.revision,
        seed=seed,
        reasons=(f"asked in turn until one knows it: {names}",),
    )


def _speaks(snapshot: Snapshot, provider: CompiledProvider, api: str) -> bool:
    named = (t for t in snapshot.models.values() if t.provider.name == provider.name)
    return api in apis_of(provider.type) or any(target.api == api for target in named)
