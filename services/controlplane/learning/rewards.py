"""What an answer was worth, from 0 to 1: by how it ended, or by a metric of feedback. Pure.

A reward is about the model that was chosen, and there is one only if that model served. If it failed, or was set aside, and
another one served, callers judged another model's answer; and whether a model can be reached is the business of breakers and
failover: an outage must not cost it its good name for longer than it lasts.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence

from services.core.policy.preferences import LearnedRule
from services.core.values import Value

USER_SECONDS = 86_400.0
"""How long after a request feedback about its user is about it."""


class Kept(Value, frozen=True):
    """A decision as it is kept, with how its request ended.

    Attributes:
        at: When the request arrived, seconds since the Unix epoch.
        user: Its user, hashed; empty: none.
        served: Model that served; empty: none did.
        whole: The answer came whole, was not refused, not broken off by its caller, and is JSON if that was asked for.
        repeated: The same was asked again within a minute.
        cost: US dollars; None: not known.
        seconds: To the first content; None: there was none.
        message: `turnout.learning.v1.LearnedDecision` in its wire form.
    """

    id: str
    at: float
    user: str
    served: str
    whole: bool
    repeated: bool
    cost: float | None
    seconds: float | None
    message: bytes


class Observation(Value, frozen=True):
    """Feedback about a request, or about a user (hashed); `at` in seconds since the Unix epoch."""

    at: float
    value: float
    request: str = ""
    user: str = ""


class RewardRule(Value, frozen=True):
    """Where rewards come from.

    Attributes:
        metric: Metric of feedback; empty: how answers ended.
        worst: Value that is worth 0; `best`: that is worth 1.
    """

    metric: str = ""
    worst: float = 0.0
    best: float = 1.0

    def of(self, value: float) -> float:
        """The reward of a value, cut to 0 to 1."""
        if self.worst == self.best:
            return float(value >= self.best)
        return min(1.0, max(0.0, (value - self.worst) / (self.best - self.worst)))


def rule_of(learned: LearnedRule) -> RewardRule:
    """The part of what policy says that rewards come from."""
    return RewardRule(learned.metric, learned.worst, learned.best)


def implicit(kept: Kept, chosen: str) -> float | None:
    """The reward by how the answer ended; None: it says nothing about `chosen`."""
    return float(kept.whole and not kept.repeated) if kept.served == chosen else None


def observed(requests: Sequence[Kept], feedback: Iterable[Observation]) -> Mapping[str, float]:
    """The value of each request that feedback was given for, by id; of several the latest counts.

    Feedback about a user is about the latest request of that user before it, and about none that is older than a day.

    Args:
        requests: In order of `at`.
    """
    ids = {kept.id for kept in requests}
    by_user: dict[str, list[Kept]] = {}
    for kept in requests:
        if kept.user:
            by_user.setdefault(kept.user, []).append(kept)
    found: dict[str, float] = {}
    for seen in sorted(feedback, key=lambda one: one.at):
        request = seen.request or _latest(by_user.get(seen.user, ()), seen.at)
        if request in ids:
            found[request] = seen.value
    return found


def _latest(requests: Sequence[Kept], at: float) -> str:
    place = bisect_right(requests, at, key=lambda kept: kept.at)
    if not place or at - requests[place - 1].at > USER_SECONDS:
        return ""
    return requests[place - 1].id
