"""A simulation of a session: what its prompt costs where it is cached."""

from __future__ import annotations

import json
from typing import Any

import pytest
from turnout.policy.v1.policy_service_pb2 import SimulateRequest, SimulateResponse

from services.controlplane.simulate import simulate
from services.core.errors import InvalidRequest
from tests.support.policies import snapshot_of

SNAPSHOT = snapshot_of("""
- {kind: Provider, name: openai, type: openai}
- {kind: Provider, name: mistral, type: mistral}
- kind: Router
  name: r
  default_route:
    variants:
    - weight: 100
      variant: {model_id: auto, model_selection: {models: [openai/gpt-5, mistral/large], sort: [price]}}
""")
UNKNOWN = "prompt caches: workers remember who served a session, and take its cached input for what it costs"


def simulated(cached: dict[str, float] | None = None, session: str = "", **fields: Any) -> SimulateResponse:
    body = json.dumps({"model": "inworld/r", "messages": [], **fields}).encode()
    return simulate(SNAPSHOT, SimulateRequest(body=body, session=session, cached=cached or {}))


def test_what_is_cached_is_a_term_of_the_score_and_decides() -> None:
    assert list(simulated().candidates) == ["mistral/large", "openai/gpt-5"]
    found = simulated({"openai/gpt-5": 0.9}, session="s")
    assert list(found.candidates) == ["openai/gpt-5", "mistral/large"]
    terms = {score.model: {term.metric: term.value for term in score.terms} for score in found.scores}
    assert terms == {
        "openai/gpt-5": {"price": pytest.approx(2.678125), "prompt_cache": 0.9},
        "mistral/large": {"price": 3.0},
    }
    assert UNKNOWN not in found.unknown


def test_of_a_session_it_says_that_workers_may_know_better() -> None:
    assert UNKNOWN in simulated(session="s").unknown
    assert UNKNOWN in simulated(session_id="s").unknown
    assert UNKNOWN not in simulated().unknown


@pytest.mark.parametrize("share", [-0.1, 1.5, float("nan")])
def test_a_share_that_is_none_is_refused(share: float) -> None:
    with pytest.raises(InvalidRequest, match="give a share from 0 to 1"):
        simulated({"openai/gpt-5": share})
