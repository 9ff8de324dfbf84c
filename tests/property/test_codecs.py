"""Whatever stands in one place of a provider's answer: it is read or called a failure, and never a crash."""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from services.core.errors import Failure
from services.dataplane.codec import ProviderCodec
from services.dataplane.exchange import ChatAnswer, Failed
from services.dataplane.providers.registry import codec_of
from tests.golden.translation.harness import told_request, wire_stream

GOLDEN = Path(__file__).parents[1] / "golden" / "translation" / "answers"
SIDES = sorted(folder.name for folder in GOLDEN.iterdir())

ODD: tuple[Any, ...] = (
    None,
    True,
    -1,
    0.5,
    2**70,
    10**400,
    1e300,
    "",
    "7",
    "nan",
    "inf",
    "odd",
    "$['']",
    f"$.a[{'9' * 5000}]",
    "data:,",
    "doc:999999",
    "é\U0001f642",
    [],
    [None],
    [5],
    [["odd"]],
    [{}],
    [{"text": 5, "type": ["odd"], "thinking": [{"text": 5}]}],
    {},
    {"odd": 1, "text": 5, "type": ["odd"]},
)
"""What may stand in the place of anything else, all of it JSON."""

Way = tuple[Any, ...]


def codec(side: str) -> ProviderCodec:
    return codec_of("openai", "responses") if side == "responses" else codec_of(side)


def places(value: Any, path: Way = ()) -> Iterator[Way]:
    if path:
        yield path
    for name, inner in (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    ):
        yield from places(inner, (*path, name))


def shape(value: Any, path: Way) -> Way:
    """What tells a place from one that is read by the same lines: the names on the way, and the types of what they are in."""
    steps: list[Any] = []
    for step in path:
        kind = value.get("type") if isinstance(value, dict) else None
        steps += [str(kind), None if isinstance(step, int) else step]
        value = value[step]
    return (*steps, type(value).__name__)


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


def replaced(whole: Any, path: Way, odd: Any) -> Any:
    copy = deepcopy(whole)
    inner = copy
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = odd
    return copy


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


@pytest.mark.parametrize("provider", ["anthropic", "bedrock", "cohere", "google", "mistral", "openai", "responses"])
@pytest.mark.parametrize("odd", [True, -1, "odd", ["odd"], {"ttl": 5}, {"odd": 1}])
def test_a_mark_for_the_cache_that_is_none_crashes_no_request(provider: str, odd: Any) -> None:
    part = {"type": "text", "text": "hi", "cache_control": odd}
    body = {"model": "provider/model", "max_tokens": 9, "messages": [{"role": "user", "content": [part]}]}
    for api in ("chat", "messages"):
        assert told_request(api, provider, {"request": body}).keys() & {"upstream", "invalid"}
