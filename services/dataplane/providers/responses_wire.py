"""What answers of OpenAI's Responses API look like on the wire: only the fields that are read, decoded by type.

Items, parts and annotations stay plain values: servers add kinds of them faster than anybody
can follow, and one that is not known must not spoil the answer that it is a part of.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from services.core.numbers import is_whole
from services.dataplane.exchange import Citation, Image, Text, Thinking, ToolCall
from services.dataplane.providers.openai_wire import Seconds
from services.dataplane.providers.service_tiers import tier_told
from services.dataplane.providers.told_cost import told_cost
from services.dataplane.translation import TokenUsage

Item = Mapping[str, Any]

MEDIA_TYPES: Mapping[str, str] = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp"}
"""Of pictures that the model made, by `output_format`."""

_SILENT = {"message", "reasoning", "function_call", "image_generation_call", "web_search_call"}
"""Items that are translated; what a web search found is in the citations."""


class InputDetails(msgspec.Struct):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class OutputDetails(msgspec.Struct):
    reasoning_tokens: int | None = None


class WireUsage(msgspec.Struct):
    input_tokens: int | None = None
    output_tokens: int | None = None
    input_tokens_details: InputDetails | None = None
    output_tokens_details: OutputDetails | None = None
    cost: Any = None
    cost_details: Any = None
    cost_in_usd_ticks: Any = None
    is_byok: Any = None


class WireIncomplete(msgspec.Struct):
    reason: str | None = None


class WireResponse(msgspec.Struct):
    """A whole answer, or the answer so far in an event of its life cycle."""

    id: str | None = None
    object: str | None = None
    created_at: Seconds | None = None
    status: str | None = None
    error: Any = None
    incomplete_details: WireIncomplete | None = None
    output: list[Any] | None = None
    service_tier: Any = None
    usage: WireUsage | None = None


class WireEvent(msgspec.Struct):
    """One event of a stream."""

    type: str = ""
    response: WireResponse | None = None
    item: Any = None
    output_index: int | None = None
    item_id: str | None = None
    delta: Any = None
    part: Any = None
    annotation: Any = None
    logprobs: Any = None
    error: Any = None
    sequence_number: int | None = None


decode_response = msgspec.json.Decoder(WireResponse, strict=False).decode
decode_event = msgspec.json.Decoder(WireEvent, strict=False).decode

TERMINALS = frozenset({"response.completed", "response.incomplete", "response.failed"})
LIFE = frozenset({"response.created", "response.in_progress", "response.queued"})
"""Events that carry the response as a whole, before the last one."""

ENDED = frozenset({"completed", "complete", "incomplete"})
"""Statuses of an answer that is there; some servers drop the last letter."""
WAITING = frozenset({"queued", "in_progress"})
"""Statuses of an answer that is made in the background."""

_NO_INPUT = InputDetails()
_NO_OUTPUT = OutputDetails()


def to_usage(usage: WireUsage, output: Sequence[Any] = (), tier: Any = None) -> TokenUsage:
    """Tokens in our sense: the API counts cached tokens in the input and reasoning in the output, as we do.

    Args:
        output: The items of the answer, which tell the searches.
        tier: What the answer says of its service tier.
    """
    before, after = usage.input_tokens_details or _NO_INPUT, usage.output_tokens_details or _NO_OUTPUT
    given, made = usage.input_tokens or 0, usage.output_tokens or 0
    reasoning = after.reasoning_tokens or 0
    return TokenUsage(
        input_tokens=given,
        output_tokens=max(made, reasoning),
        cache_read_tokens=min(before.cached_tokens or 0, given),
        cache_write_tokens=before.cache_write_tokens or 0,
        reasoning_tokens=reasoning,
        searches=sum(isinstance(i, Mapping) and i.get("type") == "web_search_call" for i in output),
        cost_usd=told_cost(usage.cost, usage.cost_details, usage.cost_in_usd_ticks, usage.is_byok),
        service_tier=tier_told(tier),
    )


def finish_of(response: WireResponse, *, called: bool, refused: bool) -> str:
    """The finish reason in the exchange model's words."""
    reason = response.incomplete_details.reason if response.incomplete_details is not None else None
    if reason == "content_filter":
        return "content_filter"
    if response.status == "incomplete" or reason:
        return "length"
    return "tool_calls" if called else "content_filter" if refused else "stop"


def items_of(response: WireResponse) -> list[Item]:
    """The items of an answer that are items."""
    return [item for item in response.output or () if isinstance(item, Mapping)]


def parts_of(item: Item) -> list[Text | Thinking | ToolCall | Image]:
    """What an item holds in the exchange model's words; nothing of an item that has no place in it."""
    kind = item.get("type")
    if kind == "message":
        return [part for piece in pieces_of(item, "content") if (part := _part(piece)) is not None]
    if kind == "reasoning":
        return [found] if (found := thinking_of(item)) is not None else []
    if kind == "function_call":
        return [ToolCall(call_id(item), text_in(item, "name"), text_in(item, "arguments") or "{}")]
    if kind == "image_generation_call" and text_in(item, "result"):
        return [image_of(item)]
    return []


