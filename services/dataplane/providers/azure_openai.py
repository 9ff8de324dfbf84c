"""Azure OpenAI and Azure AI Foundry: OpenAI's protocol at addresses and with credentials of Azure's own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import msgspec

from services.core.policy.snapshot import Target
from services.dataplane.exchange import ChatRequest
from services.dataplane.providers.openai import OpenAiCodec
from services.dataplane.providers.openai_encode import encode_body
from services.dataplane.transport.port import UpstreamRequest

API_VERSION = "api_version"
"""The provider's label that chooses a dated version of the API instead of v1."""

_TOKEN = re.compile(r"eyJ[\w-]*\.[\w-]+\.[\w-]+")
"""A token of Entra ID: a JWT. Keys hold no dots."""

_DEPLOYED = frozenset({"/chat/completions", "/completions", "/embeddings", "/images/generations", "/images/edits",
                       "/audio/speech", "/audio/transcriptions", "/audio/translations"})  # fmt: skip
"""What the dated API has under a deployment; the rest, such as /responses, names it in the body."""


def azure_url(target: Target, path: str) -> str:
    """Where `path` of OpenAI's API is for `target`, whose upstream model is the deployment.

    Without the label `api_version`: the v1 API. With it: the dated one. An address that ends with
    /models is that of Foundry's models, which have a dated API only; one that ends with /openai/v1
    or a deployment stands as it is.
    """
    base, version = target.provider.base_url, target.provider.labels.get(API_VERSION, "")
    query = f"?api-version={quote(version, safe='')}" if version else ""
    if base.endswith("/openai/v1"):
        return f"{base}{path}"
    if is_foundry(target) or "/openai/deployments/" in base:
        return f"{base}{path}{query}"
    if not version:
        return f"{base}/openai/v1{path}"
    scope = f"/deployments/{quote(target.upstream_model, safe='')}" if path in _DEPLOYED else ""
    return f"{base}/openai{scope}{path}{query}"


def is_foundry(target: Target) -> bool:
    """Whether the address is that of Foundry's models, which are of many vendors."""
    return target.provider.base_url.endswith("/models")


def azure_auth(credential: str) -> dict[str, str]:
    """The header that carries a key, or a token of Entra ID; none without a credential."""
    if not credential:
        return {}
    if _TOKEN.fullmatch(credential):
        return {"authorization": f"Bearer {credential}"}
    return {"api-key": credential}


class AzureOpenAiCodec(OpenAiCodec):
    """Stateless; one per process."""

    protocols: tuple[str, ...] = ("azure_openai",)

    def request(
        self, target: Target, credential: str, body: bytes, inbound: Mapping[str, str], *, stream: bool
    ) -> UpstreamRequest:
        plain = super().request(target, "", body, inbound, stream=stream)
        headers = {**plain.headers, **azure_auth(credential)}
        return UpstreamRequest(azure_url(target, "/chat/completions"), headers, body)

    def encode(self, request: ChatRequest, target: Target) -> tuple[bytes, list[str]]:
        body, dropped = encode_body(request, target)
        if is_foundry(target):
            _name_limit(body)
        return msgspec.json.encode(body), dropped


def _name_limit(body: dict[str, Any]) -> None:
    """Foundry's common API knows the older name of the limit."""
    if "max_completion_tokens" in body:
        body["max_tokens"] = body.pop("max_completion_tokens")
