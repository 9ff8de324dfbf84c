"""How Google's models are told to reason, and what newer ones refuse, by their names."""

from __future__ import annotations

from typing import Any

import pytest

from services.dataplane.providers.google_models import google_model, thinking_config


def config(name: str, effort: str = "", budget: int | None = None, shows: bool | None = None) -> tuple[Any, list[str]]:
    dropped: list[str] = []
    found = thinking_config(google_model(name), effort, budget, shows=shows, dropped=dropped)
    return dict(found), dropped


@pytest.mark.parametrize(
    ("name", "version", "tier"),
    [
        ("gemini-2.5-flash-lite", (2, 5), "flash-lite"),
        ("gemini-2.0-flash-001", (2, 0), "flash"),
        ("gemini-3-pro-preview", (3, 0), "pro"),
        ("publishers/google/models/gemini-3.8-flash", (3, 8), "flash"),
        ("gemini-flash-latest", (99, 0), "flash"),
        ("gemini-4-argon", (4, 0), ""),
        ("gemma-3-27b-it", (0, 0), ""),
    ],
)
def test_a_name_tells_version_and_tier(name: str, version: tuple[int, int], tier: str) -> None:
    found = google_model(name)
    assert (found.version, found.tier) == (version, tier)


@pytest.mark.parametrize(
    ("name", "effort", "level"),
    [
        ("gemini-3-pro-preview", "minimal", "LOW"),
        ("gemini-3-pro-preview", "medium", "HIGH"),
        ("gemini-3.1-pro-preview", "medium", "MEDIUM"),
        ("gemini-3-flash-preview", "minimal", "MINIMAL"),
        ("gemini-3.8-flash", "minimal", "LOW"),
        ("gemini-3.5-flash-lite", "minimal", "MINIMAL"),
        ("gemini-3.8-flash", "xhigh", "HIGH"),
        ("gemini-4-argon", "low", "LOW"),
    ],
)
def test_models_from_3_on_think_at_the_nearest_level_that_they_have(name: str, effort: str, level: str) -> None:
    found, dropped = config(name, effort)
    assert found == {"thinkingLevel": level, "includeThoughts": True}
    wanted = {"xhigh": "high"}.get(effort, effort)
    assert bool(dropped) is (level.lower() != wanted)


@pytest.mark.parametrize(("budget", "level"), [(512, "LOW"), (4_000, "MEDIUM"), (20_000, "HIGH")])
def test_a_budget_becomes_a_level(budget: int, level: str) -> None:
    assert config("gemini-3.8-flash", "", budget)[0]["thinkingLevel"] == level


@pytest.mark.parametrize(
    ("name", "effort", "budget", "tokens", "told"),
    [
        ("gemini-2.5-flash", "low", None, 1_024, False),
        ("gemini-2.5-flash", "high", None, 24_576, False),
        ("gemini-2.5-flash", "xhigh", None, 24_576, False),
        ("gemini-2.5-pro", "xhigh", None, 32_768, False),
        ("gemini-2.5-pro", "", 50, 128, True),
        ("gemini-2.5-flash-lite", "", 100, 512, True),
        ("gemini-2.5-flash", "", 100_000, 24_576, True),
        ("gemini-2.5-flash", "", 300, 300, False),
    ],
)
def test_models_of_2_5_think_within_a_budget(
    name: str, effort: str, budget: int | None, tokens: int, told: bool
) -> None:
    found, dropped = config(name, effort, budget)
    assert found == {"thinkingBudget": tokens, "includeThoughts": True}
    assert bool(dropped) is told


@pytest.mark.parametrize(("effort", "budget"), [("none", None), ("", 0), ("", -1)])
def test_reasoning_is_turned_off_where_that_is_possible(effort: str, budget: int | None) -> None:
    assert config("gemini-2.5-flash", effort, budget) == ({"thinkingBudget": 0}, [])
    for name, least in (("gemini-2.5-pro", {"thinkingBudget": 128}), ("gemini-3.8-flash", {"thinkingLevel": "LOW"})):
        found, dropped = config(name, effort, budget)
        assert found == least
        assert len(dropped) == 1
    assert config("gemini-2.0-flash", effort, budget) == ({}, [])


def test_models_that_do_not_reason_are_not_asked_to() -> None:
    for name in ("gemini-2.0-flash", "gemma-3-27b-it", "gemini-2.5-flash-image", "gemini-2.5-flash-preview-tts"):
        found, dropped = config(name, "high")
        assert found == {}
        assert len(dropped) == 1


def test_whether_reasoning_is_shown_is_up_to_the_caller() -> None:
    assert config("gemini-2.5-pro", "low", shows=False)[0] == {"thinkingBudget": 1_024}
    assert config("gemini-2.5-pro", shows=True)[0] == {"includeThoughts": True}
    assert config("gemini-2.5-pro", shows=None)[0] == {}
    assert config("gemini-2.0-flash", shows=True)[0] == {}


def test_an_effort_that_nobody_knows_is_dropped_and_told() -> None:
    found, dropped = config("gemini-2.5-pro", "enormous")
    assert found == {}
    assert "enormous" in dropped[0]


@pytest.mark.parametrize(
    ("name", "fixed"),
    [
        ("gemini-3.5-flash", False),
        ("gemini-3.5-flash-lite", True),
        ("gemini-3.6-flash", True),
        ("gemini-3.1-pro-preview", False),
        ("gemini-flash-latest", True),
        ("gemma-3-27b-it", False),
    ],
)
def test_newer_models_take_no_sampling(name: str, fixed: bool) -> None:
    assert google_model(name).fixed_sampling is fixed
