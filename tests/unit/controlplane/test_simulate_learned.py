"""A simulation of a variant that chooses by what was learned: by the replica's table, or by priors, and it says so."""

from __future__ import annotations

import json

import pytest
from turnout.learning.v1.learning_service_pb2 import LearnedTable
from turnout.policy.v1.policy_service_pb2 import SimulateRequest

from services.controlplane.learning.variants import VariantName
from services.controlplane.simulate import simulate
from services.core.routing.learned.decision import Decision
from services.core.routing.learned.learner import learned_table
from services.runtime.kinds import shipped_kinds
from services.wire.learning import table_message
from tests.support.policies import snapshot_of

POLICY = """
- {kind: Provider, name: openai, type: openai}
- {kind: Provider, name: anthropic, type: anthropic}
- kind: Router
  name: r
  default_route:
    variants: [{weight: 100, variant: {model_id: openai/gpt-5, model_selection: {models: [anthropic/claude], learned: {}}}}]
"""
UNKNOWN = "what was learned: this replica has no table that fits, so priors decided; workers may have one"
BODY = json.dumps(
    {"model": "inworld/r", "messages": [{"role": "user", "content": "Solve for x: 3x + 7 = 22."}]}
).encode()
NAME = VariantName("r", "default", "default")


def learned(best: str, kinds: str = "") -> LearnedTable:
    """A table that knows one model to be good and the other one not."""
    decisions = [
        Decision(float(i), {kind: 1.0}, (m,), (1.0,), (0.5,), m, m, reward=float(m == best))
        for i in range(20)
        for m in ("openai/gpt-5", "anthropic/claude")
        for kind in range(shipped_kinds().clusters.count)
    ]
    found = table_message(learned_table(decisions, shipped_kinds().clusters.count), kinds or shipped_kinds().version)
    found.router_id, found.route_id, found.variant_id = NAME.router, NAME.route, NAME.variant
    found.decisions = len(decisions)
    return found


@pytest.mark.parametrize("best", ["openai/gpt-5", "anthropic/claude"])
def test_a_simulation_chooses_by_the_table_of_the_replica_and_says_which(best: str) -> None:
    table = learned(best)
    found = simulate(snapshot_of(POLICY), SimulateRequest(body=BODY), {NAME: table})
    assert found.candidates[0] == best
    assert (found.HasField("learned_table"), found.learned_table) == (True, table.version)
    assert any(f"table {table.version} of {table.decisions:,} decisions" in reason for reason in found.reasons)
    assert UNKNOWN not in found.unknown


def test_a_table_of_another_variant_or_of_other_kinds_is_not_used() -> None:
    elsewhere = {
        VariantName("r", "default", "other"): learned("openai/gpt-5"),
        VariantName("s", "d", "v"): learned("x"),
    }
    for tables in (elsewhere, {NAME: learned("openai/gpt-5", kinds="older")}):
        found = simulate(snapshot_of(POLICY), SimulateRequest(body=BODY), tables)
        assert found.candidates[0] == "anthropic/claude"
        assert (found.HasField("learned_table"), found.learned_table) == (True, "")
        assert UNKNOWN in found.unknown


def test_without_a_table_a_simulation_has_kinds_of_a_text_and_priors() -> None:
    found = simulate(snapshot_of(POLICY), SimulateRequest(body=BODY))
    assert list(found.candidates) == ["anthropic/claude", "openai/gpt-5"]
    (told,) = (reason for reason in found.reasons if reason.startswith("learned choice"))
    assert "no table yet, so priors decide, kinds" in told
    assert UNKNOWN in found.unknown
    assert shipped_kinds().version, "the kinds are those of workers of this release"


def test_without_a_text_priors_decide_at_workers_too() -> None:
    found = simulate(snapshot_of(POLICY), SimulateRequest(model="inworld/r"), {NAME: learned("openai/gpt-5")})
    assert any("no text of the request is known" in reason for reason in found.reasons)
    assert (found.HasField("learned_table"), found.learned_table) == (True, "")
    assert UNKNOWN not in found.unknown
    direct = simulate(snapshot_of(POLICY), SimulateRequest(model="openai/gpt-5"))
    assert UNKNOWN not in direct.unknown
    assert not direct.HasField("learned_table")
