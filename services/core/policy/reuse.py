"""What a compilation takes over from the one before: of ten thousand routers of which one changed, all others.

Documents are immutable and a set of which one changed holds the others as they were, so that identity tells. A router
depends on everything but routers and keys; when any of that changed, all routers are compiled anew, and only their
conditions are taken over.
"""

from __future__ import annotations

from collections.abc import Mapping

from services.core.errors import Problem
from services.core.policy.documents import Document, ResourceKey
from services.core.policy.ports import Condition, ConditionCompiler, ConditionProblem
from services.core.policy.snapshot import CompiledRouter, Snapshot

_UNDECLARED: Mapping[str, str] = {}
_INDEPENDENT = {"Router", "ApiKey"}
"""Kinds that no router depends on."""


class Reused:
    """What `previous` has for `documents`."""

    def __init__(self, previous: Snapshot | None, documents: Mapping[ResourceKey, Document]) -> None:
        self._previous = previous
        self._sources: Mapping[ResourceKey, Document] = previous.sources if previous is not None else {}
        self._stands = previous is not None and self._same_ground(documents)
        self._warnings: dict[str, list[Problem]] = {}
        for problem in previous.warnings if previous is not None else ():
            if problem.kind == "Router":
                self._warnings.setdefault(problem.name, []).append(problem)

    def _same_ground(self, documents: Mapping[ResourceKey, Document]) -> bool:
        """Whether everything that routers depend on is as it was."""
        ground = {key for key in documents if key.kind not in _INDEPENDENT}
        before = {key for key in self._sources if key.kind not in _INDEPENDENT}
        return ground == before and all(self.is_same(key, documents[key]) for key in ground)

    def is_same(self, key: ResourceKey, document: Document) -> bool:
        """Whether the document is the one that was compiled before, and so has no problem of its own."""
        return self._sources.get(key) is document

    def router(self, key: ResourceKey, document: Document) -> CompiledRouter | None:
        """The compiled router, when neither it nor anything that it depends on changed."""
        if self._previous is None or not self._stands or not self.is_same(key, document):
            return None
        return self._previous.routers.get(document.name)

    def warnings(self, router: str) -> list[Problem]:
        """What was odd about a router."""
        return self._warnings.get(router, [])

    def conditions(self, compiler: ConditionCompiler) -> ConditionCompiler:
        """`compiler`, but for expressions that were compiled before."""
        return _Known(compiler, self._previous)


class _Known:
    """Compiles each expression once, and none that the previous snapshot has."""

    def __init__(self, compiler: ConditionCompiler, previous: Snapshot | None) -> None:
        self._compiler = compiler
        self._previous = previous
        self._known: dict[tuple[str, tuple[tuple[str, str], ...]], Condition | ConditionProblem] | None = None

    def __call__(self, expression: str, types: Mapping[str, str] = _UNDECLARED) -> Condition | ConditionProblem:
        if self._known is None:
            # Only when something is to be compiled at all: it takes a look at every route.
            routers = self._previous.routers.values() if self._previous is not None else ()
            pairs = ((route.condition, router.types) for router in routers for route in router.routes)
            self._known = {(c.source, _fixed(types)): c for c, types in pairs if c is not None}
        key = (expression, _fixed(types))
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = self._compiler(expression, types)
        return found


def _fixed(types: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(types.items()))
