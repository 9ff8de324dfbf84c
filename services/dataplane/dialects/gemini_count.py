"""The inbound dialect of Gemini's countTokens: of contents, or of a whole request in `generateContentRequest`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from services.core.errors import InvalidRequest, RouterError
from services.dataplane.dialects.extras import ROUTED_EXTRAS, lost_extras
from services.dataplane.dialects.gemini import content_facts
from services.dataplane.dialects.gemini_errors import error_body
from services.dataplane.dialects.gemini_form import camel
from services.dataplane.dialects.operations import OperationRequest, Translate
from services.dataplane.members import Members, request_members
from services.dataplane.operations.call import JsonPayload, Operation, OperationCall
from services.dataplane.operations.count import COUNT_CONTENTS
from services.dataplane.translation import Evidence, InboundRequest
from services.wire.chat_facts import condition_messages, read_facts
from services.wire.google_facts import content_parameters, turns_of

COUNT = Operation(COUNT_CONTENTS, ":countTokens", ("contents",), "totalTokens")
_WHOLE = "generateContentRequest"


class CountContents:
    """The dialect. Stateless; one per process."""

    api = COUNT.api

    def __init__(self, translate: Translate) -> None:
        self._translate = translate

    def read(self, body: bytes, headers: Mapping[str, str]) -> InboundRequest:
        members = _counted(request_members(body))
        facts = content_facts(members, headers)
        context = read_facts(facts, headers=headers, parameters=content_parameters(members))
        call = OperationCall(
            COUNT, JsonPayload(members), headers, warnings=tuple(lost_extras(facts.get("extra_body"), ROUTED_EXTRAS))
        )
        return _CountRequest(call, context, self._translate)

    def error(self, error: RouterError, evidence: Evidence | None) -> tuple[int, bytes]:
        return error.status, error_body(error, evidence)


class _CountRequest(OperationRequest):
    """One request."""

    def condition_messages(self) -> tuple[Mapping[str, Any], ...]:
        payload = self.call.payload
        assert isinstance(payload, JsonPayload), "a count is JSON"
        return condition_messages(turns_of(payload.members))


def _counted(members: Members) -> Members:
    """What is to be counted, with the routing fields around it.

    Raises:
        InvalidRequest: It is there twice, or is no object.
    """
    named = next((name for name in members if camel(name) == _WHOLE), None)
    if named is None:
        return members
    if "contents" in members:
        raise InvalidRequest(f"`contents` and `{_WHOLE}` exclude each other", param=_WHOLE)
    given = bytes(members[named])
    if not given.startswith(b"{"):
        raise InvalidRequest(f"`{_WHOLE}` must be an object", param=_WHOLE)
    return {**request_members(given), **{name: value for name, value in members.items() if name != named}}
