"""Which variants learn: those that policy says it of, in force or at the canary's workers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from services.controlplane.board import Board
from services.core.policy.choosing import Learned
from services.core.policy.documents import Router
from services.core.values import Value


class VariantName(Value, frozen=True):
    """A variant of a route of a router; in order of all three."""

    router: str
    route: str
    variant: str

    def __str__(self) -> str:
        return f"{self.router}/{self.route}/{self.variant}"


def learned_variants(board: Board) -> Mapping[VariantName, Learned]:
    """Every variant that learns, by name; where canary and policy differ, policy counts."""
    found: dict[VariantName, Learned] = {}
    for policy in (board.trial, board.current):
        for entry in policy.entries.values() if policy is not None else ():
            if isinstance(entry.document, Router):
                found.update(_of_router(entry.document))
    return dict(sorted(found.items(), key=lambda pair: str(pair[0])))


def _of_router(router: Router) -> Iterable[tuple[VariantName, Learned]]:
    routes = [rule.route for rule in router.routes if rule.route is not None]
    routes += [router.default_route] if router.default_route is not None else []
    for route in routes:
        for weighted in route.variants:
            variant = weighted.variant
            if (
                variant is not None
                and variant.model_selection is not None
                and variant.model_selection.learned is not None
            ):
                yield VariantName(router.name, route.route_id, variant.variant_id), variant.model_selection.learned
