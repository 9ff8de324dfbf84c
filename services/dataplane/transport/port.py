"""The upstream-transport port: one HTTP exchange with a provider.

Rules of the port, proven in `tests/unit/dataplane/transport/`:

1. `open` returns when the response's headers are there. Its two clocks, connect and
   headers, trip apart and under their own names.
2. `read` returns everything that has arrived, as one piece; b"" only at a *clean* end.
   A connection that breaks, or a body shorter than announced, raises.
3. Cancelling the task that awaits `open`, or calling `close`, also after a cancelled
   `read`, closes the socket at once (within 100 ms), unless the answer was read to its end.
4. No redirects, no cookies, no proxies from the environment, no retries, no content
   encoding: `accept-encoding: identity` is sent, an encoded answer raises BAD_RESPONSE.
5. Every failure is a `TransportFailed`; no other exception but CancelledError leaves.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from services.core.errors import Failure, FailureKind
from services.core.values import Value


class UpstreamRequest(Value, frozen=True):
    """One HTTP request to a provider. Its headers hold the credential: neither they nor the body are ever shown.

    Attributes:
        url: Escapes in it are sent exactly as they are written.
        then: Requests to the same provider that are sent one after the other when the answer of the one before is
            whole; their bodies continue this one's. A transport sends this one alone: the attempt sends them.
        seam: Bytes that stand between the bodies.
    """

    url: str
    headers: Mapping[str, str]
    body: bytes
    method: str = "POST"
    then: tuple[UpstreamRequest, ...] = ()
    seam: bytes = b""

    def __repr__(self) -> str:
        """Neither headers nor body: they hold credentials and prompts."""
        return f"UpstreamRequest({self.method} {self.url!r})"


class TransportFailed(Exception):
    """The exchange failed below the provider's protocol; `failure` says how."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


class UpstreamResponse(Protocol):
    """A response whose headers have arrived. Use from one task; always `close` it."""

    @property
    def status(self) -> int:
        """HTTP status."""

    @property
    def headers(self) -> Mapping[str, str]:
        """Headers by lower-case name; the last of repeated ones."""

    async def read(self) -> bytes:
        """Everything that has arrived since the last read; waits for at least one byte; b"" at a clean end."""

    async def read_all(self, limit: int) -> bytes:
        """The whole rest of the body; a body above `limit` bytes raises BAD_RESPONSE."""

    def close(self) -> None:
        """End the exchange: reuse the connection if the body was read to its end, else close the socket now."""


class Transport(Protocol):
    """Opens exchanges. One per process; safe for concurrent use."""

    async def open(self, request: UpstreamRequest, *, connect: float, headers: float) -> UpstreamResponse:
        """Send `request` and wait for the response's headers.

        Args:
            connect: Seconds until the connection must stand.
            headers: Seconds from then until the headers must be there.

        Raises:
            TransportFailed: CONNECT_FAILED, TLS_FAILED, CONNECT_TIMEOUT, HEADERS_TIMEOUT,
                DISCONNECTED or BAD_RESPONSE.
        """

    async def aclose(self) -> None:
        """Close all connections."""


async def gathered(response: UpstreamResponse, limit: int) -> bytes:
    """The whole rest of a response's body, for `read_all`.

    Raises:
        TransportFailed: It is larger than `limit` bytes (BAD_RESPONSE), or what `read` raises.
    """
    pieces: list[bytes] = []
    size = 0
    while data := await response.read():
        size += len(data)
        if size > limit:
            raise TransportFailed(Failure(FailureKind.BAD_RESPONSE, f"the body is larger than {limit:,} bytes"))
        pieces.append(data)
    return b"".join(pieces)
