"""The runner: performs the effects of the attempt chain and reports events back to it.

It decides nothing. `core/attempts/chain.step` says what to start, wait for,
commit or end; the runner owns sockets (through `Attempt`), sleeps, and the
request's trail. Every API, streamed or not, goes through here and nowhere else.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from services.core.attempts.chain import Chain, start, step
from services.core.attempts.effects import (
    CancelAttempt,
    Commit,
    Effect,
    Finish,
    Outcome,
    StartAttempt,
    Wait,
)
from services.core.attempts.events import AttemptFailed, Begin, Completed, Event, FirstContent, WaitElapsed
from services.core.attempts.verdicts import caller_status
from services.core.errors import ChainFailed, Clock, Failure, FailureKind, InvalidRequest
from services.core.routing.plan import Candidate, Plan
from services.dataplane.attempt import Attempt, AttemptError, Bounds, StreamBroken
from services.dataplane.credentials import Credentials, hide
from services.dataplane.health_tracker import HealthTracker
from services.dataplane.trail import AttemptTrail, Trail, cost, evidence_of
from services.dataplane.translation import InboundRequest, Translation, Untranslatable
from services.dataplane.transport.port import Transport
from services.runtime.clock import Clock as MachineClock
from services.runtime.trace_context import span_id_of

_DRAIN_SECONDS = 1.0
"""How long a connection may take to end its body after the terminal event, before it is given up."""


class Runner:
    """Runs plans. One per process."""

    def __init__(
        self, transport: Transport, credentials: Credentials, health: HealthTracker, clock: MachineClock
    ) -> None:
        self.transport = transport
        self.credentials = credentials
        self.health = health
        self.clock = clock
        self._drains: set[asyncio.Task[None]] = set()

    async def whole(self, inbound: InboundRequest, plan: Plan, trail: Trail) -> Translation:
        """Serve a request whole; the translation returned is ready to `render`.

        Raises:
            ChainFailed: Every allowed attempt failed.
        """
        run = _Run(self, inbound, plan, trail)
        try:
            return await run.whole()
        finally:
            run.close()

    async def stream(self, inbound: InboundRequest, plan: Plan, trail: Trail) -> AsyncGenerator[bytes, None]:
        """Serve a request as a stream of whole frames; nothing is yielded before the commit.

        Raises:
            ChainFailed: Every allowed attempt failed before the commit. After it, the
                stream ends with an in-band error instead.
        """
        run = _Run(self, inbound, plan, trail)
        try:
            async with aclosing(run.stream()) as frames:
                async for piece in frames:
                    yield piece
        finally:
            run.close()

    def drain(self, attempt: Attempt) -> None:
        """Let a finished attempt's connection end in the background."""
        if attempt.drained:
            attempt.close()
            return
        task = asyncio.get_running_loop().create_task(attempt.drain(_DRAIN_SECONDS))
        self._drains.add(task)
        task.add_done_callback(self._drains.discard)

    async def aclose(self) -> None:
        """Wait for connections that are ending."""
        if self._drains:
            await asyncio.wait(tuple(self._drains), timeout=_DRAIN_SECONDS)


