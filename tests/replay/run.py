"""Replays one exchange: recorded answer in, caller's answer out."""

from __future__ import annotations

import json
from typing import Any

from services.core.policy.documents import Prices
from services.core.policy.rules import ClockRule
from services.core.policy.snapshot import CompiledProvider, Target
from services.core.routing.plan import Candidate
from services.dataplane.dialects.registry import dialect_of
from services.dataplane.providers.anthropic_wire import FINISH_REASONS
from services.dataplane.translation import Evidence, Translation
from tests.replay.reading import Read, read_anthropic, read_openai
from tests.replay.traffic import APIS, Exchange

EVIDENCE = Evidence({"attempts": []}, 0.5, "rec/model", "generation")
READERS = {"chat.completions": read_openai, "messages": read_anthropic}


def translation_of(exchange: Exchange, inbound_api: str) -> Translation:
    """A translation as a caller of `inbound_api` would get it, towards the exchange's provider."""
    provider = CompiledProvider("rec", APIS[exchange.api], "http://127.0.0.1:1")
    target = Target("rec/model", provider, "model", prices=Prices(1.0, 2.0))
    body: dict[str, Any] = {
        "model": "rec/model",
        "messages": [{"role": "user", "content": "x"}],
        "stream": exchange.stream,
    }
    if inbound_api == "messages":
        body["max_tokens"] = 10
    elif exchange.stream:
        body["stream_options"] = {"include_usage": True}
    inbound = dialect_of(inbound_api).read(json.dumps(body).encode(), {})
    return inbound.translate(Candidate(target, ClockRule()))


def replay(exchange: Exchange, inbound_api: str, pieces: list[bytes] | None = None) -> bytes:
    """The caller's bytes; raises AssertionError with the failure when the answer was not accepted."""
    translation = translation_of(exchange, inbound_api)
    if not exchange.stream:
        failure = translation.answer(exchange.body)
        assert failure is None, failure
        return translation.render(EVIDENCE)
    out, done = b"", False
    for piece in [*(pieces or [exchange.body]), b""]:
        if done:
            break
        progress = translation.feed(piece) if piece else translation.end()
        assert progress.failure is None, progress.failure
        out += progress.frames
        done = progress.done
    assert done, "no terminal event"
    return out + translation.closing(EVIDENCE)


def recorded(exchange: Exchange) -> Read:
    """What a client reads from the recording itself."""
    return READERS[exchange.api](exchange.body, stream=exchange.stream)


def served(exchange: Exchange, inbound_api: str) -> Read:
    """What a client of `inbound_api` reads from us."""
    return READERS[inbound_api](replay(exchange, inbound_api), stream=exchange.stream)


def crossed(read: Read, inbound_api: str) -> Read:
    """A reading of one dialect in the other one's words, as far as both can say it."""
    finish, usage = read["finish"], read["usage"] or {}
    if inbound_api == "chat.completions":
        finish = FINISH_REASONS.get(finish, "stop")
        cached = usage.get("cache_read_input_tokens", 0) + usage.get("cache_creation_input_tokens", 0)
        tokens = (usage.get("input_tokens", 0) + cached, usage.get("output_tokens", 0))
    else:
        tokens = (usage.get("prompt_tokens", 0), usage.get("completion_tokens", 0))
    return {
        "text": read["text"],
        "calls": [(n, _json(a)) for n, a in read["calls"]],
        "finish": finish,
        "tokens": tokens,
    }


def compared(read: Read, inbound_api: str) -> Read:
    """Our answer in the same form."""
    usage = read["usage"] or {}
    if inbound_api == "chat.completions":
        tokens = (usage.get("prompt_tokens", 0), usage.get("completion_tokens", 0))
        finish = read["finish"]
    else:
        cached = usage.get("cache_read_input_tokens", 0) + usage.get("cache_creation_input_tokens", 0)
        tokens = (usage.get("input_tokens", 0) + cached, usage.get("output_tokens", 0))
        finish = FINISH_REASONS.get(read["finish"], "stop")
    return {
        "text": read["text"],
        "calls": [(n, _json(a)) for n, a in read["calls"]],
        "finish": finish,
        "tokens": tokens,
    }


def _json(text: str) -> Any:
    try:
        return json.loads(text or "{}")
    except ValueError:
        return text
