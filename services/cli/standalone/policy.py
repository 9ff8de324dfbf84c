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
    """Also its type."""
    variable: str
    model: str


REAL_PROVIDERS = (
    RealProvider("openai", "OPENAI_API_KEY", "gpt-5-mini"),
    RealProvider("anthropic", "ANTHROPIC_API_KEY", "claude-haiku-4-5"),
    RealProvider("google", "GEMINI_API_KEY", "gemini-2.5-flash"),
    RealProvider("mistral", "MISTRAL_API_KEY", "mistral-small-latest"),
    RealProvider("groq", "GROQ_API_KEY", "llama-3.3-70b-versatile"),
    RealProvider("deepseek", "DEEPSEEK_API_KEY", "deepseek-chat"),
    RealProvider("xai", "XAI_API_KEY", "grok-4.3"),
    RealProvider("openrouter", "OPENROUTER_API_KEY", "openrouter/auto"),
    RealProvider("cohere", "COHERE_API_KEY", "command-a-03-2025"),
    RealProvider("cerebras", "CEREBRAS_API_KEY", "gpt-oss-120b"),
    RealProvider("together", "TOGETHER_API_KEY", "meta-llama/Llama-3.3-70B-Instruct-Turbo"),
    RealProvider("fireworks", "FIREWORKS_API_KEY", "accounts/fireworks/models/deepseek-v4-flash"),
    RealProvider("perplexity", "PERPLEXITY_API_KEY", "sonar"),
    RealProvider("moonshot", "MOONSHOT_API_KEY", "kimi-k2.6"),
    RealProvider("zai", "ZHIPU_API_KEY", "glm-4.7"),
    RealProvider("alibaba", "DASHSCOPE_API_KEY", "qwen3.6-flash"),
    RealProvider("deepinfra", "DEEPINFRA_API_KEY", "deepseek-ai/DeepSeek-V4-Flash"),
    RealProvider("nvidia", "NVIDIA_API_KEY", "deepseek-ai/deepseek-v4-flash"),
    RealProvider("nebius", "NEBIUS_API_KEY", "Qwen/Qwen3-32B"),
    RealProvider("novita", "NOVITA_API_KEY", "deepseek/deepseek-v4-flash"),
    RealProvider("baseten", "BASETEN_API_KEY", "zai-org/GLM-5"),
    RealProvider("sambanova", "SAMBANOVA_API_KEY", "Meta-Llama-3.3-70B-Instruct"),
    RealProvider("hyperbolic", "HYPERBOLIC_API_KEY", "meta-llama/Llama-3.3-70B-Instruct"),
    RealProvider("siliconflow", "SILICONFLOW_API_KEY", "deepseek-ai/DeepSeek-V4-Flash"),
    RealProvider("inception", "INCEPTION_API_KEY", "mercury-2"),
    RealProvider("upstage", "UPSTAGE_API_KEY", "solar-pro3"),
    RealProvider("scaleway", "SCALEWAY_API_KEY", "qwen3.6-35b-a3b"),
    RealProvider("ai21", "AI21_API_KEY", "jamba-mini"),
    RealProvider("writer", "WRITER_API_KEY", "palmyra-x5"),
    RealProvider("vercel", "AI_GATEWAY_API_KEY", "alibaba/qwen3.7-plus"),
)
"""In order of preference; each `model` is the one that the first router uses.

Keys that people have for other things, such as GITHUB_TOKEN and HF_TOKEN, switch nothing on.
"""


@dataclass(frozen=True, slots=True)
class SimulatedSpec:
    """A simulated provider to start.

    Attributes:
        prices: US dollars per million tokens in and out of each of its models. The catalogue has none for a server of
            one's own, so policy says them.
    """

    name: str
    wire: str
    prices: Mapping[str, tuple[float, float]]
    fault: str = "none"


SIMULATED = (
    SimulatedSpec("sim-flaky", "openai", {"gpt-5": (1.25, 10.0)}, fault="status"),
    SimulatedSpec("sim-openai", "openai", {"gpt-5": (1.25, 10.0), "gpt-5-mini": (0.25, 2.0)}),
    SimulatedSpec("sim-anthropic", "anthropic", {"claude-haiku-4-5": (1.0, 5.0)}),
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
            "type": p.name,
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
        for model, (given, made) in spec.prices.items():
            prices = {"input_per_million": given, "output_per_million": made}
            documents.append({"kind": "Model", "name": f"{spec.name}/{model}", "prices": prices})
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
