"""What a caller reads from an answer, whole or streamed, through the official SDK of its dialect.

`Read.whole` is everything that the SDK shows but what Turnout sets itself: in the
same dialect nothing else may differ. `Said` is what an answer says whatever the
dialect: that much must survive a crossing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jiter
from turnout.inference.v1 import chat_pb2

from services.dataplane.dialects.typed_write import split_events
from tests.replay.cohere import cohere_answer
from tests.replay.converse import converse_answer
from tests.replay.run import TYPED
from tests.replay.said import Said, Tokens
from tests.replay.said_google import read_google
from tests.replay.sdk import (
    anthropic_answer,
    anthropic_streamed,
    openai_answer,
    openai_chunks,
    openai_events,
    openai_response,
)

OURS = ("model", "metadata")
OURS_IN_RESPONSES = ("model", "turnout_metadata")
_ONCE = {"role", "id", "type", "name", "finish_reason", "native_finish_reason", "format", "signature"}
"""Texts that a stream repeats or sets, but never continues."""

Value = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Read:
    """An answer as the SDK shows it."""

    whole: Value
    said: Said


def read(api: str, body: bytes, *, stream: bool) -> Read:
    """Read an answer of `api`.

    Raises:
        Exception: What the SDK raises, or what a caller would run into who takes this for an answer.
    """
    if api == "chat.completions":
        return _read_openai(body, stream=stream)
    if api == "converse":
        return _read_converse(body, stream=stream)
    if api == "cohere":
        return _read_cohere(body, stream=stream)
    if api == TYPED:
        return Read({}, _read_typed(body, stream=stream))
    if api in {"generateContent", "streamGenerateContent"}:
        return Read({}, read_google(body))
    return _read_responses(body, stream=stream) if api == "responses" else _read_anthropic(body, stream=stream)


def _read_openai(body: bytes, *, stream: bool) -> Read:
    whole = _chunks(body) if stream else openai_answer(body).model_dump(exclude_unset=True, warnings=False)
    choice = whole["choices"][0]
    message = choice["delta" if stream else "message"]
    whole["usage"] = usage = _without(whole.get("usage") or {}, ("cost",))
    calls = [(c.get("function") or {}) for c in message.get("tool_calls") or []]
    legacy = message.get("function_call") or {}
    calls += [legacy] if legacy.get("name") else []
    finish = {"eos": "stop", "function_call": "tool_calls"}.get(
        choice.get("finish_reason"), choice.get("finish_reason")
    )
    if calls and finish in {"stop", "", None}:
        finish = "tool_calls"  # a forced tool ends with "stop" there
    elif message.get("refusal") and finish == "stop":
        finish = "content_filter"
    said = Said(
        # What was spoken is text in a protocol that holds no sound.
        _text(message.get("content")) or message.get("refusal") or (message.get("audio") or {}).get("transcript") or "",
        tuple((c.get("name") or "", _json(c.get("arguments"))) for c in calls),
        finish or "stop",
        _openai_tokens(usage),
        message.get("reasoning_content") or message.get("reasoning") or _told_elsewhere(message),
        _openai_sources(whole, message),
    )
    return Read(_without(whole, OURS), said)


def _openai_sources(whole: Value, message: Value) -> tuple[str, ...]:
    told = [a["url_citation"] for a in message.get("annotations") or [] if a.get("type") == "url_citation"]
    # Perplexity names them for the answer as a whole, in every chunk anew.
    found = told or list({s["url"]: s for s in whole.get("search_results") or []}.values())
    # One without either cannot be cited.
    return tuple(named for s in found if (named := s.get("url") or s.get("title")))


def _chunks(body: bytes) -> Value:
    """A stream added up: texts continued, lists joined, all else as it came last."""
    whole: Value = {}
    choices: dict[int, Value] = {}
    for chunk in openai_chunks(body):
        value = chunk.model_dump(exclude_unset=True, warnings=False)
        for choice in value.pop("choices", None) or []:
            _add(choices.setdefault(choice.get("index") or 0, {"delta": {}}), choice)
        whole.update({name: found for name, found in value.items() if found is not None})
    whole["choices"] = [choice for _, choice in sorted(choices.items())]
    return whole


def _add(into: Value, piece: Value) -> None:
    for name, value in piece.items():
        old = into.get(name)
        if isinstance(value, dict) and isinstance(old, dict):
            _add(old, value)
        elif isinstance(value, list) and name == "tool_calls":
            into[name] = _calls(old or [], value)
        elif isinstance(value, str) and isinstance(old, list):
            into[name] = [*old, {"type": "text", "text": value}]  # Mistral: reasoning as parts, then text
        elif type(value) is type(old) and isinstance(value, (str, list)) and name not in _ONCE:
            into[name] = old + value
        elif value or not old:
            into[name] = value


def _calls(known: list[Value], pieces: list[Value]) -> list[Value]:
    by_index = {call["index"]: call for call in known}
    for position, piece in enumerate(pieces):
        number = position if piece.get("index") is None else piece["index"]
        _add(by_index.setdefault(number, {"index": number}), {**piece, "index": number})
    return list(by_index.values())


def _openai_tokens(usage: Mapping[str, Any]) -> Tokens:
    """Tokens by the provider's own total, where that holds more than the two parts."""
    prompt, completion = usage.get("prompt_tokens") or 0, usage.get("completion_tokens") or 0
    before, after = usage.get("prompt_tokens_details") or {}, usage.get("completion_tokens_details") or {}
    reasoning = after.get("reasoning_tokens") or 0
    beyond = max(0, (usage.get("total_tokens") or 0) - prompt - completion)
    if beyond and beyond == before.get("audio_tokens"):
        prompt += beyond
    elif beyond:
        completion, reasoning = completion + beyond, max(reasoning, beyond)
    elif reasoning > completion:
        completion += reasoning
    read = before.get("cached_tokens") or usage.get("prompt_cache_hit_tokens") or usage.get("cached_tokens") or 0
    return Tokens(prompt, completion, min(read, prompt), before.get("cache_write_tokens") or 0, reasoning)