def pieces_of(item: Item, name: str) -> list[Item]:
    """The objects of a list member."""
    found = item.get(name)
    return [piece for piece in found if isinstance(piece, Mapping)] if isinstance(found, list) else []


def _part(piece: Item) -> Text | None:
    if piece.get("type") == "refusal":
        refusal = text_in(piece, "refusal")
        return Text(refusal) if refusal else None
    text = text_in(piece, "text")
    citations = tuple(c for note in pieces_of(piece, "annotations") if (c := citation_of(note)) is not None)
    return Text(text, citations=citations, logprobs=logprobs_of(piece.get("logprobs"))) if text else None


def is_refusal(item: Item) -> bool:
    """Whether a message refuses."""
    return any(piece.get("type") == "refusal" for piece in pieces_of(item, "content"))


def thinking_of(item: Item) -> Thinking | None:
    """A reasoning item; None: it tells nothing and proves nothing."""
    proof = text_in(item, "encrypted_content")
    text = thought_of(item)
    if not text and not proof:
        return None
    return Thinking(text, proof, vendor=vendor_of(proof), id=text_in(item, "id"))


def thought_of(item: Item) -> str:
    """The text of a reasoning item: the reasoning itself where an open model shows it, else its summary."""
    told = "".join(text_in(piece, "text") for piece in pieces_of(item, "content"))
    return told or "\n\n".join(text for piece in pieces_of(item, "summary") if (text := text_in(piece, "text")))


def vendor_of(proof: str) -> str:
    """Who can read encrypted reasoning. OpenAI's is a Fernet token; others' is for themselves, whoever they are."""
    if not proof:
        return ""
    return "openai" if proof.startswith("gAAAA") else "responses"


def call_id(item: Item) -> str:
    """The id by which the answer to a call names it."""
    return text_in(item, "call_id") or text_in(item, "id")


def image_of(item: Item) -> Image:
    """A picture that the model made."""
    return Image(data=text_in(item, "result"), media_type=MEDIA_TYPES.get(text_in(item, "output_format"), "image/png"))


def citation_of(note: Item) -> Citation | None:
    """An annotation; None: it is no source, such as the path of a file that the model wrote."""
    kind = note.get("type")
    start, end = number_in(note, "start_index"), number_in(note, "end_index")
    if kind == "url_citation":
        return Citation(url=text_in(note, "url"), title=text_in(note, "title"), start=start, end=end)
    if kind in ("file_citation", "container_file_citation"):
        return Citation(title=text_in(note, "filename") or text_in(note, "file_id"), start=start, end=end)
    return None


def logprobs_of(value: Any) -> tuple[Item, ...]:
    """Log probabilities of tokens; empty when there are none."""
    return tuple(entry for entry in value if isinstance(entry, Mapping)) if isinstance(value, list) else ()


class Places:
    """The place of every item in the output of a stream; llama.cpp names items and leaves their places out."""

    def __init__(self) -> None:
        self._by_id: dict[str, int] = {}
        self._last = -1

    def of(self, event: WireEvent) -> int:
        """The place of the item that an event is about; one that does not say which is about the last one."""
        named = text_in(event.item, "id") if isinstance(event.item, Mapping) else event.item_id or ""
        place = self._by_id.get(named) if event.output_index is None else event.output_index
        if place is None:
            begins = event.type == "response.output_item.added" or self._last < 0
            place = self._last + 1 if begins else self._last
        self._last = max(self._last, place)
        if named:
            self._by_id[named] = place
        return place


def has_no_place(item: Item) -> str:
    """What to tell of an item that no other API can show; empty: it can be shown."""
    kind = text_in(item, "type")
    return "" if kind in _SILENT or not kind else f"an item of type {kind[:60]} was dropped: it has no translation"


def text_in(value: Item, name: str) -> str:
    """A text member; empty when it is something else."""
    found = value.get(name)
    return found if isinstance(found, str) else ""


def number_in(value: Item, name: str) -> int | None:
    """A whole number; None when it is something else."""
    found = value.get(name)
    return found if is_whole(found) else None


def shows(item: Any) -> bool:
    """Whether an item shows the caller anything: text, a call, readable reasoning, a picture, what a tool did."""
    if not isinstance(item, Mapping):
        return False
    if item.get("type") == "message":
        return any(text_in(p, "text") or text_in(p, "refusal") for p in pieces_of(item, "content"))
    if item.get("type") == "reasoning":
        return bool(thought_of(item))
    return bool(item.get("type"))


def is_empty(response: WireResponse) -> bool:
    """Whether an answer that is done holds nothing and no reason for it; tokens that were spent are a reason."""
    if response.incomplete_details is not None or response.status in {"incomplete", *WAITING}:
        return False
    spent = (response.usage.output_tokens or 0) if response.usage is not None else 0
    return not spent and not any(shows(item) for item in response.output or ())
