"""What the shell reports to the machine. Each event of an attempt names the attempt's number."""

from __future__ import annotations

from dataclasses import dataclass

from services.core.errors import Failure


@dataclass(frozen=True, slots=True)
class Begin:
    """The request arrived. The first event of every chain."""


@dataclass(frozen=True, slots=True)
class FirstContent:
    """The attempt's first content, tool or reasoning delta is ready to be shown: the commit point."""

    attempt: int


@dataclass(frozen=True, slots=True)
class Completed:
    """The attempt's answer is complete, with its terminal event."""

    attempt: int


@dataclass(frozen=True, slots=True)
class AttemptFailed:
    """The attempt failed, before or after its first content."""

    attempt: int
    failure: Failure


@dataclass(frozen=True, slots=True)
class WaitElapsed:
    """The wait that the machine asked for is over."""


@dataclass(frozen=True, slots=True)
class DeadlineReached:
    """The request's deadline passed."""


@dataclass(frozen=True, slots=True)
class CallerCancelled:
    """The caller went away."""


Event = Begin | FirstContent | Completed | AttemptFailed | WaitElapsed | DeadlineReached | CallerCancelled
