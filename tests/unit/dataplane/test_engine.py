"""One request through the engine, without sockets: what is answered, tried and recorded."""

from __future__ import annotations

import asyncio
import gc
import json
from contextlib import aclosing
from typing import Any

import pytest

from services.core.errors import Failure, FailureKind
from services.dataplane.dialects.registry import dialect_of
from services.dataplane.engine import Call, Reply
from services.dataplane.policy_holder import PolicyHolder
from services.runtime.catalogue.shipped import ShippedCatalogue
from services.runtime.conditions import CelCompiler
from tests.support.inprocess import KEY
from tests.support.upstream import anthropic_answer, openai_answer, openai_events
from tests.unit.dataplane.fakes import Answer, FakeTransport, Rig, provider, rig, router, stream, whole

CHAT = dialect_of("chat.completions")
DOWN = Failure(FailureKind.CONNECT_FAILED, "no connection")
GOOD = [
    provider("one", credentials=["env:ONE"]),
    provider("two", "anthropic"),
    router("one/a", "two/claude-sonnet-4-5"),
]
ENVIRONMENT = {"ONE": "secret-one"}


def call(model: str = "inworld/r", key: str = KEY, **more: Any) -> Call:
    body = {"model": model, "messages": [{"role": "user", "content": "hi"}], **more}
    return Call(json.dumps(body).encode(), {"authorization": f"Bearer {key}"} if key else {})


async def ask(found: Rig, request: Call) -> tuple[int, Any]:
    reply = await found.engine.whole(CHAT, request)
    return reply.status, json.loads(reply.data)


async def collect(found: Rig, request: Call) -> list[Reply]:
    async with aclosing(found.engine.stream(CHAT, request)) as replies:
        return [reply async for reply in replies]


async def test_an_answer_comes_with_its_evidence_and_one_record() -> None:
    found = rig(FakeTransport(one=[whole(openai_answer())]), *GOOD, environment=ENVIRONMENT)
    reply = await found.engine.whole(CHAT, call(user="ann"))
    answer = json.loads(reply.data)
    assert reply.status == 200
    assert answer["model"] == "one/a"
    assert answer["metadata"]["router_id"] == "r"
    assert [a["success"] for a in answer["metadata"]["attempts"]] == [True]
    assert reply.headers["x-generation-id"] == answer["metadata"]["generation_id"]
    assert found.transport.asked[0].headers["authorization"] == "Bearer secret-one"
    (trail,) = found.trails
    assert (trail.outcome, trail.status, trail.api_key_name) == ("ok", 200, "test")
    assert trail.user_hash
    assert "ann" not in trail.user_hash
    assert found.engine.in_flight == 0


async def test_a_failed_target_is_followed_by_the_next_in_another_protocol() -> None:
    found = rig(FakeTransport(one=[DOWN], two=[whole(anthropic_answer())]), *GOOD, environment=ENVIRONMENT)
    status, answer = await ask(found, call())
    assert status == 200
    assert answer["model"] == "two/claude-sonnet-4-5"
    assert [a["model"] for a in answer["metadata"]["attempts"]] == ["one/a", "two/claude-sonnet-4-5"]
    assert found.transport.hosts == ["one", "two"]


async def test_a_credential_that_is_missing_costs_no_request() -> None:
    found = rig(FakeTransport(one=[whole({})], two=[whole(anthropic_answer())]), *GOOD)
    status, _ = await ask(found, call())
    assert status == 200
    assert found.transport.hosts == ["two"]
    assert [a.failure and a.failure.kind for a in found.trails[0].attempts] == [FailureKind.CREDENTIAL_MISSING, None]


