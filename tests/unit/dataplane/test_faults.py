"""Injected faults keep the transport's port: its clocks, its failures, its prompt cancellation."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Mapping
from dataclasses import dataclass, field, replace

import pytest

from services.core.errors import Clock, Failure, FailureKind
from services.core.policy.rules import FaultRule
from services.dataplane.providers import anthropic_errors, openai_errors
from services.dataplane.rehearsal import marked
from services.dataplane.transport.aiohttp_transport import AiohttpTransport
from services.dataplane.transport.faults import FaultyTransport, strikes
from services.dataplane.transport.port import TransportFailed, UpstreamRequest, UpstreamResponse
from services.runtime.clock import SystemClock
from services.runtime.testing import FakeClock
from tests.support.ports import free_port
from tests.support.upstream import Upstream, openai_events, running_upstream, streamed

REQUEST = UpstreamRequest("http://provider.test/v1", {}, b"{}")


@dataclass
class Answer:
    """A scripted answer of the real transport."""

    pieces: list[bytes]
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    closed: bool = False

    async def read(self) -> bytes:
        return self.pieces.pop(0) if self.pieces else b""

    async def read_all(self, limit: int) -> bytes:
        raise AssertionError(limit)

    def close(self) -> None:
        self.closed = True


@dataclass
class Real:
    """The real transport: answers at once, or fails, and notes its calls."""

    answer: Answer
    failure: Failure | None = None
    calls: list[tuple[float, float]] = field(default_factory=list)

    async def open(self, request: UpstreamRequest, *, connect: float, headers: float) -> UpstreamResponse:
        assert request is REQUEST
        self.calls.append((connect, headers))
        if self.failure is not None:
            raise TransportFailed(self.failure)
        return self.answer

    async def aclose(self) -> None:
        raise AssertionError("the real transport is the worker's")


def faulty(real: Real, clock: FakeClock | SystemClock, kind: str, **rule: object) -> FaultyTransport:
    return FaultyTransport(real, replace(FaultRule(kind), **rule), clock)  # type: ignore[arg-type]


async def failed(work: Awaitable[object]) -> Failure:
    with pytest.raises(TransportFailed) as caught:
        await work
    return caught.value.failure


async def read_to_break(answer: UpstreamResponse) -> tuple[bytes, FailureKind]:
    """What is shown of an answer, and how it breaks."""
    shown = b""
    try:
        while data := await answer.read():
            shown += data
    except TransportFailed as error:
        return shown, error.failure.kind
    raise AssertionError(f"ended cleanly after {shown!r}")


async def test_a_refusal_is_a_failed_connection_and_calls_nobody() -> None:
    real = Real(Answer([]))
    failure = await failed(faulty(real, FakeClock(), "refuse").open(REQUEST, connect=1, headers=1))
    assert (failure.kind, failure.clock, real.calls) == (FailureKind.CONNECT_FAILED, None, [])


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, FailureKind.CREDENTIALS_REJECTED),
        (402, FailureKind.QUOTA_EXHAUSTED),
        (404, FailureKind.MODEL_MISSING),
        (413, FailureKind.REQUEST_TOO_LARGE),
        (422, FailureKind.INVALID_REQUEST),
        (429, FailureKind.RATE_LIMITED),
        (500, FailureKind.SERVER_ERROR),
        (503, FailureKind.OVERLOADED),
        (529, FailureKind.OVERLOADED),
    ],
)
async def test_a_status_is_classified_as_a_providers_own(status: int, kind: FailureKind) -> None:
    real = Real(Answer([]))
    answer = await faulty(real, FakeClock(), "status", status=status).open(REQUEST, connect=1, headers=1)
    body = await answer.read_all(1_000)
    assert (answer.status, json.loads(body)["error"]["message"], real.calls) == (status, "injected by policy", [])
    for codec in (openai_errors, anthropic_errors):
        assert codec.classify(answer.status, answer.headers, body).kind is kind
    assert await answer.read() == b""


@pytest.mark.parametrize(("kind", "delay"), [("hang", 0.0), ("slow", 5.0), ("slow", 3.0)])
async def test_what_does_not_answer_in_time_trips_the_headers_clock_at_its_end(kind: str, delay: float) -> None:
    clock, real = FakeClock(), Real(Answer([]))
    opening = asyncio.ensure_future(faulty(real, clock, kind, delay=delay).open(REQUEST, connect=1, headers=3.0))
    await asyncio.sleep(0)
    clock.advance(2.99)
    await asyncio.sleep(0)
    assert not opening.done()
    clock.advance(0.01)
    failure = await failed(opening)
    assert (failure.kind, failure.clock, real.calls) == (FailureKind.HEADERS_TIMEOUT, Clock.HEADERS, [])
    assert "after 3 s" in failure.message


async def test_a_slow_answer_begins_after_its_delay_and_keeps_what_is_left_of_the_headers_clock() -> None:
    clock, real = FakeClock(), Real(Answer([b"text"]))
    opening = asyncio.ensure_future(faulty(real, clock, "slow", delay=2.0).open(REQUEST, connect=1, headers=3.0))
    await asyncio.sleep(0)
    assert not real.calls, "the answer keeps its own pace: it is asked for after the delay"
    clock.advance(2.0)
    answer = await opening
    assert await answer.read() == b"text"
    assert real.calls == [(1, 1.0)]


@pytest.mark.parametrize("tripped", [Clock.HEADERS, Clock.CONNECT])
async def test_the_clocks_of_a_slow_answer_trip_under_their_own_names(tripped: Clock) -> None:
    kind = FailureKind.CONNECT_TIMEOUT if tripped is Clock.CONNECT else FailureKind.HEADERS_TIMEOUT
    clock, real = FakeClock(), Real(Answer([]), Failure(kind, "tripped after 1 s", clock=tripped))
    opening = asyncio.ensure_future(faulty(real, clock, "slow", delay=2.0).open(REQUEST, connect=1, headers=3.0))
    await asyncio.sleep(0)
    clock.advance(2.0)
    failure = await failed(opening)
    assert (failure.kind, failure.clock) == (kind, tripped)
    assert f"after {1 if tripped is Clock.CONNECT else 3} s" in failure.message


@pytest.mark.parametrize("pieces", [[b"abcdefgh"], [b"abc", b"defgh"], [b"ab", b"cd", b"ef"], [b"abcde", b"f"]])
async def test_a_cut_shows_exactly_its_bytes_and_closes_the_real_connection(pieces: list[bytes]) -> None:
    real = Real(Answer(pieces))
    answer = await faulty(real, FakeClock(), "cut", after_bytes=5).open(REQUEST, connect=1, headers=1)
    assert await read_to_break(answer) == (b"abcde", FailureKind.DISCONNECTED)
    assert real.answer.closed


async def test_a_cut_breaks_a_whole_answer_and_a_short_one_ends_well() -> None:
    transport = faulty(Real(Answer([b"abc", b"def"])), FakeClock(), "cut", after_bytes=5)
    answer = await transport.open(REQUEST, connect=1, headers=1)
    assert (await failed(answer.read_all(100))).kind is FailureKind.DISCONNECTED
    short = faulty(Real(Answer([b"abc"])), FakeClock(), "cut", after_bytes=5)
    assert await (await short.open(REQUEST, connect=1, headers=1)).read_all(100) == b"abc"
    large = faulty(Real(Answer([b"abc", b"def"])), FakeClock(), "cut", after_bytes=50)
    answer = await large.open(REQUEST, connect=1, headers=1)
    assert (await failed(answer.read_all(5))).kind is FailureKind.BAD_RESPONSE


async def test_a_stall_says_nothing_until_it_is_cancelled() -> None:
    real = Real(Answer([b"abc", b"def"]))
    answer = await faulty(real, FakeClock(), "stall", after_bytes=3).open(REQUEST, connect=1, headers=1)
    assert await answer.read() == b"abc"
    reading = asyncio.ensure_future(answer.read())
    done, _ = await asyncio.wait({reading}, timeout=0.02)
    assert not done
    assert real.answer.closed, "nobody pays for what nobody reads"
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading


@pytest.mark.parametrize("kind", ["hang", "slow"])
async def test_an_opening_is_cancelled_at_once(kind: str) -> None:
    opening = asyncio.ensure_future(
        faulty(Real(Answer([])), SystemClock(), kind, delay=60.0).open(REQUEST, connect=100, headers=100)
    )
    await asyncio.sleep(0)
    opening.cancel()
    done, _ = await asyncio.wait({opening}, timeout=0.1)
    assert done
    assert opening.cancelled()


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with running_upstream() as found:
        yield found


async def test_over_the_real_transport_a_cut_closes_the_socket(upstream: Upstream) -> None:
    upstream.script(streamed(openai_events("a", "b", "c")))
    transport = AiohttpTransport()
    rule = FaultRule("cut", after_bytes=100)
    try:
        request = UpstreamRequest(upstream.url, {}, b"{}")
        answer = await FaultyTransport(transport, rule, SystemClock()).open(request, connect=1, headers=1)
        shown, _ = await read_to_break(answer)
        await asyncio.wait_for(upstream.journal[0].ended.wait(), 5)
        assert shown == b"".join(openai_events("a", "b", "c"))[:100]
    finally:
        await transport.aclose()
        await asyncio.sleep(0)


async def test_over_the_real_transport_a_provider_that_is_away_stays_away() -> None:
    transport = AiohttpTransport()
    try:
        request = UpstreamRequest(f"http://127.0.0.1:{free_port()}", {}, b"{}")
        opening = FaultyTransport(transport, FaultRule("stall"), SystemClock()).open(request, connect=1, headers=1)
        assert (await failed(opening)).kind is FailureKind.CONNECT_FAILED
    finally:
        await transport.aclose()
        await asyncio.sleep(0)


def test_a_fault_strikes_by_header_and_model() -> None:
    rule = FaultRule("hang", header="drill", models=("one/m",))
    assert strikes(rule, "one/m", "drill", 1, 1)
    assert not strikes(rule, "one/m", "other", 1, 1)
    assert not strikes(rule, "one/m", "", 1, 1)
    assert not strikes(rule, "one/other", "drill", 1, 1)
    assert strikes(FaultRule("hang"), "any/model", "", 1, 1), "nothing said: every attempt"


def test_a_percentage_is_drawn_from_seed_and_number_so_that_it_replays() -> None:
    rule = FaultRule("hang", percent=20.0)
    drawn = [strikes(rule, "one/m", "", seed, number) for seed in range(1_000) for number in (1, 2)]
    assert drawn == [strikes(rule, "one/m", "", seed, number) for seed in range(1_000) for number in (1, 2)]
    assert 300 < sum(drawn) < 500
    assert drawn[::2] != drawn[1::2], "each attempt draws for itself"
    assert not any(strikes(FaultRule("hang", percent=0.0), "one/m", "", seed, 1) for seed in range(1_000))
    assert all(strikes(FaultRule("hang", percent=100.0), "one/m", "", seed, 1) for seed in range(1_000))


def test_a_failure_under_a_fault_says_so_and_stays_what_it_is() -> None:
    failure = Failure(FailureKind.IDLE_TIMEOUT, "the idle clock tripped after 1 s", clock=Clock.IDLE)
    found = marked(failure, "stall")
    assert "injected by policy" in found.message
    assert replace(found, message=failure.message) == failure
