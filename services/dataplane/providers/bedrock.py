"""The codec of Amazon Bedrock's Converse."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from services.core.errors import Failure, FailureKind
from services.core.policy.snapshot import Target
from services.dataplane.codec import StreamDecoder
from services.dataplane.exchange import EMPTY, ChatAnswer, ChatRequest, ToolCall
from services.dataplane.providers.bedrock_encode import encode_body
from services.dataplane.providers.bedrock_errors import classify, in_stream
from services.dataplane.providers.bedrock_sign import address, authentication, region_of
from services.dataplane.providers.bedrock_stream import BedrockStreamDecoder
from services.dataplane.providers.bedrock_wire import (
    WireAnswer,
    decode_answer,
    finish_of,
    is_empty,
    malformed,
    parts_of,
    stop_sequence_of,
    to_usage,
)
from services.dataplane.transport.port import UpstreamRequest

NOT_PROTOCOL = Failure(FailureKind.BAD_RESPONSE, "the provider's answer is none of Converse")


class BedrockCodec:
    """Stateless; one per process."""

    protocols: tuple[str, ...] = ("bedrock",)
    api = ""
    finish_ends = True
    stream_type = "eventstream"

    def request(
        self, target: Target, credential: str, body: bytes, inbound: Mapping[str, str], *, stream: bool
    ) -> UpstreamRequest:
        del inbound
        accepted = "application/vnd.amazon.eventstream" if stream else "application/json"
        headers = {"content-type": "application/json", "accept": accepted, "user-agent": "turnout"}
        headers.update({name.lower(): value for name, value in target.provider.headers.items()})
        url = address(target, stream=stream)
        headers.update(authentication(url, headers, body, credential, region_of(target.provider)))
        return UpstreamRequest(url, headers, body)

    def encode(self, request: ChatRequest, target: Target) -> tuple[bytes, list[str]]:
        body, dropped = encode_body(request, target)
        return msgspec.json.encode(body), dropped

    def classify(self, status: int, headers: Mapping[str, str], body: bytes) -> Failure:
        return classify(status, headers, body)

    def decode(self, body: bytes) -> ChatAnswer | Failure:
        try:
            answer = decode_answer(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return NOT_PROTOCOL
        if answer.output is None or answer.output.message is None or answer.output.message.content is None:
            return in_stream(answer.type, body) if isinstance(answer.type, str) else NOT_PROTOCOL
        return _answer(answer)

    def decoder(self) -> StreamDecoder:
        return BedrockStreamDecoder()


def _answer(answer: WireAnswer) -> ChatAnswer | Failure:
    assert answer.output is not None, "checked before"
    assert answer.output.message is not None, "checked before"
    failure = malformed(answer.stop_reason)
    if failure is not None:
        return failure
    parts = parts_of(answer.output.message.content or ())
    if is_empty(answer, parts):
        return EMPTY
    return ChatAnswer(
        id="",
        parts=parts,
        finish_reason=finish_of(answer.stop_reason, calls=any(isinstance(part, ToolCall) for part in parts)),
        usage=to_usage(answer.usage, answer.service_tier) if answer.usage is not None else None,
        stop_sequence=stop_sequence_of(answer.additional_model_response_fields),
        native_finish_reason=answer.stop_reason or "",
    )