class _Run:
    """One request's chain."""

    def __init__(self, runner: Runner, inbound: InboundRequest, plan: Plan, trail: Trail) -> None:
        self._runner = runner
        self._inbound = inbound
        self._plan = plan
        self._trail = trail
        self._clock = runner.clock
        self._attempt: Attempt | None = None
        self._secret = ""
        self._chain: Chain = start(plan, trail.started, runner.health.view())
        self._held = b""
        self._done = False

    def close(self) -> None:
        """Close what is still open; called however the request ends."""
        if self._attempt is not None:
            self._end_attempt(self._attempt.trail)
            self._attempt.close()
            self._attempt = None

    async def whole(self) -> Translation:
        effects = self._step(Begin())
        while True:
            event: Event | None = None
            for effect in effects:
                if isinstance(effect, StartAttempt):
                    event = await self._try_whole(effect)
                elif isinstance(effect, Wait):
                    event = await self._wait(effect)
                elif isinstance(effect, CancelAttempt):
                    self.close()
                elif isinstance(effect, Finish):
                    return self._finish_whole(effect)
            assert event is not None, "effects without Finish lead to an event"
            effects = self._step(event)

    async def stream(self) -> AsyncGenerator[bytes, None]:
        effects = self._step(Begin())
        while True:
            event: Event | None = None
            for effect in effects:
                if isinstance(effect, StartAttempt):
                    event = await self._try_first(effect)
                elif isinstance(effect, Wait):
                    event = await self._wait(effect)
                elif isinstance(effect, Commit):
                    if self._held:
                        yield self._held
                        self._held = b""
                    while not self._done:
                        frames, event = await self._relay()
                        if frames:
                            yield frames
                        if event is not None:
                            break
                    event = event or Completed(effect.number)
                elif isinstance(effect, CancelAttempt):
                    self.close()
                elif isinstance(effect, Finish):
                    yield self._finish_stream(effect)
                    return
            assert event is not None, "effects without Finish lead to an event"
            effects = self._step(event)

    def _step(self, event: Event) -> tuple[Effect, ...]:
        self._chain, effects = step(self._chain, event, self._clock.monotonic())
        if isinstance(event, AttemptFailed) and self._trail.attempts:
            self._trail.attempts[-1].verdict = _told_verdict(effects)
        return effects

    async def _wait(self, effect: Wait) -> WaitElapsed:
        await self._clock.sleep(max(0.0, effect.until - self._clock.monotonic()))
        return WaitElapsed()

    async def _try_whole(self, effect: StartAttempt) -> Event:
        try:
            attempt = await self._open(effect)
            await attempt.whole()
        except AttemptError as error:
            return self._failed(effect.number, error.failure)
        attempt.trail.content_at = self._clock.monotonic()
        return Completed(effect.number)

    async def _try_first(self, effect: StartAttempt) -> Event:
        try:
            attempt = await self._open(effect)
            self._held, self._done = await attempt.first()
        except AttemptError as error:
            # Content that came in one read with the failure was never shown, so this is still before the commit.
            return self._failed(effect.number, error.failure)
        if not attempt.trail.content_at:
            return Completed(effect.number)
        if not self._trail.content_at:
            self._trail.content_at = attempt.trail.content_at
        attempt.trail.phase = "committed"
        return FirstContent(effect.number)

    async def _relay(self) -> tuple[bytes, Event | None]:
        """The next frames after the commit, and the event that ended the stream, if one did."""
        attempt = self._attempt
        assert attempt is not None, "a commit follows an attempt"
        try:
            frames, self._done = await attempt.more()
        except StreamBroken as error:
            return error.frames, self._failed(attempt.trail.number, error.failure)
        except AttemptError as error:
            return b"", self._failed(attempt.trail.number, error.failure)
        return frames, None

    async def _open(self, effect: StartAttempt) -> Attempt:
        """Start an attempt: its trail, its translation, its request.

        Raises:
            AttemptError: It failed before or at the provider's status.
        """
        self.close()
        candidate = self._plan.candidates[effect.candidate]
        references = candidate.target.provider.credentials
        reference = references[effect.credential] if references else ""
        trail = AttemptTrail(
            effect.number, candidate, reference, span_id_of(self._clock.seed()), self._clock.monotonic()
        )
        self._trail.attempts.append(trail)
        secret = self._runner.credentials.secret(reference) if reference else ""
        if secret is None:
            raise AttemptError(
                Failure(FailureKind.CREDENTIAL_MISSING, f"the credential {reference!r} names nothing on this worker")
            )
        self._secret = secret
        try:
            translation = self._inbound.translate(candidate)
            attempt = Attempt(self._runner.transport, translation, trail, self._bounds(candidate, effect), self._clock)
            self._attempt = attempt
            request = translation.request(secret)
        except Untranslatable as error:
            raise AttemptError(error.failure) from error
        except InvalidRequest as error:
            # The caller's own mistake: told in its words, by its field, whatever was tried before.
            trail.failure = Failure(FailureKind.INVALID_REQUEST, error.message)
            trail.ended = self._clock.monotonic()
            raise
        await attempt.open(request)
        return attempt

    def _bounds(self, candidate: Candidate, effect: StartAttempt) -> Bounds:
        return Bounds(candidate.clocks, effect.total, self._inbound.stream, "headers" in candidate.named_clocks)

    def _failed(self, number: int, failure: Failure) -> Event:
        """Note a failed attempt and tell the chain."""
        trail = self._trail.attempts[-1]
        now = self._clock.monotonic()
        if failure.clock is Clock.TOTAL and now >= self._trail.started + self._plan.retry.deadline:
            failure = Failure(failure.kind, "the request's deadline passed", clock=Clock.DEADLINE)
        failure = hide(failure, self._secret, trail.credential)
        trail.failure = failure
        self._end_attempt(trail)
        self._runner.health.failed(trail.candidate.target, trail.credential, failure, now)
        if self._attempt is not None:
            self._attempt.close()
        return AttemptFailed(number, failure)

    def _end_attempt(self, trail: AttemptTrail) -> None:
        if trail.ended:
            return
        trail.ended = self._clock.monotonic()
        attempt = self._attempt
        if attempt is not None and attempt.trail is trail:
            trail.usage = attempt.translation.facts.usage
            trail.cost_usd = cost(trail.candidate.target.prices, trail.usage)

    def _succeed(self) -> Attempt:
        """Book the attempt that answered."""
        attempt = self._attempt
        assert attempt is not None, "a chain that is OK has an attempt"
        trail, facts = attempt.trail, attempt.translation.facts
        trail.success = True
        self._end_attempt(trail)
        self._runner.health.succeeded(trail.candidate.target, trail.credential)
        total = self._trail
        total.outcome = Outcome.OK.value
        total.model = trail.candidate.target.model
        total.usage, total.cost_usd = trail.usage, trail.cost_usd
        total.finish_reason, total.response_id = facts.finish_reason, facts.response_id
        total.warnings.extend(facts.warnings)
        if not total.content_at:
            total.content_at = trail.content_at
        return attempt

    def _finish_whole(self, effect: Finish) -> Translation:
        if effect.outcome is not Outcome.OK:
            raise self._chain_failed(effect)
        attempt = self._succeed()
        attempt.close()
        self._attempt = None
        return attempt.translation

    def _finish_stream(self, effect: Finish) -> bytes:
        """The last bytes of the stream: the rest of the answer, or an in-band error."""
        now = self._clock.monotonic()
        if effect.outcome is Outcome.OK:
            attempt = self._succeed()
            self._runner.drain(attempt)
            self._attempt = None
            return self._held + attempt.translation.closing(evidence_of(self._trail, now))
        error = self._chain_failed(effect)
        if effect.outcome is not Outcome.BROKEN:
            raise error
        broken = self._attempt
        assert broken is not None, "a broken stream had an attempt"
        self._trail.outcome = Outcome.BROKEN.value
        self._trail.error_reason = error.reason
        self._trail.model = broken.trail.candidate.target.model
        self._trail.usage, self._trail.cost_usd = broken.trail.usage, broken.trail.cost_usd
        return broken.translation.broken(error, evidence_of(self._trail, now))

    def _chain_failed(self, effect: Finish) -> ChainFailed:
        failure = effect.failure or Failure(FailureKind.SERVER_ERROR, "the request was given up")
        tried = len(self._trail.attempts)
        told = (
            f"{failure.message}" if tried <= 1 else f"all {tried} attempts failed; the most telling: {failure.message}"
        )
        model = self._trail.attempts[-1].candidate.target.model if self._trail.attempts else ""
        error = ChainFailed(
            told, failure=failure, status=caller_status(failure), fields={"attempts": str(tried), "model": model}
        )
        self._trail.outcome = effect.outcome.value
        return error


def _told_verdict(effects: tuple[Effect, ...]) -> str:
    for effect in effects:
        if isinstance(effect, StartAttempt):
            return "retry" if effect.retry else "next"
        if isinstance(effect, Wait):
            return "wait"
    return "stop"
