"""Budgets: how much extra load a worker may make, as a share of its requests.

Why a budget and no fixed number of retries: when everything fails, a fixed number
multiplies the load by it, and keeps a provider down that would recover. A share
bounds the load whatever happens (finagle's retry budgets; the Google SRE book, ch. 21).
"""

from __future__ import annotations

from services.core.attempts.window import Window, counted, totals
from services.core.policy.rules import BudgetRule

WINDOW_SECONDS = 10.0

Budget = Window
"""Requests (`good`) and extra attempts (`bad`) of late."""

FULL = Budget()


def after_request(budget: Budget, now: float) -> Budget:
    """The budget after one more request."""
    return counted(budget, now, WINDOW_SECONDS, good=1)


def withdraw(budget: Budget, rule: BudgetRule, now: float) -> tuple[Budget, bool]:
    """The budget after one more extra attempt, if there is room for it, and whether there was."""
    requests, extras = totals(budget, now, WINDOW_SECONDS)
    allowed = max(rule.ratio * requests, rule.min_per_second * WINDOW_SECONDS)
    if extras + 1.0 > allowed:
        return budget, False
    return counted(budget, now, WINDOW_SECONDS, bad=1), True
