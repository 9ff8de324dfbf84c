"""What a provider can do wrong at an operation, as a table: every ending at every phase, for every form of answer.

A `Form` says how an operation is asked for and what a good answer looks like on the wire, in pieces. The
endings are those of chat (`evil.py`) as far as they make sense where there are no events.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from services.core.errors import FailureKind as K
from tests.support.upstream import STREAM_END, STREAM_HEAD, Close, Pause, Reset, Step, chunk, whole

SOUND = b"ID3" + bytes(range(256)) * 8
GOOD_SOUND = b"ID3good" + bytes(1000)
BOUNDARY = "form-boundary"


def head(kind: str) -> bytes:
    return f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ntransfer-encoding: chunked\r\n\r\n".encode()


def event(value: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(value)}\n\n".encode()


def line(sound: bytes) -> bytes:
    return json.dumps({"result": {"audioContent": base64.b64encode(sound).decode()}}).encode() + b"\n"


def body_json(**more: Any) -> Callable[[str, str], tuple[bytes, str]]:
    def made(model: str, fallback: str) -> tuple[bytes, str]:
        return json.dumps({"model": model, "models": [fallback], **more}).encode(), "application/json"

    return made


def body_tts(model: str, fallback: str) -> tuple[bytes, str]:
    made = {"modelId": model, "models": [fallback], "text": "Say it.", "voiceId": "v"}
    return json.dumps(made).encode(), "application/json"


def body_form(**more: str) -> Callable[[str, str], tuple[bytes, str]]:
    def made(model: str, fallback: str) -> tuple[bytes, str]:
        out = b""
        for name, value in {"model": model, "models[]": fallback, **more}.items():
            out += f'--{BOUNDARY}\r\ncontent-disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        file = f'--{BOUNDARY}\r\ncontent-disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'.encode()
        return out + file + b"RIFF\r\n--" + f"{BOUNDARY}--\r\n".encode(), f"multipart/form-data; boundary={BOUNDARY}"

    return made


@dataclass(frozen=True, slots=True)
class Form:
    """One form of answer.

    Attributes:
        pieces: A good answer's body; in a stream the first piece shows content.
        shown: What the caller has of the evil answer after its first piece.
        good: The body of the good target's answer; and `whole`, how the caller knows that it is that one.
        kind: "json", "text", "events", "lines" or "bytes".
    """

    name: str
    api: str
    path: str
    provider: str
    ask: Callable[[str, str], tuple[bytes, str]]
    head: bytes
    pieces: tuple[bytes, ...]
    good: tuple[bytes, ...]
    whole: bytes
    kind: str
    shown: bytes = b""
    error: bytes = b""

    @property
    def streams(self) -> bool:
        return self.kind in {"events", "bytes", "lines"}


def _json(
    name: str, api: str, path: str, ask: Any, value: Any, good: Any, marker: bytes, provider: str = "openai"
) -> Form:
    body = json.dumps(value).encode()
    half = len(body) // 2
    goods = (json.dumps(good).encode(),)
    return Form(
        name, api, path, provider, ask, head("application/json"), (body[:half], body[half:]), goods, marker, "json"
    )


def _events(name: str, api: str, path: str, ask: Any, part: Any, last: Any) -> Form:
    first, second = event(part), event({**part, "second": True})
    error = event({"error": {"message": "m", "type": "server_error"}})
    good = (event({**part, "good": True}), event({**last, "good": True}))
    pieces = (first, second, event(last))
    return Form(
        name, api, path, "openai", ask, STREAM_HEAD, pieces, good, b'"good":', "events", first, error
    )  # fmt: skip


def _tts(name: str, provider: str, kind: bytes, pieces: Any, good: bytes, error: bytes = b"") -> Form:
    """Inworld's lines, which the caller gets whoever speaks."""
    path, shown = "/tts/v1/voice:stream", SOUND[:3]
    return Form(
        name, "inworld.speech", path, provider, body_tts, kind, pieces, (good,), GOOD_SOUND, "lines", shown, error
    )


def sound_of(lines: bytes) -> bytes:
    """The sound in whole lines; an error has none."""
    found = [json.loads(text).get("result", {}) for text in lines.splitlines()]
    return b"".join(base64.b64decode(each.get("audioContent", "")) for each in found)


