"""Gemini's answers, whole and streamed: the same events and parts, whatever is in them and however they are cut."""

from __future__ import annotations

import json
from typing import Any

import pytest

from services.core.errors import Failure
from services.core.errors import FailureKind as K
from services.dataplane.exchange import (
    Audio,
    ChatAnswer,
    Citation,
    CitationDelta,
    Failed,
    Finished,
    Image,
    ImageDelta,
    Started,
    StreamEvent,
    Terminal,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    ToolCall,
    ToolCallDelta,
    ToolCallStarted,
    UsageReported,
)
from services.dataplane.providers.google import GoogleCodec
from services.dataplane.providers.google_sources import MAX_CITATIONS
from services.dataplane.sse import frame

USAGE = {"promptTokenCount": 5, "candidatesTokenCount": 3, "totalTokenCount": 8}


def chunk(*parts: Any, finish: Any = None, usage: Any = None, **more: Any) -> dict[str, Any]:
    candidate = {"content": {"parts": list(parts), "role": "model"}, "index": 0, **more}
    candidate |= {"finishReason": finish} if finish is not None else {}
    body: dict[str, Any] = {"candidates": [candidate], "responseId": "r1", "modelVersion": "m"}
    return {**body, "usageMetadata": usage} if usage is not None else body


def streamed(*chunks: Any, end: bool = True) -> list[StreamEvent]:
    """The events of a stream; read byte by byte they must be the same."""
    data = b"".join(frame(json.dumps(c).encode()) for c in chunks)
    at_once, slowly = GoogleCodec().decoder(), GoogleCodec().decoder()
    events = [*at_once.feed(data), *(at_once.end() if end else ())]
    pieces = [e for i in range(len(data)) for e in slowly.feed(data[i : i + 1])]
    assert [*pieces, *(slowly.end() if end else ())] == events
    return events


def content(*chunks: Any) -> list[StreamEvent]:
    """The events of a stream that carry content, without its start and end."""
    last = chunk(finish="STOP", usage=USAGE)
    return [e for e in streamed(*chunks, last) if not isinstance(e, (Started, UsageReported, Finished, Terminal))]


def whole(body: Any) -> ChatAnswer:
    found = GoogleCodec().decode(json.dumps(body).encode())
    assert isinstance(found, ChatAnswer)
    return found


def refused(body: Any) -> Failure:
    found = GoogleCodec().decode(body if isinstance(body, bytes) else json.dumps(body).encode())
    assert isinstance(found, Failure)
    return found


def test_a_stream_begins_with_its_id_and_time_and_ends_whole() -> None:
    first = {**chunk({"text": "He"}, usage={"promptTokenCount": 5}), "createTime": "2026-03-05T22:50:32.281553Z"}
    events = streamed(first, chunk({"text": "llo"}, finish="STOP", usage=USAGE))
    assert events[0] == Started("r1", created=1772751032)
    assert [type(e) for e in events[1:]] == [
        UsageReported, TextDelta, UsageReported, TextDelta, Finished, Terminal,
    ]  # fmt: skip


@pytest.mark.parametrize("created", ["yesterday", "", "9999999-01-01T00:00:00Z"])
def test_a_time_that_is_none_is_no_time(created: str) -> None:
    assert whole({**chunk({"text": "x"}), "createTime": created}).created == 0


def test_thoughts_are_reasoning_and_signatures_belong_to_google() -> None:
    events = content(chunk({"text": "Add.", "thought": True}), chunk({"text": "4", "thoughtSignature": "sig"}))
    thought = ThinkingDelta("Add.", vendor="google")
    assert events == [thought, TextDelta("4"), ThinkingDelta(signature="sig", vendor="google")]
    answer = whole(chunk({"text": "Add.", "thought": True}, {"text": "4", "thoughtSignature": "sig"}, finish="STOP"))
    assert answer.parts == (Thinking("Add.", vendor="google"), Text("4"), Thinking("", "sig", vendor="google"))


