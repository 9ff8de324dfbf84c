"""Counts of tokens: by Anthropic, else estimated here, and marked."""

from __future__ import annotations

import json
from typing import Any

import pytest

from services.core.errors import FailureKind
from services.dataplane.operations.count import estimate
from tests.unit.dataplane.operations.build import EVIDENCE, read, rendered, sent, to

MESSAGES = [{"role": "user", "content": "What is the capital of France?"}]
BODY: dict[str, Any] = {"model": "p/claude", "messages": MESSAGES, "system": "Be brief."}


def test_anthropic_counts_by_itself() -> None:
    body = {**BODY, "metadata": {"user_id": "u"}, "user": "x", "tools": [{"name": "t", "input_schema": {}}]}
    translation = to("anthropic", "messages.count_tokens", body, model="p/claude")
    request = translation.request("secret")
    assert request is not None
    assert request.url == "https://p.example.com/v1/v1/messages/count_tokens"
    assert request.headers["x-api-key"] == "secret"
    assert request.headers["anthropic-version"]
    expected = {"model": "claude", "messages": MESSAGES, "system": "Be brief.", "tools": body["tools"]}
    assert sent(translation) == expected
    assert rendered(translation, {"input_tokens": 43}) == {"input_tokens": 43, "metadata": EVIDENCE.metadata}
    assert translation.facts.usage is None
    failure = translation.answer(b'{"type":"error","error":{"type":"overloaded_error","message":"m"}}')
    assert failure is not None
    assert failure.kind is FailureKind.OVERLOADED


def test_elsewhere_the_count_is_an_estimate_and_says_so() -> None:
    translation = to("openai", "messages.count_tokens", BODY)
    assert translation.request("secret") is None
    found = json.loads(translation.render(EVIDENCE))
    assert found["input_tokens"] == estimate(BODY)
    assert found["metadata"] == {**EVIDENCE.metadata, "estimated": True}
    assert translation.facts.warnings == ["input_tokens is an estimate: this model's provider counts no tokens"]


def test_the_user_of_a_count_is_that_of_its_messages() -> None:
    headers = {"x-claude-code-session-id": "session"}
    assert read("messages.count_tokens", BODY, headers).context.user == "session"
    named = {**BODY, "metadata": {"user_id": "u"}}
    assert read("messages.count_tokens", named, headers).context.user == "u"


@pytest.mark.parametrize(
    ("body", "least", "most"),
    [
        ({"messages": []}, 1, 1),
        ({"messages": MESSAGES}, 10, 20),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "x" * 4_000}]}]}, 1_000, 1_010),
        ({"messages": MESSAGES, "tools": [{"name": "t", "description": "x" * 4_000}]}, 1_000, 1_100),
        (
            {"messages": [{"role": "user", "content": [{"type": "image", "source": {"data": "x" * 100_000}}]}]},
            1_600,
            1_610,
        ),
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": "document", "source": {"type": "text", "data": "x" * 400}}]}
                ]
            },
            100,
            110,
        ),
        (
            {
                "messages": [
                    {"role": "assistant", "content": [{"type": "tool_use", "name": "t", "input": {"a": "x" * 400}}]}
                ]
            },
            100,
            115,
        ),
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [{"type": "tool_result", "content": [{"type": "text", "text": "x" * 400}]}],
                    }
                ]
            },
            100,
            110,
        ),
        ({"messages": ["odd", 5, None, {"role": 5, "content": {"text": 7}}], "system": 5}, 1, 30),
    ],
)
def test_an_estimate_is_about_right_and_never_fails(body: Any, least: int, most: int) -> None:
    assert least <= estimate(body) <= most


@pytest.mark.parametrize(
    ("text", "true"),
    [
        ("What is the capital of France?", 14),
        ("The quick brown fox jumps over the lazydog.", 18),
        ("Hello, world!", 11),
    ],
)
def test_an_estimate_is_near_what_anthropic_counted(text: str, true: int) -> None:
    """Counts of recorded requests; short ones are the hardest, since their frame weighs most."""
    found = estimate({"messages": [{"role": "user", "content": text}]})
    assert true / 2 <= found <= true * 2


def test_a_type_that_is_no_word_is_estimated_all_the_same() -> None:
    part = {"type": ["image"], "text": "What is the capital of France?"}
    assert estimate({"messages": [{"role": "user", "content": [part]}]}) == estimate(BODY | {"system": None})
