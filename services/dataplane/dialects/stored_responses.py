"""Calls about responses that a provider keeps: GET, DELETE, cancel and input_items of OpenAI's Responses API.

Nothing is kept here, and an id does not say who made it. So every provider that speaks the API is asked, each once,
until one does not say that it does not know the response; what that one says is the answer.

A request is an object {"id", "action", "query"}, which the bridge makes of the address.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from typing import Any
from urllib.parse import quote, urlencode

import msgspec

from services.core.errors import ChainFailed, Failure, FailureKind, InvalidRequest, RouterError
from services.core.policy.snapshot import Snapshot, Target
from services.core.routing.context import RequestContext
from services.core.routing.keepers import keepers
from services.core.routing.plan import Candidate, Plan, Undecided
from services.dataplane.codec import CodecFor, ProviderCodec
from services.dataplane.dialects.openai_errors import error_body
from services.dataplane.dialects.operations import OperationRequest
from services.dataplane.dialects.responses_form import METADATA
from services.dataplane.members import NotAnObject, join_members, raw, request_members, split_members
from services.dataplane.operations.call import JsonPayload, Operation, OperationCall
from services.dataplane.operations.translations import Answer, JsonTranslation, Upstream
from services.dataplane.providers.openai_errors import error_object
from services.dataplane.translation import Evidence, InboundRequest, PlanningRequest, Translation, Untranslatable
from services.dataplane.transport.port import UpstreamRequest

STORED = Operation("responses.stored", "/responses", ("id", "action"), "object")
RESPONSES = "responses"

_ACTIONS: Mapping[str, tuple[str, str]] = {
    "retrieve": ("GET", ""),
    "delete": ("DELETE", ""),
    "cancel": ("POST", "/cancel"),
    "input_items": ("GET", "/input_items"),
}
"""Method, and what stands behind the id."""
_QUERY = frozenset(("include", "include[]", "after", "before", "limit", "order", "starting_after"))
"""What a provider may read of the query."""
_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:=+-]{0,511}")
_UNKNOWN = frozenset((403, 404, 405, 410, 501))
"""What a provider says that has no such response, no such call, or lets our key read none."""
NOT_THERE = "no provider of the policy has this response; it may have been made elsewhere, not stored, or deleted"
_NO_OBJECT = Failure(FailureKind.BAD_RESPONSE, "the provider's answer is not an object")


class StoredResponses:
    """The dialect. Stateless; one per process."""

    api = STORED.api

    def __init__(self, codec_for: CodecFor) -> None:
        self._codec_for = codec_for

    def read(self, body: bytes, headers: Mapping[str, str]) -> InboundRequest:
        payload = JsonPayload(request_members(body))
        found, action = payload.value("id"), payload.value("action")
        if not isinstance(found, str) or not _ID.fullmatch(found):
            raise InvalidRequest("the id of a response is letters, digits and any of _ . : = + -", param="response_id")
        if action not in _ACTIONS:
            raise InvalidRequest(f"`action` must be one of {', '.join(_ACTIONS)}", param="action")
        query = _query(payload.value("query"))
        if dict(query).get("stream", "false") not in {"false", "0", ""}:
            raise InvalidRequest("`stream`: a stored response comes whole here", param="stream")
        lost = [name for name, _ in query if name not in _QUERY | {"stream"}]
        warnings = tuple(f"{name} was dropped: it is not known here" for name in lost)
        call = OperationCall(STORED, payload, headers, warnings=warnings)
        passed = [(name, value) for name, value in query if name in _QUERY]
        return _StoredRequest(call, partial(_translated, self._codec_for, passed))

    def error(self, error: RouterError, evidence: Evidence | None) -> tuple[int, bytes]:
        if not isinstance(error, ChainFailed) or error.failure.kind is not FailureKind.MODEL_MISSING:
            return error.status, error_body(error, evidence, METADATA)
        told = {"message": NOT_THERE, "type": "invalid_request_error", "param": None, "code": "response_not_found"}
        more = {METADATA: evidence.metadata} if evidence is not None else {}
        return 404, msgspec.json.encode({"error": told, **more})


def _query(value: Any) -> list[tuple[str, str]]:
    """Names and values of the query, in order; a name may be there more than once."""
    pairs = value if value is not None else []
    if not isinstance(pairs, list) or not all(
        isinstance(pair, list) and len(pair) == 2 and all(isinstance(part, str) for part in pair) for pair in pairs
    ):
        raise InvalidRequest("`query` must be a list of names and values", param="query")
    return [(name, text) for name, text in pairs]


class _StoredRequest(OperationRequest, PlanningRequest):
    """One request."""

    def __init__(self, call: OperationCall, translate: Any) -> None:
        super().__init__(call, RequestContext(""), translate)

    def condition_messages(self) -> tuple[Mapping[str, Any], ...]:
        return ()

    def plan(self, snapshot: Snapshot, context: RequestContext, seed: int) -> Plan | Undecided:
        return keepers(snapshot, context, RESPONSES, seed)


def _translated(
    codec_for: CodecFor, query: list[tuple[str, str]], call: OperationCall, candidate: Candidate
) -> Translation:
    codec = codec_for(candidate.target, RESPONSES)
    request = partial(_request, codec, candidate.target, call, query)
    return _StoredTranslation(Upstream(request, partial(_classify, codec), same_words=True), candidate, call)


def _request(
    codec: ProviderCodec, target: Target, call: OperationCall, query: list[tuple[str, str]], credential: str
) -> UpstreamRequest:
    """The request at the address where the provider makes responses, and behind it the id."""
    method, tail = _ACTIONS[call.value("action")]
    try:
        made = codec.request(target, credential, b"", call.headers, stream=False)
    except Untranslatable as error:
        raise Untranslatable(Failure(FailureKind.MODEL_MISSING, error.failure.message)) from error
    path, _, own = made.url.partition("?")
    told = "&".join(filter(None, (own, urlencode(query))))
    url = f"{path}/{quote(call.value('id'), safe='')}{tail}" + (f"?{told}" if told else "")
    return UpstreamRequest(url, made.headers, b"", method)


def _classify(codec: ProviderCodec, status: int, headers: Mapping[str, str], body: bytes) -> Failure:
    """The failure behind a status: whoever cannot know the response is passed over, without harm to its health."""
    failure = codec.classify(status, headers, body)
    error = error_object(body)
    odd_id = status == 400 and isinstance(error, Mapping) and error.get("param") == "response_id"
    if status in _UNKNOWN or odd_id:
        return Failure(FailureKind.MODEL_MISSING, "the provider has no such response", status, failure.code)
    return failure


class _StoredTranslation(JsonTranslation):
    """What a provider says of a response, with the evidence where answers of this API have it."""

    def __init__(self, upstream: Upstream, candidate: Candidate, call: OperationCall) -> None:
        super().__init__(upstream, candidate, list(call.warnings), _read, names_model=False)

    def render(self, evidence: Evidence) -> bytes:
        assert self._answer is not None, "render follows a good answer"
        members = dict(self._answer.members)
        if bytes(members.get("model", b"")).startswith(b'"'):
            # As the caller calls it, and as the response said when it was made.
            members["model"] = raw(f"{self.candidate.target.provider.name}/{msgspec.json.decode(members['model'])}")
        return join_members({**members, METADATA: raw(evidence.metadata)})


def _read(body: bytes, headers: Mapping[str, str]) -> Answer | Failure:
    del headers
    try:
        return Answer(split_members(body))
    except NotAnObject:
        return _NO_OBJECT
