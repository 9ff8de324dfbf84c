"""The store of decisions, and what comes into it from outcomes and feedback."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from turnout.learning.v1.learning_service_pb2 import LearnedDecision

from services.controlplane.board import Board
from services.controlplane.evidence.store import Observed
from services.controlplane.learning.intake import Decisions
from services.controlplane.learning.logbook import SEGMENTS, Logbook
from services.controlplane.learning.rewards import RewardRule
from services.controlplane.learning.store import ORPHAN_SECONDS, DecisionStore
from services.controlplane.learning.variants import Variants
from services.core.routing.learned.decision import Decision
from services.core.routing.learned.table import EVERYBODY
from services.runtime.kinds import shipped_kinds
from services.runtime.metrics import LearningMetrics
from tests.unit.controlplane.learning.made import KINDS, VARIANT, decided, outcome

THUMBS = RewardRule("thumbs")
HOW_IT_ENDED = RewardRule()
LEARNED_FROM = frozenset({"thumbs"})


def nothing(documents: object, revision: int) -> Any:
    """A compiler that is not asked: there is no policy."""
    raise AssertionError((documents, revision))


class Intake:
    """A store, and both of its ends."""

    def __init__(self, path: Path | None = None) -> None:
        self.registry = CollectorRegistry()
        self.store = DecisionStore(path)
        self.decisions = Decisions(self.store, Variants(Board(), nothing), LearningMetrics(self.registry))
        self._logbook = Logbook(self.store, shipped_kinds())

    def learned(self, rule: RewardRule = HOW_IT_ENDED) -> list[Decision]:
        return self._logbook.decisions(VARIANT, rule)

    def rewards(self, rule: RewardRule = HOW_IT_ENDED) -> list[float | None]:
        return [one.reward for one in self.learned(rule)]

    def count(self, result: str) -> float:
        return self.registry.get_sample_value("turnout_learning_decisions_total", {"result": result}) or 0.0


def thumb(number: int, value: float, at: float = 2_000.0, **about: str) -> Observed:
    return Observed(f"f{number}", "thumbs", value, at, **about)


@pytest.mark.parametrize(
    ("more", "reward"),
    [
        ({}, 1.0),
        ({"invalid_json": False}, 1.0),
        ({"invalid_json": True}, 0.0),
        ({"finish_reason": "content_filter"}, 0.0),
        ({"outcome": "cancelled"}, 0.0),
    ],
)
def test_what_an_answer_was_worth_follows_from_how_it_ended(more: dict[str, Any], reward: float) -> None:
    intake = Intake()
    intake.decisions.add([outcome(1, **more)])
    assert intake.rewards() == [reward]


def test_a_decision_is_kept_with_what_came_of_it() -> None:
    intake = Intake()
    assert intake.decisions.add([outcome(1, at=1_000.25)]) == 0
    (found,) = intake.learned()
    assert (found.at, found.phi, found.models, found.propensities) == (1_000.25, {0: 1.0}, ("a/m", "b/m"), (0.6, 0.4))
    assert (found.chosen, found.served, found.reward, found.cost, found.seconds) == ("a/m", "a/m", 1.0, 0.01, 0.25)


def test_what_comes_twice_counts_once_and_teaches_nothing_new() -> None:
    intake = Intake()
    intake.decisions.add([outcome(1)])
    mark = intake.store.mark(str(VARIANT))
    intake.decisions.add([outcome(1, outcome="failed")])
    assert intake.rewards() == [1.0]
    assert intake.store.mark(str(VARIANT)) == mark


def test_an_outcome_that_was_not_decided_by_what_was_learned_is_not_kept() -> None:
    intake = Intake()
    plain = outcome(1)
    plain.ClearField("learned")
    assert intake.decisions.add([plain]) == 0
    assert intake.learned() == []


@pytest.mark.parametrize(
    "broken",
    [
        {"propensities": [0.6]},
        {"propensities": [0.6, 0.6]},
        {"propensities": [1.4, -0.4]},
        {"propensities": [float("nan"), 1.0]},
        {"propensities": [0.0, 1.0]},
        {"expected": [0.5]},
        {"expected": [0.5, float("nan")]},
        {"expected": [0.5, 1.5]},
        {"chosen": "c/m"},
        {"chosen": ""},
        {"models": [], "propensities": [], "expected": []},
        {"models": ["a/m", "a/m"]},
        {"kind": [], "weight": []},
        {"kind": [0, 1]},
        {"kind": [0, 0], "weight": [0.5, 0.5]},
        {"kind": [-1]},
        {"weight": [0.5]},
        {"weight": [float("inf")]},
        {"kinds": ""},
    ],
)
def test_a_malformed_decision_is_refused_counted_and_takes_no_other_with_it(
    broken: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    intake = Intake()
    assert intake.decisions.add([outcome(1), outcome(2, learned=decided(**broken)), outcome(3)]) == 1
    assert [one.chosen for one in intake.learned()] == ["a/m", "a/m"]
    assert (intake.count("kept"), intake.count("refused")) == (2.0, 1.0)
    assert "1 decisions of workers are refused" in caplog.text


def test_an_empty_decision_and_one_of_nobody_are_refused() -> None:
    intake = Intake()
    nameless = outcome(1)
    nameless.generation_id = ""
    empty = outcome(2)
    empty.learned.CopyFrom(LearnedDecision())
    assert intake.decisions.add([nameless, empty]) == 2


def test_a_kind_that_these_kinds_do_not_have_is_left_out() -> None:
    intake = Intake()
    intake.decisions.add([outcome(1, learned=decided(kind=[shipped_kinds().clusters.count]))])
    assert intake.learned() == []


def test_decisions_of_other_kinds_are_left_out_and_counted() -> None:
    intake = Intake()
    intake.decisions.add([outcome(1), outcome(2, learned=decided(kinds="other"))])
    assert len(intake.learned()) == 1
    assert intake.store.other_kinds(str(VARIANT), KINDS) == 1


@pytest.mark.parametrize(
    "more",
    [{"outcome": "broken"}, {"outcome": "cancelled"}, {"finish_reason": "content_filter"}, {"outcome": "failed"}],
)
def test_an_answer_that_did_not_come_whole_is_worth_nothing(more: dict[str, str]) -> None:
    intake = Intake()
    intake.decisions.add([outcome(1, **more)])
    assert intake.rewards() == [0.0]


def test_what_is_repeated_is_the_earlier_answer_whichever_outcome_comes_first() -> None:
    intake = Intake()
    intake.decisions.add([outcome(2, at=1_010.0, repeats="g1")])
    intake.decisions.add([outcome(1, at=1_000.0), outcome(4, at=1_020.0), outcome(5, at=1_030.0, repeats="g4")])
    assert intake.rewards() == [0.0, 1.0, 0.0, 1.0]


def test_an_outcome_without_a_decision_can_repeat_one_with_it() -> None:
    intake = Intake()
    intake.decisions.add([outcome(1)])
    mark = intake.store.mark(str(VARIANT))
    again = outcome(2, repeats="g1")
    again.ClearField("learned")
    intake.decisions.add([again])
    assert intake.rewards() == [0.0]
    assert intake.store.mark(str(VARIANT)) > mark, "there is something to learn"


def test_the_order_in_which_outcomes_come_in_changes_nothing() -> None:
    outcomes = [outcome(n, at=1_000.0 + n % 5, chosen=f"{'ab'[n % 2]}/m") for n in range(12)]
    one, other = Intake(), Intake()
    one.decisions.add(outcomes)
    for late in reversed(outcomes):
        other.decisions.add([late])
    assert one.learned() == other.learned()
    assert [found.at for found in one.learned()] == sorted(found.at for found in one.learned())


def test_feedback_about_a_request_is_its_reward_and_late_feedback_counts() -> None:
    intake = Intake()
    intake.decisions.add([outcome(1), outcome(2, at=1_001.0)])
    assert intake.rewards(THUMBS) == [None, None]
    mark = intake.store.mark(str(VARIANT))
    assert intake.store.observe([thumb(1, 0.5, request="g2"), thumb(2, 1.0, request="nobody's")], LEARNED_FROM) == [
        True,
        False,
    ]
    assert intake.store.mark(str(VARIANT)) > mark
    assert intake.rewards(THUMBS) == [None, 0.5]


def test_feedback_that_comes_before_its_request_counts_once_that_is_known() -> None:
    intake = Intake()
    assert intake.store.observe([thumb(1, 1.0, request="g1")], LEARNED_FROM) == [False]
    intake.decisions.add([outcome(1)])
    assert intake.rewards(THUMBS) == [1.0]


def test_feedback_of_other_metrics_about_nobody_is_not_kept() -> None:
    intake = Intake()
    assert intake.store.observe([Observed("f", "stars", 1.0, 0.0, request="g1")], LEARNED_FROM) == [False]
    intake.decisions.add([outcome(1)])
    assert intake.rewards(RewardRule("stars")) == [None]


def test_feedback_about_a_failed_over_answer_says_nothing_about_the_chosen_model() -> None:
    intake = Intake()
    intake.decisions.add([outcome(1, served_model="b/m")])
    intake.store.observe([thumb(1, 1.0, request="g1")], LEARNED_FROM)
    (found,) = intake.learned(THUMBS)
    assert (found.chosen, found.served, found.reward) == ("a/m", "b/m", None)


def test_feedback_about_a_user_finds_the_latest_request() -> None:
    intake = Intake()
    intake.decisions.add([outcome(1, user_hash="u"), outcome(2, at=1_001.0, user_hash="u"), outcome(3, at=1_002.0)])
    assert intake.store.observe([thumb(1, 1.0, unit="u"), thumb(2, 1.0, unit="nobody")], LEARNED_FROM) == [True, False]
    assert intake.rewards(THUMBS) == [None, 1.0, None]


def test_what_is_old_or_too_much_is_forgotten_and_the_rest_stays() -> None:
    intake = Intake()
    intake.decisions.add([outcome(n, at=1_000.0 + n) for n in range(10)])
    other = outcome(99, at=1_001.5)
    other.variant_id = "w"
    intake.decisions.add([other])
    intake.store.observe(
        [thumb(1, 1.0, at=1_009.0, request="g9"), thumb(2, 1.0, at=1_000.0, request="g0")], LEARNED_FROM
    )
    intake.store.forget(before=1_001.0, now=1_100.0, kept=3)
    assert [one.at for one in intake.learned()] == [1_007.0, 1_008.0, 1_009.0]
    assert intake.rewards(THUMBS) == [None, None, 1.0]
    assert len(intake.store.decisions("r/d/w", KINDS)) == 1, "each variant has its own number"


def test_who_tells_the_same_again_and_again_fills_no_disk() -> None:
    intake = Intake()
    intake.decisions.add([outcome(1)])
    for number in range(5):
        intake.store.observe([thumb(number, number / 4, at=2_000.0 + number, request="g1")], LEARNED_FROM)
    intake.store.observe([thumb(9, 0.0, at=1_999.0, request="g1")], LEARNED_FROM)
    assert len(intake.store.feedback(str(VARIANT), "thumbs")) == 1
    assert intake.rewards(THUMBS) == [1.0], "the latest one counts, whenever it came"


def test_only_so_much_feedback_waits_for_its_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.controlplane.learning.store.ORPHANS", 2)
    intake = Intake()
    intake.store.observe([thumb(n, 1.0, request=f"g{n}") for n in range(4)], LEARNED_FROM)
    intake.store.forget(before=0.0, now=2_000.0)
    intake.decisions.add([outcome(n, at=1_000.0 + n) for n in range(4)])
    assert intake.rewards(THUMBS) == [None, None, 1.0, 1.0]


def test_a_file_that_is_broken_is_moved_aside(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "decisions.sqlite"
    path.write_bytes(b"this is no database" * 100)
    intake = Intake(path)
    intake.decisions.add([outcome(1)])
    assert intake.rewards() == [1.0]
    assert "is broken" in caplog.text
    assert (tmp_path / "decisions.sqlite.broken").exists()


def test_a_file_that_cannot_be_reached_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(sqlite3.OperationalError):
        DecisionStore(tmp_path)


def test_fewer_decisions_are_kept_of_a_variant_that_chooses_among_many() -> None:
    intake = Intake()
    intake.decisions.add([outcome(n, at=1_000.0 + n) for n in range(10)])
    size = len(intake.store.decisions(str(VARIANT), KINDS)[0].message)
    intake.store.forget(before=0.0, now=1_100.0, size=4 * size)
    assert [one.at for one in intake.learned()] == [1_006.0, 1_007.0, 1_008.0, 1_009.0]


def test_only_the_most_frequent_segments_are_told_apart() -> None:
    intake = Intake()
    often = [outcome(n, learned=decided(segment=f"s{n % SEGMENTS:02}")) for n in range(2 * SEGMENTS)]
    rarely = [outcome(1_000 + n, at=2_000.0 + n, learned=decided(segment=f"user-{n}")) for n in range(5)]
    intake.decisions.add([*often, *rarely])
    found = [one.segment for one in intake.learned()]
    assert sorted(set(found[:-5])) == [f"s{n:02}" for n in range(SEGMENTS)]
    assert found[-5:] == [EVERYBODY] * 5


def test_feedback_waits_an_hour_for_its_request() -> None:
    intake = Intake()
    intake.store.observe(
        [thumb(1, 1.0, at=1_000.0, request="g1"), thumb(2, 0.0, at=1_000.0, request="g2")], LEARNED_FROM
    )
    intake.store.forget(before=0.0, now=1_000.0 + ORPHAN_SECONDS)
    intake.decisions.add([outcome(1)])
    intake.store.forget(before=0.0, now=1_001.0 + ORPHAN_SECONDS)
    intake.decisions.add([outcome(2, at=1_001.0)])
    assert intake.rewards(THUMBS) == [1.0, None]


def test_everything_is_there_again_after_a_restart(tmp_path: Path) -> None:
    intake = Intake(tmp_path / "deep" / "decisions.sqlite")
    intake.decisions.add([outcome(1), outcome(2, at=1_001.0, repeats="g1")])
    intake.store.observe([thumb(1, 1.0, request="g1")], LEARNED_FROM)
    before = intake.learned(THUMBS), intake.learned()
    intake.store.close()
    again = Intake(tmp_path / "deep" / "decisions.sqlite")
    assert (again.learned(THUMBS), again.learned()) == before
