"""The decision: which targets a request is tried at, in which order, and why. Pure and replayable.

model "<namespace>/<router>"    the router's first true condition, else its default route; a variant by weight
model "provider/model"          that target
a bare model or an alias        the providers that serve it
then the request's own `models` as further fallbacks. Weights come before health: benched
targets are moved back by the attempt chain, and never change the assignment.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from services.core.policy.ports import ConditionProblem
from services.core.policy.resolve import resolve
from services.core.policy.rules import ClockRule, Recovery, Resilience, RetryRule
from services.core.policy.snapshot import (
    CompiledRoute,
    CompiledRouter,
    CompiledVariant,
    Snapshot,
    Target,
)
from services.core.routing.assign import SLOTS, drawn_slot, slot_of, variant_at
from services.core.routing.context import RequestContext
from services.core.routing.health import HealthView, target_name
from services.core.routing.plan import Candidate, Plan, Skipped, Undecided

NO_ROUTE = "No route matched. Configure a default route or adjust conditions."


class _Draft:
    """A plan in the making."""

    def __init__(self, snapshot: Snapshot, context: RequestContext) -> None:
        self.snapshot = snapshot
        self.context = context
        self.candidates: dict[str, Candidate] = {}
        self.reasons: list[str] = []
        self.skipped: list[Skipped] = []
        self.condition_errors: list[str] = []
        self.rule: Resilience = snapshot.resilience

    def add(
        self,
        targets: Iterable[Target],
        variant: CompiledVariant | None = None,
        clocks: Mapping[str, Any] | None = None,
    ) -> None:
        """Add targets in order; one that is there already, ignored or known to be incapable is left out.

        Args:
            clocks: Those of the route, for a target that the request brought itself.
        """
        upper = variant.clocks if variant is not None else clocks or {}
        keeps = self.rule.recovery is not Recovery.HONEST_ERROR or self.rule.commit.sentence
        for target in targets:
            if target.model in self.candidates:
                continue
            why = _unfit(target, self.context)
            if why:
                self.skipped.append(Skipped(target.model, why))
                continue
            merged, named = _clocks(self.snapshot, target, upper, self.context)
            self.candidates[target.model] = Candidate(
                target=target,
                clocks=merged,
                named_clocks=named,
                generation=variant.generation if variant is not None else None,
                templates=variant.templates if variant is not None else (),
                keeps_text=keeps,
            )


def router_named(snapshot: Snapshot, model: str) -> CompiledRouter | None:
    """The router that `model` names; None: it names a model."""
    model = snapshot.aliases.get(model, model)
    namespace, _, name = model.partition("/")
    if name and namespace == snapshot.namespace:
        return snapshot.routers.get(name)
    if not name and model in snapshot.routers and not resolve(snapshot, model):
        return snapshot.routers[model]
    return None


def decide(snapshot: Snapshot, context: RequestContext, health: HealthView, now: float, seed: int) -> Plan | Undecided:
    """The plan for a request; equal arguments give an equal plan."""
    draft = _Draft(snapshot, context)
    router = router_named(snapshot, context.model) if context.model else None
    route_id = variant_id = ""
    route_clocks: Mapping[str, Any] = {}
    if router is not None:
        route = _route(draft, router)
        if route is None:
            return Undecided("NO_ROUTE", NO_ROUTE, tuple(draft.reasons))
        variant = _variant(draft, router, route, seed)
        route_id, variant_id = route.route_id, variant.variant_id
        draft.rule = variant.resilience
        route_clocks = variant.clocks
        draft.add(variant.targets, variant)
    elif context.model:
        found = resolve(snapshot, context.model)
        if not found and not context.models:
            return Undecided("UNKNOWN_MODEL", _unknown(snapshot, context.model), tuple(draft.reasons))
        draft.reasons.append(f"model {context.model!r} is served by {_listed(found)}")
        draft.add(found)
    for model in context.models:
        found = resolve(snapshot, model)
        if not found:
            draft.skipped.append(Skipped(model, "nothing serves it"))
        draft.add(found, clocks=route_clocks)
    candidates = _ordered(draft)
    if not candidates:
        return Undecided("UNKNOWN_MODEL", _nothing_left(draft), tuple(draft.reasons))
    _tell_benched(draft, candidates, health, now)
    rule = draft.rule
    return Plan(
        candidates=candidates,
        retry=_bounded(rule.retry, context),
        hedge=rule.hedge,
        commit=rule.commit,
        recovery=rule.recovery,
        on_exhausted=rule.on_exhausted,
        policy_version=snapshot.version,
        policy_revision=snapshot.revision,
        seed=seed,
        router_id=router.name if router is not None else "",
        route_id=route_id,
        variant_id=variant_id,
        reasons=tuple(draft.reasons),
        skipped=tuple(draft.skipped),
        condition_errors=tuple(draft.condition_errors),
    )


def _route(draft: _Draft, router: CompiledRouter) -> CompiledRoute | None:
    """The first route whose condition is true, else the default route."""
    variables: Mapping[str, Any] | None = None
    for route in router.routes:
        if route.condition is None:
            continue
        if variables is None:
            context = draft.context
            variables = (
                {**context.metadata, "messages": context.messages} if router.reads_messages else context.metadata
            )
        matched = route.condition.matches(variables)
        if matched is True:
            draft.reasons.append(f"route {route.route_id!r}: {route.condition.source} is true")
            return route
        if isinstance(matched, ConditionProblem):
            draft.condition_errors.append(route.route_id)
            draft.reasons.append(f"route {route.route_id!r}: {route.condition.source} has no value: {matched.message}")
        else:
            draft.reasons.append(f"route {route.route_id!r}: {route.condition.source} is false")
    if router.default_route is not None:
        draft.reasons.append(f"route {router.default_route.route_id!r}: the default")
    return router.default_route


def _variant(draft: _Draft, router: CompiledRouter, route: CompiledRoute, seed: int) -> CompiledVariant:
    if len(route.variants) == 1:
        return route.variants[0]
    user = draft.context.user
    slot = slot_of(router.name, route.route_id, user) if user else drawn_slot(seed)
    variant = variant_at(route.variants, slot)
    whose = "of this user" if user else "drawn for this request"
    draft.reasons.append(f"variant {variant.variant_id!r}: slot {slot:,} of {SLOTS:,}, {whose}")
    return variant


def _unfit(target: Target, context: RequestContext) -> str:
    """Why `target` cannot serve the request; empty: it can."""
    if context.ignore and (target.model in context.ignore or target.provider.name in context.ignore):
        return "the request ignores it"
    if "tools" in context.needs and target.capabilities.tools is False:
        return "it cannot call tools"
    if "vision" in context.needs and target.capabilities.vision is False:
        return "it cannot read images"
    return ""


def _ordered(draft: _Draft) -> tuple[Candidate, ...]:
    candidates = list(draft.candidates.values())
    context = draft.context
    if context.provider_order:
        rank = {name: place for place, name in enumerate(context.provider_order)}
        candidates.sort(key=lambda c: rank.get(c.target.provider.name, len(rank)))
    return tuple(candidates if context.allow_fallbacks else candidates[:1])


def _tell_benched(draft: _Draft, candidates: tuple[Candidate, ...], health: HealthView, now: float) -> None:
    if not health.benched_until:
        return
    names = (name for candidate in candidates for name in _names(candidate.target))
    benched = [name for name in names if health.benched(name, now)]
    if benched:
        draft.reasons.append(f"benched, so tried last: {', '.join(benched)}")


def _names(target: Target) -> Iterator[str]:
    """The health names of every way to a target."""
    for address in target.provider.addresses:
        for reference in address.credentials or ("",):
            yield target_name(target.model, address.name, reference)


def _clocks(
    snapshot: Snapshot, target: Target, upper: Mapping[str, Any], context: RequestContext
) -> tuple[ClockRule, frozenset[str]]:
    """The clocks of an attempt: settings < provider < router and variant < request."""
    provider, own = target.provider.clocks, context.clocks
    if not (provider or upper or own):
        return snapshot.clocks, snapshot.settings_clocks
    merged: dict[str, Any] = {**provider, **upper, **own}
    named = snapshot.settings_clocks | merged.keys()
    if "first_content" in own:
        # An adaptive limit of the policy would be taken in place of the caller's.
        merged["ttft"] = None
    return replace(snapshot.clocks, **merged), named


def _bounded(retry: RetryRule, context: RequestContext) -> RetryRule:
    if context.deadline is None or context.deadline >= retry.deadline:
        return retry
    return replace(retry, deadline=context.deadline)


def _listed(targets: tuple[Target, ...]) -> str:
    return ", ".join(t.model for t in targets) or "nothing"


def _nothing_left(draft: _Draft) -> str:
    if draft.skipped:
        told = "; ".join(f"{s.model}: {s.why}" for s in draft.skipped)
        return f"no model can serve this request ({told})"
    return _unknown(draft.snapshot, draft.context.model or ", ".join(draft.context.models))


def _unknown(snapshot: Snapshot, model: str) -> str:
    """The message for a name that nothing serves, with names that look like it."""
    known = [*snapshot.models, *snapshot.aliases, *(f"{snapshot.namespace}/{r}" for r in snapshot.routers)]
    close = difflib.get_close_matches(model, known, n=3)
    namespace, _, name = model.partition("/")
    if name and namespace == snapshot.namespace:
        told = f"there is no router {name!r}"
    elif name and namespace not in snapshot.providers:
        told = f"there is no provider {namespace!r} for the model {model!r}"
    else:
        told = f"nothing serves the model {model!r}"
    return f"{told}; did you mean {' or '.join(repr(c) for c in close)}?" if close else told
