"""Preferences as callers write them."""

from __future__ import annotations

from typing import Any

import pytest

from services.core.errors import InvalidRequest
from services.core.policy.preferences import (
    BY_FALLBACKS,
    NO_PREFERENCES,
    TOGETHER,
    Cutoff,
    LabelDemand,
    Preferences,
    PriceLimit,
    by,
)
from services.wire.chat_facts import read_facts
from services.wire.preference_facts import PreferenceReader


def read(**provider: Any) -> Preferences:
    return PreferenceReader().read(provider, None, ())


def warnings_of(**provider: Any) -> list[str]:
    reader = PreferenceReader()
    reader.read(provider, None, ())
    return reader.warnings


def test_the_whole_object_of_openrouters_clients_is_read() -> None:
    found = read(
        order=["anthropic", "openai"],
        only=["anthropic"],
        ignore=["azure"],
        allow_fallbacks=False,
        require_parameters=True,
        data_collection="deny",
        zdr=True,
        quantizations=["FP8"],
        sort={"by": "latency", "partition": "none"},
        max_price={"prompt": "1", "completion": 2, "request": "", "image": "", "audio": ""},
        preferred_min_throughput=50,
        preferred_max_latency={"p90": 3, "p50": None},
    )
    assert found == Preferences(
        only=("anthropic",),
        ignore=("azure",),
        order=("anthropic", "openai"),
        allow_fallbacks=False,
        require_parameters=True,
        labels=(
            LabelDemand("zdr", "zdr", ("true", "yes", "1")),
            LabelDemand("data_collection: deny", "data_collection", ("deny",)),
            LabelDemand("quantizations", "quantization", ("fp8",)),
        ),
        max_price=PriceLimit(1.0, 2.0),
        sort=(by("latency"),),
        together=TOGETHER,
        max_latency=(Cutoff(0.9, 3.0),),
        min_throughput=(Cutoff(0.5, 50.0),),
    )


def test_fields_that_are_null_are_no_preferences() -> None:
    names = (
        "order only ignore allow_fallbacks require_parameters data_collection zdr quantizations max_price sort options"
    )
    assert read(**dict.fromkeys(names.split())) == NO_PREFERENCES
    assert warnings_of(**dict.fromkeys(names.split())) == []


def test_what_cannot_be_acted_on_is_told() -> None:
    assert warnings_of(enforce_distillable_text=True) == [
        "provider.enforce_distillable_text was dropped: it is not known here"
    ]
    assert warnings_of(sort="exacto")[0].startswith("provider.sort by 'exacto' was dropped")
    assert warnings_of(max_price={"audio": "1", "prompt": 1}) == [
        "provider.max_price.audio was dropped: such prices are not known here"
    ]
    assert warnings_of(enforce_distillable_text=False, options={}) == []


def test_inworlds_sort_is_a_list_and_above_openrouters() -> None:
    facts = read_facts({"model": "m", "sort": ["price", "SORT_METRIC_LATENCY"], "provider": {"sort": "throughput"}})
    assert facts.preferences.sort == (by("price"), by("latency"))
    assert facts.preferences.together == BY_FALLBACKS
    assert read_facts({"model": "m", "extra_body": {"sort": "price"}}).preferences.sort == (by("price"),)


@pytest.mark.parametrize(
    ("provider", "param"),
    [
        ({"only": "openai"}, "provider.only"),
        ({"ignore": [1]}, "provider.ignore"),
        ({"allow_fallbacks": "no"}, "provider.allow_fallbacks"),
        ({"zdr": 1}, "provider.zdr"),
        ({"data_collection": "maybe"}, "provider.data_collection"),
        ({"quantizations": "fp8"}, "provider.quantizations"),
        ({"labels": ["eu"]}, "provider.labels"),
        ({"labels": {"region": 1}}, "provider.labels.region"),
        ({"max_price": 1}, "provider.max_price"),
        ({"max_price": {"prompt": "cheap"}}, "provider.max_price.prompt"),
        ({"max_price": {"prompt": 10**400}}, "provider.max_price.prompt"),
        ({"max_price": {"prompt": "inf"}}, "provider.max_price.prompt"),
        ({"preferred_max_latency": 10**400}, "provider.preferred_max_latency"),
        ({"preferred_max_latency": {"p" + "9" * 5000: 3}}, "provider.preferred_max_latency"),
        ({"max_price": {"prompt": -1}}, "provider.max_price.prompt"),
        ({"max_price": {"prompt": "nan"}}, "provider.max_price.prompt"),
        ({"sort": 1}, "provider.sort"),
        ({"sort": {"by": 1}}, "provider.sort"),
        ({"preferred_max_latency": "fast"}, "provider.preferred_max_latency"),
        ({"preferred_max_latency": {"p0": 1}}, "provider.preferred_max_latency"),
        ({"preferred_min_throughput": {"max": 1}}, "provider.preferred_min_throughput"),
    ],
)
def test_what_has_the_wrong_type_is_the_callers_fault(provider: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_facts({"model": "m", "provider": provider})
    assert caught.value.param == param


def test_parameters_are_read_only_when_they_are_required() -> None:
    members = ("model", "messages", "top_k", "reasoning_effort")
    assert read_facts({"model": "m"}, parameters=members).parameters == frozenset()
    required = read_facts({"model": "m", "provider": {"require_parameters": True}}, parameters=members)
    assert required.parameters == {"top_k", "reasoning_effort"}


def test_a_preset_stands_for_a_missing_model() -> None:
    assert read_facts({"preset": "mine"}).model == "@preset/mine"
    facts = read_facts({"preset": "mine", "model": "a/b"})
    assert facts.model == "a/b"
    assert facts.warnings == ("preset was dropped: the request names a model too",)


def test_plugins_choose_the_models_of_an_automatic_choice() -> None:
    plugins = [{"id": "auto-router", "allowed_models": ["openai/*"], "excluded_models": ["openai/x"]}, {"id": "fusion"}]
    facts = read_facts({"model": "auto", "plugins": plugins})
    assert facts.models == ("openai/*",)
    assert facts.preferences.ignore == ("openai/x",)
    assert facts.warnings == ("the plugin 'fusion' was dropped: it is not known here",)
    assert read_facts({"model": "m", "plugins": [{"id": "fusion", "enabled": False}]}).warnings == ()


@pytest.mark.parametrize("plugins", ["web", ["web"], [{"id": "auto-router", "allowed_models": "x"}]])
def test_malformed_plugins_are_the_callers_fault(plugins: Any) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_facts({"model": "auto", "plugins": plugins})
    assert caught.value.param == "plugins"


def test_a_time_to_first_token_that_is_too_short_is_raised() -> None:
    facts = read_facts({"model": "m", "fallback": {"ttft_timeout": "100ms"}})
    assert facts.clocks["first_content"] == 0.3
    assert facts.warnings == ("fallback.ttft_timeout was raised to 300ms, the least there is",)
