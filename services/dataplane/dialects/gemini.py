"""The inbound dialect of Gemini's generateContent, with Inworld's routing fields.

The address names the model and says whether to stream, so both come as headers that the bridge sets; a caller of the
gRPC service names the model there, or in the body. Routing fields stand at the top level, where Google's SDKs put
what is in their `http_options.extra_body`, or in an object `extra_body`. `labels` count as metadata.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from services.core.errors import InvalidRequest, RouterError
from services.dataplane.codec import CodecFor
from services.dataplane.dialects.extras import ROUTED_EXTRAS
from services.dataplane.dialects.gemini_blocked import blocked_answer
from services.dataplane.dialects.gemini_errors import error_body
from services.dataplane.dialects.gemini_overrides import upstream_body
from services.dataplane.dialects.gemini_passthrough import GeminiPassthrough
from services.dataplane.dialects.gemini_read import read_contents
from services.dataplane.dialects.gemini_write import GeminiWriter
from services.dataplane.dialects.shaped_request import Shape, ShapedRequest
from services.dataplane.members import Members, decoded, raw, request_members
from services.dataplane.sse import frame
from services.dataplane.translation import (
    MODEL_HEADER,
    STREAM_HEADER,
    AnsweringDialect,
    Evidence,
    InboundRequest,
)
from services.wire.chat_facts import FACT_FIELDS, read_facts
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
            headers=headers,
            needs=needs,
            asks_json=content_asks_json(members),
            least_tokens=least_tokens(members["contents"], needs),
            parameters=content_parameters(members),
        )
        stream = headers.get(STREAM_HEADER) == "true"
        return ShapedRequest(_SHAPE, self._codec_for, members, context, headers, stream=stream)

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


def _restart_frame(evidence: Evidence) -> bytes:
    return frame(bytes(raw({"restart": True, "metadata": evidence.metadata})))


_SHAPE = Shape(
    api=GenerateContent.api,
    extras=ROUTED_EXTRAS,
    turns=turns_of,
    read=lambda body, stream: read_contents(body, stream=stream),
    upstream_body=upstream_body,
    passthrough=GeminiPassthrough,
    writer=GeminiWriter,
    restart=_restart_frame,
)
