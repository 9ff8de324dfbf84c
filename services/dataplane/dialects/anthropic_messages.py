"""The inbound dialect of Anthropic's messages, with Inworld's routing fields."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import msgspec

from services.core.attempts.effects import Kind
from services.core.errors import InvalidRequest, RouterError
from services.core.routing.context import RequestContext
from services.core.routing.plan import Candidate
from services.dataplane.dialects.anthropic_errors import error_body
from services.dataplane.dialects.anthropic_passthrough import AnthropicPassthrough
from services.dataplane.dialects.anthropic_read import read_message_request
from services.dataplane.dialects.anthropic_write import AnthropicWriter
from services.dataplane.dialects.templates import fill
from services.dataplane.exchange import ChatRequest, ProviderCodec
from services.dataplane.members import Members, decoded, join_members, raw, request_members
from services.dataplane.mending import asks_restart, is_mendable, mended
from services.dataplane.sse import frame
from services.dataplane.translate import CrossTranslation, laid_over
from services.dataplane.translation import Emitted, Evidence, InboundRequest, Translation
from services.wire.chat_facts import ROUTING_FIELDS, condition_messages, read_facts

_FACTS = ("model", "models", "ignore", "provider", "fallback", "extra_body", "metadata", "user")
_DROPPED = (*ROUTING_FIELDS, "extra_body", "user")
_SYSTEM = {"system", "developer"}

CodecFor = Callable[[str], ProviderCodec]


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
        facts = decoded(members, _FACTS)
        metadata = facts.get("metadata")
        user = metadata.get("user_id") if isinstance(metadata, Mapping) else None
        session = headers.get("x-claude-code-session-id") or headers.get("x-session-id", "")
        context = read_facts(facts, user=user if isinstance(user, str) and user else session, needs=_needs(members))
        stream = bytes(members.get("stream", b"false")) == b"true"
        return _AnthropicRequest(self._codec_for, members, context, headers, stream=stream)

    def error(self, error: RouterError, evidence: Evidence | None) -> tuple[int, bytes]:
        return error.status, error_body(error, evidence)


def _needs(members: Members) -> frozenset[str]:
    needs = []
    tools = members.get("tools")
    if tools is not None and bytes(tools) not in {b"null", b"[]"}:
        needs.append("tools")
    if b'"image"' in bytes(members["messages"]):
        needs.append("vision")
    return frozenset(needs)


class _AnthropicRequest:
    """One request."""

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
        codec = self._codec_for(candidate.target.provider.type)
        if codec.api == AnthropicMessages.api:
            return AnthropicPassthrough(codec, candidate, self._upstream_body(candidate), self._headers, [])
        request = laid_over(self._read(), candidate, self.context.metadata)
        writer = AnthropicWriter(candidate.target.model)
        return CrossTranslation(codec, candidate, request, writer, self._headers)

    def _read(self) -> ChatRequest:
        """The request in the exchange model; read once, and only if somebody needs it."""
        if self._chat is None:
            self._chat = read_message_request(decoded(self._members, self._members), self.context.user)
        return self._chat

    def mendable(self) -> bool:
        return is_mendable(self._read())

    def mend(self, candidate: Candidate, kind: Kind, emitted: Emitted) -> Translation:
        codec = self._codec_for(candidate.target.provider.type)
        request = laid_over(self._read(), candidate, self.context.metadata)
        writer = AnthropicWriter(candidate.target.model)
        return mended(codec, candidate, request, writer, self._headers, kind=kind, emitted=emitted)

    def restart_frame(self, evidence: Evidence) -> bytes:
        return frame(bytes(raw({"type": "restart", "metadata": evidence.metadata})), "restart")

    def _upstream_body(self, candidate: Candidate) -> bytes:
        """The caller's members byte for byte, but for routing fields and what policy sets."""
        body: dict[str, msgspec.Raw] = {n: v for n, v in self._members.items() if n not in _DROPPED}
        body["model"] = raw(candidate.target.upstream_model)
        if "metadata" in body:
            # Anthropic's own metadata holds a user id and nothing else; the other keys are for routing.
            user = msgspec.json.decode(body.pop("metadata")).get("user_id")
            if user is not None:
                body["metadata"] = raw({"user_id": user})
        config = candidate.generation
        if config is not None:
            for name in ("max_tokens", "temperature", "top_p"):
                if getattr(config, name) is not None:
                    body[name] = raw(getattr(config, name))
            if config.stop_sequences:
                body["stop_sequences"] = raw(list(config.stop_sequences))
        if candidate.templates:
            self._place_templates(body, candidate)
        return join_members(body)

    def _place_templates(self, body: dict[str, msgspec.Raw], candidate: Candidate) -> None:
        """System templates go before the caller's system text, others before its messages."""
        filled = [replace(t, content=fill(t, self.context.metadata)) for t in candidate.templates]
        texts = [{"type": "text", "text": t.content} for t in filled if t.role in _SYSTEM]
        turns = [{"role": t.role, "content": t.content} for t in filled if t.role not in _SYSTEM]
        if texts:
            own = msgspec.json.decode(body["system"]) if "system" in body else []
            own = [{"type": "text", "text": own}] if isinstance(own, str) else own
            body["system"] = raw([*texts, *own])
        if turns:
            body["messages"] = raw([*turns, *msgspec.json.decode(body["messages"])])
