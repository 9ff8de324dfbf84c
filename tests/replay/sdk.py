"""The official SDKs over canned bytes: their HTTP client, error classes, stream decoders and types, and no network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import anthropic
import httpx2
import openai
from anthropic.types import Message
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response, ResponseStreamEvent

ASKED: Any = [{"role": "user", "content": "Hello"}]
SDK_ERRORS = (openai.APIError, anthropic.APIError)
Headers = Mapping[str, str]


@dataclass(slots=True)
class Canned:
    """A transport whose every answer is the one that is set."""

    status: int = 200
    headers: Headers = field(default_factory=dict)
    body: bytes = b""

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(self.status, headers=dict(self.headers), content=self.body, request=request)


@cache
def _openai() -> tuple[openai.OpenAI, Canned]:
    canned = Canned()
    http = httpx2.Client(transport=httpx2.MockTransport(canned))
    return openai.OpenAI(base_url="http://recorded/v1", api_key="none", max_retries=0, http_client=http), canned


@cache
def _anthropic() -> tuple[anthropic.Anthropic, Canned]:
    canned = Canned()
    http = httpx2.Client(transport=httpx2.MockTransport(canned))
    return anthropic.Anthropic(base_url="http://recorded", api_key="none", max_retries=0, http_client=http), canned


def _set(canned: Canned, status: int, headers: Headers, body: bytes, content_type: str) -> None:
    kept = {n: v for n, v in headers.items() if n in {"retry-after", "retry-after-ms", "x-should-retry"}}
    canned.status, canned.headers, canned.body = status, {**kept, "content-type": content_type}, body


def openai_answer(body: bytes, status: int = 200, headers: Headers | None = None) -> ChatCompletion:
    """What `chat.completions.create` returns, or raises, for a whole answer."""
    client, canned = _openai()
    _set(canned, status, headers or {}, body, "application/json")
    return client.chat.completions.create(model="m", messages=ASKED)


def openai_chunks(body: bytes) -> list[ChatCompletionChunk]:
    """What iterating over the stream gives, or raises."""
    client, canned = _openai()
    _set(canned, 200, {}, body, "text/event-stream")
    return list(client.chat.completions.create(model="m", messages=ASKED, stream=True))


def openai_response(body: bytes, status: int = 200, headers: Headers | None = None) -> Response:
    """What `responses.create` returns, or raises, for a whole answer."""
    client, canned = _openai()
    _set(canned, status, headers or {}, body, "application/json")
    return client.responses.create(model="m", input="Hello")


def openai_events(body: bytes) -> list[ResponseStreamEvent]:
    """What iterating over the stream gives, or raises."""
    client, canned = _openai()
    _set(canned, 200, {}, body, "text/event-stream")
    return list(client.responses.create(model="m", input="Hello", stream=True))


def anthropic_answer(body: bytes, status: int = 200, headers: Headers | None = None) -> Message:
    """What `messages.create` returns, or raises, for a whole answer."""
    client, canned = _anthropic()
    _set(canned, status, headers or {}, body, "application/json")
    return client.messages.create(model="m", messages=ASKED, max_tokens=9)


def anthropic_streamed(body: bytes) -> Any:
    """The message that the SDK's stream helper adds up, or what it raises."""
    client, canned = _anthropic()
    _set(canned, 200, {}, body, "text/event-stream")
    with client.messages.stream(model="m", messages=ASKED, max_tokens=9) as stream:
        stream.until_done()
        return stream.current_message_snapshot


def raised(api: str, body: bytes, status: int, headers: Headers | None = None) -> type[Exception] | None:
    """The class that the SDK of `api` raises for an answer; None: it raises nothing."""
    read: Any = {"chat.completions": openai_answer, "responses": openai_response, "messages": anthropic_answer}[api]
    try:
        read(body, status, headers)
    except SDK_ERRORS as error:
        return type(error)
    return None


def raised_in_stream(api: str, body: bytes) -> type[Exception] | None:
    """The class that the SDK of `api` raises while it reads a stream; None: it raises nothing."""
    readers = {"chat.completions": openai_chunks, "responses": openai_events, "messages": anthropic_streamed}
    read: Any = readers[api]
    try:
        read(body)
    except SDK_ERRORS as error:
        return type(error)
    return None
