"""The memory of prompt caches: fed by answers, read by the next turn of a session."""

from __future__ import annotations

import json
from typing import Any

import pytest

from services.core.errors import Failure
from services.core.policy.documents import Prices
from services.core.pricing import TokenUsage
from services.core.routing.context import RequestContext
from services.core.values import changed
from services.dataplane.dialects.registry import dialect_of
from services.dataplane.engine import Call
from services.dataplane.prompt_caches import MODELS, SESSIONS, PromptCaches
from services.dataplane.record_form import record_of
from services.dataplane.trail import Trail
from services.wire.records import past_of
from tests.support.inprocess import KEY
from tests.support.upstream import openai_answer, openai_events
from tests.unit.dataplane.build import attempt, candidate, plan, trail
from tests.unit.dataplane.fakes import Answer, FakeTransport, Rig, provider, rig, stream, whole

CHAT = dialect_of("chat.completions")
PRICES = Prices(2.0, 8.0, 0.2)
USAGE = TokenUsage(4_000, 1_000)


def served(session: str = "s", model: str = "openai/gpt-5", **more: Any) -> Trail:
    one = candidate(model, prices=PRICES)
    usage, success = more.pop("usage", USAGE), more.pop("success", True)
    tried = attempt(candidate=one, usage=usage, success=success)
    return trail(plan=plan(one, session=session), attempts=[tried], **{"api_key_name": "k", **more})


def shares(caches: PromptCaches, session: str = "s", caller: str = "k", now: float = 110.0) -> dict[str, float]:
    return dict(caches.known(RequestContext("m", session=session), caller, now).cached)


def test_a_session_has_what_its_last_answer_left_for_as_long_as_caches_keep_it() -> None:
    caches = PromptCaches()
    caches.sink(served())
    assert shares(caches) == {"openai/gpt-5": 0.8}
    assert shares(caches, now=399.0) == {"openai/gpt-5": 0.8}
    assert shares(caches, now=400.0) == {}


def test_nobody_has_what_is_another_sessions_or_another_callers() -> None:
    caches = PromptCaches()
    caches.sink(served())
    assert shares(caches, session="t") == shares(caches, caller="other") == shares(caches, session="") == {}


def test_without_a_session_nothing_is_remembered_and_the_facts_are_the_same_object() -> None:
    caches = PromptCaches()
    caches.sink(served(session=""))
    caches.sink(trail())
    assert len(caches) == 0
    caches.sink(served())
    context = RequestContext("m")
    assert caches.known(context, "k", 110.0) is context


def test_shadows_failures_and_counts_that_were_guessed_say_nothing() -> None:
    caches = PromptCaches()
    caches.sink(served(shadow_of="gen-0"))
    caches.sink(served(success=False))
    caches.sink(served(usage=None))
    caches.sink(served(usage=changed(USAGE, estimated=True)))
    assert len(caches) == 0


def test_the_sessions_that_were_served_least_lately_are_forgotten_first() -> None:
    caches = PromptCaches()
    caches.sink(served("first"))
    caches.sink(served("second"))
    for number in range(SESSIONS - 2):
        caches.sink(served(f"s{number}"))
    caches.sink(served("first", usage=changed(USAGE, cache_read_tokens=3_968)))
    caches.sink(served("another"))
    assert len(caches) == SESSIONS
    assert (shares(caches, "second"), shares(caches, "first")) == ({}, {"openai/gpt-5": 0.8})


def test_of_a_session_only_the_latest_models_are_remembered() -> None:
    caches = PromptCaches()
    for number in range(MODELS + 1):
        caches.sink(served(model=f"openai/m{number}"))
    assert sorted(shares(caches)) == [f"openai/m{number}" for number in range(1, MODELS + 1)]


POLICY = [
    provider("one"),
    provider("two"),
    {"kind": "Model", "name": "one/a", "prices": {"input_per_million": 1, "output_per_million": 4}},
    {
        "kind": "Model",
        "name": "two/b",
        "prices": {"input_per_million": 1.5, "output_per_million": 4, "cache_read_per_million": 0.15},
    },
]


def call(session: str, **more: Any) -> Call:
    body = {
        "model": "one/a",
        "models": ["two/b"],
        "provider": {"sort": {"by": "price", "partition": "none"}},
        "messages": [{"role": "user", "content": "hi"}],
        **({"session_id": session} if session else {}),
        **more,
    }
    return Call(json.dumps(body).encode(), {"authorization": f"Bearer {KEY}", "x-turnout-explain": "true"})


def remembering(transport: FakeTransport) -> Rig:
    found = rig(transport, *POLICY)
    found.engine.records._sinks = (*found.engine.records._sinks, found.engine.caches.sink)
    return found


def answer(prompt: int) -> dict[str, Any]:
    return {
        **openai_answer(),
        "usage": {"prompt_tokens": prompt, "completion_tokens": 100, "total_tokens": prompt + 100},
    }


def answers(count: int) -> list[Answer | Failure]:
    return [whole(answer(5_000)) for _ in range(count)]


async def test_a_conversation_that_failed_over_stays_where_its_prompt_is_cached() -> None:
    found = remembering(FakeTransport(one=answers(3), two=answers(3)))
    # As a failover left it: the cheapest one did not serve the first turn.
    await found.engine.whole(CHAT, call("s", models=[], model="two/b"))
    told = json.loads((await found.engine.whole(CHAT, call("s"))).data)
    assert told["model"] == "two/b"
    terms = {one["model"]: one["terms"] for one in told["metadata"]["decision"]["candidates"]}
    assert terms["two/b"]["prompt_cache"] == 0.980392
    assert "prompt_cache" not in terms["one/a"]
    # Nothing was read there, although it should have been: so it is believed no more.
    again = json.loads((await found.engine.whole(CHAT, call("other"))).data)
    assert again["metadata"]["decision"]["candidates"][0]["model"] == "one/a"
    third = json.loads((await found.engine.whole(CHAT, call("s"))).data)
    assert third["metadata"]["decision"]["candidates"][0]["model"] == "one/a"


async def test_a_stream_feeds_the_memory_too() -> None:
    frames = b"".join(openai_events("hello")).replace(b'"prompt_tokens": ', b'"prompt_tokens": 500')
    found = remembering(FakeTransport(one=[whole(answer(9))], two=[stream(frames)]))
    async for _ in found.engine.stream(CHAT, call("s", models=[], model="two/b", stream=True)):
        pass
    assert len(found.engine.caches) == 1


async def test_a_record_has_what_the_decision_read_and_it_can_be_made_again() -> None:
    found = remembering(FakeTransport(one=answers(1), two=answers(2)))
    await found.engine.whole(CHAT, call("s", models=[], model="two/b"))
    await found.engine.whole(CHAT, call("s"))
    record = record_of(found.trails[-1], "node")
    (read,) = record.measurements
    assert (read.model, read.metric, read.percentile) == ("two/b", "prompt_cache", 0.0)
    past = past_of(record)
    assert past is not None
    assert past.context.cached == {"two/b": pytest.approx(5_000 / 5_100)}
