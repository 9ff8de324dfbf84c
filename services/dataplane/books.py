"""The books of one request: what becomes of its attempts, in its trail and in the health of what they tried.

Every flight is booked once: failed, cancelled or succeeded. To health a failure counts only if it says
something of the target: not if the caller's own clock ended it, nor if nobody was asked.
"""

from __future__ import annotations

from services.core.attempts.effects import Finish, Kind, Outcome
from services.core.attempts.moves import DEADLINE
from services.core.attempts.verdicts import caller_status
from services.core.errors import ChainFailed, Clock, Failure, FailureKind
from services.core.routing.plan import Plan
from services.dataplane.attempt import Attempt
from services.dataplane.credentials import hide
from services.dataplane.flights import Flight
from services.dataplane.health_tracker import HealthTracker
from services.dataplane.rehearsal import marked
from services.dataplane.trail import Trail
from services.dataplane.translation import InboundRequest, tokens_of
from services.dataplane.usage import settle
from services.runtime.clock import Clock as MachineClock


class Books:
    """One request's books."""

    __slots__ = ("_clock", "_health", "_inbound", "_plan", "_trail")

    def __init__(
        self, health: HealthTracker, clock: MachineClock, inbound: InboundRequest, plan: Plan, trail: Trail
    ) -> None:
        self._health = health
        self._clock = clock
        self._inbound = inbound
        self._plan = plan
        self._trail = trail

    def committed(self, flight: Flight) -> None:
        """An attempt's first content goes to the caller."""
        trail = flight.trail
        trail.phase = "committed"
        assert flight.attempt is not None, "a commit follows an attempt"
        facts = flight.attempt.translation.facts
        self._trail.frames_type = self._trail.frames_type or facts.frames_type
        self._trail.warn(facts.warnings)
        now = self._clock.monotonic()
        if not self._trail.content_at:
            self._trail.content_at = now
        target = trail.candidate.target
        self._health.answers(flight.effect, target.provider.breaker, now)
        self._health.seen_content(target.model, trail.content_at - trail.started, stream=True)

    def failed(self, flight: Flight, failure: Failure) -> Failure:
        """An attempt failed.

        Returns:
            The failure as it is told: by the clock that really ended it, without the credential, and marked if it was
            injected.
        """
        trail, now = flight.trail, self._clock.monotonic()
        if failure.clock is Clock.TOTAL and now >= self._trail.started + self._plan.retry.deadline:
            failure = DEADLINE
        failure = hide(failure, flight.secret, trail.credential)
        if trail.fault:
            failure = marked(failure, trail.fault)
        trail.failure = failure
        settle(trail, flight.attempt, now, self._clock.wall())
        breaker = trail.candidate.target.provider.breaker
        if self._is_callers_own(failure.clock):
            self._health.released(flight.effect, breaker, now)
        else:
            self._health.failed(flight.effect, failure, breaker, now)
        flight.booked = True
        return failure

    def _is_callers_own(self, clock: Clock | None) -> bool:
        """Whether the caller set the clock that tripped: its haste says nothing about the target's health."""
        context = self._inbound.context
        if clock is Clock.DEADLINE:
            return self._plan.retry.deadline == context.deadline
        return clock is not None and clock.value in context.clocks

    def cancelled(self, flight: Flight) -> None:
        """Nobody waits for an attempt any more."""
        now, trail = self._clock.monotonic(), flight.trail
        if not trail.ended and not trail.success:
            trail.verdict = trail.verdict or "lost"
            if flight.effect.kind is not Kind.HEDGE and not trail.content_at:
                # It would have taken at least this long; without it, speeds would only know the quick ones.
                waited = now - trail.started
                self._health.seen_content(trail.candidate.target.model, waited, stream=self._inbound.stream)
        settle(trail, flight.attempt, now, self._clock.wall())
        if not flight.booked:
            self._health.released(flight.effect, trail.candidate.target.provider.breaker, now)
            flight.booked = True

    def succeeded(self, flight: Flight) -> Attempt:
        """An attempt gave the answer; returns it."""
        assert flight.attempt is not None, "a chain that is OK has an attempt"
        now, trail, facts = self._clock.monotonic(), flight.trail, flight.attempt.translation.facts
        trail.success = True
        settle(trail, flight.attempt, now, self._clock.wall())
        self._went_well(flight, flight.attempt, now)
        target, total = trail.candidate.target, self._trail
        total.outcome = Outcome.OK.value
        total.model, total.provider = target.model, target.provider.name
        total.usage, total.cost_usd, total.cost_is_providers = trail.usage, trail.cost_usd, trail.cost_is_providers
        total.cost_is_estimated = trail.cost_is_estimated
        total.native_finish_reason = facts.native_finish_reason
        total.finish_reason, total.response_id = facts.finish_reason, facts.response_id
        if facts.json is not None:
            total.invalid_json = facts.json.is_invalid(facts.finish_reason)
        total.warn(facts.warnings)
        if not total.content_at:
            total.content_at = trail.content_at
        return flight.attempt

    def _went_well(self, flight: Flight, attempt: Attempt, now: float) -> None:
        trail, breaker = flight.trail, flight.trail.candidate.target.provider.breaker
        flight.booked = True
        if not attempt.asked:
            # Nobody was asked, so nothing was learned of anybody's health.
            self._health.released(flight.effect, breaker, now)
            return
        self._health.succeeded(flight.effect, breaker, now)
        model, chars = trail.candidate.target.model, attempt.translation.facts.chars
        if not self._inbound.stream:
            self._health.seen_content(model, now - trail.started, stream=False)
        elif trail.content_at and chars:
            self._health.seen_rate(model, tokens_of(chars), now - trail.content_at)

    def broken(self, error: ChainFailed) -> None:
        """The answer that the caller has a part of ends in `error`: its model, its tokens and its cost are the request's."""
        shown = next(a for a in reversed(self._trail.attempts) if a.phase == "committed")
        target, total = shown.candidate.target, self._trail
        total.error_reason = error.reason
        total.model, total.provider = target.model, target.provider.name
        total.usage, total.cost_usd, total.cost_is_providers = shown.usage, shown.cost_usd, shown.cost_is_providers
        total.cost_is_estimated = shown.cost_is_estimated

    def given_up(self, effect: Finish) -> ChainFailed:
        """The chain ended without an answer; returns the error that the caller is told."""
        failure = effect.failure or Failure(FailureKind.SERVER_ERROR, "the request was given up")
        attempts = self._trail.attempts
        told = failure.message
        if len(attempts) > 1:
            told = f"all {len(attempts)} attempts failed; the most telling: {failure.message}"
        model = attempts[-1].candidate.target.model if attempts else ""
        provider = next((a.candidate.target.provider.name for a in attempts if a.failure is failure), "")
        fields = {"attempts": str(len(attempts)), "model": model, "provider": provider}
        self._trail.outcome = effect.outcome.value
        return ChainFailed(told, failure=failure, status=caller_status(failure), fields=fields)
