"""What the shell reports to the machine. Each event of an attempt names the attempt's number.

`DeadlineReached` and `CallerCancelled` make the machine whole, for transcripts and random walks. The
data plane's run has no need to report them: each attempt is bounded by the deadline, and a caller
that leaves closes the run.
"""

from __future__ import annotations

from services.core.errors import Failure
from services.core.values import Value


class Begin(Value, frozen=True):
    """The request arrived. The first event of every chain."""


class FirstContent(Value, frozen=True):
    """The attempt's content is ready to be shown: the commit point, or the splice of a recovery."""

    attempt: int


class Completed(Value, frozen=True):
    """The attempt's answer is complete, with its terminal event."""

    attempt: int


class Remains(Value, frozen=True):
    """How an answer that broke after its commit can be mended.

    Attributes:
        text_only: The caller has plain text and nothing else, so that it can be continued or repeated.
        restartable: The caller said that it understands a restart.
    """

    text_only: bool = False
    restartable: bool = False


class AttemptFailed(Value, frozen=True):
    """The attempt failed, before or after its first content."""

    attempt: int
    failure: Failure
    remains: Remains = Remains()


BUDGET, QUEUE_FULL = "BUDGET", "QUEUE_FULL"
"""Reasons of a refusal that say nothing about the target."""


class Refused(Value, frozen=True):
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


class WaitElapsed(Value, frozen=True):
    """The wait that the machine asked for is over."""


class HedgeDue(Value, frozen=True):
    """The instant of `ArmHedge` has come, and nothing was heard of the attempt yet."""


class DeadlineReached(Value, frozen=True):
    """The request's deadline passed."""


class CallerCancelled(Value, frozen=True):
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
