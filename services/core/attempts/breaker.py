"""Breakers: when a target is set aside, how it is probed, and how it comes back.

One cell per target at one address with one credential, and one per credential. Values and
functions only; the worker's tracker keeps the cells.

    CLOSED ──failures in a row, or their share──► OPEN ──time──► HALF-OPEN ──success──► CLOSED, small share
                                                   ▲                 │                    share grows to 1
                                                   └──failure, twice as long──┘

Rules
1. Half-open lets a single attempt through; while it runs the cell stays shut for others. A probe
   that ends without a word on the target's health gives its place back.
2. What a provider asked for (Retry-After) is a floor that nothing overrides.
3. After a recovery the share of traffic grows from `MIN_SHARE` to 1 over the rule's `ramp`. Under
   overload it is cut by a fifth, at most once a second, and grows back, but `SLOW` times slower:
   additive increase, multiplicative decrease. A target that is overloaded while its share grows is
   known by its second failure, for it has had few answers yet. Shares order choices, they exclude none.
4. Attempts that began before the breaker opened are old news: they neither close nor open it, not
   even when they end after it has closed. With answers that take minutes they are many.
5. An attempt that was made although the cell is open (nothing better was left) closes the cell when
   it succeeds. When it fails it says nothing new.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from services.core.attempts.verdicts import Harm, disposition, is_overload
from services.core.attempts.window import Window, counted, totals
from services.core.errors import Failure
from services.core.policy.rules import BreakerRule

CREDENTIAL_SECONDS = 60.0
"""How long a rejected credential is set aside, at least."""
PUSHBACK_SECONDS = 1.0
"""How long a rate limit without Retry-After sets a target aside."""
PROBE_SECONDS = 0.2
"""When to ask again at a cell whose probe is running."""
PROBE_LIMIT = 60.0
"""How long a probe may hold its place; every attempt is ended by its worker, so this is a second net."""
MAX_PUSHBACK_SECONDS = 600.0
MIN_SHARE = 0.1
CUT = 0.8
CUT_INTERVAL = 1.0
SLOW = 20.0
"""A share that was cut needs this many times the ramp to grow back; quicker growth undoes every cut."""
OVERLOAD_RATE = 0.1
"""Share of failures of late, of whatever kind, from which on an overload failure cuts the share of traffic."""
OVERLOAD_SAMPLES = 10
DEGRADED_RATE = 0.1
DEGRADED_FAILURES = 2.0
"""Failures of late from which on their share counts; one may happen to anybody."""


@dataclass(frozen=True, slots=True)
class Cell:
    """What is known of one target or credential. Instants in monotonic seconds; 0.0: never.

    Attributes:
        open_until: Open until then, half-open after it; 0.0: closed.
        opened_at: When it opened last; attempts that began before it are old news.
        asked_until: The provider asked not to be called before.
        rest_until: A rate limit that named no time; better not before.
        openings: Times opened since it last closed; each one doubles the time.
        probe: When the probe of the half-open cell began, which tells it from other attempts.
        probe_until: It holds its place at most until then; 0.0: no probe.
        share: Share of traffic at `share_at`; it grows from there. `slow`: after a cut.
        why: Kind of the last failure that counted.
    """

    consecutive: int = 0
    open_until: float = 0.0
    opened_at: float = 0.0
    asked_until: float = 0.0
    rest_until: float = 0.0
    openings: int = 0
    probe: float = 0.0
    probe_until: float = 0.0
    share: float = 1.0
    share_at: float = 0.0
    slow: bool = False
    outcomes: Window = Window()
    why: str = ""


FRESH = Cell()


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an attempt may not be made now. `hard`: the provider asked for it."""

    until: float
    hard: bool
    why: str


def refusal(cell: Cell, now: float) -> Refusal | None:
    """Why the cell is shut at `now`; None: it is not."""
    if cell.asked_until > now:
        return Refusal(max(cell.asked_until, cell.open_until), hard=True, why=cell.why)
    if max(cell.open_until, cell.rest_until) > now:
        return Refusal(max(cell.open_until, cell.rest_until), hard=False, why=cell.why)
    if is_open(cell) and cell.probe_until > now:
        return Refusal(min(cell.probe_until, now + PROBE_SECONDS), hard=False, why=cell.why)
    return None


def is_open(cell: Cell) -> bool:
    """Whether the breaker is open or half-open."""
    return cell.open_until > 0.0


def admitted(cell: Cell, began: float, now: float) -> Cell:
    """The cell after an attempt that began at `began` was let through at `now`: it holds a half-open one."""
    if not is_open(cell) or cell.open_until > now or cell.probe_until > now:
        return cell
    return replace(cell, probe=began, probe_until=now + PROBE_LIMIT)


def released(cell: Cell, began: float) -> Cell:
    """The cell after an attempt that says nothing about its health; a probe gives its place back."""
    return replace(cell, probe=0.0, probe_until=0.0) if _is_probe(cell, began) else cell


