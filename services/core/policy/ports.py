"""What the compiler needs from outside: conditions that can be evaluated, and a model catalogue.

Both are passed in, so the core stays free of libraries; the adapters are
`runtime/conditions.py` (CEL) and `runtime/catalogue.py` (prices and limits).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from services.core.policy.documents import Capabilities, Prices


@dataclass(frozen=True, slots=True)
class ConditionProblem:
    """Why an expression was refused: a sentence, with a caret at the place where there is one."""

    message: str


class Condition(Protocol):
    """A compiled condition. Immutable and safe to share."""

    @property
    def source(self) -> str:
        """The expression as written."""

    @property
    def reads_messages(self) -> bool:
        """True: the expression mentions `messages`, so they must be decoded for it."""

    def matches(self, variables: Mapping[str, Any]) -> bool | ConditionProblem:
        """Whether the request matches; a problem counts as no match and is counted."""


class ConditionCompiler(Protocol):
    """Compiles conditions."""

    def __call__(self, expression: str) -> Condition | ConditionProblem:
        """Compile `expression`; never raises for bad input."""


@dataclass(frozen=True, slots=True)
class CatalogueEntry:
    """What the shipped catalogue knows of one model; None or 0: nothing."""

    context_length: int = 0
    capabilities: Capabilities = Capabilities()
    prices: Prices = Prices()


class Catalogue(Protocol):
    """The shipped model catalogue."""

    def look_up(self, provider_type: str, provider_name: str, base_url: str, model: str) -> CatalogueEntry | None:
        """Facts about `model` at this provider; None: not in the catalogue."""

    def providers_of(self, model: str) -> tuple[str, ...]:
        """Provider names that the catalogue knows to serve the bare `model`, best known first."""
