"""What follows from every error that providers document or were seen to send: its kind, its verdict, whom it harms.

A row is what is on the wire and what must follow. Kinds come from statuses and code fields; rows whose
provider tells the rest in words only are at the end of the table of statuses, under "by words".
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from services.core.attempts.verdicts import Harm, Verdict, caller_status, disposition
from services.core.errors import Failure
from services.core.errors import FailureKind as K
from services.core.policy.rules import ClockRule
from services.core.policy.snapshot import CompiledProvider, Target
from services.core.routing.plan import Candidate
from services.dataplane.dialects.registry import DIALECTS, TYPED, dialect_of
from services.dataplane.providers import anthropic_errors, google_errors, openai_errors
from services.dataplane.providers.registry import CODECS, codec_for
from services.dataplane.sse import frame
from services.dataplane.translation import Translation
from tests.support.asking import asked_headers, question
from tests.support.upstream import responses_events

SAID = "The upstream reports a problem."


def openai(kind: Any = None, code: Any = None, **more: Any) -> dict[str, Any]:
    return {"error": {"message": SAID, "type": kind, "param": None, "code": code, **more}}


def google(code: int, status: str, **detail: Any) -> list[dict[str, Any]]:
    return [{"error": {"code": code, "message": SAID, "status": status, "details": [detail] if detail else []}}]


def openrouter(code: int, error_type: str = "") -> dict[str, Any]:
    metadata = {"metadata": {"error_type": error_type}} if error_type else {}
    return {"error": {"code": code, "message": SAID, **metadata}}


def anthropic(kind: str, **more: Any) -> dict[str, Any]:
    return {"type": "error", "error": {"type": kind, "message": SAID, **more}}


OPENAI_STATUSES: tuple[tuple[str, int, Any, K], ...] = (
    # OpenAI
    ("openai", 400, openai("invalid_request_error", "invalid_value"), K.INVALID_REQUEST),
    ("openai", 400, openai("invalid_request_error"), K.INVALID_REQUEST),
    ("openai", 400, openai("invalid_request_error", "unsupported_parameter"), K.INVALID_REQUEST),
    ("openai", 400, openai("invalid_request_error", "invalid_image_url"), K.INVALID_REQUEST),
    ("openai", 400, openai("invalid_request_error", "context_length_exceeded"), K.CONTEXT_TOO_LONG),
    ("openai", 400, openai("invalid_request_error", "string_above_max_length"), K.CONTEXT_TOO_LONG),
    ("openai", 400, openai("invalid_request_error", "content_policy_violation"), K.CONTENT_REFUSED),
    ("openai", 400, openai("image_generation_user_error", "moderation_blocked"), K.CONTENT_REFUSED),
    ("openai", 400, openai("invalid_request_error", "bio_policy"), K.CONTENT_REFUSED),
    ("openai", 400, openai("invalid_request_error", "model_not_found"), K.MODEL_MISSING),
    ("openai", 400, openai("invalid_request_error", "billing_hard_limit_reached"), K.QUOTA_EXHAUSTED),
    ("openai", 400, openai("invalid_request_error", "data_residency_mismatch"), K.UNSUPPORTED),
    ("openai", 401, openai("invalid_request_error", "invalid_api_key"), K.CREDENTIALS_REJECTED),
    ("openai", 401, openai("invalid_request_error", "account_deactivated"), K.CREDENTIALS_REJECTED),
    ("openai", 403, openai("invalid_request_error"), K.CREDENTIALS_REJECTED),
    ("openai", 403, openai("request_forbidden", "unsupported_country_region_territory"), K.CREDENTIALS_REJECTED),
    ("openai", 403, openai("invalid_request_error", "model_not_found"), K.MODEL_MISSING),
    ("openai", 404, openai("invalid_request_error", "model_not_found"), K.MODEL_MISSING),
    ("openai", 404, openai("invalid_request_error"), K.MODEL_MISSING),
    ("openai", 409, openai("invalid_request_error", "conflict"), K.SERVER_ERROR),
    ("openai", 413, openai("invalid_request_error"), K.REQUEST_TOO_LARGE),
    ("openai", 422, openai("invalid_request_error"), K.INVALID_REQUEST),
    ("openai", 429, openai("requests", "rate_limit_exceeded"), K.RATE_LIMITED),
    ("openai", 429, openai("tokens", "rate_limit_exceeded"), K.RATE_LIMITED),
    ("openai", 429, openai("insufficient_quota", "insufficient_quota"), K.QUOTA_EXHAUSTED),
    ("openai", 429, openai("billing_not_active", "billing_not_active"), K.QUOTA_EXHAUSTED),
    ("openai", 429, openai("engine_overloaded", "engine_overloaded"), K.OVERLOADED),
    ("openai", 500, openai("server_error"), K.SERVER_ERROR),
    ("openai", 503, openai("service_unavailable_error", "server_is_overloaded"), K.OVERLOADED),
    ("openai", 503, openai("server_error"), K.OVERLOADED),
    # Azure
    ("azure", 400, openai(None, "content_filter", status=400), K.CONTENT_REFUSED),
    ("azure", 400, openai(None, "OperationNotSupported"), K.UNSUPPORTED),
    ("azure", 401, openai(None, "401"), K.CREDENTIALS_REJECTED),
    ("azure", 404, openai("invalid_request_error", "DeploymentNotFound"), K.MODEL_MISSING),
    ("azure", 404, openai(None, "404"), K.MODEL_MISSING),
    ("azure", 408, openai(None, "Timeout"), K.SERVER_ERROR),
    ("azure", 429, openai(None, "RateLimitReached"), K.RATE_LIMITED),
    ("azure", 429, openai(None, "429"), K.RATE_LIMITED),
    # Groq
    ("groq", 400, openai("invalid_request_error", "tool_use_failed", failed_generation="<x"), K.SERVER_ERROR),
    ("groq", 400, openai("invalid_request_error", "json_validate_failed"), K.SERVER_ERROR),
    ("groq", 400, openai("invalid_request_error", "model_decommissioned"), K.MODEL_MISSING),
    ("groq", 400, openai("invalid_request_error", "organization_restricted"), K.CREDENTIALS_REJECTED),
    ("groq", 404, openai("invalid_request_error", "model_not_found"), K.MODEL_MISSING),
    ("groq", 413, openai("tokens", "rate_limit_exceeded"), K.RATE_LIMITED),
    ("groq", 413, openai("invalid_request_error", "request_too_large"), K.REQUEST_TOO_LARGE),
    ("groq", 424, openai("invalid_request_error"), K.INVALID_REQUEST),
    ("groq", 498, openai("capacity_exceeded", "capacity_exceeded"), K.OVERLOADED),
    ("groq", 499, openai("request_cancelled"), K.SERVER_ERROR),
    ("groq", 502, openai("internal_server_error"), K.SERVER_ERROR),
    # Mistral
    ("mistral", 400, {"object": "error", "message": SAID, "type": "invalid_model", "code": "1500"}, K.MODEL_MISSING),
    ("mistral", 401, {"detail": "Unauthorized"}, K.CREDENTIALS_REJECTED),
    ("mistral", 422, {"detail": [{"loc": ["body", "messages"], "msg": SAID, "type": "missing"}]}, K.INVALID_REQUEST),
    ("mistral", 429, {"message": SAID, "type": "rate_limited", "code": "1300"}, K.RATE_LIMITED),
    ("mistral", 503, b"upstream connect error", K.OVERLOADED),
    # DeepSeek
    ("deepseek", 402, openai("unknown_error", "invalid_request_error"), K.QUOTA_EXHAUSTED),
    ("deepseek", 400, openai("invalid_request_error", "insufficient_balance"), K.QUOTA_EXHAUSTED),
    # OpenRouter: its `error_type` is the same over all of its APIs
    ("openrouter", 400, openrouter(400), K.INVALID_REQUEST),
    ("openrouter", 400, openrouter(400, "invalid_request"), K.INVALID_REQUEST),
    ("openrouter", 400, openrouter(400, "context_length_exceeded"), K.CONTEXT_TOO_LONG),
    ("openrouter", 400, openrouter(400, "token_limit_exceeded"), K.CONTEXT_TOO_LONG),
    ("openrouter", 400, openrouter(400, "string_too_long"), K.CONTEXT_TOO_LONG),
    ("openrouter", 400, openrouter(400, "content_policy_violation"), K.CONTENT_REFUSED),
    ("openrouter", 400, openrouter(400, "refusal"), K.CONTENT_REFUSED),
    ("openrouter", 400, openrouter(400, "not_found"), K.MODEL_MISSING),
    ("openrouter", 401, openrouter(401), K.CREDENTIALS_REJECTED),
    ("openrouter", 402, openrouter(402, "payment_required"), K.QUOTA_EXHAUSTED),
    ("openrouter", 403, openrouter(403, "permission_denied"), K.CREDENTIALS_REJECTED),
    ("openrouter", 403, openrouter(403, "content_policy_violation"), K.CONTENT_REFUSED),
    ("openrouter", 404, openrouter(404), K.MODEL_MISSING),
    ("openrouter", 408, openrouter(408, "timeout"), K.SERVER_ERROR),
    ("openrouter", 412, openrouter(412, "precondition_failed"), K.QUOTA_EXHAUSTED),
    ("openrouter", 413, openrouter(413, "payload_too_large"), K.REQUEST_TOO_LARGE),
    ("openrouter", 422, openrouter(422, "unprocessable"), K.INVALID_REQUEST),
    ("openrouter", 429, openrouter(429, "rate_limit_exceeded"), K.RATE_LIMITED),
    ("openrouter", 500, openrouter(500, "server"), K.SERVER_ERROR),
    ("openrouter", 502, openrouter(502, "provider_unavailable"), K.SERVER_ERROR),
    ("openrouter", 502, openrouter(502, "provider_overloaded"), K.OVERLOADED),
    ("openrouter", 503, openrouter(503), K.OVERLOADED),
    ("openrouter", 524, openrouter(524), K.SERVER_ERROR),
    ("openrouter", 529, openrouter(529, "provider_overloaded"), K.OVERLOADED),
    # Together
    ("together", 403, openai("invalid_request_error", "context_length_exceeded"), K.CONTEXT_TOO_LONG),
    ("together", 402, openai("credit_limit"), K.QUOTA_EXHAUSTED),
    ("together", 429, openai("model_rate_limit"), K.RATE_LIMITED),
    ("together", 503, openai("server_error"), K.OVERLOADED),
    ("together", 504, openai("server_error"), K.SERVER_ERROR),
    # Perplexity, Cerebras, Cohere, Hugging Face, Fireworks
    ("perplexity", 401, openai("invalid_api_key", 401), K.CREDENTIALS_REJECTED),
    ("cerebras", 401, {"message": SAID, "type": "invalid_request_error", "code": "wrong_api_key"},
     K.CREDENTIALS_REJECTED),
    ("cerebras", 429, {"message": SAID, "type": "too_many_requests_error", "code": "queue_exceeded"}, K.OVERLOADED),
    ("cohere", 400, {"error_type": "TOO_MANY_TOKENS", "message": SAID}, K.CONTEXT_TOO_LONG),
    ("huggingface", 404, b"Not Found", K.MODEL_MISSING),
    ("huggingface", 410, {"error": SAID}, K.MODEL_MISSING),
    ("fireworks", 412, openai("error"), K.QUOTA_EXHAUSTED),
    # Google, by its OpenAI-style address: a list, and a status in words
    ("google", 400, google(400, "INVALID_ARGUMENT"), K.INVALID_REQUEST),
    ("google", 400, google(400, "INVALID_ARGUMENT", reason="API_KEY_INVALID"), K.CREDENTIALS_REJECTED),
    ("google", 400, google(400, "FAILED_PRECONDITION"), K.CREDENTIALS_REJECTED),
    ("google", 403, google(403, "PERMISSION_DENIED", reason="SERVICE_DISABLED"), K.CREDENTIALS_REJECTED),
    ("google", 404, google(404, "NOT_FOUND"), K.MODEL_MISSING),
    ("google", 429, google(429, "RESOURCE_EXHAUSTED"), K.RATE_LIMITED),
    ("google", 500, google(500, "INTERNAL"), K.SERVER_ERROR),
    ("google", 503, google(503, "UNAVAILABLE"), K.OVERLOADED),
    ("google", 504, google(504, "DEADLINE_EXCEEDED"), K.SERVER_ERROR),
    # Servers of one's own: llama.cpp, vLLM
    ("llama.cpp", 400, openai("exceed_context_size_error", 400, n_ctx=4096), K.CONTEXT_TOO_LONG),
    ("llama.cpp", 501, openai("not_supported_error", 501), K.UNSUPPORTED),
    ("llama.cpp", 503, openai("unavailable_error", 503), K.OVERLOADED),
    ("vllm", 400, {"object": "error", "message": SAID, "type": "BadRequestError", "code": 400}, K.INVALID_REQUEST),
    ("vllm", 404, {"object": "error", "message": SAID, "type": "NotFoundError", "code": 404}, K.MODEL_MISSING),
    # Anybody
    ("proxy", 101, b"", K.SERVER_ERROR),
    ("proxy", 302, b"", K.BAD_RESPONSE),
    ("proxy", 304, b"", K.BAD_RESPONSE),
    ("proxy", 405, {"detail": "Method Not Allowed"}, K.INVALID_REQUEST),
    ("proxy", 425, b"", K.SERVER_ERROR),
    ("proxy", 451, b"", K.CONTENT_REFUSED),
    ("proxy", 502, b"<html></html>", K.SERVER_ERROR),
    ("proxy", 520, b"<html></html>", K.SERVER_ERROR),
    ("proxy", 599, b"", K.SERVER_ERROR),
    ("proxy", 500, b"[" * 100_000, K.SERVER_ERROR),
    ("proxy", 500, b"\xff\xfe", K.SERVER_ERROR),
    ("proxy", 400, openai("invalid_request_error", "context_length_exceeded" * 20), K.INVALID_REQUEST),
)  # fmt: skip

ANTHROPIC_STATUSES: tuple[tuple[str, int, Any, K], ...] = (
    ("anthropic", 400, anthropic("invalid_request_error"), K.INVALID_REQUEST),
    ("anthropic", 400, anthropic("invalid_request_error", details={"error_code": "context_window_exceeded"}),
     K.CONTEXT_TOO_LONG),
    ("anthropic", 400, anthropic("billing_error"), K.QUOTA_EXHAUSTED),
    ("anthropic", 401, anthropic("authentication_error"), K.CREDENTIALS_REJECTED),
    ("anthropic", 402, anthropic("billing_error"), K.QUOTA_EXHAUSTED),
    ("anthropic", 403, anthropic("permission_error"), K.CREDENTIALS_REJECTED),
    ("anthropic", 403, anthropic("billing_error"), K.QUOTA_EXHAUSTED),
    ("anthropic", 404, anthropic("not_found_error"), K.MODEL_MISSING),
    ("anthropic", 408, anthropic("timeout_error"), K.SERVER_ERROR),
    ("anthropic", 409, anthropic("invalid_request_error"), K.SERVER_ERROR),
    ("anthropic", 413, anthropic("request_too_large"), K.REQUEST_TOO_LARGE),
    ("anthropic", 429, anthropic("rate_limit_error"), K.RATE_LIMITED),
    ("anthropic", 500, anthropic("api_error"), K.SERVER_ERROR),
    ("anthropic", 500, anthropic("overloaded_error"), K.OVERLOADED),
    ("anthropic", 504, anthropic("timeout_error"), K.SERVER_ERROR),
    ("anthropic", 529, anthropic("overloaded_error"), K.OVERLOADED),
    ("openrouter", 400, anthropic("invalid_request_error", error_type="context_length_exceeded"), K.CONTEXT_TOO_LONG),
    ("openrouter", 403, anthropic("permission_error", error_type="content_policy_violation"), K.CONTENT_REFUSED),
    ("llama.cpp", 400, anthropic("exceed_context_size_error"), K.CONTEXT_TOO_LONG),
    ("proxy", 101, b"", K.SERVER_ERROR),
    ("proxy", 302, b"", K.BAD_RESPONSE),
    ("proxy", 405, b"", K.INVALID_REQUEST),
    ("proxy", 412, b"", K.QUOTA_EXHAUSTED),
    ("proxy", 425, b"", K.SERVER_ERROR),
    ("proxy", 451, b"", K.CONTENT_REFUSED),
    ("proxy", 502, b"<html></html>", K.SERVER_ERROR),
    ("proxy", 503, b"", K.OVERLOADED),
)  # fmt: skip

GOOGLE_STATUSES: tuple[tuple[str, int, Any, K], ...] = (
    ("studio", 400, google(400, "INVALID_ARGUMENT"), K.INVALID_REQUEST),
    ("studio", 400, google(400, "INVALID_ARGUMENT")[0], K.INVALID_REQUEST),
    ("studio", 400, google(400, "INVALID_ARGUMENT", reason="API_KEY_INVALID"), K.CREDENTIALS_REJECTED),
    ("studio", 400, google(400, "FAILED_PRECONDITION"), K.CREDENTIALS_REJECTED),
    ("studio", 403, google(403, "PERMISSION_DENIED"), K.CREDENTIALS_REJECTED),
    ("studio", 404, google(404, "NOT_FOUND"), K.MODEL_MISSING),
    ("studio", 413, b"<html>Request Entity Too Large</html>", K.REQUEST_TOO_LARGE),
    ("studio", 429, google(429, "RESOURCE_EXHAUSTED"), K.RATE_LIMITED),
    ("studio", 429, google(429, "RESOURCE_EXHAUSTED", retryDelay="34.4s"), K.RATE_LIMITED),
    ("studio", 500, google(500, "INTERNAL"), K.SERVER_ERROR),
    ("studio", 503, google(503, "UNAVAILABLE"), K.OVERLOADED),
    ("studio", 504, google(504, "DEADLINE_EXCEEDED"), K.SERVER_ERROR),
    ("vertex", 401, google(401, "UNAUTHENTICATED", reason="CREDENTIALS_MISSING"), K.CREDENTIALS_REJECTED),
    ("vertex", 403, google(403, "PERMISSION_DENIED", reason="IAM_PERMISSION_DENIED"), K.CREDENTIALS_REJECTED),
    ("vertex", 403, google(403, "PERMISSION_DENIED", reason="SERVICE_DISABLED"), K.CREDENTIALS_REJECTED),
    ("vertex", 404, google(404, "NOT_FOUND"), K.MODEL_MISSING),
    ("vertex", 409, google(409, "ABORTED"), K.SERVER_ERROR),
    ("vertex", 429, google(429, "RESOURCE_EXHAUSTED", reason="RATE_LIMIT_EXCEEDED"), K.RATE_LIMITED),
    ("vertex", 499, google(499, "CANCELLED"), K.SERVER_ERROR),
    ("vertex", 501, google(501, "UNIMPLEMENTED"), K.SERVER_ERROR),
    ("proxy", 302, b"", K.BAD_RESPONSE),
    ("proxy", 502, b"<html></html>", K.SERVER_ERROR),
)  # fmt: skip

FOLLOWS: dict[K, tuple[Verdict, Harm, int]] = {
    K.INVALID_REQUEST: (Verdict.STOP, Harm.NOTHING, 400),
    K.REQUEST_TOO_LARGE: (Verdict.STOP, Harm.NOTHING, 413),
    K.CONTENT_REFUSED: (Verdict.STOP, Harm.NOTHING, 400),
    K.CONTEXT_TOO_LONG: (Verdict.LARGER, Harm.NOTHING, 400),
    K.MODEL_MISSING: (Verdict.NEXT, Harm.NOTHING, 404),
    K.UNSUPPORTED: (Verdict.NEXT, Harm.NOTHING, 400),
    K.CREDENTIALS_REJECTED: (Verdict.NEXT, Harm.CREDENTIAL, 502),
    K.QUOTA_EXHAUSTED: (Verdict.NEXT, Harm.CREDENTIAL, 502),
    K.RATE_LIMITED: (Verdict.WAIT_OR_NEXT, Harm.PUSHBACK, 429),
    K.OVERLOADED: (Verdict.WAIT_OR_NEXT, Harm.TARGET, 503),
    K.SERVER_ERROR: (Verdict.NEXT_OR_RETRY, Harm.TARGET, 502),
    K.BAD_RESPONSE: (Verdict.NEXT, Harm.TARGET, 502),
    K.STREAM_ERROR: (Verdict.NEXT, Harm.TARGET, 502),
    K.EMPTY_ANSWER: (Verdict.NEXT, Harm.TARGET, 502),
    K.STREAM_TRUNCATED: (Verdict.NEXT, Harm.TARGET, 502),
}
"""What must follow from each kind that a provider can cause in words; written out once more, against slips."""


def assert_follows(failure: Failure, kind: K) -> None:
    assert failure.kind is kind
    row = disposition(failure)
    verdict, harm, status = FOLLOWS[kind]
    assert (row.verdict, row.harm) == (verdict, harm)
    if kind is K.INVALID_REQUEST and failure.status in {405, 422}:
        status = failure.status  # the caller's own mistake keeps its name
    assert caller_status(failure) == status


CLASSIFIERS = (openai_errors.classify, anthropic_errors.classify, google_errors.classify)
WIRE_NAMES = ("openai", "anthropic", "google")


def raw(body: Any) -> bytes:
    return body if isinstance(body, bytes) else json.dumps(body).encode()


def row_id(value: Any) -> str:
    return str(value)[:70] if isinstance(value, (str, int)) else ""


@pytest.mark.parametrize(("provider", "status", "body", "kind"), OPENAI_STATUSES, ids=row_id)
def test_openai_style_statuses_mean_what_their_codes_say(provider: str, status: int, body: Any, kind: K) -> None:
    assert_follows(openai_errors.classify(status, {}, raw(body)), kind)


@pytest.mark.parametrize(("provider", "status", "body", "kind"), ANTHROPIC_STATUSES, ids=row_id)
def test_anthropic_style_statuses_mean_what_their_codes_say(provider: str, status: int, body: Any, kind: K) -> None:
    assert_follows(anthropic_errors.classify(status, {}, raw(body)), kind)


@pytest.mark.parametrize(("provider", "status", "body", "kind"), GOOGLE_STATUSES, ids=row_id)
def test_googles_statuses_mean_what_their_codes_say(provider: str, status: int, body: Any, kind: K) -> None:
    assert_follows(google_errors.classify(status, {}, raw(body)), kind)


@pytest.mark.parametrize("classify", CLASSIFIERS, ids=WIRE_NAMES)
def test_no_upstream_401_402_or_403_is_ever_the_callers(classify: Any) -> None:
    for status in (401, 402, 403):
        for code in (*openai_errors.BY_CODE, *anthropic_errors.BY_TYPE):
            body = {"type": "error", **openai(code, code)}
            assert caller_status(classify(status, {}, raw(body))) not in {401, 402, 403}


@pytest.mark.parametrize("classify", CLASSIFIERS, ids=WIRE_NAMES)
def test_every_status_has_a_kind_and_only_the_callers_mistakes_stop(classify: Any) -> None:
    stopping = {s for s in range(300, 600) if disposition(classify(s, {}, b"")).verdict is Verdict.STOP}
    assert {400, 405, 413, 422, 451} <= stopping
    assert all(400 <= status < 500 for status in stopping)
    assert not stopping & {401, 402, 403, 404, 408, 409, 410, 412, 425, 429, 498, 499}


# Errors inside a success: as a body, as the first event, behind lifecycle frames.

IN_200: dict[str, tuple[tuple[Any, K], ...]] = {
    "chat.completions": (
        (openai("server_error"), K.SERVER_ERROR),
        (openai("service_unavailable_error", "server_is_overloaded"), K.OVERLOADED),
        (openai("overloaded_error"), K.OVERLOADED),
        (openai(None, "rate_limit_exceeded"), K.RATE_LIMITED),
        (openai(None, "content_filter", status=400), K.CONTENT_REFUSED),
        (openai("invalid_request_error"), K.INVALID_REQUEST),
        (openai("invalid_request_error", "context_length_exceeded"), K.CONTEXT_TOO_LONG),
        (openai("invalid_request_error", "tool_use_failed", status_code=400), K.SERVER_ERROR),
        (openai("insufficient_quota", "insufficient_quota"), K.QUOTA_EXHAUSTED),
        (openai("authentication_error"), K.CREDENTIALS_REJECTED),
        (openai("not_found_error"), K.MODEL_MISSING),
        (openrouter(502, "provider_unavailable"), K.SERVER_ERROR),
        (openrouter(429), K.RATE_LIMITED),
        (openrouter(400, "context_length_exceeded"), K.CONTEXT_TOO_LONG),
        (openrouter(403, "content_policy_violation"), K.CONTENT_REFUSED),
        (openrouter(529), K.OVERLOADED),
        ({"error": {"code": 503, "message": SAID, "status": "UNAVAILABLE"}}, K.OVERLOADED),
        ({"error": {"message": SAID}}, K.STREAM_ERROR),
        ({"error": SAID}, K.STREAM_ERROR),
    ),
    "messages": (
        (anthropic("overloaded_error"), K.OVERLOADED),
        (anthropic("api_error"), K.SERVER_ERROR),
        (anthropic("timeout_error"), K.SERVER_ERROR),
        (anthropic("rate_limit_error"), K.RATE_LIMITED),
        (anthropic("invalid_request_error"), K.INVALID_REQUEST),
        (anthropic("invalid_request_error", error_type="context_length_exceeded"), K.CONTEXT_TOO_LONG),
        (anthropic("invalid_request_error", details={"error_code": "prompt_too_long"}), K.CONTEXT_TOO_LONG),
        (anthropic("authentication_error"), K.CREDENTIALS_REJECTED),
        (anthropic("permission_error"), K.CREDENTIALS_REJECTED),
        (anthropic("billing_error"), K.QUOTA_EXHAUSTED),
        (anthropic("not_found_error"), K.MODEL_MISSING),
        (anthropic("a_new_error"), K.STREAM_ERROR),
        ({"type": "error", "error": {}}, K.STREAM_ERROR),
    ),
    "generateContent": (
        (google(503, "UNAVAILABLE")[0], K.OVERLOADED),
        (google(500, "INTERNAL")[0], K.SERVER_ERROR),
        (google(504, "DEADLINE_EXCEEDED")[0], K.SERVER_ERROR),
        (google(429, "RESOURCE_EXHAUSTED")[0], K.RATE_LIMITED),
        (google(400, "INVALID_ARGUMENT")[0], K.INVALID_REQUEST),
        (google(400, "FAILED_PRECONDITION")[0], K.CREDENTIALS_REJECTED),
        (google(403, "PERMISSION_DENIED")[0], K.CREDENTIALS_REJECTED),
        (google(404, "NOT_FOUND")[0], K.MODEL_MISSING),
        ({"error": {"message": SAID}}, K.STREAM_ERROR),
    ),
}
IN_200["responses"] = (
    *IN_200["chat.completions"],
    ({"status": "failed", "error": {"code": "server_error", "message": SAID}}, K.SERVER_ERROR),
    ({"status": "failed", "error": {"code": "rate_limit_exceeded", "message": SAID}}, K.RATE_LIMITED),
    ({"status": "failed", "error": {"code": "invalid_image_url", "message": SAID}}, K.INVALID_REQUEST),
    ({"status": "failed", "error": {"code": "bio_policy", "message": SAID}}, K.CONTENT_REFUSED),
    ({"status": "failed", "error": {"code": "insufficient_quota", "message": SAID}}, K.QUOTA_EXHAUSTED),
)
STARTS = {
    "responses": responses_events("x")[0],
    "chat.completions": b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":'
    b'[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}\n\n',
    "messages": b'event: message_start\ndata: {"type":"message_start","message":{"id":"m","type":"message",'
    b'"role":"assistant","model":"m","content":[],"usage":{"input_tokens":1,"output_tokens":1}}}\n\n',
    "generateContent": b'data: {"candidates":[{"content":{"parts":[{"text":""}]}}],"responseId":"r"}\n\n',
}


def translation(api: str, wire: str, *, stream: bool) -> Translation:
    """A translation from a caller of `api` to a provider that speaks `wire`."""
    codec = next(codec for codec in CODECS if codec.api == wire)
    target = Target("p/m", CompiledProvider("p", codec.protocols[0], "http://127.0.0.1:1"), "m", api=wire)
    assert codec_for(target, codec.api) is codec
    if api == TYPED.api:
        from turnout.inference.v1 import chat_pb2

        message = chat_pb2.Message(role="user", parts=[chat_pb2.Part(text="x")])
        body = chat_pb2.ChatRequest(model="p/m", messages=[message]).SerializeToString()
        inbound = TYPED.read(body, {"x-turnout-stream": "true" if stream else "false"})
    else:
        inbound = dialect_of(api).read(
            json.dumps(question(api, stream=stream)).encode(), asked_headers(api, stream=stream)
        )
    return inbound.translate(Candidate(target, ClockRule()))


def inner_rows() -> Iterator[Any]:
    for wire, rows in IN_200.items():
        for body, kind in rows:
            error = body["error"]
            words = [str(error.get(n)) for n in ("code", "type", "error_type")] if isinstance(error, dict) else [error]
            yield pytest.param(wire, body, kind, id=f"{wire}-{'-'.join(words)[:60]}")


@pytest.mark.parametrize("api", [dialect.api for dialect in DIALECTS])
@pytest.mark.parametrize(("wire", "body", "kind"), list(inner_rows()))
def test_an_error_inside_a_success_is_told_apart_wherever_it_comes(wire: str, body: Any, kind: K, api: str) -> None:
    whole = translation(api, wire, stream=False).answer(raw(body))
    assert whole is not None
    assert_follows(whole, kind)
    event = frame(raw(body), "error" if wire == "messages" else "")
    for before in (b"", b": wait\n\n", STARTS[wire]):
        progress = translation(api, wire, stream=True).feed(before + event)
        assert progress.failure is not None
        assert not progress.done
        assert_follows(progress.failure, kind)
