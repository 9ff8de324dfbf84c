"""The order of a plan's candidates, from what the caller and the policy prefer.

Four rules, each over the one before it: what was named first comes first; then `sort`, within what is sorted
together, or what is good enough (`floor.py`), or what was learned (`learning.py`); then what is known to be slower than preferred goes behind; then the providers of `order` come first.
Every rule keeps the order of what it finds equal, so the result is total and the same each time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from services.core.policy.preferences import (
    BY_FALLBACKS,
    MEASURED,
    PRICE,
    QUALITY,
    TOGETHER,
    Preferences,
    SortKey,
)
from services.core.policy.selection import names_any, rank_of
from services.core.routing.auto import score
from services.core.routing.floor import good_enough
from services.core.routing.measures import Readings
from services.core.routing.plan import Candidate, Scored

Place = tuple[int, int]
"""Who named a model (0: the request's `model` or the variant, 1: the request's fallbacks), and as which one."""


def _class_of(place: Place, together: str) -> Place:
    """What is sorted together has an equal class."""
    if together == TOGETHER:
        return (0, 0)
    return (place[0], min(place[1], 1)) if together == BY_FALLBACKS else place


def ordered(
    candidates: Sequence[Candidate],
    places: Mapping[str, Place],
    preferences: Preferences,
    readings: Readings,
    tell: Callable[[str], None],
    note: Callable[[Scored], None],
    *,
    learn: Callable[[Sequence[Candidate]], Sequence[Candidate]],
) -> tuple[Candidate, ...]:
    """The candidates in the order in which they are tried.

    Args:
        candidates: As they were named.
        places: Where each was named, by model.
        tell: Takes a line for each rule that had something to say.
        note: Takes each score, best first.
        learn: Puts a variant's own in the order of what was learned; called if `preferences.learned`.
    """
    found = list(candidates)
    if preferences.floor is not None:
        found = _floored(found, places, preferences, readings, tell, note)
    elif preferences.learned is not None:
        own = [c for c in found if places[c.target.model][0] == 0]
        found = [*learn(own), *(c for c in found if places[c.target.model][0] != 0)] if own else found
    elif preferences.sort:
        found = _sorted(found, places, preferences, readings, tell, note)
    if preferences.max_latency or preferences.min_throughput:
        slow = [c for c in found if readings.misses(c.target, preferences.max_latency, preferences.min_throughput)]
        if slow:
            tell(f"slower than preferred, so tried later: {_listed(slow)}")
            found.sort(key=lambda c: c in slow)
    if preferences.order:
        found.sort(key=lambda c: rank_of(c.target.provider, preferences.order))
        named = [c for c in found if rank_of(c.target.provider, preferences.order) < len(preferences.order)]
        tell(f"first by the order of providers: {_listed(named) or 'none, it names no provider of these'}")
    return _bounded(found, preferences, tell)


def _sorted(
    found: list[Candidate],
    places: Mapping[str, Place],
    preferences: Preferences,
    readings: Readings,
    tell: Callable[[str], None],
    note: Callable[[Scored], None],
) -> list[Candidate]:
    sort, together = preferences.sort, preferences.together
    scores = {c.target.model: score(c.target, sort, readings) for c in found}
    found = sorted(found, key=lambda c: (_class_of(places[c.target.model], together), scores[c.target.model].rank))
    for candidate in found:
        note(Scored(candidate.target.model, scores[candidate.target.model]))
    told = "; ".join(f"{c.target.model} {scores[c.target.model]}" for c in found)
    tell(f"sorted by {', then '.join(map(str, sort))}: {told}")
    return found


def _floored(
    found: list[Candidate],
    places: Mapping[str, Place],
    preferences: Preferences,
    readings: Readings,
    tell: Callable[[str], None],
    note: Callable[[Scored], None],
) -> list[Candidate]:
    """The variant's own in the order of its floor; what the request named itself stays behind them, as it was."""
    own = {c.target.model: c for c in found if places[c.target.model][0] == 0}
    assert preferences.floor is not None, "who has no floor is sorted"
    chosen = good_enough((c.target for c in own.values()), preferences.floor, preferences.sort, readings)
    tell(str(chosen))
    for target, terms in chosen.ranked:
        note(Scored(target.model, terms))
    kept = [own[target.model] for target, _ in chosen.ranked]
    return kept + [c for c in found if c.target.model not in own]


def _bounded(found: list[Candidate], preferences: Preferences, tell: Callable[[str], None]) -> tuple[Candidate, ...]:
    """Without fallbacks: what `order` names, or, where it names nothing that is there, the first one."""
    if preferences.allow_fallbacks:
        return tuple(found)
    named = [c for c in found if names_any(preferences.order, c.target.provider)]
    kept = named or found[:1]
    if len(kept) < len(found):
        tell(f"no fallbacks: only {_listed(kept)}")
    return tuple(kept)


def _listed(candidates: Sequence[Candidate]) -> str:
    return ", ".join(c.target.model for c in candidates)


def half_scored(sort: Sequence[SortKey], readings: Readings, candidates: Sequence[Candidate]) -> list[str]:
    """Sentences about scores that are known of some candidates only: the others come last, and nobody should wonder."""
    sentences: list[str] = []
    for key in sort:
        dark = [
            c.target.model for c in candidates if key.metric in QUALITY and readings.value(c.target, key.metric) is None
        ]
        if dark and len(dark) < len(candidates):
            sentences.append(f"no {key.metric} score is known of {', '.join(dark)}; unknown counts as worst")
    return sentences


def unscored(sort: Sequence[SortKey], readings: Readings, candidates: Sequence[Candidate]) -> list[str]:
    """Metrics that were to be sorted by and are not known of any candidate, prices and speeds aside."""
    return [
        key.metric
        for key in sort
        if key.metric not in (PRICE, *MEASURED)
        and all(readings.value(c.target, key.metric) is None for c in candidates)
    ]
