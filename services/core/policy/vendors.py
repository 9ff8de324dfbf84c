"""Vendors and servers that speak OpenAI's chat completions: their addresses, what each is known to refuse, and what
it takes beyond OpenAI's own fields.

Only what a vendor documents, or was seen to answer with an error, is a quirk; what
one silently ignores is none. An address is empty where it holds an account's name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Quirks:
    """Where a service that speaks chat completions differs from the others.

    Attributes:
        path: Where its chat completions are, behind the address.
        limit: Its name for the limit of an answer's tokens: max_tokens or max_completion_tokens.
        limit_only: It refuses the other name.
        developer: Whether it knows the role developer; None: not known.
        names: It takes the names of messages' authors.
        usage_option: It takes `stream_options.include_usage`; else it counts the tokens of streams unasked.
        openai_models: It serves OpenAI's models under their names, some of which refuse what others take.
        max_stops: Most stop sequences; 0: no limit is known.
        refused: Fields that it answers with an error.
        known: The only fields that it takes, all others are errors; None: others are let be.
        strict: It refuses members of messages that it does not know.
        hints: It takes what steers service and style: verbosity, service tier, cache key, stored metadata.
        sampling: It takes top_k, min_p and repetition_penalty.
        media: It takes videos, sound by address and documents by address.
        marks: It takes `cache_control` on parts and tools.
        details: It takes reasoning back as `reasoning_details`, and the object `reasoning`.
        thought: It takes reasoning back as `reasoning_content` beside tool calls.
        thought_always: And beside everything else.
        prefill: It goes on from an assistant's message in the last place.
        search: How it is told to search the web: a field, or "plugins"; empty: it is not known to.
    """

    path: str = "/chat/completions"
    limit: str = "max_tokens"
    limit_only: bool = False
    developer: bool | None = None
    names: bool = True
    usage_option: bool = True
    openai_models: bool = False
    max_stops: int = 0
    refused: frozenset[str] = frozenset()
    known: frozenset[str] | None = None
    strict: bool = False
    hints: bool = False
    sampling: bool = True
    media: bool = True
    marks: bool = False
    details: bool = False
    thought: bool = False
    thought_always: bool = False
    prefill: bool = False
    search: str = "web_search_options"


_NO_DEVELOPER = Quirks(developer=False)
PLAIN = Quirks()

VENDORS: Mapping[str, tuple[str, Quirks]] = {
    "ai21": ("https://api.ai21.com/studio/v1", PLAIN),
    "alibaba": ("https://dashscope-intl.aliyuncs.com/compatible-mode/v1", _NO_DEVELOPER),
    "baseten": ("https://inference.baseten.co/v1", PLAIN),
    "cerebras": (
        "https://api.cerebras.ai/v1",
        Quirks(refused=frozenset({"frequency_penalty", "presence_penalty", "logit_bias"}), strict=True, search=""),
    ),
    "chutes": ("https://llm.chutes.ai/v1", PLAIN),
    "clarifai": ("https://api.clarifai.com/v2/ext/openai/v1", PLAIN),
    "cloudflare": ("", PLAIN),
    "crusoe": ("https://api.inference.crusoecloud.com/v1", PLAIN),
    "databricks": ("", PLAIN),
    "deepinfra": ("https://api.deepinfra.com/v1/openai", PLAIN),
    "deepseek": ("https://api.deepseek.com/v1", Quirks(developer=False, thought=True, search="")),
    "digitalocean": ("https://inference.do-ai.run/v1", PLAIN),
    "fireworks": ("https://api.fireworks.ai/inference/v1", PLAIN),
    "friendli": ("https://api.friendli.ai/serverless/v1", PLAIN),
    "github": ("https://models.github.ai/inference", PLAIN),
    "groq": (
        "https://api.groq.com/openai/v1",
        Quirks(names=False, refused=frozenset({"logprobs", "top_logprobs", "logit_bias"}), strict=True, search=""),
    ),
    "huggingface": ("https://router.huggingface.co/v1", PLAIN),
    "hyperbolic": ("https://api.hyperbolic.xyz/v1", PLAIN),
    "inception": ("https://api.inceptionlabs.ai/v1", PLAIN),
    "moonshot": ("https://api.moonshot.ai/v1", Quirks(thought=True, search="")),
    "nebius": ("https://api.tokenfactory.nebius.com/v1", PLAIN),
    "novita": ("https://api.novita.ai/openai/v1", PLAIN),
    "nvidia": ("https://integrate.api.nvidia.com/v1", PLAIN),
    "openrouter": (
        "https://openrouter.ai/api/v1",
        Quirks(developer=True, hints=True, marks=True, details=True, search="plugins"),
    ),
    "ovhcloud": ("https://oai.endpoints.kepler.ai.cloud.ovh.net/v1", PLAIN),
    "perplexity": ("https://api.perplexity.ai", _NO_DEVELOPER),
    "sambanova": ("https://api.sambanova.ai/v1", PLAIN),
    "scaleway": ("https://api.scaleway.ai/v1", PLAIN),
    "siliconflow": ("https://api.siliconflow.com/v1", PLAIN),
    "snowflake": ("", PLAIN),
    "together": ("https://api.together.xyz/v1", PLAIN),
    "upstage": ("https://api.upstage.ai/v1/solar", PLAIN),
    "vercel": ("https://ai-gateway.vercel.sh/v1", Quirks(marks=True)),
    "wandb": ("https://api.inference.wandb.ai/v1", PLAIN),
    "writer": ("https://api.writer.com/v1", Quirks(path="/chat")),
    "xai": ("https://api.x.ai/v1", PLAIN),
    "zai": ("https://api.z.ai/api/paas/v4", _NO_DEVELOPER),
}
"""Address and quirks by the word in `Provider.type`."""

SERVERS: Mapping[str, tuple[str, Quirks]] = {
    "litellm": ("http://localhost:4000/v1", Quirks(hints=True, marks=True)),
    "llamacpp": ("http://localhost:8080/v1", PLAIN),
    "lmstudio": ("http://localhost:1234/v1", PLAIN),
    "ollama": ("http://localhost:11434/v1", Quirks(developer=True)),
    "vllm": ("http://localhost:8000/v1", PLAIN),
}
"""The same of what usually runs beside the worker and asks for no credential."""
