"""The bridge's own idea of HTTP: what routes are written against, and servers adapt to.

A handler is cancelled, and a stream's iterator closed, as soon as the caller
has gone. A server promises to read no further chunk while the last one waits
for a slow reader.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping

import msgspec

from services.core.values import MutableValue, Value, field

MAX_BODY = 32 * 1024 * 1024
MAX_HEADERS = 100
MAX_HEADER_BYTES = 32 * 1024

JSON = "application/json"


class Request(Value, frozen=True):
    """One request, its body read. `headers` by lower-case name; `query` holds the last value of each name."""

    method: str
    path: str
    headers: Mapping[str, str]
    query: Mapping[str, str]
    body: bytes
    too_large: bool = False
    """True: the body exceeded the limit; it was not kept."""
    raw_query: str = ""
    """The query as it came, where a name may be there more than once."""

    def __repr__(self) -> str:
        """Neither headers nor body: they hold keys and prompts."""
        return f"Request({self.method} {self.path})"


class Response(MutableValue):
    """A whole answer."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


class StreamingResponse(MutableValue):
    """An answer that streams; each chunk is written at once.

    Chunks that end with a `RouterError` broke: the connection has to break, too, since the form of the
    answer has no place for an error.
    """

    status: int
    chunks: AsyncGenerator[bytes, None]
    headers: dict[str, str] = field(default_factory=dict)


Handler = Callable[[Request, Mapping[str, str]], Awaitable[Response | StreamingResponse]]
"""Serves a request; the mapping holds the path's parameters."""

Application = Callable[[Request], Awaitable[Response | StreamingResponse]]
"""What a server serves. Never raises but CancelledError."""


def json_response(status: int, value: object, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer."""
    return Response(status, msgspec.json.encode(value), {"content-type": JSON, **(headers or {})})
