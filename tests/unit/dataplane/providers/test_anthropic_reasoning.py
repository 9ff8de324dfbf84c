"""Which of Anthropic's models reason how."""

from __future__ import annotations

import pytest

from services.dataplane.providers.anthropic_reasoning import (
    MIN_BUDGET,
    Surroundings,
    Wish,
    adaptive_only,
    members_of,
    why_not,
)


@pytest.mark.parametrize(
    "model",
    [
        "claude-instant-1.2",
        "claude-2.1",
        "claude-3-opus-20240229",
        "claude-3-5-sonnet-latest",
        "claude-3-7-sonnet-20250219",
        "claude-sonnet-4",
        "claude-sonnet-4-0",
        "claude-sonnet-4-20250514",
        "claude-sonnet-4@20250514",
        "claude-opus-4-1-20250805",
        "claude-sonnet-4-5",
        "claude-haiku-4-5-20251001",
        "claude-opus-4-6",
        "anthropic/claude-sonnet-4.6",
        "kimi-k2",
        "local-model",
    ],
)
def test_a_model_up_to_4_6_or_of_another_vendor_takes_budgets(model: str) -> None:
    assert not adaptive_only(model)


@pytest.mark.parametrize(
    "model",
    [
        "claude-opus-4-7",
        "claude-opus-4-8-20260601",
        "claude-sonnet-5",
        "claude-haiku-5-5",
        "claude-fable-5-1",
        "Claude-Mythos-5",
    ],
)
def test_a_newer_model_does_not(model: str) -> None:
    assert adaptive_only(model)


@pytest.mark.parametrize(
    ("wish", "wanted", "tokens", "measure"),
    [
        (Wish(), False, MIN_BUDGET, ""),
        (Wish("none"), False, MIN_BUDGET, "none"),
        (Wish("unspecified"), False, MIN_BUDGET, "unspecified"),
        (Wish("minimal"), True, 1_024, "low"),
        (Wish("high"), True, 16_384, "high"),
        (Wish("high", limit=4_000), True, 3_200, "high"),
        (Wish("high", limit=1_280), True, 1_024, "high"),
        (Wish("low", 5_000), True, 5_000, "medium"),
        (Wish("", 100), True, MIN_BUDGET, "low"),
        (Wish("", 0), False, MIN_BUDGET, "low"),
        (Wish("", 50_000), True, 50_000, "high"),
    ],
)
def test_a_wish_is_a_budget_and_an_effort(wish: Wish, *, wanted: bool, tokens: int, measure: str) -> None:
    assert wish.wanted == wanted
    assert wish.tokens == tokens
    assert wish.measure == measure


def test_an_effort_that_nobody_knows_is_not_guessed() -> None:
    assert not Wish("ultra").known
    assert Wish("max").known
    assert Wish("ultra", 2_000).known


@pytest.mark.parametrize("limit", [2_000, 5_000, 100_000])
def test_a_budget_always_leaves_room_for_an_answer(limit: int) -> None:
    assert Wish("max", limit=limit).tokens < limit


@pytest.mark.parametrize(
    ("around", "budgeted", "adaptive"),
    [
        (Surroundings(), False, False),
        (Surroundings(forced_tool=True), True, True),
        (Surroundings(prefill=True), True, False),
        (Surroundings(unsigned_calls=True), True, False),
    ],
)
def test_what_stands_in_the_way_depends_on_the_model(around: Surroundings, *, budgeted: bool, adaptive: bool) -> None:
    assert bool(why_not(Wish("high"), around, adaptive=False)) == budgeted
    assert bool(why_not(Wish("high"), around, adaptive=True)) == adaptive


def test_a_limit_without_room_stands_in_the_way_of_a_budget_only() -> None:
    assert "1,024" in why_not(Wish("low", limit=1_000), Surroundings(), adaptive=False)
    assert why_not(Wish("low", limit=1_000), Surroundings(), adaptive=True) == ""


def test_each_generation_is_asked_in_its_own_words() -> None:
    assert members_of(Wish("low"), adaptive=False) == {"thinking": {"type": "enabled", "budget_tokens": 2_048}}
    assert members_of(Wish("low"), adaptive=True) == {
        "thinking": {"type": "adaptive"},
        "output_config": {"effort": "low"},
    }
