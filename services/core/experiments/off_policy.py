"""What another choice would have brought, from requests that this one made: off-policy estimates, and when to refuse one.

Every logged request has the probability with which its model was chosen. A candidate policy says with which
probability it would have chosen each model; requests count by the ratio of the two (the weight w):

    IPS    mean of w r
    SNIPS  sum of w r / sum of w
    DR     mean of  sum_a pi(a) q(a)  +  w (r - q(chosen))         q: expected rewards of any model, right or wrong

IPS is unbiased while the logged probabilities are right; DR as well, with less spread the better q is. Weights are cut
at the square root of n. None of them is worth anything if a few requests carry the sum: below an effective sample of
`MIN_ESS`, or with a request that holds more than `MAX_SHARE` of all weight, no verdict is given.

Requests of one cluster, such as a session that drew its model once, count together: errors are those of the sums of clusters
(the sandwich of cluster-robust errors), and so is the effective sample.

Source: Dudik, Langford, Li, "Doubly robust policy evaluation and learning" (ICML 2011).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import NormalDist

from services.core.values import Value

MIN_ESS = 500.0
"""Effective requests below which nothing is said."""
MAX_SHARE = 0.05
"""Share of all weight that one request may have."""


class Logged(Value, frozen=True):
    """A request as it was decided.

    Attributes:
        chosen: The model that was chosen.
        propensity: With which probability, above 0 up to 1.
        reward: What came of it.
        candidate: Probability of each model under the candidate policy, by model; one that is not there has none.
        expected: Reward that was to be expected of each model, without looking at this request; for DR.
        cluster: Requests of the same one are not independent; empty: it is one of its own.
    """

    chosen: str
    propensity: float
    reward: float
    candidate: Mapping[str, float]
    expected: Mapping[str, float] = {}
    cluster: str = ""


class Estimated(Value, frozen=True):
    """An estimate of the mean reward with its interval."""

    value: float
    low: float
    high: float


class OffPolicy(Value, frozen=True):
    """What can be said of a candidate policy.

    Attributes:
        n: Requests.
        logged: Mean reward of the policy that was in force.
        ess: Effective sample size: (sum w)^2 / sum w^2, a cluster counting as one.
        max_share: Largest share of all weight that one request or cluster has, 0 to 1.
        clipped: Requests whose weight was cut.
        refusal: Why no verdict is given; empty: there is one.
    """

    n: int
    logged: Estimated
    ips: Estimated
    snips: Estimated
    dr: Estimated
    ess: float
    max_share: float
    clipped: int
    refusal: str

    @property
    def verdict(self) -> str:
        """One sentence: what to believe."""
        if self.refusal:
            return f"No verdict: {self.refusal}."
        gained = self.dr.value - self.logged.value
        told = f"{self.dr.value:.4g} ({self.dr.low:.4g} to {self.dr.high:.4g}) against {self.logged.value:.4g}"
        if self.dr.low > self.logged.high:
            return f"The candidate would do better: {told}."
        if self.dr.high < self.logged.low:
            return f"The candidate would do worse: {told}."
        return f"No difference can be told ({gained:+.4g}): {told}."


def evaluated(log: Sequence[Logged], *, alpha: float = 0.05) -> OffPolicy:
    """The report.

    Args:
        log: Requests; their propensities must be those of the decision, exactly.
        alpha: Chance that an interval misses, above 0 and below 1.

    Raises:
        ValueError: A propensity is not above 0 and at most 1, or a number is not finite.
    """
    for one in log:
        if not 0.0 < one.propensity <= 1.0:
            raise ValueError(f"a propensity must be above 0 and at most 1, got {one.propensity:g}")
        if not math.isfinite(one.reward):
            raise ValueError(f"a reward must be a number, got {one.reward:g}")
    n = len(log)
    raw = _weights(log)
    weights = _cut(raw)
    groups = _groups(log)
    together = _summed(weights, groups)
    total, squares = sum(together), sum(w * w for w in together)
    ess = total * total / squares if squares else 0.0
    share = max(together, default=0.0) / total if total else 0.0
    z = NormalDist().inv_cdf(1.0 - alpha / 2.0)
    return OffPolicy(
        n=n,
        logged=_mean([one.reward for one in log], groups, z),
        ips=_mean([w * one.reward for w, one in zip(weights, log, strict=True)], groups, z),
        snips=_ratio(weights, [one.reward for one in log], groups, z),
        dr=_mean([_doubly(w, one) for w, one in zip(weights, log, strict=True)], groups, z),
        ess=ess,
        max_share=share,
        clipped=sum(w < whole for w, whole in zip(weights, raw, strict=True)),
        refusal=_refusal(n, ess, share),
    )


def doubly_robust(log: Sequence[Logged], *, alpha: float = 0.05) -> Estimated:
    """The doubly robust estimate alone; arguments as of `evaluated`, which has to be asked whether it may be believed."""
    z = NormalDist().inv_cdf(1.0 - alpha / 2.0)
    return _mean([_doubly(w, one) for w, one in zip(_cut(_weights(log)), log, strict=True)], _groups(log), z)


def _weights(log: Sequence[Logged]) -> Sequence[float]:
    return [one.candidate.get(one.chosen, 0.0) / one.propensity for one in log]


def _cut(weights: Sequence[float]) -> Sequence[float]:
    longest = math.sqrt(len(weights))
    return [min(w, longest) for w in weights]


def _doubly(weight: float, one: Logged) -> float:
    direct = sum(p * one.expected.get(model, 0.0) for model, p in one.candidate.items())
    return direct + weight * (one.reward - one.expected.get(one.chosen, 0.0))


def _groups(log: Sequence[Logged]) -> Sequence[int]:
    """The number of each request's cluster, from 0 on."""
    numbers: dict[str | int, int] = {}
    return [numbers.setdefault(one.cluster or place, len(numbers)) for place, one in enumerate(log)]


def _summed(values: Sequence[float], groups: Sequence[int]) -> Sequence[float]:
    """The sum of each cluster."""
    sums = [0.0] * (max(groups, default=-1) + 1)
    for group, value in zip(groups, values, strict=True):
        sums[group] += value
    return sums


def _mean(values: Sequence[float], groups: Sequence[int], z: float) -> Estimated:
    n = len(values)
    mean = sum(values) / n if n else 0.0
    off = _summed([v - mean for v in values], groups)
    if len(off) < 2:
        return Estimated(mean, -math.inf, math.inf)
    error = math.sqrt(sum(v * v for v in off) * len(off) / (len(off) - 1)) / n
    return Estimated(mean, mean - z * error, mean + z * error)


def _ratio(weights: Sequence[float], rewards: Sequence[float], groups: Sequence[int], z: float) -> Estimated:
    """The weighted mean, its error by the delta method."""
    total = sum(weights)
    if not total:
        return Estimated(0.0, -math.inf, math.inf)
    value = sum(w * r for w, r in zip(weights, rewards, strict=True)) / total
    off = _summed([w * (r - value) for w, r in zip(weights, rewards, strict=True)], groups)
    error = math.sqrt(sum(v * v for v in off)) / total
    return Estimated(value, value - z * error, value + z * error)


def _refusal(n: int, ess: float, share: float) -> str:
    if ess < MIN_ESS:
        return (
            f"{n:,} requests count as {ess:,.0f}, fewer than {MIN_ESS:g}; the candidate chooses what was rarely tried"
        )
    if share > MAX_SHARE:
        return f"one request, or session, has {share:.0%} of all weight, more than {MAX_SHARE:.0%}"
    return ""
