"""Outcomes: which requests have one, and what it says."""

from __future__ import annotations

from typing import Any

from turnout.experiment.v1.experiment_service_pb2 import Outcome

from services.core.routing.learned.choice import Choice, Scored
from services.core.routing.plan import LearnedChoice
from services.dataplane.outcomes import Outcomes, message_of
from services.runtime.testing import FakeClock
from services.wire.records import unit_hash
from tests.unit.dataplane.build import attempt, plan, trail

GOOD, OTHER = "openai/gpt-5", "anthropic/claude"
LEARNED = LearnedChoice(
    Choice((GOOD, OTHER), (0.9, 0.1), (Scored(GOOD, 0.8, 0.8, 0.0, 0.0), Scored(OTHER, 0.5, 0.5, 0.0, 0.0))),
    kinds="k",
    phi={3: 0.25, 1: 0.75},
    table="t",
    session="conversation-1",
)
NAMES = {"router_id": "r", "route_id": "d", "variant_id": "v"}


def ended(outcomes: Outcomes, number: int = 1, *, learned: bool = True, **more: Any) -> Outcome | None:
    """The outcome of a request that has ended; None: there is none."""
    decided = plan(**NAMES, learned=LEARNED if learned else None, **more.pop("plan", {}))
    values = {"attempts": [attempt(success=True)], "outcome": "ok", "model": GOOD, "prompt_hash": 1, **more}
    before = len(outcomes._waiting)
    outcomes.sink(trail(generation_id=f"g{number}", plan=decided, **values))
    return message_of(outcomes._waiting[-1]) if len(outcomes._waiting) > before else None


def some() -> Outcomes:
    return Outcomes("w", ("127.0.0.1:1",), FakeClock())


def test_a_request_that_was_decided_by_what_was_learned_has_an_outcome_without_a_unit() -> None:
    found = ended(some(), user_hash=unit_hash("user-1"))
    assert found is not None
    assert (found.unit_hash, found.user_hash, found.served_model) == ("", unit_hash("user-1"), GOOD)
    learned = found.learned
    assert (learned.kinds, learned.table, learned.chosen) == ("k", "t", GOOD)
    assert (list(learned.kind), list(learned.weight)) == ([1, 3], [0.75, 0.25])
    assert learned.session == unit_hash("conversation-1")
    assert (list(learned.models), list(learned.propensities)) == ([GOOD, OTHER], [0.9, 0.1])


def test_a_request_in_an_experiment_tells_its_unit_and_no_user() -> None:
    found = ended(some(), learned=False, plan={"exposed": True, "unit": "session-1"}, user_hash=unit_hash("user-1"))
    assert found is not None
    assert (found.unit_hash, found.user_hash) == (unit_hash("session-1"), "")
    assert not found.HasField("learned")


def test_a_request_in_neither_has_no_outcome() -> None:
    assert ended(some(), learned=False) is None
    assert ended(some(), attempts=[]) is None


def test_who_asks_the_same_again_within_a_minute_repeats_the_request_before() -> None:
    outcomes, user = some(), unit_hash("user-1")
    asked = [
        ended(outcomes, number, user_hash=user, started=started)
        for number, started in ((1, 100.0), (2, 159.0), (3, 200.0), (4, 260.0))
    ]
    assert [one.repeats for one in asked if one is not None] == ["", "g1", "g2", ""]


def test_others_other_prompts_and_nobody_repeat_nothing() -> None:
    outcomes = some()
    first = ended(outcomes, 1, user_hash="a")
    other, elsewhere = ended(outcomes, 2, user_hash="b"), ended(outcomes, 3, user_hash="a", prompt_hash=2)
    nobody = [ended(outcomes, number) for number in (4, 5)]
    assert [one.repeats for one in (first, other, elsewhere, *nobody) if one is not None] == [""] * 5


def test_a_repetition_counts_for_an_experiment_only_if_it_is_in_one() -> None:
    outcomes = some()
    inside = {"exposed": True, "unit": "u"}
    found = [ended(outcomes, number, plan=inside) for number in (1, 2)]
    assert [(one.repeated, one.repeats) for one in found if one is not None] == [(False, ""), (True, "g1")]
    outside = [ended(outcomes, number, user_hash="x") for number in (3, 4)]
    assert [(one.repeated, one.repeats) for one in outside if one is not None] == [(False, ""), (False, "g3")]


def test_a_shadow_tells_of_the_answered_request_beside_it_and_is_in_no_experiment() -> None:
    outcomes = some()
    inside = plan(**NAMES, exposed=True, unit="u")
    answered = trail(generation_id="g", plan=inside, cost_usd=0.5, content_at=100.25, invalid_json=False)
    found = ended(outcomes, 2, learned=False, answered=answered, cost_usd=0.125, invalid_json=True)
    assert found is not None
    assert (found.unit_hash, found.HasField("learned"), found.cost_usd, found.invalid_json) == ("", False, 0.125, True)
    beside = found.answered
    assert (beside.generation_id, beside.unit_hash, beside.cost_usd) == ("g", unit_hash("u"), 0.5)
    assert (beside.time_to_first_token_ms, beside.HasField("invalid_json"), beside.invalid_json) == (250.0, True, False)


def test_a_shadow_without_a_unit_stands_for_its_user_or_itself() -> None:
    outcomes = some()
    users = [
        ended(outcomes, n, learned=False, answered=trail(generation_id="g", plan=plan(**NAMES), user_hash=user))
        for n, user in ((1, "ab"), (2, ""))
    ]
    assert [one.answered.unit_hash for one in users if one is not None] == ["ab", "g"]
    assert not any(one.answered.HasField("cost_usd") for one in users if one is not None)


def test_a_shadow_that_the_workers_end_cut_off_has_no_outcome() -> None:
    assert ended(some(), learned=False, answered=trail(plan=plan(**NAMES)), outcome="cancelled") is None
