"""What the machine asks of the shell, in the order given."""

from __future__ import annotations

from enum import StrEnum

from services.core.errors import Failure
from services.core.values import Value


class Outcome(StrEnum):
    """How a chain ended."""

    OK = "ok"
    FAILED = "failed"
    """Every allowed attempt failed, or a failure says that trying on is pointless."""
    BROKEN = "broken"
    """The answer broke after its first content had reached the caller, and could not be mended."""
    CANCELLED = "cancelled"


class Kind(StrEnum):
    """Why an attempt is made."""

    FIRST = "first"
    FAILOVER = "failover"
    """Another target, address or credential, after a failure."""
    RETRY = "retry"
    """The same target again."""
    HEDGE = "hedge"
    """The next choice while the first is silent."""
    CONTINUE = "continue"
    """After the commit: go on from the text that the caller has."""
    RESUME = "resume"
    """After the commit: answer anew, and show what comes after the text that the caller has."""
    RESTART = "restart"
    """After the commit: answer anew, and tell the caller so."""


class StartAttempt(Value, frozen=True):
    """Start attempt `number` (from 1) at candidate `candidate` (index into the plan).

    Attributes:
        address: Index into the provider's addresses.
        credential: Index into the address's credentials; 0 when it has none.
        target: Name of the target's health cell; `credential_cell` that of its credential, or "".
        total: Seconds that the attempt may take at most: its own clock, cut by the deadline.
        first_content: Seconds until its first content: fixed, or adapted to the target as long as
            there is another choice to go to.
        at: When it begins, monotonic seconds; tells the attempt from others at its target.
        forced: Made although the target is set aside, since nothing better is left; what the
            provider asked for still refuses it.
    """

    number: int
    candidate: int
    address: int
    credential: int
    kind: Kind
    target: str
    credential_cell: str
    total: float
    first_content: float
    at: float = 0.0
    forced: bool = False


class ArmHedge(Value, frozen=True):
    """Report `HedgeDue` at monotonic instant `at`, unless something is heard of the attempt before."""

    at: float


class Wait(Value, frozen=True):
    """Report `WaitElapsed` at monotonic instant `until`.

    Attributes:
        queue: How many requests of the worker may wait like this, with `Refused` beyond; 0: a plain pause.
    """

    until: float
    queue: int = 0


class CancelAttempt(Value, frozen=True):
    """Close the upstream connection of attempt `number` now; no more events of it are wanted."""

    number: int


class Commit(Value, frozen=True):
    """Release what attempt `number` has produced to the caller; from here on, relay it as it comes."""

    number: int


class Finish(Value, frozen=True):
    """The chain ended. `failure` is the one to show when the outcome is not OK (None when cancelled)."""

    outcome: Outcome
    failure: Failure | None = None
    attempt: int = 0


Effect = StartAttempt | ArmHedge | Wait | CancelAttempt | Commit | Finish
