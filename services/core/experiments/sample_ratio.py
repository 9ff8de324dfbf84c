"""Sample ratio mismatch: do the arms have the units that their weights promise?

When they do not, something loses units unequally (a crash, a filter, a cache), and every other number of the
experiment may be wrong; so nothing else is shown. The test may be looked at at any time: it is the Bayes factor
of a multinomial with unknown shares (Dirichlet prior around the promised ones) against the promised shares, and
by Ville's inequality it ever exceeds 1/alpha with probability alpha at most when the split is right.

Source: Lindon, Malek, "Anytime-valid inference for multinomial count data" (NeurIPS 2022).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

ALPHA = 0.001
"""Chance of a false alarm over the whole life of an experiment."""
_CONCENTRATION = 1_000.0
"""Units that the prior is worth: larger finds small mismatches sooner, smaller large ones."""


def mismatch(counts: Sequence[int], shares: Sequence[float]) -> float:
    """The anytime-valid p value of the counts; 1.0 for no evidence.

    Args:
        counts: Units by arm, in an order.
        shares: Promised shares, in the same order, not negative; their sum is taken as the whole.
    """
    total = sum(shares)
    pairs = [(n, share / total) for n, share in zip(counts, shares, strict=True) if share > 0.0]
    if any(n for n, share in zip(counts, shares, strict=True) if share <= 0.0):
        return 0.0  # units in an arm that promises none
    if len(pairs) < 2:
        return 1.0
    n = sum(count for count, _ in pairs)
    evidence = math.lgamma(_CONCENTRATION) - math.lgamma(_CONCENTRATION + n)
    for count, share in pairs:
        prior = _CONCENTRATION * share
        evidence += math.lgamma(prior + count) - math.lgamma(prior) - count * math.log(share)
    return min(1.0, math.exp(-max(-700.0, min(700.0, evidence))))


def is_mismatched(counts: Sequence[int], shares: Sequence[float]) -> bool:
    """Whether the split is broken."""
    return mismatch(counts, shares) < ALPHA
