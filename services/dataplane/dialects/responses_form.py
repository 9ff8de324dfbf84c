"""The objects of a Responses answer: items, the response around them, usage, and where a stream of them stands."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from services.dataplane.exchange import Audio, Citation, Image, Text, Thinking, ToolCall
from services.dataplane.members import Members
from services.dataplane.proofs import CALL, RESPONSES, sealed
from services.dataplane.translation import TokenUsage

METADATA = "turnout_metadata"
"""Where the evidence is: `metadata` is the API's own, and the caller's (ADR 0022)."""

ECHOED = (
    "instructions", "max_output_tokens", "metadata", "parallel_tool_calls", "prompt_cache_key", "reasoning",
    "safety_identifier", "service_tier", "temperature", "text", "tool_choice", "tools", "top_logprobs", "top_p",
    "truncation", "user",
)  # fmt: skip
"""What an answer repeats of its request."""

_DEFAULTS: Mapping[str, Any] = {
    "background": False,
    "error": None,
    "incomplete_details": None,
    "instructions": None,
    "max_output_tokens": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "reasoning": {"effort": None, "summary": None},
    "store": False,
    "temperature": None,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_p": None,
    "truncation": "disabled",
}
_NOT_IN_IDS = re.compile(r"[^A-Za-z0-9_]+")


@dataclass(slots=True)
class Seam:
    """Where a caller's stream stands, so that another answer can go on behind it.

    Attributes:
        sequence: Number of the next event.
        items: Items that are done, ready for JSON.
        open: Id of the message that is open; empty: none is.
        index: Place of the open message, or of the next item.
        part: The text part of the open message takes more text.
        texts: Text of the open message.
    """

    sequence: int = 0
    items: list[Any] = field(default_factory=list)
    open: str = ""
    index: int = 0
    part: bool = False
    texts: list[str] = field(default_factory=list)


def echo_of(members: Members) -> Mapping[str, Any]:
    """What an answer repeats of its request, each value as it came, and the API's defaults for the rest."""
    found: dict[str, Any] = {**_DEFAULTS, **{name: members[name] for name in ECHOED if name in members}}
    for name in ("parallel_tool_calls", "metadata", "reasoning", "text", "tool_choice", "tools"):
        if isinstance(found[name], msgspec.Raw) and bytes(found[name]) == b"null":
            found[name] = _DEFAULTS[name]
    return found


def response_form(
    response_id: str, created: int, model: str, status: str, output: list[Any], echo: Mapping[str, Any]
) -> dict[str, Any]:
    """A response; `usage` and what is beyond the protocol are the caller's to add."""
    head = {"id": response_id, "object": "response", "created_at": created, "status": status}
    return {**head, **echo, "model": model, "output": output, "usage": None}


def ending(finish: str) -> tuple[str, dict[str, str] | None]:
    """Status and `incomplete_details` for a finish reason."""
    reason = {"length": "max_output_tokens", "content_filter": "content_filter"}.get(finish)
    return ("completed", None) if reason is None else ("incomplete", {"reason": reason})


def tier_form(usage: TokenUsage | None) -> dict[str, str]:
    """The service tier of an answer, in place of the one that was asked for; none if the provider named none."""
    return {"service_tier": usage.service_tier} if usage is not None and usage.service_tier else {}


def usage_form(usage: TokenUsage | None, cost_usd: float | None) -> dict[str, Any] | None:
    """Usage in the API's shape, with its cost where that is known."""
    if usage is None:
        return None
    form: dict[str, Any] = {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {
            "cached_tokens": usage.cache_read_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
        },
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }
    return form if cost_usd is None else {**form, "cost": cost_usd}


def item_id(kind: str, response_id: str, index: int) -> str:
    """An id for item `index`; `kind` is the prefix that OpenAI gives its ids: msg, rs, fc, ig."""
    return f"{kind}_{_NOT_IN_IDS.sub('', response_id)[-40:]}_{index}"


def message_item(own_id: str, content: list[Any], status: str = "completed") -> dict[str, Any]:
    return {"id": own_id, "type": "message", "status": status, "role": "assistant", "content": content}


def text_part(text: str, annotations: list[Any] | None = None, logprobs: Any = ()) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": annotations or [], "logprobs": list(logprobs)}


def reasoning_item(own_id: str, thinking: Thinking, status: str = "completed") -> dict[str, Any]:
    summary = [{"type": "summary_text", "text": thinking.text}] if thinking.text else []
    item: dict[str, Any] = {"id": thinking.id or own_id, "type": "reasoning", "summary": summary, "status": status}
    proof = sealed(thinking, RESPONSES)
    return {**item, "encrypted_content": proof} if proof else item


def proof_of(call: ToolCall) -> Thinking:
    """Reasoning that carries the proof of the call behind it, as callers send such items back untouched."""
    return Thinking(signature=call.signature, vendor=CALL)


def call_item(own_id: str, call: ToolCall, status: str = "completed") -> dict[str, Any]:
    head = {"id": own_id, "type": "function_call", "status": status}
    return {**head, "call_id": call.id, "name": call.name, "arguments": call.arguments}


def image_item(own_id: str, image: Image) -> dict[str, Any]:
    """A picture by value; by address it is text, see `image_text`."""
    kind = (image.media_type or "image/png").partition("/")[2]
    head = {"id": own_id, "type": "image_generation_call", "status": "completed"}
    return {**head, "result": image.data, "output_format": kind}


def image_text(image: Image) -> str:
    """A picture that has an address only, which the API has no item for."""
    return f"![image]({image.url})"


def annotation(citation: Citation, text_length: int) -> dict[str, Any]:
    """A citation as an annotation; without a place it belongs to all of the text."""
    start = citation.start if citation.start is not None else 0
    end = citation.end if citation.end is not None else text_length
    if citation.url or citation.document is None:
        head = {"type": "url_citation", "url": citation.url, "title": citation.title}
        return {**head, "start_index": start, "end_index": end}
    return {"type": "file_citation", "file_id": "", "filename": citation.title, "index": citation.document}


def output_of(parts: tuple[Any, ...], response_id: str, status: str) -> list[dict[str, Any]]:
    """The items of a whole answer; neighbouring pieces of text are one message."""
    items: list[dict[str, Any]] = []
    for given in parts:
        index = len(items)
        part = Text(image_text(given)) if isinstance(given, Image) and not given.data else given
        if isinstance(part, Text):
            notes = [annotation(c, len(part.text)) for c in part.citations]
            content = text_part(part.text, notes, part.logprobs)
            if items and items[-1]["type"] == "message":
                items[-1]["content"].append(content)
            else:
                items.append(message_item(item_id("msg", response_id, index), [content], status))
        elif isinstance(part, Thinking):
            items.append(reasoning_item(item_id("rs", response_id, index), part))
        elif isinstance(part, ToolCall):
            if part.signature:
                items.append(reasoning_item(item_id("rs", response_id, index), proof_of(part)))
            items.append(call_item(item_id("fc", response_id, len(items)), part, status))
        elif isinstance(part, Audio) and part.transcript:
            items.append(message_item(item_id("msg", response_id, index), [text_part(part.transcript)], status))
        elif isinstance(part, Image):
            items.append(image_item(item_id("ig", response_id, index), part))
    return items
