"""The decision: which targets a request is tried at, in which order, and why. Pure and replayable.

model "<namespace>/<router>"    the router's first true condition, else its default route; a variant by weight
model "provider/model"          that target
a bare model or an alias        the providers that serve it
model "auto"                    the best of `models`, or of all that policy names (`auto.py`)
then the request's own `models` as further fallbacks. What the request rules out is skipped, what is left is
put in order (`ordering.py`). Weights come before health: benched targets are moved back by the attempt chain,
and never change the assignment. What names mean, with their suffixes, is in `named.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from services.core.policy.ports import ConditionProblem
from services.core.policy.preferences import NO_PREFERENCES, Preferences
from services.core.policy.selection import unpriced
from services.core.policy.snapshot import (
    CompiledRoute,
    CompiledRouter,
    CompiledVariant,
    Snapshot,
    Target,
)
from services.core.routing.assignment import assigned
from services.core.routing.bounds import bounded, clocks_of
from services.core.routing.context import RequestContext
from services.core.routing.draft import Draft
from services.core.routing.draw import uniform
from services.core.routing.fitness import roomy, too_small
from services.core.routing.floor import quality_sort
from services.core.routing.health import HealthView, target_name
from services.core.routing.learning import NO_TABLES, Learner, Tables, learned_order
from services.core.routing.named import Named, named, unknown
from services.core.routing.ordering import half_scored, ordered, unscored
from services.core.routing.plan import Candidate, Plan, Shadowing, Skipped, Undecided
from services.core.values import changed

NO_ROUTE = "No route matched. Configure a default route or adjust conditions."

_TOLD = 8
"""Skipped models that an error names."""


def router_named(snapshot: Snapshot, model: str) -> CompiledRouter | None:
    """The router that `model` names; None: it names a model."""
    return named(snapshot, model).router


def decide(
    snapshot: Snapshot,
    context: RequestContext,
    health: HealthView,
    now: float,
    seed: int,
    tables: Tables = NO_TABLES,
) -> Plan | Undecided:
    """The plan for a request; equal arguments give an equal plan. `tables` are read by variants that learn."""
    draft = Draft(snapshot, context, health)
    found = named(snapshot, context.model) if context.model else Named("")
    draft.suffix_sort = found.sort
    router = found.router
    if router is not None:
        draft.warnings.extend(found.warnings)
        draft.router_id = router.name
        route = _route(draft, router)
        if route is None:
            return Undecided("NO_ROUTE", NO_ROUTE, tuple(draft.reasons))
        draft.route_id, draft.shadow = route.route_id, route.shadow
        _add_variant(draft, _variant(draft, route, seed))
    elif found.auto:
        sort = context.preferences.sort or found.sort
        draft.add_automatic(context.models, changed(context.preferences, sort=sort), None)
    elif context.model:
        if not found.targets and not context.models:
            told = found.refusal or unknown(snapshot, context.model)
            return Undecided("UNKNOWN_MODEL", told, tuple(draft.reasons))
        draft.reasons.append(f"model {context.model!r} is served by {_listed(found.targets)}")
        draft.add_named(found, (0, 0))
    for index, model in enumerate(() if found.auto else context.models, 1):
        draft.add_named(named(snapshot, model), (1 if router is not None else 0, index))
    candidates = _candidates(draft, tables, seed)
    if not candidates:
        reason = "NO_PROVIDER" if draft.ruled_out else "UNKNOWN_MODEL"
        return Undecided(reason, _nothing_left(draft), tuple(draft.reasons), tuple(draft.skipped))
    _tell_benched(draft, candidates, health, now)
    return _plan(draft, candidates, seed)


def _plan(draft: Draft, candidates: tuple[Candidate, ...], seed: int) -> Plan:
    rule = draft.rule
    return Plan(
        candidates=candidates,
        retry=bounded(rule.retry, draft.context),
        hedge=rule.hedge,
        commit=rule.commit,
        recovery=rule.recovery,
        on_exhausted=rule.on_exhausted,
        policy_version=draft.snapshot.version,
        policy_revision=draft.snapshot.revision,
        seed=seed,
        router_id=draft.router_id,
        route_id=draft.route_id,
        variant_id=draft.variant.variant_id if draft.variant is not None else "",
        reasons=tuple(draft.reasons),
        skipped=tuple(draft.skipped),
        measured=draft.readings.taken,
        warnings=tuple(draft.warnings),
        automatic=draft.automatic,
        unit=draft.assigned.unit if draft.assigned is not None else "",
        slot=draft.assigned.slot if draft.assigned is not None else -1,
        exposed=draft.assigned is not None and draft.assigned.exposed,
        condition_errors=tuple(draft.condition_errors),
        condition=draft.condition,
        unit_kind=draft.assigned.kind if draft.assigned is not None else "",
        scores=tuple(draft.scores),
        shadow=_shadow(draft, seed) if draft.shadow is not None else None,
        learned=draft.learned,
        session=draft.context.session,
    )


def _add_variant(draft: Draft, variant: CompiledVariant) -> None:
    draft.variant = variant
    draft.demands += variant.preferences.labels
    draft.rule = variant.resilience
    draft.route_clocks = variant.clocks
    if variant.auto:
        own = draft.context.preferences.sort or draft.suffix_sort
        draft.add_automatic(
            variant.entries,
            changed(variant.preferences, sort=own, floor=None, learned=None) if own else variant.preferences,
            variant,
        )
        return
    draft.skipped += [Skipped(model, why) for model, why in variant.left_out]
    for target in variant.targets:
        draft.add((target,), (0, variant.place_of(target.model)), variant)


def _candidates(draft: Draft, tables: Tables, seed: int) -> tuple[Candidate, ...]:
    """The candidates in order; nothing to do is the common case."""
    found = tuple(draft.candidates.values())
    if draft.context.least_tokens:
        found = _with_room(draft, found)
    preferences = draft.preferences()
    limit = preferences.max_price
    if limit is not None:
        dark = [c.target.model for c in found if unpriced(c.target, limit)]
        if dark:
            draft.warnings.append(f"max_price was not checked where no price is known: {', '.join(dark)}")
    sort = quality_sort(draft.asked if draft.automatic else preferences)
    if sort and found:
        unknown = unscored(sort, draft.readings, found)
        draft.warnings += [f"sort by {metric} had no effect: no score is known of these models" for metric in unknown]
        draft.warnings += half_scored(sort, draft.readings, found)
    if preferences is NO_PREFERENCES or not found:
        return found
    learn = partial(_learn, draft, preferences, tables, seed)
    tell, note = draft.reasons.append, draft.scores.append
    order = ordered(found, draft.places, preferences, draft.readings, tell, note, learn=learn)
    if draft.learned is not None and order[0].target.model != draft.learned.choice.models[0]:
        tell("not by the learned choice: the request puts its own models first")
        draft.learned = None
    return order


def _learn(
    draft: Draft, preferences: Preferences, tables: Tables, seed: int, own: Sequence[Candidate]
) -> Sequence[Candidate]:
    assert draft.variant is not None, "only variants learn"
    variant = (draft.router_id, draft.route_id, draft.variant.variant_id)
    learner = Learner(draft.context, preferences, draft.readings, seed, variant, tables.get(variant))
    found, draft.learned = learned_order(own, learner, draft.reasons.append)
    return found


def _with_room(draft: Draft, found: tuple[Candidate, ...]) -> tuple[Candidate, ...]:
    """Those that the prompt may fit, if there is any such."""
    least = draft.context.least_tokens
    kept = {target.model for target in roomy([c.target for c in found], least)}
    draft.skipped += [Skipped(c.target.model, too_small(c.target, least)) for c in found if c.target.model not in kept]
    return tuple(c for c in found if c.target.model in kept)


def _shadow(draft: Draft, seed: int) -> Shadowing | None:
    """The second, unseen way of the request; None: it was not drawn, or the target may not have the request."""
    rule, variant = draft.shadow, draft.variant
    if rule is None or variant is None or uniform(seed, "shadow") * 100.0 >= rule.percent or draft.why_not(rule.target):
        return None
    clocks, named_clocks = clocks_of(draft.snapshot, rule.target, variant.clocks, draft.context)
    candidate = Candidate(rule.target, clocks, named_clocks, variant.generation, variant.templates)
    return Shadowing(candidate, rule)


def _route(draft: Draft, router: CompiledRouter) -> CompiledRoute | None:
    """The first route whose condition is true, else the default route."""
    context = draft.context
    variables = context.metadata
    if router.reads_messages:
        variables = {**variables, "messages": context.messages}
    seen = 0
    for route in _possible(router, context.metadata):
        if route.condition is None:
            continue
        seen += 1
        matched = route.condition.matches(variables)
        if matched is True:
            draft.condition = route.condition.source
            draft.reasons.append(f"route {route.route_id!r}: {draft.condition} is true")
            return route
        if isinstance(matched, ConditionProblem):
            draft.condition_errors.append(route.route_id)
            draft.reasons.append(f"route {route.route_id!r}: {route.condition.source} has no value: {matched.message}")
        else:
            draft.reasons.append(f"route {route.route_id!r}: {route.condition.source} is false")
    if router.index is not None and seen < router.index.count:
        passed = router.index.count - seen
        draft.reasons.append(f"{passed:,} routes require other values of {', '.join(sorted(router.index.filed))}")
    if router.default_route is not None:
        draft.reasons.append(f"route {router.default_route.route_id!r}: the default")
    return router.default_route


def _possible(router: CompiledRouter, metadata: Mapping[str, Any]) -> Iterable[CompiledRoute]:
    """The routes that can match, in order."""
    if router.index is None:
        return router.routes
    return (router.routes[position] for position in router.index.possible(metadata))


def _variant(draft: Draft, route: CompiledRoute, seed: int) -> CompiledVariant:
    draft.assigned = assigned(route, draft.context, seed)
    if draft.assigned.reason:
        draft.reasons.append(draft.assigned.reason)
    return draft.assigned.variant


def _tell_benched(draft: Draft, candidates: tuple[Candidate, ...], health: HealthView, now: float) -> None:
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


def _listed(targets: tuple[Target, ...]) -> str:
    return ", ".join(t.model for t in targets) or "nothing"


def _nothing_left(draft: Draft) -> str:
    if draft.skipped:
        told = "; ".join(f"{s.model}: {s.why}" for s in draft.skipped[:_TOLD])
        more = len(draft.skipped) - _TOLD
        told += f"; and {more} more" if more > 0 else ""
        return f"no provider can serve this request ({told})"
    return unknown(draft.snapshot, draft.context.model or ", ".join(draft.context.models))
