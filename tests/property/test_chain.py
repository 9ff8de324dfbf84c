"""The attempt chain under random plans, random health and a random world: its bounds always hold, and it can be replayed.

`Drive` checks after every step that its effects were legal, in order; see `chains.py`.
"""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings

from services.core.attempts.chain import start, step
from services.core.attempts.effects import Kind, Outcome
from services.core.attempts.events import Begin, HedgeDue
from services.core.attempts.moves import Phase
from services.core.policy.rules import Recovery
from services.core.routing.health import HealthView
from services.core.routing.plan import Plan
from tests.property.chains import MENDING, NOW, Drive, Script, plans, scripts, views

many = settings(max_examples=500, deadline=None)
some = settings(max_examples=150, deadline=None)


@many
@given(plans, views, scripts)
def test_bounds_hold_whatever_happens(plan: Plan, view: HealthView, script: Script) -> None:
    drive = Drive(plan, view, script).run()
    assert len(drive.finished) == 1
    assert len(drive.admitted) <= plan.retry.max_attempts
    assert drive.now <= NOW + plan.retry.deadline + 1e-6
    assert drive.chain.phase is Phase.DONE
    assert {(s.candidate, s.address, s.credential) for s in drive.admitted} <= {
        (c.candidate, c.address, c.credential) for c in drive.chain.choices
    }
    assert step(drive.chain, Begin(), drive.now) == (drive.chain, ())


@many
@given(plans, views, scripts)
def test_a_choice_is_tried_again_only_as_a_retry(plan: Plan, view: HealthView, script: Script) -> None:
    drive = Drive(plan, view, script).run()
    before = Counter(s.target for s in drive.admitted if s.kind in {Kind.FIRST, Kind.FAILOVER, Kind.HEDGE})
    assert all(count == 1 for count in before.values())
    retries = Counter(s.target for s in drive.admitted if s.kind is Kind.RETRY)
    assert all(count <= plan.retry.max_retries for count in retries.values())
    assert retries.keys() <= before.keys()
    for (_, kind), count in drive.tried.items():
        # Each way of mending once at each choice, and retries, which are counted per answer shown.
        if kind in MENDING:
            assert count <= 1 + plan.retry.max_retries
    forced = [s for s in drive.admitted if s.forced and s.kind is not Kind.RETRY]
    assert len(forced) <= 1
    assert sum(s.kind is Kind.FIRST for s in drive.admitted) <= 1
    assert sum(s.kind is Kind.HEDGE for s in drive.admitted) <= 1
    if drive.admitted:
        assert drive.admitted[0].kind is Kind.FIRST


@some
@given(plans, views, scripts)
def test_a_chain_replays_to_the_same_effects(plan: Plan, view: HealthView, script: Script) -> None:
    drive = Drive(plan, view, script).run()
    chain = start(plan, NOW, view)
    for event, now, effects in drive.steps:
        chain, again = step(chain, event, now)
        assert again == effects
    assert chain == drive.chain


@some
@given(plans, views, scripts)
def test_what_was_shown_is_mended_only_as_policy_says(plan: Plan, view: HealthView, script: Script) -> None:
    drive = Drive(plan, view, script).run()
    kinds = {s.kind for s in drive.admitted if s.kind in MENDING}
    allowed = {
        Recovery.HONEST_ERROR: set(),
        Recovery.CONTINUE: {Kind.CONTINUE},
        Recovery.VERIFIED_RESUME: {Kind.RESUME},
        Recovery.RESTART: {Kind.RESTART},
        Recovery.SEAMLESS: set(MENDING),
    }
    assert kinds <= allowed[plan.recovery]
    if drive.finished[0].outcome is Outcome.BROKEN:
        shown = drive.finished[0].failure
        assert drive.chain.broken is None or shown == drive.chain.broken


@some
@given(plans, views, scripts)
def test_a_hedge_changes_nothing_where_none_is_due(plan: Plan, view: HealthView, script: Script) -> None:
    drive = Drive(plan, view, script).run()
    chain = start(plan, NOW, view)
    for event, now, effects in drive.steps:
        if chain.phase is not Phase.NEW and (chain.phase is not Phase.RUNNING or len(chain.flights) != 1):
            assert step(chain, HedgeDue(), now) == (chain, ())
        chain, _ = step(chain, event, now)
        del effects
