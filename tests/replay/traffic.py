"""Recorded provider traffic, replayed through the translations and read by the official SDKs' types.

The recordings live outside the repository: in the folder that TURNOUT_TRAFFIC
names, or in `../shared/traffic`. A small corpus of our own is always there.
"""

from __future__ import annotations

import base64
import gzip
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PROVIDERS = (
    "openai", "anthropic", "azure", "groq", "mistral", "deepseek", "xai", "openrouter", "ollama", "cerebras",
    "together", "huggingface", "perplexity", "local-openai", "vercel-gateway", "alibaba", "cloudflare", "zai",
    "databricks", "moonshot", "ai21", "crusoe", "snowflake", "writer", "pydantic-gateway", "vertex",
)  # fmt: skip
APIS = {"chat.completions": "openai_compatible", "messages": "anthropic"}


@dataclass(frozen=True, slots=True)
class Exchange:
    """One recorded exchange."""

    id: str
    provider: str
    api: str
    stream: bool
    status: int
    request: dict[str, Any]
    body: bytes
    headers: dict[str, str]
    provenance: str


def folder() -> Path | None:
    """Where the recordings are; None: nowhere."""
    named = os.environ.get("TURNOUT_TRAFFIC")
    found = Path(named) if named else ROOT.parent / "shared" / "traffic"
    return found if found.is_dir() else None


def exchanges(provider: str) -> Iterator[Exchange]:
    """The chat exchanges of one provider's file."""
    where = folder()
    assert where is not None
    packed, plain = where / f"{provider}.jsonl.gz", where / f"{provider}.jsonl"
    text = gzip.decompress(packed.read_bytes()).decode() if packed.exists() else plain.read_text(encoding="utf-8")
    for line in text.splitlines():
        found = _exchange(json.loads(line))
        if found is not None:
            yield found


def _exchange(row: dict[str, Any]) -> Exchange | None:
    if row["api"] not in APIS:
        return None
    answer = row["response"]
    if "body" in answer:
        body = json.dumps(answer["body"], ensure_ascii=False).encode()
    elif "text" in answer:
        body = answer["text"].encode()
    else:
        body = base64.b64decode(answer.get("base64", ""))
    request = (row.get("request") or {}).get("body")
    return Exchange(
        id=row["id"],
        provider=row["provider"],
        api=row["api"],
        stream=row.get("stream_format") == "sse",
        status=answer["status"],
        request=request if isinstance(request, dict) else {},
        body=body,
        headers={k.lower(): str(v) for k, v in (answer.get("headers") or {}).items()},
        provenance=row["provenance"],
    )
