"""One router compiled: that its parts are those of the documents is in the golden files."""

from __future__ import annotations

from services.core.policy.snapshot import CompiledRouter
from tests.support.policies import snapshot_of

PROVIDERS = """
- {kind: Provider, name: openai, type: openai}
- {kind: Provider, name: anthropic, type: anthropic}
- {kind: Provider, name: mistral, type: openai_compatible, base_url: "http://mistral.example"}
"""


def compiled_router(selection: str) -> CompiledRouter:
    text = f"""
- kind: Router
  name: r
  default_route: {{variants: [{{weight: 100, variant: {selection}}}]}}
"""
    return snapshot_of(PROVIDERS + text).routers["r"]


def models_of(selection: str) -> list[str]:
    """The targets of a variant that is written as `selection`."""
    route = compiled_router(selection).default_route
    assert route is not None
    return [target.model for target in route.variants[0].targets]


def test_a_model_that_is_named_twice_is_tried_once() -> None:
    written = "{model_id: openai/gpt-5, model_selection: {models: [mistral/large, openai/gpt-5, mistral/large]}}"
    assert models_of(written) == ["openai/gpt-5", "mistral/large"]


def test_a_bare_model_brings_all_its_providers_in_its_place() -> None:
    written = "{model_id: anthropic/claude, model_selection: {models: [gpt-5, mistral/large]}}"
    assert models_of(written) == ["anthropic/claude", "openai/gpt-5", "mistral/gpt-5", "mistral/large"]


def test_the_order_of_providers_is_stable_and_comes_before_the_ban_on_fallbacks() -> None:
    models = "models: [openai/gpt-5, anthropic/claude, mistral/large, mistral/gpt-5]"
    ordered = f"{{model_selection: {{{models}, provider: {{order: [mistral]}}}}}}"
    assert models_of(ordered) == ["mistral/large", "mistral/gpt-5", "openai/gpt-5", "anthropic/claude"]
    single = f"{{model_selection: {{{models}, provider: {{order: [mistral], allow_fallbacks: false}}}}}}"
    assert models_of(single) == ["mistral/large", "mistral/gpt-5"]
    first = f"{{model_selection: {{{models}, provider: {{allow_fallbacks: false}}}}}}"
    assert models_of(first) == ["openai/gpt-5"]
    free = f"{{model_selection: {{{models}, provider: {{allow_fallbacks: true}}}}}}"
    assert len(models_of(free)) == 4


def test_a_namespace_that_is_a_provider_too_names_that_providers_models_in_variants() -> None:
    snapshot = snapshot_of(f"""{PROVIDERS}
- {{kind: Settings, name: default, namespace: openai}}
- kind: Router
  name: r
  default_route: {{variants: [{{weight: 100, variant: {{model_id: openai/gpt-5}}}}]}}
""")
    route = snapshot.routers["r"].default_route
    assert route is not None
    assert route.variants[0].targets[0].model == "openai/gpt-5"


def test_a_router_reads_messages_if_any_of_its_conditions_does() -> None:
    assert not compiled_router("{model_id: openai/gpt-5}").reads_messages
