"""Which variants learn: those that policy says it of, in force or at the canary's workers."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping

from services.controlplane.board import Board
from services.core.discovery.messages import PolicySet, documents_of
from services.core.policy.compile import Problems
from services.core.policy.documents import Document, ResourceKey, Route, Router
from services.core.policy.preferences import LearnedRule
from services.core.policy.snapshot import Snapshot
from services.core.values import Value

log = logging.getLogger(__name__)

Compile = Callable[[Mapping[ResourceKey, Document], int], "Snapshot | Problems"]
Learning = Mapping["VariantName", LearnedRule]


class VariantName(Value, frozen=True):
    """A variant of a route of a router, by the ids that requests have it under; in order of all three."""

    router: str
    route: str
    variant: str

    def __str__(self) -> str:
        return f"{self.router}/{self.route}/{self.variant}"


class Variants:
    """The variants that learn, found anew when the policy has changed. For the event loop, as the compiler is.

    Args:
        compile_: The compiler of the policy, which names what has no id of its own.
    """

    def __init__(self, board: Board, compile_: Compile) -> None:
        self._board = board
        self._compile = compile_
        self._found: tuple[PolicySet | None, PolicySet | None, Learning] = (None, None, {})

    async def ready(self) -> None:
        """Return when the policy has been read for the first time."""
        await self._board.ready.wait()

    def learning(self) -> Learning:
        """Every variant that learns, in order, with its rule; where canary and policy differ, policy counts."""
        current, trial = self._board.current, self._board.trial
        if self._found[0] is not current or self._found[1] is not trial:
            found: dict[VariantName, LearnedRule] = {}
            for policy in (trial, current):
                found.update(self._of(policy) if policy is not None else ())
            self._found = (current, trial, dict(sorted(found.items(), key=lambda pair: str(pair[0]))))
        return self._found[2]

    def _of(self, policy: PolicySet) -> Iterable[tuple[VariantName, LearnedRule]]:
        # Nothing is compiled for a policy in which nothing learns.
        if not any(isinstance(e.document, Router) and _learns(e.document) for e in policy.entries.values()):
            return
        compiled = self._compile(documents_of(policy), policy.revision)
        if isinstance(compiled, Problems):
            log.error("what learns stays as it was, since the policy does not compile: %s", compiled.problems[0])
            yield from self._found[2].items()
            return
        for name, router in compiled.routers.items():
            for route in router.all_routes:
                for variant in route.variants:
                    if variant.preferences.learned is not None:
                        yield VariantName(name, route.route_id, variant.variant_id), variant.preferences.learned


def _learns(router: Router) -> bool:
    routes: list[Route | None] = [*(rule.route for rule in router.routes), router.default_route]
    variants = [w.variant for route in routes if route is not None for w in route.variants]
    selections = [variant.model_selection for variant in variants if variant is not None]
    return any(selection is not None and selection.learned is not None for selection in selections)
