"""The policy that `turnout up` makes for itself."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from services.cli.offline import check
from services.cli.standalone.policy import (
    REAL_PROVIDERS,
    SIMULATED,
    real_policy,
    real_providers,
    simulated_policy,
)
from services.wire.document_form import read_form

PORTS = {spec.name: 20_000 + number for number, spec in enumerate(SIMULATED)}


def admitted(forms: list[dict[str, Any]]) -> list[str]:
    """Problems of a policy, as the control plane would see them; warnings do not count."""
    resources = []
    for form in forms:
        resource, problems = read_form(form)
        assert resource is not None, problems
        resources.append(resource)
    return [f"{p.resource.name}: {p.message}" for p in check(resources) if not p.warning]


def test_the_keys_of_the_environment_choose_the_providers_in_order_of_preference() -> None:
    environment = {"ANTHROPIC_API_KEY": "k", "OPENAI_API_KEY": "k", "GROQ_API_KEY": "  ", "OTHER": "k"}
    assert [p.name for p in real_providers(environment)] == ["openai", "anthropic"]
    assert real_providers({}) == []


@pytest.mark.parametrize("size", [1, 2, len(REAL_PROVIDERS)])
def test_whatever_keys_there_are_the_policy_is_good(size: int) -> None:
    for chosen in itertools.combinations(REAL_PROVIDERS, size):
        assert admitted(real_policy(list(chosen))) == []


def test_keys_are_named_by_reference_and_never_copied() -> None:
    environment = {p.variable: f"canary-{p.name}" for p in REAL_PROVIDERS}
    forms = real_policy(real_providers(environment))
    assert "canary" not in repr(forms)
    assert [f["credentials"] for f in forms if f["kind"] == "Provider"] == [
        [f"env:{p.variable}"] for p in REAL_PROVIDERS
    ]


def test_every_provider_is_a_fallback_of_the_first() -> None:
    (router,) = (f for f in real_policy(list(REAL_PROVIDERS)) if f["kind"] == "Router")
    variant = router["default_route"]["variants"][0]["variant"]
    models = [variant["model_id"], *variant["model_selection"]["models"]]
    assert models == [f"{p.name}/{p.model}" for p in REAL_PROVIDERS]


def test_one_provider_alone_has_no_fallbacks() -> None:
    (router,) = (f for f in real_policy([REAL_PROVIDERS[0]]) if f["kind"] == "Router")
    assert "model_selection" not in router["default_route"]["variants"][0]["variant"]


def test_the_simulated_policy_is_good_and_begins_with_a_provider_that_fails() -> None:
    forms = simulated_policy(PORTS)
    assert admitted(forms) == []
    (router,) = (f for f in forms if f["kind"] == "Router")
    first = router["routes"][0]["route"]["variants"][0]["variant"]
    assert first["model_id"].startswith("sim-flaky/")
    assert first["model_selection"]["models"]
    assert all(f["labels"] == {"simulated": "true"} for f in forms if f["kind"] == "Provider")
    assert {s.name: s.fault for s in SIMULATED}["sim-flaky"] == "status"


def test_what_the_simulated_router_asks_has_a_price() -> None:
    forms = simulated_policy(PORTS)
    (router,) = (f for f in forms if f["kind"] == "Router")
    routes = [router["routes"][0]["route"], router["default_route"]]
    variants = [weighted["variant"] for route in routes for weighted in route["variants"]]
    asked = {model for v in variants for model in (v["model_id"], *v["model_selection"]["models"])}
    assert asked == {f["name"] for f in forms if f["kind"] == "Model" and f["prices"]}
