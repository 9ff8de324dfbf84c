"""Gemini's recordings: typed callers read them too, and every source that an answer names reaches the caller."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from services.core.errors import Failure
from services.dataplane.exchange import Citation, CitationDelta, Text
from services.dataplane.providers.google import GoogleCodec
from tests.replay.corpus import OWN
from tests.replay.exceptions import UNEQUAL
from tests.replay.measure import difference, recorded_of
from tests.replay.reading import read
from tests.replay.run import TYPED, replay
from tests.replay.said_google import candidates_of, chunks_of, text_of
from tests.replay.traffic import Exchange, exchanges, folder

recordings = pytest.mark.skipif(folder() is None, reason="no recordings: set TURNOUT_TRAFFIC")
APIS = {"generateContent", "streamGenerateContent"}


def _recorded(provider: str) -> list[Exchange]:
    found = [e for e in exchanges(provider) if e.api in APIS and e.status == 200 and e.id not in UNEQUAL]
    assert found
    return found


def test_typed_callers_read_our_own_corpus_the_same() -> None:
    found = [e for e in OWN if e.api in APIS]
    assert found
    assert {e.id: told for e in found if (told := difference(e, TYPED, recorded_of(e))) is not None} == {}


@recordings
@pytest.mark.parametrize("provider", ["gemini", "vertex"])
def test_typed_callers_read_recorded_answers_the_same(provider: str) -> None:
    wrong = {e.id: told for e in _recorded(provider) if (told := difference(e, TYPED, recorded_of(e))) is not None}
    assert wrong == {}


def _named(exchange: Exchange) -> set[tuple[str, str, str]]:
    """(address, title, the words that it supports) of every source that a recording names."""
    chunks = chunks_of(exchange.body)
    found: set[tuple[str, str, str]] = set()
    for candidate in candidates_of(chunks):
        grounding = candidate.get("groundingMetadata") or {}
        sources = grounding.get("groundingChunks") or []
        supported = set()
        for support in grounding.get("groundingSupports") or []:
            for index in (i for i in support["groundingChunkIndices"] if i < len(sources)):
                supported.add(index)
                found |= {(*who, support["segment"]["text"]) for who in _who(sources[index])}
        found |= {(*who, "") for i, source in enumerate(sources) if i not in supported for who in _who(source)}
        metadata = candidate.get("citationMetadata") or {}
        for source in metadata.get("citationSources") or metadata.get("citations") or []:
            data, start, end = text_of(chunks).encode(), source.get("startIndex", 0), source.get("endIndex", 0)
            words = data[start:end].decode("utf-8", "ignore") if end <= len(data) else ""
            found |= {(source["uri"], source.get("title", ""), words)} if source.get("uri") else set()
    return found


def _who(source: dict[str, Any]) -> Iterator[tuple[str, str]]:
    of = source.get("web") or source.get("retrievedContext") or source.get("maps") or {}
    if of.get("uri") or of.get("title"):
        yield of.get("uri", ""), of.get("title", "")


def _citations(exchange: Exchange) -> tuple[str, list[Citation]]:
    """The text of an answer, and what it cites, as the codec reads it."""
    codec = GoogleCodec()
    if exchange.stream:
        decoder = codec.decoder()
        events = [*decoder.feed(exchange.body), *decoder.end()]
        return text_of(chunks_of(exchange.body)), [e.citation for e in events if isinstance(e, CitationDelta)]
    answer = codec.decode(exchange.body)
    assert not isinstance(answer, Failure)
    texts = [p for p in answer.parts if isinstance(p, Text)]
    return "".join(t.text for t in texts), [c for t in texts for c in t.citations]


@recordings
@pytest.mark.parametrize("provider", ["gemini", "vertex"])
def test_every_source_that_a_recording_names_is_cited_at_its_words(provider: str) -> None:
    cited = 0
    for exchange in _recorded(provider):
        text, found = _citations(exchange)
        words = {(c.url, c.title, text[c.start or 0 : c.end or 0]) for c in found}
        named = _named(exchange)
        # A recitation is named while its words still come: what it points to behind them is nowhere yet.
        late = {(url, title) for url, title, _ in named - words}
        assert {(url, title) for url, title, told in words - named if told} == set(), exchange.id
        assert late <= {(url, title) for url, title, told in words if not told}, exchange.id
        assert {w[:2] for w in words} == {n[:2] for n in named}, exchange.id
        cited += len(named)
    assert cited > 10


@recordings
def test_sources_reach_callers_of_every_dialect_with_citations() -> None:
    found = [e for e in _recorded("gemini") if _named(e)]
    assert found
    for exchange in found:
        _, citations = _citations(exchange)
        told = json.dumps(read("chat.completions", replay(exchange, "chat.completions"), stream=exchange.stream).whole)
        assert all(json.dumps(c.url or c.title)[1:-1] in told for c in citations), exchange.id
