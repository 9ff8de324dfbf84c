"""The typed gRPC API as a dialect: messages of `turnout.inference.v1` instead of JSON.

Errors stay what they are: the gRPC handler turns them into statuses.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.protobuf.message import DecodeError
from turnout.inference.v1 import chat_pb2

from services.core.attempts.effects import Kind
from services.core.errors import InvalidRequest, RouterError
from services.core.routing.context import RequestContext
from services.core.routing.plan import Candidate
from services.dataplane.codec import CodecFor
from services.dataplane.dialects.typed_read import read_request
from services.dataplane.dialects.typed_write import TypedWriter
from services.dataplane.exchange import Image, Text
from services.dataplane.mending import is_mendable, mended
from services.dataplane.translate import CrossTranslation, laid_over
from services.dataplane.translation import EVENT_STREAM, STREAM_HEADER, Emitted, Evidence, InboundRequest, Translation
from services.wire.needs import least_tokens
from services.wire.structs import plain_struct


class TypedChat:
    """The dialect. Stateless; one per process."""

    api = "typed"

    def __init__(self, codec_for: CodecFor) -> None:
        self._codec_for = codec_for

    def read(self, body: bytes, headers: Mapping[str, str]) -> InboundRequest:
        try:
            request = chat_pb2.ChatRequest.FromString(body)
        except DecodeError as error:
            raise InvalidRequest("the request is not a ChatRequest") from error
        stream = headers.get(STREAM_HEADER) == "true"
        return _TypedRequest(self._codec_for, request, stream=stream)

    def error(self, error: RouterError, evidence: Evidence | None) -> tuple[int, bytes]:
        del evidence
        return error.status, b""


class _TypedRequest:
    """One request."""

    frames_type = EVENT_STREAM

    def __init__(self, codec_for: CodecFor, request: chat_pb2.ChatRequest, *, stream: bool) -> None:
        if not request.model and not request.models:
            raise InvalidRequest("`model` is missing", param="model")
        self.stream = stream
        self._codec_for = codec_for
        self._request = request
        self._chat = read_request(request, stream=stream)
        parts = [p for m in self._chat.messages for p in m.parts]
        needs = {"tools"} if request.tools else set()
        needs |= {"vision"} if any(isinstance(p, Image) for p in parts) else set()
        texts = "".join(p.text for p in parts if isinstance(p, Text))
        self.restartable = False
        self.context = RequestContext(
            model=request.model,
            models=tuple(request.models),
            metadata=plain_struct(request.metadata),
            user=request.user,
            needs=frozenset(needs),
            asks_json=request.response_format.type in {"json_object", "json_schema"},
            least_tokens=least_tokens(texts.encode(), needs),
        )

    def condition_messages(self) -> tuple[Mapping[str, Any], ...]:
        texts = ("\n".join(p.text for p in m.parts if isinstance(p, Text)) for m in self._chat.messages)
        return tuple({"role": m.role, "content": t} for m, t in zip(self._chat.messages, texts, strict=True))

    def translate(self, candidate: Candidate) -> Translation:
        codec = self._codec_for(candidate.target, TypedChat.api)
        request = laid_over(self._chat, candidate, self.context.metadata)
        return CrossTranslation(codec, candidate, request, TypedWriter(candidate.target.model), {})

    def mendable(self) -> bool:
        return is_mendable(self._chat)

    def mend(self, candidate: Candidate, kind: Kind, emitted: Emitted) -> Translation:
        codec = self._codec_for(candidate.target, TypedChat.api)
        request = laid_over(self._chat, candidate, self.context.metadata)
        writer = TypedWriter(candidate.target.model)
        return mended(codec, candidate, request, writer, {}, kind=kind, emitted=emitted)

    def restart_frame(self, evidence: Evidence) -> bytes:
        raise AssertionError("typed callers are never restarted")
