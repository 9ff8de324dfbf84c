"""Messages of the typed API as exchange requests."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, Literal, get_args

from turnout.inference.v1 import chat_pb2

from services.core.errors import InvalidRequest
from services.dataplane.exchange import (
    Audio,
    ChatRequest,
    File,
    Image,
    Message,
    Part,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
    Video,
)
from services.wire.structs import plain_struct

_ROLES = ("assistant", "developer", "system", "tool", "user")
_CHOICES = {"", "auto", "none", "required"}
_Optional = Literal[
    "max_tokens", "temperature", "top_p", "top_k", "min_p", "seed", "frequency_penalty", "presence_penalty",
    "repetition_penalty", "top_logprobs", "parallel_tool_calls",
]  # fmt: skip
_OPTIONAL: tuple[_Optional, ...] = get_args(_Optional)
"""Fields of one name on both sides that may be left out."""


def read_request(request: chat_pb2.ChatRequest, *, stream: bool) -> ChatRequest:
    """The exchange request of a message.

    Raises:
        InvalidRequest: A field has a value that there is not.
    """
    given: dict[str, Any] = {name: getattr(request, name) for name in _OPTIONAL if request.HasField(name)}
    choice = request.tool_choice
    given |= _reasoning(request)
    return ChatRequest(
        messages=tuple(_message(m, f"messages[{i}]") for i, m in enumerate(request.messages)),
        stream=stream,
        tools=tuple(_tool(tool) for tool in request.tools),
        tool_choice=choice if choice in _CHOICES else f"tool:{choice}",
        stop=tuple(request.stop),
        response_format=_format(request.response_format) if request.HasField("response_format") else None,
        verbosity=_word(request.verbosity, "verbosity"),
        logprobs=request.logprobs,
        logit_bias=dict(request.logit_bias) or None,
        web_search=_search(request.web_search) if request.HasField("web_search") else None,
        modalities=() if set(request.modalities) <= {"text"} else tuple(request.modalities),
        service_tier=request.service_tier,
        cache_key=request.cache_key,
        metadata=dict(request.provider_metadata) or None,
        user=request.user,
        **given,
    )


def _word(value: str, path: str) -> str:
    if value not in {"", "low", "medium", "high"}:
        raise InvalidRequest(f"`{path}` must be low, medium or high", param=path)
    return value


def _reasoning(request: chat_pb2.ChatRequest) -> dict[str, Any]:
    reasoning = request.reasoning
    given: dict[str, Any] = {"reasoning_effort": reasoning.effort}
    if reasoning.HasField("max_tokens"):
        given["reasoning_budget"] = reasoning.max_tokens
    if reasoning.HasField("exclude"):
        given["shows_reasoning"] = not reasoning.exclude
    return given


def _format(wanted: chat_pb2.ResponseFormat) -> Mapping[str, Any]:
    if wanted.type not in {"text", "json_object", "json_schema"}:
        told = "`response_format.type` must be text, json_object or json_schema"
        raise InvalidRequest(told, param="response_format.type")
    if wanted.type != "json_schema":
        return {"type": wanted.type}
    schema: dict[str, Any] = {"name": wanted.name or "answer", "schema": plain_struct(wanted.schema)}
    if wanted.HasField("strict"):
        schema["strict"] = wanted.strict
    return {"type": "json_schema", "json_schema": schema}


def _search(wanted: chat_pb2.WebSearch) -> Mapping[str, Any]:
    place = {name: getattr(wanted.user_location, name) for name in ("city", "region", "country", "timezone")}
    found: dict[str, Any] = {
        "max_results": wanted.max_results,
        "max_uses": wanted.max_uses,
        "allowed_domains": list(wanted.allowed_domains),
        "blocked_domains": list(wanted.blocked_domains),
        "search_context_size": _word(wanted.search_context_size, "web_search.search_context_size"),
        "user_location": {name: value for name, value in place.items() if value},
    }
    return {name: value for name, value in found.items() if value}


def _tool(tool: chat_pb2.Tool) -> Tool:
    strict = tool.strict if tool.HasField("strict") else None
    return Tool(tool.name, tool.description, plain_struct(tool.parameters) or None, strict, _mark(tool))


def _mark(holder: chat_pb2.Tool | chat_pb2.Part) -> Mapping[str, Any] | None:
    """A mark for the prompt cache, as Anthropic spells it."""
    if not holder.HasField("cache_control"):
        return None
    ttl = holder.cache_control.ttl
    return {"type": "ephemeral", **({"ttl": ttl} if ttl else {})}


def _message(message: chat_pb2.Message, path: str) -> Message:
    if message.role not in _ROLES:
        raise InvalidRequest(f"`{path}.role` must be one of {', '.join(_ROLES)}", param=f"{path}.role")
    parts: list[Part] = [_part(part, f"{path}.parts[{index}]") for index, part in enumerate(message.parts)]
    if message.role == "tool":
        content = tuple(p for p in parts if isinstance(p, (Text, Image, Audio, Video, File)))
        return Message("user", (ToolResult(message.tool_call_id, content, message.is_error),))
    parts += [ToolCall(c.id, c.name, c.arguments, c.signature) for c in message.tool_calls]
    return Message(message.role, tuple(parts), message.name)


def _part(part: chat_pb2.Part, path: str) -> Part:
    kind = part.WhichOneof("content")
    if kind == "image":
        image = part.image
        media = _media(image, f"{path}.image")
        return Image(**media, media_type=image.media_type, detail=image.detail, cache_control=_mark(part))
    if kind == "audio":
        return Audio(**_media(part.audio, f"{path}.audio"), format=part.audio.format)
    if kind == "video":
        return Video(**_media(part.video, f"{path}.video"), media_type=part.video.media_type)
    if kind == "file":
        return _file(part, path)
    if kind == "thinking":
        thought = part.thinking
        return Thinking(thought.text, thought.signature, thought.redacted, thought.vendor, thought.id)
    return Text(part.text, _mark(part))


def _media(media: chat_pb2.Image | chat_pb2.Audio | chat_pb2.Video, path: str) -> dict[str, str]:
    """Address or base64 text; exactly one is not empty."""
    if not media.url and not media.data:
        raise InvalidRequest(f"`{path}` needs `url` or `data`", param=path)
    return {"url": media.url, "data": base64.b64encode(media.data).decode()}


def _file(part: chat_pb2.Part, path: str) -> File:
    file = part.file
    source = file.WhichOneof("source")
    if source is None or not getattr(file, source):
        raise InvalidRequest(f"`{path}.file` needs `url`, `data`, `text` or `file_id`", param=f"{path}.file")
    return File(
        url=file.url,
        data=base64.b64encode(file.data).decode(),
        text=file.text,
        file_id=file.file_id,
        media_type=file.media_type,
        name=file.name,
        context=file.context,
        citations=file.citations,
        cache_control=_mark(part),
    )
