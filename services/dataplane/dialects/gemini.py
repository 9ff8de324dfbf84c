"""The inbound dialect of Gemini's generateContent, with Inworld's routing fields.

The address names the model and says whether to stream, so both come as headers that the bridge sets; a caller of the
gRPC service names the model there, or in the body. Routing fields stand at the top level, where Google's SDKs put
what is in their `http_options.extra_body`, or in an object `extra_body`. `labels` count as metadata.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from services.core.attempts.effects import Kind
from services.core.errors import InvalidRequest, RouterError
from services.core.routing.context import RequestContext
from services.core.routing.plan import Candidate
from services.dataplane.codec import CodecFor
from services.dataplane.dialects.extras import ROUTED_EXTRAS, lost_extras
from services.dataplane.dialects.gemini_blocked import blocked_answer
from services.dataplane.dialects.gemini_errors import error_body
from services.dataplane.dialects.gemini_overrides import upstream_body
from services.dataplane.dialects.gemini_passthrough import GeminiPassthrough
from services.dataplane.dialects.gemini_read import read_contents
from services.dataplane.dialects.gemini_write import GeminiWriter
from services.dataplane.exchange import ChatRequest
from services.dataplane.members import Members, decoded, raw, request_members
from services.dataplane.mending import asks_restart, is_mendable, mended
from services.dataplane.sse import frame
from services.dataplane.translate import CrossTranslation, laid_over
from services.dataplane.translation import (
    EVENT_STREAM,
    MODEL_HEADER,
    STREAM_HEADER,
    AnsweringDialect,
    Emitted,
    Evidence,
    InboundRequest,
    Translation,
)
from services.wire.chat_facts import FACT_FIELDS, condition_messages, read_facts
from services.wire.google_facts import content_asks_json, content_needs, content_parameters, turns_of
from services.wire.needs import least_tokens

_PLACE = "models/"


class GenerateContent(AnsweringDialect):
    """The dialect. Stateless; one per process."""

    api = "generateContent"

    def __init__(self, codec_for: CodecFor) -> None:
        self._codec_for = codec_for

    def read(self, body: bytes, headers: Mapping[str, str]) -> InboundRequest:
        members = request_members(body)
        facts = content_facts(members, headers)
        needs = content_needs(members)
        context = read_facts(
            facts,
            user=headers.get("x-session-id", ""),
            needs=needs,
            asks_json=content_asks_json(members),
            least_tokens=least_tokens(members["contents"], needs),
            parameters=content_parameters(members),
        )
        stream = headers.get(STREAM_HEADER) == "true"
        return _ContentRequest(self._codec_for, members, context, headers, stream=stream)

    def error(self, error: RouterError, evidence: Evidence | None) -> tuple[int, bytes]:
        return error.status, error_body(error, evidence)

    def refused_answer(self, error: RouterError, evidence: Evidence, *, stream: bool) -> bytes | None:
        body = blocked_answer(error, evidence)
        # What came in several lines has no place in one frame.
        return frame(b" ".join(body.splitlines())) if body is not None and stream else body


def content_facts(members: Members, headers: Mapping[str, str]) -> dict[str, Any]:
    """The fields that routing reads of a request with contents.

    Raises:
        InvalidRequest: There are no contents, or labels that are no object.
    """
    contents = members.get("contents")
    if contents is None or not bytes(contents).startswith(b"["):
        raise InvalidRequest("`contents` is missing; give a list of contents", param="contents")
    facts = decoded(members, FACT_FIELDS)
    model = headers.get(MODEL_HEADER) or facts.get("model")
    facts["model"] = model.removeprefix(_PLACE) if isinstance(model, str) else model
    facts["metadata"] = _metadata(members, facts)
    return facts


def _metadata(members: Members, facts: Mapping[str, Any]) -> Any:
    """The caller's metadata, over its labels."""
    labels, given = decoded(members, ("labels",)).get("labels"), facts.get("metadata")
    if labels is None:
        return given
    if not isinstance(labels, Mapping):
        raise InvalidRequest("`labels` must be an object", param="labels")
    return {**labels, **given} if isinstance(given, Mapping) else given or labels


class _ContentRequest:
    """One request."""

    frames_type = EVENT_STREAM

    def __init__(
        self,
        codec_for: CodecFor,
        members: Members,
        context: RequestContext,
        headers: Mapping[str, str],
        *,
        stream: bool,
    ) -> None:
        self.context = context
        self.stream = stream
        self._codec_for = codec_for
        self._members = members
        self._headers = headers
        self._chat: ChatRequest | None = None
        self.restartable = asks_restart(headers)

    def condition_messages(self) -> tuple[Mapping[str, Any], ...]:
        return condition_messages(turns_of(self._members))

    def translate(self, candidate: Candidate) -> Translation:
        codec = self._codec_for(candidate.target, GenerateContent.api)
        if codec.api == GenerateContent.api:
            body, warnings = upstream_body(self._members, candidate, self.context.metadata)
            warnings = [*self._warnings(), *warnings]
            config = candidate.generation.reasoning if candidate.generation is not None else None
            return GeminiPassthrough(
                codec,
                candidate,
                body,
                self._headers,
                warnings,
                stream=self.stream,
                hides_reasoning=config is not None and config.exclude is True,
            )
        request = laid_over(self._read(), candidate, self.context.metadata)
        writer = GeminiWriter(candidate.target.model)
        translation = CrossTranslation(codec, candidate, request, writer, self._headers)
        translation.facts.warnings.extend(self._warnings())
        return translation

    def _warnings(self) -> list[str]:
        return lost_extras(decoded(self._members, ("extra_body",)).get("extra_body"), ROUTED_EXTRAS)

    def _read(self) -> ChatRequest:
        """The request in the exchange model; read once, and only if somebody needs it."""
        if self._chat is None:
            self._chat = read_contents(decoded(self._members, self._members), stream=self.stream)
        return self._chat

    def mendable(self) -> bool:
        return is_mendable(self._read())

    def mend(self, candidate: Candidate, kind: Kind, emitted: Emitted) -> Translation:
        codec = self._codec_for(candidate.target, GenerateContent.api)
        request = laid_over(self._read(), candidate, self.context.metadata)
        writer = GeminiWriter(candidate.target.model)
        return mended(codec, candidate, request, writer, self._headers, kind=kind, emitted=emitted)

    def restart_frame(self, evidence: Evidence) -> bytes:
        return frame(bytes(raw({"restart": True, "metadata": evidence.metadata})))
