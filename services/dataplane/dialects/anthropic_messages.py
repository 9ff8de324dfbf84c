"""The inbound dialect of Anthropic's messages, with Inworld's routing fields."""

from __future__ import annotations

from collections.abc import Mapping

from services.core.errors import InvalidRequest, RouterError
from services.core.routing.named import is_online
from services.dataplane.codec import CodecFor
from services.dataplane.dialects.anthropic_errors import error_body, status_of
from services.dataplane.dialects.anthropic_overrides import upstream_body
from services.dataplane.dialects.anthropic_passthrough import AnthropicPassthrough
from services.dataplane.dialects.anthropic_read import read_message_request
from services.dataplane.dialects.anthropic_write import AnthropicWriter
from services.dataplane.dialects.extras import SEARCHING_EXTRAS
from services.dataplane.dialects.read_search import SEARCHES
from services.dataplane.dialects.shaped_request import Shape, ShapedRequest
from services.dataplane.members import decoded, raw, request_members
from services.dataplane.sse import frame
from services.dataplane.translation import Evidence, InboundRequest
from services.wire.chat_facts import FACT_FIELDS, read_facts
from services.wire.needs import asks_json, least_tokens, needs_of


class AnthropicMessages:
    """The dialect. Stateless; one per process."""

    api = "messages"

    def __init__(self, codec_for: CodecFor) -> None:
        self._codec_for = codec_for

    def read(self, body: bytes, headers: Mapping[str, str]) -> InboundRequest:
        members = request_members(body)
        messages = members.get("messages")
        if messages is None or not bytes(messages).startswith(b"["):
            raise InvalidRequest("messages: Field required, a list of messages", param="messages")
        if "max_tokens" not in members:
            raise InvalidRequest("max_tokens: Field required", param="max_tokens")
        facts = decoded(members, FACT_FIELDS)
        if is_online(str(facts.get("model"))) and not members.keys() & set(SEARCHES):
            members["web_search"] = raw(True)
        metadata = facts.get("metadata")
        user = metadata.get("user_id") if isinstance(metadata, Mapping) else None
        form = "output_config" if "output_config" in members else "output_format"
        needs = needs_of(members, form=form, sources=True)
        context = read_facts(
            facts,
            headers=headers,
            user=user if isinstance(user, str) else "",
            needs=needs,
            asks_json=asks_json(members, form),
            least_tokens=least_tokens(messages, needs),
            parameters=members,
        )
        stream = bytes(members.get("stream", b"false")) == b"true"
        return ShapedRequest(_SHAPE, self._codec_for, members, context, headers, stream=stream)

    def error(self, error: RouterError, evidence: Evidence | None) -> tuple[int, bytes]:
        return status_of(error), error_body(error, evidence)


def _restart_frame(evidence: Evidence) -> bytes:
    return frame(bytes(raw({"type": "restart", "metadata": evidence.metadata})), "restart")


_SHAPE = Shape(
    api=AnthropicMessages.api,
    extras=SEARCHING_EXTRAS,
    turns=lambda members: decoded(members, ("messages",))["messages"],
    read=lambda body, _stream: read_message_request(body),
    upstream_body=upstream_body,
    passthrough=AnthropicPassthrough,
    writer=AnthropicWriter,
    restart=_restart_frame,
)
