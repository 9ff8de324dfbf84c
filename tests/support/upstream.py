"""A hostile provider on raw asyncio: answers by script, byte by byte, and keeps a journal.

A script is a list of steps for each connection's next request: bytes to write,
`Pause` (until the test says go), `Trickle`, `Reset`, `Close`. It knows what other mocks
cannot do: resets at every phase, cuts inside chunks, silence, one byte at a time.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Pause:
    """Say nothing until the connection ends or `go` is set."""

    go: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(frozen=True, slots=True)
class Trickle:
    """Write `data` in pieces of `size` bytes, `every` seconds apart.

    Attributes:
        forever: Begin anew at its end, until the connection ends.
    """

    data: bytes
    size: int = 1
    every: float = 0.0
    forever: bool = False

    @property
    def pieces(self) -> list[bytes]:
        return [self.data[at : at + self.size] for at in range(0, len(self.data), self.size)]


class Reset:
    """End the connection with a TCP reset."""


class Close:
    """End the connection."""


Step = bytes | Pause | Trickle | type[Reset] | type[Close]


@dataclass(slots=True)
class Seen:
    """One request that arrived.

    Attributes:
        ended: Its script is over, or its connection.
        at: When it arrived, and `answered` when the first bytes were written; monotonic seconds.
    """

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    at: float = 0.0
    answered: float = 0.0

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Upstream:
    """The server.

    Args:
        choose: The script of a request, for servers that do not go by turns.
    """

    def __init__(self, choose: Callable[[Seen], Sequence[Step]] | None = None) -> None:
        self._choose = choose or self._by_turns
        self.journal: list[Seen] = []
        self.arrived = asyncio.Event()
        self.port = 0
        self._scripts: list[Sequence[Step]] = []
        self._default: Sequence[Step] = ()
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def script(self, *scripts: Sequence[Step]) -> None:
        """Scripts for the next requests, in order; the last one goes on for ever."""
        self._scripts = list(scripts)

    def _by_turns(self, seen: Seen) -> Sequence[Step]:
        del seen
        return self._scripts.pop(0) if len(self._scripts) > 1 else self._scripts[0]

    @property
    def connections(self) -> int:
        """Connections that are open now."""
        return len(self._writers)

    def release(self, pause: Pause) -> None:
        """Let a paused script go on; from any thread."""
        assert self._server is not None, "started before"
        self._server.get_loop().call_soon_threadsafe(pause.go.set)

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        seen: Seen | None = None
        try:
            while (seen := await self._read(reader)) is not None:
                self.journal.append(seen)
                self.arrived.set()
                script = self._choose(seen)
                seen.answered = time.monotonic()
                if not await self._play(script, reader, writer):
                    break
                seen.ended.set()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            if seen is not None:
                seen.ended.set()
            self._writers.discard(writer)
            writer.transport.abort()

    async def _read(self, reader: asyncio.StreamReader) -> Seen | None:
        head = await reader.readuntil(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        method, path, _ = first.split(" ", 2)
        headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines if line)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        return Seen(method, path, headers, body, at=time.monotonic())

    async def _play(self, script: Sequence[Step], reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Perform a script; whether the connection goes on."""
        for step in script:
            if isinstance(step, bytes):
                writer.write(step)
                await writer.drain()
            elif isinstance(step, Pause):
                if not await _paused(step, reader):
                    return False
            elif isinstance(step, Trickle):
                if not await _trickled(step, reader, writer):
                    return False
            elif step is Reset:
                raw = writer.get_extra_info("socket")
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                writer.transport.abort()
                return False
            else:
                writer.close()
                return False
        return True


