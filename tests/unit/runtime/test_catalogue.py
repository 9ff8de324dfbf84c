"""The shipped catalogue: prices and windows of models that everybody knows."""

from __future__ import annotations

from decimal import Decimal
from types import SimpleNamespace

import pytest

from services.core.policy.documents import Prices
from services.runtime.catalogue import GenaiPricesCatalogue, _number

CATALOGUE = GenaiPricesCatalogue()


@pytest.mark.parametrize(
    ("kind", "name", "url", "model"),
    [
        ("openai", "openai", "https://api.openai.com/v1", "gpt-4o"),
        ("openai", "openai", "", "gpt-4o-mini-2024-07-18"),
        ("anthropic", "anthropic", "https://api.anthropic.com", "claude-3-5-haiku-20241022"),
        # The name is the operator's own: the address tells.
        ("anthropic", "claude-eu", "https://api.anthropic.com", "claude-3-5-haiku-20241022"),
        ("openai_compatible", "xai", "https://api.x.ai/v1", "grok-3"),
        ("openai_compatible", "our-mistral", "https://api.mistral.ai/v1", "mistral-small-latest"),
    ],
)
def test_a_known_model_has_prices(kind: str, name: str, url: str, model: str) -> None:
    found = CATALOGUE.look_up(kind, name, url, model)
    assert found is not None
    assert found.prices.input_per_million is not None
    assert found.prices.output_per_million is not None
    assert 0 < found.prices.input_per_million <= found.prices.output_per_million


def test_prices_are_dollars_per_million_tokens() -> None:
    found = CATALOGUE.look_up("openai", "openai", "", "gpt-4o")
    assert found is not None
    assert found.prices == Prices(2.5, 10.0, 1.25, None)


@pytest.mark.parametrize(
    ("kind", "name", "url", "model"),
    [
        ("openai", "openai", "", "no-such-model"),
        ("openai_compatible", "local", "http://127.0.0.1:8080/v1", "gpt-4o"),
        ("openai_compatible", "local", "", "gpt-4o"),
    ],
)
def test_what_the_catalogue_does_not_know_has_no_entry(kind: str, name: str, url: str, model: str) -> None:
    assert CATALOGUE.look_up(kind, name, url, model) is None


def test_a_look_up_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    catalogue = GenaiPricesCatalogue()
    first = catalogue.look_up("openai", "openai", "", "gpt-4o")
    monkeypatch.setattr("services.runtime.catalogue.get_snapshot", None)
    assert catalogue.look_up("openai", "openai", "", "gpt-4o") is first


def test_the_providers_of_a_bare_model_are_named_as_policy_names_them_best_known_first() -> None:
    assert CATALOGUE.providers_of("gpt-4o")[0] == "openai"
    assert CATALOGUE.providers_of("claude-3-5-haiku-20241022")[0] == "anthropic"
    assert "xai" in CATALOGUE.providers_of("grok-3")
    assert CATALOGUE.providers_of("no-such-model") == ()


@pytest.mark.parametrize(
    ("price", "number"),
    [(None, None), (Decimal("0.25"), 0.25), (SimpleNamespace(base=Decimal(3)), 3.0), (SimpleNamespace(), None)],
)
def test_a_tiered_price_counts_at_its_base(price: object, number: float | None) -> None:
    assert _number(price) == number
