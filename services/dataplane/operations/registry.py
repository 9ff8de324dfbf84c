"""Which code serves which operation at which protocol. Adding one is adding a line."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from services.core.policy.provider_types import (
    ANTHROPIC,
    BEDROCK,
    COHERE,
    GOOGLE,
    INWORLD_TTS,
    MISTRAL,
    VERTEX,
    VERTEX_CLAUDE,
)
from services.core.policy.snapshot import Target
from services.core.routing.plan import Candidate
from services.dataplane.codec import ProviderCodec
from services.dataplane.operations import (
    bedrock,
    cohere,
    count,
    google,
    inworld,
    inworld_transcription,
    inworld_voice,
    mistral,
    openai_like,
    xai,
)
from services.dataplane.operations.call import OperationCall
from services.dataplane.operations.count import COUNT_CONTENTS, COUNT_TOKENS
from services.dataplane.operations.voices import renamed
from services.dataplane.providers.registry import codec_named, codec_of, spoken
from services.dataplane.translation import Translation, Untranslatable

Serve = Callable[[OperationCall, Candidate], Translation]
ServeLike = Callable[[ProviderCodec, OperationCall, Candidate], Translation]


def _with_codec(protocol: str, serve: ServeLike) -> Serve:
    """Served with the address and the authentication of the protocol's chat."""
    return lambda call, candidate: serve(codec_of(protocol), call, candidate)


def _counted_for_claude(call: OperationCall, candidate: Candidate) -> Translation:
    """Amazon counts the tokens of Claude alone."""
    if bedrock.counts(candidate.target):
        return bedrock.count_tokens(codec_of(BEDROCK), call, candidate)
    return count.EstimateTranslation(call, candidate)


_SPEECH = "audio.speech"

BY_PROTOCOL: Mapping[tuple[str, str], Serve] = {
    (BEDROCK, "embeddings"): bedrock.embeddings,
    (BEDROCK, COUNT_TOKENS): _counted_for_claude,
    (COHERE, "embeddings"): _with_codec(COHERE, cohere.embeddings),
    (GOOGLE, "embeddings"): google.embeddings,
    (GOOGLE, "images"): _with_codec(GOOGLE, google.images),
    (GOOGLE, COUNT_CONTENTS): google.count_contents,
    (GOOGLE, COUNT_TOKENS): _with_codec(GOOGLE, google.count_tokens),
    (INWORLD_TTS, _SPEECH): inworld.serve,
    (INWORLD_TTS, inworld_voice.VOICE.api): inworld_voice.passed,
    (INWORLD_TTS, "audio.transcriptions"): inworld_transcription.serve,
    (VERTEX, "embeddings"): google.embeddings,
    (VERTEX, "images"): _with_codec(VERTEX, google.images),
    (VERTEX, COUNT_CONTENTS): google.count_contents,
    (VERTEX, COUNT_TOKENS): _with_codec(VERTEX, google.count_tokens),
    (VERTEX_CLAUDE, COUNT_TOKENS): _with_codec(VERTEX_CLAUDE, google.count_claude),
}
"""Operations in a protocol of their own, by protocol and API."""

BY_TYPE: Mapping[tuple[str, str], ServeLike] = {
    (MISTRAL, _SPEECH): mistral.speech,
    (MISTRAL, "audio.transcriptions"): mistral.transcription,
    ("xai", "audio.transcriptions"): xai.transcription,
}
"""Operations of providers that speak OpenAI's protocol, and differ in these, by provider type and API."""


def translate(call: OperationCall, candidate: Candidate) -> Translation:
    """The translation of a request to a candidate.

    Raises:
        InvalidRequest: A field that has to be understood is malformed.
        Untranslatable: The provider has no such operation, or not for this request.
    """
    return _translated(renamed(call, candidate.target.provider), candidate)


def _translated(call: OperationCall, candidate: Candidate) -> Translation:
    provider, api = candidate.target.provider, call.operation.api
    protocol = spoken(candidate.target)
    own = BY_PROTOCOL.get((protocol, api))
    if own is not None:
        return own(call, candidate)
    if api == inworld_voice.VOICE.api:
        return inworld_voice.spoken_elsewhere(call, candidate, _translated)
    if api == COUNT_CONTENTS:
        return _counted_contents(call, candidate)
    if api == COUNT_TOKENS:
        codec = codec_named(protocol, "messages")
        return count.serve(codec, call, candidate) if codec else count.EstimateTranslation(call, candidate)
    codec = codec_named(protocol, "chat.completions")
    if codec is None:
        raise Untranslatable.because(f"{provider.name} has no {api}")
    serve = BY_TYPE.get((provider.type, api), openai_like.serve)
    return serve(codec, call, candidate)


def _counted_contents(call: OperationCall, candidate: Candidate) -> Translation:
    """Google's count, at a provider that is not Google: whoever counts for Anthropic's callers counts for Google's too."""
    target = candidate.target
    protocol = spoken(target)
    counts = protocol == VERTEX_CLAUDE or (protocol == BEDROCK and bedrock.counts(target))
    if not counts and codec_named(protocol, "messages") is None:
        return count.EstimateTranslation(call, candidate)
    return translate(count.as_messages(codec_of(ANTHROPIC), call, target), candidate)


def speaks(target: Target) -> bool:
    """Whether the protocol of `target` has speech; whether its model has it, only the provider knows."""
    protocol = spoken(target)
    return (protocol, _SPEECH) in BY_PROTOCOL or codec_named(protocol, "chat.completions") is not None
