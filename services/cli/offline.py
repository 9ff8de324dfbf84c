"""Checks of policy without a control plane: the same compiler, here."""

from __future__ import annotations

from turnout.policy.v1.policy_pb2 import Problem, Resource

from services.core.policy.compile import Problems, compile
from services.core.policy.documents import key_of
from services.runtime.catalogue.shipped import ShippedCatalogue
from services.runtime.conditions import CelCompiler
from services.wire.policy import problem_message, to_document


def check(resources: list[Resource]) -> list[Problem]:
    """Everything that is wrong or odd with these documents by themselves."""
    documents = {key_of(d): d for d in map(to_document, resources)}
    compiled = compile(documents, CelCompiler(), ShippedCatalogue())
    found = compiled.problems if isinstance(compiled, Problems) else compiled.warnings
    return [problem_message(p) for p in found]
