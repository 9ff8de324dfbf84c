"""What is sent to Google is what its own descriptions of its APIs know: pinned requests, and recorded ones of others.

Every request that other projects' tests sent to OpenAI's and Anthropic's APIs is read by its dialect, and encoded
for models of several generations at AI Studio and at Vertex AI: it is refused, or it is valid.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from services.core.errors import InvalidRequest
from services.core.policy.provider_types import base_url_of, protocol_of
from services.core.policy.rules import ClockRule
from services.core.policy.snapshot import CompiledProvider, Target
from services.core.routing.plan import Candidate
from services.dataplane.dialects.registry import dialect_of
from services.dataplane.translation import Untranslatable
from tests.replay import specs, traffic

GOLDEN = Path(__file__).parents[1] / "golden" / "translation" / "requests"
MODELS = ("gemini-2.0-flash", "gemini-2.5-pro", "gemini-3-flash-preview", "gemini-3.8-flash")
KINDS = ("google", "vertex")
described = pytest.mark.skipif(specs.folder() is None, reason="no specifications: set TURNOUT_SPECS")
recorded = pytest.mark.skipif(traffic.folder() is None, reason="no recordings: set TURNOUT_TRAFFIC")


def _problems(kind: str, body: Any) -> list[str]:
    return list(specs.vertex_problems(body) if kind == "vertex" else specs.gemini_problems(body))


def _pinned() -> list[Path]:
    """What we wrote; the requests of Google's own callers pass in their own spelling."""
    found = [p for kind in KINDS for p in sorted(GOLDEN.glob(f"*/*.{kind}*.json"))]
    return [p for p in found if "claude" not in p.name and p.parent.name != "contents"]


@described
@pytest.mark.parametrize(
    "path", _pinned(),
    ids=lambda p: f"{p.parent.name}-{p.name}",
)  # fmt: skip
def test_pinned_requests_are_what_google_describes(path: Path) -> None:
    told = json.loads(path.read_text(encoding="utf-8"))
    kind = path.name.split(".")[-2].partition("_")[0]
    assert "untranslatable" in told or _problems(kind, told["upstream"]["body"]) == []


@described
@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"contents": [{"parts": [{"txt": "x"}]}]}, "txt"),
        ({"contents": {"parts": []}}, "contents"),
        ({"generationConfig": {"seed": "1"}}, "seed"),
        ({"toolConfig": {"functionCallingConfig": {"mode": "SOMETIMES"}}}, "mode"),
    ],
    ids=["field", "list", "number", "word"],
)
def test_the_judges_see_what_is_wrong(body: Any, told: str) -> None:
    for kind in KINDS:
        (problem,) = _problems(kind, body)
        assert told in problem


def _requests(provider: str, api: str) -> Iterator[bytes]:
    where = traffic.folder()
    assert where is not None
    for line in gzip.decompress((where / f"{provider}.jsonl.gz").read_bytes()).decode().splitlines():
        row = json.loads(line)
        if row["api"] == api and isinstance(row["request"].get("body"), dict):
            yield json.dumps({**row["request"]["body"], "model": "g/m"}).encode()


def _candidate(kind: str, model: str) -> Candidate:
    base_url = base_url_of(kind) or "https://aiplatform.googleapis.com/v1/projects/p/locations/global"
    provider = CompiledProvider("g", kind, base_url, protocol=protocol_of(kind))
    return Candidate(Target("g/m", provider, model), ClockRule())


@described
@recorded
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("provider", "api"), [("openai", "chat.completions"), ("anthropic", "messages")])
def test_recorded_requests_of_others_are_refused_or_valid_at_google(provider: str, api: str, kind: str) -> None:
    sent = refused = 0
    for number, body in enumerate(_requests(provider, api)):
        candidate = _candidate(kind, MODELS[number % len(MODELS)])
        try:
            upstream = dialect_of(api).read(body, {}).translate(candidate).request("key")
        except (Untranslatable, InvalidRequest):
            refused += 1
            continue
        sent += 1
        assert _problems(kind, json.loads(upstream.body)) == [], body[:500]
    assert sent > 4 * refused, (sent, refused)
