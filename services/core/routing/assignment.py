"""The assignment of a request to a variant: sticky by unit, with layers and holdouts."""

from __future__ import annotations

from bisect import bisect_right

from services.core.policy.snapshot import CompiledRoute, CompiledVariant
from services.core.routing.assign import METADATA, SESSION, SLOTS, USER, drawn_slot, slot_of
from services.core.routing.context import RequestContext
from services.core.values import Value

HOLDOUT_SALT = "holdout"
"""The same for all experiments: who is held out of one is held out of all."""
LAYER_SALT = "layer/"


class Assigned(Value, frozen=True):
    """A variant, and how it came about.

    Attributes:
        unit: What was assigned; empty: nothing, the request drew.
        kind: What the unit is, as the experiment says it; empty: there is none.
        slot: 0 to 9,999; -1: none was needed.
        exposed: The unit is in the experiment: not held out, and inside the layer's slots.
        reason: One line for people.
    """

    variant: CompiledVariant
    unit: str = ""
    slot: int = -1
    exposed: bool = False
    reason: str = ""
    kind: str = ""


def assigned(route: CompiledRoute, context: RequestContext, seed: int) -> Assigned:
    """The variant of a route for a request; equal arguments give an equal one, in every process and release."""
    rule = route.experiment
    if len(route.variants) == 1:
        return Assigned(route.variants[0])
    unit = unit_of(rule.unit, context)
    if not unit and context.slot < 0:
        slot = drawn_slot(seed)
        variant = variant_at(route, slot)
        told = f"variant {variant.variant_id!r}: slot {slot:,} of {SLOTS:,}, drawn for this request"
        return Assigned(variant, slot=slot, reason=told)
    # Who had a slot was in the experiment; that is only said again of replays.
    outside = _outside(route, unit) if context.slot < 0 else ""
    if outside:
        control = route.variants[rule.control]
        return Assigned(control, unit, reason=f"variant {control.variant_id!r}: {outside}", kind=rule.unit)
    slot = slot_of(rule.salt, unit) if context.slot < 0 else context.slot
    variant = variant_at(route, slot)
    told = f"variant {variant.variant_id!r}: slot {slot:,} of {SLOTS:,}, of this {_word(rule.unit)}"
    return Assigned(variant, unit, slot, exposed=True, reason=told, kind=rule.unit)


def _outside(route: CompiledRoute, unit: str) -> str:
    """Why a unit is not in the experiment; empty: it is."""
    rule = route.experiment
    if rule.holdout and slot_of(HOLDOUT_SALT, unit) < rule.holdout:
        return f"this {_word(rule.unit)} is held out of all experiments"
    if rule.layer:
        slot = slot_of(LAYER_SALT + rule.layer, unit)
        if not rule.first <= slot <= rule.last:
            return f"slot {slot:,} of layer {rule.layer!r} belongs to another experiment"
    return ""


def unit_of(kind: str, context: RequestContext) -> str:
    """The request's unit; empty: it has none."""
    if kind == USER:
        return context.user
    if kind == SESSION:
        return context.session
    value = context.metadata.get(kind.removeprefix(METADATA))
    if isinstance(value, bool) or value is None:
        return "" if value is None else str(value).lower()
    return value if isinstance(value, str) else str(value) if isinstance(value, (int, float)) else ""


def _word(kind: str) -> str:
    return kind.removeprefix(METADATA)


def variant_at(route: CompiledRoute, slot: int) -> CompiledVariant:
    """The variant that owns a slot."""
    return route.variants[route.owners[bisect_right(route.edges, slot)]]
