"""Recorded exchanges of real providers: read from the folder that TURNOUT_TRAFFIC names, or from beside the checkout.

The recordings belong to other projects' tests and are not part of this
repository; tests that need them skip without them. The files are JSON lines,
plain or gzipped, one file per provider.
"""

from __future__ import annotations

import base64
import gzip
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from services.core.policy.provider_types import PROVIDER_TYPES
from services.dataplane.providers.registry import codec_of

ROOT = Path(__file__).resolve().parents[2]
PROVIDERS = (
    "openai", "anthropic", "azure", "groq", "mistral", "deepseek", "xai", "openrouter", "ollama", "cerebras",
    "together", "huggingface", "perplexity", "local-openai", "vercel-gateway", "alibaba", "cloudflare", "zai",
    "databricks", "moonshot", "ai21", "crusoe", "snowflake", "pydantic-gateway", "vertex", "bedrock", "gemini", "writer",
    "cohere", "lmstudio",
)  # fmt: skip
"""Those whose file holds exchanges of a replayed API."""

FAILING = (
    "openai", "anthropic", "azure", "groq", "mistral", "deepseek", "xai", "openrouter", "ollama", "perplexity",
    "gemini", "vertex",
)  # fmt: skip
"""Those whose file holds errors that can be judged."""

APIS = {
    "chat.completions": "openai_compatible",
    "messages": "anthropic",
    "responses": "openai",
    "cohere": "cohere",
    "converse": "bedrock",
    "generateContent": "google",
    "streamGenerateContent": "google",
}
"""The APIs that are replayed, and the provider type that speaks each where the provider has none of its own.

Of Cohere's exchanges those of v2 of its chat API; v1 is another protocol, and on its way out.
"""

_NAMES = {"azure": "azure_openai", "vercel-gateway": "vercel"}
"""Provider types that the files call otherwise."""

FAMILIES = {
    "chat.completions": "chat.completions",
    "completions": "chat.completions",
    "responses": "responses",
    "embeddings": "chat.completions",
    "images.generations": "chat.completions",
    "images.edits": "chat.completions",
    "messages": "messages",
    "messages.count_tokens": "messages",
    "generateContent": "generateContent",
    "streamGenerateContent": "generateContent",
}
"""APIs with errors of the same shape as a replayed one."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """One recorded exchange."""

    id: str
    provider: str
    api: str
    stream: bool
    body: bytes
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    request: dict[str, Any] = field(default_factory=dict)
    """The recorded request as its file has it; its body may be missing."""


def type_of(exchange: Exchange) -> str:
    """The provider type that speaks for this exchange."""
    if exchange.provider == "vertex":
        return "vertex"
    named = _NAMES.get(exchange.provider, exchange.provider)
    row = PROVIDER_TYPES.get(named)
    if row is not None and codec_of(row.protocol, exchange.api).api == exchange.api:
        return named
    return APIS[exchange.api]


def folder() -> Path | None:
    """Where the recordings are; None: nowhere."""
    named = os.environ.get("TURNOUT_TRAFFIC")
    found = Path(named) if named else ROOT.parent / "shared" / "traffic"
    return found if found.is_dir() else None


def exchanges(provider: str) -> Iterator[Exchange]:
    """The chat exchanges of one provider's file."""
    return (e for e in _all(provider) if e.api in APIS)


def failures(provider: str) -> Iterator[Exchange]:
    """The exchanges of one provider's file, of whatever API, that have no success status."""
    return (e for e in _all(provider) if e.status >= 300)


def operations(provider: str, *apis: str) -> Iterator[Exchange]:
    """The exchanges of one provider's file of APIs that are not chat, and went well."""
    return (e for e in _all(provider) if e.api in apis and e.status == 200)


def _all(provider: str) -> Iterator[Exchange]:
    where = folder()
    assert where is not None, "no recordings: set TURNOUT_TRAFFIC"
    packed, plain = where / f"{provider}.jsonl.gz", where / f"{provider}.jsonl"
    text = gzip.decompress(packed.read_bytes()).decode() if packed.exists() else plain.read_text(encoding="utf-8")
    for line in text.splitlines():
        yield _exchange(json.loads(line))


def _api(row: dict[str, Any]) -> str:
    api: str = row["api"]
    if row["provider"] == "cohere" and row["request"]["url"].endswith("/v2/chat"):
        return "cohere"
    if api == "converse-stream":
        return "converse"
    return "chat.completions" if (row["provider"], api) == ("writer", "chat") else api


def _exchange(row: dict[str, Any]) -> Exchange:
    answer = row["response"]
    if "body" in answer:
        body = json.dumps(answer["body"], ensure_ascii=False).encode()
    elif "text" in answer:
        body = answer["text"].encode()
    else:
        body = base64.b64decode(answer.get("base64", ""))
    return Exchange(
        id=row["id"],
        provider=row["provider"],
        api=_api(row),
        stream=row.get("stream_format") in {"sse", "eventstream"},
        body=body,
        status=answer["status"],
        headers={k.lower(): str(v) for k, v in (answer.get("headers") or {}).items()},
        request=row["request"],
    )
