"""The learned choice of a decision: who may be chosen, what is known of them, and the line that says why.

Chosen is only among models of the variant that may serve the request anyway: fitness, labels, prices and `ignore` have
had their say, and so have the providers that come first by `order` and the limits on speed. The assignment to a variant
is older than the choice and never changed by it. A session draws once for all of its requests, so that it keeps its model,
and the provider's prompt cache, while the probabilities allow it. Health is not asked: what is set aside is moved back by the attempt
chain, and the outcome says which model served.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from services.core.policy.preferences import LearnedRule, Preferences
from services.core.policy.selection import rank_of
from services.core.policy.snapshot import Target
from services.core.routing.context import RequestContext
from services.core.routing.learned.choice import Choice, choose
from services.core.routing.learned.clusters import ONE
from services.core.routing.learned.table import EVERYBODY, PRIOR, Table
from services.core.routing.measures import Readings
from services.core.routing.plan import Candidate, LearnedChoice
from services.core.values import Value

LONGEST_SEGMENT = 64
"""Characters of a value that is told apart; a longer one counts as everybody."""


class Tabled(Value, frozen=True):
    """A table that a worker holds.

    Attributes:
        version: Hash of its content.
        kinds: Version of the kinds of requests that it is about.
        table: None: it is about kinds that this release does not know.
        learned_at: Seconds since the Unix epoch.
    """

    version: str
    kinds: str
    table: Table | None = None
    decisions: int = 0
    learned_at: float = 0.0


TOLD = "learned choice by"
"""What the line of reasons begins with."""

VariantKey = tuple[str, str, str]
"""Router, route and variant."""
Tables = Mapping[VariantKey, Tabled]
"""What was learned, by variant. Never changed once it is there: new tables are a new mapping."""

NO_TABLES: Tables = {}


class Learner(Value, frozen=True):
    """What a learned choice is made of, beside the candidates."""

    context: RequestContext
    preferences: Preferences
    readings: Readings
    seed: int
    variant: VariantKey
    tabled: Tabled | None = None

    @property
    def draw(self) -> int | str:
        """What the draw comes from: the session, at this variant, or the request's own seed."""
        session = self.context.session
        return f"{'/'.join(self.variant)}/{session}" if session else self.seed

    @property
    def rule(self) -> LearnedRule:
        """What policy says."""
        assert self.preferences.learned is not None, "who learns has a rule"
        return self.preferences.learned


def learned_order(
    own: Sequence[Candidate], learner: Learner, tell: Callable[[str], None]
) -> tuple[list[Candidate], LearnedChoice | None]:
    """The candidates of a variant, the chosen one first, the others by score; and the choice.

    Args:
        own: At least one; all of them may serve the request.
        tell: Takes the line that says why.
    """
    first = _first_class(own, learner.preferences, learner.readings)
    table, why = _table(learner, [c.target for c in own])
    segment = segment_of(learner.rule, learner.context.metadata)
    choice = _choice(first, table, learner, segment)
    why += _about(learner, segment)
    tell(f"{TOLD} {learner.rule.objective}: {choice.models[0]} ({why}; {_told(choice)})")
    places = {model: place for place, model in enumerate(choice.models)}
    rest = [c for c in own if c.target.model not in places]
    for one in _choice(rest, table, learner, segment).scored if rest else ():
        # Behind whatever was chosen, in the order of what is expected of them.
        places[one.model] = len(places)
    ordered = sorted(own, key=lambda c: places[c.target.model])
    if not learner.context.phi:
        return ordered, None
    version = learner.tabled.version if learner.tabled is not None and table.clusters is not ONE else ""
    context = learner.context
    return ordered, LearnedChoice(choice, context.kinds, context.phi, segment, version, context.session)


def _first_class(own: Sequence[Candidate], preferences: Preferences, readings: Readings) -> list[Candidate]:
    """Those that may come first: what is slower than preferred, and whom `order` names later, is behind them anyway."""

    def behind(candidate: Candidate) -> tuple[int, bool]:
        slow = readings.misses(candidate.target, preferences.max_latency, preferences.min_throughput)
        return rank_of(candidate.target.provider, preferences.order), slow

    if not (preferences.order or preferences.max_latency or preferences.min_throughput):
        return list(own)
    least = min(map(behind, own))
    return [c for c in own if behind(c) == least]


def _table(learner: Learner, targets: Sequence[Target]) -> tuple[Table, str]:
    """What decides, with the priors of the models, and in words why it does."""
    priors = {t.model: prior_of(t) for t in targets}
    held = learner.tabled
    if not learner.context.phi:
        why = "no text of the request is known, so priors decide"
    elif held is None:
        why = "no table yet, so priors decide"
    elif held.table is None or held.kinds != learner.context.kinds:
        why = f"table {held.version} is about other kinds of requests, so priors decide"
    else:
        found = held.table
        return Table(found.clusters, priors, found.cells, found.discount), (
            f"table {held.version} of {held.decisions:,} decisions"
        )
    return Table(ONE, priors), why


def prior_of(target: Target) -> float:
    """The reward that is expected of a model before any was seen: its score of intelligence, where it is known."""
    score = target.scores.intelligence
    return PRIOR if score is None else min(max(score, 0.0), 1.0)


def segment_of(rule: LearnedRule, metadata: Mapping[str, object]) -> str:
    """The segment of a request: the value of the key that policy names, as text; empty: everybody."""
    value = metadata.get(rule.segment) if rule.segment else None
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (str, int)) and len(str(value)) <= LONGEST_SEGMENT:
        return str(value)
    return EVERYBODY


def _choice(first: Sequence[Candidate], table: Table, learner: Learner, segment: str) -> Choice:
    rule = learner.rule
    return choose(
        table,
        learner.context.phi or {0: 1.0},
        [c.target.model for c in first],
        learner.draw,
        objective=rule.objective,
        segment=segment,
        # What cannot be logged is not explored either.
        floor=rule.explore if learner.context.phi else 0.0,
        # Where nothing was learned, no more is explored than has to be: the priors are all that there is.
        max_regret=rule.max_regret if table.cells else 0.0,
    )


def _about(learner: Learner, segment: str) -> str:
    nearest = sorted(learner.context.phi.items(), key=lambda pair: (-pair[1], pair[0]))
    kinds = ", ".join(f"{kind} {weight:.2f}" for kind, weight in nearest)
    told = f", kinds {kinds}" if kinds else ""
    return f"{told}, segment {segment!r}" if segment else told


def _told(choice: Choice) -> str:
    chances = zip(choice.scored, choice.propensities, strict=True)
    return "; ".join(f"{one}, p {p:.3f}" for one, p in chances)
