"""A stream that breaks, of a request that its provider takes and nobody here can read: told truthfully, never a crash."""

from __future__ import annotations

import json
from contextlib import aclosing
from typing import Any

import pytest

from services.core.errors import Failure, FailureKind
from services.dataplane.dialects.registry import dialect_of
from services.dataplane.engine import Call
from tests.support.asking import asked_headers, question
from tests.support.inprocess import KEY
from tests.support.upstream import anthropic_events, openai_events
from tests.unit.dataplane.fakes import Answer, FakeTransport, Rig, provider, rig, router

CUT = Failure(FailureKind.DISCONNECTED, "cut")
STREAM = {"content-type": "text/event-stream"}
RESPONSES = [
    {"type": "response.created", "response": {"id": "r", "status": "in_progress", "output": []}},
    {"type": "response.output_item.added", "output_index": 0, "item": {"type": "message", "id": "m", "content": []}},
    {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "item_id": "m", "delta": "Hel"},
]
CHUNK = {"candidates": [{"content": {"role": "model", "parts": [{"text": "Hel"}]}, "index": 0}]}


def events(*values: dict[str, Any]) -> list[bytes]:
    return [f"event: {v.get('type', 'message')}\ndata: {json.dumps(v)}\n\n".encode() for v in values]


BEGUN = {
    "chat.completions": ("openai", openai_events("Hel")[:2], {"temperature": "hot"}),
    "messages": ("anthropic", anthropic_events("Hel")[:3], {"temperature": "hot"}),
    "responses": ("openai", events(*RESPONSES), {"temperature": "hot"}),
    "generateContent": ("google", events(CHUNK), {"generationConfig": {"temperature": "hot"}}),
}
"""By API: the provider that speaks it, the begin of a stream, and a field that only the provider takes."""


async def broken(api: str, **rules: Any) -> tuple[Rig, bytes]:
    """A stream that breaks after its first text, with a target of another protocol behind it."""
    kind, begun, unreadable = BEGUN[api]
    other = "openai" if kind == "anthropic" else "anthropic"
    forms = [provider("one", kind), provider("two", other), router("one/m", "two/n", **rules)]
    found = rig(FakeTransport(one=[Answer(200, list(begun), STREAM, CUT)], two=[CUT]), *forms)
    headers = {"authorization": f"Bearer {KEY}", "x-turnout-restart": "allow"}
    body = question(api, "inworld/r", stream=True, **unreadable)
    call = Call(json.dumps(body).encode(), {**headers, **asked_headers(api, "inworld/r", stream=True)})
    async with aclosing(found.engine.stream(dialect_of(api), call)) as replies:
        data = b"".join([reply.data async for reply in replies])
    return found, data


@pytest.mark.parametrize("recovery", ["verified_resume", "continue"])
@pytest.mark.parametrize("api", BEGUN)
async def test_what_cannot_be_read_cannot_be_mended_and_ends_in_an_error(api: str, recovery: str) -> None:
    found, data = await broken(api, recovery=recovery)
    assert b"Hel" in data
    assert b'"error"' in data
    assert found.transport.hosts == ["one"]
    assert [(t.outcome, [a.failure for a in t.attempts]) for t in found.trails] == [("broken", [CUT])]


@pytest.mark.parametrize("api", BEGUN)
async def test_a_restart_that_has_no_translation_ends_in_an_error(api: str) -> None:
    found, data = await broken(api, recovery="restart", retry={"max_retries": 0})
    assert b"Hel" in data
    assert b'"error"' in data
    assert b"hot" not in data
    (trail,) = found.trails
    kinds = [a.failure.kind for a in trail.attempts if a.failure]
    assert (trail.outcome, kinds) == ("broken", [FailureKind.DISCONNECTED, FailureKind.INVALID_REQUEST])
