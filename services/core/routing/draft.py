"""A plan in the making: what a decision has found by now, and what may serve the request at all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from services.core.policy.preferences import BY_MODEL, NO_PREFERENCES, Preferences, SortKey
from services.core.policy.refusals import not_taken
from services.core.policy.rules import Recovery, Resilience
from services.core.policy.selection import unlabelled, unwanted
from services.core.policy.snapshot import CompiledVariant, ShadowRule, Snapshot, Target
from services.core.routing.assignment import Assigned
from services.core.routing.auto import no_chat, pool
from services.core.routing.bounds import clocks_of
from services.core.routing.context import RequestContext
from services.core.routing.fitness import roomy, unable
from services.core.routing.floor import automatic
from services.core.routing.health import HealthView
from services.core.routing.measures import Readings
from services.core.routing.named import Named
from services.core.routing.ordering import Place
from services.core.routing.plan import Candidate, LearnedChoice, Scored, Skipped
from services.core.values import changed


class Draft:
    """A plan in the making."""

    def __init__(self, snapshot: Snapshot, context: RequestContext, health: HealthView) -> None:
        self.snapshot = snapshot
        self.context = context
        self.readings = Readings(health, context.cached)
        self.demands = snapshot.demands
        """Of the settings, then of the variant as well: whoever brings a target, it has to meet them."""
        self.candidates: dict[str, Candidate] = {}
        self.places: dict[str, Place] = {}
        self.reasons: list[str] = []
        self.assigned: Assigned | None = None
        self.warnings: list[str] = list(context.warnings)
        self.skipped: list[Skipped] = []
        self.ruled_out = False
        """Something that would serve the request was skipped, for a reason of the request's."""
        self.condition_errors: list[str] = []
        self.rule: Resilience = snapshot.resilience
        self.router_id = self.route_id = ""
        self.variant: CompiledVariant | None = None
        self.route_clocks: Mapping[str, Any] = {}
        self.suffix_sort: tuple[SortKey, ...] = ()
        self.automatic = False
        self.asked = NO_PREFERENCES
        """What an automatic choice went by."""
        self.condition = ""
        self.shadow: ShadowRule | None = None
        self.scores: list[Scored] = []
        self.learned: LearnedChoice | None = None

    def add(self, targets: Iterable[Target], place: Place, variant: CompiledVariant | None = None) -> None:
        """Add targets in order; one that is there already, ignored or known to be incapable is left out.

        Args:
            variant: The one that they belong to; None: the request brought them itself.
        """
        upper = variant.clocks if variant is not None else self.route_clocks
        keeps = self.rule.recovery is not Recovery.HONEST_ERROR or self.rule.commit.sentence
        for target in targets:
            if target.model in self.candidates or self._skips(target):
                continue
            merged, named_clocks = clocks_of(self.snapshot, target, upper, self.context)
            self.places[target.model] = place
            self.candidates[target.model] = Candidate(
                target=target,
                clocks=merged,
                named_clocks=named_clocks,
                generation=variant.generation if variant is not None else None,
                templates=variant.templates if variant is not None else (),
                keeps_text=keeps,
            )

    def _skips(self, target: Target) -> bool:
        why = self.why_not(target)
        if why:
            self.skipped.append(Skipped(target.model, why))
            self.ruled_out = True
        return bool(why)

    def why_not(self, target: Target) -> str:
        """Why `target` may not serve: what policy demands of every target, then what the request rules out."""
        return unlabelled(target.provider, self.demands) or unfit(target, self.context)

    def add_named(self, found: Named, place: Place) -> None:
        """Add what the request named itself."""
        self.warnings.extend(found.warnings)
        if found.router is not None or found.auto:
            self.skipped.append(Skipped(found.model, "only `model` may name a router, or ask for an automatic choice"))
            return
        if not found.targets:
            self.skipped.append(Skipped(found.model, found.refusal or "nothing serves it"))
        self.add(found.targets, place)

    def add_automatic(self, entries: Sequence[str], preferences: Preferences, variant: CompiledVariant | None) -> None:
        """Add the best of what `entries` name, or of everything."""
        targets, empty = pool(self.snapshot, entries)
        for entry in empty:
            self.skipped.append(Skipped(entry, "nothing serves it"))
        why = {t.model: no_chat(t) or self.why_not(t) or unwanted(t, preferences) for t in targets}
        fitting = [t for t in targets if not why[t.model]]
        self.skipped += [Skipped(t.model, why[t.model]) for t in targets if why[t.model]]
        self.ruled_out = self.ruled_out or len(fitting) < len(targets)
        fitting = list(roomy(fitting, self.context.least_tokens)) if self.context.least_tokens else fitting
        best, told = automatic(fitting, preferences, self.readings)
        self.reasons.append(told)
        self.scores += [Scored(target.model, found) for target, found in best]
        for place, (target, _) in enumerate(best):
            # Each at a place of its own, so that a later sort by fallbacks or models keeps this order.
            self.add((target,), (0, place), variant)
        self.automatic = True
        self.asked = preferences

    def preferences(self) -> Preferences:
        """What candidates are put in order by: the request's own preferences over those of its variant."""
        own, policy = self.context.preferences, self.variant.preferences if self.variant else NO_PREFERENCES
        if own is NO_PREFERENCES and policy is NO_PREFERENCES and not self.suffix_sort:
            return own
        sort, together = own.sort, own.together
        if not sort:
            sort, together = (self.suffix_sort, BY_MODEL) if self.suffix_sort else (policy.sort, policy.together)
        return changed(
            own,
            sort=() if self.automatic else sort,
            floor=None if self.automatic or own.sort or self.suffix_sort else policy.floor,
            learned=None if own.sort or self.suffix_sort else policy.learned,
            together=together,
            order=own.order or policy.order,
            allow_fallbacks=own.allow_fallbacks and policy.allow_fallbacks,
        )


def unfit(target: Target, context: RequestContext) -> str:
    """Why `target` cannot serve the request; empty: it can."""
    if context.needs:
        why = unable(target, context.needs)
        if why:
            return why
    if context.preferences is NO_PREFERENCES:
        return ""
    if context.preferences.require_parameters:
        missing = not_taken(target, context.parameters)
        if missing:
            return f"require_parameters: it does not take {', '.join(missing)}"
    return unwanted(target, context.preferences)
