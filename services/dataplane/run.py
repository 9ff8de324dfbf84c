"""One request's run: performs the effects of its attempt chain and reports events back to it.

The run owns sockets (through `Attempt`) and sleeps. What follows from what is the chain's
business; what is noted of it, in the trail and of health, is that of `books.py`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import TYPE_CHECKING

from services.core.attempts.chain import start, step
from services.core.attempts.effects import (
    ArmHedge,
    CancelAttempt,
    Commit,
    Effect,
    Finish,
    Kind,
    Outcome,
    StartAttempt,
    Wait,
)
from services.core.attempts.events import (
    QUEUE_FULL,
    AttemptFailed,
    Begin,
    Completed,
    Event,
    FirstContent,
    Refused,
    Remains,
    WaitElapsed,
)
from services.core.attempts.moves import Chain
from services.core.errors import Failure, FailureKind, InvalidRequest
from services.core.policy.rules import CommitRule
from services.core.routing.plan import Candidate, Plan
from services.dataplane.attempt import Attempt, AttemptError, Bounds, StreamBroken
from services.dataplane.books import Books
from services.dataplane.flights import Flight, Flights, addressed
from services.dataplane.json_text import JsonText
from services.dataplane.mending import may_be_mended
from services.dataplane.trail import AttemptTrail, Trail, evidence_of, told_verdict
from services.dataplane.translation import Emitted, InboundRequest, Translation, Untranslatable
from services.runtime.trace_context import span_id_of

if TYPE_CHECKING:
    from services.dataplane.runner import Runner

_MENDING = (Kind.CONTINUE, Kind.RESUME)
_NO_HOLD = CommitRule()


class Run:
    """One request's chain at work."""

    def __init__(self, runner: Runner, inbound: InboundRequest, plan: Plan, trail: Trail) -> None:
        self._runner = runner
        self._inbound = inbound
        self._plan = plan
        self._trail = trail
        self._clock = runner.clock
        self._health = runner.health
        self._flights = Flights(runner.clock)
        self._wait: Wait | None = None
        self._emitted: Emitted | None = None
        self._broken: Translation | None = None
        self._books = Books(runner.health, runner.clock, inbound, plan, trail)
        self._health.begin_request(trail.started)
        view = self._health.view(trail.started)
        self._chain: Chain = start(plan, trail.started, view, stream=inbound.stream)

    def close(self) -> None:
        """Close what is still open; called however the request ends."""
        for flight in self._flights.all():
            self._cancel(flight.effect.number)

    async def whole(self) -> Translation:
        """Serve a whole answer."""
        effect = await self._until(Begin())
        assert isinstance(effect, Finish), "whole answers are never committed"
        if effect.outcome is not Outcome.OK:
            raise self._books.given_up(effect)
        attempt = self._books.succeeded(self._land(effect.attempt))
        attempt.close()
        return attempt.translation

    async def stream(self) -> AsyncGenerator[bytes, None]:
        """Serve a stream."""
        effect = await self._until(Begin())
        while isinstance(effect, Commit):
            flight = self._flights.get(effect.number)
            self._books.committed(flight)
            if flight.effect.kind is Kind.RESTART:
                yield self._inbound.restart_frame(evidence_of(self._trail, self._clock.monotonic()))
            if flight.held:
                yield flight.held
                flight.held = b""
            event: Event | None = None
            while event is None and not flight.done:
                frames, event = await self._relay(flight)
                if frames:
                    yield frames
            effect = await self._until(event or Completed(effect.number))
        yield self._finish_stream(effect)

    async def _until(self, event: Event) -> Commit | Finish:
        """Drive the chain from `event` until it commits or ends."""
        while True:
            refused: Refused | None = None
            for effect in self._step(event):
                if isinstance(effect, StartAttempt):
                    refused = self._start(effect)
                elif isinstance(effect, ArmHedge):
                    self._flights.hedge_at = 0.0 if refused else effect.at
                elif isinstance(effect, Wait):
                    self._wait = effect
                elif isinstance(effect, CancelAttempt):
                    self._cancel(effect.number)
                else:
                    self._flights.hedge_at = 0.0
                    return effect
            event = refused or await self._event()

    def _step(self, event: Event) -> tuple[Effect, ...]:
        self._chain, effects = step(self._chain, event, self._clock.monotonic())
        if isinstance(event, AttemptFailed):
            failed = next(a for a in self._trail.attempts if a.number == event.attempt)
            failed.verdict = told_verdict(effects, running=bool(self._chain.flights))
        return effects

    def _start(self, effect: StartAttempt) -> Refused | None:
        """Put an attempt in flight, or say why it may not be made."""
        now = self._clock.monotonic()
        refused = self._health.admit(effect, self._plan, now)
        if refused is not None:
            return refused
        candidate = self._plan.candidates[effect.candidate]
        address = candidate.target.provider.addresses[effect.address]
        reference = address.credentials[effect.credential] if address.credentials else ""
        trail = AttemptTrail(effect.number, candidate, reference, span_id_of(self._clock.seed()), now)
        trail.kind, trail.address = effect.kind.value, address.name
        self._trail.attempts.append(trail)
        self._flights.add(Flight(effect, trail))
        return None

    async def _event(self) -> Event:
        """Wait for the next event."""
        wait, self._wait = self._wait, None
        if wait is None:
            return await self._flights.event(self._lift)
        if wait.queue and not self._health.enter_queue(wait.queue):
            return Refused(0, wait.until, False, QUEUE_FULL)
        try:
            await self._clock.sleep(max(0.0, wait.until - self._clock.monotonic()))
        finally:
            if wait.queue:
                self._health.leave_queue()
        return WaitElapsed()

    async def _lift(self, flight: Flight) -> Event:
        """Bring an attempt to its first event: content that may be shown, a whole answer, or a failure."""
        number = flight.effect.number
        try:
            attempt = await self._open(flight)
            if not self._inbound.stream:
                if attempt.asked:
                    await attempt.whole()
                flight.trail.content_at = self._clock.monotonic()
                return Completed(number)
            rule = self._plan.commit if flight.effect.kind not in _MENDING else _NO_HOLD
            flight.held, flight.done = await attempt.first(rule)
        except AttemptError as error:
            # Content that was held back was never shown, so this is still before the commit.
            return self._failed(flight, error.failure)
        return FirstContent(number) if flight.trail.content_at else Completed(number)

    async def _relay(self, flight: Flight) -> tuple[bytes, Event | None]:
        """The next frames after the commit, and the event that ended the stream, if one did."""
        assert flight.attempt is not None, "a commit follows an attempt"
        try:
            frames, flight.done = await flight.attempt.more()
        except StreamBroken as error:
            return error.frames, self._failed(flight, error.failure)
        except AttemptError as error:
            return b"", self._failed(flight, error.failure)
        return frames, None

    async def _open(self, flight: Flight) -> Attempt:
        """Send an attempt's request.

        Raises:
            AttemptError: It failed before or at the provider's status.
        """
        trail, effect, runner = flight.trail, flight.effect, self._runner
        secret = runner.credentials.secret(trail.credential) if trail.credential else ""
        if secret is None:
            # It may be being made, for the first time since the policy names it.
            secret = await runner.credentials.first(trail.credential, trail.candidate.clocks.connect)
        if secret is None:
            raise AttemptError(runner.credentials.missing(trail.credential))
        transport = runner.transport
        if trail.candidate.target.provider.fault is not None:
            transport = runner.rehearsals.transport(transport, self._trail, trail)
        flight.secret = secret
        candidate = addressed(trail.candidate, effect.address)
        clocks = candidate.clocks
        named = "headers" in candidate.named_clocks
        bounds = Bounds(clocks, effect.total, effect.first_content, self._inbound.stream, named)
        try:
            translation = self._translation(candidate, effect.kind)
            attempt = Attempt(transport, translation, trail, bounds, self._clock)
            flight.attempt = attempt
            request = translation.request(secret)
        except Untranslatable as error:
            raise AttemptError(error.failure) from error
        except InvalidRequest as error:
            # The caller's own mistake: told in its words, by its field, whatever was tried before.
            trail.failure = Failure(FailureKind.INVALID_REQUEST, error.message)
            if self._broken is None:
                raise
            # Another provider took it, and the caller has a part of its answer: what is told is what broke that.
            raise AttemptError(trail.failure) from error
        if request is not None:
            await attempt.open(request)
        return attempt

    def _translation(self, candidate: Candidate, kind: Kind) -> Translation:
        if kind in _MENDING and self._emitted is not None:
            return self._inbound.mend(candidate, kind, self._emitted)
        translation = self._inbound.translate(candidate)
        if self._inbound.context.asks_json:
            translation.facts.json = JsonText()
        return translation

    def _failed(self, flight: Flight, failure: Failure) -> AttemptFailed:
        """Book a failed attempt, and see what can be made of an answer that broke."""
        failure = self._books.failed(flight, failure)
        remains = Remains()
        if flight.trail.phase == "committed" and flight.attempt is not None:
            self._broken = flight.attempt.translation
            remains = self._remains(flight, flight.attempt.translation)
        flight.close()
        self._flights.pop(flight.trail.number)
        return AttemptFailed(flight.trail.number, failure, remains)

    def _remains(self, flight: Flight, translation: Translation) -> Remains:
        """How a broken answer can be mended; keeps what the caller has of it."""
        restartable = self._inbound.restartable
        if not flight.trail.candidate.keeps_text:
            return Remains(restartable=restartable)
        facts = translation.facts
        before = self._emitted if flight.effect.kind in _MENDING else None
        text = "".join(facts.texts)
        if before is None:
            head = (facts.response_id, facts.created, facts.block, facts.block_open, facts.seam)
            self._emitted = Emitted(text, facts.plain, *head)
        else:
            plain = before.plain and facts.plain
            self._emitted = replace(before, text=before.text + text, plain=plain, seam=facts.seam)
        mendable = self._emitted.plain and bool(self._emitted.text) and may_be_mended(self._inbound)
        return Remains(text_only=mendable, restartable=restartable)

    def _cancel(self, number: int) -> None:
        """End an attempt that nobody waits for any more: the loser of a race, or a caller that went away."""
        flight = self._flights.pop(number)
        if flight is not None:
            self._books.cancelled(flight)
            flight.close()

    def _finish_stream(self, effect: Finish) -> bytes:
        """The last bytes of the stream: the rest of the answer, or an in-band error.

        Raises:
            ChainFailed: Nothing was shown; or the answer broke, and its form has no place for an error.
        """
        if effect.outcome is Outcome.OK:
            flight = self._land(effect.attempt)
            attempt = self._books.succeeded(flight)
            self._runner.drain(attempt)
            return flight.held + attempt.translation.closing(evidence_of(self._trail, self._clock.monotonic()))
        error = self._books.given_up(effect)
        if effect.outcome is not Outcome.BROKEN:
            raise error
        self._books.broken(error)
        assert self._broken is not None, "a broken stream had an answer"
        told = self._broken.broken(error, evidence_of(self._trail, self._clock.monotonic()))
        if told is None:
            raise error
        return told

    def _land(self, number: int) -> Flight:
        """Take down the flight of the attempt that answered."""
        flight = self._flights.get(number)
        self._flights.pop(number)
        return flight
