"""The codec of OpenAI's chat completions, and of everything that speaks them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from services.core.errors import Failure, FailureKind
from services.core.policy.provider_types import quirks_of
from services.core.policy.snapshot import Target
from services.core.values import changed
from services.dataplane.codec import StreamDecoder
from services.dataplane.exchange import (
    EMPTY,
    TRUNCATED,
    AnswerPart,
    Audio,
    AudioDelta,
    ChatAnswer,
    ChatRequest,
    CitationDelta,
    Failed,
    Finished,
    ImageDelta,
    Started,
    StreamEvent,
    Terminal,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    ToolCall,
    ToolCallDelta,
    ToolCallStarted,
    UsageReported,
)
from services.dataplane.providers.openai_encode import encode_body
from services.dataplane.providers.openai_errors import classify, error_object, in_stream
from services.dataplane.providers.openai_extras import (
    citations_of,
    google_proof,
    images_of,
    proofs_of,
    sources_of,
    tokens_told,
)
from services.dataplane.providers.openai_wire import (
    NOTHING,
    WireAnswer,
    WireMessage,
    WireToolCall,
    calls_of,
    decode_answer,
    finish_of,
    is_empty,
    text_of,
    thought_of,
    to_usage,
)
from services.dataplane.providers.service_tiers import tier_told
from services.dataplane.sse import ERROR, SseOverflow, SseParser
from services.dataplane.transport.port import UpstreamRequest

DONE = b"[DONE]"
_FORWARDED = ("x-title", "http-referer", "idempotency-key")

NOT_PROTOCOL = Failure(FailureKind.BAD_RESPONSE, "the provider's answer is not a chat completion")
BROKE_OFF = Failure(FailureKind.SERVER_ERROR, "the model's answer ended in an error")
NOT_JSON = Failure(FailureKind.BAD_RESPONSE, "the stream holds a chunk that is not JSON")


class OpenAiCodec:
    """Stateless; one per process."""

    protocols: tuple[str, ...] = ("openai", "openai_compatible")
    api = "chat.completions"
    finish_ends = True
    stream_type = "event-stream"

    def request(
        self, target: Target, credential: str, body: bytes, inbound: Mapping[str, str], *, stream: bool
    ) -> UpstreamRequest:
        del stream
        headers = {"content-type": "application/json", "user-agent": "turnout"}
        for name in _FORWARDED:
            if name in inbound:
                headers[name] = inbound[name]
        for name, value in target.provider.headers.items():
            headers[name.lower()] = value
        if credential:
            headers["authorization"] = f"Bearer {credential}"
        path = quirks_of(target.provider.type).path
        return UpstreamRequest(f"{target.provider.base_url}{path}", headers, body)

    def encode(self, request: ChatRequest, target: Target) -> tuple[bytes, list[str]]:
        body, dropped = encode_body(request, target)
        return msgspec.json.encode(body), dropped

    def classify(self, status: int, headers: Mapping[str, str], body: bytes) -> Failure:
        return classify(status, headers, body)

    def decode(self, body: bytes) -> ChatAnswer | Failure:
        answer = read_answer(body)
        if isinstance(answer, Failure):
            return answer
        assert answer.choices, "read_answer refuses answers without choices"
        choice = answer.choices[0]
        message = choice.message or WireMessage()
        return ChatAnswer(
            id=answer.id or "",
            parts=_parts(answer, message, tokens_told(choice.logprobs)),
            native_finish_reason=choice.finish_reason or "",
            finish_reason=finish_of(
                choice.finish_reason, called=bool(calls_of(message)), refused=bool(message.refusal)
            ),
            usage=to_usage(answer.usage, tier_told(answer.service_tier)) if answer.usage is not None else None,
            created=int(answer.created or 0),
        )

    def decoder(self) -> StreamDecoder:
        return OpenAiStreamDecoder()


def read_answer(body: bytes) -> WireAnswer | Failure:
    """A whole answer that is one: JSON, no error inside, at least one choice, not empty."""
    try:
        answer = decode_answer(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        error = error_object(body)
        return in_stream(error) if isinstance(error, Mapping) and ("code" in error or "type" in error) else NOT_PROTOCOL
    if answer.error:
        return in_stream(answer.error)
    if not answer.choices:
        return NOT_PROTOCOL
    if broke_off(answer):
        return BROKE_OFF
    return EMPTY if is_empty(answer) else answer


def broke_off(answer: WireAnswer) -> bool:
    """Whether an answer or chunk says that the model ended in an error, and nothing about which."""
    for choice in answer.choices or ():  # noqa: SIM110 - asked of every chunk, and a generator costs more
        if choice.finish_reason == "error":
            return True
    return False


def _parts(answer: WireAnswer, message: WireMessage, logprobs: tuple[Mapping[str, Any], ...]) -> tuple[AnswerPart, ...]:
    parts: list[AnswerPart] = [*_thoughts(message)]
    cited = tuple(citations_of(message)) or tuple(sources_of(answer))
    for text in (text_of(message.content), message.refusal):
        if text:
            parts.append(Text(text, citations=cited, logprobs=logprobs))
            cited, logprobs = (), ()
    parts += images_of(message)
    audio = message.audio
    if audio is not None and (audio.data or audio.transcript):
        parts.append(Audio(audio.data or "", transcript=audio.transcript or "", id=audio.id or ""))
    for index, call in enumerate(calls_of(message)):
        proof = google_proof(call.extra_content)
        parts.append(ToolCall(call.id or f"call_{index}", _name(call), _arguments(call), proof))
    return tuple(parts)


def _thoughts(message: WireMessage) -> list[Thinking]:
    """Reasoning as one text; a proof goes with it where there is one, further ones stand for themselves."""
    text = thought_of(message)
    proofs = [*proofs_of(message)] if message.reasoning_details or message.extra_content else []
    if not text:
        return proofs
    if not proofs:
        return [Thinking(text)]
    return [changed(proofs[0], text=text), *proofs[1:]]


def _name(call: WireToolCall) -> str:
    return (call.function.name if call.function is not None else None) or ""


def _arguments(call: WireToolCall) -> str:
    arguments = call.function.arguments if call.function is not None else None
    if isinstance(arguments, dict):
        # Some compatible servers send an object where the protocol has text.
        return msgspec.json.encode(arguments).decode()
    return arguments or ""


@dataclass(slots=True)
class _Call:
    """A tool call of a stream: its number on the wire, its place among ours, whether arguments came."""

    number: int
    index: int
    id: str
    spoken: bool = False


class OpenAiStreamDecoder:
    """Decodes one stream.

    The terminal event is `[DONE]`. Servers that leave it out end after a chunk with a finish
    reason; a clean end after that counts as whole, an end before it as truncated. Servers that
    give no finish reason count the tokens in a chunk of its own before `[DONE]`.
    """

    def __init__(self) -> None:
        self._parser = SseParser()
        self._started = False
        self._finished = False
        self._counted = False
        self._tier: Any = None
        self._over = False
        self._refused = False
        self._calls: list[_Call] = []
        self._sources: WireAnswer | None = None

    def feed(self, data: bytes) -> Sequence[StreamEvent]:
        if self._over:
            return ()
        out: list[StreamEvent] = []
        try:
            events = self._parser.feed(data)
        except SseOverflow as error:
            return [self._fail(Failure(FailureKind.BAD_RESPONSE, str(error)))]
        for event in events:
            if event.data.startswith(DONE):
                self._end(out, whole=self._finished or self._counted)
                return out
            if event.event == ERROR:
                out.append(self._fail(in_stream(error_object(event.data))))
                return out
            try:
                chunk = decode_answer(event.data)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                out.append(self._fail(NOT_JSON))
                return out
            if chunk.error:
                out.append(self._fail(in_stream(chunk.error)))
                return out
            if broke_off(chunk):
                out.append(self._fail(BROKE_OFF))
                return out
            self._read(chunk, out)
            if self._over:
                return out
        return out

    def _end(self, out: list[StreamEvent], *, whole: bool) -> None:
        self._over = True
        if whole and not self._finished:
            self._finish(None, out)
        out.append(Terminal() if whole else Failed(TRUNCATED))

    def _finish(self, reason: str | None, out: list[StreamEvent]) -> None:
        out.extend(self._unspoken())
        if self._sources is not None:
            out.extend(CitationDelta(citation) for citation in sources_of(self._sources))
        finish = finish_of(reason, called=bool(self._calls), refused=self._refused)
        out.append(Finished(finish, native=reason or ""))

    def _fail(self, failure: Failure) -> Failed:
        self._over = True
        return Failed(failure)

    def _read(self, chunk: WireAnswer, out: list[StreamEvent]) -> None:
        # Azure says what it filtered before the answer begins, in a chunk without an id.
        if not self._started and (chunk.id or chunk.choices):
            self._started = True
            out.append(Started(chunk.id or "", created=int(chunk.created or 0)))
        for choice in chunk.choices or ():
            if choice.index or self._over:
                continue  # other dialects have one answer
            if choice.delta is not None:
                self._read_delta(choice.delta, tokens_told(choice.logprobs), out)
            if choice.finish_reason:
                self._finished = True
                self._finish(choice.finish_reason, out)
        if chunk.search_results:
            self._sources = chunk  # every chunk tells them anew, and later ones more of them
        if chunk.service_tier is not None:
            self._tier = chunk.service_tier
        if chunk.usage is not None:
            self._counted = self._counted or not chunk.choices
            out.append(UsageReported(to_usage(chunk.usage, tier_told(self._tier))))

    def _read_delta(self, delta: WireMessage, logprobs: tuple[Mapping[str, Any], ...], out: list[StreamEvent]) -> None:
        thought = thought_of(delta)
        if thought:
            out.append(ThinkingDelta(thought))
        if delta.reasoning_details or delta.extra_content:
            out.extend(
                ThinkingDelta(signature=p.signature, redacted=p.redacted, vendor=p.vendor, id=p.id)
                for p in proofs_of(delta)
            )
        self._refused |= bool(delta.refusal)
        for text in (text_of(delta.content), delta.refusal):
            if text:
                out.append(TextDelta(text, logprobs))
                logprobs = ()
        self._read_media(delta, out)
        for position, call in enumerate(calls_of(delta)):
            self._read_call(call, call.index if call.index is not None else position, out)

    def _read_media(self, delta: WireMessage, out: list[StreamEvent]) -> None:
        if delta.annotations or isinstance(delta.content, list):
            out.extend(CitationDelta(citation) for citation in citations_of(delta))
        if delta.images is not NOTHING:
            out.extend(ImageDelta(image) for image in images_of(delta))
        audio = delta.audio
        if audio is not None and (audio.data or audio.transcript or audio.id):
            out.append(AudioDelta(audio.data or "", audio.transcript or "", audio.id or ""))

    def _read_call(self, wire: WireToolCall, number: int, out: list[StreamEvent]) -> None:
        """A piece of a tool call. Some servers number all calls 0; then a fresh id with a name begins another one."""
        call = next((c for c in reversed(self._calls) if c.number == number), None)
        if call is None or (wire.id and wire.id != call.id and _name(wire)):
            out.extend(self._unspoken())
            call = _Call(number, len(self._calls), wire.id or f"call_{len(self._calls)}")
            self._calls.append(call)
            out.append(ToolCallStarted(call.index, call.id, _name(wire), google_proof(wire.extra_content)))
        arguments = _arguments(wire)
        if not arguments:
            return
        if call is not self._calls[-1]:
            # No dialect of ours can go back to a call; half a call must not pass for a whole one.
            told = "the stream goes back to a tool call after the next one has begun"
            out.append(self._fail(Failure(FailureKind.BAD_RESPONSE, told)))
            return
        call.spoken = True
        out.append(ToolCallDelta(call.index, arguments))

    def _unspoken(self) -> list[StreamEvent]:
        """The last tool call's arguments, if it came without any: an empty object, as everybody else writes it."""
        last = self._calls[-1] if self._calls else None
        if last is None or last.spoken:
            return []
        last.spoken = True
        return [ToolCallDelta(last.index, "{}")]

    def end(self) -> Sequence[StreamEvent]:
        if self._over:
            return ()
        out: list[StreamEvent] = []
        if self._parser.rest().strip():
            out.extend(self.feed(b"\n\n"))
            if self._finished and out and out[-1] == Failed(NOT_JSON):
                # Half an event behind the finish reason, such as a piece of [DONE]: it is dropped, as SSE says.
                out.pop()
                self._over = False
        if not self._over:
            self._end(out, whole=self._finished)
        return out
