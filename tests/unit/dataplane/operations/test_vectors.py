"""Embeddings: numbers and base64, counted against the inputs."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core.errors import FailureKind, InvalidRequest
from services.dataplane.operations.vectors import packed, unpacked
from tests.unit.dataplane.operations.build import EVIDENCE, read, rendered, sent, target, to

VECTOR = [0.5, -1.25, 0.0]
BASE64 = base64.b64encode(struct.pack("<3f", *VECTOR)).decode()
USAGE = {"prompt_tokens": 3, "total_tokens": 3}


def answer(*vectors: Any, **more: Any) -> dict[str, Any]:
    rows = [{"object": "embedding", "index": i, "embedding": v} for i, v in enumerate(vectors)]
    return {"object": "list", "data": rows, "model": "m", "usage": USAGE, **more}


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1))
def test_base64_is_little_endian_floats(vector: list[float]) -> None:
    assert packed(vector) == base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
    assert unpacked(packed(vector)) == vector


@pytest.mark.parametrize("text", ["AAA=", "not base64!", "AAAAAAA="])
def test_what_is_no_vector_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        unpacked(text)


@pytest.mark.parametrize(
    ("encoding", "given_vector", "seen"),
    [
        ("base64", VECTOR, BASE64),
        ("base64", BASE64, BASE64),
        ("float", BASE64, VECTOR),
        ("float", VECTOR, VECTOR),
        (None, BASE64, BASE64),
        (None, VECTOR, VECTOR),
        ("base64_int8", "AQID", "AQID"),
    ],
)
def test_the_caller_gets_the_encoding_that_it_asked_for(encoding: Any, given_vector: Any, seen: Any) -> None:
    body = {"model": "p/m", "input": "hi"} | ({"encoding_format": encoding} if encoding else {})
    found = rendered(to("openai", "embeddings", body), answer(given_vector))
    assert found["data"] == [{"object": "embedding", "index": 0, "embedding": seen}]
    assert found["model"] == EVIDENCE.model
    assert found["usage"] == {**USAGE, "cost": 0.5}
    assert found["metadata"] == EVIDENCE.metadata


def test_an_answer_that_needs_no_change_keeps_its_bytes() -> None:
    data = b'[ {"embedding": [1.50, -2e-3] , "index":0} ]'
    translation = to("openai", "embeddings", {"model": "p/m", "input": "hi"})
    assert translation.answer(b'{"data":' + data + b',"usage":{"prompt_tokens":1,"x":1.50}}') is None
    out = translation.render(EVIDENCE)
    assert b'"data":' + data in out
    assert b'"x":1.50' in out


@pytest.mark.parametrize(
    ("value", "count"), [("hi", 1), (["a", "b"], 2), ([1, 2, 3], 1), ([[1, 2], [3]], 2), (["a"], 1)]
)
def test_as_many_vectors_as_inputs(value: Any, count: int) -> None:
    body = {"model": "p/m", "input": value}
    assert len(rendered(to("openai", "embeddings", body), answer(*[VECTOR] * count))["data"]) == count
    for wrong in (count - 1, count + 1):
        failure = to("openai", "embeddings", body).answer(json.dumps(answer(*[VECTOR] * wrong)).encode())
        assert failure is not None
        assert failure.kind in {FailureKind.BAD_RESPONSE, FailureKind.EMPTY_ANSWER}


@pytest.mark.parametrize(
    "rows",
    [[{}], [{"embedding": ["a"]}], [{"embedding": []}], ["x"], {}, [{"embedding": None}], [{"embedding": [1e300]}]],
)
def test_rows_that_are_none_are_a_bad_response(rows: Any) -> None:
    translation = to("openai", "embeddings", {"model": "p/m", "input": "hi", "encoding_format": "base64"})
    failure = translation.answer(json.dumps({"data": rows}).encode())
    assert failure is not None
    assert failure.kind in {FailureKind.BAD_RESPONSE, FailureKind.EMPTY_ANSWER}


@pytest.mark.parametrize("value", [[], None, 5, {"a": 1}])
def test_an_input_that_is_none_is_the_callers_fault(value: Any) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read("embeddings", {"model": "p/m", "input": value}).translate(target("openai"))
    assert caught.value.param == "input"


@pytest.mark.parametrize(
    ("kind", "body", "expected"),
    [
        ("openai", {"dimensions": 8, "user": "u"}, {"dimensions": 8, "user": "u"}),
        ("mistral", {"dimensions": 8, "user": "u"}, {"output_dimension": 8}),
        ("mistral", {"encoding_format": "float"}, {"encoding_format": "float"}),
        ("voyage", {"dimensions": 8, "encoding_format": "float"}, {"output_dimension": 8}),
        (
            "voyage",
            {"encoding_format": "base64", "input_type": "query"},
            {"encoding_format": "base64", "input_type": "query"},
        ),
    ],
)
def test_fields_go_by_the_names_that_each_provider_knows(kind: str, body: Any, expected: Any) -> None:
    translation = to(kind, "embeddings", {"model": "p/m", "input": "hi", **body})
    assert sent(translation) == {"model": "m", "input": "hi", **expected}
    if "user" in body and kind == "mistral":
        assert translation.facts.warnings == ["user was dropped: p does not take it"]


@pytest.mark.parametrize(
    ("told", "tokens"),
    [(USAGE, 3), ({"total_tokens": 7}, 7), ({"prompt_tokens": 2, "completion_tokens": 0, "total_tokens": 2}, 2)],
)
def test_usage_is_counted_however_it_is_spelled(told: Any, tokens: int) -> None:
    translation = to("voyage", "embeddings", {"model": "p/m", "input": "hi"})
    rendered(translation, answer(VECTOR, usage=told))
    assert translation.facts.usage is not None
    assert translation.facts.usage.input_tokens == tokens
