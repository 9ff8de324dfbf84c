"""A chat request in OpenAI's wire format."""

from __future__ import annotations

from typing import Any

from services.core.policy.provider_types import quirks_of
from services.core.policy.snapshot import Target
from services.core.policy.vendors import Quirks
from services.dataplane.exchange import (
    ChatRequest,
    Image,
    Message,
    Part,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
)
from services.dataplane.providers.openai_fit import fit
from services.dataplane.translation import Untranslatable


def encode_body(request: ChatRequest, target: Target) -> tuple[dict[str, Any], list[str]]:
    """The body of `request`, and what was dropped on the way.

    Raises:
        Untranslatable: A demand of the request has no translation.
    """
    dropped: list[str] = []
    quirks = quirks_of(target.provider.type)
    if quirks.max_stops and len(request.stop) > quirks.max_stops:
        told = f"the provider takes at most {quirks.max_stops} stop sequences, not {len(request.stop)}"
        raise Untranslatable.because(told)
    body: dict[str, Any] = {"model": target.upstream_model, "messages": _messages(request.messages, quirks)}
    if request.tools:
        body["tools"] = [_tool(tool) for tool in request.tools]
    if request.tool_choice:
        body["tool_choice"] = _tool_choice(request.tool_choice)
    if request.parallel_tool_calls is not None and request.tools:
        body["parallel_tool_calls"] = request.parallel_tool_calls
    if request.max_tokens is not None:
        body[quirks.limit] = request.max_tokens
    simple = {
        "temperature": request.temperature,
        "top_p": request.top_p,
        "seed": request.seed,
        "frequency_penalty": request.frequency_penalty,
        "presence_penalty": request.presence_penalty,
        "response_format": request.response_format,
        "reasoning_effort": request.reasoning_effort or effort_of(request.reasoning_budget),
        "user": request.user or None,
        "stop": list(request.stop) or None,
    }
    body.update({name: value for name, value in simple.items() if value is not None})
    if request.top_k is not None:
        dropped.append("top_k was dropped: OpenAI's format has no such field")
    _note_losses(request, dropped)
    if request.stream:
        body["stream"] = True
        body["stream_options"] = {"include_usage": True}
    return body, [*dropped, *fit(body, target)]


def effort_of(budget: int | None) -> str | None:
    """A reasoning effort for a budget of tokens; None: not said."""
    if budget is None:
        return None
    if budget <= 0:
        return "none"
    return "low" if budget <= 2_048 else "medium" if budget <= 8_192 else "high"


def _note_losses(request: ChatRequest, dropped: list[str]) -> None:
    """What OpenAI's messages and tools cannot say, once each."""
    parts = [p for m in request.messages for p in m.parts]
    if any(isinstance(p, Thinking) for p in parts):
        dropped.append("reasoning of earlier turns was dropped: OpenAI's format cannot carry it")
    inner = [p for part in parts if isinstance(part, ToolResult) for p in part.content]
    if request.messages and request.messages[-1].role == "assistant":
        dropped.append("the beginning of an answer is not continued: OpenAI's models begin a new one")
    marked = any(getattr(p, "cache_control", None) for p in (*parts, *inner, *request.tools))
    if marked:
        dropped.append("cache_control was dropped: OpenAI's format has no such field")


def _messages(messages: tuple[Message, ...], quirks: Quirks) -> list[dict[str, Any]]:
    encoded: list[dict[str, Any]] = []
    for message in messages:
        results = [p for p in message.parts if isinstance(p, ToolResult)]
        encoded.extend(_tool_message(result) for result in results)
        # Tool messages hold text only, so images of results follow as a message of the user.
        pictures = [p for result in results for p in result.content if isinstance(p, Image)]
        if pictures:
            encoded.append({"role": "user", "content": [_part(p) for p in pictures]})
        rest = tuple(p for p in message.parts if not isinstance(p, (ToolResult, Thinking)))
        if rest or not message.parts:
            encoded.append(_message(message, rest, quirks))
    return encoded


def _message(message: Message, parts: tuple[Part, ...], quirks: Quirks) -> dict[str, Any]:
    role = "system" if message.role == "developer" and not quirks.developer else message.role
    body: dict[str, Any] = {"role": role}
    if message.name and quirks.names:
        body["name"] = message.name
    shown = [p for p in parts if isinstance(p, (Text, Image))]
    calls = [p for p in parts if isinstance(p, ToolCall)]
    if calls:
        body["tool_calls"] = [
            {"id": c.id, "type": "function", "function": {"name": c.name, "arguments": c.arguments}} for c in calls
        ]
    if all(isinstance(p, Text) for p in shown):
        text = "".join(p.text for p in shown if isinstance(p, Text))
        body["content"] = text if len(shown) <= 1 else [_part(p) for p in shown]
        if calls and not shown:
            body["content"] = None
    else:
        body["content"] = [_part(p) for p in shown]
    return body


def _tool_message(result: ToolResult) -> dict[str, Any]:
    text = "\n".join(p.text for p in result.content if isinstance(p, Text))
    return {"role": "tool", "tool_call_id": result.call_id, "content": f"Error: {text}" if result.is_error else text}


def _part(part: Text | Image) -> dict[str, Any]:
    if isinstance(part, Text):
        return {"type": "text", "text": part.text}
    url = part.url or f"data:{part.media_type or 'image/png'};base64,{part.data}"
    return {"type": "image_url", "image_url": {"url": url, **({"detail": part.detail} if part.detail else {})}}


def _tool(tool: Tool) -> dict[str, Any]:
    function: dict[str, Any] = {"name": tool.name}
    if tool.description:
        function["description"] = tool.description
    if tool.parameters is not None:
        function["parameters"] = tool.parameters
    if tool.strict is not None:
        function["strict"] = tool.strict
    return {"type": "function", "function": function}


def _tool_choice(choice: str) -> Any:
    if choice.startswith("tool:"):
        return {"type": "function", "function": {"name": choice.removeprefix("tool:")}}
    return choice
