"""Compiles one router: its conditions, its variants' targets, its ids."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from services.core.errors import Problem
from services.core.policy.documents import (
    MessageTemplate,
    ModelSelection,
    ProviderPreference,
    QualityFloor,
    Route,
    Router,
    TextGenerationConfig,
    Variant,
)
from services.core.policy.experiments import rule_of, table_of
from services.core.policy.learned_rules import learned_rule
from services.core.policy.names import AUTO_NAMES, split_model
from services.core.policy.ports import Condition, ConditionCompiler, ConditionProblem
from services.core.policy.preferences import (
    BY_FALLBACKS,
    DEFAULT_DELTA,
    NO_PREFERENCES,
    QUALITY,
    Floor,
    Preferences,
    PriceLimit,
    label_demands,
    metric_of,
    sort_key,
)
from services.core.policy.resolve import resolve
from services.core.policy.route_index import index_of
from services.core.policy.rules import Resilience, resilience, set_clocks
from services.core.policy.selection import names_any, rank_of, unlabelled, unwanted
from services.core.policy.shadows import shadow_rule
from services.core.policy.snapshot import (
    CompiledRoute,
    CompiledRouter,
    CompiledVariant,
    ShadowRule,
    Snapshot,
    Target,
)
from services.core.routing.assign import route_salt
from services.core.routing.auto import pool

_TOLD = 8
"""Models that a problem names."""


class RouterCompiler:
    """Compiles `router` against `base`, a snapshot that has everything but routers."""

    def __init__(self, router: Router, base: Snapshot, conditions: ConditionCompiler) -> None:
        self.problems: list[Problem] = []
        self._router = router
        self._base = base
        self._conditions = conditions
        self._resilience = Resilience()
        routes = [rule.route for rule in router.routes] + [router.default_route]
        self._types = {**base.types, **router.metadata}
        self._written = {route.route_id for route in routes if route is not None}

    def compile(self, attempt_rules: Resilience) -> CompiledRouter:
        """The compiled router with `attempt_rules` for its variants to lay theirs over; problems in `problems`."""
        router = self._router
        self._resilience = attempt_rules
        routes: list[CompiledRoute] = []
        for index, rule in enumerate(router.routes):
            path = f"routes[{index}]"
            expression = rule.condition.cel_expression if rule.condition is not None else ""
            condition = self._condition(expression, f"{path}.condition.cel_expression")
            if rule.route is not None:
                routes.append(self._route(rule.route, f"{path}.route", f"route-{index + 1}", condition))
        default = None
        if router.default_route is not None:
            default = self._route(router.default_route, "default_route", "default", None)
        every = [*routes, *([default] if default is not None else [])]
        reads = any(r.condition is not None and r.condition.reads_messages for r in routes)
        return CompiledRouter(
            name=router.name,
            display_name=router.display_name,
            routes=tuple(routes),
            default_route=default,
            reads_messages=reads,
            types=self._types,
            index=index_of([r.condition.source if r.condition is not None else "" for r in routes]),
            named=_named(every),
            learns=any(v.preferences.learned is not None for route in every for v in route.variants),
        )

    def _condition(self, expression: str, path: str) -> Condition | None:
        if not expression.strip():
            return None
        compiled = self._conditions(expression, self._types)
        if isinstance(compiled, ConditionProblem):
            self._wrong(path, compiled.message)
            return None
        self._check_declared(compiled, path)
        return compiled

    def _check_declared(self, condition: Condition, path: str) -> None:
        """Where metadata is declared, a name that is not is likely a slip: a request without it never matches."""
        for name in sorted(condition.reads - self._types.keys() - {"messages"}) if self._types else ():
            close = difflib.get_close_matches(name, self._types, n=1)
            told = f"{name!r} is not declared in the metadata" + (f"; did you mean {close[0]!r}?" if close else "")
            self.problems.append(Problem("Router", self._router.name, path, told, warning=True))

    def _route(self, route: Route, path: str, default_id: str, condition: Condition | None) -> CompiledRoute:
        variants = []
        written = {w.variant.variant_id for w in route.variants if w.variant is not None}
        if not route.route_id:
            self._free(default_id, self._written, f"{path}.route_id", "route")
        for index, weighted in enumerate(route.variants):
            if weighted.variant is not None:
                where = f"{path}.variants[{index}].variant"
                default_name = "default" if len(route.variants) == 1 else f"variant-{index + 1}"
                if not weighted.variant.variant_id:
                    self._free(default_name, written, f"{where}.variant_id", "variant")
                variants.append(self._variant(weighted.variant, weighted.weight, where, default_name))
        route_id = route.route_id or default_id
        ids = [variant.variant_id for variant in variants]
        edges, owners = _slots(route, ids)
        rule = rule_of(route, route_salt(self._router.name, route_id), ids)
        shadow = self._shadow(route, variants, f"{path}.shadow")
        return CompiledRoute(route_id, condition, tuple(variants), rule, edges, owners, shadow)

    def _shadow(self, route: Route, variants: Sequence[CompiledVariant], path: str) -> ShadowRule | None:
        if route.shadow is None or not route.shadow.model_id:
            return None
        demands = (*self._base.demands, *(d for variant in variants for d in variant.preferences.labels))
        rule = shadow_rule(route.shadow, self._base, demands)
        if isinstance(rule, str):
            self._wrong(f"{path}.model_id", rule)
            return None
        prices = rule.target.prices
        if rule.max_cost_per_hour and prices.input_per_million is None and not rule.target.spans:
            told = f"no price of {rule.target.model} is known, so max_cost_per_hour_usd lets nothing through"
            self.problems.append(Problem("Router", self._router.name, path, told, warning=True))
        return rule

    def _free(self, derived: str, written: set[str], path: str, what: str) -> None:
        """A derived id must not be one that somebody wrote: both would share slots and records."""
        if derived in written:
            self._wrong(path, f"is missing, and {derived!r}, which it would get, is the id of another {what}")

    def _variant(self, variant: Variant, weight: int, path: str, default_id: str) -> CompiledVariant:
        defaults = self._router.defaults
        generation: TextGenerationConfig | None = variant.text_generation_config
        templates: tuple[MessageTemplate, ...] = variant.message_templates
        if defaults is not None:
            # A variant's own replaces the router's default whole; the two are never merged.
            generation = generation if generation is not None else defaults.text_generation_config
            templates = templates or defaults.message_templates
        preferences = preferences_of(variant.model_selection)
        auto = variant.model_id in AUTO_NAMES and not resolve(self._base, variant.model_id)
        left_out: list[tuple[str, str]] = []
        found = {} if auto else self._targets(variant, path, preferences, left_out)
        if auto:
            self._check_entries(variant, path, preferences)
        elif preferences.learned is not None and len(found) < 2:
            told = "has no choice: the variant has one model; name more of them in models"
            where = f"{path}.model_selection.learned"
            self.problems.append(Problem("Router", self._router.name, where, told, warning=True))
        return CompiledVariant(
            variant_id=variant.variant_id or default_id,
            weight=weight,
            targets=tuple(target for target, _ in found.values()),
            places={model: place for model, (_, place) in found.items() if place},
            left_out=tuple(left_out),
            preferences=preferences,
            auto=auto,
            entries=variant.model_selection.models if auto and variant.model_selection is not None else (),
            generation=generation,
            templates=templates,
            clocks=self._clocks(variant),
            resilience=resilience(self._resilience, variant),
        )

    def _clocks(self, variant: Variant) -> Mapping[str, Any]:
        return {**set_clocks(self._router.clocks), **set_clocks(variant.clocks)}

    def _targets(
        self, variant: Variant, path: str, preferences: Preferences, left_out: list[tuple[str, str]]
    ) -> dict[str, tuple[Target, int]]:
        """The targets in order, each with the place of what named it; 0: `model_id`. `left_out` takes the others."""
        selection = variant.model_selection or ModelSelection()
        named: dict[str, tuple[Target, int]] = {}
        if not variant.model_id and not selection.models:
            self._wrong(f"{path}.model_id", "is missing; expected a model id such as openai/gpt-5")
        if variant.model_id:
            self._add(named, variant.model_id, f"{path}.model_id", 0)
        for index, model in enumerate(selection.models):
            self._add(named, model, f"{path}.model_selection.models[{index}]", index + 1)
        left_out += [(t.model, why) for t, _ in named.values() if (why := self._left_out(t, preferences))]
        ruled_out = {model for model, _ in left_out}
        found = [pair for pair in named.values() if pair[0].model not in ruled_out]
        if named and not found:
            told = "; ".join(f"{model}: {why}" for model, why in left_out)
            self._wrong(f"{path}.model_selection", f"leaves no model ({told})")
        if preferences.order:
            found.sort(key=lambda pair: rank_of(pair[0].provider, preferences.order))
        chosen_later = preferences.sort or preferences.floor is not None or preferences.learned is not None
        if not preferences.allow_fallbacks and not chosen_later:
            listed = [pair for pair in found if names_any(preferences.order, pair[0].provider)]
            found = listed or found[:1]
        return {target.model: (target, place) for target, place in found}

    def _left_out(self, target: Target, preferences: Preferences) -> str:
        return unlabelled(target.provider, self._base.demands) or unwanted(target, preferences)

    def _check_entries(self, variant: Variant, path: str, preferences: Preferences) -> None:
        """What an automatic choice is among must be there; policy may name more models later."""
        entries = variant.model_selection.models if variant.model_selection is not None else ()
        for index, entry in enumerate(entries):
            if entry not in self._base.providers and "*" not in entry:
                self._add({}, entry, f"{path}.model_selection.models[{index}]", index + 1)
        found, _ = pool(self._base, entries)
        why = {t.model: self._left_out(t, preferences) for t in found}
        if found and all(why.values()):
            told = "; ".join(f"{model}: {left_out}" for model, left_out in list(why.items())[:_TOLD])
            message = f"leaves no model to an automatic choice now ({told})"
            where = f"{path}.model_selection"
            self.problems.append(Problem("Router", self._router.name, where, message, warning=True))

    def _add(self, found: dict[str, tuple[Target, int]], model: str, path: str, place: int) -> None:
        name = split_model(model)[0]
        if name == self._base.namespace and name not in self._base.providers:
            self._wrong(path, f"{model!r} is a router; a variant names models")
            return
        targets = resolve(self._base, model)
        if not targets:
            if name:
                self._wrong(path, f"there is no Provider {name!r} for the model {model!r}")
            else:
                self._wrong(path, f"no provider of this policy is known to serve {model!r}; write provider/model")
        for target in targets:
            found.setdefault(target.model, (target, place))

    def _wrong(self, path: str, message: str) -> None:
        self.problems.append(Problem("Router", self._router.name, path, message))


def _slots(route: Route, ids: Sequence[str]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Where the owner of slots changes, and the owners."""
    table = table_of(route, ids)
    if table is None or not table.runs or any(run.arm not in ids for run in table.runs):
        return (), (0,)  # refused by the checks
    return tuple(run.first for run in table.runs[1:]), tuple(ids.index(run.arm) for run in table.runs)


