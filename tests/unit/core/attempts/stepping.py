"""Stepping a chain by hand."""

from __future__ import annotations

from services.core.attempts.chain import start, step
from services.core.attempts.effects import Effect, Finish, StartAttempt, Wait
from services.core.attempts.events import AttemptFailed, Begin, Event, Remains
from services.core.attempts.moves import Chain
from services.core.errors import Clock, Failure, FailureKind
from services.core.routing.health import HEALTHY, HealthView
from services.core.routing.plan import Plan

T = 100.0
"""When the requests of these tests arrive."""
TEXT = Remains(text_only=True)
K = FailureKind


def failure(
    kind: FailureKind = K.SERVER_ERROR, retry_after: float | None = None, clock: Clock | None = None
) -> Failure:
    return Failure(kind, "x", retry_after=retry_after, clock=clock)


def failed(
    attempt: int, kind: FailureKind = K.SERVER_ERROR, retry_after: float | None = None, remains: Remains = TEXT
) -> AttemptFailed:
    return AttemptFailed(attempt, failure(kind, retry_after), remains)


class Stepper:
    """A chain, and what it asked for last."""

    def __init__(self, plan: Plan, view: HealthView = HEALTHY) -> None:
        self.chain: Chain = start(plan, T, view)
        self.effects: tuple[Effect, ...] = ()
        self.tell(Begin(), 0.0)

    def tell(self, event: Event, at: float = 1.0) -> tuple[Effect, ...]:
        """Report `event`, `at` seconds after the request's arrival."""
        self.chain, self.effects = step(self.chain, event, T + at)
        return self.effects

    @property
    def begun(self) -> StartAttempt:
        """The attempt that was begun by the last step."""
        return next(e for e in self.effects if isinstance(e, StartAttempt))

    @property
    def wait(self) -> float:
        """Seconds after the arrival until which the last step waits."""
        return next(e.until for e in self.effects if isinstance(e, Wait)) - T

    @property
    def finish(self) -> Finish:
        """How the chain ended in the last step."""
        return next(e for e in self.effects if isinstance(e, Finish))
