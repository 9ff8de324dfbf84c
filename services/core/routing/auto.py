"""The choice of models by themselves: `model: "auto"`.

Which models take part (`pool`), and in which order (`ranked`). A score is a list of terms, one per thing to
sort by, compared one after the other: the second decides between those whom the first finds equal. Measured
terms are compared in steps of a tenth, so that there are equals at all.
"""

from __future__ import annotations

import fnmatch
import math
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from services.core.policy.preferences import LATENCY, MEASURED, PRICE, SortKey, by
from services.core.policy.resolve import make_target, resolve
from services.core.policy.snapshot import CompiledProvider, Snapshot, Target
from services.core.routing.measures import Readings, told

MAX_CANDIDATES = 8
"""Models of an automatic choice that are tried; more would only make the search for one that works longer."""
DEFAULT_SORT = (by(LATENCY), by(PRICE))
"""Unless somebody says otherwise: the quickest of those that are known, then the cheapest."""
MAX_LISTED = 150
"""Models of a provider, in the catalogue, up to which all of them take part unasked."""
CHAT = "chat"
_STEP = math.log(1.1)


@dataclass(frozen=True, slots=True)
class Term:
    """One term of a score; `value` in the metric's unit, None: not known, so behind all that is."""

    key: SortKey
    value: float | None

    @property
    def rank(self) -> tuple[bool, float]:
        """What terms of one key are compared by; less is better."""
        if self.value is None:
            return True, 0.0
        compared = self.value
        if self.key.metric in MEASURED:
            compared = float(math.floor(math.log(compared) / _STEP)) if compared > 0.0 else -math.inf
        return False, compared if self.key.ascending else -compared

    def __str__(self) -> str:
        return told(self.key.metric, self.value)


@dataclass(frozen=True, slots=True)
class Score:
    """How good a target is; terms in the order in which they decide.

    Attributes:
        cached: Share of the prompt whose price is that of cached input, 0 to 1; the term of the price has it in it.
    """

    terms: tuple[Term, ...]
    cached: float = 0.0

    @property
    def rank(self) -> tuple[tuple[bool, float], ...]:
        """What scores are compared by; less is better."""
        return tuple(term.rank for term in self.terms)

    def __str__(self) -> str:
        told = ", ".join(map(str, self.terms))
        return f"{told} (prompt cache {self.cached:.0%})" if self.cached else told


def score(target: Target, sort: Sequence[SortKey], readings: Readings) -> Score:
    """The score of `target`."""
    terms = tuple(Term(key, readings.value(target, key.metric)) for key in sort)
    return Score(terms, readings.cached(target) if any(key.metric == PRICE for key in sort) else 0.0)


def ranked(targets: Iterable[Target], sort: Sequence[SortKey], readings: Readings) -> list[tuple[Target, Score]]:
    """Targets with their scores, best first; equals as they came."""
    scored = [(target, score(target, sort, readings)) for target in targets]
    return sorted(scored, key=lambda pair: pair[1].rank)


def pool(snapshot: Snapshot, entries: Sequence[str]) -> tuple[list[Target], list[str]]:
    """The targets that `entries` name, and the entries that name none.

    An entry is a model, the name of a provider, for all of its models, or a pattern with `*` over all models. No
    entries: all models. Those of a provider are the ones that policy names; if it names none, those of the catalogue,
    unless it lists so many that the provider is a gateway to others, which takes part only where it is named.
    """
    found: dict[str, Target] = {}
    empty: list[str] = []
    for entry in entries or ("*",):
        named = _named(snapshot, entry)
        if not named and entries:
            empty.append(entry)
        for target in named:
            found.setdefault(target.model, target)
    return list(found.values()), empty


def _named(snapshot: Snapshot, entry: str) -> Sequence[Target]:
    provider = snapshot.providers.get(entry)
    if provider is not None:
        return _models_of(snapshot, provider)
    if "*" in entry:
        every = [t for p in snapshot.providers.values() for t in _models_of(snapshot, p, most=MAX_LISTED)]
        return [t for t in every if fnmatch.fnmatchcase(t.model, entry)]
    return resolve(snapshot, entry)


def _models_of(snapshot: Snapshot, provider: CompiledProvider, most: int = sys.maxsize) -> list[Target]:
    named = [t for t in snapshot.models.values() if t.provider.name == provider.name]
    if named:
        return named
    listed = [e for e in snapshot.catalogue.models_of(provider) if e.kind == CHAT and not e.deprecated]
    if len(listed) > most:
        return []
    return [make_target(provider, entry.model, None, snapshot.catalogue) for entry in listed]


def no_chat(target: Target) -> str:
    """Why a target takes no part in an automatic choice of a model to talk to; empty: it may."""
    return "" if target.kind == CHAT else f"its kind is {target.kind}, and an automatic choice is for chat"