def _named(routes: Sequence[CompiledRoute]) -> dict[str, Target]:
    """Every target that routes name, by model id; the first one counts."""
    targets = (target for route in routes for variant in route.variants for target in variant.targets)
    named: dict[str, Target] = {}
    for target in targets:
        named.setdefault(target.model, target)
    return named


def preferences_of(selection: ModelSelection | None) -> Preferences:
    """A document's preferences as those of a request; words that are not known are left out (the checks refuse them)."""
    if selection is None:
        return NO_PREFERENCES
    keys = (sort_key(rule.metric, rule.direction) for rule in selection.sort)
    provider = selection.provider or ProviderPreference()
    limit = provider.max_price
    found = Preferences(
        only=provider.only,
        ignore=selection.ignore,
        order=provider.order,
        allow_fallbacks=provider.allow_fallbacks is not False,
        labels=label_demands(provider.labels, "labels"),
        max_price=PriceLimit(limit.prompt, limit.completion, limit.request, limit.image) if limit is not None else None,
        sort=tuple(key for key in keys if key is not None),
        together=BY_FALLBACKS,
        floor=_floor(selection.quality_floor),
        learned=learned_rule(selection.learned),
    )
    return found if found != Preferences(together=BY_FALLBACKS) else NO_PREFERENCES


def _floor(written: QualityFloor | None) -> Floor | None:
    if written is None or metric_of(written.metric) not in QUALITY:
        return None
    return Floor(metric_of(written.metric), DEFAULT_DELTA if written.delta is None else written.delta)
