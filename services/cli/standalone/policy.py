"""The policy that `turnout up` starts with when none was given.

With provider keys in the environment: the real providers. Without: simulated
ones, of which the first is broken on purpose, so that the first request already
shows a failover.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class RealProvider:
    """A provider that a key in the environment switches on."""

    name: str
    type: str
    variable: str
    model: str
    base_url: str = ""


REAL_PROVIDERS = (
    RealProvider("openai", "openai", "OPENAI_API_KEY", "gpt-5-mini"),
    RealProvider("anthropic", "anthropic", "ANTHROPIC_API_KEY", "claude-haiku-4-5"),
    RealProvider(
        "mistral", "openai_compatible", "MISTRAL_API_KEY", "mistral-small-latest", "https://api.mistral.ai/v1"
    ),
    RealProvider(
        "groq", "openai_compatible", "GROQ_API_KEY", "llama-3.3-70b-versatile", "https://api.groq.com/openai/v1"
    ),
    RealProvider("deepseek", "openai_compatible", "DEEPSEEK_API_KEY", "deepseek-chat", "https://api.deepseek.com/v1"),
    RealProvider("xai", "openai_compatible", "XAI_API_KEY", "grok-4", "https://api.x.ai/v1"),
    RealProvider(
        "openrouter", "openai_compatible", "OPENROUTER_API_KEY", "openrouter/auto", "https://openrouter.ai/api/v1"
    ),
)
"""In order of preference; each `model` is the one that the first router uses."""


@dataclass(frozen=True, slots=True)
class SimulatedSpec:
    """A simulated provider to start."""

    name: str
    wire: str
    fault: str = "none"


SIMULATED = (
    SimulatedSpec("sim-flaky", "openai", fault="status"),
    SimulatedSpec("sim-openai", "openai"),
    SimulatedSpec("sim-anthropic", "anthropic"),
)


def real_providers(environment: Mapping[str, str]) -> list[RealProvider]:
    """The providers whose key is in `environment`."""
    return [p for p in REAL_PROVIDERS if environment.get(p.variable, "").strip()]


def real_policy(providers: list[RealProvider]) -> list[Document]:
    """Documents for real providers: each one defined, and a router over them."""
    documents: list[Document] = [
        {
            "kind": "Provider",
            "name": p.name,
            "type": p.type,
            **({"base_url": p.base_url} if p.base_url else {}),
            "credentials": [f"env:{p.variable}"],
        }
        for p in providers
    ]
    models = [f"{p.name}/{p.model}" for p in providers]
    documents.append(_router(models[:1], models[1:], models))
    return documents


def simulated_policy(ports: Mapping[str, int]) -> list[Document]:
    """Documents for the simulated providers, which listen on `ports` by name."""
    documents: list[Document] = []
    for spec in SIMULATED:
        path = "/v1" if spec.wire == "openai" else ""
        documents.append(
            {
                "kind": "Provider",
                "name": spec.name,
                "type": "openai_compatible" if spec.wire == "openai" else "anthropic",
                "base_url": f"http://127.0.0.1:{ports[spec.name]}{path}",
                "labels": {"simulated": "true"},
            }
        )
    documents.append(
        _router(["sim-flaky/gpt-5", "sim-openai/gpt-5"], ["sim-anthropic/claude-haiku-4-5"], ["sim-openai/gpt-5-mini"])
    )
    return documents


def _router(firsts: list[str], fallbacks: list[str], default: list[str]) -> Document:
    """The `user-aware` router: paying Spanish speakers are split by weight, everybody else takes the default."""
    shares = [100] if len(firsts) == 1 else [90, 10]
    variants = []
    for share, model, name in zip(shares, firsts, ("stable", "candidate"), strict=False):
        variant: Document = {"variant_id": name, "model_id": model}
        others = [m for m in fallbacks if m != model]
        if others:
            variant["model_selection"] = {"models": others}
        variants.append({"weight": share, "variant": variant})
    first, rest = default[0], default[1:] or [m for m in fallbacks if m != default[0]]
    final: Document = {"variant_id": "default", "model_id": first}
    if rest:
        final["model_selection"] = {"models": rest}
    condition = {"cel_expression": 'language == "es" && plan != "free"'}
    return {
        "kind": "Router",
        "name": "user-aware",
        "display_name": "User-Aware",
        "routes": [{"condition": condition, "route": {"route_id": "spanish-paid", "variants": variants}}],
        "default_route": {"route_id": "default", "variants": [{"weight": 100, "variant": final}]},
    }