def _is_probe(cell: Cell, began: float) -> bool:
    return cell.probe_until > 0.0 and cell.probe == began


def share_of(cell: Cell, rule: BreakerRule, now: float) -> float:
    """The cell's share of traffic at `now`, above 0, at most 1."""
    if cell.share >= 1.0:
        return 1.0
    grows_in = rule.ramp * SLOW if cell.slow else rule.ramp
    return min(1.0, cell.share + max(0.0, now - cell.share_at) / grows_in)


def is_degraded(cell: Cell, rule: BreakerRule, now: float) -> bool:
    """Whether the target fails so often that extra load on it needs a budget."""
    good, bad = totals(cell.outcomes, now, rule.window)
    return is_open(cell) or (bad >= DEGRADED_FAILURES and bad >= DEGRADED_RATE * (good + bad))


def is_spent(cell: Cell, rule: BreakerRule, now: float) -> bool:
    """Whether the cell says nothing any more that a fresh one does not say."""
    shut = is_open(cell) or max(cell.asked_until, cell.rest_until) > now
    bad = totals(cell.outcomes, now, rule.window)[1]
    return not shut and not cell.consecutive and share_of(cell, rule, now) >= 1.0 and not bad


def after_success(cell: Cell, rule: BreakerRule, began: float, now: float) -> Cell:
    """The cell after a good answer of an attempt that began at `began`."""
    if began < cell.opened_at:
        return cell
    if is_open(cell):
        asked, why = cell.asked_until, cell.why
        return Cell(opened_at=cell.opened_at, asked_until=asked, share=MIN_SHARE, share_at=now, why=why)
    return replace(cell, consecutive=0, outcomes=counted(cell.outcomes, now, rule.window, good=1))


def after_failure(cell: Cell, failure: Failure, rule: BreakerRule, began: float, now: float) -> Cell:
    """The cell after a failure, of an attempt that began at `began`, that counts against it."""
    harm = disposition(failure).harm
    if harm is Harm.NOTHING:
        return released(cell, began)
    asked = None if failure.retry_after is None else min(failure.retry_after, MAX_PUSHBACK_SECONDS)
    if harm is Harm.CREDENTIAL:
        return _rejected(cell, failure, asked, now)
    if asked is not None:
        cell = replace(cell, asked_until=max(cell.asked_until, now + asked), why=failure.kind.value)
    if began < cell.opened_at:
        return cell
    cell = replace(cell, outcomes=counted(cell.outcomes, now, rule.window, bad=1), why=failure.kind.value)
    if is_overload(failure):
        cell = _cut(cell, rule, now)
    if harm is Harm.PUSHBACK:
        # A rate limit is the provider's word on our pace, not on its health.
        rest = max(cell.rest_until, now + PUSHBACK_SECONDS) if asked is None else cell.rest_until
        return released(replace(cell, rest_until=rest), began)
    if is_open(cell):
        return _opened(cell, rule, now) if _is_probe(cell, began) else cell
    cell = replace(cell, consecutive=cell.consecutive + 1)
    return _opened(cell, rule, now) if _must_open(cell, rule, now) else cell


def _rejected(cell: Cell, failure: Failure, asked: float | None, now: float) -> Cell:
    """A credential's cell after it was rejected."""
    until = now + max(asked or 0.0, CREDENTIAL_SECONDS)
    cell = replace(cell, open_until=max(cell.open_until, until), opened_at=now, why=failure.kind.value)
    return replace(cell, probe=0.0, probe_until=0.0)


def _must_open(cell: Cell, rule: BreakerRule, now: float) -> bool:
    if cell.consecutive >= rule.consecutive_failures:
        return True
    good, bad = totals(cell.outcomes, now, rule.window)
    return good + bad >= rule.min_requests and bad >= rule.error_rate * (good + bad)


def _opened(cell: Cell, rule: BreakerRule, now: float) -> Cell:
    seconds = max(rule.open_for, min(rule.max_open_for, rule.open_for * 2.0 ** min(cell.openings, 30)))
    cell = replace(cell, open_until=now + seconds, opened_at=now, openings=cell.openings + 1)
    return replace(cell, probe=0.0, probe_until=0.0)


def _cut(cell: Cell, rule: BreakerRule, now: float) -> Cell:
    good, bad = totals(cell.outcomes, now, rule.window)
    if bad < OVERLOAD_RATE * (good + bad):
        return cell
    share = share_of(cell, rule, now)
    if cell.slow or share >= 1.0:
        if good + bad < OVERLOAD_SAMPLES or now - cell.share_at < CUT_INTERVAL:
            return cell
    elif bad < DEGRADED_FAILURES:
        return cell
    return replace(cell, share=max(MIN_SHARE, share * CUT), share_at=now, slow=True)
