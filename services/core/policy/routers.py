"""Compiles one router: its conditions, its variants' targets, its ids."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from services.core.errors import Problem
from services.core.policy.documents import (
    MessageTemplate,
    ModelSelection,
    Route,
    Router,
    TextGenerationConfig,
    Variant,
)
from services.core.policy.names import split_model
from services.core.policy.ports import Condition, ConditionCompiler, ConditionProblem
from services.core.policy.resolve import resolve
from services.core.policy.rules import Resilience, resilience, set_clocks
from services.core.policy.snapshot import (
    CompiledRoute,
    CompiledRouter,
    CompiledVariant,
    Snapshot,
    Target,
)


class RouterCompiler:
    """Compiles `router` against `base`, a snapshot that has everything but routers."""

    def __init__(self, router: Router, base: Snapshot, conditions: ConditionCompiler) -> None:
        self.problems: list[Problem] = []
        self._router = router
        self._base = base
        self._conditions = conditions
        self._resilience = Resilience()
        routes = [rule.route for rule in router.routes] + [router.default_route]
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
        reads = any(r.condition is not None and r.condition.reads_messages for r in routes)
        return CompiledRouter(router.name, router.display_name, tuple(routes), default, reads_messages=reads)

    def _condition(self, expression: str, path: str) -> Condition | None:
        if not expression.strip():
            return None
        compiled = self._conditions(expression)
        if isinstance(compiled, ConditionProblem):
            self._wrong(path, compiled.message)
            return None
        return compiled

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
        return CompiledRoute(route.route_id or default_id, condition, tuple(variants))

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
        return CompiledVariant(
            variant_id=variant.variant_id or default_id,
            weight=weight,
            targets=self._targets(variant, path),
            generation=generation,
            templates=templates,
            clocks=self._clocks(variant),
            resilience=resilience(self._resilience, variant),
        )

    def _clocks(self, variant: Variant) -> Mapping[str, Any]:
        return {**set_clocks(self._router.clocks), **set_clocks(variant.clocks)}

    def _targets(self, variant: Variant, path: str) -> tuple[Target, ...]:
        selection = variant.model_selection or ModelSelection()
        found: dict[str, Target] = {}
        if not variant.model_id and not selection.models:
            self._wrong(f"{path}.model_id", "is missing; expected a model id such as openai/gpt-5")
        if variant.model_id:
            self._add(found, variant.model_id, f"{path}.model_id")
        for index, model in enumerate(selection.models):
            self._add(found, model, f"{path}.model_selection.models[{index}]")
        ignored = set(selection.ignore)
        targets = [t for t in found.values() if t.model not in ignored and t.provider.name not in ignored]
        if found and not targets:
            self._wrong(f"{path}.model_selection.ignore", "leaves no model")
        preference = selection.provider
        if preference is not None and preference.order:
            rank = {name: place for place, name in enumerate(preference.order)}
            targets.sort(key=lambda t: rank.get(t.provider.name, len(rank)))
        if preference is not None and preference.allow_fallbacks is False:
            targets = targets[:1]
        return tuple(targets)

    def _add(self, found: dict[str, Target], model: str, path: str) -> None:
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
            found.setdefault(target.model, target)

    def _wrong(self, path: str, message: str) -> None:
        self.problems.append(Problem("Router", self._router.name, path, message))
