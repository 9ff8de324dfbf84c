"""What the compiler needs from outside: conditions that can be evaluated, and a model catalogue.

Both are passed in, so the core stays free of libraries; the adapters are
`runtime/conditions.py` (CEL) and `runtime/catalogue/` (prices and limits).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from services.core.errors import Problem
from services.core.policy.documents import Capabilities, Catalogue, Prices, Scores
from services.core.pricing import PriceSpan


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
    def reads(self) -> frozenset[str]:
        """The names of metadata that it mentions, and "messages"."""

    @property
    def reads_messages(self) -> bool:
        """True: the expression mentions `messages`, so they must be decoded for it."""

    def matches(self, variables: Mapping[str, Any]) -> bool | ConditionProblem:
        """Whether the request matches; a problem counts as no match and is counted."""


METADATA_TYPES = ("string", "int", "double", "bool", "list", "map")
"""Types that metadata can be declared with."""


class ConditionCompiler(Protocol):
    """Compiles conditions."""

    def __call__(self, expression: str, types: Mapping[str, str] = ...) -> Condition | ConditionProblem:
        """Compile `expression`; never raises for bad input.

        Args:
            types: Declared types of metadata, by name; names that are not declared are of any type.
        """


@dataclass(frozen=True, slots=True)
class CatalogueEntry:
    """What the catalogue knows of one model at one provider; None, 0 or empty: nothing.

    Attributes:
        model: The name that the provider knows the model by.
        context_length: Context window in tokens.
        max_output_tokens: Most tokens of one answer.
        spans: Prices that hold in place of `prices` at some times.
        api: The provider's API that it is called by, where it has no other.
        kind: What it is: chat, embedding, image, speech, transcription, moderation, rerank.
        released: Day it came out, YYYY-MM-DD.
        deprecated: Its provider says that it will go, or it is gone.
    """

    model: str = ""
    context_length: int = 0
    capabilities: Capabilities = Capabilities()
    prices: Prices = Prices()
    max_output_tokens: int = 0
    spans: tuple[PriceSpan, ...] = ()
    api: str = ""
    display_name: str = ""
    kind: str = "chat"
    released: str = ""
    deprecated: bool = False


class Located(Protocol):
    """What the catalogue needs to know of a provider of the policy."""

    @property
    def name(self) -> str:
        """Its name in the policy."""

    @property
    def type(self) -> str:
        """Its type."""

    @property
    def base_url(self) -> str:
        """Where it listens."""


class ModelCatalogue(Protocol):
    """The models that are known, by provider. Immutable."""

    @property
    def version(self) -> str:
        """Content id of what is shipped."""

    def look_up(self, provider: Located, model: str) -> CatalogueEntry | None:
        """Facts about `model` at this provider, however the caller spells it; None: not in the catalogue.

        `CatalogueEntry.model` is the provider's own name where there is no doubt about it, else `model`.
        """

    def models_of(self, provider: Located) -> tuple[CatalogueEntry, ...]:
        """Every model that this provider is known to serve, by name."""

    def serving(self, model: str, providers: Iterable[Located]) -> tuple[tuple[str, str], ...]:
        """Who of `providers` serves `model`, bare or as "author/model", best known first: (provider, its name for it)."""

    def scores_of(self, model: str) -> Scores:
        """How good `model` is, whoever serves it and however it is spelt."""

    def overlaid(self, documents: Sequence[Catalogue]) -> tuple[ModelCatalogue, Sequence[Problem]]:
        """The catalogue with these providers' models in place of the shipped ones, and what is wrong with them."""
