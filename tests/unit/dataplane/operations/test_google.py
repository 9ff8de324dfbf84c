"""Embeddings, pictures and counts at AI Studio and Vertex AI."""

from __future__ import annotations

import json
from typing import Any

import pytest

from services.core.errors import FailureKind
from services.core.policy.snapshot import CompiledProvider, Target
from services.core.routing.plan import Candidate
from services.dataplane.translation import TokenUsage, Untranslatable
from tests.unit.dataplane.build import candidate
from tests.unit.dataplane.operations.build import EVIDENCE, read, rendered, sent

K = FailureKind
PROJECT = "https://europe-west1-aiplatform.googleapis.com/v1/projects/p/locations/europe-west1"
STUDIO = "https://generativelanguage.googleapis.com/v1beta"
VECTORS = [[0.5, 1.0], [1.5, -1.0]]


def at(kind: str, model: str) -> Candidate:
    base = PROJECT if kind == "vertex" else STUDIO
    made = candidate(f"p/{model}", kind)
    provider = CompiledProvider("p", kind, base, protocol=made.target.provider.protocol)
    return Candidate(Target(f"p/{model}", provider, model), made.clocks)


def asked(kind: str, api: str, model: str, **body: Any) -> Any:
    return read(api, {"model": f"p/{model}", **body}).translate(at(kind, model))


def test_embeddings_are_a_batch_at_ai_studio() -> None:
    made = asked(
        "google", "embeddings", "gemini-embedding-001", input=["a", "b"], dimensions=2, input_type="search_query"
    )
    request = made.request("key")
    assert request.url == f"{STUDIO}/models/gemini-embedding-001:batchEmbedContents"
    assert request.headers["x-goog-api-key"] == "key"
    more = {"model": "models/gemini-embedding-001", "taskType": "RETRIEVAL_QUERY", "outputDimensionality": 2}
    assert sent(made) == {"requests": [{"content": {"parts": [{"text": text}]}, **more} for text in "ab"]}
    found = rendered(made, {"embeddings": [{"values": v} for v in VECTORS], "usageMetadata": {"promptTokenCount": 4}})
    assert [row["embedding"] for row in found["data"]] == VECTORS
    assert found["model"] == EVIDENCE.model
    assert made.facts.usage == TokenUsage(input_tokens=4)


def test_embeddings_are_instances_at_vertex() -> None:
    made = asked(
        "vertex", "embeddings", "text-embedding-005", input=["a", "b"], dimensions=2, task_type="CLUSTERING", user="u"
    )
    request = made.request("token")
    assert request.url == f"{PROJECT}/publishers/google/models/text-embedding-005:predict"
    assert request.headers["authorization"] == "Bearer token"
    assert sent(made) == {
        "instances": [{"content": text, "task_type": "CLUSTERING"} for text in "ab"],
        "parameters": {"outputDimensionality": 2},
    }
    assert made.facts.warnings == ["user was dropped: it has no translation"]
    rows = [{"embeddings": {"values": v, "statistics": {"token_count": 3}}} for v in VECTORS]
    assert [row["embedding"] for row in rendered(made, {"predictions": rows})["data"]] == VECTORS
    assert made.facts.usage == TokenUsage(input_tokens=6)


@pytest.mark.parametrize("kind", ["google", "vertex"])
@pytest.mark.parametrize(
    ("body", "failure"),
    [
        (b"", K.BAD_RESPONSE),
        (b"[]", K.BAD_RESPONSE),
        (b"{}", K.BAD_RESPONSE),
        (b'{"embeddings":[],"predictions":[]}', K.BAD_RESPONSE),
        (b'{"embeddings":[5],"predictions":[{"embeddings":7}]}', K.BAD_RESPONSE),
        (b'{"embeddings":{},"predictions":{}}', K.BAD_RESPONSE),
        (b'{"error":{"code":429,"status":"RESOURCE_EXHAUSTED","message":"m"}}', K.RATE_LIMITED),
        (b'{"error":{"code":"x"}}', K.SERVER_ERROR),
    ],
)
def test_vectors_that_are_none_are_failures(kind: str, body: bytes, failure: FailureKind) -> None:
    found = asked(kind, "embeddings", "m", input="a").answer(body)
    assert found is not None
    assert found.kind is failure


@pytest.mark.parametrize("kind", ["google", "vertex"])
def test_pictures_of_imagen(kind: str) -> None:
    made = asked(kind, "images", "imagen-4.0-generate-001", prompt="a cat", n=2, size="1024x1792", style="vivid")
    assert made.request("key").url.endswith("models/imagen-4.0-generate-001:predict")
    parameters = {"sampleCount": 2, "aspectRatio": "9:16"}
    assert sent(made) == {"instances": [{"prompt": "a cat"}], "parameters": parameters}
    assert made.facts.warnings == ["style was dropped: it has no translation"]
    rows = [{"bytesBase64Encoded": "aGk=", "mimeType": "image/png"}, {"raiFilteredReason": "no"}]
    assert rendered(made, {"predictions": rows})["data"] == [{"b64_json": "aGk="}]
    assert made.facts.usage == TokenUsage(images=1)


@pytest.mark.parametrize(
    ("body", "failure"),
    [
        (b'{"predictions":[{"raiFilteredReason":"no"}]}', K.CONTENT_REFUSED),
        (b"{}", K.CONTENT_REFUSED),
        (b'{"predictions":7}', K.BAD_RESPONSE),
        (b'{"other":1}', K.BAD_RESPONSE),
    ],
)
def test_pictures_that_were_filtered_are_told(body: bytes, failure: FailureKind) -> None:
    found = asked("vertex", "images", "imagen-3", prompt="x").answer(body)
    assert found is not None
    assert found.kind is failure


