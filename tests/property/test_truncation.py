"""A stream that is cut at any byte never passes for a shorter success.

Covered, each at every single byte offset, in every dialect:
  * streams of our own in every wire form: text with characters of several bytes, tool calls, reasoning,
    several answers, CRLF, and endings without a terminal event;
  * recorded streams of real providers below 8 KB (up to five per provider file, spread over the sizes),
    where recordings are at hand (TURNOUT_TRAFFIC);
  * second answers that mend a broken one, continued and resumed;
  * whole answers of our own.
At each offset the stream ends cleanly, as if the provider had closed it: what a proxy's cut looks like when
nothing but the protocol can tell. Cuts that HTTP itself can see are in `tests/e2e/test_matrix.py`.

The rule: the answer either fails, or it is all there: every character and the finish reason of the uncut
one. Only what the protocol lets a provider leave out may be missing then: usage, and OpenAI's [DONE]; Gemini's
streams have no terminal event at all.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pytest
from turnout.inference.v1 import chat_pb2

from services.core.attempts.effects import Kind
from services.core.errors import ChainFailed, Failure, FailureKind
from services.core.policy.provider_types import protocol_of
from services.core.policy.rules import ClockRule
from services.core.policy.snapshot import CompiledProvider, Target
from services.core.routing.plan import Candidate
from services.dataplane.dialects.registry import DIALECTS, TYPED, dialect_of
from services.dataplane.dialects.typed_write import split_events
from services.dataplane.exchange import ChatRequest
from services.dataplane.translation import Emitted, Evidence, InboundRequest, Translation
from tests.replay.traffic import APIS as TYPES
from tests.replay.traffic import PROVIDERS, exchanges, folder
from tests.support.asking import asked_headers, question
from tests.support.evil import TEXTS, whole_body
from tests.support.evil import frames_of as evil_frames
from tests.support.evil_shapes import answer_without_text
from tests.support.streams import frames_of, read_stream, read_typed

WIRES = {
    "openai": "chat.completions",
    "anthropic": "messages",
    "google": "generateContent",
    "bedrock": "converse",
    "responses": "responses",
    "cohere": "cohere",
}
APIS = [dialect.api for dialect in DIALECTS]
LIMIT = 8_192
PER_PROVIDER = 5
EVIDENCE = Evidence({"attempts": []}, 0.5, "p/m", "generation")
CUT = ChainFailed("cut", failure=Failure(FailureKind.STREAM_TRUNCATED, "cut"), status=502)


def candidate(protocol: str) -> Candidate:
    """A provider that is called by the API `protocol`."""
    kind = TYPES.get(protocol, protocol)
    provider = CompiledProvider("p", kind, "http://127.0.0.1:1", protocol=protocol_of(kind))
    return Candidate(Target("p/m", provider, "m", api=protocol), ClockRule())


def inbound(api: str, *, stream: bool = True) -> InboundRequest:
    """A request by a caller of `api`."""
    if api == TYPED.api:
        message = chat_pb2.Message(role="user", parts=[chat_pb2.Part(text="x")])
        request = chat_pb2.ChatRequest(model="p/m", messages=[message])
        return TYPED.read(request.SerializeToString(), {"x-turnout-stream": "true" if stream else "false"})
    return dialect_of(api).read(json.dumps(question(api, stream=stream)).encode(), asked_headers(api, stream=stream))


def translation(api: str, protocol: str, *, stream: bool = True) -> Translation:
    """A translation from a caller of `api` to a provider that speaks `protocol`."""
    return inbound(api, stream=stream).translate(candidate(protocol))


def fork(found: Translation) -> Translation:
    """A copy that goes its own way; what no attempt changes is shared."""
    shared = [v for v in vars(found).values() if isinstance(v, (Candidate, ChatRequest, Mapping)) or hasattr(v, "api")]
    return copy.deepcopy(found, {id(value): value for value in shared})


def has_terminal(api: str, frames: bytes, *, strict: bool) -> bool:
    """Whether a client that has these frames takes them for a whole answer; it has an error if not."""
    if api == TYPED.api:
        events = [_with_record(event) for event in split_events(frames)]
        whole = bool(events) and events[-1].WhichOneof("event") == "end"
        return read_typed(events, None if whole else "cut").whole
    if strict:
        found = read_stream("chat" if api.endswith("chat.completions") else api, frames.decode())
        assert found.whole != bool(found.error)
        return found.whole
    # Real providers name the role in every chunk, or give several answers; only the end matters here.
    event, data = frames_of(frames.decode())[-1]
    if api == "generateContent":
        chunk = json.loads(data)
        whole = any("finishReason" in candidate for candidate in chunk.get("candidates", ()))
        assert whole != ("error" in chunk)
        return whole
    event = event or json.loads(data).get("type", "") if data != "[DONE]" else event
    whole = data == "[DONE]" or event in {"message_stop", "response.completed", "response.incomplete"}
    assert whole != (event == "response.failed" or "error" in json.loads(data if not whole else "{}"))
    return whole


def _with_record(event: chat_pb2.ChatEvent) -> chat_pb2.ChatEvent:
    if event.WhichOneof("event") == "end":
        event.end.record.generation_id = "generation"  # the service fills it in
    return event


def own_streams() -> Iterator[tuple[str, str, bytes]]:
    """(name, protocol, body) of our own streams."""
    for wire, protocol in WIRES.items():
        plain = b"".join(evil_frames(wire, *TEXTS))
        yield f"own-{wire}-text", protocol, plain
        if wire != "bedrock":  # its frames are binary
            yield f"own-{wire}-crlf", protocol, plain.replace(b"\n", b"\r\n")
            yield f"own-{wire}-pings", protocol, b": hm\n\n" + plain.replace(b"\n\n", b"\n\n: hm\n\n")
        for why in ("tool", "thought", "refused"):
            yield f"own-{wire}-{why}", protocol, b"".join(answer_without_text(wire, why, stream=True))
    # A terminal that is left out: the finish reason ends it.
    yield "own-openai-no-done", "chat.completions", b"".join(evil_frames("openai", *TEXTS)[:-1])


def recorded_streams() -> Iterator[tuple[str, str, bytes]]:
    """(name, protocol, body) of recorded streams that ended well."""
    if folder() is None:
        return
    for provider in PROVIDERS:
        # Gemini 1.0 gave a finish reason with every chunk: there a cut cannot be told from an end.
        found = [e for e in exchanges(provider) if e.stream and e.status == 200 and e.body.count(b'"finishReason"') < 2]
        short = sorted((e for e in found if 200 < len(e.body) < LIMIT), key=lambda e: (len(e.body), e.id))
        step = max(1, len(short) // PER_PROVIDER)
        for exchange in short[::step][:PER_PROVIDER]:
            yield exchange.id, exchange.api, exchange.body


@dataclass(frozen=True, slots=True)
class Ended:
    """How a stream that ends at some offset looks to its caller.

    Attributes:
        told: What it said: characters of content and finish reason.
    """

    whole: bool
    told: tuple[int, str]
    frames: bytes


def ended(found: Translation, shown: bytes) -> Ended:
    """The end of a stream whose body ends here; `shown` is what the caller has."""
    progress = found.end()
    frames = shown + progress.frames
    if progress.done:
        frames += found.closing(EVIDENCE)
    else:
        assert progress.failure is not None, "an end is good or bad"
        frames += found.broken(CUT, EVIDENCE)
    return Ended(progress.done, (found.facts.chars, found.facts.finish_reason), frames)


def cuts(found: Translation, body: bytes) -> Iterator[tuple[int, Ended]]:
    """The end at every offset, up to the first one at which the stream is over by itself."""
    shown = b""
    for offset in range(len(body) + 1):
        yield offset, ended(fork(found), shown)
        progress = found.feed(body[offset : offset + 1])
        shown += progress.frames
        if progress.done or progress.failure is not None:
            return


def uncut(found: Translation, body: bytes) -> Ended | None:
    """The end of the whole stream; None: it fails by itself."""
    progress = found.feed(body)
    if progress.done:
        told = (found.facts.chars, found.facts.finish_reason)
        return Ended(True, told, progress.frames + found.closing(EVIDENCE))
    end = ended(found, progress.frames) if progress.failure is None else None
    return end if end is not None and end.whole else None


STREAMS = [*own_streams(), *recorded_streams()]


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize(("name", "protocol", "body"), STREAMS, ids=lambda v: v if isinstance(v, str) else "")
def test_a_cut_at_any_byte_never_passes_for_a_shorter_success(name: str, protocol: str, body: bytes, api: str) -> None:
    whole = uncut(translation(api, protocol), body)
    strict = name.startswith("own-")
    assert whole is not None or not strict, "our own streams are good"
    read_at = -1
    offset = 0
    for offset, end in cuts(translation(api, protocol), body):
        if end.whole:
            assert whole is not None, f"cut at {offset}, a stream that fails is whole"
            assert end.told == whole.told, f"cut at {offset}"
        if end.whole or len(end.frames) != read_at:
            read_at = len(end.frames)
            assert has_terminal(api, end.frames, strict=strict) is end.whole, f"cut at {offset}"
    assert offset > 0.5 * len(body), "most offsets come before the end"


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("kind", [Kind.CONTINUE, Kind.RESUME])
def test_a_second_answer_that_is_cut_at_any_byte_mends_nothing(kind: Kind, wire: str, api: str) -> None:
    text = "".join(TEXTS)
    for size in (3, len(TEXTS[0]), len(text) - 2):
        emitted = Emitted(text[:size], plain=True, response_id="first")
        # One target goes on from the text so far and repeats none of it, the other one says it all again.
        pieces = (text[size:].lstrip(),) if kind is Kind.CONTINUE else TEXTS
        body = b"".join(evil_frames(wire, *pieces))
        again = [inbound(api).mend(candidate(WIRES[wire]), kind, emitted) for _ in range(2)]
        whole = uncut(again[0], body)
        assert whole is not None
        for offset, end in cuts(again[1], body):
            assert has_terminal(api, end.frames, strict=False) is end.whole, offset
            if end.whole:
                assert end.told == whole.told, f"cut at {offset}"


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("wire", WIRES)
def test_a_whole_answer_that_is_cut_at_any_byte_is_no_answer(wire: str, api: str) -> None:
    bodies = [whole_body(wire)]
    bodies += [
        made for why in ("tool", "thought") if isinstance(made := answer_without_text(wire, why, stream=False), bytes)
    ]
    for body in bodies:
        assert translation(api, WIRES[wire], stream=False).answer(body) is None
        for offset in range(len(body)):
            assert translation(api, WIRES[wire], stream=False).answer(body[:offset]) is not None, offset
