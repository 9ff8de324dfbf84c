"""Messages of `turnout.learning.v1` and the values they stand for."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

from turnout.learning.v1 import learning_service_pb2 as pb

from services.core.routing.learned.clusters import Kinds
from services.core.routing.learned.decision import Decision
from services.core.routing.learned.table import Cell, Table
from services.core.routing.learning import Tabled
from services.core.routing.plan import LearnedChoice
from services.wire.records import unit_hash

_LISTS = (
    ("rewarded", "rewarded"),
    ("reward", "reward"),
    ("priced", "priced"),
    ("cost_usd", "cost"),
    ("timed", "timed"),
    ("seconds", "seconds"),
)
"""Lists of a message, and the sum of a cell that each holds."""
_SLACK = 1e-6
"""How far sums of floats may be from 1."""


def table_message(table: Table, kinds: str) -> pb.LearnedTable:
    """The message of a table, with its version; names and instants are the caller's to set.

    Args:
        kinds: Version of the kinds that the table is about.
    """
    message = pb.LearnedTable(kinds=kinds, kinds_count=table.clusters.count)
    for (model, segment), cells in sorted(table.cells.items()):
        found = message.cells.add(model=model, segment=segment)
        for name, field in _LISTS:
            getattr(found, name).extend(getattr(cell, field) for cell in cells)
    digest = blake2b(message.SerializeToString(deterministic=True), digest_size=8)
    message.version = digest.hexdigest()
    return message


def to_table(message: pb.LearnedTable, kinds: Kinds) -> Table | None:
    """The table of a message; None: it is about other kinds, or a list is not as long as there are kinds."""
    count = kinds.clusters.count
    if (message.kinds, message.kinds_count) != (kinds.version, count):
        return None
    table = Table(kinds.clusters)
    for found in message.cells:
        lists = [getattr(found, name) for name, _ in _LISTS]
        if any(len(values) != count for values in lists):
            return None
        table.cells[found.model, found.segment] = [Cell(*numbers) for numbers in zip(*lists, strict=True)]
    return table


def to_tabled(message: pb.LearnedTable, kinds: Kinds) -> Tabled:
    """The table of a message as decisions read it."""
    learned_at = message.learned_at.seconds + message.learned_at.nanos / 1e9
    return Tabled(message.version, message.kinds, to_table(message, kinds), message.decisions, learned_at)


def decision_message(found: LearnedChoice) -> pb.LearnedDecision:
    """The message of a choice."""
    nearest = sorted(found.phi.items(), key=lambda pair: (-pair[1], pair[0]))
    return pb.LearnedDecision(
        kinds=found.kinds,
        kind=[kind for kind, _ in nearest],
        weight=[weight for _, weight in nearest],
        segment=found.segment,
        models=[one.model for one in found.choice.scored],
        propensities=found.choice.propensities,
        expected=[one.reward for one in found.choice.scored],
        chosen=found.choice.models[0],
        table=found.table,
        session=unit_hash(found.session) if found.session else "",
    )


def problem_of(message: pb.LearnedDecision) -> str:
    """What is wrong with a decision that somebody sent; empty: nothing, and it can be learned from."""
    models = list(message.models)
    if not message.kinds or not models or len(set(models)) != len(models):
        return "it names no kinds, or no models, or one of them twice"
    if not len(models) == len(message.propensities) == len(message.expected):
        return "models, propensities and expected are not equally long"
    if not 0 < len(message.kind) == len(message.weight) == len(set(message.kind)) or min(message.kind) < 0:
        return "kind and weight are not equally long, or a kind is there twice or below 0"
    if message.chosen not in models:
        return "chosen is none of models"
    if not (_are_shares(message.propensities) and _are_shares(message.weight)):
        return "propensities or weights are not shares that sum to 1"
    if not message.propensities[models.index(message.chosen)] > 0.0:
        return "what was chosen has no probability"
    return "" if all(0.0 <= value <= 1.0 for value in message.expected) else "an expected reward is not 0 to 1"


def _are_shares(values: Sequence[float]) -> bool:
    # Written so that a value that is no number is refused.
    return all(0.0 <= value <= 1.0 + _SLACK for value in values) and abs(sum(values) - 1.0) <= _SLACK


def to_decision(
    message: pb.LearnedDecision,
    at: float,
    served: str,
    *,
    reward: float | None = None,
    cost: float | None = None,
    seconds: float | None = None,
) -> Decision:
    """The value of a decision with what came of it; arguments as in `Decision`."""
    return Decision(
        at=at,
        phi=dict(zip(message.kind, message.weight, strict=True)),
        models=tuple(message.models),
        propensities=tuple(message.propensities),
        expected=tuple(message.expected),
        chosen=message.chosen,
        served=served,
        segment=message.segment,
        session=message.session,
        reward=reward,
        cost=cost,
        seconds=seconds,
    )
