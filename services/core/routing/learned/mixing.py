"""How well an order of requests spends a strong and dear model: the better the order, the fewer of them it needs.

APGR is the area under the share of the gap between two models that is closed, over the share of requests that the strong one
gets; random mixing has 0.5.

Source: Ong et al., "RouteLLM: Learning to route LLMs with preference data" (2024).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise

from services.core.values import Value

POINTS = (0.01, 0.005, 0.0)
"""How far below the strong model's reward is still good enough, in units of reward."""
SHARES = (0.25, 0.5, 0.75)
"""Shares of requests that are meant for the strong model, where it is too dear for all of them."""


class Spending(Value, frozen=True):
    """A share of requests spent on the strong model, the others on the weak one.

    Attributes:
        share: That the strong model got, 0 to 1.
        reward: Mean of all requests.
        chance: The same where a draw of that share chooses; so no single model that costs as little has more.
    """

    share: float
    reward: float
    chance: float


class Mixing(Value, frozen=True):
    """What an order is worth.

    Attributes:
        apgr: 0 to 1 and a little beyond; 0.5: no better than chance.
        needed: For each of `POINTS`, the least share of requests that the strong model must get, 0 to 1.
        alone: Mean reward of the weak model, which is the best single one for every price below the strong one's.
        spent: For each of `SHARES`, with thresholds from training; empty: none are known.
    """

    weak: str
    strong: str
    apgr: float
    needed: tuple[float, ...]
    alone: float = 0.0
    spent: tuple[Spending, ...] = ()


def mixing(
    weak: str,
    strong: str,
    gains: Sequence[float],
    expected: Sequence[float],
    *,
    alone: float = 0.0,
    training: Sequence[float] = (),
) -> Mixing | None:
    """What it is worth to send requests to `strong` in the order of the gains that are expected.

    Args:
        gains: By request, the strong model's reward minus the weak one's.
        expected: The same, as it was foreseen.
        alone: Mean reward of the weak model.
        training: The gains that were foreseen for other requests, to which thresholds are set; empty: none are set.

    Returns:
        None: The strong model is not stronger on these requests.
    """
    gap = sum(gains)
    if gap <= 0.0:
        return None
    order = sorted(range(len(gains)), key=lambda i: (-expected[i], i))
    closed = list(accumulate((gains[i] for i in order), initial=0.0))
    area = sum((a + b) / 2.0 for a, b in pairwise(closed)) / len(gains) / gap
    needed = [next(k for k, done in enumerate(closed) if done >= gap - points * len(gains) - 1e-9) for points in POINTS]
    spent = tuple(_spending(share, gains, expected, alone, training) for share in SHARES) if training else ()
    return Mixing(weak, strong, area, tuple(k / len(gains) for k in needed), alone, spent)


def _spending(
    share: float, gains: Sequence[float], expected: Sequence[float], alone: float, training: Sequence[float]
) -> Spending:
    threshold = sorted(training, reverse=True)[int(share * len(training))]
    sent = [gain for gain, foreseen in zip(gains, expected, strict=True) if foreseen > threshold]
    part, n = len(sent) / len(gains), len(gains)
    return Spending(part, alone + sum(sent) / n, alone + part * sum(gains) / n)
