"""Names of providers and models as people write them, and as the catalogue does."""

from __future__ import annotations

import re

PROVIDERS = {
    "ai-studio": "google",
    "aws": "amazon-bedrock",
    "azure-ai": "azure",
    "azure-openai": "azure",
    "bedrock": "amazon-bedrock",
    "cloudflare": "cloudflare-workers-ai",
    "dashscope": "alibaba",
    "fireworks": "fireworks-ai",
    "gemini": "google",
    "github": "github-models",
    "google-ai-studio": "google",
    "google-genai": "google",
    "kimi": "moonshotai",
    "meta-llama": "llama",
    "mistralai": "mistral",
    "moonshot": "moonshotai",
    "nim": "nvidia",
    "novita": "novita-ai",
    "nvidia-nim": "nvidia",
    "qwen": "alibaba",
    "together": "togetherai",
    "together-ai": "togetherai",
    "vertex": "google-vertex",
    "vertex-ai": "google-vertex",
    "x-ai": "xai",
    "z-ai": "zai",
    "zhipu": "zhipuai",
}
"""Other names of the catalogue's providers: those of our types, of OpenRouter's authors, and of people."""

BEST_KNOWN = (
    "openai",
    "anthropic",
    "google",
    "mistral",
    "xai",
    "deepseek",
    "cohere",
    "moonshotai",
    "zai",
    "groq",
    "cerebras",
    "google-vertex",
    "amazon-bedrock",
    "azure",
)
"""Who is asked first for a bare model: who made it, then who is known to serve it well, then all others."""

_DATE = re.compile(r"[-@](?:20\d{6}|20\d\d-\d\d-\d\d)\Z")
_LATEST = re.compile(r"-latest\Z")
REGION = re.compile(r"\A(?:us|eu|apac|jp|au|global|us-gov)\.")
_RELEASE = re.compile(r"-v\d+(?::\d+)?(?::\d+k)?\Z")
_CLAUDE = re.compile(r"\Aclaude-(\d+(?:-\d+)?)-(opus|sonnet|haiku)\Z")


def provider_id(name: str) -> str:
    """The catalogue's spelling of a provider's name."""
    plain = name.lower().replace("_", "-")
    return PROVIDERS.get(plain, plain)


def rank(place: str) -> int:
    """Place of a provider, in the catalogue's spelling, among the best known; all others share the last one."""
    return BEST_KNOWN.index(place) if place in BEST_KNOWN else len(BEST_KNOWN)


def spelling(model: str) -> str:
    """`model` in one spelling: lower case, dashes for dots, Claude's family before its number."""
    plain = model.lower().replace(".", "-").replace("_", "-")
    claude = _CLAUDE.match(plain)
    return f"claude-{claude[2]}-{claude[1]}" if claude else plain


def is_dated(model: str) -> bool:
    """Whether a name says which release of a model is meant, as against whichever is newest."""
    return _DATE.search(model) is not None or _RELEASE.search(model) is not None or model.endswith("-latest")


def family(model: str) -> str:
    """What all releases of a model have in common: its spelling without date, "latest", region and release number."""
    plain = REGION.sub("", model.lower())
    plain = _RELEASE.sub("", plain)
    plain = _LATEST.sub("", _DATE.sub("", plain))
    return spelling(plain)
