"""Reasoning that the caller, or policy, does not want to see: none of it is shown, all of it is counted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from services.core.policy.documents import Reasoning, TextGenerationConfig
from services.dataplane.dialects.registry import dialect_of
from services.dataplane.translation import Evidence, Translation
from tests.unit.dataplane.build import candidate

EVIDENCE = Evidence({"generation_id": "g"}, None, "m", "g")
EXCLUDED = TextGenerationConfig(reasoning=Reasoning(exclude=True))
SHOWN = TextGenerationConfig(reasoning=Reasoning(exclude=False))
USER = [{"role": "user", "content": "Hi"}]

CHAT_ANSWER = {
    "id": "c",
    "choices": [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": "So.",
                "reasoning": "SECRET",
                "reasoning_content": "SECRET",
                "reasoning_details": [{"type": "reasoning.text", "text": "SECRET", "signature": "SECRET"}],
            },
            "finish_reason": "stop",
        }
    ],
    "usage": {
        "prompt_tokens": 3,
        "completion_tokens": 9,
        "total_tokens": 12,
        "completion_tokens_details": {"reasoning_tokens": 8},
    },
}
MESSAGE_ANSWER = {
    "id": "m",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": [
        {"type": "thinking", "thinking": "SECRET", "signature": "sig"},
        {"type": "text", "text": "So."},
    ],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 3, "output_tokens": 9, "output_tokens_details": {"thinking_tokens": 8}},
}
CHAT_STREAM = [
    {"id": "c", "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}]},
    {"id": "c", "choices": [{"index": 0, "delta": {"reasoning_content": "SECRET"}, "finish_reason": None}]},
    {"id": "c", "choices": [{"index": 0, "delta": {"content": [{"type": "thinking", "thinking": [
        {"type": "text", "text": "SECRET"}]}]}, "finish_reason": None}]},
    {"id": "c", "choices": [{"index": 0, "delta": {"content": "So.", "reasoning": "SECRET"}, "finish_reason": None}]},
    {"id": "c", "choices": [{"index": 0, "delta": {"reasoning_details": [{"type": "reasoning.encrypted",
        "data": "SECRET"}]}, "finish_reason": "stop"}]},
    {"id": "c", "choices": [], "usage": CHAT_ANSWER["usage"]},
]  # fmt: skip
MESSAGE_STREAM = [
    {"type": "message_start", "message": {**MESSAGE_ANSWER, "content": [], "stop_reason": None}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": "", "signature": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "SECRET"}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "sig"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "So."}},
    {"type": "content_block_stop", "index": 1},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": MESSAGE_ANSWER["usage"]},
    {"type": "message_stop"},
]
ANSWERS = {"openai": CHAT_ANSWER, "anthropic": MESSAGE_ANSWER}
STREAMS = {"openai": CHAT_STREAM, "anthropic": MESSAGE_STREAM}


def translation(api: str, kind: str, request: Mapping[str, Any], config: TextGenerationConfig | None) -> Translation:
    body = {"model": "m", "max_tokens": 9000, "messages": USER, **request}
    found = (
        dialect_of(api).read(msgspec.json.encode(body), {}).translate(candidate(f"{kind}/m", kind, generation=config))
    )
    found.request("key")
    return found


def streamed(found: Translation, kind: str) -> bytes:
    frames = b""
    for event in STREAMS[kind]:
        name = f"event: {event['type']}\n".encode() if kind == "anthropic" else b""
        progress = found.feed(name + b"data: " + msgspec.json.encode(event) + b"\n\n")
        assert progress.failure is None
        assert not progress.reasoning
        frames += progress.frames
        if progress.done:
            break
    if kind == "openai":
        progress = found.feed(b"data: [DONE]\n\n")
        frames += progress.frames
    assert progress.done
    return frames + found.closing(EVIDENCE)


WISHES: list[tuple[str, dict[str, Any], TextGenerationConfig | None]] = [
    ("chat.completions", {"reasoning": {"exclude": True}}, None),
    ("chat.completions", {"extra_body": {"reasoning": {"exclude": True}}}, None),
    ("chat.completions", {"include_reasoning": False}, None),
    ("chat.completions", {}, EXCLUDED),
    ("chat.completions", {"reasoning": {"exclude": False}}, EXCLUDED),
    ("messages", {}, EXCLUDED),
]


@pytest.mark.parametrize("kind", ["openai", "anthropic"])
@pytest.mark.parametrize(("api", "request_", "config"), WISHES)
def test_no_answer_shows_it_and_its_tokens_count(
    api: str, request_: dict[str, Any], config: TextGenerationConfig | None, kind: str
) -> None:
    found = translation(api, kind, request_, config)
    assert found.answer(msgspec.json.encode(ANSWERS[kind])) is None
    body = found.render(EVIDENCE)
    assert b"SECRET" not in body
    assert b"So." in body
    assert found.facts.usage is not None
    assert found.facts.usage.reasoning_tokens == 8


@pytest.mark.parametrize("kind", ["openai", "anthropic"])
@pytest.mark.parametrize(("api", "request_", "config"), WISHES)
def test_no_stream_shows_it_and_its_tokens_count(
    api: str, request_: dict[str, Any], config: TextGenerationConfig | None, kind: str
) -> None:
    found = translation(api, kind, {**request_, "stream": True}, config)
    shown = streamed(found, kind)
    assert b"SECRET" not in shown
    assert b"So." in shown
    assert found.facts.usage is not None
    assert found.facts.usage.reasoning_tokens == 8


@pytest.mark.parametrize("kind", ["openai", "anthropic"])
@pytest.mark.parametrize("api", ["chat.completions", "messages"])
def test_policy_may_show_what_the_caller_hides(api: str, kind: str) -> None:
    found = translation(api, kind, {"reasoning": {"exclude": True}}, SHOWN)
    assert found.answer(msgspec.json.encode(ANSWERS[kind])) is None
    assert b"SECRET" in found.render(EVIDENCE)


def test_a_signature_stays_where_anthropic_leaves_its_own_reasoning_out() -> None:
    found = translation("messages", "anthropic", {"stream": True}, EXCLUDED)
    assert b'"signature_delta","signature":"sig"' in streamed(found, "anthropic")


def test_hidden_reasoning_is_no_first_content_but_no_silence_either() -> None:
    found = translation("chat.completions", "openai", {"reasoning": {"exclude": True}, "stream": True}, None)
    progress = found.feed(b"data: " + msgspec.json.encode(CHAT_STREAM[1]) + b"\n\n")
    assert progress.event
    assert progress.tokens > 0
    assert not progress.content
    assert progress.frames == b""


def test_a_chunk_without_reasoning_keeps_its_bytes() -> None:
    found = translation("chat.completions", "openai", {"reasoning": {"exclude": True}, "stream": True}, None)
    chunk = b'{"id":"c",  "choices":[{"index":0,"delta":{"content":"\\u0048i"},"finish_reason":null}],"model":"x"}'
    assert b'"\\u0048i"' in found.feed(b"data: " + chunk + b"\n\n").frames
