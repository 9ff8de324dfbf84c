"""Streams survive any cut into reads; a stream that is cut short never passes for whole."""

from __future__ import annotations

import random
import re

import pytest

from services.dataplane.translation import Progress
from tests.replay.corpus import OWN
from tests.replay.exceptions import UNEQUAL
from tests.replay.run import CALLERS, replay, translation_of
from tests.replay.traffic import Exchange, exchanges, folder

CUTS = 5
TERMINALS = (
    b"[DONE]",
    b'"message-end"',
    b"message_stop",
    b"event: response.completed",
    b'"type":"response.completed"',
    b'"finish_reason":"',
    b'"finish_reason": "',
    b'"finishReason":',
)


def _samples() -> list[Exchange]:
    found = [exchange for exchange in OWN if exchange.stream]
    if folder() is not None:
        for provider in ("openai", "anthropic", "openrouter", "azure", "mistral", "cohere", "gemini", "vertex"):
            streams = [e for e in exchanges(provider) if e.stream and e.status == 200 and e.id not in UNEQUAL]
            streams = [e for e in streams if 200 < len(e.body) < 6_000]
            found += streams[:: max(1, len(streams) // 4)][:4]
    return found


SAMPLES = _samples()


@pytest.mark.parametrize("inbound", CALLERS)
@pytest.mark.parametrize("exchange", SAMPLES, ids=lambda e: e.id)
def test_a_stream_cut_anywhere_into_reads_gives_the_same_bytes(exchange: Exchange, inbound: str) -> None:
    body = exchange.body
    whole = _timeless(replay(exchange, inbound))
    assert _timeless(replay(exchange, inbound, [body[i : i + 1] for i in range(len(body))])) == whole
    chance = random.Random(7)
    for _ in range(CUTS):
        cuts = sorted(chance.sample(range(1, len(body)), 10))
        pieces = [body[a:b] for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True)]
        assert _timeless(replay(exchange, inbound, pieces)) == whole
    plain = body.replace(b"\r\n", b"\n")
    for end in (b"\n", b"\r", b"\r\n"):
        assert _timeless(replay(exchange, inbound, [plain.replace(b"\n", end)])) == whole


EVENT_STREAM_TERMINAL = b"messageStop"


def _event_streams() -> list[Exchange]:
    if folder() is None:
        return []
    streams = [e for e in exchanges("bedrock") if e.api == "converse" and e.id not in UNEQUAL and e.stream]
    streams = sorted((e for e in streams if e.status == 200), key=lambda e: len(e.body))
    return streams[:: max(1, len(streams) // 8)][:8]


@pytest.mark.parametrize("exchange", _event_streams(), ids=lambda e: e.id)
def test_an_event_stream_is_read_alike_however_it_is_cut(exchange: Exchange) -> None:
    body = exchange.body
    whole = _timeless(replay(exchange, "chat.completions"))
    assert _timeless(replay(exchange, "chat.completions", [body[i : i + 1] for i in range(len(body))])) == whole
    for at in range(1, len(body), max(1, len(body) // 500)):
        assert _timeless(replay(exchange, "chat.completions", [body[:at], body[at:]])) == whole


@pytest.mark.parametrize("exchange", _event_streams()[:3], ids=lambda e: e.id)
def test_an_event_stream_that_is_cut_short_at_any_byte_never_passes_for_whole(exchange: Exchange) -> None:
    end = exchange.body.index(EVENT_STREAM_TERMINAL)
    for size in range(end):
        translation = translation_of(exchange, "messages")
        progress = translation.feed(exchange.body[:size]) if size else Progress()
        if progress.failure is None:
            progress = translation.end()
        assert progress.failure is not None, size
        assert not progress.done, size


def _timeless(answer: bytes) -> bytes:
    answer = re.sub(rb'"created(_at)?":\d+', b'"created":0', answer)
    return answer.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


@pytest.mark.parametrize("inbound", CALLERS)
@pytest.mark.parametrize("exchange", SAMPLES, ids=lambda e: e.id)
def test_a_stream_cut_short_at_any_byte_never_passes_for_whole(exchange: Exchange, inbound: str) -> None:
    # A server that leaves [DONE] out is whole after its finish reason; every byte before that is a cut.
    limit = min(at for at in (exchange.body.find(t) for t in TERMINALS) if at >= 0)
    for size in range(0, limit, max(1, limit // 400)):
        translation = translation_of(exchange, inbound)
        progress = translation.feed(exchange.body[:size]) if size else Progress()
        if progress.failure is None and not progress.done:
            progress = translation.end()
        assert not progress.done, size
        assert progress.failure is not None, size
