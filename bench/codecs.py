"""What translations cost: each dialect of callers with each protocol of providers, on the inputs of the golden tests.

One event of a stream is a piece of text, the one that streams are made of; it is fed again and again, alone in its
read, as it comes from a provider.
"""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench.processes import ROOT, BenchFailed
from bench.results import Pair
from services.dataplane.providers.registry import codec_for
from services.dataplane.translation import Translation
from tests.golden.translation.harness import (
    APIS,
    CREDENTIAL,
    EVIDENCE,
    candidate,
    translation_for,
    wire_request,
    wire_stream,
)
from tests.golden.translation.harness import dialect as dialect_named

FOLDER = ROOT / "tests" / "golden" / "translation"
TARGETS = {
    "openai": "openai_compatible",  # OpenAI's own models answer callers of its Responses API by that
    **{name: name for name in ("anthropic", "responses", "google", "mistral", "cohere", "bedrock")},
}
"""By codec, the target of the golden tests that speaks its protocol."""
OWN = {"chat": "openai", "messages": "anthropic", "responses": "responses", "contents": "google"}
"""The codec of each dialect's own protocol. The typed API is nobody's protocol but ours."""
REQUEST, ANSWER, STREAM = "tools", "text", "stream_text"
"""Golden cases. Where a provider has no such case, the one that comes closest to it stands in."""
INSTEAD = {("mistral", ANSWER): "thinking", ("mistral", STREAM): "stream_thinking"}


def measured(rounds: int, count: int, say: Callable[[str], None]) -> list[Pair]:
    """Every pair.

    Args:
        count: Requests, answers or events of one round.

    Raises:
        BenchFailed: A translation failed.
    """
    found = []
    for dialect in APIS:
        say(f"codecs: {APIS[dialect]}")
        pairs = [_pair(dialect, codec, rounds, count) for codec in TARGETS]
        own = next((pair.event for pair in pairs if pair.codec == OWN.get(dialect)), None)
        for pair in pairs:
            pair.added = pair.event - own if own is not None and not pair.same else None
        found += pairs
    return found


def _pair(dialect: str, codec: str, rounds: int, count: int) -> Pair:
    api = APIS[dialect]
    same = codec_for(candidate(TARGETS[codec], {}).target, api).api == api
    request = _best(rounds, lambda: _requests(dialect, codec, count))
    answer = _best(rounds, lambda: _answers(dialect, codec, count))
    event = _best(rounds, lambda: _events(dialect, codec, count))
    return Pair(api, codec, request, answer, event, same)


def _best(rounds: int, once: Callable[[], float]) -> float:
    return min(once() for _ in range(rounds))


def _timed(calls: Sequence[Callable[[], object]]) -> float:
    """CPU time of this thread, microseconds per call."""
    gc.collect()
    began = time.thread_time_ns()
    for call in calls:
        call()
    return (time.thread_time_ns() - began) / len(calls) / 1e3


def _requests(dialect: str, codec: str, count: int) -> float:
    read, target = dialect_named(dialect).read, candidate(TARGETS[codec], {})
    body, headers = wire_request(dialect, _case("requests", dialect, REQUEST))
    return _timed([lambda: read(body, headers).translate(target).request(CREDENTIAL)] * count)


def _answers(dialect: str, codec: str, count: int) -> float:
    case = _answer_case(codec, ANSWER)
    body = json.dumps(case["answer"], ensure_ascii=False).encode()

    def answered(translation: Translation) -> None:
        if translation.answer(body) is not None:
            raise BenchFailed(f"{codec} to {dialect}: the answer was not taken")
        translation.render(EVIDENCE)

    translations = [translation_for(dialect, TARGETS[codec], case) for _ in range(count)]
    return _timed([lambda t=t: answered(t) for t in translations])


def _events(dialect: str, codec: str, count: int) -> float:
    case = _answer_case(codec, STREAM)
    pieces = [wire_stream(codec, [event]) for event in case["stream"]]
    probe = translation_for(dialect, TARGETS[codec], case)
    brought = [probe.feed(piece) for piece in pieces]
    last = max(place for place, progress in enumerate(brought) if progress.content and not progress.finished)
    translation, text = translation_for(dialect, TARGETS[codec], case), pieces[last]
    for piece in pieces[:last]:
        translation.feed(piece)
    cost = _timed([lambda: translation.feed(text)] * count)
    progress = translation.feed(text)
    if progress.failure is not None or not progress.frames:
        raise BenchFailed(f"{codec} to {dialect}: the stream brought no frame")
    return cost


def _answer_case(codec: str, name: str) -> Any:
    return _case("answers", codec, INSTEAD.get((codec, name), name))


def _case(part: str, side: str, name: str) -> Any:
    path: Path = FOLDER / part / side / f"{name}.in.json"
    return json.loads(path.read_text(encoding="utf-8"))
