"""Documents: protos, values and YAML are three forms of one thing."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from turnout.policy.v1 import policy_pb2

from services.core.policy import documents
from services.core.policy.compile import Problems, compile
from services.core.policy.documents import KINDS
from services.core.policy.durations import format_duration, parse_duration
from services.runtime.catalogue.shipped import ShippedCatalogue
from services.runtime.conditions import CelCompiler
from services.wire.document_form import read_form, read_yaml, to_yaml
from services.wire.policy import to_document, to_resource
from tests.support.inprocess import KEY_DOCUMENT, policy_set

SAMPLE = """
kind: Settings
name: default
namespace: inworld
clocks: {connect: 2s, headers: 20s, firstContent: 300ms, total: 10m}
retry: {max_retries: 1, maxAttempts: 5, max_wait: 3s, deadline: 1.5s}
---
kind: Provider
name: mistral
type: openai_compatible
base_url: https://api.mistral.ai/v1
credentials: [env:MISTRAL_API_KEY, "file:/var/run/secrets/key"]
labels: {region: eu, zdr: "true"}
---
kind: Model
name: mistral/tiny
contextLength: 8192
capabilities: {tools: true, vision: false}
prices: {input_per_million: 0.1, output_per_million: 0.4}
---
kind: Router
name: user-aware
routes:
- condition: {celExpression: 'language == "es" && plan != "free"'}
  route:
    routeId: spanish-paid
    variants:
    - weight: 90
      variant: {variantId: stable, modelId: mistral/large, modelSelection: {models: [mistral/tiny]}}
    - weight: 10
      variant: {variant_id: candidate, model_id: mistral/tiny, text_generation_config: {temperature: 0.5}}
default_route: {route_id: default, variants: [{weight: 100, variant: {model_id: mistral/tiny}}]}
---
kind: Alias
name: best
model: mistral/large
"""


def test_every_document_class_has_the_fields_of_its_message() -> None:
    seen = set()
    for name, kind in vars(documents).items():
        if dataclasses.is_dataclass(kind) and hasattr(policy_pb2, name):
            message = getattr(policy_pb2, name)
            assert [f.name for f in dataclasses.fields(kind)] == [f.name for f in message.DESCRIPTOR.fields], name
            seen.add(name)
    assert set(KINDS) <= seen
    assert len(seen) >= 20


def test_yaml_survives_messages_and_values_and_comes_back() -> None:
    resources, problems = read_yaml(SAMPLE)
    assert not problems
    back = [to_resource(to_document(r)) for r in resources]
    assert back == resources
    again, problems = read_yaml(to_yaml(back))
    assert not problems
    assert again == resources


@pytest.mark.parametrize("text", ["300ms", "1s", "90s", "2m", "1h", "1500ms", "0.25s", "10m"])
def test_durations_mean_the_same_after_a_round_trip(text: str) -> None:
    seconds = parse_duration(text)
    assert seconds is not None
    assert parse_duration(format_duration(seconds)) == pytest.approx(seconds)


def test_everything_that_is_wrong_with_a_form_is_told_at_once_with_its_path() -> None:
    form = {
        "kind": "Router",
        "name": "x",
        "routes": [{"condition": {"cel": "a"}, "route": {"variants": [{"weight": "ninety", "variant": 3}]}}],
        "clocks": {"idle": 5},
        "displayName": "A",
        "display_name": "B",
    }
    resource, problems = read_form(form)
    assert resource is None
    assert {p.field for p in problems} == {
        "routes[0].condition.cel",
        "routes[0].route.variants[0].weight",
        "routes[0].route.variants[0].variant",
        "clocks.idle",
        "display_name",
    }


@pytest.mark.parametrize(
    "text",
    [
        "kind: Router\nname: a\nname: b\n",
        "a: [",
        "kind: Nope\nname: x\n",
        "- 3\n",
        "kind: Alias\nname: a\n---\nkind: Alias\nname: a\n",
    ],
)
def test_bad_yaml_is_a_problem_and_not_a_traceback(text: str) -> None:
    _, problems = read_yaml(text)
    assert problems


def problems_of(*forms: dict[str, Any]) -> list[str]:
    entries = policy_set(*forms).entries
    found = compile({k: e.document for k, e in entries.items()}, CelCompiler(), ShippedCatalogue())
    return [str(p) for p in (found.problems if isinstance(found, Problems) else found.warnings)]


PROVIDER = {"kind": "Provider", "name": "openai", "type": "openai"}


def router(**more: Any) -> dict[str, Any]:
    return {"kind": "Router", "name": "r", **more}


def one(model: str, weight: int = 100) -> dict[str, Any]:
    return {"variants": [{"weight": weight, "variant": {"model_id": model}}]}


@pytest.mark.parametrize(
    ("forms", "told"),
    [
        ([router()], "neither routes nor a default_route"),
        ([PROVIDER, router(default_route=one("openai/gpt-5", 90))], "weights must sum to exactly 100; 90 is 90"),
        ([router(default_route=one("openai/gpt-5"))], "there is no Provider 'openai'"),
        ([PROVIDER, router(default_route=one("inworld/other"))], "is a router; a variant names models"),
        (
            [PROVIDER, router(routes=[{"condition": {"cel_expression": "a =="}, "route": one("openai/x")}])],
            "Syntax error",
        ),
        (
            [PROVIDER, router(routes=[{"condition": {"cel_expression": "1 + 1"}, "route": one("openai/x")}])],
            "must be true or false",
        ),
        ([{**PROVIDER, "credentials": ["sk-real-key-value"]}], "expected a reference"),
        ([{**PROVIDER, "headers": {"Authorization": "x"}}], "carries a secret"),
        ([{**PROVIDER, "type": "openai_compatible"}], "base_url"),
        ([{**PROVIDER, "type": "magic"}], "expected one of"),
        (
            [PROVIDER, {"kind": "Alias", "name": "a", "model": "b"}, {"kind": "Alias", "name": "b", "model": "a"}],
            "in a circle",
        ),
        ([{"kind": "Alias", "name": "a", "model": "no/such"}], "nothing in this policy serves"),
        ([{**KEY_DOCUMENT, "name": "copy"}], "is the hash of the key"),
        ([{"kind": "ApiKey", "name": "k", "hash": "to-plain-key", "scopes": ["inference"]}], "expected blake2b:"),
        ([{"kind": "Settings", "name": "other"}], 'named "default"'),
        ([{"kind": "Settings", "name": "default", "retry": {"max_attempts": 99}}], "expected 1 to 20"),
    ],
)
def test_the_compiler_says_what_is_wrong(forms: list[dict[str, Any]], told: str) -> None:
    found = problems_of(*forms)
    assert any(told in problem for problem in found), found
    assert not any("sk-real" in problem or "to-plain" in problem for problem in found)
