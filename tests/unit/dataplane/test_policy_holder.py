"""The policy in force: none is an error of its own, and a refused one changes nothing but what is told of it."""

from __future__ import annotations

import pytest

from services.core.discovery.messages import PolicySet
from services.core.errors import PolicyNotReady, Problem
from services.core.policy.snapshot import Snapshot
from services.dataplane.policy_holder import PolicyHolder
from services.runtime.catalogue.shipped import ShippedCatalogue
from services.runtime.conditions import CelCompiler


@pytest.fixture
def holder() -> PolicyHolder:
    return PolicyHolder(CelCompiler(), ShippedCatalogue())


def test_no_policy_is_told_as_what_it_is(holder: PolicyHolder) -> None:
    assert holder.current() is None
    with pytest.raises(PolicyNotReady, match="waiting for the control plane"):
        holder.required()


def test_a_refused_policy_is_counted_and_the_one_in_force_stays(holder: PolicyHolder) -> None:
    counted: list[int] = []
    holder.on_nack = lambda: counted.append(1)
    snapshot = holder.compile(PolicySet())
    assert isinstance(snapshot, Snapshot)
    holder.put(PolicySet(), snapshot)
    problem = Problem("Router", "r", "name", "is odd")
    holder.refused((problem,))
    assert (counted, holder.last_nack) == ([1], (problem,))
    assert holder.required() is snapshot
