"""What the shell reports to the machine. Each event of an attempt names the attempt's number.

`DeadlineReached` and `CallerCancelled` make the machine whole, for transcripts and random walks. The
data plane's run has no need to report them: each attempt is bounded by the deadline, and a caller
that leaves closes the run.
"""

from __future__ import annotations

from dataclasses import dataclass

from services.core.errors import Failure


@dataclass(frozen=True, slots=True)
class Begin:
    """The request arrived. The first event of every chain."""


@dataclass(frozen=True, slots=True)
class FirstContent:
    """The attempt's content is ready to be shown: the commit point, or the splice of a recovery."""

    attempt: int


@dataclass(frozen=True, slots=True)
class Completed:
    """The attempt's answer is complete, with its terminal event."""

    attempt: int


@dataclass(frozen=True, slots=True)
class Remains:
    """How an answer that broke after its commit can be mended.

    Attributes:
        text_only: The caller has plain text and nothing else, so that it can be continued or repeated.
        restartable: The caller said that it understands a restart.
    """

    text_only: bool = False
    restartable: bool = False


@dataclass(frozen=True, slots=True)
class AttemptFailed:
    """The attempt failed, before or after its first content."""

    attempt: int
    failure: Failure
    remains: Remains = Remains()


BUDGET, QUEUE_FULL = "BUDGET", "QUEUE_FULL"
"""Reasons of a refusal that say nothing about the target."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The attempt was not made: its target is shut, the budget is spent, or the queue is full.

    Attributes:
        until: When the target may be called again, monotonic seconds; 0.0: it is not about the target.
        hard: The provider asked for it.
        why: Kind of the failure behind it, or `BUDGET` or `QUEUE_FULL`.
    """

    attempt: int
    until: float
    hard: bool
    why: str


@dataclass(frozen=True, slots=True)
class WaitElapsed:
    """The wait that the machine asked for is over."""


@dataclass(frozen=True, slots=True)
class HedgeDue:
    """The instant of `ArmHedge` has come, and nothing was heard of the attempt yet."""


@dataclass(frozen=True, slots=True)
class DeadlineReached:
    """The request's deadline passed."""


@dataclass(frozen=True, slots=True)
class CallerCancelled:
    """The caller went away."""


Event = (
    Begin
    | FirstContent
    | Completed
    | AttemptFailed
    | Refused
    | WaitElapsed
    | HedgeDue
    | DeadlineReached
    | CallerCancelled
)
