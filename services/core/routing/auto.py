"""The choice of models by themselves: `model: "auto"`.

Which models take part (`pool`), and in which order (`ranked`). A score is a list of terms, one per thing to
sort by, compared one after the other: the second decides between those whom the first finds equal. Measured
terms are compared in steps of a tenth, so that there are equals at all.
"""

from __future__ import annotations

import fnmatch
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from services.core.policy.preferences import LATENCY, MEASURED, PRICE, SortKey, by
from services.core.policy.resolve import resolve
from services.core.policy.snapshot import Snapshot, Target
from services.core.routing.measures import Readings, told

MAX_CANDIDATES = 8
"""Models of an automatic choice that are tried; more would only make the search for one that works longer."""
DEFAULT_SORT = (by(LATENCY), by(PRICE))
"""Unless somebody says otherwise: the quickest of those that are known, then the cheapest."""
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
    """How good a target is; terms in the order in which they decide."""

    terms: tuple[Term, ...]

    @property
    def rank(self) -> tuple[tuple[bool, float], ...]:
        """What scores are compared by; less is better."""
        return tuple(term.rank for term in self.terms)

    def __str__(self) -> str:
        return ", ".join(map(str, self.terms))


def score(target: Target, sort: Sequence[SortKey], readings: Readings) -> Score:
    """The score of `target`."""
    return Score(tuple(Term(key, readings.value(target, key.metric)) for key in sort))


def ranked(targets: Iterable[Target], sort: Sequence[SortKey], readings: Readings) -> list[tuple[Target, Score]]:
    """Targets with their scores, best first; equals as they came."""
    scored = [(target, score(target, sort, readings)) for target in targets]
    return sorted(scored, key=lambda pair: pair[1].rank)


def pool(snapshot: Snapshot, entries: Sequence[str]) -> tuple[list[Target], list[str]]:
    """The targets that `entries` name, and the entries that name none.

    An entry is a model, the name of a provider (every model of it that policy names), or a pattern with `*`
    over such models. No entries: every model that policy names.
    """
    if not entries:
        return list(snapshot.models.values()), []
    found: dict[str, Target] = {}
    empty: list[str] = []
    for entry in entries:
        named = _named(snapshot, entry)
        if not named:
            empty.append(entry)
        for target in named:
            found.setdefault(target.model, target)
    return list(found.values()), empty


def _named(snapshot: Snapshot, entry: str) -> Sequence[Target]:
    if entry in snapshot.providers:
        return [t for t in snapshot.models.values() if t.provider.name == entry]
    if "*" in entry:
        return [t for t in snapshot.models.values() if fnmatch.fnmatchcase(t.model, entry)]
    return resolve(snapshot, entry)
