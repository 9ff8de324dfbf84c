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
   overload it is cut by a fifth, at most once a second, and grows back: additive increase,
   multiplicative decrease. Shares order choices, they exclude none.
4. An attempt that began before the breaker opened cannot close it.
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
MAX_PUSHBACK_SECONDS = 600.0
MIN_SHARE = 0.1
CUT = 0.8
CUT_INTERVAL = 1.0
OVERLOAD_RATE = 0.1
"""Share of overload failures of late above which the share of traffic is cut."""
DEGRADED_RATE = 0.1
DEGRADED_SAMPLES = 10


@dataclass(frozen=True, slots=True)
class Cell:
    """What is known of one target or credential. Instants in monotonic seconds; 0.0: never.

    Attributes:
        open_until: Open until then, half-open after it; 0.0: closed.
        asked_until: The provider asked not to be called before.
        rest_until: A rate limit that named no time; better not before.
        openings: Times opened since it last closed; each one doubles the time.
        probe_until: A probe holds the half-open cell at most until then; 0.0: no probe.
        share: Share of traffic at `share_at`; it grows from there.
        why: Kind of the last failure that counted.
    """

    consecutive: int = 0
    open_until: float = 0.0
    asked_until: float = 0.0
    rest_until: float = 0.0
    openings: int = 0
    probe_until: float = 0.0
    share: float = 1.0
    share_at: float = 0.0
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
    if cell.open_until and cell.probe_until > now:
        return Refusal(min(cell.probe_until, now + PROBE_SECONDS), hard=False, why=cell.why)
    return None


def is_open(cell: Cell) -> bool:
    """Whether the breaker is open or half-open."""
    return cell.open_until > 0.0


def admitted(cell: Cell, rule: BreakerRule, now: float) -> Cell:
    """The cell after an attempt was let through: a half-open one is held by its probe."""
    return replace(cell, probe_until=now + rule.max_open_for) if is_open(cell) else cell


def released(cell: Cell) -> Cell:
    """The cell after an attempt that says nothing about its health."""
    return replace(cell, probe_until=0.0) if cell.probe_until else cell


def share_of(cell: Cell, rule: BreakerRule, now: float) -> float:
    """The cell's share of traffic at `now`, above 0, at most 1."""
    if cell.share >= 1.0:
        return 1.0
    return min(1.0, cell.share + (now - cell.share_at) / rule.ramp)


def is_degraded(cell: Cell, rule: BreakerRule, now: float) -> bool:
    """Whether the target fails so often that extra load on it needs a budget."""
    good, bad = totals(cell.outcomes, now, rule.window)
    return is_open(cell) or (good + bad >= DEGRADED_SAMPLES and bad >= DEGRADED_RATE * (good + bad))


def is_spent(cell: Cell, rule: BreakerRule, now: float) -> bool:
    """Whether the cell says nothing any more that a fresh one does not say."""
    shut = is_open(cell) or max(cell.asked_until, cell.rest_until) > now
    return not shut and not cell.consecutive and share_of(cell, rule, now) >= 1.0 and not _bad(cell, rule, now)


def _bad(cell: Cell, rule: BreakerRule, now: float) -> float:
    return totals(cell.outcomes, now, rule.window)[1]


def after_success(cell: Cell, rule: BreakerRule, now: float) -> Cell:
    """The cell after a good answer."""
    outcomes = counted(cell.outcomes, now, rule.window, good=1)
    if not is_open(cell):
        return replace(cell, consecutive=0, outcomes=outcomes)
    if cell.open_until > now:
        return replace(cell, outcomes=outcomes)
    return Cell(asked_until=cell.asked_until, share=MIN_SHARE, share_at=now, why=cell.why)


def after_failure(cell: Cell, failure: Failure, rule: BreakerRule, now: float) -> Cell:
    """The cell after a failure that counts against it."""
    harm = disposition(failure).harm
    asked = None if failure.retry_after is None else min(failure.retry_after, MAX_PUSHBACK_SECONDS)
    if harm is Harm.NOTHING:
        return released(cell)
    why = failure.kind.value
    if harm is Harm.CREDENTIAL:
        seconds = CREDENTIAL_SECONDS if asked is None else max(asked, CREDENTIAL_SECONDS)
        return replace(cell, open_until=max(cell.open_until, now + seconds), probe_until=0.0, why=why)
    outcomes = counted(cell.outcomes, now, rule.window, bad=1)
    cell = replace(cell, outcomes=outcomes, why=why)
    if is_overload(failure):
        cell = _cut(cell, rule, now)
    if asked is not None:
        cell = replace(cell, asked_until=max(cell.asked_until, now + asked))
    if harm is Harm.PUSHBACK:
        # A rate limit is the provider's word on our pace, not on its health.
        if asked is None and not is_open(cell):
            cell = replace(cell, rest_until=now + PUSHBACK_SECONDS)
        return released(cell)
    cell = replace(cell, consecutive=cell.consecutive + 1)
    return _opened(cell, rule, now) if _must_open(cell, rule, now) else cell


def _must_open(cell: Cell, rule: BreakerRule, now: float) -> bool:
    if is_open(cell):
        # The probe failed; failures of attempts from before the opening change nothing.
        return cell.open_until <= now
    if cell.consecutive >= rule.consecutive_failures:
        return True
    good, bad = totals(cell.outcomes, now, rule.window)
    return good + bad >= rule.min_requests and bad >= rule.error_rate * (good + bad)


def _opened(cell: Cell, rule: BreakerRule, now: float) -> Cell:
    seconds = min(rule.max_open_for, rule.open_for * 2.0 ** min(cell.openings, 30))
    return replace(cell, open_until=now + seconds, openings=cell.openings + 1, probe_until=0.0)


def _cut(cell: Cell, rule: BreakerRule, now: float) -> Cell:
    good, bad = totals(cell.outcomes, now, rule.window)
    if bad < OVERLOAD_RATE * (good + bad) or good + bad < DEGRADED_SAMPLES or now - cell.share_at < CUT_INTERVAL:
        return cell
    return replace(cell, share=max(MIN_SHARE, share_of(cell, rule, now) * CUT), share_at=now)


def credential_name(provider: str, reference: str) -> str:
    """The name of a credential's cell."""
    return f"{provider}#{reference}"


def target_name(model: str, address: str, reference: str) -> str:
    """The name of a target's cell: the model, at an address (empty: the only one), with a credential (empty: none)."""
    name = f"{model}@{address}" if address else model
    return f"{name}#{reference}" if reference else name