async def test_a_request_that_one_protocol_cannot_carry_goes_to_one_that_can() -> None:
    audio = [{"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}}]}]
    forms = [provider("one", "anthropic"), provider("two"), router("one/claude-sonnet-4-5", "two/b")]
    found = rig(FakeTransport(two=[whole(openai_answer())]), *forms)
    status, answer = await ask(found, call(messages=audio))
    assert status == 200
    assert found.transport.hosts == ["two"]
    assert answer["metadata"]["attempts"][0]["error"] == "UNSUPPORTED"


async def test_a_request_that_no_target_can_carry_is_refused_with_the_reason() -> None:
    found = rig(FakeTransport(), provider("one", "anthropic"), router("one/claude-sonnet-4-5"))
    status, answer = await ask(found, call(n=2))
    assert status == 400
    assert answer["error"]["message"] == "`n` above 1 has no translation for this model's provider"
    assert answer["error"]["code"] == "unsupported"
    assert found.transport.asked == []


async def test_a_malformed_field_is_told_by_its_name_and_the_attempt_has_an_end() -> None:
    found = rig(FakeTransport(one=[DOWN]), *GOOD, environment=ENVIRONMENT)
    status, answer = await ask(found, call(temperature="hot"))
    assert (status, answer["error"]["param"]) == (400, "temperature")
    assert [a["error"] for a in answer["metadata"]["attempts"]] == ["CONNECT_FAILED", "INVALID_REQUEST"]
    assert all(attempt.ended for attempt in found.trails[0].attempts)


@pytest.mark.parametrize(
    ("request_", "status", "code"),
    [
        (call(key=""), 401, "invalid_api_key"),
        (call(key="to-other"), 401, "invalid_api_key"),
        (call(model="nobody/x"), 404, "model_not_found"),
        (Call(b"{", {"authorization": f"Bearer {KEY}"}), 400, "invalid_request"),
    ],
)
async def test_a_refusal_is_recorded_and_says_why(request_: Call, status: int, code: str) -> None:
    found = rig(FakeTransport(), *GOOD)
    answered, body = await ask(found, request_)
    assert (answered, body["error"]["code"]) == (status, code)
    assert (found.trails[0].outcome, found.trails[0].status) == ("refused", status)


async def test_authentication_comes_before_the_body_is_looked_at() -> None:
    found = rig(FakeTransport(), *GOOD)
    status, _ = await ask(found, Call(b"not json", {}))
    assert status == 401


async def test_without_a_policy_a_worker_says_so() -> None:
    found = rig(FakeTransport(), *GOOD)
    found.engine.policy = PolicyHolder(CelCompiler(), ShippedCatalogue())
    reply = await found.engine.whole(CHAT, call())
    assert reply.status == 503
    assert reply.headers["retry-after"] == "1"


async def test_a_stream_begins_with_one_reply_that_has_status_and_headers() -> None:
    found = rig(FakeTransport(one=[stream(*openai_events("He", "llo"))]), *GOOD, environment=ENVIRONMENT)
    first, *rest = await collect(found, call(stream=True))
    assert first.status == 200
    assert first.headers["content-type"].startswith("text/event-stream")
    assert {r.status for r in rest} == {0}
    assert b"".join(r.data for r in (first, *rest)).endswith(b"data: [DONE]\n\n")
    assert found.trails[0].usage is not None


async def test_a_stream_that_fails_before_content_moves_on_and_shows_nothing_of_it() -> None:
    torn = stream(b": wait\n\n", openai_events("x")[0])
    found = rig(FakeTransport(one=[torn], two=[DOWN]), *GOOD, environment=ENVIRONMENT)
    (reply,) = await collect(found, call(stream=True))
    assert reply.status == 503
    assert json.loads(reply.data)["error"]["type"] == "server_error"
    assert torn.closed


async def test_a_stream_that_breaks_after_content_ends_with_an_error_and_no_clean_end() -> None:
    events = openai_events("Hel")
    broken = Answer(200, events[:2], {"content-type": "text/event-stream"}, DOWN)
    found = rig(FakeTransport(one=[broken]), *GOOD, environment=ENVIRONMENT)
    data = b"".join(r.data for r in await collect(found, call(stream=True)))
    assert b'"error"' in data.split(b"\n\n")[-2]
    assert b"[DONE]" not in data
    assert found.trails[0].outcome == "broken"


async def test_a_caller_that_leaves_is_recorded_and_its_upstream_closed() -> None:
    hanging = Answer(200, [], {"content-type": "text/event-stream"}, hangs=True)
    found = rig(FakeTransport(one=[hanging]), *GOOD, environment=ENVIRONMENT)
    task = asyncio.create_task(collect(found, call(stream=True)))
    while not found.transport.asked:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert hanging.closed
    assert (found.trails[0].outcome, found.trails[0].status) == ("cancelled", 499)
    assert found.engine.in_flight == 0


async def test_either_method_serves_either_kind_of_request() -> None:
    found = rig(FakeTransport(one=[stream(*openai_events("Hi"))]), *GOOD, environment=ENVIRONMENT)
    reply = await found.engine.whole(CHAT, call(stream=True))
    assert reply.headers["content-type"].startswith("text/event-stream")
    assert reply.data.endswith(b"data: [DONE]\n\n")
    other = rig(FakeTransport(one=[whole(openai_answer())]), *GOOD, environment=ENVIRONMENT)
    (single,) = await collect(other, call())
    assert json.loads(single.data)["choices"][0]["message"]["content"] == "Hello there"


async def test_messages_are_decoded_for_a_router_whose_condition_reads_them() -> None:
    condition = {"cel_expression": 'messages.last().content == "special"'}
    route = {"route_id": "s", "variants": [{"weight": 100, "variant": {"variant_id": "v", "model_id": "two/b"}}]}
    forms = [provider("one"), provider("two"), router("one/a", routes=[{"condition": condition, "route": route}])]
    found = rig(FakeTransport(one=[whole(openai_answer())], two=[whole(openai_answer())]), *forms)
    await ask(found, call(messages=[{"role": "user", "content": "special"}]))
    await ask(found, call())
    assert found.transport.hosts == ["two", "one"]


async def test_a_policy_change_does_not_touch_a_request_that_runs() -> None:
    found = rig(FakeTransport(one=[whole(openai_answer())]), *GOOD, environment=ENVIRONMENT)
    snapshot = found.engine.policy.current()
    await ask(found, call())
    assert snapshot is not None
    assert found.trails[0].policy_version == snapshot.version


async def test_the_callers_deadline_bounds_the_request() -> None:
    hanging = Answer(200, [], {"content-type": "text/event-stream"}, hangs=True)
    found = rig(FakeTransport(one=[hanging], two=[hanging]), *GOOD, environment=ENVIRONMENT)
    request = call(stream=True)
    (reply,) = await collect(found, Call(request.body, request.headers, timeout=0.5))
    assert reply.status == 504
    assert found.trails[0].attempts[0].failure is not None
    assert found.trails[0].ended - found.trails[0].started < 5


async def test_a_request_leaves_nothing_to_the_garbage_collector() -> None:
    """Cycles would keep bodies in memory until a collection, which then stops every stream of the worker."""
    found = rig(FakeTransport(one=[whole(openai_answer()) for _ in range(9)]), *GOOD, environment=ENVIRONMENT)
    for _ in range(4):
        await found.engine.whole(CHAT, call())
    gc.collect()
    gc.disable()
    try:
        for _ in range(5):
            await found.engine.whole(CHAT, call())
        assert gc.collect() == 0
    finally:
        gc.enable()
