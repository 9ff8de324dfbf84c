"""Embeddings at Cohere."""

from __future__ import annotations

import json
from typing import Any

import pytest

from services.core.errors import FailureKind
from services.dataplane.translation import TokenUsage, Untranslatable
from tests.unit.dataplane.operations.build import EVIDENCE, rendered, sent, to

BODY = {"model": "p/embed-v4.0", "input": ["a", "b"]}
ANSWER: dict[str, Any] = {
    "id": "c-1",
    "texts": ["a", "b"],
    "embeddings": {"float": [[0.5, 1.0], [1.5, -1.0]]},
    "meta": {"billed_units": {"input_tokens": 4.0}},
}


def made(**more: Any) -> Any:
    return to("cohere", "embeddings", {**BODY, **more}, model="p/embed-v4.0")


def test_a_request_in_coheres_words() -> None:
    translation = made(dimensions=512, input_type="search_query", user="u", encoding_format="base64")
    request = translation.request("key")
    assert request.url == "https://p.example.com/v1/embed"
    assert request.headers["authorization"] == "Bearer key"
    assert sent(translation) == {
        "model": "embed-v4.0",
        "texts": ["a", "b"],
        "input_type": "search_query",
        "embedding_types": ["float"],
        "output_dimension": 512,
    }
    assert translation.facts.warnings == ["user was dropped: it has no translation"]
    assert sent(made())["input_type"] == "search_document"


def test_an_answer_in_openais_words() -> None:
    translation = made()
    found = rendered(translation, ANSWER)
    assert found == {
        "object": "list",
        "data": [
            {"object": "embedding", "index": 0, "embedding": [0.5, 1.0]},
            {"object": "embedding", "index": 1, "embedding": [1.5, -1.0]},
        ],
        "model": EVIDENCE.model,
        "usage": {"prompt_tokens": 4, "total_tokens": 4, "cost": 0.5},
        "metadata": EVIDENCE.metadata,
    }
    assert translation.facts.usage == TokenUsage(input_tokens=4)
    older = rendered(made(), {**ANSWER, "embeddings": ANSWER["embeddings"]["float"]})
    assert older["data"] == found["data"]


@pytest.mark.parametrize("value", [[[1, 2]], [1, 2], ["a", [1]]])
def test_tokens_of_openais_vocabulary_are_for_others(value: Any) -> None:
    with pytest.raises(Untranslatable, match="token numbers"):
        made(input=value)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b"[" * 100_000,
        b'{"embeddings":null}',
        b'{"embeddings":{"float":[[1.0]]}}',
        b'{"embeddings":{"float":[[1.0],["x"]]}}',
        b'{"embeddings":{"int8":[[1],[2]]}}',
        b'{"embeddings":[[1.0],[]]}',
    ],
)
def test_an_answer_that_is_none_is_a_failure(body: bytes) -> None:
    failure = made().answer(body)
    assert failure is not None
    assert failure.kind is FailureKind.BAD_RESPONSE


@pytest.mark.parametrize("meta", [None, [], {"billed_units": []}, {"billed_units": {"input_tokens": "x"}}])
def test_odd_bookkeeping_does_no_harm(meta: Any) -> None:
    translation = made()
    assert rendered(translation, {**ANSWER, "id": 5, "meta": meta})["usage"]["prompt_tokens"] == 0
    assert translation.facts.usage is None


def test_an_error_in_a_success_is_told() -> None:
    failure = made().answer(json.dumps({"message": "too many", "error_type": "x"}).encode())
    assert failure is not None
    assert failure.kind is FailureKind.STREAM_ERROR
