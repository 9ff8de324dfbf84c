"""Recorded errors: the kind that the codec finds, and the class that the caller's SDK raises, there and here."""

from __future__ import annotations

from dataclasses import dataclass, replace

import anthropic
import openai

from services.core.attempts.verdicts import caller_status
from services.core.errors import ChainFailed, Failure, FailureKind
from services.dataplane.dialects.registry import dialect_of
from services.dataplane.providers.registry import codec_for
from tests.replay.run import EVIDENCE, Refused, dialects_of, replay, target_of, translation_of
from tests.replay.sdk import raised, raised_in_stream
from tests.replay.traffic import FAMILIES, Exchange

_SDKS = {"chat.completions": openai, "responses": openai, "messages": anthropic}
_OUR_KEY = {FailureKind.CREDENTIALS_REJECTED, FailureKind.QUOTA_EXHAUSTED}


@dataclass(frozen=True, slots=True)
class Judged:
    """One recorded error.

    Attributes:
        recorded: What the SDK raises for the recording itself (of a protocol without an SDK here: what OpenAI's
            raises for it); None: nothing.
        raised: What it raises for our answer, when this error ends the chain.
        expected: What it should raise.
    """

    failure: Failure
    recorded: type[Exception] | None
    raised: type[Exception] | None
    expected: type[Exception] | None


def judge(exchange: Exchange) -> Judged:
    """Classify a recorded error of an API whose family is replayed."""
    family = FAMILIES[exchange.api]
    api = family if family in _SDKS else "chat.completions"
    codec = codec_for(target_of(replace(exchange, api=family)), family)
    failure = codec.classify(exchange.status, exchange.headers, exchange.body)
    recorded = raised(api, exchange.body, exchange.status, exchange.headers)
    status, body = dialect_of(api).error(_chain_failed(failure), EVIDENCE)
    return Judged(failure, recorded, raised(api, body, status), _expected(api, failure, recorded))


def _expected(api: str, failure: Failure, recorded: type[Exception] | None) -> type[Exception] | None:
    """The class of the recording, but for what is ours to bear (the key), ours to name (the model), and the provider's."""
    sdk = _SDKS[api]
    if failure.kind in _OUR_KEY or failure.kind is FailureKind.SERVER_ERROR:
        # Groq calls it the caller's mistake when its model writes an impossible tool call.
        return sdk.InternalServerError
    return sdk.NotFoundError if failure.kind is FailureKind.MODEL_MISSING else recorded


def raised_inside(exchange: Exchange) -> tuple[type[Exception] | None, type[Exception] | None]:
    """For a success that is refused: what the SDK raises for the recording, and for what we send instead."""
    own = dialects_of(exchange)[0]
    foreign = own != exchange.api  # there is no SDK of ours for it
    try:
        replay(exchange, own)
    except Refused as refused:
        error = _chain_failed(refused.failure)
        if exchange.stream:
            broken = refused.frames + translation_of(exchange, own).broken(error, EVIDENCE)
            recorded = None if foreign else raised_in_stream(own, exchange.body)
            return recorded, raised_in_stream(own, broken)
        status, body = dialect_of(own).error(error, EVIDENCE)
        recorded = None if foreign else raised(own, exchange.body, exchange.status)
        return recorded, raised(own, body, status)
    raise AssertionError("the exchange was served")


def _chain_failed(failure: Failure) -> ChainFailed:
    return ChainFailed(failure.message, failure=failure, status=caller_status(failure))
