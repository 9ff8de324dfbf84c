"""Counts of a request's tokens, as Anthropic's callers ask and as Google's: by the provider, else reckoned here and marked.

An estimate asks nobody. It is a better answer than none to clients that count before they send, and than the
count of some other model in the router, which would not be marked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import msgspec

from services.core.errors import Failure, FailureKind
from services.core.policy.snapshot import Target
from services.core.routing.plan import Candidate
from services.core.values import changed
from services.dataplane.codec import ProviderCodec
from services.dataplane.dialects.gemini_form import camel
from services.dataplane.dialects.gemini_read import read_contents
from services.dataplane.members import raw, split_members
from services.dataplane.operations.call import JsonPayload, Operation, OperationCall
from services.dataplane.operations.openai_like import read_answer
from services.dataplane.operations.translations import Answer, JsonTranslation, ReadAnswer, Upstream
from services.dataplane.translation import Evidence, Translation, Untranslatable, tokens_of
from services.dataplane.transport.port import UpstreamRequest

COUNT_TOKENS = "messages.count_tokens"
COUNT_CONTENTS = "countTokens"
_RESULT = "input_tokens"
"""Where Anthropic says how many there are."""
_COUNTED = frozenset(("model", "messages", "system", "tools", "tool_choice", "thinking", "output_config"))
"""What Anthropic's count takes of a request."""
MESSAGES_PATH = "/v1/messages"
_COUNT_PATH = "/count_tokens"
_MEDIA_TOKENS = 1_600
"""About what a picture costs at most, and a page of a document."""
_MESSAGE_TOKENS = 4
"""What marks the begin and the end of a message."""


def serve(codec: ProviderCodec, call: OperationCall, candidate: Candidate) -> Translation:
    """The translation of a count to a provider that speaks Anthropic's protocol."""
    body = call.payload.rewritten(candidate.target.upstream_model, ("user",), {})
    request = partial(_request, codec, candidate.target, call, body)
    return translation_of(request, codec, call, candidate)


def translation_of(
    request: Callable[[str], UpstreamRequest], codec: ProviderCodec, call: OperationCall, candidate: Candidate
) -> Translation:
    """The translation of a count whose answer is Anthropic's."""
    upstream = Upstream(request, codec.classify, same_words=call.operation.result == _RESULT)
    return JsonTranslation(upstream, candidate, list(call.warnings), _reader(call.operation), names_model=False)


def _reader(operation: Operation) -> ReadAnswer:
    """Reads Anthropic's answer, and gives it the caller's name."""
    theirs = partial(read_answer, replace(operation, result=_RESULT))
    if operation.result == _RESULT:
        return theirs

    def read(body: bytes, headers: Mapping[str, str]) -> Answer | Failure:
        found = theirs(body, headers)
        return found if isinstance(found, Failure) else Answer({operation.result: found.members[_RESULT]})

    return read


def counted(operation: Operation, tokens: int) -> Answer:
    """A count in the caller's words."""
    return Answer({operation.result: raw(tokens)})


def as_messages(codec: ProviderCodec, call: OperationCall, target: Target) -> OperationCall:
    """A count of Google's callers as one of Anthropic's, by way of the exchange model; only its result keeps its name.

    Args:
        codec: Anthropic's.

    Raises:
        InvalidRequest: A field that has to be understood is malformed.
        Untranslatable: It holds what Anthropic does not take.
    """
    request = read_contents(call.payload.values(), stream=False)
    body, dropped = codec.encode(request, target)
    members = {name: value for name, value in split_members(body).items() if name in _COUNTED}
    warnings = (*call.warnings, *request.warnings, *dropped)
    operation = replace(call.operation, api=COUNT_TOKENS)
    return replace(call, operation=operation, payload=JsonPayload(members), warnings=warnings)


def _request(
    codec: ProviderCodec, target: Target, call: OperationCall, body: bytes, credential: str
) -> UpstreamRequest:
    made = codec.request(target, credential, body, call.headers, stream=False)
    if not made.url.endswith(MESSAGES_PATH):
        raise Untranslatable.because(f"{target.provider.name} has no address for {call.operation.api}")
    return changed(made, url=made.url + _COUNT_PATH)


class EstimateTranslation(JsonTranslation):
    """A count that is reckoned here; nobody is asked."""

    def __init__(self, call: OperationCall, candidate: Candidate) -> None:
        told = f"{call.operation.result} is an estimate: this model's provider counts no tokens"
        super().__init__(_NOBODY, candidate, [*call.warnings, told], _reads_nothing, names_model=False)
        reckon = estimate_contents if call.operation.api == COUNT_CONTENTS else estimate
        self._answer = counted(call.operation, reckon(call.payload.values()))

    def request(self, credential: str) -> None:
        return None

    def render(self, evidence: Evidence) -> bytes:
        return super().render(changed(evidence, metadata={**evidence.metadata, "estimated": True}))


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


def estimate_contents(body: Mapping[str, Any]) -> int:
    """About how many tokens a body of Google's generateContent is."""
    given = {camel(name): value for name, value in body.items()}
    contents = given.get("contents")
    count = sum(_size_of_parts(given.get(name)) for name in ("systemInstruction", "contents"))
    if given.get("tools"):
        count += tokens_of(len(msgspec.json.encode(given["tools"])))
    return max(1, count + _MESSAGE_TOKENS * (len(contents) if isinstance(contents, list) else 0))


def _size_of_parts(value: Any) -> int:
    """Tokens of the text in Google's contents, and of their media."""
    if isinstance(value, list):
        return sum(map(_size_of_parts, value))
    if not isinstance(value, Mapping):
        return tokens_of(len(value)) if isinstance(value, str) else 0
    part = {camel(name): item for name, item in value.items()}
    if "inlineData" in part or "fileData" in part:
        return _MEDIA_TOKENS
    found = _size_of_parts(part.get("parts")) + _size_of_parts(part.get("text"))
    for name in ("functionCall", "functionResponse", "executableCode", "codeExecutionResult"):
        if part.get(name):
            found += tokens_of(len(msgspec.json.encode(part[name])))
    return found


def _size(value: Any) -> int:
    """Tokens of the text in a content, and of its media."""
    if isinstance(value, str):
        return tokens_of(len(value))
    if isinstance(value, list):
        return sum(map(_size, value))
    if not isinstance(value, Mapping):
        return 0
    if value.get("type") in ("image", "document") and _source(value).get("type") != "text":
        return _MEDIA_TOKENS
    texts = ("text", "thinking", "content", "name", "title", "context")
    found = sum(_size(value.get(name)) for name in texts) + _size(_source(value).get("data"))
    given = value.get("input")
    return found + (tokens_of(len(msgspec.json.encode(given))) if given else 0)


def _source(value: Mapping[str, Any]) -> Mapping[str, Any]:
    source = value.get("source")
    return source if isinstance(source, Mapping) else {}
