"""Checks of policy without a control plane: the same compiler, here."""

from __future__ import annotations

from collections.abc import Mapping

from turnout.policy.v1.policy_pb2 import Problem, Resource

from services.cli.output import Fail
from services.core.policy.compile import Problems, compile
from services.core.policy.documents import Document, ResourceKey, key_of
from services.core.policy.snapshot import Snapshot
from services.runtime.catalogue.shipped import ShippedCatalogue
from services.runtime.conditions import CelCompiler
from services.wire.policy import problem_message, to_document


def compiled(documents: Mapping[ResourceKey, Document]) -> Snapshot:
    """The snapshot of these documents.

    Raises:
        Fail: The compiler refuses them.
    """
    found = compile(documents, CelCompiler(), ShippedCatalogue())
    if isinstance(found, Problems):
        raise Fail("\n".join(str(p) for p in found.problems if not p.warning), code=2)
    return found


def check(resources: list[Resource]) -> list[Problem]:
    """Everything that is wrong or odd with these documents by themselves."""
    documents = {key_of(d): d for d in map(to_document, resources)}
    compiled = compile(documents, CelCompiler(), ShippedCatalogue())
    found = compiled.problems if isinstance(compiled, Problems) else compiled.warnings
    return [problem_message(p) for p in found]