def _text(content: Any) -> str:
    if isinstance(content, dict):
        return json.dumps(content, separators=(",", ":"), ensure_ascii=False)
    if isinstance(content, list):
        return "".join(p.get("text") or "" for p in content if p.get("type") == "text")
    return content or ""


def _told_elsewhere(message: Value) -> str:
    """Reasoning that is given as parts of the content (Mistral), or as details (gateways)."""
    content = message.get("content")
    parts = [p for p in content if p.get("type") == "thinking"] if isinstance(content, list) else []
    told = "".join(t.get("text") or "" for p in parts for t in p["thinking"])
    return told or "".join(d.get("text") or d.get("summary") or "" for d in message.get("reasoning_details") or [])


_STOPS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}


def _read_anthropic(body: bytes, *, stream: bool) -> Read:
    message: Any = anthropic_streamed(body) if stream else anthropic_answer(body)
    whole: Value = message.model_dump(exclude_unset=True, warnings=False)
    whole["usage"] = usage = _without(whole.get("usage") or {}, ("cost",))
    content = whole["content"]
    said = Said(
        "".join(b["text"] for b in content if b["type"] == "text"),
        tuple((b["name"], b["input"]) for b in content if b["type"] == "tool_use"),
        _STOPS[whole["stop_reason"]],
        _anthropic_tokens(usage),
        "".join(b["thinking"] for b in content if b["type"] == "thinking"),
        tuple(
            named
            for b in content
            if b["type"] == "text"
            for c in b.get("citations") or []
            if (named := c.get("url") or c.get("source") or c.get("document_title") or c.get("title"))
        ),
    )
    return Read(_without(whole, OURS), said)


_FINISHES = {"COMPLETE": "stop", "STOP_SEQUENCE": "stop", "MAX_TOKENS": "length", "TOOL_CALL": "tool_calls"}


def _read_converse(body: bytes, *, stream: bool) -> Read:
    """Calls of Bedrock's own tools are none of the caller's; a call that ends a turn is one, whatever the reason says."""
    answer = converse_answer(body, stream=stream)
    finish = "tool_calls" if answer.calls and answer.finish == "stop" else answer.finish
    read, write = answer.usage.get("cacheReadInputTokens", 0), answer.usage.get("cacheWriteInputTokens", 0)
    fresh, output = answer.usage.get("inputTokens", 0), answer.usage.get("outputTokens", 0)
    return Read(
        {}, Said(answer.text, answer.calls, finish, Tokens(fresh + read + write, output, read, write), answer.reasoning)
    )


def _read_cohere(body: bytes, *, stream: bool) -> Read:
    answer = cohere_answer(body, stream=stream)
    message, usage = answer["message"], answer.get("usage") or {}
    content, tokens = message.get("content") or [], usage.get("tokens") or {}
    given, made = tokens.get("input_tokens") or 0, tokens.get("output_tokens") or 0
    cached = min(usage.get("cached_tokens") or 0, given)
    said = Said(
        "".join(c["text"] for c in content if c["type"] == "text"),
        tuple((c["function"]["name"], _json(c["function"]["arguments"])) for c in message.get("tool_calls") or []),
        _FINISHES[answer["finish_reason"]],
        Tokens(int(given), int(made), int(cached), 0, int(tokens.get("reasoning_tokens") or 0)),
        (message.get("tool_plan") or "") + "".join(c["thinking"] for c in content if c["type"] == "thinking"),
    )
    return Read(answer, said)


