"""The ports between the exchange model and the protocols: a provider's codec, and the writer of a caller's dialect."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from services.core.errors import Failure, RouterError
from services.core.policy.snapshot import Target
from services.dataplane.exchange import AnswerPart, ChatAnswer, ChatRequest, StreamEvent
from services.dataplane.translation import Emitted, Evidence
from services.dataplane.transport.port import UpstreamRequest


class StreamDecoder(Protocol):
    """Decodes one provider stream. Bytes may be cut anywhere."""

    def feed(self, data: bytes) -> Sequence[StreamEvent]:
        """Events that `data` completed; nothing after Terminal or Failed."""

    def end(self) -> Sequence[StreamEvent]:
        """The upstream closed cleanly; without a terminal event: Failed(STREAM_TRUNCATED)."""


class ProviderCodec(Protocol):
    """One provider protocol. Stateless; one instance per process and protocol."""

    protocols: tuple[str, ...]
    """The protocols of `core/policy/provider_types.py` that it speaks."""

    api: str
    """The inbound API that is the same protocol: its bytes may pass through. Empty: there is none."""

    finish_ends: bool
    """A stream may end with its finish reason; the terminal event behind it may be missing."""

    stream_type: str
    """Content type of its streams, or a part of it that says enough."""

    def request(
        self, target: Target, credential: str, body: bytes, inbound: Mapping[str, str], *, stream: bool
    ) -> UpstreamRequest:
        """The request that carries `body`: address, content type, authentication, the provider's own headers,
        the inbound ones that pass, and, where the vendor wants one, a signature over it all.
        """

    def encode(self, request: ChatRequest, target: Target) -> tuple[bytes, list[str]]:
        """Body of a request, and what was dropped on the way.

        Raises:
            Untranslatable: The provider cannot take this request.
        """

    def classify(self, status: int, headers: Mapping[str, str], body: bytes) -> Failure:
        """Classify an answer whose status is not a success, by status and code fields, or a whole known sentence."""

    def decode(self, body: bytes) -> ChatAnswer | Failure:
        """Read a whole answer."""

    def decoder(self) -> StreamDecoder:
        """A decoder for one stream."""


CodecFor = Callable[[Target, str], ProviderCodec]
"""The codec for a target and the API that the caller speaks: the same protocol where the provider has it."""


class AnswerWriter(Protocol):
    """Writes one answer in a caller's dialect. One per attempt."""

    def answer(self, answer: ChatAnswer, evidence: Evidence) -> bytes:
        """The body of a whole answer."""

    def loss(self, item: AnswerPart | StreamEvent) -> str:
        """What of a part or event this dialect has no place for, as a warning to the caller; empty: nothing."""

    def frames(self, events: Sequence[StreamEvent]) -> bytes:
        """Frames for these events; Finished, UsageReported and Terminal are kept for `closing`."""

    def carry_on(self, emitted: Emitted) -> None:
        """Go on behind what the caller has of another answer: its id, no second start."""

    def closing(self, evidence: Evidence) -> bytes:
        """The last frames of a stream that succeeded."""

    def broken(self, error: RouterError, evidence: Evidence) -> bytes:
        """The in-band error of a stream that broke after its commit."""
