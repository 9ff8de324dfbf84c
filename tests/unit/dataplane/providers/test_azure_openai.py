"""Azure's addresses, credentials and errors."""

from __future__ import annotations

import json
from typing import Any

import pytest

from services.core.errors import FailureKind
from services.core.policy.snapshot import CompiledProvider, Target
from services.dataplane.exchange import ChatRequest, Failed, Message, Started, Text
from services.dataplane.providers.azure_openai import azure_auth, azure_url
from services.dataplane.providers.registry import codec_of

CODEC = codec_of("azure_openai", "chat.completions")
HOST = "https://r.openai.azure.com"
DATED = {"api_version": "2024-10-21"}


def target(base: str = HOST, model: str = "gpt-4o", **labels: str) -> Target:
    return Target("az/x", CompiledProvider("az", "azure_openai", base, labels=labels), model)


@pytest.mark.parametrize(
    ("base", "labels", "path", "url"),
    [
        (HOST, {}, "/chat/completions", "/openai/v1/chat/completions"),
        (HOST, {}, "/responses", "/openai/v1/responses"),
        (f"{HOST}/openai/v1", {}, "/responses", "/openai/v1/responses"),
        (f"{HOST}/openai/v1", DATED, "/chat/completions", "/openai/v1/chat/completions"),
        (HOST, DATED, "/chat/completions", "/openai/deployments/a%20b%2Fc/chat/completions?api-version=2024-10-21"),
        (HOST, DATED, "/embeddings", "/openai/deployments/a%20b%2Fc/embeddings?api-version=2024-10-21"),
        (HOST, DATED, "/responses", "/openai/responses?api-version=2024-10-21"),
        (f"{HOST}/models", DATED, "/chat/completions", "/models/chat/completions?api-version=2024-10-21"),
        (
            f"{HOST}/openai/deployments/d",
            {"api_version": "2024-02-01&x=1"},
            "/chat/completions",
            "/openai/deployments/d/chat/completions?api-version=2024-02-01%26x%3D1",
        ),
    ],
)
def test_the_address_follows_the_version_of_the_api(base: str, labels: dict[str, str], path: str, url: str) -> None:
    assert azure_url(target(base, "a b/c", **labels), path) == HOST + url


@pytest.mark.parametrize(
    ("credential", "headers"),
    [
        ("", {}),
        ("0123abc", {"api-key": "0123abc"}),
        ("eyJub3QgYSB0b2tlbg", {"api-key": "eyJub3QgYSB0b2tlbg"}),
        (
            "eyJhbGciOiJ.eyJhdWQiOiJ.c2lnLW5h_dHVyZQ",
            {"authorization": "Bearer eyJhbGciOiJ.eyJhdWQiOiJ.c2lnLW5h_dHVyZQ"},
        ),
    ],
)
def test_a_token_is_a_bearer_and_a_key_is_a_key(credential: str, headers: dict[str, str]) -> None:
    assert azure_auth(credential) == headers
    sent = CODEC.request(target(), credential, b"{}", {"x-title": "t"}, stream=False)
    assert {n: v for n, v in sent.headers.items() if n in {"api-key", "authorization"}} == headers
    assert sent.headers["x-title"] == "t"


@pytest.mark.parametrize(("base", "name"), [(HOST, "max_completion_tokens"), (f"{HOST}/models", "max_tokens")])
def test_foundrys_models_get_the_limit_by_its_older_name(base: str, name: str) -> None:
    body, _ = CODEC.encode(ChatRequest((Message("user", (Text("Hi"),)),), max_tokens=7), target(base))
    assert json.loads(body)[name] == 7


FILTERED = {"error": {"code": "content_filter", "status": 400, "message": "The response was filtered", "param": "prompt",
                      "innererror": {"code": "ResponsibleAIPolicyViolation", "content_filter_result": {}}}}  # fmt: skip


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, FILTERED, FailureKind.CONTENT_REFUSED),
        (401, {"error": {"code": "401", "message": "Access denied"}}, FailureKind.CREDENTIALS_REJECTED),
        (404, {"error": {"code": "DeploymentNotFound", "message": "no"}}, FailureKind.MODEL_MISSING),
        (404, {"error": {"code": "404", "message": "Resource not found"}}, FailureKind.MODEL_MISSING),
        (429, {"error": {"code": "RateLimitReached", "message": "no"}}, FailureKind.RATE_LIMITED),
        (429, {"error": {"code": "insufficient_quota", "message": "no"}}, FailureKind.QUOTA_EXHAUSTED),
        (400, {"error": {"code": "OperationNotSupported", "message": "no"}}, FailureKind.UNSUPPORTED),
        (500, {"error": {"code": "InternalServerError", "message": "no"}}, FailureKind.SERVER_ERROR),
        (503, {"error": {"code": "ServiceUnavailable", "message": "no"}}, FailureKind.OVERLOADED),
    ],
)
def test_errors_go_by_status_and_code(status: int, body: Any, kind: FailureKind) -> None:
    assert CODEC.classify(status, {}, json.dumps(body).encode()).kind is kind


def test_what_was_filtered_of_the_prompt_is_no_start_of_an_answer_and_a_filter_in_the_stream_is_a_refusal() -> None:
    decoder = CODEC.decoder()
    first = {"choices": [], "created": 0, "id": "", "model": "", "prompt_filter_results": [{"prompt_index": 0}]}
    assert decoder.feed(b"data: " + json.dumps(first).encode() + b"\n\n") == []
    started = {"id": "c", "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]}
    assert decoder.feed(b"data: " + json.dumps(started).encode() + b"\n\n") == [Started("c")]
    (failed,) = decoder.feed(b"data: " + json.dumps(FILTERED).encode() + b"\n\n")
    assert isinstance(failed, Failed)
    assert failed.failure.kind is FailureKind.CONTENT_REFUSED
