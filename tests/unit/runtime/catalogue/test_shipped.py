"""The shipped catalogue: models that everybody knows, by whatever name; and the policy's own in place of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from services.core.policy.documents import Catalogue, Prices
from services.core.policy.provider_types import PROVIDER_TYPES
from services.runtime.catalogue.shipped import MAX_REMEMBERED, Shipped, ShippedCatalogue

CATALOGUE = ShippedCatalogue()


@dataclass(frozen=True)
class At:
    """A provider of the policy."""

    name: str
    type: str = "openai_compatible"
    base_url: str = ""


OPENAI, ANTHROPIC = At("openai", "openai"), At("anthropic", "anthropic")
OPENROUTER = At("openrouter", "openai_compatible", "https://openrouter.ai/api/v1")


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        (At("openai", "openai", "https://api.openai.com/v1"), "gpt-4o"),
        (OPENAI, "gpt-4o-mini-2024-07-18"),
        (At("anthropic", "anthropic", "https://api.anthropic.com"), "claude-3-5-haiku-20241022"),
        # The name is the operator's own: the address tells.
        (At("claude-eu", "anthropic", "https://api.anthropic.com"), "claude-3-5-haiku-20241022"),
        (At("xai", base_url="https://api.x.ai/v1"), "grok-3"),
        (At("our-mistral", base_url="https://api.mistral.ai/v1"), "mistral-small-latest"),
        # The type is a vendor's, and the address the vendor's own.
        (At("second", "openai"), "gpt-4o"),
        # A gateway that is called as the vendor is.
        (At("openai", base_url="http://gateway.example/v1"), "gpt-4o"),
    ],
)
def test_a_known_model_has_prices(provider: At, model: str) -> None:
    found = CATALOGUE.look_up(provider, model)
    assert found is not None
    assert found.model == model
    assert found.prices.input_per_million is not None
    assert found.prices.output_per_million is not None
    assert 0 < found.prices.input_per_million <= found.prices.output_per_million


def test_what_is_known_of_a_model() -> None:
    found = CATALOGUE.look_up(OPENAI, "gpt-4o")
    assert found is not None
    assert found.prices == Prices(2.5, 10.0, 1.25, per_search=0.01)
    assert (found.context_length, found.max_output_tokens, found.kind, found.api) == (128_000, 16_384, "chat", "")
    able = found.capabilities
    assert (able.tools, able.vision, able.json_schema, able.reasoning, able.audio) == (True, True, True, False, False)


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        (OPENAI, "no-such-model"),
        (At("local", base_url="http://127.0.0.1:8080/v1"), "gpt-4o"),
        (At("local"), "gpt-4o"),
        # A vendor has this name too; an operator's own server is not that vendor.
        (At("inference", base_url="http://10.0.0.7/v1"), "meta-llama/llama-3.1-8b-instruct"),
        (At("mine", "openai", "http://127.0.0.1:9/v1"), "gpt-4o"),
    ],
)
def test_what_the_catalogue_does_not_know_has_no_entry(provider: At, model: str) -> None:
    assert CATALOGUE.look_up(provider, model) is None


@pytest.mark.parametrize(
    ("provider", "asked", "theirs"),
    [
        (ANTHROPIC, "claude-sonnet-4-5", "claude-sonnet-4-5"),
        (ANTHROPIC, "claude-sonnet-4.5", "claude-sonnet-4-5"),
        (ANTHROPIC, "claude-4.5-sonnet", "claude-sonnet-4-5"),
        (ANTHROPIC, "Claude-Sonnet-4-5", "claude-sonnet-4-5"),
        (ANTHROPIC, "claude-3.5-sonnet", "claude-3-5-sonnet-20241022"),
        (ANTHROPIC, "claude-3.5-sonnet-20241022", "claude-3-5-sonnet-20241022"),
        (ANTHROPIC, "claude-sonnet-4-5-20250929", "claude-sonnet-4-5-20250929"),
        # A release that is not listed keeps its name; what is known of its family holds.
        (OPENAI, "gpt-5-2031-01-01", "gpt-5-2031-01-01"),
        (OPENAI, "gpt-5", "gpt-5"),
        # OpenRouter's names have an author before them.
        (OPENROUTER, "gpt-5", "openai/gpt-5"),
        (OPENROUTER, "openai/gpt-5", "openai/gpt-5"),
        (OPENROUTER, "anthropic/claude-sonnet-4.5", "anthropic/claude-sonnet-4.5"),
    ],
)
def test_a_name_in_another_spelling_is_the_providers_own(provider: At, asked: str, theirs: str) -> None:
    found = CATALOGUE.look_up(provider, asked)
    assert found is not None
    assert found.model == theirs
    assert found.prices.input_per_million is not None


def test_who_serves_a_model_is_told_best_known_first() -> None:
    azure, groq = At("azure", base_url="https://x.openai.azure.com"), At("groq", base_url="https://api.groq.com/openai")
    assert CATALOGUE.serving("gpt-5", [OPENROUTER, azure, OPENAI, groq]) == (
        ("openai", "gpt-5"),
        ("azure", "gpt-5"),
        ("openrouter", "openai/gpt-5"),
    )
    gemini = At("gemini", "openai_compatible", "https://generativelanguage.googleapis.com/v1beta/openai")
    assert CATALOGUE.serving("google/gemini-2.5-pro", [OPENROUTER, gemini]) == (
        ("gemini", "gemini-2.5-pro"),
        ("openrouter", "google/gemini-2.5-pro"),
    )
    assert CATALOGUE.serving("google/gemini-99", [gemini]) == (("gemini", "gemini-99"),)
    assert CATALOGUE.serving("no-such-model", [OPENAI, OPENROUTER]) == ()


def test_a_look_up_is_remembered_within_bounds() -> None:
    catalogue = ShippedCatalogue()
    first = catalogue.look_up(OPENAI, "gpt-4o")
    assert catalogue.look_up(OPENAI, "gpt-4o") is first
    for number in range(MAX_REMEMBERED + 10):
        catalogue.look_up(ANTHROPIC, f"x{number}")
    assert len(catalogue._found) == MAX_REMEMBERED


def test_a_policys_own_catalogue_stands_in_place_of_the_shipped_one() -> None:
    models = '{"id":"gpt-9","context_length":7,"prices":{"input_per_million":1,"output_per_million":2}}\n'
    own, problems = CATALOGUE.overlaid([Catalogue("openai", models), Catalogue("our-lab", '{"id":"lab-1"}')])
    assert not problems
    found = own.look_up(OPENAI, "gpt-9")
    assert found is not None
    assert (found.context_length, found.prices) == (7, Prices(1.0, 2.0))
    assert own.look_up(OPENAI, "gpt-4o") is None, "the shipped ones of that provider are gone"
    assert [m.model for m in own.models_of(OPENAI)] == ["gpt-9"]
    assert own.look_up(ANTHROPIC, "claude-sonnet-4-5") is not None, "the others are not"
    assert CATALOGUE.look_up(OPENAI, "gpt-4o") is not None
    again, _ = CATALOGUE.overlaid([Catalogue("openai", models)])
    assert again._own["openai"] is own._own["openai"], "what did not change is not read again"
    assert CATALOGUE.overlaid([])[0] is CATALOGUE


@pytest.mark.parametrize(
    ("models", "told"),
    [
        ('{"id":"a"}\nnonsense', "line 2: "),
        ('{"name":"a"}', "line 1: "),
        ('{"id":"a","prices":{"input_per_million":-1}}', "line 1: a: prices.input_per_million expected"),
        ('{"id":"a","price_periods":[{"since":"soon"}]}', "line 1: a: price_periods[0] expected a day"),
    ],
)
def test_a_catalogue_that_cannot_be_read_is_a_problem_with_its_line(models: str, told: str) -> None:
    _, problems = CATALOGUE.overlaid([Catalogue("openai", models)])
    assert [(p.kind, p.name, p.field) for p in problems] == [("Catalogue", "openai", "models")]
    assert problems[0].message.startswith(told)


def test_a_file_that_is_no_catalogue_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("nonsense")
    with pytest.raises(msgspec.DecodeError):
        Shipped(tmp_path / "x")


def test_every_shipped_model_can_be_read() -> None:
    shipped = Shipped()
    counts = {}
    for place, section in shipped.sections.items():
        book = shipped.book(place)
        assert book is not None
        counts[place] = len(book.entries)
        assert len(book.entries) == len(section.lines), place
    assert sum(counts.values()) > 3_000
    assert min(counts[name] for name in ("openai", "anthropic", "google", "mistral", "groq", "openrouter")) >= 20


def test_the_vendors_whose_types_are_known_have_models() -> None:
    bare = {"openai_compatible"}
    known = [t for t, kind in PROVIDER_TYPES.items() if CATALOGUE.models_of(At("x", t, kind.base_url)) or t in bare]
    assert {"openai", "anthropic"} <= set(known)
    assert len(known) >= len(PROVIDER_TYPES) // 2


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("https://api.fireworks.ai/inference/v1", "fireworks-ai"),
        ("https://api.perplexity.ai", "perplexity"),
        ("https://opencode.ai/zen/v1", "opencode"),
        ("https://api.openai.com/v1", "openai"),
    ],
)
def test_a_host_of_several_is_the_one_with_the_most_models(url: str, place: str) -> None:
    assert CATALOGUE.place(At("mine", base_url=url)) == place


def test_models_that_have_no_chat_completions_say_so() -> None:
    for model in ("gpt-5-codex", "gpt-5-pro", "o1-pro", "gpt-5.1-codex-max", "o3-deep-research"):
        found = CATALOGUE.look_up(OPENAI, model)
        assert found is not None
        assert found.api == "responses", model
    for model in ("gpt-5", "gpt-5.1", "o3", "gpt-4o"):
        found = CATALOGUE.look_up(OPENAI, model)
        assert found is not None
        assert found.api == "", model


def test_who_continues_an_answer_is_known_of_claude() -> None:
    able = {m: CATALOGUE.look_up(ANTHROPIC, m) for m in ("claude-sonnet-4-5", "claude-opus-4-1", "claude-sonnet-4-6")}
    assert {m: e and e.capabilities.prefill for m, e in able.items()} == {
        "claude-sonnet-4-5": True,
        "claude-opus-4-1": True,
        "claude-sonnet-4-6": False,
    }


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        ("text-embedding-3-small", "embedding"),
        ("whisper-1", "transcription"),
        ("tts-1", "speech"),
        ("gpt-image-1", "image"),
        ("gpt-5", "chat"),
    ],
)
def test_a_model_has_a_kind(model: str, kind: str) -> None:
    found = CATALOGUE.look_up(OPENAI, model)
    assert found is not None
    assert found.kind == kind
