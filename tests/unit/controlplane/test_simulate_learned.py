"""A simulation of a variant that chooses by what was learned: by priors, and it says so."""

from __future__ import annotations

import json

from turnout.policy.v1.policy_service_pb2 import SimulateRequest

from services.controlplane.simulate import simulate
from services.runtime.kinds import shipped_kinds
from tests.support.policies import snapshot_of

POLICY = """
- {kind: Provider, name: openai, type: openai}
- {kind: Provider, name: anthropic, type: anthropic}
- kind: Router
  name: r
  default_route:
    variants: [{weight: 100, variant: {model_id: openai/gpt-5, model_selection: {models: [anthropic/claude], learned: {}}}}]
"""
UNKNOWN = "what was learned: workers choose by their tables, and a simulation has priors only"


def test_a_simulation_has_kinds_of_a_text_and_priors_only() -> None:
    body = {"model": "inworld/r", "messages": [{"role": "user", "content": "Solve for x: 3x + 7 = 22."}]}
    found = simulate(snapshot_of(POLICY), SimulateRequest(body=json.dumps(body).encode()))
    assert list(found.candidates) == ["anthropic/claude", "openai/gpt-5"]
    (told,) = (reason for reason in found.reasons if reason.startswith("learned choice"))
    assert "no table yet, so priors decide, kinds" in told
    assert UNKNOWN in found.unknown
    assert shipped_kinds().version, "the kinds are those of workers of this release"


def test_without_a_text_it_says_what_is_missing() -> None:
    found = simulate(snapshot_of(POLICY), SimulateRequest(model="inworld/r"))
    assert any("no text of the request is known" in reason for reason in found.reasons)
    assert UNKNOWN in found.unknown
    direct = simulate(snapshot_of(POLICY), SimulateRequest(model="openai/gpt-5"))
    assert UNKNOWN not in direct.unknown
