"""Operations through the engine: what is recorded, and what is learned of health."""

from __future__ import annotations

import json
from typing import Any

import pytest

from services.core.errors import ChainFailed, Failure, FailureKind
from services.dataplane.engine import Call, Reply
from tests.support.inprocess import KEY
from tests.unit.dataplane.fakes import Answer, FakeTransport, Rig, provider, rig, router, whole
from tests.unit.dataplane.operations.build import DIALECTS, JSON_TYPE

HEADERS = {**JSON_TYPE, "authorization": f"Bearer {KEY}"}
SPEECH = {"model": "a/tts", "input": "Hello.", "voice": "v"}
CUT = Failure(FailureKind.DISCONNECTED, "the connection broke")


def sound(*pieces: bytes, failure: Failure | None = None) -> Answer:
    return Answer(200, list(pieces), {"content-type": "audio/mpeg"}, failure)


async def served(found: Rig, api: str, body: Any, **headers: str) -> list[Reply]:
    call = Call(json.dumps(body).encode(), {**HEADERS, **headers})
    return [reply async for reply in found.engine.stream(DIALECTS[api], call)]


async def test_an_estimate_asks_nobody_and_says_nothing_of_health() -> None:
    found = rig(FakeTransport(), provider("a"))
    body = {"model": "a/m", "messages": [{"role": "user", "content": "hi"}]}
    reply = await found.engine.whole(DIALECTS["messages.count_tokens"], Call(json.dumps(body).encode(), HEADERS))
    assert reply.status == 200
    assert json.loads(reply.data)["metadata"]["estimated"] is True
    assert found.transport.asked == []
    (trail,) = found.trails
    assert (trail.outcome, trail.usage, len(trail.attempts)) == ("ok", None, 1)
    health = found.engine.runner.health
    assert all(cell.in_flight == 0 for cell in health.report(0.0))
    # Nothing to adapt clocks to: an answer in no time would make every real one look slow.
    assert found.trails[0].attempts[0].headers_at == 0.0


async def test_an_estimate_never_closes_a_breaker() -> None:
    down = whole({"error": {"message": "m"}}, 500)
    found = rig(FakeTransport(a=[down]), provider("a", breaker={"consecutive_failures": 2}))
    for _ in range(3):
        down.pieces = [b"{}"]
        await found.engine.whole(DIALECTS["embeddings"], Call(b'{"model":"a/m","input":"x"}', HEADERS))
    before = [(cell.name, cell.state) for cell in found.engine.runner.health.report(0.0)]
    body = {"model": "a/m", "messages": []}
    await found.engine.whole(DIALECTS["messages.count_tokens"], Call(json.dumps(body).encode(), HEADERS))
    assert [(cell.name, cell.state) for cell in found.engine.runner.health.report(0.0)] == before


async def test_sound_that_breaks_after_it_began_raises_and_is_recorded() -> None:
    found = rig(FakeTransport(a=[sound(b"ID3", failure=CUT)]), provider("a"))
    replies = found.engine.stream(DIALECTS["audio.speech"], Call(json.dumps(SPEECH).encode(), HEADERS))
    first = await anext(replies)
    assert first.data == b"ID3"
    assert first.headers["content-type"] == "audio/mpeg"
    with pytest.raises(ChainFailed):
        await anext(replies)
    (trail,) = found.trails
    assert (trail.outcome, trail.status, trail.error_reason) == ("broken", 200, "CHAIN_FAILED")
    assert trail.usage is not None
    assert trail.usage.characters == 6


async def test_gathered_sound_that_breaks_is_an_error_with_a_status() -> None:
    found = rig(FakeTransport(a=[sound(b"ID3", failure=CUT)]), provider("a"))
    reply = await found.engine.whole(DIALECTS["audio.speech"], Call(json.dumps(SPEECH).encode(), HEADERS))
    assert reply.status == 502
    assert json.loads(reply.data)["error"]["code"] == "disconnected"


async def test_policy_that_mends_chat_mends_no_sound() -> None:
    settings = {"kind": "Settings", "name": "default", "recovery": "verified_resume"}
    forms = (provider("a"), provider("b"), router("a/tts", "b/tts"), settings)
    found = rig(FakeTransport(a=[sound(b"ID3", failure=CUT)], b=[sound(b"ID3")]), *forms)
    with pytest.raises(ChainFailed):
        await served(found, "audio.speech", {**SPEECH, "model": "inworld/r"})
    assert found.transport.hosts == ["a"]


