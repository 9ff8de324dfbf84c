"""The table that decisions teach: a pure function of them, so that what comes late counts as if it had come in time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import exp, log

from services.core.routing.learned.changes import ALL, Changes, changes
from services.core.routing.learned.clusters import Clusters
from services.core.routing.learned.credit import Told, credited, pooled
from services.core.routing.learned.decision import Decision
from services.core.routing.learned.table import DISCOUNT, EVERYBODY, PRIOR, SHRINK, Cell, Table


def learned_table(
    decisions: Iterable[Decision], count: int, priors: Mapping[str, float] = {}, *, discount: float = DISCOUNT
) -> Table:
    """The table of `decisions`; equal arguments give an equal one.

    A reward is about the chosen model, and only if it served: what another one answered says nothing about it, and
    whether it can be reached is the business of breakers. Costs and times are about the model that served. Evidence
    fades by evidence of the same sort and kind, whichever model it is about; where a model has changed, its rewards
    from before count no more.

    Args:
        decisions: In order of `at`.
        count: Number of the kinds of requests, at least 1; kinds of decisions are below it.
        priors: Reward expected of a model before any was seen, 0 to 1.
        discount: Of what a kind knows, for each request of it.

    Raises:
        IndexError: A decision is of a kind that there is not.
    """
    known = list(decisions)
    rewards = [rewarded(one) for one in known]
    changed = changes((d.phi, d.served, r) for d, r in zip(known, rewards, strict=True) if r is not None)
    table = Table(Clusters(count), priors)
    _Fading(table, count, discount).add(known, rewards, changed)
    return table


def rewarded(decision: Decision) -> float | None:
    """The reward that says something about the model that served; None: none does."""
    return decision.reward if decision.served == decision.chosen else None


class _Fading:
    """Adds decisions from the latest to the oldest, so that each is weighed once by how old it is, and nothing is faded.

    How old is counted by home (everybody, or a segment) and kind: in rewards for rewards, in requests for the rest.
    """

    def __init__(self, table: Table, count: int, discount: float) -> None:
        self._table = table
        self._count = count
        self._fade = log(discount)
        self._ages: dict[str, tuple[list[float], list[float]]] = {}
        self._told: dict[tuple[str, str], list[Told]] = {}

    def add(self, decisions: Sequence[Decision], rewards: Sequence[float | None], changed: Changes) -> None:
        place = sum(reward is not None for reward in rewards)
        for one, reward in zip(reversed(decisions), reversed(rewards), strict=True):
            place -= reward is not None
            if one.served:
                for home in {EVERYBODY, one.segment}:
                    self._one(one, home, reward, place, changed)
        # Everybody first: what a segment is told is compared with it.
        for (model, home), told in sorted(self._told.items(), key=lambda pair: pair[0][1] != EVERYBODY):
            self._credit(model, home, told, changed)

    def _one(self, one: Decision, home: str, reward: float | None, place: int, changed: Changes) -> None:
        rewards, requests = self._ages.setdefault(home, ([0.0] * self._count, [0.0] * self._count))
        cells = self._cells(one.served, home)
        parts = []
        for kind, weight in one.phi.items():
            cells[kind].add(weight * exp(self._fade * requests[kind]), None, one.cost, one.seconds)
            requests[kind] += weight
            if reward is not None:
                # What a kind was before it changed is another one: it takes its part of the reward, and is forgotten.
                before = place < changed.get((one.served, kind), 0)
                number = kind + self._count if before else kind
                parts.append((number, weight, weight * exp(self._fade * rewards[kind])))
                rewards[kind] += weight
        if reward is not None and place >= changed.get((one.served, ALL), 0):
            self._told.setdefault((one.served, home), []).append((reward, parts))

    def _credit(self, model: str, home: str, rewards: Sequence[Told], changed: Changes) -> None:
        """Fill the rewards of a model's cells; numbers from `now` on are kinds before they changed."""
        now = self._count
        counts = [0.0] * (2 * now)
        for _, parts in rewards:
            for kind, _, weight in parts:
                counts[kind] += weight
        cells = self._cells(model, home)
        above = [self._table.estimate({kind: 1.0}, model).reward for kind in range(self._count)] if home else None
        prior = self._table.priors.get(model, PRIOR)

        def expected(sums: Sequence[float]) -> Sequence[float]:
            mean = (sum(sums[:now]) + SHRINK * prior) / (sum(counts[:now]) + SHRINK)
            means = above * 2 if above is not None else [mean] * len(sums)
            return [(s + SHRINK * m) / (n + SHRINK) for s, m, n in zip(sums, means, counts, strict=True)]

        sums = credited(rewards, 2 * now, expected)[:now]
        if home == EVERYBODY:
            sums = pooled(sums, counts[:now], {kind for name, kind in changed if name == model})
        for kind, cell in enumerate(cells):
            cell.rewarded, cell.reward = counts[kind], sums[kind]

    def _cells(self, model: str, home: str) -> list[Cell]:
        key = (model, home)
        if key not in self._table.cells:
            self._table.cells[key] = [Cell() for _ in range(self._count)]
        return self._table.cells[key]
