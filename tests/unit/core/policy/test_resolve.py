"""From a name to targets: the operator's facts over the catalogue's."""

from __future__ import annotations

from dataclasses import replace

import pytest

from services.core.policy.documents import Capabilities, Model, Prices
from services.core.policy.resolve import make_target, resolve
from services.core.policy.snapshot import CompiledProvider
from tests.support.policies import SmallCatalogue, snapshot_of

OPENAI = CompiledProvider("openai", "openai", "https://api.openai.com/v1")
CATALOGUE = SmallCatalogue()
KNOWN = CATALOGUE.entries["openai/gpt-5"]


def overlay(**facts: object) -> Model:
    return Model("openai/gpt-5", **facts)  # type: ignore[arg-type]


def test_a_model_that_nobody_knows_is_a_target_without_facts() -> None:
    target = make_target(OPENAI, "new", None, CATALOGUE)
    assert (target.model, target.upstream_model, target.context_length) == ("openai/new", "new", 0)
    assert (target.capabilities, target.prices) == (Capabilities(), Prices())


@pytest.mark.parametrize("operator", [None, Model("openai/gpt-5")])
def test_without_an_operators_word_the_catalogues_stands(operator: Model | None) -> None:
    target = make_target(OPENAI, "gpt-5", operator, CATALOGUE)
    assert (target.context_length, target.capabilities, target.prices) == (
        KNOWN.context_length,
        KNOWN.capabilities,
        KNOWN.prices,
    )


@pytest.mark.parametrize("model", ["gpt-5", "claude"])
@pytest.mark.parametrize("said", [True, False])
@pytest.mark.parametrize("name", ["tools", "vision", "prefill"])
def test_an_operator_has_the_last_word_on_each_capability(name: str, said: bool, model: str) -> None:
    provider = OPENAI if model == "gpt-5" else CompiledProvider("anthropic", "anthropic", "https://api.anthropic.com")
    operator = Model(f"{provider.name}/{model}", capabilities=Capabilities(**{name: said}))
    found = make_target(provider, model, operator, CATALOGUE).capabilities
    assert found == replace(CATALOGUE.entries[f"{provider.name}/{model}"].capabilities, **{name: said})


def test_an_operators_prices_replace_the_catalogues_whole() -> None:
    prices = Prices(input_per_million=9.0)
    assert make_target(OPENAI, "gpt-5", overlay(prices=prices), CATALOGUE).prices == prices


def test_the_catalogue_is_asked_for_the_name_that_the_provider_knows() -> None:
    target = make_target(OPENAI, "mine", Model("openai/mine", upstream_model="gpt-5"), CATALOGUE)
    assert (target.model, target.upstream_model) == ("openai/mine", "gpt-5")
    assert target.context_length == KNOWN.context_length


def test_a_name_resolves_by_alias_then_policy_then_provider_then_catalogue() -> None:
    snapshot = snapshot_of("""
- {kind: Provider, name: openai, type: openai}
- {kind: Provider, name: mistral, type: openai_compatible, base_url: "http://mistral.example"}
- {kind: Model, name: openai/house, upstream_model: gpt-5}
- {kind: Model, name: openai/claude}
- {kind: Alias, name: best, model: openai/house}
- {kind: Alias, name: mistral/large, model: openai/house}
""")

    def resolved(name: str) -> list[str]:
        return [f"{target.model} as {target.upstream_model}" for target in resolve(snapshot, name)]

    assert resolved("best") == resolved("openai/house") == resolved("house") == ["openai/house as gpt-5"]
    assert resolved("mistral/large") == ["openai/house as gpt-5"], "an alias may stand before a model"
    assert resolved("mistral/any/thing") == ["mistral/any/thing as any/thing"]
    assert resolved("gpt-5") == ["openai/gpt-5 as gpt-5", "mistral/gpt-5 as gpt-5"]
    assert resolved("claude") == ["openai/claude as claude"], "policy comes before the catalogue"
    assert resolved("whisper") == ["openai/whisper as whisper"]
    assert resolved("nobody/x") == resolved("unheard-of") == resolved("") == []
