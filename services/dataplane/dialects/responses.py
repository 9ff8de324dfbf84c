"""The inbound dialect of OpenAI's Responses API, with Inworld's and OpenRouter's routing fields.

Requests that lean on state (`previous_response_id`, `conversation`, …) make sense only at the provider that
keeps it. They pass to the plan's first target that speaks the API, and to others of the same provider, never elsewhere:
also when that provider is set aside, since another one would say that there is no such state, or answer without it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from services.core.attempts.effects import Kind
from services.core.errors import InvalidRequest, RouterError
from services.core.routing.context import RequestContext
from services.core.routing.named import is_online
from services.core.routing.plan import Candidate, Plan
from services.dataplane.codec import CodecFor
from services.dataplane.dialects.extras import REASONING_EXTRAS, lost_extras, reasoning_of
from services.dataplane.dialects.openai_errors import error_body
from services.dataplane.dialects.read_search import SEARCHES
from services.dataplane.dialects.responses_form import METADATA, echo_of
from services.dataplane.dialects.responses_overrides import upstream_body
from services.dataplane.dialects.responses_passthrough import ResponsesPassthrough
from services.dataplane.dialects.responses_read import LOGPROBS, STATE, read_response_request
from services.dataplane.dialects.responses_write import ResponsesWriter
from services.dataplane.exchange import ChatRequest
from services.dataplane.members import Members, decoded, raw, request_members
from services.dataplane.mending import asks_restart, is_mendable, mended
from services.dataplane.sse import frame
from services.dataplane.translate import CrossTranslation, laid_over
from services.dataplane.translation import (
    EVENT_STREAM,
    Emitted,
    Evidence,
    InboundRequest,
    LeaningRequest,
    Translation,
    Untranslatable,
)
from services.wire.chat_facts import FACT_FIELDS, condition_messages, read_facts
from services.wire.needs import asks_json, least_tokens, needs_of

_FACTS = (*FACT_FIELDS, "reasoning", "safety_identifier", "prompt_cache_key", "conversation")
_TOOL = re.compile(rb'"type"\s*:\s*"(function|web_search|mcp|custom|file_search|code_interpreter)')
_NOTHING = {b"null", b"[]", b'""', b"false"}


class OpenAiResponses:
    """The dialect. Stateless; one per process."""

    api = "responses"

    def __init__(self, codec_for: CodecFor, wall: Callable[[], float]) -> None:
        self.codec_for = codec_for
        self._wall = wall

    def read(self, body: bytes, headers: Mapping[str, str]) -> InboundRequest:
        members = request_members(body)
        given = bytes(members.get("input", b"null"))
        leans = any(_given(members, name) for name in STATE) or b'"item_reference"' in given
        if given == b"null" and not leans:
            raise InvalidRequest("`input` is missing; give text or a list of items", param="input")
        if given[:1] not in {b"[", b'"', b"n"}:
            raise InvalidRequest("`input` must be text or a list of items", param="input")
        stream = bytes(members.get("stream", b"false"))
        if stream not in {b"true", b"false", b"null"}:
            raise InvalidRequest("`stream` must be true or false", param="stream")
        facts = decoded(members, _FACTS)
        if is_online(str(facts.get("model"))) and not members.keys() & set(SEARCHES):
            members["web_search"] = msgspec.Raw(b"true")
        needs = _needs(members)
        context = read_facts(
            facts,
            headers=headers,
            session=_stands_for_session(facts),
            user=_end_user(facts),
            needs=needs,
            asks_json=asks_json(members, "text"),
            least_tokens=least_tokens(members.get("input"), needs),
            parameters=members,
        )
        return _ResponsesRequest(self, members, context, facts, headers, stream=stream == b"true", leans=leans)

    def error(self, error: RouterError, evidence: Evidence | None) -> tuple[int, bytes]:
        return error.status, error_body(error, evidence, METADATA)

    def now(self) -> int:
        """Whole seconds since the Unix epoch, for `created_at`."""
        return int(self._wall())


def _given(members: Members, name: str) -> bool:
    return name in members and bytes(members[name]) not in _NOTHING


def _end_user(facts: Mapping[str, Any]) -> str:
    """The end user where `user` names none."""
    found = facts.get("safety_identifier")
    return found if isinstance(found, str) else ""


def _stands_for_session(facts: Mapping[str, Any]) -> str:
    """What stands for a session: a stored conversation, or the key of a prompt cache."""
    conversation = facts.get("conversation")
    if isinstance(conversation, Mapping):
        conversation = conversation.get("id")
    found = (conversation, facts.get("prompt_cache_key"))
    return next((name for name in found if isinstance(name, str) and name), "")


def _needs(members: Members) -> frozenset[str]:
    needs = needs_of(members, turns="input", form="text")
    kinds = set(_TOOL.findall(bytes(members.get("tools", b""))))
    if b"web_search" not in kinds and not _given(members, "web_search") and not _given(members, "web_search_options"):
        return needs
    # A search is not a tool that the model calls by itself; it is one that the provider runs.
    return (needs if kinds - {b"web_search"} else needs - {"tools"}) | {"web_search"}


class _ResponsesRequest(LeaningRequest):
    """One request.

    Attributes:
        leans: It names state that a provider keeps.
    """

    frames_type = EVENT_STREAM

    def __init__(
        self,
        dialect: OpenAiResponses,
        members: Members,
        context: RequestContext,
        facts: Mapping[str, Any],
        headers: Mapping[str, str],
        *,
        stream: bool,
        leans: bool,
    ) -> None:
        self.context = context
        self.stream = stream
        self._dialect = dialect
        self._members = members
        self._extra: Mapping[str, Any] = facts.get("extra_body") or {}
        self._reasoning = reasoning_of(self._extra, facts)
        self._headers = headers
        self._chat: ChatRequest | None = None
        self._leans = leans
        self._home = ""
        self.restartable = asks_restart(headers)

    def condition_messages(self) -> tuple[Mapping[str, Any], ...]:
        values = decoded(self._members, ("instructions", "input"))
        instructions, given = values.get("instructions"), values.get("input")
        told = [{"role": "system", "content": instructions}] if isinstance(instructions, str) else []
        items = [{"role": "user", "content": given}] if isinstance(given, str) else given or []
        return condition_messages([*told, *(_as_message(item) for item in items)])

    def translate(self, candidate: Candidate) -> Translation:
        codec = self._dialect.codec_for(candidate.target, OpenAiResponses.api)
        if codec.api == OpenAiResponses.api:
            self._check_home(candidate)
            body, warnings = upstream_body(self._members, candidate, self._reasoning, self.context.metadata)
            warnings += self._warnings()
            return ResponsesPassthrough(codec, candidate, body, self._headers, warnings, stream=self.stream)
        request = laid_over(self._read(), candidate, self.context.metadata)
        writer = self._writer(candidate)
        translation = CrossTranslation(codec, candidate, request, writer, self._headers)
        translation.facts.seam = writer.seam
        translation.facts.warnings.extend(self._warnings())
        return translation

    def keep_to(self, plan: Plan) -> None:
        self._home = next((c.target.provider.name for c in plan.candidates if self._is_spoken(c)), "")

    def _is_spoken(self, candidate: Candidate) -> bool:
        try:
            return self._dialect.codec_for(candidate.target, OpenAiResponses.api).api == OpenAiResponses.api
        except Untranslatable:
            return False

    def _check_home(self, candidate: Candidate) -> None:
        """State is where the plan's first target is that speaks the API; a target elsewhere cannot have it."""
        provider = candidate.target.provider.name
        if self._leans and self._home and provider != self._home:
            told = f"the request leans on state that is kept at {self._home!r}; {provider!r} does not have it"
            raise Untranslatable.because(told)

    def _read(self) -> ChatRequest:
        """The request in the exchange model; read once, and only if somebody needs it."""
        if self._chat is None:
            self._chat = read_response_request(decoded(self._members, self._members), self._reasoning)
        return self._chat

    def _writer(self, candidate: Candidate) -> ResponsesWriter:
        return ResponsesWriter(candidate.target.model, self._dialect.now(), echo_of(self._members))

    def mendable(self) -> bool:
        include = msgspec.json.decode(self._members.get("include", b"null"))
        if isinstance(include, list) and LOGPROBS in include:
            return False
        return is_mendable(self._read())

    def mend(self, candidate: Candidate, kind: Kind, emitted: Emitted) -> Translation:
        codec = self._dialect.codec_for(candidate.target, OpenAiResponses.api)
        request = laid_over(self._read(), candidate, self.context.metadata)
        writer = self._writer(candidate)
        translation = mended(codec, candidate, request, writer, self._headers, kind=kind, emitted=emitted)
        translation.facts.seam = writer.seam
        return translation

    def restart_frame(self, evidence: Evidence) -> bytes:
        return frame(bytes(raw({"type": "restart", METADATA: evidence.metadata})), "restart")

    def _warnings(self) -> list[str]:
        return lost_extras(self._extra, REASONING_EXTRAS)


def _as_message(item: Any) -> Any:
    """An item as conditions see it; the output of a tool is a message of the tool."""
    if not isinstance(item, Mapping) or "role" in item:
        return item
    if item.get("type") == "function_call_output":
        return {"role": "tool", "content": item.get("output")}
    return {**item, "role": "assistant"}
