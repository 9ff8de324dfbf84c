"""What a request cost: by the provider's own word, else by the price list of the moment."""

from __future__ import annotations

import json
from typing import Any

import pytest

from services.dataplane.dialects.registry import dialect_of
from services.dataplane.engine import Call
from services.dataplane.record_form import record_of
from tests.support.inprocess import KEY
from tests.support.upstream import openai_answer, openai_events
from tests.unit.dataplane.fakes import FakeTransport, provider, rig, stream, whole

CHAT = dialect_of("chat.completions")
TIMES = [{"since": "2020-01-01", "prices": {"input_per_million": 2000, "output_per_million": 2000}}]
PRICED = {"kind": "Model", "name": "one/a", "prices": {"input_per_million": 1000, "output_per_million": 1000}}


def call(**more: Any) -> Call:
    body = {"model": "one/a", "messages": [{"role": "user", "content": "hi"}], **more}
    return Call(json.dumps(body).encode(), {"authorization": f"Bearer {KEY}"})


def answer(**usage: Any) -> dict[str, Any]:
    return {**openai_answer(), "usage": {"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150, **usage}}


async def test_a_providers_own_cost_is_shown_in_place_of_ours_and_marked() -> None:
    found = rig(FakeTransport(one=[whole(answer(cost=0.125))]), provider("one"), PRICED)
    body = json.loads((await found.engine.whole(CHAT, call())).data)
    assert body["usage"]["cost"] == 0.125
    assert body["metadata"]["cost_source"] == "provider"
    record = record_of(found.trails[0], "node")
    assert (record.usage.cost_usd, record.usage.cost_is_providers) == (0.125, True)
    assert (record.attempts[0].usage.cost_usd, record.attempts[0].usage.cost_is_providers) == (0.125, True)


async def test_without_one_it_is_reckoned_from_the_price_list() -> None:
    found = rig(FakeTransport(one=[whole(answer(cost="free"))]), provider("one"), PRICED)
    body = json.loads((await found.engine.whole(CHAT, call())).data)
    assert body["usage"]["cost"] == pytest.approx(0.15)
    assert "cost_source" not in body["metadata"]
    assert not record_of(found.trails[0], "node").usage.cost_is_providers


@pytest.mark.parametrize(("told", "kept"), [(-7, 0), (2**70, 2**53), (10**400, 2**53)])
async def test_counts_that_no_answer_can_have_spoil_neither_the_cost_nor_the_record(told: int, kept: int) -> None:
    found = rig(FakeTransport(one=[whole(answer(prompt_tokens=told, total_tokens=None))]), provider("one"), PRICED)
    reply = await found.engine.whole(CHAT, call())
    assert reply.status == 200
    usage = record_of(found.trails[0], "node").usage
    assert (usage.input_tokens, usage.output_tokens) == (kept, 50)
    assert usage.cost_usd == pytest.approx((kept + 50) / 1000)


async def test_the_price_is_that_of_the_moment() -> None:
    found = rig(FakeTransport(one=[whole(answer())]), provider("one"), {**PRICED, "price_periods": TIMES})
    body = json.loads((await found.engine.whole(CHAT, call())).data)
    assert body["usage"]["cost"] == pytest.approx(0.3)


async def test_a_streams_own_cost_is_kept_too() -> None:
    frames = b"".join(openai_events("hello"))
    assert frames.count(b'"usage": {') == 1
    told = frames.replace(b'"usage": {', b'"usage": {"cost": 0.5, ')
    found = rig(FakeTransport(one=[stream(told)]), provider("one"), PRICED)
    async for _ in found.engine.stream(CHAT, call(stream=True)):
        pass
    assert (found.trails[0].cost_usd, found.trails[0].cost_is_providers) == (0.5, True)


TIERED = {
    **PRICED,
    "price_periods": [
        {"service_tier": "flex", "prices": {"input_per_million": 500, "output_per_million": 500}},
        {"service_tier": "flex", "since": "2999-01-01", "prices": {"input_per_million": 1}},
    ],
}


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize(
    ("tier", "told", "price", "estimated"),
    [
        ("default", "default", 1000, False),
        ("auto", "auto", 1000, False),
        ("on_demand", "default", 1000, False),
        ("flex", "flex", 500, False),
        ("priority", "priority", 1000, True),
        (None, "", 1000, False),
        (["odd"], "", 1000, False),
        ("x" * 41, "", 1000, False),
    ],
)
async def test_the_price_is_that_of_the_tier_that_served_and_an_unknown_one_is_an_estimate(
    tier: Any, told: str, price: float, estimated: bool, *, streams: bool
) -> None:
    whole_answer = whole({**answer(), "service_tier": tier})
    chunks = [
        {"choices": [{"index": 0, "delta": {"content": "hi"}, "finish_reason": None}], "service_tier": tier},
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
        {"choices": [], "usage": answer()["usage"]},
    ]
    frames = [b"data: " + json.dumps({"id": "c", "model": "m", **chunk}).encode() + b"\n\n" for chunk in chunks]
    found = rig(
        FakeTransport(one=[stream(*frames, b"data: [DONE]\n\n") if streams else whole_answer]), provider("one"), TIERED
    )
    if streams:
        replies = [reply async for reply in found.engine.stream(CHAT, call(stream=True))]
        shown = json.loads(replies[-1].data.rpartition(b"data: {")[2].partition(b"\n")[0].join([b"{", b""]))
    else:
        shown = json.loads((await found.engine.whole(CHAT, call())).data)
    usage = record_of(found.trails[0], "node").usage
    assert usage.cost_usd == pytest.approx(150 * price / 1e6)
    assert (usage.service_tier, usage.cost_is_estimated, usage.cost_is_providers) == (told, estimated, False)
    assert shown["metadata"].get("cost_source") == ("estimated" if estimated else None)
    warning = f"the cost is estimated by the standard price: that of the service tier {tier!r} is not known for one/a"
    assert (warning in shown["metadata"].get("warnings", [])) is estimated


async def test_a_providers_own_cost_is_no_estimate_in_any_tier() -> None:
    told = whole({**answer(cost=0.125), "service_tier": "priority"})
    found = rig(FakeTransport(one=[told]), provider("one"), TIERED)
    body = json.loads((await found.engine.whole(CHAT, call())).data)
    assert (body["service_tier"], body["metadata"]["cost_source"]) == ("priority", "provider")
    assert not record_of(found.trails[0], "node").usage.cost_is_estimated
