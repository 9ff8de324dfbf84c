"""The inbound dialect of Anthropic's messages, with Inworld's routing fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from services.core.attempts.effects import Kind
from services.core.errors import InvalidRequest, RouterError
from services.core.routing.context import RequestContext
from services.core.routing.named import is_online
from services.core.routing.plan import Candidate
from services.dataplane.codec import CodecFor
from services.dataplane.dialects.anthropic_errors import error_body, status_of
from services.dataplane.dialects.anthropic_overrides import upstream_body
from services.dataplane.dialects.anthropic_passthrough import AnthropicPassthrough
from services.dataplane.dialects.anthropic_read import read_message_request
from services.dataplane.dialects.anthropic_write import AnthropicWriter
from services.dataplane.dialects.extras import SEARCHING_EXTRAS, lost_extras
from services.dataplane.dialects.read_search import SEARCHES
from services.dataplane.exchange import ChatRequest
from services.dataplane.members import Members, decoded, raw, request_members
from services.dataplane.mending import asks_restart, is_mendable, mended
from services.dataplane.sse import frame
from services.dataplane.translate import CrossTranslation, laid_over
from services.dataplane.translation import EVENT_STREAM, Emitted, Evidence, InboundRequest, Translation
from services.wire.chat_facts import FACT_FIELDS, condition_messages, read_facts
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
        session = headers.get("x-claude-code-session-id") or headers.get("x-session-id", "")
        form = "output_config" if "output_config" in members else "output_format"
        needs = needs_of(members, form=form, sources=True)
        context = read_facts(
            facts,
            user=user if isinstance(user, str) and user else session,
            needs=needs,
            asks_json=asks_json(members, form),
            least_tokens=least_tokens(messages, needs),
            parameters=members,
        )
        stream = bytes(members.get("stream", b"false")) == b"true"
        return _AnthropicRequest(self._codec_for, members, context, headers, stream=stream)

    def error(self, error: RouterError, evidence: Evidence | None) -> tuple[int, bytes]:
        return status_of(error), error_body(error, evidence)


class _AnthropicRequest:
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
        return condition_messages(decoded(self._members, ("messages",))["messages"])

    def translate(self, candidate: Candidate) -> Translation:
        codec = self._codec_for(candidate.target, AnthropicMessages.api)
        if codec.api == AnthropicMessages.api:
            body, warnings = upstream_body(self._members, candidate, self.context.metadata)
            warnings = [*self._warnings(), *warnings]
            config = candidate.generation.reasoning if candidate.generation is not None else None
            return AnthropicPassthrough(
                codec,
                candidate,
                body,
                self._headers,
                warnings,
                stream=self.stream,
                hides_reasoning=config is not None and config.exclude is True,
            )
        request = laid_over(self._read(), candidate, self.context.metadata)
        writer = AnthropicWriter(candidate.target.model)
        translation = CrossTranslation(codec, candidate, request, writer, self._headers)
        translation.facts.warnings.extend(self._warnings())
        return translation

    def _warnings(self) -> list[str]:
        return lost_extras(decoded(self._members, ("extra_body",)).get("extra_body"), SEARCHING_EXTRAS)

    def _read(self) -> ChatRequest:
        """The request in the exchange model; read once, and only if somebody needs it."""
        if self._chat is None:
            self._chat = read_message_request(decoded(self._members, self._members))
        return self._chat

    def mendable(self) -> bool:
        return is_mendable(self._read())

    def mend(self, candidate: Candidate, kind: Kind, emitted: Emitted) -> Translation:
        codec = self._codec_for(candidate.target, AnthropicMessages.api)
        request = laid_over(self._read(), candidate, self.context.metadata)
        writer = AnthropicWriter(candidate.target.model)
        return mended(codec, candidate, request, writer, self._headers, kind=kind, emitted=emitted)

    def restart_frame(self, evidence: Evidence) -> bytes:
        return frame(bytes(raw({"type": "restart", "metadata": evidence.metadata})), "restart")
