"""Usage blocks of real answers, with what an independent implementation reads from them and what it says they cost.

Looked for beside the repository, or where TURNOUT_USAGE_CASES points; a few of them are in `tests/data` and always run.
"""

from __future__ import annotations

import gzip
import importlib.util
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from services.core.pricing import TokenUsage
from services.dataplane.providers import anthropic_wire, google_wire, openai_wire

ROOT = Path(__file__).resolve().parents[2]
OWN = ROOT / "tests" / "data" / "usage_cases.jsonl"
PRICED_AT = 1_765_800_000.0
"""2025-12-15: when the prices of the cases held, in seconds since the Unix epoch."""

Read = Callable[[Mapping[str, Any]], TokenUsage]


@dataclass(frozen=True)
class Case:
    """One reading of one usage block.

    Attributes:
        flavour: How the independent implementation calls the shape.
        dollars: What it says that it costs, web searches aside.
    """

    id: str
    provider: str
    flavour: str
    model: str
    usage: Mapping[str, Any]
    tokens: Mapping[str, int]
    dollars: float


def path() -> Path | None:
    """Where all of the cases are; None: not on this machine."""
    named = os.environ.get("TURNOUT_USAGE_CASES")
    found = Path(named) if named else ROOT.parent / "shared" / "catalog" / "usage-cost-cases.jsonl.gz"
    return found if found.exists() else None


def cases(source: Path) -> Iterator[Case]:
    """The priced readings of a file of cases."""
    data = source.read_bytes()
    text = (gzip.decompress(data) if source.suffix == ".gz" else data).decode()
    for row in map(json.loads, filter(None, text.split("\n"))):
        usage = row["body"].get("usage") or row["body"].get("usageMetadata")
        for reading in row["extracted"]:
            for found in reading["extractors"]:
                if "input_price" in found:
                    dollars = float(found["input_price"]) + float(found["output_price"])
                    where = (row["id"], found["provider_id"], found["api_flavor"], row["model"])
                    yield Case(*where, usage, reading["usage"], dollars)


def _reader(wire: Any) -> Read:
    decode = msgspec.json.Decoder(wire.WireUsage, strict=False).decode
    return lambda usage: wire.to_usage(decode(msgspec.json.encode(usage)))


def _responses() -> dict[str, Read]:
    """OpenAI's responses, in trees that have their codec."""
    name = "services.dataplane.providers.responses_wire"
    return {"responses": _reader(importlib.import_module(name))} if importlib.util.find_spec(name) else {}


_CHAT, _MESSAGES, _GOOGLE = _reader(openai_wire), _reader(anthropic_wire), _reader(google_wire)
_READERS: Mapping[str, Read] = {"chat": _CHAT, "anthropic": _MESSAGES, **_responses()}
_DEFAULTS: Mapping[str, Read] = {"anthropic": _MESSAGES, "google": _GOOGLE}


def reader_of(case: Case) -> Read | None:
    """What reads a case's usage here; None: no codec speaks that shape."""
    if case.flavour == "default":
        return _DEFAULTS.get(case.provider, _CHAT if "prompt_tokens" in case.usage else None)
    return _READERS.get(case.flavour)
