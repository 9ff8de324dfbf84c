"""The service tier that an answer names: who says it where, and how callers of other APIs are told."""

from __future__ import annotations

import json
from typing import Any

import pytest

from services.dataplane.exchange import ChatAnswer, UsageReported
from services.dataplane.providers.openai_fit import fit
from services.dataplane.providers.registry import codec_of
from tests.golden.translation.harness import EVIDENCE, feed_all, translation_for, wire_stream
from tests.support.matrix import ANSWERS
from tests.unit.dataplane.build import candidate

TOLD: dict[str, tuple[tuple[str, ...], Any]] = {
    "openai": (("service_tier",), "priority"),
    "anthropic": (("usage", "service_tier"), "priority"),
    "google": (("usageMetadata", "trafficType"), "ON_DEMAND_PRIORITY"),
    "bedrock": (("serviceTier",), {"type": "priority"}),
    "responses": (("service_tier",), "priority"),
}
"""Where a whole answer of each protocol names its tier, and how."""
ODD = [None, 5, ["odd"], {"odd": 1}, "x" * 5_000, "\u00e9"]


def codec(wire: str) -> Any:
    return codec_of("openai", "responses") if wire == "responses" else codec_of(wire)


def put(value: Any, path: tuple[str, ...], told: Any) -> Any:
    first, *rest = path
    return {**value, first: put(value.get(first) or {}, tuple(rest), told) if rest else told}


def whole(wire: str, told: Any) -> bytes:
    return json.dumps(put(ANSWERS[wire][0]("Hi."), TOLD[wire][0], told)).encode()


@pytest.mark.parametrize("wire", TOLD)
def test_a_whole_answer_names_its_tier(wire: str) -> None:
    found = codec(wire).decode(whole(wire, TOLD[wire][1]))
    assert isinstance(found, ChatAnswer)
    assert found.usage is not None
    assert found.usage.service_tier == "priority"


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("wire", TOLD)
def test_what_names_no_tier_is_none(wire: str, odd: Any) -> None:
    found = codec(wire).decode(whole(wire, odd))
    assert isinstance(found, ChatAnswer)
    assert found.usage is not None
    assert found.usage.service_tier == ""


COUNTED = {"input_tokens": 3, "output_tokens": 2}
STREAMS: dict[str, list[Any]] = {
    "openai": [
        {"id": "c", "choices": [{"index": 0, "delta": {"content": "Hi"}}], "service_tier": "priority"},
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
        {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}},
    ],
    "anthropic": [
        {"type": "message_start", "message": {"id": "m", "usage": {**COUNTED, "service_tier": "priority"}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": "Hi"}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}},
        {"type": "message_stop"},
    ],
    "google": [
        {
            "candidates": [{"content": {"parts": [{"text": "Hi"}]}, "finishReason": "STOP"}],
            "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 2, "serviceTier": "priority"},
        }
    ],
    "bedrock": [
        {"contentBlockDelta": {"delta": {"text": "Hi"}, "contentBlockIndex": 0}},
        {"messageStop": {"stopReason": "end_turn"}},
        {
            "metadata": {
                "usage": {"inputTokens": 3, "outputTokens": 2, "totalTokens": 5},
                "serviceTier": {"type": "priority"},
            }
        },
    ],
    "responses": [
        {"type": "response.created", "response": {"id": "r", "status": "in_progress", "service_tier": "auto"}},
        {"type": "response.output_text.delta", "output_index": 0, "delta": "Hi"},
        {
            "type": "response.completed",
            "response": {"id": "r", "status": "completed", "output": [], "usage": COUNTED, "service_tier": "priority"},
        },
    ],
}


@pytest.mark.parametrize("wire", STREAMS)
def test_a_stream_names_its_tier(wire: str) -> None:
    decoder = codec(wire).decoder()
    events = [*decoder.feed(wire_stream(wire, STREAMS[wire])), *decoder.end()]
    last = [event.usage for event in events if isinstance(event, UsageReported)][-1]
    assert (last.input_tokens, last.output_tokens, last.service_tier) == (3, 2, "priority")


PLACES = {"chat": ("service_tier",), "messages": ("usage", "service_tier"), "responses": ("service_tier",)}


@pytest.mark.parametrize(
    ("api", "wire"), [(a, w) for a in PLACES for w in STREAMS if (a, w) != ("responses", "openai")]
)
def test_callers_of_every_api_that_has_tiers_are_told(api: str, wire: str) -> None:
    made = translation_for(api, wire, {"answer": ANSWERS[wire][0]("Hi.")})
    assert made.answer(whole(wire, TOLD[wire][1])) is None
    found = json.loads(made.render(EVIDENCE))
    for name in PLACES[api]:
        found = found[name]
    assert found == "priority"
    made = translation_for(api, wire, {"stream": STREAMS[wire]})
    fed = feed_all(made, [wire_stream(wire, STREAMS[wire])])
    assert fed.done
    assert b'"service_tier":"priority"' in (fed.frames + made.closing(EVIDENCE)).replace(b": ", b":")


@pytest.mark.parametrize(
    ("tier", "sent", "dropped"),
    [("default", "on_demand", 0), ("flex", "flex", 0), ("auto", "auto", 0), ("priority", None, 1), (None, None, 0)],
)
def test_groq_is_asked_in_its_own_words(tier: str | None, sent: str | None, dropped: int) -> None:
    body: dict[str, Any] = {"model": "m"} | ({"service_tier": tier} if tier else {})
    told = fit(body, candidate("g/m", "groq").target)
    assert (body.get("service_tier"), len(told)) == (sent, dropped)
