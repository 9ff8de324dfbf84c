"""Requests of the APIs that differ in shape alone: Anthropic's messages and Gemini's generateContent.

A shape says what is read and written; what is done with it, passthrough where the provider speaks the API and the
exchange model where it does not, is the same.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from services.core.attempts.effects import Kind
from services.core.routing.context import RequestContext
from services.core.routing.plan import Candidate
from services.dataplane.codec import AnswerWriter, CodecFor, ProviderCodec
from services.dataplane.dialects.extras import lost_extras
from services.dataplane.exchange import ChatRequest
from services.dataplane.members import Members, decoded
from services.dataplane.mending import asks_restart, is_mendable, mended
from services.dataplane.translate import CrossTranslation, laid_over
from services.dataplane.translation import EVENT_STREAM, Emitted, Evidence, Translation
from services.wire.chat_facts import condition_messages


class MakePassthrough(Protocol):
    """Makes one attempt's passthrough."""

    def __call__(
        self,
        codec: ProviderCodec,
        candidate: Candidate,
        body: bytes,
        inbound: Mapping[str, str],
        warnings: list[str],
        *,
        stream: bool,
        hides_reasoning: bool,
    ) -> Translation: ...


@dataclass(frozen=True, slots=True)
class Shape:
    """What tells one API's requests from another's.

    Attributes:
        api: Providers whose codec speaks it get the caller's bytes.
        extras: Members of `extra_body` that are read.
        turns: The messages of a body, as conditions read them.
        read: The request in the exchange model, of a decoded body; the last argument says whether it is streamed.
        upstream_body: The body for a provider that speaks the API, and what was dropped on the way.
        passthrough: Makes the translation for such a provider.
        writer: Makes the writer of a model's answer.
        restart: The frame that tells a caller to forget what it has.
    """

    api: str
    extras: Collection[str]
    turns: Callable[[Members], Any]
    read: Callable[[Mapping[str, Any], bool], ChatRequest]
    upstream_body: Callable[[Members, Candidate, Mapping[str, Any]], tuple[bytes, list[str]]]
    passthrough: MakePassthrough
    writer: Callable[[str], AnswerWriter]
    restart: Callable[[Evidence], bytes]


class ShapedRequest:
    """One request."""

    frames_type = EVENT_STREAM

    def __init__(
        self,
        shape: Shape,
        codec_for: CodecFor,
        members: Members,
        context: RequestContext,
        headers: Mapping[str, str],
        *,
        stream: bool,
    ) -> None:
        self.context = context
        self.stream = stream
        self.restartable = asks_restart(headers)
        self._shape = shape
        self._codec_for = codec_for
        self._members = members
        self._headers = headers
        self._chat: ChatRequest | None = None

    def condition_messages(self) -> tuple[Mapping[str, Any], ...]:
        return condition_messages(self._shape.turns(self._members))

    def translate(self, candidate: Candidate) -> Translation:
        shape = self._shape
        codec = self._codec_for(candidate.target, shape.api)
        if codec.api == shape.api:
            body, dropped = shape.upstream_body(self._members, candidate, self.context.metadata)
            warnings = [*self._warnings(), *dropped]
            config = candidate.generation.reasoning if candidate.generation is not None else None
            hides = config is not None and config.exclude is True
            return shape.passthrough(
                codec, candidate, body, self._headers, warnings, stream=self.stream, hides_reasoning=hides
            )
        request = laid_over(self._read(), candidate, self.context.metadata)
        translation = CrossTranslation(codec, candidate, request, shape.writer(candidate.target.model), self._headers)
        translation.facts.warnings.extend(self._warnings())
        return translation

    def _warnings(self) -> list[str]:
        return lost_extras(decoded(self._members, ("extra_body",)).get("extra_body"), self._shape.extras)

    def _read(self) -> ChatRequest:
        """The request in the exchange model; read once, and only if somebody needs it."""
        if self._chat is None:
            self._chat = self._shape.read(decoded(self._members, self._members), self.stream)
        return self._chat

    def mendable(self) -> bool:
        return is_mendable(self._read())

    def mend(self, candidate: Candidate, kind: Kind, emitted: Emitted) -> Translation:
        codec = self._codec_for(candidate.target, self._shape.api)
        request = laid_over(self._read(), candidate, self.context.metadata)
        writer = self._shape.writer(candidate.target.model)
        return mended(codec, candidate, request, writer, self._headers, kind=kind, emitted=emitted)

    def restart_frame(self, evidence: Evidence) -> bytes:
        return self._shape.restart(evidence)
