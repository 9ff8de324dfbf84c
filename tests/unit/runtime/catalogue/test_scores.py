"""Scores of quality: found by every spelling of a name, and made so that a hard test does not make a model look weak."""

from __future__ import annotations

import json

import pytest

from services.core.policy.documents import Scores
from services.runtime.catalogue.scores import PATH, read, scores_of
from services.runtime.catalogue.scoring import fitted, made


@pytest.mark.parametrize(
    ("spelling", "plain"),
    [
        ("us.anthropic.claude-3-5-sonnet-20241022-v2:0", "claude-3.5-sonnet"),
        ("claude-sonnet-4-0", "claude-sonnet-4-20250514"),
        ("meta-llama/Llama-3.3-70B-Instruct-Turbo", "llama-3.3-70b-versatile"),
        ("accounts/fireworks/models/llama-v3p1-70b-instruct", "llama3.1:70b"),
        ("Qwen/Qwen2.5-72B-Instruct", "qwen-2.5-72b-instruct"),
        ("gemini-2.5-pro-preview-05-06", "gemini-2.5-pro"),
        ("gpt-4o:extended", "gpt-4o-2024-08-06"),
        ("qwen3:32b", "qwen3-32b"),
    ],
)
def test_a_model_has_one_score_however_it_is_spelt(spelling: str, plain: str) -> None:
    assert scores_of(spelling) == scores_of(plain)
    assert scores_of(spelling).intelligence is not None


def test_other_models_are_other_models() -> None:
    assert scores_of("gpt-4o").intelligence != scores_of("gpt-4o-mini").intelligence
    assert scores_of("o1-preview") != scores_of("o1")
    assert scores_of("") == scores_of("gpt-4o-nonsense") == Scores()


def test_the_shipped_table_is_plausible() -> None:
    rows = {row.id: row for row in read().values()}
    assert len(rows) > 100
    assert all(0.0 <= s <= 1.0 for r in rows.values() for s in (r.intelligence, r.math, r.coding) if s is not None)
    strong, weak = scores_of("claude-opus-4"), scores_of("gemma-3-1b-it")
    for metric in ("intelligence", "math", "coding"):
        assert getattr(strong, metric) > getattr(weak, metric) + 0.2
    head = json.loads(PATH.read_text(encoding="utf-8").splitlines()[0])
    assert "CC-BY-4.0" in head["llm-stats"]


def test_a_hard_benchmark_does_not_make_a_model_look_weak() -> None:
    """The better model was only given the hard test; a plain mean would put it last."""
    results = {
        "better": {"hard": 0.5},
        "middle": {"hard": 0.3, "easy": 0.9},
        "worse": {"hard": 0.15, "easy": 0.8},
        "easy-only": {"easy": 0.85},
    }
    found = fitted(results)
    assert found["better"] > found["middle"] > found["worse"]
    assert found["middle"] > found["easy-only"] > found["worse"]
    assert fitted({}) == {}


def test_few_results_are_held_near_the_mean() -> None:
    many = {f"b{i}": 0.95 for i in range(6)}
    found = fitted({"many": many, "few": {"b0": 0.95}, "rest": {f"b{i}": 0.5 for i in range(6)}})
    assert found["many"] > found["few"] > found["rest"]


def test_a_table_is_made_of_what_is_published() -> None:
    stats = [{"model": "Alpha-1", "scores": {"GPQA": 0.6, "GSM8K": 0.9, "unknown": 1.0, "MMLU": 7.0}}]
    aider = [
        {"model": "alpha-1 (high)", "pass_rate_2": 40.0},
        {"model": "alpha-1 (low)", "pass_rate_2": 20.0},
        {"model": "alpha-1 + beta", "pass_rate_2": 99.0},
        {"model": "gamma (0324)", "pass_rate_2": 55.0},
    ]
    lines = [json.loads(line) for line in made(stats, aider, {"from": "a test"}).splitlines()]
    assert lines[0] == {"from": "a test"}
    assert [row["id"] for row in lines[1:]] == ["alpha-1", "gamma-0324"]
    assert lines[1]["results"] == {"intelligence": 1, "math": 1, "coding": 1}
    assert lines[2].keys() == {"id", "coding", "results"}
