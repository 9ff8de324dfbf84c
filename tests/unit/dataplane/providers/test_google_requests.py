"""Where requests to Google go, and with which credential: AI Studio, Vertex AI, its express mode, Claude there."""

from __future__ import annotations

import json
from typing import Any

import pytest

from services.core.errors import FailureKind as K
from services.core.policy.provider_types import family_protocol
from services.core.policy.snapshot import CompiledProvider, Target
from services.dataplane.providers.anthropic import AnthropicCodec
from services.dataplane.providers.google import GoogleCodec
from services.dataplane.providers.registry import codec_for
from services.dataplane.providers.vertex_claude import VERSION, VertexClaudeCodec
from services.dataplane.transport.port import UpstreamRequest

STUDIO = "https://generativelanguage.googleapis.com/v1beta"
PLACE = "https://europe-west1-aiplatform.googleapis.com/v1/projects/p/locations/europe-west1"
EXPRESS = "https://aiplatform.googleapis.com/v1"


def target(kind: str, base_url: str, model: str, **headers: str) -> Target:
    return Target("g/m", CompiledProvider("g", kind, base_url, headers=headers), model)


def sent(found: Target, *, stream: bool = False, credential: str = "key", body: Any = None, **inbound: str) -> Any:
    codec = codec_for(found, "")
    data = json.dumps(body or {"contents": []}).encode()
    headers = {name.replace("_", "-"): value for name, value in inbound.items()}
    return codec.request(found, credential, data, headers, stream=stream)


@pytest.mark.parametrize(
    ("kind", "base_url", "model", "url"),
    [
        ("google", STUDIO, "gemini-2.5-pro", f"{STUDIO}/models/gemini-2.5-pro"),
        ("google", STUDIO, "tunedModels/mine", f"{STUDIO}/tunedModels/mine"),
        ("vertex", PLACE, "gemini-2.5-pro", f"{PLACE}/publishers/google/models/gemini-2.5-pro"),
        ("vertex", PLACE, "endpoints/123", f"{PLACE}/endpoints/123"),
        ("vertex", EXPRESS, "gemini-2.5-pro", f"{EXPRESS}/publishers/google/models/gemini-2.5-pro"),
        ("google", STUDIO, "odd name?x=1", f"{STUDIO}/models/odd%20name%3Fx%3D1"),
    ],
)
def test_the_address_names_the_model_and_the_verb(kind: str, base_url: str, model: str, url: str) -> None:
    found = target(kind, base_url, model)
    assert sent(found).url == f"{url}:generateContent"
    assert sent(found, stream=True).url == f"{url}:streamGenerateContent?alt=sse"


@pytest.mark.parametrize(
    ("kind", "base_url", "header", "value"),
    [
        ("google", STUDIO, "x-goog-api-key", "key"),
        ("vertex", PLACE, "authorization", "Bearer key"),
        ("vertex", EXPRESS, "x-goog-api-key", "key"),
    ],
)
def test_the_credential_goes_where_the_provider_wants_it_and_nowhere_else(
    kind: str, base_url: str, header: str, value: str
) -> None:
    request: UpstreamRequest = sent(target(kind, base_url, "gemini-2.5-pro"))
    assert request.headers[header] == value
    assert [name for name, told in request.headers.items() if "key" in told] == [header]
    assert "key" not in request.url
    bare = sent(target(kind, base_url, "gemini-2.5-pro"), credential="")
    assert not {"x-goog-api-key", "authorization"} & bare.headers.keys()


def test_policys_headers_go_along() -> None:
    found = target("vertex", PLACE, "gemini-2.5-pro", **{"X-Goog-User-Project": "p"})
    assert sent(found).headers["x-goog-user-project"] == "p"


MESSAGE = {"model": "claude-sonnet-4-5@20250929", "max_tokens": 9, "messages": [], "stream": True}


def test_claude_on_vertex_has_its_model_in_the_address_and_its_version_in_the_body() -> None:
    found = target("vertex", PLACE, "claude-sonnet-4-5@20250929")
    request = sent(found, stream=True, body=MESSAGE, anthropic_beta="b1", anthropic_version="2023-06-01")
    assert request.url == f"{PLACE}/publishers/anthropic/models/claude-sonnet-4-5@20250929:streamRawPredict"
    told = {name: value for name, value in MESSAGE.items() if name != "model"}
    assert json.loads(request.body) == {**told, "anthropic_version": VERSION}
    assert request.headers["authorization"] == "Bearer key"
    assert request.headers["anthropic-beta"] == "b1"
    assert not {"anthropic-version", "x-api-key"} & request.headers.keys()
    assert sent(found, body=MESSAGE).url.endswith(":rawPredict")
    own = sent(found, body={**MESSAGE, "anthropic_version": "vertex-next"})
    assert json.loads(own.body)["anthropic_version"] == "vertex-next"


@pytest.mark.parametrize("api", ["", "messages", "chat.completions", "generateContent"])
def test_the_model_decides_who_speaks_to_vertex(api: str) -> None:
    for model in ("claude-opus-4-5", "publishers/anthropic/models/claude-opus-4-5"):
        assert isinstance(codec_for(target("vertex", PLACE, model), api), VertexClaudeCodec)
    gemini = codec_for(target("vertex", PLACE, "gemini-2.5-pro"), api)
    assert isinstance(gemini, GoogleCodec)
    assert type(codec_for(target("anthropic", "https://a.test", "claude-opus-4-5"), api)) is AnthropicCodec


def test_other_providers_have_no_families() -> None:
    assert family_protocol("openai", "claude") == family_protocol("nobody", "claude") == ""


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (403, {"error": {"code": 403, "message": "x", "status": "PERMISSION_DENIED"}}, K.CREDENTIALS_REJECTED),
        (400, [{"error": {"code": 400, "message": "x", "status": "FAILED_PRECONDITION"}}], K.CREDENTIALS_REJECTED),
        (400, {"type": "error", "error": {"type": "invalid_request_error", "message": "x"}}, K.INVALID_REQUEST),
        (529, {"type": "error", "error": {"type": "overloaded_error", "message": "x"}}, K.OVERLOADED),
        (
            400,
            {
                "type": "error",
                "error": {
                    "type": "invalid_request_error",
                    "message": "prompt is too long: 210000 tokens > 200000 maximum",
                },
            },
            K.CONTEXT_TOO_LONG,
        ),
    ],
)
def test_errors_of_claude_on_vertex_are_googles_or_anthropics(status: int, body: Any, kind: K) -> None:
    assert VertexClaudeCodec().classify(status, {}, json.dumps(body).encode()).kind is kind