def test_calls_are_whole_in_parallel_and_get_ids_that_stay() -> None:
    rome = {"functionCall": {"name": "weather", "args": {"city": "Rome"}}, "thoughtSignature": "sig"}
    oslo = {"functionCall": {"id": "own", "name": "weather", "args": {}}}
    events = content(chunk(rome, oslo))
    started = events[0]
    assert isinstance(started, ToolCallStarted)
    assert (started.index, started.name, started.signature) == (0, "weather", "sig")
    assert events[1:] == [
        ToolCallDelta(0, '{"city":"Rome"}'),
        ToolCallStarted(1, "own", "weather"),
        ToolCallDelta(1, "{}"),
    ]
    answer = whole(chunk(rome, oslo, finish="STOP"))
    assert answer.parts[0] == ToolCall(started.id, "weather", '{"city":"Rome"}', "sig")
    assert answer.finish_reason == "tool_calls"
    other = whole({**chunk(rome, finish="STOP"), "responseId": "r2"}).parts[0]
    assert isinstance(other, ToolCall)
    assert other.id != started.id
    assert len(started.id) <= 40, "OpenAI takes no longer one"


def piece(path: str, **more: Any) -> Any:
    return {"partialArgs": [{"jsonPath": path, **more}], "willContinue": True}


def test_arguments_that_come_in_pieces_are_put_together() -> None:
    pieces = [
        {"name": "order", "willContinue": True},
        piece("$.items[0].name", stringValue="Ca", willContinue=True),
        piece("$.items[0].name", stringValue="fé"),
        piece("$.items[0].count", numberValue=2),
        piece("$.items[1].name", stringValue="Tea"),
        piece("$['odd key']", boolValue=True),
        piece("$.none", nullValue="NULL_VALUE"),
        piece("$.price", numberValue=2.5),
        {},
    ]
    events = content(*(chunk({"functionCall": p}) for p in pieces), chunk({"functionCall": {"name": "next"}}))
    assert [type(e) for e in events] == [ToolCallStarted, ToolCallDelta] * 2
    assert isinstance(events[1], ToolCallDelta)
    assert json.loads(events[1].arguments) == {
        "items": [{"name": "Café", "count": 2}, {"name": "Tea"}],
        "odd key": True,
        "none": None,
        "price": 2.5,
    }


@pytest.mark.parametrize("path", ["", "items", "$", "$.a[5]", "$.a.b", "$..a", "$[0]", "$.a[0][0]", "$.a b[x]"])
def test_a_piece_without_a_place_is_no_protocol(path: str) -> None:
    call = [{"name": "order", "willContinue": True}, piece("$.a", stringValue="x"), piece(path, stringValue="y")]
    events = streamed(*(chunk({"functionCall": p}) for p in call))
    assert isinstance(events[-1], Failed), events
    assert events[-1].failure.kind is K.BAD_RESPONSE


def test_a_call_that_nobody_ends_is_ended_by_the_finish_reason() -> None:
    events = content(chunk({"functionCall": {"name": "order", "willContinue": True}}))
    assert events[1:] == [ToolCallDelta(0, "{}")]
    assert content(chunk({"functionCall": {}})) == []


def test_pictures_and_sound() -> None:
    png, thought = {"inlineData": {"mimeType": "image/png", "data": "aGk="}}, {"thought": True}
    assert content(chunk(png, {**png, **thought})) == [ImageDelta(Image(data="aGk=", media_type="image/png"))]
    sound = {"inlineData": {"mimeType": "audio/L16;codec=pcm;rate=24000", "data": "aGk="}}
    assert whole(chunk(png, sound, finish="STOP")).parts == (
        Image(data="aGk=", media_type="image/png"),
        Audio(data="aGk=", format="pcm16"),
    )
    assert content(chunk({"inlineData": {"mimeType": "image/png"}})) == []


def test_log_probabilities_are_openais_token_objects() -> None:
    result = {
        "chosenCandidates": [{"token": "é", "logProbability": -0.5}, {"token": "!"}],
        "topCandidates": [{"candidates": [{"token": "é", "logProbability": -0.5}]}],
    }
    (text,) = whole(chunk({"text": "é!"}, finish="STOP", logprobsResult=result)).parts
    assert isinstance(text, Text)
    token = {"token": "é", "logprob": -0.5, "bytes": [195, 169]}
    assert text.logprobs == (
        {**token, "top_logprobs": [token]},
        {"token": "!", "logprob": 0.0, "bytes": [33], "top_logprobs": []},
    )