ROW = {"object": "embedding", "index": 0, "embedding": [0.5, 1.5]}
VOICE = {"input": "Say it.", "voice": "v"}
FORMS: tuple[Form, ...] = (
    _json("embeddings", "embeddings", "/v1/embeddings", body_json(input="a"), {"data": [ROW]}, {"data": [{**ROW, "good": 1}]}, b'"good"'),
    _json("moderations", "moderations", "/v1/moderations", body_json(input="a"), {"results": [{"flagged": True}]}, {"results": [{"good": 1}]}, b'"good"'),
    _json("images", "images", "/v1/images/generations", body_json(prompt="a"), {"data": [{"url": "u"}]}, {"data": [{"url": "good"}]}, b'"good"'),
    _json("transcription", "audio.transcriptions", "/v1/audio/transcriptions", body_form(), {"text": "evil words"}, {"text": "good"}, b'"good"'),
    _json("translation", "audio.translations", "/v1/audio/translations", body_form(), {"text": "evil words"}, {"text": "good"}, b'"good"'),
    _json("count", "messages.count_tokens", "/v1/messages/count_tokens", body_json(messages=[]), {"input_tokens": 12345}, {"input_tokens": 7}, b'"input_tokens":7', "anthropic"),
    Form("text", "audio.transcriptions", "/v1/audio/transcriptions", "openai", body_form(response_format="text"), head("text/plain"), (b"evil ", b"words"), (b"good words",), b"good words", "text"),
    Form("speech", "audio.speech", "/v1/audio/speech", "openai", body_json(**VOICE), head("audio/mpeg"), (SOUND[:3], SOUND[3:900], SOUND[900:]), (GOOD_SOUND,), GOOD_SOUND, "bytes", SOUND[:3]),
    Form(
        "voice", "audio.speech", "/v1/audio/speech", "inworld_tts", body_json(**VOICE), head("application/json"),
        (line(SOUND[:3]), line(SOUND[3:900]), line(SOUND[900:])), (line(GOOD_SOUND),), GOOD_SOUND, "bytes", SOUND[:3],
        b'{"error":{"code":13,"message":"m"}}\n',
    ),
    _tts("tts", "inworld_tts", head("application/json"), (line(SOUND[:3]), line(SOUND[3:900]), line(SOUND[900:])), line(GOOD_SOUND), b'{"error":{"code":13,"message":"m"}}\n'),
    _tts("tts-elsewhere", "openai", head("audio/mpeg"), (SOUND[:3], SOUND[3:900], SOUND[900:]), GOOD_SOUND),
    _json(
        "tts-whole", "inworld.speech", "/tts/v1/voice", body_tts, {"audioContent": "ZXZpbA=="}, {"audioContent": "Z29vZA=="}, b'"Z29vZA=="',
        "inworld_tts",
    ),
    _events("speech-events", "audio.speech", "/v1/audio/speech", body_json(**VOICE, stream_format="sse"), {"type": "speech.audio.delta", "audio": "aGk="}, {"type": "speech.audio.done"}),
    _events("image-events", "images", "/v1/images/generations", body_json(prompt="a", stream=True), {"type": "image_generation.partial_image", "b64_json": "aGk="}, {"type": "image_generation.completed", "b64_json": "aGk="}),
    _events("transcript-events", "audio.transcriptions", "/v1/audio/transcriptions", body_form(stream="true"), {"type": "transcript.text.delta", "delta": "a"}, {"type": "transcript.text.done", "text": "a"}),
)  # fmt: skip

BROKEN_OFF = frozenset({K.DISCONNECTED, K.CONNECT_FAILED, K.BAD_RESPONSE, K.STREAM_TRUNCATED})
TIMEOUTS = frozenset(kind for kind in K if kind.value.endswith("_TIMEOUT"))


@dataclass(frozen=True, slots=True)
class Fault:
    """One row: `fate` is "next", "stop" or "broken"."""

    name: str
    script: Callable[[Pause], Sequence[Step]]
    kinds: frozenset[K]
    fate: str = "next"
    status: int = 200


ENDINGS: tuple[tuple[str, tuple[Step, ...], frozenset[K]], ...] = (
    ("reset", (Reset,), BROKEN_OFF),
    ("close", (Close,), BROKEN_OFF),
    ("half-chunk", (b"ff\r\nhalf", Close), BROKEN_OFF),
    ("bad-chunk", (b"zz\r\nwhat\r\n", Pause()), BROKEN_OFF),
    ("hang", (Pause(),), TIMEOUTS),
)


def faults(form: Form) -> list[Fault]:
    """The rows of one form."""
    return [*_cuts(form), *_statuses(), *_shapes(form)]


