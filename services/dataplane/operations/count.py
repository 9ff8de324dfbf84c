"""Anthropic's count of a message's tokens: by Anthropic itself, else reckoned here and marked as such.

An estimate asks nobody. It is a better answer than none to clients that count before they send, and than the
count of some other model in the router, which would not be marked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import msgspec

from services.core.errors import Failure, FailureKind
from services.core.policy.snapshot import Target
from services.core.routing.plan import Candidate
from services.dataplane.codec import ProviderCodec
from services.dataplane.members import raw
from services.dataplane.operations.call import OperationCall
from services.dataplane.operations.openai_like import read_answer
from services.dataplane.operations.translations import Answer, JsonTranslation, Upstream
from services.dataplane.translation import Evidence, Translation, Untranslatable, tokens_of
from services.dataplane.transport.port import UpstreamRequest

MESSAGES_PATH = "/v1/messages"
_COUNT_PATH = "/count_tokens"
_MEDIA_TOKENS = 1_600
"""About what a picture costs at most, and a page of a document."""
_MESSAGE_TOKENS = 4
"""What marks the begin and the end of a message."""


def serve(codec: ProviderCodec, call: OperationCall, candidate: Candidate) -> Translation:
    """The translation of a count to a provider that speaks Anthropic's protocol."""
    body = call.payload.rewritten(candidate.target.upstream_model, ("user",), {})
    upstream = Upstream(partial(_request, codec, candidate.target, call, body), codec.classify, same_words=True)
    read = partial(read_answer, call.operation)
    return JsonTranslation(upstream, candidate, list(call.warnings), read, names_model=False)


def _request(
    codec: ProviderCodec, target: Target, call: OperationCall, body: bytes, credential: str
) -> UpstreamRequest:
    made = codec.request(target, credential, body, call.headers, stream=False)
    if not made.url.endswith(MESSAGES_PATH):
        raise Untranslatable.because(f"{target.provider.name} has no address for {call.operation.api}")
    return replace(made, url=made.url + _COUNT_PATH)


class EstimateTranslation(JsonTranslation):
    """A count that is reckoned here; nobody is asked."""

    def __init__(self, call: OperationCall, candidate: Candidate) -> None:
        told = "input_tokens is an estimate: this model's provider counts no tokens"
        super().__init__(_NOBODY, candidate, [*call.warnings, told], _reads_nothing, names_model=False)
        self._answer = Answer({"input_tokens": raw(estimate(call.payload.values()))})

    def request(self, credential: str) -> None:
        return None

    def render(self, evidence: Evidence) -> bytes:
        return super().render(replace(evidence, metadata={**evidence.metadata, "estimated": True}))


def _reads_nothing(body: bytes, headers: Mapping[str, str]) -> Failure:
    del body, headers
    return _NO_ANSWER


def _asks_nobody(credential: str) -> UpstreamRequest:
    del credential
    raise Untranslatable(_NO_ANSWER)


_NO_ANSWER = Failure(FailureKind.UNSUPPORTED, "nobody is asked for an estimate")
_NOBODY = Upstream(_asks_nobody, lambda status, headers, body: _NO_ANSWER)


def estimate(body: Mapping[str, Any]) -> int:
    """About how many tokens a body of Anthropic's messages is."""
    messages = body.get("messages")
    count = sum(_size(body.get(name)) for name in ("system", "messages"))
    for name in ("tools", "tool_choice", "output_config"):
        if body.get(name):
            count += tokens_of(len(msgspec.json.encode(body[name])))
    return max(1, count + _MESSAGE_TOKENS * (len(messages) if isinstance(messages, list) else 0))


def _size(value: Any) -> int:
    """Tokens of the text in a content, and of its media."""
    if isinstance(value, str):
        return tokens_of(len(value))
    if isinstance(value, list):
        return sum(map(_size, value))
    if not isinstance(value, Mapping):
        return 0
    if value.get("type") in {"image", "document"} and _source(value).get("type") != "text":
        return _MEDIA_TOKENS
    texts = ("text", "thinking", "content", "name", "title", "context")
    found = sum(_size(value.get(name)) for name in texts) + _size(_source(value).get("data"))
    given = value.get("input")
    return found + (tokens_of(len(msgspec.json.encode(given))) if given else 0)


def _source(value: Mapping[str, Any]) -> Mapping[str, Any]:
    source = value.get("source")
    return source if isinstance(source, Mapping) else {}
