"""The inbound dialect of Inworld's speech API: `/tts/v1/voice` whole, `/tts/v1/voice:stream` in lines of JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from services.core.errors import InvalidRequest, RouterError
from services.core.policy.snapshot import Snapshot
from services.core.routing.context import RequestContext
from services.core.values import changed
from services.dataplane.dialects.extras import REASONING_EXTRAS, lost_extras
from services.dataplane.dialects.gemini_form import camel
from services.dataplane.dialects.inworld_errors import error_body
from services.dataplane.dialects.operations import OperationRequest, Translate
from services.dataplane.members import decoded, request_members
from services.dataplane.operations.call import JsonPayload, OperationCall
from services.dataplane.operations.inworld_voice import FIELDS, LINES, VOICE
from services.dataplane.translation import STREAM_HEADER, Evidence, InboundRequest, NamingRequest
from services.dataplane.voice.choice import known_name
from services.wire.chat_facts import FACT_FIELDS, ROUTING_FIELDS, condition_messages, read_facts

_NOT_THEIRS = frozenset({*FACT_FIELDS, *ROUTING_FIELDS, "session_id"})
"""Members for routing; no provider gets them."""


class InworldSpeech:
    """The dialect. Stateless; one per process."""

    api = VOICE.api

    def __init__(self, translate: Translate) -> None:
        self._translate = translate

    def read(self, body: bytes, headers: Mapping[str, str]) -> InboundRequest:
        members = {camel(n) if camel(n) in FIELDS else n: value for n, value in request_members(body).items()}
        payload = JsonPayload({name: value for name, value in members.items() if name not in _NOT_THEIRS})
        facts = decoded(members, FACT_FIELDS)
        told = tuple(lost_extras(facts.get("extra_body"), REASONING_EXTRAS))
        call = OperationCall(VOICE, payload, headers, headers.get(STREAM_HEADER) == "true", told)
        _check(call)
        facts["model"] = call.text("modelId")
        context = read_facts(facts, headers=headers, parameters=payload.names())
        return _SpeechRequest(call, context, self._translate)

    def error(self, error: RouterError, evidence: Evidence | None) -> tuple[int, bytes]:
        return error.status, error_body(error, evidence)


def _check(call: OperationCall) -> None:
    """What no provider could take.

    Raises:
        InvalidRequest: A field that is needed is missing, or one is of another kind.
    """
    for name in VOICE.required:
        if not call.text(name):
            raise InvalidRequest(f"`{name}` is missing", param=name)
    config = call.value("audioConfig")
    if config is not None and not isinstance(config, Mapping):
        raise InvalidRequest("`audioConfig` must be an object", param="audioConfig")


class _SpeechRequest(OperationRequest, NamingRequest):
    """One request. Inworld's models go by their bare names."""

    def __init__(self, call: OperationCall, context: RequestContext, translate: Translate) -> None:
        super().__init__(call, context, translate)
        self.frames_type = LINES

    def named(self, snapshot: Snapshot, context: RequestContext) -> RequestContext:
        names = tuple(known_name(snapshot, name) for name in context.models)
        return changed(context, model=known_name(snapshot, context.model), models=names)

    def condition_messages(self) -> tuple[Mapping[str, Any], ...]:
        return condition_messages([{"role": "user", "content": self.call.text("text")}])