async def test_policy_that_holds_answers_back_holds_no_sound_until_its_end() -> None:
    settings = {"kind": "Settings", "name": "default", "commit_after": {"tokens": 50, "sentence": True}}
    found = rig(FakeTransport(a=[sound(b"one", b"two")]), provider("a"), settings)
    replies = await served(found, "audio.speech", SPEECH)
    assert [r.data for r in replies if r.data] == [b"one", b"two"]


async def test_templates_and_parameters_are_for_chat() -> None:
    config = {"max_tokens": 5, "temperature": 0.1}
    template = {"role": "system", "content": "Be brief."}
    defaults = {"text_generation_config": config, "message_templates": [template]}
    answer = whole({"data": [{"embedding": [1.0]}]})
    found = rig(FakeTransport(a=[answer]), provider("a"), router("a/m", defaults=defaults))
    body = {"model": "inworld/r", "input": "x"}
    reply = await found.engine.whole(DIALECTS["embeddings"], Call(json.dumps(body).encode(), HEADERS))
    assert reply.status == 200
    assert json.loads(found.transport.asked[0].body) == {"model": "m", "input": "x"}


async def test_speech_is_told_apart_from_other_answers_by_its_headers() -> None:
    found = rig(FakeTransport(a=[sound(b"ID3", b"xyz")]), provider("a"))
    (first, *rest) = await served(found, "audio.speech", {**SPEECH, "extra_body": {"odd": 1}})
    assert first.headers["x-turnout-model"] == "a/tts"
    assert first.headers["x-turnout-warnings"] == "extra_body.odd was dropped: it is not known here"
    assert b"".join([first.data, *(r.data for r in rest)]) == b"ID3xyz"
    (trail,) = found.trails
    assert trail.content_at > 0
    assert trail.usage is not None
    assert trail.usage.characters == 6


async def test_the_same_user_meets_the_same_variant() -> None:
    variants = [{"weight": 50, "variant": {"variant_id": v, "model_id": f"{v}/m"}} for v in ("a", "b")]
    both = {"kind": "Router", "name": "r", "default_route": {"route_id": "d", "variants": variants}}

    def answer() -> Answer:
        return whole({"data": [{"embedding": [1.0]}]})

    for user in ("x", "y", "z"):
        transport = FakeTransport(a=[answer() for _ in range(6)], b=[answer() for _ in range(6)])
        found = rig(transport, provider("a"), provider("b"), both)
        for _ in range(5):
            body = {"model": "inworld/r", "input": "x", "user": user}
            await found.engine.whole(DIALECTS["embeddings"], Call(json.dumps(body).encode(), HEADERS))
        assert len(set(transport.hosts)) == 1


@pytest.mark.parametrize(
    ("clocks", "seen"),
    [
        ({}, (180.0, 180.0, 180.0, 2.0)),
        ({"first_content": "5s", "connect": "1s"}, (180.0, 5.0, 180.0, 1.0)),
    ],
)
async def test_pictures_may_take_their_time_unless_policy_says_how_long(
    clocks: dict[str, str], seen: tuple[float, ...]
) -> None:
    answer = whole({"data": [{"url": "u"}]})
    found = rig(FakeTransport(a=[answer]), provider("a", clocks=clocks))
    await found.engine.whole(DIALECTS["images"], Call(b'{"model":"a/m","prompt":"x"}', HEADERS))
    plan = found.trails[0].plan
    assert plan is not None
    rule = plan.candidates[0].clocks
    assert (rule.first_event, rule.first_content, rule.idle, rule.connect) == seen
    assert plan.candidates[0].named_clocks == clocks.keys()


async def test_a_request_may_set_what_policy_may_set() -> None:
    settings = {"kind": "Settings", "name": "default", "clocks": {"idle": "7s"}}
    found = rig(FakeTransport(a=[whole({"data": [{"url": "u"}]})]), provider("a"), settings)
    body = {"model": "a/m", "prompt": "x", "fallback": {"ttft_timeout": "9s"}}
    await found.engine.whole(DIALECTS["images"], Call(json.dumps(body).encode(), HEADERS))
    plan = found.trails[0].plan
    assert plan is not None
    rule = plan.candidates[0].clocks
    assert (rule.headers, rule.first_content, rule.idle) == (180.0, 9.0, 7.0)