def _cuts(form: Form) -> list[Fault]:
    found = [_early(f"{name}-at-request", [], steps, kinds) for name, steps, kinds in ENDINGS if "chunk" not in name]
    # Half a chunk of plain sound is content already.
    plain = form.kind in {"bytes", "lines"} and not form.error
    early = [ending for ending in ENDINGS if not (plain and ending[0] == "half-chunk")]
    found += [_early(f"{name}-at-headers", [form.head], steps, kinds) for name, steps, kinds in early]
    if not form.streams:
        half = [form.head, chunk(form.pieces[0])]
        return found + [_early(f"{name}-inside", half, steps, kinds) for name, steps, kinds in ENDINGS]
    ways = [*ENDINGS]
    if form.error:
        told = frozenset({K.SERVER_ERROR, K.STREAM_ERROR})
        ways.append(("error", (chunk(form.error), STREAM_END), told))
        found.append(_early("error-at-headers", [form.head], (chunk(form.error), STREAM_END), told))
    if form.kind == "events" or form.error:
        rest = form.pieces[1][: len(form.pieces[1]) // 2]
        ways += [("end-inside", (chunk(rest), STREAM_END), frozenset({K.STREAM_TRUNCATED, K.BAD_RESPONSE}))]
        ways += [("garbage", (chunk(b"data: {oops\n\n"), STREAM_END), frozenset({K.BAD_RESPONSE}))]
    if form.kind == "events":
        ways += [("end", (STREAM_END,), frozenset({K.STREAM_TRUNCATED}))]
    for name, steps, kinds in ways:
        found.append(_late(f"{name}-after-content", form.head, form.pieces[:1], steps, kinds))
    for name, steps, kinds in ENDINGS:
        found.append(_late(f"{name}-before-last", form.head, form.pieces[:2], steps, kinds))
    return found


def _early(name: str, before: list[Step], steps: Sequence[Step], kinds: frozenset[K]) -> Fault:
    return Fault(name, lambda shown: [*before, *steps], kinds)


def _late(name: str, top: bytes, pieces: Sequence[bytes], steps: Sequence[Step], kinds: frozenset[K]) -> Fault:
    """After the caller has seen the first piece."""
    rest = [chunk(piece) for piece in pieces[1:]]
    return Fault(name, lambda shown: [top, chunk(pieces[0]), shown, *rest, *steps], kinds, "broken")


def _statuses() -> list[Fault]:
    rows = (
        (500, K.SERVER_ERROR, "next"), (503, K.OVERLOADED, "next"), (429, K.RATE_LIMITED, "next"),
        (401, K.CREDENTIALS_REJECTED, "next"), (404, K.MODEL_MISSING, "next"),
        (400, K.INVALID_REQUEST, "stop"), (413, K.REQUEST_TOO_LARGE, "stop"),
    )  # fmt: skip
    error = {"error": {"message": "The upstream reports a problem.", "type": "", "param": None, "code": None}}

    def answer(status: int) -> Callable[[Pause], Sequence[Step]]:
        return lambda shown: [whole(status, error, retry_after="60")]

    return [Fault(f"status-{s}", answer(s), frozenset({kind}), fate, s) for s, kind, fate in rows]


def _shapes(form: Form) -> list[Fault]:
    page = b"<html>not what you think</html>"
    html = f"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: {len(page)}\r\n\r\n".encode() + page
    error = whole(200, {"error": {"message": "m", "type": "server_error", "code": "server_error"}})
    short = b"".join(form.pieces)
    lied = form.head.replace(b"transfer-encoding: chunked", b"content-length: %d" % (len(short) + 9))
    found = [
        Fault("html", lambda shown: [html], frozenset({K.BAD_RESPONSE})),
        Fault("error-in-a-success", lambda shown: [error], frozenset({K.SERVER_ERROR, K.BAD_RESPONSE})),
        Fault(
            "nothing",
            lambda shown: [form.head, STREAM_END],
            frozenset({K.BAD_RESPONSE, K.EMPTY_ANSWER, K.STREAM_TRUNCATED}),
        ),
    ]
    if form.kind == "text":
        found.pop()  # silence has no words
    if not form.streams:
        found.append(Fault("long-length", lambda shown: [lied, short, Close], BROKEN_OFF))
    elif form.kind in {"bytes", "lines"}:
        first, rest = form.pieces[0], short[len(form.pieces[0]) :]
        found.append(Fault("long-length", lambda shown: [lied, first, shown, rest, Close], BROKEN_OFF, "broken"))
    return found