CHUNKS = [{"web": {"uri": "https://a.test", "title": "A"}}, {"retrievedContext": {"title": "B", "text": "words"}}]


def grounded(*supports: Any, chunks: Any = None) -> Any:
    return {"groundingChunks": CHUNKS if chunks is None else chunks, "groundingSupports": list(supports)}


def cited(metadata: Any, *texts: str) -> list[Citation]:
    first = [chunk({"text": t}) for t in texts]
    events = content(*first, chunk(groundingMetadata=metadata))
    return [e.citation for e in events if isinstance(e, CitationDelta)]


def test_sources_are_counted_in_characters_of_the_whole_text() -> None:
    support = {"segment": {"startIndex": 4, "endIndex": 7, "text": "où"}, "groundingChunkIndices": [0, 1, 9]}
    assert cited(grounded(support), "né ", "où?") == [
        Citation("https://a.test", "A", "", 3, 5),
        Citation("", "B", "words", 3, 5),
    ]


def test_a_source_whose_place_is_wrong_is_found_by_its_text_or_has_none() -> None:
    wrong = {"segment": {"startIndex": 0, "endIndex": 2, "text": "où"}, "groundingChunkIndices": [0]}
    nowhere = {"segment": {"startIndex": 90, "endIndex": 95, "text": "gone"}, "groundingChunkIndices": [1]}
    found = cited(grounded(wrong, nowhere), "né ", "où?")
    assert [(c.start, c.end) for c in found] == [(3, 5), (None, None)]


def test_a_segment_may_count_from_its_part() -> None:
    support = {"segment": {"partIndex": 1, "endIndex": 3, "text": "où"}, "groundingChunkIndices": [0]}
    assert [(c.start, c.end) for c in cited(grounded(support), "né ", "où?")][:1] == [(3, 5)]


def test_a_part_that_there_cannot_be_is_none() -> None:
    support = {"segment": {"partIndex": -1, "endIndex": 3}, "groundingChunkIndices": [0]}
    assert [(c.start, c.end) for c in cited(grounded(support), "né ", "où?")][:1] == [(0, 2)]


def test_sources_that_nothing_is_supported_by_are_told_too_and_repeated_ones_once() -> None:
    assert [c.title for c in cited(grounded(), "x")] == ["A", "B"]
    events = content(chunk({"text": "x"}, groundingMetadata=grounded()), chunk(groundingMetadata=grounded()))
    assert sum(isinstance(e, CitationDelta) for e in events) == 2


@pytest.mark.parametrize("name", ["citationSources", "citations"])
def test_recited_text_names_its_source(name: str) -> None:
    sources = [{"uri": "https://a.test", "startIndex": 2, "endIndex": 3}, {"startIndex": 1, "endIndex": 2}]
    (text,) = whole(chunk({"text": "é!"}, finish="STOP", citationMetadata={name: sources})).parts
    assert isinstance(text, Text)
    assert text.citations == (Citation("https://a.test", "", "", 1, 2),)


def test_a_hostile_number_of_sources_is_cut_off() -> None:
    chunks = [{"web": {"uri": f"https://a.test/{i}"}} for i in range(MAX_CITATIONS + 9)]
    assert len(cited(grounded(chunks=chunks), "x")) == MAX_CITATIONS


def test_searches_are_counted_with_the_tokens() -> None:
    metadata = {"webSearchQueries": ["a", "b"]}
    answer = whole(chunk({"text": "x"}, finish="STOP", usage=USAGE, groundingMetadata=metadata))
    assert answer.usage is not None
    assert (answer.usage.searches, answer.usage.input_tokens) == (2, 5)
    late = streamed(chunk({"text": "x"}, usage=USAGE), chunk(finish="STOP", groundingMetadata=metadata))
    counted = [e.usage for e in late if isinstance(e, UsageReported)]
    assert [(u.searches, u.input_tokens) for u in counted] == [(0, 5), (2, 5)]


def test_usage_without_tokens_changes_nothing() -> None:
    events = streamed(chunk({"text": "x"}, usage=USAGE), chunk(finish="STOP", usage={"trafficType": "ON_DEMAND"}))
    assert sum(isinstance(e, UsageReported) for e in events) == 1


