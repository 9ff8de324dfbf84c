"""Errors of real providers are classified, and the caller's SDK raises the class that its users catch."""

from __future__ import annotations

import json
from typing import Any

import anthropic
import openai
import pytest

from services.core.attempts.verdicts import TABLE
from services.core.errors import FailureKind
from services.dataplane.providers.registry import codec_of
from tests.replay.errors import judge
from tests.replay.traffic import FAILING, FAMILIES, PROVIDERS, Exchange, failures, folder

_K = FailureKind
recordings = pytest.mark.skipif(folder() is None, reason="no recordings: set TURNOUT_TRAFFIC")


@recordings
@pytest.mark.parametrize("provider", FAILING)
def test_recorded_errors_raise_what_the_recording_raises(provider: str) -> None:
    judged = [(e, judge(e)) for e in failures(provider) if e.api in FAMILIES]
    assert judged
    for exchange, found in judged:
        assert found.raised is found.expected, (exchange.id, found)
        # Of errors below 500, only those about our key, and a model's own bad tool calls, come out as a server's fault.
        not_theirs = found.failure.kind in {_K.CREDENTIALS_REJECTED, _K.QUOTA_EXHAUSTED, _K.SERVER_ERROR}
        assert not_theirs or exchange.status >= 500 or TABLE[found.failure.kind].status < 500, (exchange.id, found)


@recordings
def test_every_recorded_error_of_a_known_shape_is_judged() -> None:
    having = {p for p in PROVIDERS if any(e.api in FAMILIES for e in failures(p))}
    assert having == set(FAILING)


def _error(api: str, status: int, body: Any, **headers: str) -> Exchange:
    return Exchange("own", "own", api, stream=False, body=json.dumps(body).encode(), status=status, headers=headers)


def _openai(message: str, type_: str = "invalid_request_error", code: str | None = None) -> Any:
    return {"error": {"message": message, "type": type_, "param": None, "code": code}}


def _anthropic(message: str, type_: str = "invalid_request_error") -> Any:
    return {"type": "error", "error": {"type": type_, "message": message}}


CHAT, MESSAGES = "chat.completions", "messages"
OWN = [
    (_error(CHAT, 400, _openai("no")), _K.INVALID_REQUEST, openai.BadRequestError),
    (_error(CHAT, 400, _openai("no", code="context_length_exceeded")), _K.CONTEXT_TOO_LONG, openai.BadRequestError),
    (_error(CHAT, 400, _openai("no", code="content_filter")), _K.CONTENT_REFUSED, openai.BadRequestError),
    (_error(CHAT, 401, _openai("no", code="invalid_api_key")), _K.CREDENTIALS_REJECTED, openai.InternalServerError),
    (_error(CHAT, 403, {"detail": "no"}), _K.CREDENTIALS_REJECTED, openai.InternalServerError),
    (_error(CHAT, 404, _openai("no", code="model_not_found")), _K.MODEL_MISSING, openai.NotFoundError),
    (_error(CHAT, 413, b"".decode()), _K.REQUEST_TOO_LARGE, openai.APIStatusError),
    (_error(CHAT, 422, {"detail": [{"loc": ["body"]}]}), _K.INVALID_REQUEST, openai.UnprocessableEntityError),
    (_error(CHAT, 429, _openai("slow"), **{"retry-after": "2"}), _K.RATE_LIMITED, openai.RateLimitError),
    (_error(CHAT, 429, _openai("no", "insufficient_quota")), _K.QUOTA_EXHAUSTED, openai.InternalServerError),
    (_error(CHAT, 500, _openai("oops", "server_error")), _K.SERVER_ERROR, openai.InternalServerError),
    (_error(CHAT, 503, "<html>busy</html>"), _K.OVERLOADED, openai.InternalServerError),
    (_error(MESSAGES, 400, _anthropic("no")), _K.INVALID_REQUEST, anthropic.BadRequestError),
    (_error(MESSAGES, 401, _anthropic("no", "authentication_error")), _K.CREDENTIALS_REJECTED, anthropic.InternalServerError),
    (_error(MESSAGES, 404, _anthropic("no", "not_found_error")), _K.MODEL_MISSING, anthropic.NotFoundError),
    (_error(MESSAGES, 413, _anthropic("no", "request_too_large")), _K.REQUEST_TOO_LARGE, anthropic.APIStatusError),
    (_error(MESSAGES, 429, _anthropic("slow", "rate_limit_error")), _K.RATE_LIMITED, anthropic.RateLimitError),
    (_error(MESSAGES, 500, _anthropic("oops", "api_error")), _K.SERVER_ERROR, anthropic.InternalServerError),
    (_error(MESSAGES, 529, _anthropic("busy", "overloaded_error")), _K.OVERLOADED, anthropic.InternalServerError),
]  # fmt: skip


@pytest.mark.parametrize(("exchange", "kind", "raised"), OWN, ids=lambda v: getattr(v, "api", None))
def test_errors_of_every_class_raise_what_callers_catch(
    exchange: Exchange, kind: FailureKind, raised: type[Exception]
) -> None:
    found = judge(exchange)
    assert found.failure.kind is kind
    assert found.raised is found.expected
    assert found.raised is not None
    assert issubclass(found.raised, raised)


TOO_LONG = [
    (MESSAGES, _anthropic("prompt is too long: 210000 tokens > 200000 maximum")),
    (CHAT, _openai("This model's maximum context length is 8192 tokens. However, you requested 9000 tokens.")),
    (CHAT, _openai("This endpoint's maximum context length is 200000 tokens. However, you requested about 300000.")),
    (CHAT, _openai("prompt too long; exceeded max context length by 12 tokens (ref: 1)")),
]


@pytest.mark.parametrize(("api", "body"), TOO_LONG)
def test_a_whole_sentence_tells_that_the_context_is_too_long(api: str, body: Any) -> None:
    assert judge(_error(api, 400, body)).failure.kind is _K.CONTEXT_TOO_LONG


@pytest.mark.parametrize(("api", "body"), TOO_LONG)
def test_the_same_words_quoted_from_a_prompt_tell_nothing(api: str, body: Any) -> None:
    quoted = f"the message {body['error']['message']!r} is not allowed"
    told = _anthropic(quoted) if api == MESSAGES else _openai(quoted)
    assert judge(_error(api, 400, told)).failure.kind is _K.INVALID_REQUEST


def test_a_wrong_key_that_is_called_a_bad_argument_is_not_the_callers_fault() -> None:
    body = {"code": "invalid-argument", "error": "Incorrect API key provided. You can obtain an API key elsewhere."}
    found = judge(_error(CHAT, 400, body))
    assert found.failure.kind is _K.CREDENTIALS_REJECTED
    assert found.raised is openai.InternalServerError


def test_words_never_overrule_a_status_or_a_code() -> None:
    told = _openai("prompt too long; exceeded max context length by 12 tokens", "server_error")
    assert codec_of("openai").classify(500, {}, json.dumps(told).encode()).kind is _K.SERVER_ERROR
    refused = _openai("prompt too long; exceeded max context length by 12 tokens", code="content_filter")
    assert codec_of("openai").classify(400, {}, json.dumps(refused).encode()).kind is _K.CONTENT_REFUSED
