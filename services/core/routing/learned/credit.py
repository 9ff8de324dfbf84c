"""Which of a request's kinds a reward says something about.

A request belongs to several kinds, and what is expected of it is the mean of theirs. Were a reward told to each of them as
it is, every kind would be smeared over its neighbours twice, when it is learned and when it is read: a model that has become
bad at one kind would look mediocre there, and at the kinds beside it. So a kind is told what is left of a reward when the
others are accounted for, a few times over, as backfitting does (Friedman and Stuetzle, 1981); where it ends is ridge regression
of rewards on kinds, with the shrinkage of the table as the ridge. The sum of all that kinds are told is that of the rewards.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence

ROUNDS = 5
"""Of accounting. Each leaves less than half of what the one before left undone, where a kind has half of its requests."""

Told = tuple[float, Sequence[tuple[int, float, float]]]
"""A reward that is shared out: for each kind of the request its number, how much the request belongs to it, and how much the
reward counts for it, as it has faded."""


def credited(
    rewards: Sequence[Told], count: int, expected: Callable[[Sequence[float]], Sequence[float]]
) -> list[float]:
    """The sum of what each kind is told.

    Args:
        count: Kinds.
        expected: The reward that is expected of each kind, by the sums of what they were told so far.
    """
    sums = [0.0] * count
    for reward, parts in rewards:
        for kind, _, weight in parts:
            sums[kind] += weight * reward
    shared = [told for told in rewards if len(told[1]) > 1]
    if not shared:
        return sums
    # A reward of one kind tells it the same in every round.
    whole = [0.0] * count
    for reward, parts in rewards:
        if len(parts) == 1:
            ((kind, _, weight),) = parts
            whole[kind] += weight * reward
    for _ in range(ROUNDS):
        means, sums = expected(sums), list(whole)
        for reward, parts in shared:
            left = reward
            for kind, share, _ in parts:
                left -= share * means[kind]
            for kind, _, weight in parts:
                sums[kind] += weight * (left + means[kind])
    return sums


def pooled(sums: Sequence[float], counts: Sequence[float], apart: Container[int]) -> list[float]:
    """The sums, with the means of the kinds moved together as far as their differences can be chance.

    Kinds of which a model is equally good are best known from all of them. How much they differ beyond chance is estimated
    from all of them (analysis of variance), and each mean is held near the common one by that (empirical Bayes; Efron and
    Morris, 1973): not at all where kinds clearly differ, wholly where they do not.

    Args:
        counts: Rewards of each kind, as they have faded.
        apart: Kinds that are known to be different, which stay as they are.
    """
    places = [k for k, n in enumerate(counts) if n > 0.0 and k not in apart]
    n = sum(counts[k] for k in places)
    scale = n - sum(counts[k] ** 2 for k in places) / n if n else 0.0
    if scale <= 0.0:
        return list(sums)
    mean = sum(sums[k] for k in places) / n
    within = max(0.0, mean * (1.0 - mean))
    spread = sum(counts[k] * (sums[k] / counts[k] - mean) ** 2 for k in places)
    between = (spread - (len(places) - 1) * within) / scale
    found = list(sums)
    for k in places:
        # Weight of the kind's own mean.
        own = counts[k] * between / (counts[k] * between + within) if between > 0.0 else 0.0
        found[k] = counts[k] * (own * sums[k] / counts[k] + (1.0 - own) * mean)
    return found
