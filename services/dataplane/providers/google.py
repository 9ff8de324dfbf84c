"""The codec of Gemini's generateContent, at AI Studio and at Vertex AI.

At AI Studio (type `google`) a credential is an API key. At Vertex AI (type `vertex`) it is an OAuth access token,
and the provider's `base_url` names project and location: `https://<location>-aiplatform.googleapis.com/v1/projects/
<project>/locations/<location>`. A `base_url` without a project, `https://aiplatform.googleapis.com/v1`, is Vertex
AI's express mode, where the credential is an API key again. What a credential looks like is never asked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import quote

import msgspec

from services.core.errors import Failure, FailureKind
from services.core.policy.provider_types import VERTEX
from services.core.policy.snapshot import Target
from services.dataplane.codec import StreamDecoder
from services.dataplane.exchange import TRUNCATED, ChatAnswer, ChatRequest, Failed, StreamEvent, Terminal
from services.dataplane.providers.gather import gathered
from services.dataplane.providers.google_encode import encode_body
from services.dataplane.providers.google_errors import classify, in_stream
from services.dataplane.providers.google_read import NOT_PROTOCOL, GoogleReader
from services.dataplane.providers.google_wire import WireAnswer, decode_answer, decode_answers
from services.dataplane.providers.openai_errors import error_object
from services.dataplane.sse import ERROR, SseOverflow, SseParser
from services.dataplane.transport.port import UpstreamRequest

NOT_JSON = Failure(FailureKind.BAD_RESPONSE, "the stream holds a chunk that is not JSON")


Chunk = tuple[bytes, Sequence[StreamEvent]]
"""A chunk of a stream as it came, and what it says."""


class GoogleCodec:
    """Stateless; one per process."""

    protocols: tuple[str, ...] = ("google", "vertex")
    api = "generateContent"
    finish_ends = True
    stream_type = "event-stream"

    def request(
        self, target: Target, credential: str, body: bytes, inbound: Mapping[str, str], *, stream: bool
    ) -> UpstreamRequest:
        del inbound
        place = "publishers/google/models" if target.provider.protocol == VERTEX else "models"
        verb = "streamGenerateContent?alt=sse" if stream else "generateContent"
        return UpstreamRequest(model_url(target, place, verb), google_headers(target, credential), body)

    def encode(self, request: ChatRequest, target: Target) -> tuple[bytes, list[str]]:
        body, dropped = encode_body(request, target.upstream_model, vertex=target.provider.protocol == VERTEX)
        return msgspec.json.encode(body), dropped

    def classify(self, status: int, headers: Mapping[str, str], body: bytes) -> Failure:
        return classify(status, headers, body)

    def decode(self, body: bytes) -> ChatAnswer | Failure:
        chunks = read_chunks(body)
        if isinstance(chunks, Failure):
            return chunks
        reader = GoogleReader()
        events: list[StreamEvent] = []
        for chunk in chunks:
            events += reader.read(chunk)
            if events and isinstance(events[-1], Failed):
                break
        return gathered(events)

    def decoder(self) -> StreamDecoder:
        return GoogleStreamDecoder()


def model_url(target: Target, place: str, verb: str) -> str:
    """The address of `verb` at a model; a name that has a place already, such as tunedModels/x, keeps it."""
    name = target.upstream_model
    path = name if "/" in name else f"{place}/{name}"
    return f"{target.provider.base_url}/{quote(path, safe='/@')}:{verb}"


def google_headers(target: Target, credential: str) -> dict[str, str]:
    """The headers of a request, with its credential where this provider wants it."""
    headers = {"content-type": "application/json", "user-agent": "turnout"}
    headers.update({name.lower(): value for name, value in target.provider.headers.items()})
    if credential:
        token = target.provider.protocol == VERTEX and "/projects/" in target.provider.base_url
        headers.update({"authorization": f"Bearer {credential}"} if token else {"x-goog-api-key": credential})
    return headers


def read_chunks(body: bytes) -> Sequence[WireAnswer] | Failure:
    """The chunks of a whole answer: one, or those of a stream that came as a JSON list."""
    try:
        return decode_answers(body) or NOT_PROTOCOL if body.lstrip()[:1] == b"[" else (decode_answer(body),)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return NOT_PROTOCOL


class GoogleStreamDecoder:
    """Decodes one stream. There is no terminal event: a clean end behind a finish reason is one."""

    def __init__(self) -> None:
        self._parser = SseParser()
        self._reader = GoogleReader()
        self._over = False

    def feed(self, data: bytes) -> Sequence[StreamEvent]:
        return tuple(event for _, events in self.chunks(data) for event in events)

    def end(self) -> Sequence[StreamEvent]:
        return tuple(event for _, events in self.last_chunks() for event in events)

    def chunks(self, data: bytes) -> list[Chunk]:
        """The chunks that `data` completed, each with its events. A failure outside of them has no bytes."""
        if self._over:
            return []
        try:
            found = self._parser.feed(data)
        except SseOverflow as error:
            return self._fail(Failure(FailureKind.BAD_RESPONSE, str(error)))
        out: list[Chunk] = []
        for event in found:
            if event.event == ERROR:
                return [*out, *self._fail(in_stream(error_object(event.data)))]
            try:
                events = self._reader.read(decode_answer(event.data))
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                return [*out, *self._fail(NOT_JSON)]
            out.append((event.data, events))
            if events and isinstance(events[-1], Failed):
                self._over = True
                break
        return out

    def last_chunks(self) -> list[Chunk]:
        """What the clean end of the upstream brings."""
        if self._over:
            return []
        out: list[Chunk] = []
        if self._parser.rest().strip():
            out += self.chunks(b"\n\n")
            if self._reader.finished and out and out[-1][1] == [Failed(NOT_JSON)]:
                # Half an event behind the finish reason: it is dropped, as SSE says.
                out.pop()
                self._over = False
        if not self._over:
            self._over = True
            out.append((b"", [Terminal() if self._reader.finished else Failed(TRUNCATED)]))
        return out

    def _fail(self, failure: Failure) -> list[Chunk]:
        self._over = True
        return [(b"", [Failed(failure)])]