@pytest.mark.parametrize(
    ("model", "more", "told"),
    [
        ("gemini-3-flash", {}, "makes no pictures"),
        ("gemini-3-pro-image", {"n": 2}, "one picture at a time, not 2"),
        ("gemini-3-pro-image", {"stream": True}, "whole"),
        ("gemini-3-pro-image", {"size": "7x7"}, "size '7x7'"),
        ("imagen-3", {"size": "1536x1024"}, "size"),
        ("imagen-3", {"response_format": "url"}, "as base64"),
        ("imagen-3", {"stream": True}, "whole"),
        ("imagen-3", {"size": "7x7"}, "size '7x7'"),
        ("imagen-3", {"size": ["x"]}, "size"),
    ],
)
def test_pictures_that_google_does_not_make_are_for_the_next_target(model: str, more: Any, told: str) -> None:
    with pytest.raises(Untranslatable, match=told):
        asked("google", "images", model, prompt="x", **more)


DRAWN = {"inlineData": {"mimeType": "image/png", "data": "aGk="}}
TRIED = {"inlineData": {"mimeType": "image/png", "data": "bm8="}, "thought": True}


def drawing(*parts: Any, finish: str = "STOP") -> dict[str, Any]:
    usage = {"promptTokenCount": 6, "candidatesTokenCount": 1290, "totalTokenCount": 1296}
    usage |= {"candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": 1290}]}
    candidate = {"content": {"role": "model", "parts": list(parts)}, "finishReason": finish}
    return {"candidates": [candidate], "usageMetadata": usage, "responseId": "r1"}


@pytest.mark.parametrize("kind", ["google", "vertex"])
def test_pictures_of_gemini_come_from_its_chat(kind: str) -> None:
    made = asked(kind, "images", "gemini-3-pro-image", prompt="a cat", n=1, size="1536x1024", quality="high")
    assert made.request("key").url.endswith("models/gemini-3-pro-image:generateContent")
    assert sent(made) == {
        "contents": [{"role": "user", "parts": [{"text": "a cat"}]}],
        "generationConfig": {"responseModalities": ["IMAGE"], "imageConfig": {"aspectRatio": "3:2"}},
    }
    assert made.facts.warnings == ["quality was dropped: it has no translation"]
    found = rendered(made, drawing(TRIED, {"text": "Here."}, DRAWN))
    assert (found["data"], found["output_format"]) == ([{"b64_json": "aGk="}], "png")
    assert found["usage"] == {"input_tokens": 6, "output_tokens": 1290, "total_tokens": 1296, "cost": EVIDENCE.cost_usd}
    assert made.facts.usage == TokenUsage(input_tokens=6, output_tokens=1290, output_image_tokens=1290)


@pytest.mark.parametrize(
    ("answer", "failure"),
    [
        (drawing(finish="IMAGE_SAFETY"), K.CONTENT_REFUSED),
        (drawing({"text": "I cannot see a cat."}), K.EMPTY_ANSWER),
        (drawing(TRIED), K.EMPTY_ANSWER),
        (drawing(finish="NO_IMAGE"), K.SERVER_ERROR),
        ({"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}}, K.CONTENT_REFUSED),
        ({"error": {"code": 503, "status": "UNAVAILABLE", "message": "m"}}, K.OVERLOADED),
        ([], K.BAD_RESPONSE),
    ],
)
def test_an_answer_of_gemini_without_a_picture_is_a_failure(answer: Any, failure: FailureKind) -> None:
    found = asked("google", "images", "gemini-3-pro-image", prompt="x").answer(json.dumps(answer).encode())
    assert found is not None
    assert found.kind is failure


COUNTED: dict[str, Any] = {
    "messages": [{"role": "user", "content": "Hi"}],
    "system": "Be brief.",
    "tools": [{"name": "f", "description": "d", "input_schema": {"type": "object", "properties": {}}}],
}


def test_a_count_is_geminis_own() -> None:
    made = asked("google", "messages.count_tokens", "gemini-3-flash", **COUNTED)
    assert made.request("key").url == f"{STUDIO}/models/gemini-3-flash:countTokens"
    inner = sent(made)["generateContentRequest"]
    assert inner["model"] == "models/gemini-3-flash"
    assert inner["contents"] == [{"role": "user", "parts": [{"text": "Hi"}]}]
    assert inner["systemInstruction"]["parts"] == [{"text": "Be brief."}]
    assert inner["tools"][0]["functionDeclarations"][0]["name"] == "f"
    assert rendered(made, {"totalTokens": 11})["input_tokens"] == 11
    assert "estimated" not in rendered(made, {"totalTokens": 11})["metadata"]
    assert made.answer(b'{"totalTokens":"x"}') is not None


def test_a_count_at_vertex_takes_less() -> None:
    made = asked("vertex", "messages.count_tokens", "gemini-3-flash", **COUNTED, tool_choice={"type": "any"})
    assert made.request("t").url == f"{PROJECT}/publishers/google/models/gemini-3-flash:countTokens"
    assert sent(made).keys() <= {"contents", "systemInstruction", "tools", "generationConfig"}


def test_a_count_of_claude_at_vertex_is_anthropics() -> None:
    made = asked("vertex", "messages.count_tokens", "claude-sonnet-5", **COUNTED, metadata={"user_id": "u"})
    request = made.request("t")
    assert request.url == f"{PROJECT}/publishers/anthropic/models/count-tokens:rawPredict"
    assert request.headers["authorization"] == "Bearer t"
    assert sent(made) == {**COUNTED, "model": "claude-sonnet-5", "anthropic_version": "vertex-2023-10-16"}
    assert rendered(made, {"input_tokens": 9})["input_tokens"] == 9