async def _paused(step: Pause, reader: asyncio.StreamReader) -> bool:
    gone = asyncio.ensure_future(reader.read(1))
    go = asyncio.ensure_future(step.go.wait())
    done, pending = await asyncio.wait({gone, go}, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    await asyncio.gather(gone, go, return_exceptions=True)
    return go in done


async def _trickled(step: Trickle, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    """Write piece by piece; whether the connection goes on."""
    gone = asyncio.ensure_future(reader.read(1))
    pieces, turns = step.pieces, 0
    try:
        while turns < len(pieces) or step.forever:
            writer.write(pieces[turns % len(pieces)])
            turns += 1
            await writer.drain()
            done, _ = await asyncio.wait({gone}, timeout=step.every)
            if done:
                return False
        return True
    finally:
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)


@asynccontextmanager
async def running_upstream(choose: Callable[[Seen], Sequence[Step]] | None = None) -> AsyncIterator[Upstream]:
    found = Upstream(choose)
    await found.start()
    try:
        yield found
    finally:
        await found.stop()


def whole(status: int, body: Any, **headers: str) -> bytes:
    """A whole JSON answer."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} X", "content-type: application/json", f"content-length: {len(data)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + data


STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
STREAM_END = b"0\r\n\r\n"


def chunk(data: bytes) -> bytes:
    """One HTTP chunk."""
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def openai_answer(text: str = "Hello there", **more: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": text, "refusal": None}
    usage = {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    base = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
    return {**base, "usage": usage, **more}


def openai_events(*texts: str, usage: bool = True) -> list[bytes]:
    """The frames of an OpenAI stream."""

    def frame(choices: list[Any], **more: Any) -> bytes:
        base = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
        return b"data: " + json.dumps({**base, "choices": choices, **more}).encode() + b"\n\n"

    def choice(delta: Any, finish: str | None = None) -> list[Any]:
        return [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]

    frames = [frame(choice({"role": "assistant", "content": ""}))]
    frames += [frame(choice({"content": text})) for text in texts]
    frames.append(frame(choice({}, "stop")))
    if usage:
        frames.append(
            frame([], usage={"prompt_tokens": 9, "completion_tokens": len(texts), "total_tokens": 9 + len(texts)})
        )
    frames.append(b"data: [DONE]\n\n")
    return frames


def responses_answer(text: str = "Hello there", **more: Any) -> dict[str, Any]:
    """A whole answer of OpenAI's Responses API."""
    usage = {
        "input_tokens": 9,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": 4,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 13,
    }
    base = {"id": "resp_1", "object": "response", "created_at": 1, "status": "completed", "model": "m", "error": None}
    echo = {"incomplete_details": None, "metadata": {}, "parallel_tool_calls": True, "tool_choice": "auto", "tools": []}
    return {**base, **echo, "output": [responses_message(text)], "usage": usage, **more}


def responses_message(text: str, status: str = "completed") -> dict[str, Any]:
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    return {"id": "msg_1", "type": "message", "status": status, "role": "assistant", "content": [part] if text else []}


def responses_events(*texts: str, **more: Any) -> list[bytes]:
    """The frames of a stream of OpenAI's Responses API; `more` goes into the last response."""
    number = -1

    def frame(name: str, **body: Any) -> bytes:
        nonlocal number
        number += 1
        value = {"type": f"response.{name}", "sequence_number": number, **body}
        return f"event: response.{name}\ndata: {json.dumps(value)}\n\n".encode()

    whole, at = "".join(texts), {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    empty = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
    begun = responses_answer(status="in_progress", output=[], usage=None)
    frames = [frame("created", response=begun), frame("in_progress", response=begun)]
    frames.append(frame("output_item.added", output_index=0, item=responses_message("", "in_progress")))
    frames.append(frame("content_part.added", **at, part=empty))
    frames += [frame("output_text.delta", **at, delta=text, logprobs=[]) for text in texts]
    frames.append(frame("output_text.done", **at, text=whole, logprobs=[]))
    frames.append(frame("content_part.done", **at, part={**empty, "text": whole}))
    frames.append(frame("output_item.done", output_index=0, item=responses_message(whole)))
    frames.append(frame("completed", response=responses_answer(whole, **more)))
    return frames


def anthropic_answer(text: str = "Hello there") -> dict[str, Any]:
    usage = {"input_tokens": 9, "output_tokens": 4}
    content = [{"type": "text", "text": text}]
    base = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": content}
    return {**base, "stop_reason": "end_turn", "stop_sequence": None, "usage": usage}


def anthropic_events(*texts: str) -> list[bytes]:
    """The frames of an Anthropic stream."""

    def frame(name: str, **body: Any) -> bytes:
        return f"event: {name}\ndata: {json.dumps({'type': name, **body})}\n\n".encode()

    message = {
        **anthropic_answer(),
        "content": [],
        "stop_reason": None,
        "usage": {"input_tokens": 9, "output_tokens": 1},
    }
    frames = [frame("message_start", message=message)]
    frames.append(frame("content_block_start", index=0, content_block={"type": "text", "text": ""}))
    frames += [frame("content_block_delta", index=0, delta={"type": "text_delta", "text": t}) for t in texts]
    frames.append(frame("content_block_stop", index=0))
    delta = {"stop_reason": "end_turn", "stop_sequence": None}
    frames.append(frame("message_delta", delta=delta, usage={"output_tokens": len(texts)}))
    frames.append(frame("message_stop"))
    return frames


def google_answer(text: str = "Hello there", finish: str | None = "STOP", tokens: int = 4) -> dict[str, Any]:
    """A whole answer of Gemini's, or a chunk of its stream; tokens: 0: it counts none but the prompt's."""
    content = {"parts": [{"text": text}], "role": "model"}
    candidate = {"content": content, "index": 0, **({"finishReason": finish} if finish else {})}
    made = {"candidatesTokenCount": tokens} if tokens else {}
    usage = {"promptTokenCount": 9, **made, "totalTokenCount": 9 + tokens}
    return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "m", "responseId": "resp-1"}


def google_events(*texts: str) -> list[bytes]:
    """The frames of a Gemini stream: an empty piece, the texts, the finish reason, and a late count of tokens."""
    counted = google_answer("", None, len(texts))
    chunks = [google_answer("", None, 0), *(google_answer(text, None, 0) for text in texts)]
    chunks += [google_answer("", "STOP", 0), {name: v for name, v in counted.items() if name != "candidates"}]
    return [b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks]


def streamed(frames: Sequence[bytes]) -> list[Step]:
    """A script that streams frames, each in a chunk of its own, to a clean end."""
    return [STREAM_HEAD, *(chunk(f) for f in frames), STREAM_END]
