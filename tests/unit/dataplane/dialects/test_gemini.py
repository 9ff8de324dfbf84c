"""What is peculiar to the dialect of generateContent."""

from __future__ import annotations

import json
from typing import Any

import pytest

from services.core.errors import InvalidRequest
from services.core.policy.documents import Reasoning, TextGenerationConfig
from services.core.values import changed
from services.dataplane.dialects.gemini_schema import json_schema
from services.dataplane.dialects.gemini_write import GeminiWriter
from services.dataplane.dialects.gemini_write_parts import grounding
from services.dataplane.dialects.registry import dialect_of
from services.dataplane.exchange import Citation, Thinking, ToolCallDelta, ToolCallStarted
from services.dataplane.idempotency import fingerprint
from services.dataplane.proofs import opened_for_google, sealed_for_google
from services.dataplane.translation import Evidence, Translation
from services.wire.google_facts import content_needs, content_parameters, turns_of
from tests.support.asking import asked_headers
from tests.support.upstream import google_answer
from tests.unit.dataplane.build import candidate
from tests.unit.dataplane.dialects.scan import members

API = "generateContent"
EVIDENCE = Evidence({"attempts": []}, 0.125, "goo/up-1", "g-1")
ODD = rb"""[ {"parts":[ {"text":"\u0041 1.50e+3", "z":1E400,"a":-0.0} ],"role" : "user"} ]"""


def translation(body: bytes, *, stream: bool = False, **more: Any) -> Translation:
    inbound = dialect_of(API).read(body, asked_headers(API, "goo/up-1", stream=stream))
    return inbound.translate(candidate("goo/gemini-2.5-flash", "google", **more))


def raw(value: Any) -> dict[str, bytes]:
    return {name: json.dumps(item).encode() for name, item in value.items()}


def test_a_request_keeps_every_byte_of_what_is_not_ours() -> None:
    body = (
        b'{ "contents":'
        + ODD
        + b', "models":["a/b"] ,"safetySettings" : [ ],"metadata":{},"system_instruction":{ "parts":[]}}'
    )
    sent = members(translation(body).request("key").body)  # type: ignore[union-attr]
    assert sent == [("contents", ODD), ("safetySettings", b"[ ]"), ("system_instruction", b'{ "parts":[]}')]


def test_an_answer_keeps_every_byte_but_the_model_cost_and_metadata() -> None:
    wire = json.dumps(google_answer(), indent=1).encode().replace(b"Hello there", b"caf\\u00e9")
    found = translation(b'{"contents":' + ODD + b"}")
    assert found.answer(wire) is None
    before, after = dict(members(wire)), dict(members(found.render(EVIDENCE)))
    assert {name for name in after if after[name] != before.get(name)} == {"usageMetadata", "modelVersion", "metadata"}
    assert json.loads(after["modelVersion"]) == "goo/gemini-2.5-flash"
    assert members(after["usageMetadata"]) == [*members(before["usageMetadata"]), ("cost", b"0.125")]


def test_a_chunk_with_content_and_its_finish_is_parted_and_keeps_its_bytes() -> None:
    content = rb'{"parts":[{"text":"caf\u00e9", "z":1E400}],"role":"model"}'
    chunk = (
        b'data: {"candidates":[{"content":'
        + content
        + b',"finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":1,"candidatesTokenCount":2}}\r\n\r\n'
    )
    found = translation(b'{"contents":' + ODD + b"}", stream=True)
    progress = found.feed(chunk)
    assert progress.content
    assert content in progress.frames
    assert b"finishReason" not in progress.frames
    assert found.end().done
    last = json.loads(found.closing(EVIDENCE).removeprefix(b"data: "))
    assert last["candidates"] == [
        {"finishReason": "STOP", "index": 0, "content": {"parts": [{"text": ""}], "role": "model"}}
    ]
    assert last["usageMetadata"]["cost"] == 0.125


def test_text_beside_a_failure_is_not_noted_as_shown() -> None:
    found = translation(b'{"contents":' + ODD + b"}", stream=True)
    answer = google_answer("lost", "MALFORMED_FUNCTION_CALL")
    progress = found.feed(b"data: " + json.dumps(answer).encode() + b"\n\n")
    assert progress.failure is not None
    assert (progress.frames, found.facts.chars, progress.content) == (b"", 0, False)


@pytest.mark.parametrize("stream", [False, True])
def test_reasoning_that_policy_hides_leaves_its_proof(stream: bool) -> None:
    thought = {"text": "Hm.", "thought": True, "thoughtSignature": "c2ln"}
    answer = google_answer("4")
    answer["candidates"][0]["content"]["parts"].insert(0, thought)
    config = TextGenerationConfig(reasoning=Reasoning(exclude=True))
    found = translation(b'{"contents":' + ODD + b"}", stream=stream, generation=config)
    data = json.dumps(answer).encode()
    if stream:
        shown = found.feed(b"data: " + data + b"\n\n").frames
    else:
        assert found.answer(data) is None
        shown = found.render(EVIDENCE)
    assert b"Hm." not in shown
    assert b"c2ln" in shown
    # A list of chunks becomes one answer, as hidden.
    if not stream:
        listed = translation(b'{"contents":' + ODD + b"}", generation=config)
        assert listed.answer(b"[" + data + b"]") is None
        assert b"Hm." not in listed.render(EVIDENCE)


