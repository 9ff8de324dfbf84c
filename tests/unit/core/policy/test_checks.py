"""Checks of single documents, at the bounds of each rule. What each one says is in the golden files."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest

from services.core.policy.checks import EFFORTS, ROLES, SCOPES, check
from services.core.policy.documents import (
    KINDS,
    ApiKey,
    Catalogue,
    Clocks,
    Document,
    MessageTemplate,
    Model,
    ModelSelection,
    PricePeriod,
    Prices,
    PriceTier,
    Provider,
    QualityFloor,
    Reasoning,
    Retry,
    Route,
    Router,
    RouterDefaults,
    Scores,
    Settings,
    TextGenerationConfig,
    Variant,
    WeightedVariant,
)
from services.core.policy.provider_types import APIS, PROVIDER_TYPES
from services.dataplane.providers.registry import CODECS

HASH = "blake2b:" + "0" * 64
ROUTE = Route(variants=(WeightedVariant(100, Variant(model_id="p/m")),))


def fields_of(document: Document) -> list[str]:
    """The paths that `check` finds fault with."""
    return [problem.field for problem in check(document)]


def provider(**more: Any) -> Provider:
    return Provider(**{"name": "p", "type": "openai", **more})


def router(**more: Any) -> Router:
    return Router(**{"name": "r", "default_route": ROUTE, **more})


@pytest.mark.parametrize("kind", list(KINDS))
def test_an_empty_document_is_told_what_it_lacks(kind: str) -> None:
    problems = check(KINDS[kind]())
    assert problems
    assert {(problem.kind, problem.name, problem.warning) for problem in problems} == {(kind, "", False)}


@pytest.mark.parametrize("kind", PROVIDER_TYPES)
def test_every_type_of_provider_is_fine_with_an_address(kind: str) -> None:
    assert fields_of(provider(type=kind, base_url="https://example.com/v1")) == []


@pytest.mark.parametrize(
    "address",
    ["http://localhost:8080", "http://[::1]:1/v1/", "https://a.b-c.example/x/y", "http://svc_1.ns/"],
)
def test_an_address_has_a_scheme_a_host_and_a_path_at_most(address: str) -> None:
    assert fields_of(provider(base_url=address)) == []


@pytest.mark.parametrize(
    "address",
    [
        "localhost",
        "//x",
        "https://",
        "HTTPS://x",
        "https://u:p@x",
        "https://x?k=1",
        "https://x#f",
        "https://x/\n",
        "a b",
    ],
)
def test_an_address_that_could_carry_a_secret_or_is_none_is_refused(address: str) -> None:
    assert fields_of(provider(base_url=address)) == ["base_url"]


@pytest.mark.parametrize("value", ["a\rb", "a\nb", "a\0b", "\n"])
def test_a_header_cannot_smuggle_another_one(value: str) -> None:
    assert fields_of(provider(headers={"x-a": value})) == ["headers.x-a"]


@pytest.mark.parametrize("name", ["", "a b", "a:", "ä", "a\n"])
def test_a_headers_name_is_a_token(name: str) -> None:
    assert fields_of(provider(headers={name: "x"})) == [f"headers.{name}"]


@pytest.mark.parametrize(("name", "voice"), [("", "Ashley"), ("alloy", ""), ("alloy", " Ashley"), ("a\nb", "Ashley")])
def test_a_map_of_voices_has_names_on_both_sides(name: str, voice: str) -> None:
    assert fields_of(provider(voices={"ash": "Étienne", name: voice})) == [f"voices.{name}"]


@pytest.mark.parametrize("name", ["Authorization", "X-API-Key", "api-key", "x-goog-api-key", "Cookie"])
def test_a_header_with_a_secret_is_refused_in_any_case(name: str) -> None:
    assert fields_of(provider(headers={name: "x"})) == [f"headers.{name}"]


@pytest.mark.parametrize("name", ["connect", "headers", "first_event", "first_content", "idle", "total"])
def test_every_clock_is_from_a_millisecond_to_a_day(name: str) -> None:
    for seconds, right in ((0.001, True), (86_400.0, True), (0.000_9, False), (86_400.1, False), (math.nan, False)):
        clocks = Clocks(**{name: seconds})
        expected = [] if right else [f"clocks.{name}"]
        assert fields_of(provider(clocks=clocks)) == expected
        assert fields_of(router(clocks=clocks)) == expected
        assert fields_of(Settings("default", clocks=clocks)) == expected


@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [
        ("max_retries", (0, 10), (-1, 11)),
        ("max_attempts", (1, 20), (0, 21)),
        ("max_wait", (0.0, 600.0), (-0.1, 600.1, math.nan)),
        ("deadline", (0.001, 86_400.0), (0.0, 86_401.0, math.nan)),
    ],
)
def test_every_bound_on_retries_has_bounds(name: str, right: tuple[float, ...], wrong: tuple[float, ...]) -> None:
    for value in right:
        assert fields_of(router(retry=Retry(**{name: value}))) == []  # type: ignore[arg-type]
    for value in wrong:
        assert fields_of(router(retry=Retry(**{name: value}))) == [f"retry.{name}"]  # type: ignore[arg-type]
        assert fields_of(Settings("default", retry=Retry(**{name: value}))) == [f"retry.{name}"]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("max_tokens", 1, math.inf),
        ("temperature", 0, 2),
        ("top_p", 0, 1),
        ("frequency_penalty", -2, 2),
        ("presence_penalty", -2, 2),
    ],
)
def test_every_parameter_has_its_range_wherever_it_is_set(name: str, low: float, high: float) -> None:
    def found(value: float) -> list[str]:
        config = TextGenerationConfig(**{name: value})  # type: ignore[arg-type]
        variant = Variant(model_id="p/m", text_generation_config=config)
        route = Route(variants=(WeightedVariant(100, variant),))
        return fields_of(router(default_route=route, defaults=RouterDefaults(text_generation_config=config)))

    paths = [f"{p}.text_generation_config.{name}" for p in ("default_route.variants[0].variant", "defaults")]
    assert found(low) == found(min(high, 1e9)) == []
    assert found(low - 1) == found(math.nan) == paths
    if high < math.inf:
        assert found(high + 1) == paths


@pytest.mark.parametrize("effort", ["", "unspecified", *EFFORTS])
def test_every_effort_is_fine(effort: str) -> None:
    config = TextGenerationConfig(reasoning=Reasoning(effort))
    assert fields_of(router(defaults=RouterDefaults(text_generation_config=config))) == []


@pytest.mark.parametrize("role", ROLES)
def test_every_role_is_fine(role: str) -> None:
    assert fields_of(router(defaults=RouterDefaults((MessageTemplate(role, "x"),)))) == []


@pytest.mark.parametrize("name", [f.name for f in dataclasses.fields(Prices) if f.name != "tiers"])
def test_every_price_is_a_number_that_is_not_negative(name: str) -> None:
    assert fields_of(Model("p/m", prices=Prices(**{name: 0.0}))) == []
    for value in (-0.01, math.nan, math.inf):
        assert fields_of(Model("p/m", prices=Prices(**{name: value}))) == [f"prices.{name}"]


def test_what_holds_for_prices_holds_for_tiers_and_periods() -> None:
    tier, period = PriceTier(1, -1.0), PricePeriod("2026-13-01", prices=Prices(output_per_million=-1.0))
    model = Model("p/m", prices=Prices(tiers=(tier, PriceTier())), price_periods=(period, PricePeriod()))
    assert fields_of(model) == [
        "prices.tiers[0].input_per_million",
        "prices.tiers[1].above_tokens",
        "price_periods[0]",
        "price_periods[0].prices.output_per_million",
        "price_periods[1].prices",
    ]
    assert fields_of(Model("p/m", max_output_tokens=-1)) == ["max_output_tokens"]


def test_a_catalogue_is_a_providers() -> None:
    assert fields_of(Catalogue("amazon-bedrock")) == []
    assert fields_of(Catalogue("No Provider")) == ["name"]


@pytest.mark.parametrize("scope", SCOPES)
def test_every_scope_is_fine(scope: str) -> None:
    assert fields_of(ApiKey("k", HASH, (scope,))) == []


@pytest.mark.parametrize(
    "text", ["", "0" * 64, HASH[:-1], HASH + "0", HASH.upper(), HASH + "\n", "blake2b:" + "g" * 64]
)
def test_a_hash_is_exactly_a_hash(text: str) -> None:
    assert fields_of(ApiKey("k", text, ("read",))) == ["hash"]


def test_what_may_be_a_secret_is_never_repeated() -> None:
    secret = "sk-live-1234567890"
    documents: list[Document] = [
        provider(credentials=(secret,)),
        provider(headers={"authorization": secret}),
        provider(headers={"x-a": f"{secret}\n"}),
        provider(base_url=f"https://user:{secret}@example.com"),
        ApiKey("k", secret, ("read",)),
    ]
    for document in documents:
        problems = check(document)
        assert problems
        assert not any(secret in str(problem) for problem in problems)


@pytest.mark.parametrize(("weights", "right"), [((100,), True), ((0, 100), True), ((50, 49), False), ((60, 60), False)])
def test_weights_sum_to_a_hundred(weights: tuple[int, ...], right: bool) -> None:
    variants = tuple(WeightedVariant(weight, Variant(model_id="p/m")) for weight in weights)
    expected = [] if right else ["default_route.variants"]
    assert fields_of(router(default_route=Route(variants=variants))) == expected


@pytest.mark.parametrize(
    ("floor", "fields"),
    [
        (QualityFloor("coding", 0.0), []),
        (QualityFloor("SORT_METRIC_MATH", 1.0), []),
        (QualityFloor("intelligence"), []),
        (QualityFloor("price", 0.1), ["metric"]),
        (QualityFloor("", 1.5), ["metric", "delta"]),
        (QualityFloor("math", math.nan), ["delta"]),
    ],
)
def test_a_quality_floor_is_a_score_and_a_distance(floor: QualityFloor, fields: list[str]) -> None:
    variant = Variant(model_id="auto", model_selection=ModelSelection(quality_floor=floor))
    router = Router(name="r", default_route=Route(variants=(WeightedVariant(100, variant),)))
    paths = [found.field.rpartition("quality_floor.")[2] for found in check(router)]
    assert paths == fields


@pytest.mark.parametrize("score", [-0.1, 1.1, math.nan])
def test_a_score_is_from_zero_to_one(score: float) -> None:
    assert [p.field for p in check(Model(name="a/b", scores=Scores(coding=score)))] == ["scores.coding"]
    assert not list(check(Model(name="a/b", scores=Scores(0.0, 1.0, None))))


def test_the_api_of_a_model_is_one_that_some_provider_speaks() -> None:
    assert set(APIS) == {codec.api for codec in CODECS if codec.api}
    assert [fields_of(Model("p/m", api=api)) for api in ("", *APIS)] == [[]] * (len(APIS) + 1)
    told = list(check(Model("p/m", api="response")))
    assert [(p.field, p.message) for p in told] == [
        ("api", "expected one of chat.completions, generateContent, messages, responses, got 'response'")
    ]


@pytest.mark.parametrize("tier", ["Flex", "a b", "9", "default", "auto", "x" * 41])
def test_a_tier_of_prices_is_one_that_answers_can_name_and_not_the_standard_one(tier: str) -> None:
    period = PricePeriod(prices=Prices(1.0, 1.0), service_tier=tier)
    assert fields_of(Model("p/m", price_periods=(period,))) == ["price_periods[0].service_tier"]
    assert fields_of(Model("p/m", price_periods=(PricePeriod(prices=Prices(), service_tier="flex"),))) == []
