"""Errors of providers: by status and code, row by row; a code may sharpen a status, never overturn it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core.errors import FailureKind
from services.core.policy.provider_types import PROVIDER_TYPES
from services.dataplane.operations.registry import BY_PROTOCOL
from services.dataplane.providers import anthropic_errors, openai_errors
from services.dataplane.providers.registry import CODECS, codec_of

K = FailureKind


def openai(status: int, error: Any = None, **headers: str) -> Any:
    body = b"" if error is None else json.dumps({"error": error}).encode()
    return openai_errors.classify(status, headers, body)


def anthropic(status: int, kind: str = "", **details: Any) -> Any:
    error = {"type": kind, "message": "words", **({"details": details} if details else {})}
    return anthropic_errors.classify(status, {}, json.dumps({"type": "error", "error": error}).encode())


@pytest.mark.parametrize(("status", "kind"), openai_errors.BY_STATUS.items())
def test_every_status_of_openais_table_stands_without_a_body(status: int, kind: FailureKind) -> None:
    assert openai(status).kind is kind


@pytest.mark.parametrize(("status", "kind"), anthropic_errors.BY_STATUS.items())
def test_every_status_of_anthropics_table_stands_without_a_body(status: int, kind: FailureKind) -> None:
    assert anthropic_errors.classify(status, {}, b"").kind is kind


@pytest.mark.parametrize(
    ("status", "kind"), [(500, K.SERVER_ERROR), (502, K.SERVER_ERROR), (599, K.SERVER_ERROR), (418, K.INVALID_REQUEST)]
)
def test_a_status_that_no_table_has_goes_by_its_class(status: int, kind: FailureKind) -> None:
    assert openai(status).kind is kind
    assert anthropic_errors.classify(status, {}, b"").kind is kind


@pytest.mark.parametrize("status", [301, 302, 307, 308, 399])
def test_a_redirect_is_a_bad_response(status: int) -> None:
    assert openai(status).kind is K.BAD_RESPONSE
    assert anthropic_errors.classify(status, {}, b"").kind is K.BAD_RESPONSE


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (400, {"code": "context_length_exceeded"}, K.CONTEXT_TOO_LONG),
        (400, {"type": "exceed_context_size_error"}, K.CONTEXT_TOO_LONG),
        (400, {"code": "content_filter"}, K.CONTENT_REFUSED),
        (400, {"code": "model_not_found"}, K.MODEL_MISSING),
        (400, {"code": "billing_hard_limit_reached"}, K.QUOTA_EXHAUSTED),
        (400, {"code": "invalid_api_key"}, K.CREDENTIALS_REJECTED),
        (429, {"code": "insufficient_quota"}, K.QUOTA_EXHAUSTED),
        (429, {"type": "engine_overloaded"}, K.OVERLOADED),
        (429, {"code": "context_length_exceeded"}, K.RATE_LIMITED),
        (403, {"code": "content_policy_violation"}, K.CONTENT_REFUSED),
        (401, {"code": "rate_limit_exceeded"}, K.CREDENTIALS_REJECTED),
        (413, {"code": "context_length_exceeded"}, K.CONTEXT_TOO_LONG),
        (413, {"code": "rate_limit_exceeded"}, K.RATE_LIMITED),
        (500, {"code": "server_is_overloaded"}, K.OVERLOADED),
        (500, {"code": "invalid_request_error"}, K.SERVER_ERROR),
        (503, {"code": "rate_limit_exceeded"}, K.RATE_LIMITED),
        (400, {"code": None, "type": "unheard_of"}, K.INVALID_REQUEST),
        (400, "plain words", K.INVALID_REQUEST),
        (400, {"code": 17}, K.INVALID_REQUEST),
    ],
)
def test_a_code_sharpens_a_status(status: int, error: Any, kind: FailureKind) -> None:
    assert openai(status, error).kind is kind


@pytest.mark.parametrize(
    ("status", "kind_word", "details", "kind"),
    [
        (400, "invalid_request_error", {}, K.INVALID_REQUEST),
        (400, "invalid_request_error", {"error_code": "context_window_exceeded"}, K.CONTEXT_TOO_LONG),
        (400, "exceed_context_size_error", {}, K.CONTEXT_TOO_LONG),
        (400, "billing_error", {}, K.QUOTA_EXHAUSTED),
        (400, "unheard_of", {}, K.INVALID_REQUEST),
        (500, "overloaded_error", {}, K.OVERLOADED),
        (500, "api_error", {}, K.SERVER_ERROR),
        (429, "overloaded_error", {}, K.RATE_LIMITED),
    ],
)
def test_a_type_of_anthropics_sharpens_a_status(
    status: int, kind_word: str, details: dict[str, Any], kind: FailureKind
) -> None:
    assert anthropic(status, kind_word, **details).kind is kind


def test_a_failure_keeps_the_wait_the_code_and_the_body_but_no_words() -> None:
    failure = openai_errors.classify(
        429, {"retry-after": "7"}, b'{"error":{"message":"secret words","code":"rate_limit_exceeded"}}'
    )
    assert (failure.status, failure.retry_after, failure.code) == (429, 7.0, "rate_limit_exceeded")
    assert failure.message == "the provider answered 429 (rate_limit_exceeded)"
    assert b"secret words" in failure.body


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"code": "rate_limit_exceeded"}, K.RATE_LIMITED),
        ({"code": 429}, K.RATE_LIMITED),
        ({"code": 502}, K.SERVER_ERROR),
        ({"code": 200}, K.STREAM_ERROR),
        ({"type": "overloaded_error"}, K.OVERLOADED),
        ({"message": "words"}, K.STREAM_ERROR),
        ("words", K.STREAM_ERROR),
        (None, K.STREAM_ERROR),
    ],
)
def test_an_error_inside_a_success_goes_by_its_code(error: Any, kind: FailureKind) -> None:
    assert openai_errors.in_stream(error).kind is kind


@pytest.mark.parametrize(
    ("error", "kind"),
    [({"type": t}, k) for t, k in anthropic_errors.BY_TYPE.items()]
    + [({"type": "new"}, K.STREAM_ERROR), (5, K.STREAM_ERROR)],
)
def test_an_error_event_goes_by_its_type(error: Any, kind: FailureKind) -> None:
    assert anthropic_errors.in_stream(error).kind is kind


@given(st.integers(300, 599), st.binary(max_size=200))
def test_no_body_whatever_breaks_the_classification(status: int, body: bytes) -> None:
    for codec in CODECS:
        failure = codec.classify(status, {}, body)
        assert isinstance(failure.kind, FailureKind)
        assert failure.message


@pytest.mark.parametrize(
    "body", [b"[1]", b'[{"error":{"code":"insufficient_quota"}}]', b"null", b'"x"', b'{"error":null}']
)
def test_errors_in_odd_wrappings_are_read_or_let_be(body: bytes) -> None:
    failure = openai_errors.classify(429, {}, body)
    assert failure.kind is (K.QUOTA_EXHAUSTED if b"quota" in body else K.RATE_LIMITED)


def test_every_protocol_has_one_codec_for_an_api_and_every_provider_type_has_a_protocol() -> None:
    spoken = [(protocol, codec.api) for codec in CODECS for protocol in codec.protocols]
    assert sorted(spoken) == sorted(set(spoken))
    assert {codec_of(protocol, api) for protocol, api in spoken} == set(CODECS)
    served = {protocol for protocol, _ in (*spoken, *BY_PROTOCOL)}
    named = {protocol for kind in PROVIDER_TYPES.values() for protocol in (kind.protocol, *kind.families.values())}
    assert named == served
