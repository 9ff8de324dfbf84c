"""The inbound dialect of OpenAI's APIs that are not chat, and of Anthropic's count of tokens: one class, by data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from services.core.attempts.effects import Kind
from services.core.errors import InvalidRequest, RouterError
from services.core.routing.context import RequestContext
from services.core.routing.plan import Candidate
from services.core.values import changed
from services.dataplane.dialects import anthropic_errors, openai_errors
from services.dataplane.dialects.extras import REASONING_EXTRAS, lost_extras
from services.dataplane.members import request_members
from services.dataplane.operations.call import (
    FormPayload,
    JsonPayload,
    Operation,
    OperationCall,
    Payload,
    StreamedEvents,
)
from services.dataplane.operations.forms import FORM, read_form
from services.dataplane.translation import (
    EVENT_STREAM,
    Emitted,
    Evidence,
    InboundRequest,
    Translation,
    Untranslatable,
)
from services.wire.chat_facts import condition_messages, read_facts

Translate = Callable[[OperationCall, Candidate], Translation]

_SPEECH = "audio.speech"
_FILE = "file|file_url|file_id"
_FALSE = (None, False, "", "false", "False", "0")

_PICTURE_SECONDS = 180.0
"""A large picture takes two minutes, and nothing is to be seen of it before."""
_FILE_SECONDS = 120.0
"""A long recording is heard before its first word is written."""
_SILENT_CLOCKS = ("headers", "first_event", "first_content", "idle")

OPERATIONS: tuple[Operation, ...] = (
    Operation("embeddings", "/embeddings", ("input",), "data", names_model=True),
    Operation("moderations", "/moderations", ("input",), "results", "omni-moderation-latest", names_model=True),
    Operation(
        "images",
        "/images/generations",
        ("prompt",),
        "data",
        "dall-e-2",
        patience=_PICTURE_SECONDS,
        events=StreamedEvents(frozenset({"image_generation.partial_image"}), "image_generation.completed"),
    ),
    Operation(
        "image.edits",
        "/images/edits",
        ("prompt",),
        "data",
        "gpt-image-1.5",
        form=True,
        json_too=True,
        patience=_PICTURE_SECONDS,
        events=StreamedEvents(frozenset({"image_edit.partial_image"}), "image_edit.completed"),
    ),
    Operation(
        _SPEECH,
        "/audio/speech",
        ("input",),
        "data",
        events=StreamedEvents(frozenset({"speech.audio.delta"}), "speech.audio.done", last_shows=False),
    ),
    Operation(
        "audio.transcriptions",
        "/audio/transcriptions",
        (_FILE,),
        "text",
        form=True,
        may_be_empty=True,
        patience=_FILE_SECONDS,
        events=StreamedEvents(frozenset({"transcript.text.delta", "transcript.text.segment"}), "transcript.text.done"),
    ),
    Operation("audio.translations", "/audio/translations", (_FILE,), "text", form=True, may_be_empty=True),
)
"""OpenAI's; the defaults of models are those that its API has."""

SPEECH = next(operation for operation in OPERATIONS if operation.api == _SPEECH)
COUNT_TOKENS = Operation("messages.count_tokens", "/v1/messages/count_tokens", ("messages",), "input_tokens")


class OperationDialect:
    """One API. Stateless; one per process."""

    def __init__(self, operation: Operation, translate: Translate) -> None:
        self.api = operation.api
        self.operation = operation
        self._translate = translate
        self._anthropic = operation is COUNT_TOKENS
        self._clocks = dict.fromkeys(_SILENT_CLOCKS, operation.patience) if operation.patience else {}

    def read(self, body: bytes, headers: Mapping[str, str]) -> InboundRequest:
        payload = self._payload(body, headers)
        for names in self.operation.required:
            if not any(payload.has(name) for name in names.split("|")):
                name = names.partition("|")[0]
                raise InvalidRequest(f"`{name}` is missing", param=name)
        facts = dict(payload.facts())
        if not facts.get("model") and not facts.get("models") and self.operation.default_model:
            facts["model"] = self.operation.default_model
        context = read_facts(facts, headers=headers, user=self._user(facts), parameters=payload.names())
        if self._clocks:
            context = changed(context, default_clocks=self._clocks)
        stream = self._streams(payload)
        call = OperationCall(
            self.operation, payload, headers, stream, tuple(lost_extras(facts.get("extra_body"), REASONING_EXTRAS))
        )
        self._check(call)
        return OperationRequest(call, context, self._translate)

    def error(self, error: RouterError, evidence: Evidence | None) -> tuple[int, bytes]:
        if self._anthropic:
            return anthropic_errors.status_of(error), anthropic_errors.error_body(error, evidence)
        return error.status, openai_errors.error_body(error, evidence)

    def _payload(self, body: bytes, headers: Mapping[str, str]) -> Payload:
        operation, content_type = self.operation, headers.get("content-type", "")
        is_form = content_type.lower().startswith(FORM)
        if operation.form and (is_form or not operation.json_too):
            return FormPayload(read_form(body, content_type))
        if is_form:
            raise InvalidRequest("the request body must be a JSON object, not a form")
        return JsonPayload(request_members(body))

    def _user(self, facts: Mapping[str, Any]) -> str:
        """The end user where `user` names none."""
        metadata = facts.get("metadata") if self._anthropic else None
        found = metadata.get("user_id") if isinstance(metadata, Mapping) else None
        return found if isinstance(found, str) else ""

    def _streams(self, payload: Payload) -> bool:
        if self.api == _SPEECH:
            return True
        if payload.value("stream") in _FALSE:
            return False
        if self.operation.events is None:
            raise InvalidRequest("`stream`: this API has no streams", param="stream")
        return True

    def _check(self, call: OperationCall) -> None:
        """What no provider could take, so that the caller hears it at once and by its field."""
        if self.api in {"embeddings", _SPEECH, "images"}:
            name = self.operation.required[0]
            # An empty text can be embedded, though; no text at all cannot.
            if call.value(name) == ([] if self.api == "embeddings" else ""):
                raise InvalidRequest(f"`{name}` is empty", param=name)
        if self.api == _SPEECH:
            call.text("input")
            if call.value("stream_format") not in (None, "audio", "sse"):
                raise InvalidRequest('`stream_format` must be "audio" or "sse"', param="stream_format")


class OperationRequest:
    """One request."""

    restartable = False

    def __init__(self, call: OperationCall, context: RequestContext, translate: Translate) -> None:
        self.context = context
        self.stream = call.stream
        plain = call.operation.api == _SPEECH and call.value("stream_format") != "sse"
        self.frames_type = "application/octet-stream" if plain else EVENT_STREAM
        self.call = call
        self._translate = translate

    def condition_messages(self) -> tuple[Mapping[str, Any], ...]:
        call = self.call
        if call.operation is COUNT_TOKENS:
            return condition_messages(call.value("messages"))
        value = call.value("input") or call.value("prompt") or ""
        texts = [text for text in value if isinstance(text, str)] if isinstance(value, list) else [value]
        return condition_messages([{"role": "user", "content": "\n".join(map(str, texts))}])

    def translate(self, candidate: Candidate) -> Translation:
        return self._translate(self.call, candidate)

    def mendable(self) -> bool:
        return False

    def mend(self, candidate: Candidate, kind: Kind, emitted: Emitted) -> Translation:
        raise Untranslatable.because(f"a broken answer of {self.call.operation.api} cannot be mended")

    def restart_frame(self, evidence: Evidence) -> bytes:
        raise AssertionError("nobody who asks for an operation understands a restart")
