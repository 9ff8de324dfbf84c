"""What every dialect needs to mend a broken answer: the request that goes on, and the translation behind it."""

from __future__ import annotations

from collections.abc import Mapping

from services.core.attempts.effects import Kind
from services.core.errors import InvalidRequest
from services.core.routing.plan import Candidate
from services.core.values import changed
from services.dataplane.codec import AnswerWriter, ProviderCodec
from services.dataplane.exchange import ChatRequest, Message, Text
from services.dataplane.splice import Continuation, Resumption
from services.dataplane.translate import CrossTranslation
from services.dataplane.translation import Emitted, InboundRequest, Untranslatable, tokens_of

RESTART_HEADER = "x-turnout-restart"


def asks_restart(headers: Mapping[str, str]) -> bool:
    """Whether the caller understands a restart of its stream."""
    return headers.get(RESTART_HEADER, "").lower() == "allow"


def is_mendable(request: ChatRequest) -> bool:
    """Whether a broken answer to `request` may be continued or resumed: only where it is plain text.

    Tools that the model may call are no obstacle as long as it called none; a call that it must make is. So are
    sources and log probabilities, whose places a second answer would not share.
    """
    forced = request.tool_choice == "required" or request.tool_choice.startswith("tool:")
    kind = (request.response_format or {}).get("type", "text")
    more = request.logprobs or request.modalities or request.web_search is not None
    return not forced and kind == "text" and not more


def may_be_mended(inbound: InboundRequest) -> bool:
    """Whether a broken answer to `inbound` may be continued or resumed.

    Its provider may have taken what has no reading here; then there is nothing that could be sent to anybody else.
    """
    try:
        return inbound.mendable()
    except (InvalidRequest, Untranslatable):
        return False


def mended(
    codec: ProviderCodec,
    candidate: Candidate,
    request: ChatRequest,
    writer: AnswerWriter,
    inbound: Mapping[str, str],
    *,
    kind: Kind,
    emitted: Emitted,
) -> CrossTranslation:
    """A translation whose frames come behind what the caller has."""
    writer.carry_on(emitted)
    if kind is Kind.CONTINUE:
        return CrossTranslation(
            codec, candidate, _going_on(request, emitted), writer, inbound, Continuation(emitted.text)
        )
    return CrossTranslation(codec, candidate, request, writer, inbound, Resumption(emitted.text))


def _going_on(request: ChatRequest, emitted: Emitted) -> ChatRequest:
    """`request` with the text so far as the beginning of the answer, and what is left of its tokens.

    White space at the end is not sent: providers refuse it.
    """
    begun = Message("assistant", (Text(emitted.text.rstrip()),))
    left = request.max_tokens
    if left is not None:
        left = max(1, left - tokens_of(len(emitted.text)))
    return changed(request, messages=(*request.messages, begun), max_tokens=left)
