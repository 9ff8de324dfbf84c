"""Google's countTokens: by Google, by whoever counts for Anthropic's callers, else estimated, and marked."""

from __future__ import annotations

import json
from typing import Any

import pytest

from services.core.errors import ChainFailed, Failure, FailureKind, InvalidRequest
from services.dataplane.dialects.registry import dialect_of
from services.dataplane.operations.count import estimate_contents
from services.dataplane.translation import MODEL_HEADER, InboundRequest, Translation, Untranslatable
from tests.unit.dataplane.operations.build import EVIDENCE, JSON_TYPE, rendered, sent, target

CONTENTS = [{"role": "user", "parts": [{"text": "What is the capital of France?"}]}]
SYSTEM = {"parts": [{"text": "Be brief."}]}
TOOLS = [{"functionDeclarations": [{"name": "f", "parameters": {"type": "OBJECT"}}]}]
WHOLE = {"model": "models/p/m", "contents": CONTENTS, "systemInstruction": SYSTEM, "tools": TOOLS}
COUNTED = {"totalTokens": 31, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 31}]}


def read(body: Any, model: str = "p/m") -> InboundRequest:
    headers = {**JSON_TYPE, MODEL_HEADER: model} if model else JSON_TYPE
    return dialect_of("countTokens").read(json.dumps(body).encode(), headers)


def to(kind: str, body: Any, model: str = "p/m") -> Translation:
    return read(body, model).translate(target(kind, model))


def url(translation: Translation) -> str:
    request = translation.request("secret")
    assert request is not None
    return request.url


@pytest.mark.parametrize("body", [WHOLE, {"generateContentRequest": WHOLE}, {"generate_content_request": WHOLE}])
def test_ai_studio_counts_a_whole_request(body: dict[str, Any]) -> None:
    made = to("google", {**body, "models": ["p/n"], "labels": {"a": "b"}}, "p/gemini-3-flash")
    assert url(made).endswith("/models/gemini-3-flash:countTokens")
    inner = {**WHOLE, "model": "models/gemini-3-flash"}
    assert sent(made) == {"generateContentRequest": inner}
    assert rendered(made, COUNTED) == {**COUNTED, "metadata": EVIDENCE.metadata}
    assert rendered(made, {}) == {"totalTokens": 0, "metadata": EVIDENCE.metadata}
    assert made.facts.warnings == []


def test_vertex_counts_what_it_takes_and_the_rest_is_told() -> None:
    made = to("vertex", {**WHOLE, "generation_config": {"temperature": 1}, "safetySettings": []}, "p/gemini-3-flash")
    assert url(made).endswith("/publishers/google/models/gemini-3-flash:countTokens")
    left = {name: value for name, value in WHOLE.items() if name != "model"}
    assert sent(made) == {**left, "generation_config": {"temperature": 1}}
    assert made.facts.warnings == ["safetySettings was dropped: the count at Vertex AI does not take it"]


@pytest.mark.parametrize(
    ("kind", "model", "answer", "place"),
    [
        ("anthropic", "p/claude-sonnet-5", {"input_tokens": 31}, "/v1/messages/count_tokens"),
        ("vertex", "p/claude-sonnet-5", {"input_tokens": 31}, "/publishers/anthropic/models/count-tokens:rawPredict"),
        ("bedrock", "p/anthropic.claude-sonnet-5", {"inputTokens": 31}, "/count-tokens"),
    ],
)
def test_a_claude_is_counted_by_those_who_serve_it(kind: str, model: str, answer: Any, place: str) -> None:
    made = to(kind, WHOLE, model)
    request = made.request("AKIA:secret" if kind == "bedrock" else "secret")
    assert request is not None
    assert place in request.url
    told = request.body.decode()
    assert "capital of France" in told
    assert "Be brief." in told
    assert "max_tokens" not in told
    assert rendered(made, answer) == {"totalTokens": 31, "metadata": EVIDENCE.metadata}


def test_a_refusal_of_anthropics_is_told_in_googles_words() -> None:
    theirs = b'{"type":"error","error":{"type":"invalid_request_error","message":"No such thing."}}'
    failure = to("anthropic", WHOLE, "p/claude-sonnet-5").failure(400, JSON_TYPE, theirs)
    error = ChainFailed("failed", failure=failure, status=400)
    status, body = dialect_of("countTokens").error(error, None)
    told = json.loads(body)["error"]
    assert (status, told["code"], told["status"], told["message"]) == (400, 400, "INVALID_ARGUMENT", "No such thing.")


@pytest.mark.parametrize("kind", ["openai", "mistral", "cohere", "bedrock"])
def test_elsewhere_the_count_is_an_estimate_and_says_so(kind: str) -> None:
    made = to(kind, WHOLE)
    assert made.request("secret") is None
    found = json.loads(made.render(EVIDENCE))
    assert found == {"totalTokens": estimate_contents(WHOLE), "metadata": {**EVIDENCE.metadata, "estimated": True}}
    assert made.facts.warnings == ["totalTokens is an estimate: this model's provider counts no tokens"]


@pytest.mark.parametrize(
    ("body", "least", "most"),
    [
        ({"contents": []}, 1, 1),
        ({"contents": CONTENTS}, 10, 20),
        ({"contents": CONTENTS, "system_instruction": "x" * 4_000}, 1_000, 1_020),
        ({"contents": [{"parts": [{"inline_data": {"mime_type": "audio/wav", "data": "x" * 9_000}}]}]}, 1_600, 1_610),
        ({"contents": CONTENTS, "tools": [{"functionDeclarations": [{"name": "x" * 400}]}]}, 110, 140),
        ({"contents": [{"parts": [{"functionCall": {"name": "f", "args": {"a": "x" * 400}}}]}]}, 100, 120),
        ({"contents": ["odd", 5, None, {"parts": {"text": 7}}], "systemInstruction": 5}, 1, 30),
    ],
)
def test_an_estimate_is_about_right_and_never_fails(body: Any, least: int, most: int) -> None:
    assert least <= estimate_contents(body) <= most


def test_what_is_wrong_is_told_by_its_field() -> None:
    for body, field in (
        ({}, "contents"),
        ({"contents": "x"}, "contents"),
        ({"contents": CONTENTS, "generateContentRequest": WHOLE}, "generateContentRequest"),
        ({"generateContentRequest": [WHOLE]}, "generateContentRequest"),
        ({"generateContentRequest": {}}, "contents"),
    ):
        with pytest.raises(InvalidRequest) as refused:
            read(body)
        assert refused.value.param == field


def test_routing_reads_what_chat_would() -> None:
    found = read({"generateContentRequest": WHOLE, "metadata": {"tier": "gold"}, "models": ["p/n"]}, model="")
    assert (found.context.model, found.context.metadata) == ("p/m", {"tier": "gold"})
    assert found.condition_messages()[-1]["content"] == "What is the capital of France?"


def test_what_anthropic_cannot_take_goes_to_the_next_target() -> None:
    audio = [{"role": "user", "parts": [{"inlineData": {"mimeType": "audio/wav", "data": "AAAA"}}]}]
    with pytest.raises(Untranslatable):
        to("anthropic", {"contents": audio}, "p/claude-sonnet-5")


def test_an_answer_that_is_none_is_a_failure() -> None:
    for kind, model, answer in (
        ("google", "p/g", b'{"totalTokens":"many"}'),
        ("google", "p/g", b"[]"),
        ("anthropic", "p/claude", b"{}"),
    ):
        failure = to(kind, WHOLE, model).answer(answer)
        assert isinstance(failure, Failure)
        assert failure.kind is FailureKind.BAD_RESPONSE
