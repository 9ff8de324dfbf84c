"""OpenAI's Responses API at Azure: the same bodies, at addresses and with credentials of Azure's own."""

from __future__ import annotations

from collections.abc import Mapping

from services.core.policy.snapshot import Target
from services.dataplane.providers.azure_openai import azure_auth, azure_url, is_foundry
from services.dataplane.providers.responses import ResponsesCodec
from services.dataplane.translation import Untranslatable
from services.dataplane.transport.port import UpstreamRequest


class AzureResponsesCodec(ResponsesCodec):
    """Stateless; one per process."""

    protocols: tuple[str, ...] = ("azure_openai",)

    def request(
        self, target: Target, credential: str, body: bytes, inbound: Mapping[str, str], *, stream: bool
    ) -> UpstreamRequest:
        if is_foundry(target):
            raise Untranslatable.because("Foundry's models at /models have no Responses API")
        plain = super().request(target, "", body, inbound, stream=stream)
        headers = {**plain.headers, **azure_auth(credential)}
        return UpstreamRequest(azure_url(target, "/responses"), headers, body)
