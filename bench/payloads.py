"""What callers ask and what the upstream answers: fixed bytes of realistic size.

Requests are 1.5 KB, whole answers 1 KB, streams 64 chunks of about 200 B. A
request may hold `COUNTER` once; the generator writes a running number over it,
of the same width, so that lengths stay what the headers say.
"""

from __future__ import annotations

import json
from typing import Any

REQUEST_BYTES = 1_500
ANSWER_BYTES = 1_000
CHUNK_BYTES = 200
CHUNKS = 64

COUNTER = "@@@@@@@@"
"""Replaced by a number with leading zeros."""

MODEL = "bench-model"
_SYSTEM = "You answer briefly and in the language of the question."
_FILLER = "The train leaves the main track at the turnout and goes on along the other one. "
_USAGE = {"prompt_tokens": 380, "completion_tokens": CHUNKS, "total_tokens": 380 + CHUNKS}


def _padded(build: Any, size: int) -> bytes:
    """The bytes of `build(filler)` with as much filler as makes them `size` long."""
    base = len(_encode(build("")))
    text = (_FILLER * (size // len(_FILLER) + 1))[: max(0, size - base)]
    return _encode(build(text))


def _encode(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def openai_request(model: str, *, stream: bool, **extra: Any) -> bytes:
    """A chat completion; `extra` are further members."""

    def build(text: str) -> dict[str, Any]:
        messages = [{"role": "system", "content": _SYSTEM}, {"role": "user", "content": text}]
        return {"model": model, "messages": messages, "stream": stream, "temperature": 0.2, **extra}

    return _padded(build, REQUEST_BYTES)


def routed_openai(router: str, *, stream: bool) -> bytes:
    """The same for a router: a sticky user and the metadata that its conditions read."""
    facts = {"metadata": {"language": "es", "plan": "pro", "region": "eu"}}
    return openai_request(f"inworld/{router}", stream=stream, user=f"user-{COUNTER}", extra_body=facts)


def routed_anthropic(router: str, *, stream: bool) -> bytes:
    """The same question in Anthropic's dialect."""
    facts = {"metadata": {"language": "es", "plan": "pro", "region": "eu"}}

    def build(text: str) -> dict[str, Any]:
        return {
            "model": f"inworld/{router}",
            "max_tokens": 1024,
            "system": _SYSTEM,
            "messages": [{"role": "user", "content": text}],
            "stream": stream,
            "temperature": 0.2,
            "metadata": {"user_id": f"user-{COUNTER}"},
            "extra_body": facts,
        }

    return _padded(build, REQUEST_BYTES)


def answer() -> bytes:
    """A whole answer."""

    def build(text: str) -> dict[str, Any]:
        return {
            "id": "chatcmpl-bench",
            "object": "chat.completion",
            "created": 1_767_225_600,
            "model": MODEL,
            "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
            "usage": _USAGE,
        }

    return _padded(build, ANSWER_BYTES)


def frames() -> list[bytes]:
    """The events of a stream: `CHUNKS` with content (the first one with the role), and the end as one piece."""

    def chunk(text: str, number: int) -> dict[str, Any]:
        delta = {"content": text} if number else {"role": "assistant", "content": text}
        return _chunk([{"index": 0, "delta": delta, "finish_reason": None}])

    content = [
        b"data: " + _padded(lambda text, n=number: chunk(text, n), CHUNK_BYTES) + b"\n\n" for number in range(CHUNKS)
    ]
    finish = _chunk([{"index": 0, "delta": {}, "finish_reason": "stop"}])
    usage = {**_chunk([]), "usage": _USAGE}
    end = b"data: " + _encode(finish) + b"\n\ndata: " + _encode(usage) + b"\n\ndata: [DONE]\n\n"
    return [*content, end]


def _chunk(choices: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "id": "chatcmpl-bench",
        "object": "chat.completion.chunk",
        "created": 1_767_225_600,
        "model": MODEL,
        "choices": choices,
    }


def http_request(port: int, path: str, body: bytes, headers: dict[str, str] | None = None) -> bytes:
    """A whole POST as bytes."""
    head = {
        "Host": f"127.0.0.1:{port}",
        "Content-Type": "application/json",
        "User-Agent": "turnout-bench",
        "Accept": "*/*",
        **(headers or {}),
        "Content-Length": str(len(body)),
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
    return f"POST {path} HTTP/1.1\r\n{lines}\r\n".encode() + body
