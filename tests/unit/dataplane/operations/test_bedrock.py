"""Embeddings and counts at Amazon Bedrock."""

from __future__ import annotations

from typing import Any

import pytest

from services.core.errors import FailureKind
from services.dataplane.translation import TokenUsage, Untranslatable
from tests.unit.dataplane.operations.build import rendered, sent, to

TOKENS = {"content-type": "application/json", "x-amzn-bedrock-input-token-count": "7"}


def asked(model: str, api: str = "embeddings", **body: Any) -> Any:
    return to("bedrock", api, {"model": f"p/{model}", **body}, model=f"p/{model}")


@pytest.mark.parametrize(
    ("model", "more", "body", "answer"),
    [
        (
            "amazon.titan-embed-text-v2:0",
            {"dimensions": 256},
            {"inputText": "a", "dimensions": 256},
            {"embedding": [0.5], "inputTextTokenCount": 7},
        ),
        ("amazon.titan-embed-text-v1", {}, {"inputText": "a"}, {"embedding": [0.5]}),
        (
            "us.cohere.embed-v4:0",
            {"dimensions": 512, "input_type": "search_query"},
            {"texts": ["a"], "input_type": "search_query", "output_dimension": 512},
            {"embeddings": {"float": [[0.5]]}, "id": "x"},
        ),
        (
            "cohere.embed-english-v3",
            {},
            {"texts": ["a"], "input_type": "search_document"},
            {"embeddings": [[0.5]], "response_type": "embeddings_floats"},
        ),
        (
            "amazon.nova-2-multimodal-embeddings-v1:0",
            {"dimensions": 256, "input_type": "search_query"},
            {
                "taskType": "SINGLE_EMBEDDING",
                "singleEmbeddingParams": {
                    "embeddingPurpose": "GENERIC_RETRIEVAL",
                    "text": {"truncationMode": "NONE", "value": "a"},
                    "embeddingDimension": 256,
                },
            },
            {"embeddings": [{"embeddingType": "TEXT", "embedding": [0.5]}]},
        ),
    ],
)
def test_each_vendor_has_its_own_form(model: str, more: Any, body: Any, answer: Any) -> None:
    made = asked(model, input="a", **more)
    assert sent(made) == body
    quoted = model.replace(":", "%3A")
    assert made.request("key").url == f"https://p.example.com/v1/model/{quoted}/invoke"
    assert made.request("key").headers["authorization"] == "Bearer key"
    assert rendered(made, answer, TOKENS)["data"][0]["embedding"] == [0.5]
    assert made.facts.usage == TokenUsage(input_tokens=7)
    assert made.facts.warnings == []


def test_keys_sign_the_request() -> None:
    request = asked("amazon.titan-embed-text-v2:0", input="a").request("AKIDEXAMPLE:secret")
    assert request.headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/")
    assert "/bedrock/aws4_request" in request.headers["authorization"]


@pytest.mark.parametrize(
    ("model", "value", "told"),
    [
        ("amazon.titan-embed-text-v2:0", ["a", "b"], "one text at a time, not 2"),
        ("amazon.nova-2-multimodal-embeddings-v1:0", ["a", "b"], "one text at a time"),
        ("amazon.titan-embed-text-v2:0", [[1, 2]], "token numbers"),
        ("anthropic.claude-sonnet-4", "a", "no model whose embeddings are known"),
    ],
)
def test_what_a_model_cannot_embed_is_for_the_next_target(model: str, value: Any, told: str) -> None:
    with pytest.raises(Untranslatable, match=told):
        asked(model, input=value)


@pytest.mark.parametrize("model", ["amazon.titan-embed-text-v2:0", "amazon.nova-embed", "cohere.embed-v4:0"])
@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"embedding":["x"],"embeddings":[5]}', b'{"embeddings":[]}'])
def test_vectors_that_are_none_are_failures(model: str, body: bytes) -> None:
    failure = asked(model, input="a").answer(body)
    assert failure is not None
    assert failure.kind is FailureKind.BAD_RESPONSE


MESSAGES = [{"role": "user", "content": "Hello, world!"}]


def test_claudes_tokens_are_counted_by_amazon() -> None:
    model = "us.anthropic.claude-sonnet-4-20250514-v1:0"
    made = asked(model, "messages.count_tokens", messages=MESSAGES, system="Be brief.")
    assert made.request("key").url.endswith("v1%3A0/count-tokens")
    converse = sent(made)["input"]["converse"]
    assert converse["messages"] == [{"role": "user", "content": [{"text": "Hello, world!"}]}]
    assert converse["system"] == [{"text": "Be brief."}]
    assert "inferenceConfig" not in converse
    assert rendered(made, {"inputTokens": 11})["input_tokens"] == 11
    for body in (b"", b"[]", b"{}", b'{"inputTokens":true}'):
        assert made.answer(body) is not None


def test_those_of_others_are_estimated() -> None:
    made = asked("amazon.nova-pro-v1:0", "messages.count_tokens", messages=MESSAGES)
    assert made.request("key") is None


@pytest.mark.parametrize(
    ("told", "tokens"), [("7", 7), ("0", 0), ("9" * 5000, 0), ("-7", 0), ("7.5", 0), ("", 0), ("seven", 0)]
)
@pytest.mark.parametrize("model", ["amazon.titan-embed-text-v1", "cohere.embed-v4:0"])
def test_tokens_in_a_header_are_read_or_left(model: str, told: str, tokens: int) -> None:
    answer = {"embedding": [0.5], "embeddings": [[0.5]]}
    found = rendered(asked(model, input="a"), answer, {"x-amzn-bedrock-input-token-count": told})
    assert found["usage"]["prompt_tokens"] == tokens
