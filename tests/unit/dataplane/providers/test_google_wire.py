"""What Gemini's answers mean: reasons as words and as numbers, blocks, tokens of every class, errors."""

from __future__ import annotations

import json
from typing import Any

import pytest

from services.core.attempts.verdicts import Verdict, disposition
from services.core.errors import FailureKind as K
from services.dataplane.providers import google_errors
from services.dataplane.providers.google_wire import (
    FAILED_REASONS,
    FINISH_REASONS,
    WireFeedback,
    block_of,
    decode_answer,
    decode_answers,
    finish_of,
    finish_word,
    to_usage,
)
from services.dataplane.translation import TokenUsage


@pytest.mark.parametrize(
    ("reason", "called", "finish"),
    [
        ("STOP", False, "stop"),
        ("STOP", True, "tool_calls"),
        ("MAX_TOKENS", True, "length"),
        ("SAFETY", True, "content_filter"),
        ("RECITATION", False, "content_filter"),
        ("MODEL_ARMOR", False, "content_filter"),
        ("A_REASON_OF_NEXT_YEAR", False, "stop"),
        (1, False, "stop"),
        (2, False, "length"),
        (3, False, "content_filter"),
        (8, False, "content_filter"),
        (6, False, "stop"),
    ],
)
def test_a_finish_reason_becomes_a_word_of_the_exchange_model(reason: Any, called: bool, finish: str) -> None:
    assert finish_of(finish_word(reason), called=called) == finish


@pytest.mark.parametrize("reason", [None, 0, "", "FINISH_REASON_UNSPECIFIED"])
def test_no_reason_is_no_word(reason: Any) -> None:
    assert finish_word(reason) == ""


def test_a_model_that_failed_has_no_finish() -> None:
    assert not FAILED_REASONS & FINISH_REASONS.keys()
    assert finish_word(5) in FAILED_REASONS


@pytest.mark.parametrize(
    ("feedback", "why"),
    [
        (None, ""),
        (WireFeedback(), ""),
        (WireFeedback("SAFETY"), "SAFETY"),
        (WireFeedback("BLOCKED_REASON_UNSPECIFIED"), ""),
        (WireFeedback(4), "4"),
        (WireFeedback(0), ""),
        (WireFeedback(None, "Message"), "BLOCKED"),
    ],
)
def test_a_prompt_is_blocked_by_a_reason_or_a_message_and_not_by_ratings(
    feedback: WireFeedback | None, why: str
) -> None:
    assert block_of(feedback) == why
    failure = google_errors.blocked(feedback)
    assert (failure.code if failure is not None else "") == why
    assert failure is None or failure.kind is K.CONTENT_REFUSED


def _usage(**fields: Any) -> TokenUsage:
    answer = decode_answer(json.dumps({"usageMetadata": fields}).encode())
    assert answer.usage_metadata is not None
    return to_usage(answer.usage_metadata)


def test_thoughts_are_output_and_what_tools_brought_is_input() -> None:
    found = _usage(promptTokenCount=10, toolUsePromptTokenCount=5, candidatesTokenCount=7, thoughtsTokenCount=20)
    assert (found.input_tokens, found.output_tokens, found.reasoning_tokens) == (15, 27, 20)


def test_cached_input_is_part_of_the_input() -> None:
    assert _usage(promptTokenCount=10, cachedContentTokenCount=8).cache_read_tokens == 8
    assert _usage(promptTokenCount=10, cachedContentTokenCount=80).cache_read_tokens == 10


@pytest.mark.parametrize("audio", ["AUDIO", 4])
def test_audio_is_counted_by_its_modality(audio: Any) -> None:
    details = [{"modality": audio, "tokenCount": 3}, {"modality": "TEXT", "tokenCount": 9}, {"modality": audio}]
    found = _usage(promptTokenCount=12, candidatesTokenCount=12, promptTokensDetails=details)
    assert (found.input_audio_tokens, found.output_audio_tokens) == (3, 0)
    assert _usage(candidatesTokenCount=12, candidatesTokensDetails=details).output_audio_tokens == 3


def test_a_stream_without_sse_is_a_list_of_answers() -> None:
    assert [a.response_id for a in decode_answers(b'[{"responseId": "a"}, {"responseId": "b"}]')] == ["a", "b"]


def _error(code: int, status: str, message: str = "words", *details: Any) -> bytes:
    return json.dumps({"error": {"code": code, "message": message, "status": status, "details": details}}).encode()


@pytest.mark.parametrize(
    ("code", "status", "reason", "kind"),
    [
        (400, "INVALID_ARGUMENT", "", K.INVALID_REQUEST),
        (400, "INVALID_ARGUMENT", "API_KEY_INVALID", K.CREDENTIALS_REJECTED),
        (400, "FAILED_PRECONDITION", "", K.CREDENTIALS_REJECTED),
        (401, "UNAUTHENTICATED", "CREDENTIALS_MISSING", K.CREDENTIALS_REJECTED),
        (403, "PERMISSION_DENIED", "IAM_PERMISSION_DENIED", K.CREDENTIALS_REJECTED),
        (404, "NOT_FOUND", "", K.MODEL_MISSING),
        (429, "RESOURCE_EXHAUSTED", "RATE_LIMIT_EXCEEDED", K.RATE_LIMITED),
        (499, "CANCELLED", "", K.SERVER_ERROR),
        (500, "INTERNAL", "", K.SERVER_ERROR),
        (503, "UNAVAILABLE", "", K.OVERLOADED),
        (504, "DEADLINE_EXCEEDED", "", K.SERVER_ERROR),
    ],
)
def test_statuses_and_reasons_tell_the_kind(code: int, status: str, reason: str, kind: K) -> None:
    body = _error(code, status, "words", *([{"reason": reason}] if reason else []))
    for form in (body, b"[" + body + b"]"):
        failure = google_errors.classify(code, {}, form)
        assert failure.kind is kind
        assert failure.code == (reason or status)


def test_retry_info_says_how_long_to_wait() -> None:
    info = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.4s"}
    assert google_errors.classify(429, {}, _error(429, "RESOURCE_EXHAUSTED", "words", info)).retry_after == 34.4


@pytest.mark.parametrize(
    "told",
    [
        "The input token count (1200293) exceeds the maximum number of tokens allowed (1048576).",
        "The input token count exceeds the maximum number of tokens allowed (1048576).",
        "The input token count exceeds the maximum number of tokens allowed 1048576.",
    ],
)
def test_a_prompt_that_is_too_long_is_told_by_its_sentence(told: str) -> None:
    assert google_errors.classify(400, {}, _error(400, "INVALID_ARGUMENT", told)).kind is K.CONTEXT_TOO_LONG
    quoted = _error(400, "INVALID_ARGUMENT", f"The prompt {told!r} is not allowed.")
    assert google_errors.classify(400, {}, quoted).kind is K.INVALID_REQUEST


def test_an_error_inside_a_stream_is_judged_by_its_code() -> None:
    assert google_errors.in_stream({"code": 503, "message": "busy", "status": "UNAVAILABLE"}).kind is K.OVERLOADED
    assert google_errors.in_stream({"code": 400, "status": "INVALID_ARGUMENT"}).kind is K.INVALID_REQUEST


@pytest.mark.parametrize("word", sorted(FAILED_REASONS))
def test_a_model_that_failed_is_not_the_callers_fault(word: str) -> None:
    failure = google_errors.failed(word)
    assert failure.code == word
    assert disposition(failure).verdict in {Verdict.NEXT, Verdict.NEXT_OR_RETRY}