def test_only_the_first_candidate_is_read() -> None:
    body = chunk({"text": "x"}, finish="STOP")
    body["candidates"].append({"content": {"parts": [{"text": "y"}]}, "index": 1})
    assert whole(body).parts == (Text("x"),)


def test_what_google_ran_itself_is_left_out() -> None:
    ran = [{"executableCode": {"code": "1"}, "thoughtSignature": "s"}, {"codeExecutionResult": {"output": "1"}}]
    used = [{"toolCall": {"id": "t"}, "thoughtSignature": "s"}, {"toolResponse": {"id": "t"}}]
    assert content(chunk({"text": "x"}, *ran, *used)) == [TextDelta("x")]


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"promptFeedback": {"blockReason": "SAFETY"}}, K.CONTENT_REFUSED),
        (chunk({"text": "x"}, finish="MALFORMED_FUNCTION_CALL"), K.SERVER_ERROR),
        (chunk(finish="OTHER"), K.SERVER_ERROR),
        (chunk(finish="MISSING_THOUGHT_SIGNATURE"), K.UNSUPPORTED),
        ({"error": {"code": 503, "status": "UNAVAILABLE"}}, K.OVERLOADED),
        ([{"error": {"code": 429, "status": "RESOURCE_EXHAUSTED"}}], K.RATE_LIMITED),
        (chunk(), K.EMPTY_ANSWER),
        (chunk({"text": ""}, finish="STOP", usage={"promptTokenCount": 5}), K.EMPTY_ANSWER),
        ({"candidates": []}, K.EMPTY_ANSWER),
        ({"usageMetadata": USAGE}, K.EMPTY_ANSWER),
        ({"choices": []}, K.BAD_RESPONSE),
        ([], K.BAD_RESPONSE),
        (b"null", K.BAD_RESPONSE),
        (b"[" * 100_000, K.BAD_RESPONSE),
        (b"\xff", K.BAD_RESPONSE),
    ],
    ids=str,
)
def test_what_is_no_answer_has_a_name(body: Any, kind: K) -> None:
    assert refused(body).kind is kind


@pytest.mark.parametrize(("reason", "finish"), [("SAFETY", "content_filter"), ("MAX_TOKENS", "length")])
def test_an_answer_without_a_word_may_have_a_reason(reason: str, finish: str) -> None:
    answer = whole({"candidates": [{"finishReason": reason}]})
    assert (answer.parts, answer.finish_reason) == ((), finish)


def test_a_list_of_chunks_is_one_answer() -> None:
    answer = whole([chunk({"text": "He"}), chunk({"text": "llo"}, finish="STOP", usage=USAGE)])
    assert answer.parts == (Text("Hello"),)


def test_a_stream_is_whole_by_its_finish_reason_and_a_clean_end() -> None:
    assert streamed(chunk({"text": "x"}, finish="STOP"))[-1] == Terminal()
    cut = streamed(chunk({"text": "x"}))[-1]
    assert isinstance(cut, Failed)
    assert cut.failure.kind is K.STREAM_TRUNCATED


def test_half_an_event_behind_the_finish_reason_is_dropped_and_before_it_is_a_cut() -> None:
    finished = frame(json.dumps(chunk({"text": "x"}, finish="STOP")).encode())
    for before, last in ((finished, Terminal), (b"", Failed)):
        decoder = GoogleCodec().decoder()
        decoder.feed(before)
        decoder.feed(b'data: {"usageMeta')
        assert isinstance(decoder.end()[-1], last)


def test_a_failure_inside_a_stream_comes_behind_the_content_before_it_and_is_the_end() -> None:
    broken = chunk({"text": "x"}, finish="MALFORMED_FUNCTION_CALL")
    events = streamed(broken, chunk({"text": "y"}))
    assert [type(e) for e in events] == [Started, TextDelta, Failed]
    decoder = GoogleCodec().decoder()
    decoder.feed(frame(json.dumps(broken).encode()))
    assert decoder.feed(b"data: {}\n\n") == ()
    assert decoder.end() == ()


def test_a_late_finish_reason_is_the_one_that_counts() -> None:
    events = streamed(chunk({"text": "x"}, finish="STOP"), chunk({"text": "y"}, finish="RECITATION"))
    assert [e.reason for e in events if isinstance(e, Finished)] == ["stop", "content_filter"]
