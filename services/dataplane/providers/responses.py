"""The codec of OpenAI's Responses API. Stateless use only: nothing is stored, reasoning travels encrypted.

https://platform.openai.com/docs/api-reference/responses
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from services.core.errors import Failure, FailureKind
from services.core.policy.snapshot import Target
from services.dataplane.codec import StreamDecoder
from services.dataplane.exchange import EMPTY, ChatAnswer, ChatRequest
from services.dataplane.providers.openai import OpenAiCodec
from services.dataplane.providers.openai_errors import error_object, in_stream
from services.dataplane.providers.responses_encode import encode_body
from services.dataplane.providers.responses_stream import ResponsesStreamDecoder
from services.dataplane.providers.responses_wire import (
    ENDED,
    WAITING,
    WireResponse,
    decode_response,
    finish_of,
    has_no_place,
    is_empty,
    is_refusal,
    items_of,
    parts_of,
    to_usage,
)
from services.dataplane.transport.port import UpstreamRequest

NOT_PROTOCOL = Failure(FailureKind.BAD_RESPONSE, "the provider's answer is not a response")
UNFINISHED = Failure(FailureKind.BAD_RESPONSE, "the provider makes the answer in the background")

_openai = OpenAiCodec()


class ResponsesCodec:
    """Stateless; one per process."""

    protocols: tuple[str, ...] = ("openai", "openai_compatible")
    api = "responses"
    finish_ends = False
    stream_type = "event-stream"

    def request(
        self, target: Target, credential: str, body: bytes, inbound: Mapping[str, str], *, stream: bool
    ) -> UpstreamRequest:
        chat = _openai.request(target, credential, body, inbound, stream=stream)
        return UpstreamRequest(f"{target.provider.base_url}/responses", chat.headers, body)

    def encode(self, request: ChatRequest, target: Target) -> tuple[bytes, list[str]]:
        body, dropped = encode_body(request, target)
        return msgspec.json.encode(body), dropped

    def classify(self, status: int, headers: Mapping[str, str], body: bytes) -> Failure:
        return _openai.classify(status, headers, body)

    def decode(self, body: bytes) -> ChatAnswer | Failure:
        response = read_response(body)
        if isinstance(response, Failure):
            return response
        if response.status in WAITING:
            return UNFINISHED
        items = items_of(response)
        called = any(item.get("type") == "function_call" for item in items)
        refused = any(is_refusal(item) for item in items)
        return ChatAnswer(
            id=response.id or "",
            parts=tuple(part for item in items for part in parts_of(item)),
            finish_reason=finish_of(response, called=called, refused=refused),
            usage=to_usage(response.usage, items, response.service_tier) if response.usage is not None else None,
            created=int(response.created_at or 0),
            warnings=tuple(told for item in items if (told := has_no_place(item))),
        )

    def decoder(self) -> StreamDecoder:
        return ResponsesStreamDecoder()


def read_response(body: bytes) -> WireResponse | Failure:
    """A whole answer that is one: JSON, no error inside, items, not empty without a reason."""
    try:
        response = decode_response(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        error = error_object(body)
        return in_stream(error) if isinstance(error, Mapping) and ("code" in error or "type" in error) else NOT_PROTOCOL
    if response.error or response.status in {"failed", "cancelled"}:
        return in_stream(response.error)
    if response.output is None or (response.status or "completed") not in ENDED | WAITING:
        return NOT_PROTOCOL
    return EMPTY if is_empty(response) else response
