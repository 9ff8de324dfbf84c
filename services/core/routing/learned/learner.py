"""The table that decisions teach."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from services.core.routing.learned.clusters import Clusters
from services.core.routing.learned.decision import Decision
from services.core.routing.learned.table import Table


def learned_table(decisions: Iterable[Decision], count: int, priors: Mapping[str, float] = {}) -> Table:
    """The table of `decisions`; equal arguments give an equal one.

    A reward is about the model that was chosen, and only if it served; cost and time are about the one that served.

    Args:
        decisions: In order of `at`.
        count: Number of the kinds of requests.
    """
    table = Table(Clusters(count), priors)
    for one in decisions:
        reward = one.reward if one.served == one.chosen else None
        if one.served:
            table.observe(one.phi, one.served, reward, one.cost, one.seconds, one.segment)
    return table
