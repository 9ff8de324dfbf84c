"""The kinds of all recorded errors, by provider, status and code: none is new, none is gone, none means another thing."""

from __future__ import annotations

import pytest

from services.core.errors import FailureKind as K
from services.dataplane.providers.registry import codec_for
from tests.replay.run import target_of
from tests.replay.traffic import PROVIDERS, exchanges, folder

RECORDED: dict[tuple[str, int, str], set[K]] = {
    ("anthropic", 401, "authentication_error"): {K.CREDENTIALS_REJECTED},
    ("anthropic", 404, "not_found_error"): {K.MODEL_MISSING},
    ("azure", 401, "401"): {K.CREDENTIALS_REJECTED},
    ("azure", 404, "404"): {K.MODEL_MISSING},
    ("azure", 404, "DeploymentNotFound"): {K.MODEL_MISSING},
    ("azure", 429, "RateLimitReached"): {K.RATE_LIMITED},
    ("cohere", 400, "TOO_MANY_TOKENS"): {K.CONTEXT_TOO_LONG},
    # By words: their codes say no more than that something is wrong.
    ("anthropic", 400, "invalid_request_error"): {K.INVALID_REQUEST, K.CONTEXT_TOO_LONG},
    ("deepseek", 400, "invalid_request_error"): {K.INVALID_REQUEST, K.CONTEXT_TOO_LONG},
    ("ollama", 400, "invalid_request_error"): {K.INVALID_REQUEST, K.CONTEXT_TOO_LONG},
    ("openrouter", 400, ""): {K.INVALID_REQUEST, K.CONTEXT_TOO_LONG},
    ("bedrock", 400, "ValidationException"): {K.MODEL_MISSING, K.CONTEXT_TOO_LONG},
    ("bedrock", 400, ""): {K.INVALID_REQUEST, K.MODEL_MISSING, K.UNSUPPORTED},
    ("bedrock", 403, "UnrecognizedClientException"): {K.CREDENTIALS_REJECTED},
    ("gemini", 400, "API_KEY_INVALID"): {K.CREDENTIALS_REJECTED},
    ("gemini", 400, "INVALID_ARGUMENT"): {K.INVALID_REQUEST},
    ("gemini", 403, "PERMISSION_DENIED"): {K.CREDENTIALS_REJECTED},
    ("gemini", 404, "NOT_FOUND"): {K.MODEL_MISSING},
    ("gemini", 429, "RESOURCE_EXHAUSTED"): {K.RATE_LIMITED},
    ("groq", 400, "tool_use_failed"): {K.SERVER_ERROR},
    ("groq", 404, "model_not_found"): {K.MODEL_MISSING},
    ("mistral", 401, ""): {K.CREDENTIALS_REJECTED},
    ("openai", 400, "invalid_image_format"): {K.INVALID_REQUEST},
    ("openai", 400, "invalid_image_url"): {K.INVALID_REQUEST},
    ("openai", 400, "invalid_value"): {K.INVALID_REQUEST},
    ("openai", 400, "missing_required_parameter"): {K.INVALID_REQUEST},
    ("openai", 400, "unsupported_parameter"): {K.INVALID_REQUEST},
    ("openai", 400, "unsupported_value"): {K.INVALID_REQUEST},
    ("openai", 400, "invalid_request_error"): {K.INVALID_REQUEST},
    ("openai", 400, "context_length_exceeded"): {K.CONTEXT_TOO_LONG},
    ("openai", 400, "decimal_below_min_value"): {K.INVALID_REQUEST},
    ("openai", 400, "unsupported_file"): {K.INVALID_REQUEST},
    ("openai", 400, "model_not_found"): {K.MODEL_MISSING},
    ("openai", 429, "insufficient_quota"): {K.QUOTA_EXHAUSTED},
    ("xai", 400, ""): {K.CREDENTIALS_REJECTED},
    ("openai", 401, "invalid_api_key"): {K.CREDENTIALS_REJECTED},
    ("openai", 404, "model_not_found"): {K.MODEL_MISSING},
    ("openai", 404, "invalid_request_error"): {K.MODEL_MISSING},
    ("openrouter", 401, ""): {K.CREDENTIALS_REJECTED},
    ("openrouter", 429, ""): {K.RATE_LIMITED},
    ("perplexity", 401, "invalid_api_key"): {K.CREDENTIALS_REJECTED},
    ("vertex", 400, "API_KEY_INVALID"): {K.CREDENTIALS_REJECTED},
    ("vertex", 400, "FAILED_PRECONDITION"): {K.CREDENTIALS_REJECTED},
    ("vertex", 400, "INVALID_ARGUMENT"): {K.INVALID_REQUEST},
    ("vertex", 401, "CREDENTIALS_MISSING"): {K.CREDENTIALS_REJECTED},
    ("vertex", 403, "IAM_PERMISSION_DENIED"): {K.CREDENTIALS_REJECTED},
    ("vertex", 403, "SERVICE_DISABLED"): {K.CREDENTIALS_REJECTED},
    ("vertex", 404, "NOT_FOUND"): {K.MODEL_MISSING},
    ("vertex", 429, "RATE_LIMIT_EXCEEDED"): {K.RATE_LIMITED},
}


@pytest.mark.skipif(folder() is None, reason="no recordings: set TURNOUT_TRAFFIC")
def test_recorded_errors_mean_what_they_say() -> None:
    seen: dict[tuple[str, int, str], set[K]] = {}
    for provider in PROVIDERS:
        for exchange in exchanges(provider):
            if exchange.status >= 400:
                codec = codec_for(target_of(exchange), exchange.api)
                failure = codec.classify(exchange.status, exchange.headers, exchange.body)
                seen.setdefault((provider, exchange.status, failure.code), set()).add(failure.kind)
    wrong = {key: kinds for key, kinds in seen.items() if not kinds <= RECORDED.get(key, set())}
    assert not wrong
    assert set(seen) == set(RECORDED)
