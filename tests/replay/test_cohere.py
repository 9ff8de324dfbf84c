"""Recorded answers of Cohere's: what they cite is cited at the same words, and what was asked can be asked by us."""

from __future__ import annotations

from typing import Any

import pytest

from services.dataplane.exchange import ChatAnswer, CitationDelta, Text, TextDelta
from services.dataplane.providers.registry import codec_of
from tests.replay.cohere import cohere_answer
from tests.replay.exceptions import UNEQUAL
from tests.replay.traffic import Exchange, exchanges, folder

pytestmark = pytest.mark.skipif(folder() is None, reason="no recordings: set TURNOUT_TRAFFIC")
CODEC = codec_of("cohere")


def answers() -> list[Exchange]:
    found = exchanges("cohere") if folder() is not None else ()
    return [e for e in found if e.status == 200 and e.id not in UNEQUAL]


def said(exchange: Exchange) -> tuple[str, list[Any]]:
    """The text, and the citations in it."""
    if not exchange.stream:
        answer = CODEC.decode(exchange.body)
        assert isinstance(answer, ChatAnswer)
        texts = [p for p in answer.parts if isinstance(p, Text)]
        return "".join(p.text for p in texts), [c for p in texts for c in p.citations]
    events = CODEC.decoder().feed(exchange.body)
    text = "".join(e.text for e in events if isinstance(e, TextDelta))
    return text, [e.citation for e in events if isinstance(e, CitationDelta)]


@pytest.mark.parametrize("exchange", answers(), ids=lambda e: e.id)
def test_every_source_is_cited_at_the_words_that_it_was_cited_at(exchange: Exchange) -> None:
    recorded = cohere_answer(exchange.body, stream=exchange.stream)["message"].get("citations") or []
    text, cited = said(exchange)
    wanted = [(c["text"], s["id"]) for c in recorded for s in c["sources"]]
    found = [(text[c.start : c.end], c.document, c.title) for c in cited]
    assert [words for words, _ in wanted] == [words for words, _, _ in found]
    for (_, source), (_, document, title) in zip(wanted, found, strict=True):
        assert document == (int(source[4:]) if source.startswith(("doc:", "doc-")) else None)
        assert title
