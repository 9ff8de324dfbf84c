"""One attempt: an exchange with one target, or several in a row whose answers are one, under its clocks.

Everything that can go wrong ends as `AttemptError` with a `Failure`; the caller
decides nothing here. Clocks run from the attempt's start, but for idle, which
runs from the last read. A whole answer has no first event: its connect and
total clocks apply, and the headers clock only when policy names it, because
the headers of a whole answer come when the model has finished.
"""

from __future__ import annotations

import asyncio

from services.core.errors import (
    Clock,
    Failure,
    FailureKind,
    timeout_failure,
)
from services.core.policy.rules import ClockRule, CommitRule
from services.core.values import Value
from services.dataplane.alarm import Alarm
from services.dataplane.exchange import TRUNCATED
from services.dataplane.holdback import HoldBack
from services.dataplane.pace import Pace
from services.dataplane.trail import AttemptTrail
from services.dataplane.translation import Progress, Translation
from services.dataplane.transport.port import Transport, TransportFailed, UpstreamRequest, UpstreamResponse
from services.runtime.clock import Clock as MachineClock

ERROR_BODY_LIMIT = 1024 * 1024
ANSWER_BODY_LIMIT = 64 * 1024 * 1024
FINISH_SECONDS = 0.5
"""How long an answer that said why it ended waits for its terminal event, where the protocol lets that be missing."""


