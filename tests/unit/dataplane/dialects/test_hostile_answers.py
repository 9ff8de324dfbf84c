"""Answers that no provider should send: read, or called a failure, and never a crash, however they are cut."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.core.errors import Failure
from services.dataplane.dialects.openai_chat import OpenAiChat
from services.dataplane.dialects.registry import dialect_of
from services.dataplane.providers.registry import codec_for
from services.dataplane.translation import Evidence, Progress, Translation
from tests.unit.dataplane.build import candidate
from tests.unit.dataplane.dialects.test_hostile_bodies import TEXTS, VALUES, object_of

EVIDENCE = Evidence({}, 0.5, "p/m", "g")
BODY = json.dumps(
    {"model": "p/m", "max_tokens": 5, "stream": True, "messages": [{"role": "user", "content": "hi"}]}
).encode()
KINDS = {
    "openai": "openai",
    "anthropic": "anthropic",
    "cohere": "cohere",
    "azure": "azure_openai",
    "mistral": "mistral",
    "bedrock": "bedrock",
    "google": "google",
}

CALLS = st.lists(
    object_of(index=st.integers(0, 2), id=TEXTS, function=object_of(name=TEXTS, arguments=TEXTS)), max_size=2
)
DELTA = object_of(
    content=TEXTS,
    tool_calls=CALLS,
    reasoning_content=TEXTS,
    refusal=TEXTS,
    function_call=object_of(name=TEXTS),
    annotations=st.lists(object_of(type=TEXTS, url_citation=VALUES), max_size=2),
    images=VALUES,
    audio=object_of(id=TEXTS, data=TEXTS, transcript=TEXTS),
    reasoning_details=st.lists(VALUES, max_size=2),
    extra_content=object_of(google=VALUES),
)
CHOICE = object_of(
    index=st.integers(0, 1),
    delta=DELTA,
    message=DELTA,
    finish_reason=st.sampled_from(["stop", "tool_calls", "odd"]),
    logprobs=object_of(content=VALUES),
)
USAGE = object_of(prompt_tokens=st.integers(0, 9), completion_tokens=st.integers(0, 9), prompt_tokens_details=VALUES)
OPENAI = object_of(id=TEXTS, model=TEXTS, choices=st.lists(CHOICE, max_size=2), usage=USAGE, error=VALUES)
BLOCK = object_of(
    type=st.sampled_from(
        [
            "text",
            "thinking",
            "tool_use",
            "redacted_thinking",
            "text_delta",
            "input_json_delta",
            "signature_delta",
            "citations_delta",
            "server_tool_use",
        ]
    ),
    text=TEXTS,
    thinking=TEXTS,
    partial_json=TEXTS,
    signature=TEXTS,
    id=TEXTS,
    name=TEXTS,
    input=VALUES,
    data=TEXTS,
    citations=VALUES,
    citation=object_of(
        type=st.sampled_from(["page_location", "char_location", "web_search_result_location"]),
        document_index=VALUES,
        start_page_number=st.integers(0, 2**40),
        end_page_number=st.integers(-5, 5),
        cited_text=VALUES,
    ),
    stop_reason=st.sampled_from(["end_turn", "tool_use", "odd"]),
)
COUNTS = object_of(input_tokens=st.integers(0, 9), output_tokens=st.integers(0, 9))
ANTHROPIC = object_of(
    type=st.sampled_from(
        [
            "message",
            "message_start",
            "content_block_start",
            "content_block_delta",
            "content_block_stop",
            "message_delta",
            "message_stop",
            "ping",
            "error",
            "odd",
        ]
    ),
    index=st.integers(0, 2),
    message=object_of(id=TEXTS, usage=COUNTS, content=st.lists(BLOCK, max_size=1)),
    content=st.lists(BLOCK, max_size=2),
    content_block=BLOCK,
    delta=BLOCK,
    usage=COUNTS,
    stop_reason=TEXTS,
    error=VALUES,
)


NUMBERS = st.one_of(st.integers(-1, 40), st.just(1e300), VALUES)
SOURCE = object_of(
    type=st.sampled_from(["document", "tool", "odd"]), id=st.sampled_from(["doc:1", "x"]), document=VALUES
)
CITATION = object_of(
    start=NUMBERS,
    end=NUMBERS,
    content_index=NUMBERS,
    sources=st.one_of(st.lists(SOURCE, max_size=2), VALUES),
    type=TEXTS,
)
PIECE = object_of(type=st.sampled_from(["text", "thinking"]), text=TEXTS, thinking=TEXTS)
CALLED = object_of(id=TEXTS, function=st.one_of(object_of(name=TEXTS, arguments=TEXTS), VALUES))
SAID = object_of(
    content=st.one_of(PIECE, st.lists(PIECE, max_size=2), VALUES),
    tool_plan=st.one_of(TEXTS, VALUES),
    tool_calls=st.one_of(CALLED, st.lists(CALLED, max_size=2)),
    citations=st.one_of(CITATION, st.lists(CITATION, max_size=2)),
)
COUNTED = object_of(
    tokens=st.one_of(object_of(input_tokens=NUMBERS, output_tokens=NUMBERS, reasoning_tokens=NUMBERS), VALUES),
    billed_units=object_of(input_tokens=NUMBERS, search_units=NUMBERS),
    cached_tokens=NUMBERS,
)
REASONS = st.sampled_from(["COMPLETE", "TOOL_CALL", "ERROR", "odd"])
COHERE = object_of(
    type=st.sampled_from(
        [
            "message-start",
            "content-start",
            "content-delta",
            "content-end",
            "tool-plan-delta",
            "tool-call-start",
            "tool-call-delta",
            "tool-call-end",
            "citation-start",
            "message-end",
            "odd",
        ]
    ),
    id=TEXTS,
    index=NUMBERS,
    message=st.one_of(SAID, TEXTS),
    delta=st.one_of(object_of(message=SAID, finish_reason=REASONS, usage=COUNTED, error=VALUES), VALUES),
    finish_reason=REASONS,
    usage=COUNTED,
    logprobs=VALUES,
)
PATHS = st.sampled_from(["$.a", "$.a[0]", "$.a.b", "$['x']", "$.a[9]", "a", "", "$[", "$.\u00fc"])
GOOGLE_PIECE = object_of(
    jsonPath=PATHS, stringValue=TEXTS, numberValue=st.floats(), boolValue=VALUES, willContinue=VALUES
)
GOOGLE_CALL = object_of(
    id=TEXTS, name=TEXTS, args=VALUES, partialArgs=st.lists(GOOGLE_PIECE, max_size=3), willContinue=VALUES
)
GOOGLE_PART = object_of(
    text=TEXTS,
    thought=st.booleans(),
    thoughtSignature=TEXTS,
    functionCall=GOOGLE_CALL,
    inlineData=object_of(mimeType=TEXTS, data=TEXTS),
    executableCode=VALUES,
)
SEGMENT = object_of(
    startIndex=st.integers(-9, 99), endIndex=st.integers(-9, 99), partIndex=st.integers(-3, 3), text=TEXTS
)
SUPPORT = object_of(segment=SEGMENT, groundingChunkIndices=st.lists(st.integers(-2, 3), max_size=2))
GOOGLE_SOURCE = object_of(web=object_of(uri=TEXTS, title=TEXTS), retrievedContext=object_of(title=TEXTS, text=TEXTS))
GROUNDING = object_of(
    groundingChunks=st.lists(GOOGLE_SOURCE, max_size=2),
    groundingSupports=st.lists(SUPPORT, max_size=2),
    webSearchQueries=VALUES,
)
LOGPROB = object_of(token=TEXTS, logProbability=st.floats(-9, 0))
CANDIDATE = object_of(
    index=st.integers(0, 1),
    content=object_of(parts=st.lists(GOOGLE_PART, max_size=3), role=TEXTS),
    finishReason=st.sampled_from(["STOP", "SAFETY", "OTHER", "ODD", 1, 5, 77, None]),
    groundingMetadata=GROUNDING,
    citationMetadata=object_of(citations=st.lists(object_of(uri=TEXTS, startIndex=st.integers(-2, 9)), max_size=2)),
    logprobsResult=object_of(chosenCandidates=st.lists(LOGPROB, max_size=2), topCandidates=VALUES),
)
GOOGLE = object_of(
    candidates=st.lists(CANDIDATE, max_size=2),
    usageMetadata=object_of(promptTokenCount=st.integers(0, 9), candidatesTokenCount=st.integers(0, 9)),
    promptFeedback=object_of(blockReason=VALUES, blockReasonMessage=TEXTS),
    responseId=TEXTS,
    createTime=TEXTS,
    error=VALUES,
)


def translations(kind: str) -> list[Translation]:
    dialects = (OpenAiChat(codec_for, lambda: 0.0), dialect_of("messages"))
    found = [dialect.read(BODY, {}).translate(candidate("p/m", KINDS[kind])) for dialect in dialects]
    for translation in found:
        translation.request("key")
    return found


def run(translation: Translation, pieces: list[bytes]) -> tuple[bytes, bool, Failure | None]:
    """All frames, whether the stream is whole, and why it is not."""
    out, progress = b"", Progress()
    for piece in pieces:
        progress = translation.feed(piece)
        out += progress.frames
        if progress.done or progress.failure is not None:
            return out, progress.done, progress.failure
    progress = translation.end()
    return out + progress.frames, progress.done, progress.failure


def check(kind: str, objects: list[Any]) -> None:
    for translation in translations(kind):
        if translation.answer(json.dumps(objects[0]).encode() if objects else b"") is None:
            json.loads(translation.render(EVIDENCE))
    wire = b"".join(b"data: " + json.dumps(o).encode() + b"\n\n" for o in objects)
    for at_once, slowly in zip(translations(kind), translations(kind), strict=True):
        found = run(at_once, [wire])
        assert run(slowly, [wire[i : i + 7] for i in range(0, len(wire), 7)]) == found
        if found[1]:
            at_once.closing(EVIDENCE)


@settings(max_examples=200)
@given(st.lists(OPENAI, max_size=4))
def test_no_openai_answer_crashes_a_translation(objects: list[Any]) -> None:
    check("openai", objects)


@settings(max_examples=200)
@given(st.lists(ANTHROPIC, max_size=5))
def test_no_anthropic_answer_crashes_a_translation(objects: list[Any]) -> None:
    check("anthropic", objects)


@settings(max_examples=300)
@given(st.lists(COHERE, max_size=5))
def test_no_cohere_answer_crashes_a_translation(objects: list[Any]) -> None:
    check("cohere", objects)


@settings(max_examples=200)
@given(st.lists(GOOGLE, max_size=5))
def test_no_google_answer_crashes_a_translation(objects: list[Any]) -> None:
    check("google", objects)


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.binary(max_size=60))
def test_no_bytes_whatever_crash_a_translation(kind: str, data: bytes) -> None:
    for translation in translations(kind):
        translation.answer(data)
    for translation in translations(kind):
        _, done, failure = run(translation, [data, b"data: " + data + b"\n\n"])
        assert failure is not None
        assert not done
