"""What this worker has seen of targets and credentials: the state behind `HealthView`.

State is local to the worker; the rules are pure (`core/attempts/breaker.py`, `budget.py`).
The view is rebuilt only when something changed, so healthy traffic pays little for it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from services.core.attempts.breaker import (
    FRESH,
    Cell,
    admitted,
    after_failure,
    after_success,
    is_degraded,
    is_open,
    is_spent,
    refusal,
    released,
    share_of,
)
from services.core.attempts.budget import FULL, Budget, after_request, withdraw
from services.core.attempts.effects import Kind, StartAttempt
from services.core.attempts.events import BUDGET, Refused
from services.core.attempts.verdicts import Harm, disposition
from services.core.errors import Failure
from services.core.policy.rules import BreakerRule, BudgetRule
from services.core.routing.health import WHOLE, HealthView
from services.core.routing.plan import Plan
from services.dataplane.samples import Samples

LEAST_TOKENS = 16
"""Shorter streams come in too few pieces to tell how fast their target is."""
MAX_NAMES = 512
"""Names of which cells or speeds are kept; a policy has far fewer, but callers may name models of their own."""
HEDGE_FLOOR_PER_SECOND = 0.1
"""One hedge in ten seconds is always allowed, so that hedging works on a quiet worker too."""


@dataclass(frozen=True, slots=True)
class HealthEvent:
    """A cell was set aside (`until` in monotonic seconds) or came back (`until` 0.0)."""

    name: str
    until: float
    why: str
    opened: bool = False
    """Its breaker opened, or opened again; False: its provider asked for it, or it came back."""


@dataclass(frozen=True, slots=True)
class CellReport:
    """The present state of one cell; `until` in monotonic seconds, 0.0: not set aside."""

    name: str
    state: str
    """closed, open, half_open, asked or resting."""
    until: float
    why: str
    share: float
    consecutive: int
    in_flight: int
    is_open: bool = False
    """Its breaker is open or half-open, whatever its provider asked for besides."""


class HealthTracker:
    """Keeps the cells, the budgets and the speeds of one worker."""

    def __init__(self) -> None:
        self._cells: dict[str, Cell] = {}
        self._rules: dict[str, BreakerRule] = {}
        self._in_flight: dict[str, int] = {}
        self._speeds = Samples(MAX_NAMES)
        self._rates = Samples(MAX_NAMES)
        self._budget: Budget = FULL
        self._hedges: Budget = FULL
        self._queued = 0
        self._view = HealthView()
        self._dirty = False
        self._growing = False
        self.on_event: Callable[[HealthEvent], None] = lambda event: None
        self.on_refused: Callable[[StartAttempt], None] = lambda effect: None
        """Told of extra attempts that a budget, or a degraded target, did not allow."""

    def view(self, now: float) -> HealthView:
        """The health at `now`; immutable."""
        if self._dirty or self._growing:
            self._rebuild(now)
        return self._view

    def _rebuild(self, now: float) -> None:
        benched: dict[str, float] = {}
        asked, why, shares = set(), {}, {}
        for name, cell in self._cells.items():
            shut = refusal(cell, now)
            if shut is not None:
                benched[name], why[name] = shut.until, shut.why
                if shut.hard:
                    asked.add(name)
            share = share_of(cell, self._rules[name], now)
            if share < 1.0:
                shares[name] = share
        busy = {name: count for name, count in self._in_flight.items() if count}
        speeds, rates = self._speeds.sorted(), self._rates.sorted()
        self._view = HealthView(benched, frozenset(asked), why, shares, busy, speeds, rates)
        self._dirty = False
        # Shares grow and benches end with time alone.
        self._growing = bool(shares or benched)

    def begin_request(self, now: float) -> None:
        """Count a request for the budgets."""
        self._budget = after_request(self._budget, now)
        self._hedges = after_request(self._hedges, now)

    def admit(self, effect: StartAttempt, plan: Plan, now: float) -> Refused | None:
        """Let an attempt begin, or say why not. An admitted one is ended by exactly one of the methods below."""
        rule = plan.candidates[effect.candidate].target.provider.breaker
        names = (effect.target, effect.credential_cell) if effect.credential_cell else (effect.target,)
        for name in names:
            cell = self._cells.get(name)
            shut = refusal(cell, now) if cell is not None else None
            if shut is not None and (shut.hard or not effect.forced):
                return Refused(effect.number, shut.until, shut.hard, shut.why)
        if effect.kind is not Kind.FIRST and not self._pays(effect, plan, rule, now):
            self.on_refused(effect)
            return Refused(effect.number, 0.0, False, BUDGET)
        for name in names:
            cell = self._cells.get(name)
            if cell is not None and is_open(cell):
                self._put(name, admitted(cell, effect.at, now), rule, now)
        self._in_flight[effect.target] = self._in_flight.get(effect.target, 0) + 1
        self._dirty = self._dirty or self._is_pooled(effect, plan)
        return None

    def _is_pooled(self, effect: StartAttempt, plan: Plan) -> bool:
        """Whether what is in flight orders anything: only among several addresses or credentials."""
        provider = plan.candidates[effect.candidate].target.provider
        return len(provider.addresses) > 1 or len(provider.credentials) > 1

    def _pays(self, effect: StartAttempt, plan: Plan, rule: BreakerRule, now: float) -> bool:
        """Take an extra attempt from the budgets. A failover to a healthy target is free: it is no extra load there."""
        degraded = is_degraded(self._cells.get(effect.target, FRESH), rule, now)
        if effect.kind is Kind.HEDGE:
            if degraded:
                return False
            hedges, allowed = withdraw(self._hedges, BudgetRule(plan.hedge.budget, HEDGE_FLOOR_PER_SECOND), now)
            if not allowed:
                return False
            self._hedges = hedges
        elif effect.kind is not Kind.RETRY and not degraded:
            return True
        self._budget, allowed = withdraw(self._budget, plan.retry.budget, now)
        return allowed

    def answers(self, effect: StartAttempt, rule: BreakerRule, now: float) -> None:
        """Content came: an open cell closes now, and not when a long answer has ended."""
        for name in (effect.target, effect.credential_cell):
            cell = self._cells.get(name)
            if cell is not None and is_open(cell):
                self._put(name, after_success(cell, rule, effect.at, now), rule, now)

    def succeeded(self, effect: StartAttempt, rule: BreakerRule, now: float) -> None:
        """Book a good answer. Only what has failed lately has a cell, so healthy traffic pays nothing here."""
        self._ended(effect)
        for name in (effect.target, effect.credential_cell):
            cell = self._cells.get(name)
            if cell is not None:
                self._put(name, after_success(cell, rule, effect.at, now), rule, now)

    def failed(self, effect: StartAttempt, failure: Failure, rule: BreakerRule, now: float) -> None:
        """Book a failure: against the credential if that is what failed, else against the target."""
        self._ended(effect)
        harm = disposition(failure).harm
        against = effect.credential_cell if harm is Harm.CREDENTIAL and effect.credential_cell else effect.target
        for name in (effect.target, effect.credential_cell):
            cell = self._cells.get(name, FRESH)
            after = released(cell, effect.at)
            if name == against:
                after = after_failure(cell, failure, rule, effect.at, now)
            if name and (after is not cell or name in self._cells):
                self._put(name, after, rule, now)

    def released(self, effect: StartAttempt, rule: BreakerRule, now: float) -> None:
        """An attempt ended without a word on health: cancelled, or never sent."""
        self._ended(effect)
        for name in (effect.target, effect.credential_cell):
            cell = self._cells.get(name)
            if cell is not None:
                self._put(name, released(cell, effect.at), rule, now)

    def _ended(self, effect: StartAttempt) -> None:
        left = self._in_flight.get(effect.target, 0) - 1
        if left > 0:
            self._in_flight[effect.target] = left
        else:
            self._in_flight.pop(effect.target, None)
        self._dirty = self._dirty or effect.target in self._view.in_flight

    def seen_content(self, model: str, seconds: float, *, stream: bool) -> None:
        """Note a time to first content, or, for an answer that is not streamed, to all of it."""
        self._dirty = self._speeds.note(model if stream else model + WHOLE, seconds) or self._dirty

    def seen_rate(self, model: str, tokens: int, seconds: float) -> None:
        """Note how many tokens a stream brought in the time after its first content; few tell nothing."""
        if tokens >= LEAST_TOKENS and seconds > 0.0:
            self._dirty = self._rates.note(model, tokens / seconds) or self._dirty

    def enter_queue(self, limit: int) -> bool:
        """Take a place among the requests that wait for a target; `leave_queue` gives it back."""
        if self._queued >= limit:
            return False
        self._queued += 1
        return True

    def leave_queue(self) -> None:
        """Give a place in the queue back."""
        self._queued -= 1

    def report(self, now: float) -> list[CellReport]:
        """Every cell that is known, by name."""
        names = sorted({*self._cells, *self._in_flight})
        return [self.report_of(name, now) for name in names]

    def report_of(self, name: str, now: float) -> CellReport:
        """One cell; of a name that nothing is known against, that it is closed."""
        cell = self._cells.get(name, FRESH)
        share = share_of(cell, self._rules.get(name, BreakerRule()), now)
        shut = refusal(cell, now)
        state = "closed"
        if cell.asked_until > now:
            state = "asked"
        elif is_open(cell):
            state = "open" if cell.open_until > now else "half_open"
        elif cell.rest_until > now:
            state = "resting"
        until = shut.until if shut is not None else 0.0
        busy = self._in_flight.get(name, 0)
        return CellReport(name, state, until, cell.why, share, cell.consecutive, busy, is_open(cell))

    def _forget_cells(self) -> None:
        while len(self._cells) >= MAX_NAMES:
            name = next((n for n, cell in self._cells.items() if not is_open(cell)), next(iter(self._cells)))
            del self._cells[name], self._rules[name]
            self._dirty = True

    def _put(self, name: str, cell: Cell, rule: BreakerRule, now: float) -> None:
        before = self._cells.get(name)
        if before == cell:
            return
        if before is None:
            self._forget_cells()
        self._cells[name], self._rules[name] = cell, rule
        if is_spent(cell, rule, now):
            del self._cells[name], self._rules[name]
        was, shut = refusal(before or FRESH, now), refusal(cell, now)
        if (was is None) != (shut is None) or cell.share != (before or FRESH).share:
            self._dirty = True
        if is_open(cell) and cell.open_until != (before or FRESH).open_until:
            self.on_event(HealthEvent(name, cell.open_until, cell.why, opened=True))
        elif cell.asked_until > (before or FRESH).asked_until:
            self.on_event(HealthEvent(name, cell.asked_until, cell.why))
        elif before is not None and is_open(before) and not is_open(cell):
            self.on_event(HealthEvent(name, 0.0, cell.why))
