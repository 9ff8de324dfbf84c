"""No more tokens are asked of a model than it answers, and the caller is told."""

from __future__ import annotations

import json
from typing import Any

import pytest

from services.dataplane.dialects.registry import dialect_of
from services.dataplane.engine import Call
from services.dataplane.limits import within
from tests.support.inprocess import KEY
from tests.support.upstream import anthropic_answer, openai_answer
from tests.unit.dataplane.build import candidate
from tests.unit.dataplane.fakes import FakeTransport, provider, rig, whole

ANSWERS = {"openai": openai_answer, "anthropic": anthropic_answer}


@pytest.mark.parametrize(("asked", "sent"), [(5_000, 1_000), (1_000, 1_000), (10, 10)])
@pytest.mark.parametrize("api", ["chat.completions", "messages"])
@pytest.mark.parametrize("kind", ANSWERS)
async def test_a_limit_beyond_the_models_is_lowered(api: str, kind: str, asked: int, sent: int) -> None:
    model = {"kind": "Model", "name": "one/a", "max_output_tokens": 1_000}
    transport = FakeTransport(one=[whole(ANSWERS[kind]())])
    found = rig(transport, provider("one", kind), model)
    body = {"model": "one/a", "messages": [{"role": "user", "content": "hi"}], "max_tokens": asked}
    headers = {"authorization": f"Bearer {KEY}"}
    reply = await found.engine.whole(dialect_of(api), Call(json.dumps(body).encode(), headers))
    upstream = json.loads(transport.asked[0].body)
    assert upstream.get("max_tokens", upstream.get("max_completion_tokens")) == sent
    told = json.loads(reply.data)["metadata"].get("warnings", [])
    lowered = [w for w in told if "lowered from 5,000 to 1,000" in w]
    assert len(lowered) == (1 if asked > sent else 0)


@pytest.mark.parametrize("asked", [None, True, "many", 1.5])
def test_what_is_no_number_is_the_providers_to_judge(asked: Any) -> None:
    assert within(asked, candidate().target) == (asked, "")
