"""What the machine asks of the shell, in the order given."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from services.core.errors import Failure


class Outcome(StrEnum):
    """How a chain ended."""

    OK = "ok"
    FAILED = "failed"
    """Every allowed attempt failed, or a failure says that trying on is pointless."""
    BROKEN = "broken"
    """The answer broke after its first content had reached the caller."""
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class StartAttempt:
    """Start attempt `number` (from 1) at candidate `candidate` (index into the plan) with credential `credential`.

    Attributes:
        credential: Index into the provider's credentials; 0 when it has none.
        retry: True: the same target as the attempt before.
        total: Seconds that the attempt may take at most: its own clock, cut by the deadline.
    """

    number: int
    candidate: int
    credential: int
    retry: bool
    total: float


@dataclass(frozen=True, slots=True)
class Wait:
    """Report `WaitElapsed` at monotonic instant `until`."""

    until: float


@dataclass(frozen=True, slots=True)
class CancelAttempt:
    """Close the upstream connection of attempt `number` now; no more events of it are wanted."""

    number: int


@dataclass(frozen=True, slots=True)
class Commit:
    """Release what attempt `number` has produced to the caller; from here on, relay it as it comes."""

    number: int


@dataclass(frozen=True, slots=True)
class Finish:
    """The chain ended. `failure` is the one to show when the outcome is not OK (None when cancelled)."""

    outcome: Outcome
    failure: Failure | None = None
    attempt: int = 0


Effect = StartAttempt | Wait | CancelAttempt | Commit | Finish
