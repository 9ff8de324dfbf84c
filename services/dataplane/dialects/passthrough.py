"""What the passthroughs of all dialects have in common: the bytes go to a provider that speaks as the caller does."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

from services.core.errors import Failure
from services.core.routing.plan import Candidate
from services.dataplane.codec import ProviderCodec
from services.dataplane.exchange import TRUNCATED
from services.dataplane.members import Members, raw
from services.dataplane.sse import SseParser
from services.dataplane.translation import JSON, Facts, Progress
from services.dataplane.transport.port import UpstreamRequest


class Passthrough:
    """Base of one attempt's passthrough.

    Args:
        body: What the provider gets.
        inbound: The caller's headers.
        warnings: What was dropped on the way.
        hides_reasoning: Nobody wants to see the model's reasoning.
    """

    def __init__(
        self,
        codec: ProviderCodec,
        candidate: Candidate,
        body: bytes,
        inbound: Mapping[str, str],
        warnings: list[str],
        *,
        stream: bool,
        hides_reasoning: bool = False,
    ) -> None:
        self.facts = Facts(warnings=warnings)
        self.stream_type = codec.stream_type
        self.answer_type = JSON
        self._stream = stream
        self._hides_reasoning = hides_reasoning
        self._codec = codec
        self._candidate = candidate
        self._body = body
        self._inbound = inbound
        self._model = raw(candidate.target.model)
        self._members: Members = {}
        self._shown = False
        self._begin()

    def _begin(self) -> None:
        """Set up what a dialect keeps of its own."""

    def _keep_json(self, body: bytes) -> None:
        """Keep the text of a whole answer that is to be JSON; other answers are not decoded for it."""
        if self.facts.json is None:
            return
        found = self._codec.decode(body)
        if not isinstance(found, Failure):
            self.facts.json.add_answer(found)

    def request(self, credential: str) -> UpstreamRequest:
        target = self._candidate.target
        return self._codec.request(target, credential, self._body, self._inbound, stream=self._stream)

    def failure(self, status: int, headers: Mapping[str, str], body: bytes) -> Failure:
        return self._codec.classify(status, headers, body)


class TypedPassthrough(Passthrough, ABC):
    """Base of those whose streams are events with types, of which one is the last."""

    def _begin(self) -> None:
        super()._begin()
        self._parser = SseParser()
        self._over = False

    @abstractmethod
    def feed(self, data: bytes) -> Progress:
        """Take bytes of the provider's stream."""

    def end(self) -> Progress:
        progress = Progress()
        if not self._over and self._parser.rest().strip():
            progress = self.feed(b"\n\n")
        if not self._over and progress.failure is None:
            progress.failure = TRUNCATED
        return progress
