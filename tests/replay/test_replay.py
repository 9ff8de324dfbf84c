"""Recorded answers survive the router; streams survive any cut; a stream that is cut short never passes for whole."""

from __future__ import annotations

import random

import pytest

from services.dataplane.translation import Progress
from tests.replay.report import measure
from tests.replay.run import replay, translation_of
from tests.replay.traffic import Exchange, exchanges, folder
from tests.support.upstream import anthropic_events, openai_events

FLOORS = {
    "openai": (1.0, 1.0),
    "anthropic": (0.99, 0.99),
    "azure": (0.98, 0.75),
    "groq": (0.96, 0.96),
    "mistral": (1.0, 1.0),
    "deepseek": (1.0, 1.0),
    "xai": (1.0, 1.0),
    "openrouter": (0.98, 0.97),
    "ollama": (1.0, 1.0),
    "huggingface": (1.0, 1.0),
    "perplexity": (1.0, 1.0),
    "vercel-gateway": (1.0, 1.0),
    "zai": (1.0, 1.0),
}
"""Measured shares (same dialect, crossing); docs/replay.md says what the rest is."""

recordings = pytest.mark.skipif(folder() is None, reason="no recordings: set TURNOUT_TRAFFIC")


@recordings
@pytest.mark.parametrize("provider", FLOORS)
def test_recorded_answers_read_the_same_through_the_router(provider: str) -> None:
    share = measure(provider)
    same, cross = FLOORS[provider]
    assert share.same >= same * share.total, share.reasons
    assert share.cross >= cross * share.total, share.reasons


OWN = [
    Exchange(
        "own-openai", "own", "chat.completions", True, 200, {}, b"".join(openai_events("Hé", "llo", " 🙂")), {}, "own"
    ),
    Exchange(
        "own-anthropic", "own", "messages", True, 200, {}, b"".join(anthropic_events("Hé", "llo", " 🙂")), {}, "own"
    ),
]


def samples() -> list[Exchange]:
    found = list(OWN)
    if folder() is not None:
        for provider in ("openai", "anthropic", "openrouter"):
            streams = [e for e in exchanges(provider) if e.stream and e.status == 200 and e.provenance == "recording"]
            streams = [e for e in streams if 200 < len(e.body) < 6_000]
            found += streams[:: max(1, len(streams) // 4)][:4]
    return found


@pytest.mark.parametrize("inbound", ["chat.completions", "messages"])
@pytest.mark.parametrize("exchange", samples(), ids=lambda e: e.id)
def test_a_stream_cut_anywhere_into_reads_gives_the_same_bytes(exchange: Exchange, inbound: str) -> None:
    whole = _timeless(replay(exchange, inbound))
    single = [exchange.body[i : i + 1] for i in range(len(exchange.body))]
    assert _timeless(replay(exchange, inbound, single)) == whole
    chance = random.Random(7)
    for _ in range(5):
        cuts = sorted(chance.sample(range(1, len(exchange.body)), 10))
        pieces = [exchange.body[a:b] for a, b in zip([0, *cuts], [*cuts, len(exchange.body)], strict=True)]
        assert _timeless(replay(exchange, inbound, pieces)) == whole
    endings = exchange.body.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    assert _timeless(replay(exchange, inbound, [endings])) == whole


def _timeless(answer: bytes) -> bytes:
    import re

    return re.sub(rb'"created":\d+', b'"created":0', answer).replace(b"\r\n", b"\n")


@pytest.mark.parametrize("inbound", ["chat.completions", "messages"])
@pytest.mark.parametrize("exchange", samples(), ids=lambda e: e.id)
def test_a_stream_cut_short_at_any_byte_never_passes_for_whole(exchange: Exchange, inbound: str) -> None:
    terminal = b"[DONE]" if exchange.api == "chat.completions" else b"message_stop"
    end = exchange.body.rfind(terminal)
    finish = exchange.body.find(b'"finish_reason":"') if exchange.api == "chat.completions" else end
    finish = finish if finish >= 0 else exchange.body.find(b'"finish_reason": "')
    # A server that leaves [DONE] out is whole after its finish reason; every byte before that is a cut.
    limit = min(x for x in (end, finish) if x >= 0)
    for size in range(0, limit, max(1, limit // 400)):
        translation = translation_of(exchange, inbound)
        progress = translation.feed(exchange.body[:size]) if size else Progress()
        if progress.failure is None and not progress.done:
            progress = translation.end()
        assert not progress.done, size
        assert progress.failure is not None, size
