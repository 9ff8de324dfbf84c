"""Whether a learned choice pays on rows whose outcomes are known for every model: trained on one part, measured on another.

The measure is the reward and the cost of what the table would choose without exploring, beside the best single model (the
one that was best in training), a random one and the oracle that knows every outcome.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from services.core.routing.draw import uniform
from services.core.routing.learned.choice import REWARD_ALONE, scored
from services.core.routing.learned.clusters import trained, weights
from services.core.routing.learned.features import features
from services.core.routing.learned.mixing import Mixing, mixing
from services.core.routing.learned.table import Estimate, Table
from services.core.values import Value

CLUSTERS = 32
TRAINING_SHARE = 0.7


class Row(Value, frozen=True):
    """A prompt with what every model made of it: reward from 0 to 1, and US dollars (the same keys; empty: no costs)."""

    prompt: str
    rewards: Mapping[str, float]
    costs: Mapping[str, float] = {}


class Line(Value, frozen=True):
    """One way to choose: its mean reward, and its mean cost in US dollars."""

    name: str
    reward: float
    cost: float


class Evaluated(Value, frozen=True):
    """One split.

    Attributes:
        mixing: Of two models, what the learned order of requests is worth; None: there are more, or none is stronger.
    """

    lines: tuple[Line, ...]
    mixing: Mixing | None = None


def evaluated(
    rows: Sequence[Row], *, objective: str = REWARD_ALONE, clusters: int = CLUSTERS, seed: int = 1
) -> Evaluated:
    """One split; equal arguments give an equal one.

    Raises:
        ValueError: There are fewer than ten rows, or they do not all have the same models.
        KeyError: `objective` is not known.
    """
    models = sorted(rows[0].rewards) if rows else []
    if len(rows) < 10 or not models or any(sorted(row.rewards) != models for row in rows):
        raise ValueError("expected at least ten rows, each with a reward of the same models")
    order = sorted(range(len(rows)), key=lambda i: uniform(seed, f"row {i}"))
    cut = int(len(rows) * TRAINING_SHARE)
    training, test = [rows[i] for i in order[:cut]], [rows[i] for i in order[cut:]]
    table = learned(training, clusters, seed)
    estimates = _estimates(table, test)
    chosen = [scored(estimate, objective)[0].model for estimate in estimates]
    single = max(models, key=lambda m: (sum(row.rewards[m] for row in training), m))
    best = [max(models, key=lambda m: (row.rewards[m], -row.costs.get(m, 0.0), m)) for row in test]
    drawn = [models[int(uniform(seed, f"model {i}") * len(models))] for i in range(len(test))]
    lines = (
        _line("learned", test, chosen),
        _line(f"best single ({single})", test, [single] * len(test)),
        _line("random", test, drawn),
        _line("oracle", test, best),
    )
    if len(models) != 2:
        return Evaluated(lines)
    return Evaluated(lines, _mixing(single, test, estimates, _estimates(table, training)))


def _estimates(table: Table, rows: Sequence[Row]) -> list[dict[str, Estimate]]:
    found = []
    for row in rows:
        phi = weights(table.clusters, features(row.prompt))
        found.append({model: table.estimate(phi, model) for model in row.rewards})
    return found


def _mixing(
    strong: str,
    test: Sequence[Row],
    estimates: Sequence[Mapping[str, Estimate]],
    training: Sequence[Mapping[str, Estimate]],
) -> Mixing | None:
    (weak,) = test[0].rewards.keys() - {strong}
    gains = [row.rewards[strong] - row.rewards[weak] for row in test]
    expected, before = ([each[strong].reward - each[weak].reward for each in some] for some in (estimates, training))
    alone = sum(row.rewards[weak] for row in test) / len(test)
    return mixing(weak, strong, gains, expected, alone=alone, training=before)


def learned(rows: Sequence[Row], clusters: int, seed: int) -> Table:
    """The table of rows whose outcomes are known for every model."""
    vectors = [features(row.prompt) for row in rows]
    table = Table(trained(vectors, clusters, seed), discount=1.0)
    for row, vector in zip(rows, vectors, strict=True):
        phi = weights(table.clusters, vector)
        for model, reward in row.rewards.items():
            table.observe(phi, model, reward, row.costs.get(model, 0.0))
    return table


def _line(name: str, rows: Sequence[Row], models: Sequence[str]) -> Line:
    pairs = list(zip(rows, models, strict=True))
    return Line(
        name,
        sum(row.rewards[m] for row, m in pairs) / len(pairs),
        sum(row.costs.get(m, 0.0) for row, m in pairs) / len(pairs),
    )
