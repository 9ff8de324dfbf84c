"""Anthropic's messages at Vertex AI: the model is in the address, and the body tells the version.

https://docs.cloud.google.com/vertex-ai/generative-ai/docs/partner-models/claude
"""

from __future__ import annotations

from collections.abc import Mapping

from services.core.errors import Failure
from services.core.policy.snapshot import Target
from services.dataplane.members import join_members, raw, split_members
from services.dataplane.providers import anthropic_errors, google_errors
from services.dataplane.providers.anthropic import AnthropicCodec
from services.dataplane.providers.google import google_headers, model_url
from services.dataplane.providers.openai_errors import error_object
from services.dataplane.transport.port import UpstreamRequest

VERSION = "vertex-2023-10-16"


class VertexClaudeCodec(AnthropicCodec):
    """Stateless; one per process."""

    protocols: tuple[str, ...] = ("vertex_claude",)

    def request(
        self, target: Target, credential: str, body: bytes, inbound: Mapping[str, str], *, stream: bool
    ) -> UpstreamRequest:
        headers = google_headers(target, credential)
        if "anthropic-beta" in inbound:
            headers["anthropic-beta"] = inbound["anthropic-beta"]
        members = split_members(body)
        members.pop("model", None)
        members.setdefault("anthropic_version", raw(VERSION))
        verb = "streamRawPredict" if stream else "rawPredict"
        url = model_url(target, "publishers/anthropic/models", verb)
        return UpstreamRequest(url, headers, join_members(members))

    def classify(self, status: int, headers: Mapping[str, str], body: bytes) -> Failure:
        """Errors of the platform are Google's, those of the model Anthropic's."""
        error = error_object(body)
        if isinstance(error, Mapping) and isinstance(error.get("status"), str):
            return google_errors.classify(status, headers, body)
        return anthropic_errors.classify(status, headers, body)
