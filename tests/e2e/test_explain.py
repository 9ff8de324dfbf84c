"""A caller that asks why: the decision comes with the answer, whole and streamed, in both topologies."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.inprocess import TOPOLOGIES, records, running_suite
from tests.support.upstream import openai_answer, openai_events, running_upstream, streamed, whole

EXPLAIN = {"x-turnout-explain": "true"}
ROUTER: dict[str, Any] = {
    "kind": "Router",
    "name": "tiers",
    "routes": [
        {
            "condition": {"cel_expression": 'tier == "gold"'},
            "route": {
                "route_id": "gold",
                "variants": [
                    {
                        "weight": 50,
                        "variant": {
                            "variant_id": name,
                            "model_id": "p/dear",
                            "model_selection": {"models": ["p/cheap", "p/deaf"], "sort": [{"metric": "price"}]},
                        },
                    }
                    for name in ("a", "b")
                ],
            },
        }
    ],
}
BODY: dict[str, Any] = {
    "model": "inworld/tiers",
    "messages": [{"role": "user", "content": "Hi"}],
    "user": "ann",
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
    "extra_body": {"metadata": {"tier": "gold"}},
}


def _documents(url: str) -> list[dict[str, Any]]:
    return [
        {"kind": "Provider", "name": "p", "type": "openai_compatible", "base_url": f"{url}/v1"},
        {"kind": "Model", "name": "p/dear", "prices": {"input_per_million": 4, "output_per_million": 8}},
        {"kind": "Model", "name": "p/cheap", "prices": {"input_per_million": 1, "output_per_million": 2}},
        {"kind": "Model", "name": "p/deaf", "capabilities": {"tools": False}},
        ROUTER,
    ]


def _check(metadata: dict[str, Any]) -> None:
    decision = metadata["decision"]
    assert (decision["route"], decision["condition"], decision["unit"]) == ("gold", 'tier == "gold"', "user")
    assert decision["candidates"] == [
        {"model": "p/dear", "terms": {"price": 5.0}},
        {"model": "p/cheap", "terms": {"price": 1.25}},
    ]
    assert decision["skipped"] == [{"model": "p/deaf", "why": "it cannot call tools"}]
    assert f"slot {decision['slot']:,} of this user" in metadata["reasoning"]
    assert '(tier == "gold")' in metadata["reasoning"]


@pytest.mark.parametrize("topology", TOPOLOGIES)
async def test_who_asks_is_told_the_decision_and_nobody_else(tmp_path: Path, topology: str) -> None:
    async with running_upstream() as upstream, running_suite(tmp_path, topology, *_documents(upstream.url)) as suite:
        upstream.script([whole(200, openai_answer())], [whole(200, openai_answer())])
        asked = (await suite.http.post("/v1/chat/completions", json=BODY, headers=EXPLAIN)).json()
        _check(asked["metadata"])
        plain = (await suite.http.post("/v1/chat/completions", json=BODY)).json()
        assert "decision" not in plain["metadata"]
        upstream.script(streamed(openai_events("Hello")))
        answer = await suite.http.post("/v1/chat/completions", json={**BODY, "stream": True}, headers=EXPLAIN)
        frames = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: {")]
        _check(next(frame["metadata"] for frame in frames if "metadata" in frame))


@pytest.mark.parametrize("topology", TOPOLOGIES)
async def test_records_keep_the_facts_that_policy_lists(tmp_path: Path, topology: str) -> None:
    kept = {"kind": "Settings", "name": "default", "record_facts": {"metadata_keys": ["tier"]}}
    async with (
        running_upstream() as upstream,
        running_suite(tmp_path, topology, *_documents(upstream.url), kept) as suite,
    ):
        upstream.script([whole(200, openai_answer())])
        metadata = {"tier": "gold", "password": "hunter2"}
        body = {**BODY, "extra_body": {"metadata": metadata, "models": ["p/cheap"]}}
        assert (await suite.http.post("/v1/chat/completions", json=body)).status_code == 200
        (record,) = records(suite)
        assert dict(record.facts.metadata) == {"tier": "gold"}
        assert (list(record.facts.known_keys), list(record.facts.models)) == (["tier"], ["p/cheap"])
        assert (list(record.facts.needs), record.facts.first_model) == (["tools"], "p/dear")
        assert "hunter2" not in str(record)
