"""Replays one exchange: recorded answer in, caller's answer out."""

from __future__ import annotations

import json
from collections.abc import Sequence

from turnout.inference.v1 import chat_pb2

from services.core.errors import Failure
from services.core.policy.documents import Prices
from services.core.policy.provider_types import protocol_of
from services.core.policy.rules import ClockRule
from services.core.policy.snapshot import CompiledProvider, Target
from services.core.routing.plan import Candidate
from services.dataplane.dialects.registry import dialect_of
from services.dataplane.translation import STREAM_HEADER, Evidence, Translation
from tests.replay.traffic import Exchange, type_of
from tests.support.asking import asked_headers, question

EVIDENCE = Evidence({"attempts": []}, 0.5, "rec/model", "generation")
TYPED = "typed"
CALLERS = ("chat.completions", "messages", "responses")
"""The dialects of callers."""


def dialects_of(exchange: Exchange) -> tuple[str, tuple[str, ...]]:
    """The dialect that is the exchange's own, or the first one, and those that are across."""
    own = exchange.api if exchange.api in CALLERS else CALLERS[0]
    return own, tuple(other for other in CALLERS if other != own)


class Refused(Exception):
    """The answer was not accepted; `frames` is what the caller had been sent."""

    def __init__(self, failure: Failure, frames: bytes = b"") -> None:
        super().__init__(failure.message)
        self.failure = failure
        self.frames = frames


def translation_of(exchange: Exchange, inbound: str) -> Translation:
    """A translation as a caller of `inbound` would get it, towards the exchange's provider."""
    candidate = Candidate(target_of(exchange), ClockRule())
    if inbound == TYPED:
        typed = chat_pb2.ChatRequest(model="rec/model", messages=[chat_pb2.Message(role="user", parts=[{"text": "x"}])])
        headers = {STREAM_HEADER: "true" if exchange.stream else "false"}
        return dialect_of(inbound).read(typed.SerializeToString(), headers).translate(candidate)
    body = question(inbound, "rec/model", stream=exchange.stream)
    if exchange.stream and inbound == "chat.completions":
        body["stream_options"] = {"include_usage": True}
    headers = asked_headers(inbound, "rec/model", stream=exchange.stream)
    request = dialect_of(inbound).read(json.dumps(body).encode(), headers)
    return request.translate(candidate)


def target_of(exchange: Exchange) -> Target:
    """A model at a provider that speaks as the exchange's provider does."""
    kind = type_of(exchange)
    # At Vertex AI the model says which protocol it is.
    model = "claude" if exchange.api == "messages" else "gemini" if kind in {"google", "vertex"} else "model"
    base_url = "http://127.0.0.1:1/v1/projects/p/locations/l"
    provider = CompiledProvider("rec", kind, base_url, protocol=protocol_of(kind))
    return Target("rec/model", provider, model, prices=Prices(1.0, 2.0), api=exchange.api)


def replay(exchange: Exchange, inbound: str, pieces: Sequence[bytes] | None = None) -> bytes:
    """The caller's bytes.

    Raises:
        Refused: The answer was not accepted.
    """
    translation = translation_of(exchange, inbound)
    if not exchange.stream:
        failure = translation.answer(exchange.body)
        if failure is not None:
            raise Refused(failure)
        return translation.render(EVIDENCE)
    out = b""
    for piece in [*(pieces or [exchange.body]), b""]:
        progress = translation.feed(piece) if piece else translation.end()
        out += progress.frames
        if progress.failure is not None:
            raise Refused(progress.failure, out)
        if progress.done:
            return out + translation.closing(EVIDENCE)
    raise AssertionError("neither a terminal event nor a failure")
