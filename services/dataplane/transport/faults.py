"""Faults that policy injects: a transport that fails in the ways in which providers fail.

`FaultyTransport` stands before the real transport for one attempt, behind the same port, so
that everything above it (clocks, failover, breakers, records) is rehearsed as it is.

    refuse   no connection: CONNECT_FAILED at once
    status   an answer with an error status and an error body, at once
    hang     the connection stands and nothing comes, until a clock trips
    slow     the answer begins `delay` later, or a clock trips before it does
    cut      the connection breaks after `after_bytes` of the answer's body: DISCONNECTED
    stall    after them nothing comes any more, until a clock trips or the caller leaves

`refuse`, `status` and `hang` never call the provider. The answer of a `slow` one is asked for
after the delay, so that its stream keeps its own pace. Behind a `cut` or a `stall` the real
connection is closed at once: nobody pays for what nobody reads.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping

from services.core.errors import (
    Clock,
    Failure,
    FailureKind,
    timeout_failure,
)
from services.core.policy.rules import FaultRule
from services.core.routing.draw import uniform
from services.dataplane.transport.port import (
    Transport,
    TransportFailed,
    UpstreamRequest,
    UpstreamResponse,
    gathered,
)
from services.runtime.clock import Clock as MachineClock

_TYPES: Mapping[int, str] = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    529: "overloaded_error",
}


def strikes(rule: FaultRule, model: str, header: str, seed: int, number: int) -> bool:
    """Whether `rule` hits attempt `number` at `model`; the same arguments give the same word.

    Args:
        header: Value of the request's x-turnout-fault; empty: it has none.
        seed: The plan's seed.
    """
    if rule.header and rule.header != header:
        return False
    if rule.models and model not in rule.models:
        return False
    return uniform(seed, f"fault/{number}") * 100.0 < rule.percent


class FaultyTransport:
    """The transport of one attempt that is to fail. It does not own the real one."""

    def __init__(self, real: Transport, rule: FaultRule, clock: MachineClock) -> None:
        self._real = real
        self._rule = rule
        self._clock = clock

    async def open(self, request: UpstreamRequest, *, connect: float, headers: float) -> UpstreamResponse:
        rule = self._rule
        if rule.kind == "refuse":
            raise TransportFailed(Failure(FailureKind.CONNECT_FAILED, "no connection: it was refused"))
        if rule.kind == "status":
            return _Refusal(rule.status)
        if rule.kind == "hang" or (rule.kind == "slow" and rule.delay >= headers):
            await self._clock.sleep(headers)
            raise TransportFailed(timeout_failure(Clock.HEADERS, headers))
        if rule.kind == "slow":
            await self._clock.sleep(rule.delay)
            return await self._late(request, connect, headers)
        response = await self._real.open(request, connect=connect, headers=headers)
        return _Cut(response, rule.after_bytes) if rule.kind == "cut" else _Stall(response, rule.after_bytes)

    async def _late(self, request: UpstreamRequest, connect: float, headers: float) -> UpstreamResponse:
        """The real answer after the delay; the headers clock runs on, and trips with its whole length."""
        try:
            return await self._real.open(request, connect=connect, headers=headers - self._rule.delay)
        except TransportFailed as error:
            if error.failure.clock is Clock.HEADERS:
                raise TransportFailed(timeout_failure(Clock.HEADERS, headers)) from error
            raise

    async def aclose(self) -> None:
        """Nothing to close: the real transport is the worker's."""


class _Refusal:
    """An answer with an error status, in words that OpenAI's and Anthropic's clients both read."""

    def __init__(self, status: int) -> None:
        self.status = status
        self.headers: Mapping[str, str] = {"content-type": "application/json"}
        word = _TYPES.get(status, "api_error" if status >= 500 else "invalid_request_error")
        error = {"type": word, "message": "injected by policy", "param": None, "code": None}
        self._body = json.dumps({"type": "error", "error": error}).encode()

    async def read(self) -> bytes:
        body, self._body = self._body, b""
        return body

    async def read_all(self, limit: int) -> bytes:
        del limit
        return await self.read()

    def close(self) -> None:
        """Nothing to close."""


class _Cut:
    """A real answer whose connection breaks after `after` bytes of its body."""

    def __init__(self, response: UpstreamResponse, after: int) -> None:
        self._response = response
        self._left = after
        self.status = response.status
        self.headers = response.headers

    async def read(self) -> bytes:
        if not self._left:
            self._response.close()
            return await self._end()
        data = await self._response.read()
        shown = data[: self._left]
        self._left -= len(shown)
        return shown

    async def _end(self) -> bytes:
        raise TransportFailed(Failure(FailureKind.DISCONNECTED, "the connection broke inside the answer"))

    async def read_all(self, limit: int) -> bytes:
        return await gathered(self, limit)

    def close(self) -> None:
        self._response.close()


class _Stall(_Cut):
    """A real answer that says nothing more after `after` bytes of its body."""

    async def _end(self) -> bytes:
        await asyncio.get_running_loop().create_future()
        raise AssertionError("a stall ends by cancellation alone")
