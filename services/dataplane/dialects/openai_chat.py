"""The inbound dialect of OpenAI's chat completions, with Inworld's and OpenRouter's routing fields."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from services.core.attempts.effects import Kind
from services.core.errors import InvalidRequest, RouterError
from services.core.routing.context import RequestContext
from services.core.routing.named import is_online
from services.core.routing.plan import Candidate
from services.core.values import changed
from services.dataplane.codec import CodecFor
from services.dataplane.dialects.extras import REASONING_EXTRAS, lost_extras, reasoning_of
from services.dataplane.dialects.openai_errors import error_body
from services.dataplane.dialects.openai_overrides import upstream_body
from services.dataplane.dialects.openai_passthrough import Asked, OpenAiPassthrough
from services.dataplane.dialects.openai_read import read_chat, shows_reasoning
from services.dataplane.dialects.openai_read_tools import speaks_functions
from services.dataplane.dialects.openai_style import OPENAI, OpenAiStyle
from services.dataplane.dialects.openai_write import OpenAiWriter
from services.dataplane.dialects.read_search import SEARCHES
from services.dataplane.exchange import ChatRequest
from services.dataplane.members import Members, decoded, raw, request_members
from services.dataplane.mending import asks_restart, is_mendable, mended
from services.dataplane.sse import frame
from services.dataplane.translate import CrossTranslation, laid_over
from services.dataplane.translation import EVENT_STREAM, Emitted, Evidence, Facts, InboundRequest, Translation
from services.dataplane.voice.history import with_own_words
from services.dataplane.voice.wish import Speakable
from services.wire.chat_facts import FACT_FIELDS, condition_messages, read_facts
from services.wire.needs import asks_json, is_text, least_tokens, needs_of

_FACTS = frozenset((*FACT_FIELDS, "reasoning"))
_NOT_NULL = b"null"


class OpenAiChat:
    """The dialect. Stateless; one per process."""

    api = "chat.completions"

    def __init__(self, codec_for: CodecFor, wall: Callable[[], float]) -> None:
        self.codec_for = codec_for
        self._wall = wall

    def read(self, body: bytes, headers: Mapping[str, str]) -> InboundRequest:
        members = request_members(body)
        messages = members.get("messages")
        if messages is None:
            raise InvalidRequest("`messages` is missing; give a list of messages", param="messages")
        text = is_text(messages)
        if not text:
            members = with_own_words(members)
            messages = members["messages"]
        if not bytes(messages).startswith(b"["):
            raise InvalidRequest("`messages` must be a list", param="messages")
        stream = bytes(members.get("stream", b"false"))
        if stream not in {b"true", b"false", _NOT_NULL}:
            raise InvalidRequest("`stream` must be true or false", param="stream")
        facts = decoded(members, [name for name in members if name in _FACTS])
        if is_online(str(facts.get("model"))) and not members.keys() & set(SEARCHES):
            members["web_search"] = msgspec.Raw(b"true")
        needs = needs_of(members, text=text)
        context = read_facts(
            facts,
            headers=headers,
            needs=needs,
            asks_json=asks_json(members),
            least_tokens=least_tokens(messages, needs),
            parameters=members,
        )
        return _OpenAiRequest(self, members, context, facts, headers, stream=stream == b"true", text=text)

    def error(self, error: RouterError, evidence: Evidence | None) -> tuple[int, bytes]:
        return error.status, error_body(error, evidence)

    def error_frame(self, error: RouterError, evidence: Evidence) -> bytes:
        """The frame that ends a stream by an error which no provider told of in its answer."""
        return frame(OPENAI.broken(error, evidence, Facts()))

    def style(self, candidate: Candidate, headers: Mapping[str, str]) -> OpenAiStyle:
        """How answers of `candidate` are written."""
        del candidate, headers
        return OPENAI

    def now(self) -> int:
        """Whole seconds since the Unix epoch, for `created`."""
        return int(self._wall())


class _OpenAiRequest(Speakable):
    """One request."""

    frames_type = EVENT_STREAM

    def __init__(
        self,
        dialect: OpenAiChat,
        members: Members,
        context: RequestContext,
        facts: Mapping[str, Any],
        headers: Mapping[str, str],
        *,
        stream: bool,
        text: bool,
    ) -> None:
        self.context = context
        self.stream = stream
        self._text = text
        self._dialect = dialect
        self._members = members
        self._extra: Mapping[str, Any] = facts.get("extra_body") or {}
        self._reasoning = reasoning_of(self._extra, facts)
        self._headers = headers
        self._chat: ChatRequest | None = None
        self.restartable = asks_restart(headers)
        spoken = decoded(members, ("audio", "modalities")) if "audio" in members else {}
        self.audio = spoken.get("audio")
        modalities = spoken.get("modalities")
        self.asks_model = isinstance(modalities, list) and "audio" in modalities
        self._facts = facts

    def as_text(self) -> InboundRequest:
        if self._answers() != 1:
            raise InvalidRequest("`n` must be 1 for an answer that is to be spoken", param="n")
        members = {name: value for name, value in self._members.items() if name not in {"audio", "modalities"}}
        modalities = decoded(self._members, ("modalities",)).get("modalities")
        rest = [kind for kind in modalities if kind != "audio"] if isinstance(modalities, list) else []
        if rest and rest != ["text"]:
            members["modalities"] = raw(rest)
        context = changed(self.context, needs=self.context.needs - {"audio_output"})
        return _OpenAiRequest(
            self._dialect, members, context, self._facts, self._headers, stream=self.stream, text=self._text
        )

    def error_frame(self, error: RouterError, evidence: Evidence) -> bytes:
        return self._dialect.error_frame(error, evidence)

    def condition_messages(self) -> tuple[Mapping[str, Any], ...]:
        return condition_messages(decoded(self._members, ("messages",))["messages"])

    def translate(self, candidate: Candidate) -> Translation:
        codec = self._dialect.codec_for(candidate.target, OpenAiChat.api)
        if codec.api == OpenAiChat.api:
            metadata = self.context.metadata
            body, dropped = upstream_body(
                self._members, candidate, self._reasoning, metadata, self._extra, stream=self.stream, text=self._text
            )
            style = self._dialect.style(candidate, self._headers)
            asked = Asked(self.stream, self._asks_usage(), self._answers(), self._hides_reasoning(candidate), style)
            warnings = [*self._warnings(), *dropped]
            return OpenAiPassthrough(codec, candidate, body, self._headers, asked, warnings)
        request = laid_over(self._read(), candidate, self.context.metadata)
        translation = CrossTranslation(codec, candidate, request, self._writer(candidate), self._headers)
        translation.facts.warnings.extend(self._warnings())
        return translation

    def _read(self) -> ChatRequest:
        """The request in the exchange model; read once, and only if somebody needs it."""
        if self._chat is None:
            self._chat = read_chat(decoded(self._members, self._members), self._reasoning)
        return self._chat

    def _writer(self, candidate: Candidate) -> OpenAiWriter:
        functions = speaks_functions(decoded(self._members, ("functions", "tools")))
        return OpenAiWriter(
            candidate.target.model,
            self._dialect.now(),
            include_usage=self._asks_usage(),
            functions=functions,
            style=self._dialect.style(candidate, self._headers),
        )

    def mendable(self) -> bool:
        values = decoded(self._members, ("n", "logprobs", "audio"))
        single = (values.get("n") or 1) == 1 and not values.get("logprobs") and not values.get("audio")
        return single and is_mendable(self._read())

    def mend(self, candidate: Candidate, kind: Kind, emitted: Emitted) -> Translation:
        codec = self._dialect.codec_for(candidate.target, OpenAiChat.api)
        request = laid_over(self._read(), candidate, self.context.metadata)
        return mended(codec, candidate, request, self._writer(candidate), self._headers, kind=kind, emitted=emitted)

    def restart_frame(self, evidence: Evidence) -> bytes:
        body = {"id": evidence.generation_id, "object": "chat.completion.chunk", "created": self._dialect.now()}
        return frame(bytes(raw({**body, "model": "", "choices": [], "restart": True, "metadata": evidence.metadata})))

    def _hides_reasoning(self, candidate: Candidate) -> bool:
        """Whether the caller, or policy, which comes first, wants to see no reasoning."""
        config = candidate.generation.reasoning if candidate.generation is not None else None
        if config is not None and config.exclude is not None:
            return config.exclude
        if not self._reasoning and "include_reasoning" not in self._members:
            return False
        return shows_reasoning(decoded(self._members, ("include_reasoning",)), self._reasoning) is False

    def _answers(self) -> int:
        asked = self._members.get("n")
        count = msgspec.json.decode(asked) if asked is not None else None
        return count if isinstance(count, int) else 1

    def _asks_usage(self) -> bool:
        raw = self._members.get("stream_options")
        options = msgspec.json.decode(raw) if raw is not None else None
        return isinstance(options, dict) and options.get("include_usage") is True

    def _warnings(self) -> list[str]:
        return lost_extras(self._extra, REASONING_EXTRAS) if self._extra else []