@pytest.mark.parametrize(
    "thinking",
    [
        Thinking(signature="c2ln", vendor="google"),
        Thinking(signature="sig/+==", vendor="anthropic"),
        Thinking(redacted="é:x", vendor="openai", id="rs_1"),
        Thinking(signature="no base64!", vendor="google"),
        Thinking(),
    ],
)
def test_a_proof_comes_back_to_the_vendor_that_made_it_in_either_alphabet(thinking: Thinking) -> None:
    proof = sealed_for_google(thinking)
    for spelled in (proof, proof.replace("+", "-").replace("/", "_"), proof.rstrip("=")):
        assert changed(opened_for_google(spelled), text="") == thinking
    assert opened_for_google("dHVybm91dDp4").vendor == "google"


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({"type": "STRING", "nullable": True}, {"type": ["string", "null"]}),
        ({"anyOf": [{"type": "STRING"}], "nullable": True}, {"anyOf": [{"type": "string"}, {"type": "null"}]}),
        ({"type": "STRING", "enum": ["a"], "nullable": True, "format": "enum"}, {"type": ["string", "null"], "enum": ["a", None]}),
        ({"type": "ARRAY", "items": {"type": "NUMBER"}, "max_items": "3"}, {"type": "array", "items": {"type": "number"}, "maxItems": 3}),
        ({"$ref": "#/$defs/a", "defs": {"a": {"type": "NULL"}}}, {"$ref": "#/$defs/a", "$defs": {"a": {"type": "null"}}}),
        ({"type": "OBJECT", "oneOf": [1], "const": 2, "example": 3}, {"type": "object", "oneOf": [1], "const": 2, "examples": [3]}),
    ],
)  # fmt: skip
def test_a_schema_of_googles_is_a_json_schema(given: Any, wanted: Any) -> None:
    assert json_schema(given, "s") == wanted


def test_a_schema_without_end_is_refused() -> None:
    deep: Any = {}
    for _ in range(200):
        deep = {"items": deep}
    with pytest.raises(InvalidRequest, match="nested too deeply"):
        json_schema(deep, "s")


def test_sources_are_placed_by_bytes_and_named_once() -> None:
    text = "é is a letter."
    cited = [Citation("https://a", "A", start=0, end=1), Citation("https://a", "A", start=2, end=4)]
    cited += [Citation(title="Doc", quote="words", document=0), Citation("https://b", start=5, end=99)]
    assert grounding(cited, text) == {
        "groundingChunks": [
            {"web": {"uri": "https://a", "title": "A"}},
            {"retrievedContext": {"title": "Doc", "text": "words"}},
            {"web": {"uri": "https://b"}},
        ],
        "groundingSupports": [
            {"segment": {"endIndex": 2, "text": "é"}, "groundingChunkIndices": [0]},
            {"segment": {"startIndex": 3, "endIndex": 5, "text": "is"}, "groundingChunkIndices": [0]},
        ],
    }


def test_calls_that_nobody_finished_come_with_the_last_chunk() -> None:
    writer = GeminiWriter("p/m")
    pieces = [
        ToolCallStarted(0, "a", "f"),
        ToolCallStarted(1, "b", "g"),
        ToolCallDelta(0, "{"),
        ToolCallDelta(1, '{"y":2}'),
    ]
    assert writer.frames([*pieces, ToolCallDelta(0, "}")]) == b""
    parts = json.loads(writer.closing(EVIDENCE).removeprefix(b"data: "))["candidates"][0]["content"]["parts"]
    assert [p["functionCall"] for p in parts[:2]] == [
        {"id": "a", "name": "f", "args": {}},
        {"id": "b", "name": "g", "args": {"y": 2}},
    ]


def test_what_a_request_needs_in_either_spelling() -> None:
    config = {"response_schema": {}, "responseModalities": ["IMAGE"], "topP": 1, "max_output_tokens": 5}
    body = raw(
        {
            "contents": [{"parts": [{"inline_data": {"mime_type": "audio/wav"}}]}],
            "tools": [{"function_declarations": []}, {"google_search": {}}],
            "generation_config": config,
        }
    )
    assert content_needs(body) == {"audio", "tools", "web_search", "json_schema", "image_output"}
    assert content_parameters(body) == {"top_p", "max_tokens", "tools", "response_format"}


def test_conditions_read_turns_as_ever() -> None:
    thought = {"text": "Hm.", "thought": True}
    body = raw(
        {
            "system_instruction": "Be kind.",
            "contents": [{"parts": {"text": "a"}}, {"role": "model", "parts": [thought, {"text": "b"}]}],
        }
    )
    assert turns_of(body) == [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b"},
    ]


def test_an_error_says_which_it_is_which_field_and_when_to_come_back() -> None:
    _, body = dialect_of(API).error(InvalidRequest("`contents` is missing", param="contents"), None)
    error = json.loads(body)["error"]
    assert (error["code"], error["status"]) == (400, "INVALID_ARGUMENT")
    assert [d["@type"].rpartition(".")[2] for d in error["details"]] == ["ErrorInfo", "BadRequest"]
    assert error["details"][1]["fieldViolations"][0]["field"] == "contents"


def test_the_model_of_the_address_tells_requests_with_one_key_apart() -> None:
    assert fingerprint(b"x", "a", stream=False) != fingerprint(b"x", "b", stream=False)
    assert fingerprint(b"x", "a", stream=False) == fingerprint(b"x", "a", stream=False)
