"""Whatever stands in one place of a provider's answer: it is read or called a failure, and never a crash."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from services.core.errors import ChainFailed, Failure
from services.dataplane.codec import ProviderCodec
from services.dataplane.exchange import ChatAnswer, Failed
from services.dataplane.providers.registry import codec_of
from tests.golden.translation.harness import APIS, EVIDENCE, feed_all, told_request, translation_for, wire_stream
from tests.property.odd import ODD, Way, places, replaced, shape

GOLDEN = Path(__file__).parents[1] / "golden" / "translation" / "answers"
SIDES = sorted(folder.name for folder in GOLDEN.iterdir())

WRITERS = tuple(APIS)
"""Who asked; in turn, so that each place is seen by all of them with some value."""


def codec(side: str) -> ProviderCodec:
    return codec_of("openai", "responses") if side == "responses" else codec_of(side)


def mutations(side: str, part: str) -> Iterator[Any]:
    """Every answer that is one odd value away from a golden one, but for those whose places are read alike."""
    seen: set[Way] = set()
    for path_to in sorted((GOLDEN / side).glob("*.in.json")):
        whole = json.loads(path_to.read_text(encoding="utf-8")).get(part)
        for path in places(whole):
            key = shape(whole, path)
            if key in seen or not framed(whole, path, part):
                continue
            seen.add(key)
            for odd in ODD:
                yield replaced(whole, path, odd)


def framed(whole: Any, path: Way, part: str) -> bool:
    """Whether the frame of an event stays: it is no JSON of the provider's."""
    if part == "answer":
        return True
    return isinstance(whole[path[0]], dict) and len(path) > (2 if "exception" in whole[path[0]] else 1)


@pytest.mark.parametrize("side", SIDES)
def test_no_answer_crashes_its_codec(side: str) -> None:
    for answer in mutations(side, "answer"):
        assert isinstance(codec(side).decode(json.dumps(answer).encode()), ChatAnswer | Failure), answer


@pytest.mark.parametrize("side", SIDES)
def test_no_stream_crashes_its_codec(side: str) -> None:
    for stream in mutations(side, "stream"):
        decoder = codec(side).decoder()
        events = [*decoder.feed(wire_stream(side, stream)), *decoder.end()]
        assert not any(isinstance(event, Failed) for event in events[:-1]), stream


@pytest.mark.parametrize("side", SIDES)
def test_no_answer_crashes_what_writes_it_for_callers(side: str) -> None:
    for index, answer in enumerate(mutations(side, "answer")):
        translation = translation_for(WRITERS[index % len(WRITERS)], side, {"answer": answer})
        if translation.answer(json.dumps(answer).encode()) is None:
            assert translation.render(EVIDENCE), answer


@pytest.mark.parametrize("side", SIDES)
def test_no_stream_crashes_what_writes_it_for_callers(side: str) -> None:
    for index, stream in enumerate(mutations(side, "stream")):
        translation = translation_for(WRITERS[index % len(WRITERS)], side, {"stream": stream})
        found = feed_all(translation, [wire_stream(side, stream)])
        assert found.done is not bool(found.failure), stream
        if found.done:
            assert translation.closing(EVIDENCE), stream
        elif found.content:
            broken = ChainFailed("it broke", failure=found.failure, status=502)
            assert isinstance(translation.broken(broken, EVIDENCE), bytes), stream


@pytest.mark.parametrize("provider", ["anthropic", "bedrock", "cohere", "google", "mistral", "openai", "responses"])
@pytest.mark.parametrize("odd", [True, -1, "odd", ["odd"], {"ttl": 5}, {"odd": 1}])
def test_a_mark_for_the_cache_that_is_none_crashes_no_request(provider: str, odd: Any) -> None:
    part = {"type": "text", "text": "hi", "cache_control": odd}
    body = {"model": "provider/model", "max_tokens": 9, "messages": [{"role": "user", "content": [part]}]}
    for api in ("chat", "messages"):
        assert told_request(api, provider, {"request": body}).keys() & {"upstream", "invalid"}