class AttemptError(Exception):
    """The attempt failed."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


class Bounds(Value, frozen=True):
    """An attempt's clocks and its hard end.

    Attributes:
        total: Seconds in all, already cut by the request's deadline.
        first_content: Seconds until the first content, fixed or adapted to the target.
        headers_named: Policy or the caller set the headers clock, so it applies to whole answers too.
    """

    clocks: ClockRule
    total: float
    first_content: float
    stream: bool
    headers_named: bool


class Attempt:
    """Drives one exchange. Use from one task; always `close`."""

    def __init__(
        self, transport: Transport, translation: Translation, trail: AttemptTrail, bounds: Bounds, clock: MachineClock
    ) -> None:
        self.translation = translation
        self.trail = trail
        self._transport = transport
        self._bounds = bounds
        self._clock = clock
        self._alarm = Alarm()
        self._response: UpstreamResponse | None = None
        self._last_read = 0.0
        self._quiet_since = 0.0
        self._saw_event = False
        self._ended = False
        self._finish_by = 0.0
        self.sent = 0
        """Bytes of the request's body."""
        self._then: tuple[UpstreamRequest, ...] = ()
        self._seam = b""
        floor = bounds.clocks.min_tokens_per_second
        self._pace = Pace(floor) if floor and bounds.stream else None

    async def open(self, request: UpstreamRequest) -> None:
        """Send the request and read the status; an error status is read and classified.

        Raises:
            AttemptError: The provider refused, or could not be reached in time.
        """
        self.sent = len(request.body)
        self._then, self._seam = request.then, request.seam
        seconds, clock = self._answer_bound()
        left = self.trail.started + seconds - self._clock.monotonic()
        try:
            # The port counts the headers' time from the connection on; an attempt's clocks run from its start.
            with self._alarm.after(left):
                response = await self._transport.open(request, connect=self._bounds.clocks.connect, headers=seconds)
        except TimeoutError:
            raise AttemptError(timeout_failure(clock, seconds)) from None
        except TransportFailed as error:
            tripped = error.failure.clock is Clock.HEADERS
            raise AttemptError(timeout_failure(clock, seconds) if tripped else error.failure) from error
        self._response = response
        now = self._clock.monotonic()
        self.trail.headers_at = self._last_read = self._quiet_since = now
        self.trail.phase = "waiting"
        self.trail.status = response.status
        self.translation.facts.headers = response.headers
        if not 200 <= response.status < 300:
            body = await self._read_all(ERROR_BODY_LIMIT)
            raise AttemptError(self.translation.failure(response.status, response.headers, body))

    def _answer_bound(self) -> tuple[float, Clock]:
        """How long the headers may take, and the name of the clock that says so."""
        clocks, bounds = self._bounds.clocks, self._bounds
        if not (bounds.stream or bounds.headers_named):
            return bounds.total, Clock.TOTAL
        named = [(bounds.total, Clock.TOTAL), (clocks.headers, Clock.HEADERS)]
        if bounds.stream:
            named += [(clocks.first_event, Clock.FIRST_EVENT), (bounds.first_content, Clock.FIRST_CONTENT)]
        return min(named, key=lambda pair: pair[0])

    @property
    def asked(self) -> bool:
        """Whether the provider was asked at all; some questions are answered here."""
        return self.trail.headers_at > 0.0

    async def whole(self) -> None:
        """Read a whole answer.

        Raises:
            AttemptError: It is not a good answer.
        """
        body = await self._read_all(ANSWER_BODY_LIMIT)
        while self._then:
            body += await self._read_on()
            body += await self._read_all(max(0, ANSWER_BODY_LIMIT - len(body)))
        failure = self.translation.answer(body)
        if failure is not None:
            raise AttemptError(failure)

    async def first(self, rule: CommitRule) -> tuple[bytes, bool]:
        """Read until content may be shown; return the frames up to it, and whether the stream is already done.

        Args:
            rule: How long to hold back after the first content.

        Raises:
            AttemptError: The stream failed before that.
        """
        response = self._opened()
        if self.translation.stream_type not in response.headers.get("content-type", self.translation.stream_type):
            await self._refuse_whole_answer()
        hold = HoldBack(rule)
        held: list[bytes] = []
        while not hold.over(self._clock.monotonic()):
            try:
                progress = await self._next(hold.until)
            except _HeldLongEnough:
                break
            held.append(progress.frames)
            if progress.content and (self._bounds.clocks.reasoning_is_content or not progress.reasoning):
                now = self._clock.monotonic()
                self.trail.content_at = self.trail.content_at or now
                self.trail.phase = "streaming"
                hold.add(progress, now)
            if progress.done:
                return b"".join(held), True
        return b"".join(held), False

    async def _refuse_whole_answer(self) -> None:
        """A stream was asked for and a whole answer came: often an error in a 200."""
        failure = self.translation.answer(await self._read_all(ERROR_BODY_LIMIT))
        raise AttemptError(
            failure or Failure(FailureKind.BAD_RESPONSE, "the provider answered a stream request with a whole answer")
        )

    async def more(self) -> tuple[bytes, bool]:
        """Read on after the first content; return frames (maybe none) and whether the stream is done.

        Raises:
            StreamBroken: The stream failed; its frames are the good ones before the failure.
        """
        progress = await self._next(0.0)
        return progress.frames, progress.done

    async def _next(self, hold_until: float) -> Progress:
        try:
            data = await self._read(hold_until)
            self._ended = not data
        except _FinishedLongAgo:
            data = b""
        progress = self.translation.feed(data) if data else self.translation.end()
        # A finish reason with content is not the last one: some servers give one with every chunk.
        if progress.finished and (progress.content or not self._finish_by):
            self._finish_by = self._last_read + FINISH_SECONDS
        if progress.event:
            self._saw_event = True
        if progress.event or self._bounds.clocks.pings_are_activity:
            self._quiet_since = self._last_read
        if self._pace is not None and progress.tokens:
            self._pace.add(progress.tokens, self._last_read)
        if progress.failure is not None:
            raise StreamBroken(progress.failure, progress.frames if progress.content else b"")
        if not data and not progress.done:
            raise StreamBroken(TRUNCATED, progress.frames if progress.content else b"")
        if self._pace is not None and not progress.done and self._pace.too_slow(self._last_read):
            raise StreamBroken(self._pace.failure(), progress.frames if progress.content else b"")
        return progress

    async def _read(self, hold_until: float) -> bytes:
        when, clock, seconds = self._next_bound()
        finished = bool(self._finish_by) and self._finish_by < when
        if finished:
            when = self._finish_by
        held = bool(hold_until) and hold_until < when
        if held:
            when = hold_until
        try:
            with self._alarm.after(when - self._clock.monotonic()):
                data = await self._opened().read()
        except TimeoutError:
            if held:
                raise _HeldLongEnough from None
            if finished:
                raise _FinishedLongAgo from None
            raise AttemptError(self._tripped(clock, seconds)) from None
        except TransportFailed as error:
            raise AttemptError(error.failure) from error
        self._last_read = self._clock.monotonic()
        return data if data or not self._then else await self._read_on()

    async def _read_on(self) -> bytes:
        """Send the next of several requests. Unlike a read it cannot be broken off and begun again, so no hold-back ends it."""
        total = self._bounds.total
        whole = (self.trail.started + total, Clock.TOTAL, total)
        when, clock, seconds = self._next_bound() if self._bounds.stream else whole
        left = when - self._clock.monotonic()
        try:
            with self._alarm.after(left):
                seam = await self._follow(left)
        except TimeoutError:
            raise AttemptError(self._tripped(clock, seconds)) from None
        except TransportFailed as error:
            raise AttemptError(error.failure) from error
        self._last_read = self._clock.monotonic()
        return seam

    def _tripped(self, clock: Clock, seconds: float) -> Failure:
        if clock is Clock.THROUGHPUT and self._pace is not None:
            return self._pace.failure()
        return timeout_failure(clock, seconds)

    def _next_bound(self) -> tuple[float, Clock, float]:
        """The instant at which the next clock trips, which one it is, and its length."""
        clocks, started = self._bounds.clocks, self.trail.started
        when, clock, seconds = started + self._bounds.total, Clock.TOTAL, self._bounds.total
        if not self._saw_event and started + clocks.first_event < when:
            when, clock, seconds = started + clocks.first_event, Clock.FIRST_EVENT, clocks.first_event
        first_content = self._bounds.first_content
        if not self.trail.content_at and started + first_content < when:
            when, clock, seconds = started + first_content, Clock.FIRST_CONTENT, first_content
        if self._saw_event and self._quiet_since + clocks.idle < when:
            when, clock, seconds = self._quiet_since + clocks.idle, Clock.IDLE, clocks.idle
        if self._pace is not None and self._pace.trips_at() < when:
            when, clock, seconds = self._pace.trips_at(), Clock.THROUGHPUT, 0.0
        return when, clock, seconds

    async def _read_all(self, limit: int) -> bytes:
        left = self.trail.started + self._bounds.total - self._clock.monotonic()
        try:
            with self._alarm.after(left):
                body = await self._opened().read_all(limit)
        except TimeoutError:
            raise AttemptError(timeout_failure(Clock.TOTAL, self._bounds.total)) from None
        except TransportFailed as error:
            raise AttemptError(error.failure) from error
        self._ended = True
        return body

    async def _follow(self, seconds: float) -> bytes:
        """Send the next request of several, whose answer goes on where the last one ended; what stands between them.

        Args:
            seconds: How long its headers may take.

        Raises:
            AttemptError: The provider refused it.
            TransportFailed: It could not be reached.
        """
        request, self._then = self._then[0], self._then[1:]
        self._opened().close()
        self.sent += len(request.body)
        connect = self._bounds.clocks.connect
        self._response = response = await self._transport.open(request, connect=connect, headers=seconds)
        if not 200 <= response.status < 300:
            body = await response.read_all(ERROR_BODY_LIMIT)
            raise AttemptError(self.translation.failure(response.status, response.headers, body))
        return self._seam

    def _opened(self) -> UpstreamResponse:
        assert self._response is not None, "open comes first"
        return self._response

    async def drain(self, seconds: float) -> None:
        """After the terminal event: read the few bytes that may follow, so that the connection can be used again."""
        response = self._response
        if response is None:
            return
        try:
            if not self._ended:
                async with asyncio.timeout(seconds):
                    while await response.read():
                        pass
        except (TimeoutError, TransportFailed):
            pass  # the answer is whole; only the connection is not worth keeping
        finally:
            self.close()

    @property
    def drained(self) -> bool:
        """Whether the upstream's end was already read."""
        return self._ended

    def close(self) -> None:
        """End the exchange now."""
        self._alarm.stop()
        response, self._response = self._response, None
        if response is not None:
            response.close()


class _HeldLongEnough(Exception):
    """The hold-back's time is over while the stream is silent."""


class _FinishedLongAgo(Exception):
    """The answer said why it ended, and its terminal event does not come."""


class StreamBroken(AttemptError):
    """A stream failed inside its protocol; `frames` are good content that came before."""

    def __init__(self, failure: Failure, frames: bytes) -> None:
        super().__init__(failure)
        self.frames = frames