def _read_responses(body: bytes, *, stream: bool) -> Read:
    """A response, or the events of its stream; what a stream says is what its last event holds."""
    if not stream:
        whole: Value = _response(openai_response(body).model_dump(exclude_unset=True, warnings=False))
        return Read(whole, _said_in_response(whole))
    events = [event.model_dump(exclude_unset=True, warnings=False) for event in openai_events(body)]
    for event in events:
        if isinstance(event.get("response"), dict):
            event["response"] = _response(event["response"])
    last = events[-1]["response"]
    if not last.get("output"):
        # LM Studio and some fixtures tell the items one by one only.
        last = {**last, "output": [e["item"] for e in events if e["type"] == "response.output_item.done"]}
    return Read({"events": events}, _said_in_response(last))


def _response(value: Value) -> Value:
    value = _without(value, OURS_IN_RESPONSES)
    return {**value, "usage": _without(value["usage"], ("cost",))} if value.get("usage") else value


def _said_in_response(response: Value) -> Said:
    items = response["output"]
    texts = [part for item in items if item["type"] == "message" for part in item.get("content") or []]
    calls = [item for item in items if item["type"] == "function_call"]
    refused = any(part.get("type") == "refusal" for part in texts)
    why = (response.get("incomplete_details") or {}).get("reason")
    finish = "tool_calls" if calls else "content_filter" if refused else "stop"
    if why or response.get("status") == "incomplete":
        finish = "content_filter" if why == "content_filter" else "length"
    return Said(
        "".join(part.get("text") or part.get("refusal") or "" for part in texts),
        tuple((call["name"], _json(call["arguments"])) for call in calls),
        finish,
        _response_tokens(response.get("usage") or {}),
        "".join(_thought(item) for item in items if item["type"] == "reasoning"),
    )


def _thought(item: Value) -> str:
    told = "".join(part.get("text") or "" for part in item.get("content") or [])
    return told or "\n\n".join(part["text"] for part in item.get("summary") or [] if part.get("text"))


def _response_tokens(usage: Mapping[str, Any]) -> Tokens:
    before, after = usage.get("input_tokens_details") or {}, usage.get("output_tokens_details") or {}
    return Tokens(
        usage.get("input_tokens") or 0,
        usage.get("output_tokens") or 0,
        before.get("cached_tokens") or 0,
        before.get("cache_write_tokens") or 0,
        after.get("reasoning_tokens") or 0,
    )


def _anthropic_tokens(usage: Mapping[str, Any]) -> Tokens:
    read, write = usage.get("cache_read_input_tokens") or 0, usage.get("cache_creation_input_tokens") or 0
    details = usage.get("output_tokens_details") or {}
    fresh, output = usage.get("input_tokens") or 0, usage.get("output_tokens") or 0
    return Tokens(fresh + read + write, output, read, write, details.get("thinking_tokens") or 0)


def _read_typed(body: bytes, *, stream: bool) -> Said:
    if not stream:
        answer = chat_pb2.ChatResponse.FromString(body)
        calls = tuple((c.name, _json(c.arguments)) for c in answer.message.tool_calls)
        text = "".join(p.text for p in answer.message.parts)
        cited = tuple(c.url or c.title for p in answer.message.parts for c in p.citations if c.url or c.title)
        return Said(text, calls, answer.finish_reason, Tokens(), answer.reasoning, cited)
    events = list(split_events(body))
    found: dict[int, list[str]] = {}
    for delta in (e.tool_call for e in events if e.WhichOneof("event") == "tool_call"):
        call = found.setdefault(delta.index, ["", ""])
        call[0] += delta.name
        call[1] += delta.arguments
    calls = tuple((name, _json(arguments)) for name, arguments in found.values())
    text, reasoning = "".join(e.text for e in events), "".join(e.reasoning for e in events)
    told = (e.citation for e in events if e.WhichOneof("event") == "citation")
    cited = tuple(c.url or c.title for c in told if c.url or c.title)
    return Said(text, calls, events[-1].end.finish_reason, Tokens(), reasoning, cited)


def _json(arguments: Any) -> Any:
    """Arguments decoded; cut ones as far as they go, as Anthropic's SDK reads them."""
    if not isinstance(arguments, str):
        return arguments or {}
    try:
        return jiter.from_json(arguments.encode() or b"{}", partial_mode=True)
    except ValueError:
        return {"arguments": arguments}


def _without(value: Value, names: tuple[str, ...]) -> Value:
    return {name: found for name, found in value.items() if name not in names}
