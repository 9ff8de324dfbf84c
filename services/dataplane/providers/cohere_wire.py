"""What Cohere's answers look like on the wire (v2 of its chat API), read with care: nothing in them is taken for granted.

https://docs.cohere.com/reference/chat
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, TypeGuard

from services.core.numbers import MAX_COUNT, count_of, is_number, is_whole
from services.dataplane.exchange import Citation, Text, Thinking, ToolCall
from services.dataplane.translation import TokenUsage

VENDOR = "cohere"
DOCUMENT_ID = "doc:{}"
"""The id that a document of a request is given, by its index."""

_DOCUMENT = re.compile(r"doc[:-](\d{1,6})")

FINISHES = {
    "COMPLETE": "stop",
    "STOP_SEQUENCE": "stop",
    "MAX_TOKENS": "length",
    "ERROR_LIMIT": "length",
    "TOOL_CALL": "tool_calls",
    "ERROR_TOXIC": "content_filter",
}
"""Cohere's finish reasons in OpenAI's words."""

FAILURES = frozenset({"ERROR", "TIMEOUT"})
"""Finish reasons of an answer that is none."""


def member(value: Any, *names: str) -> Any:
    """What is under `names`, one inside the other; None: not there."""
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def text(value: Any) -> str:
    """A text; empty: there is none."""
    return value if isinstance(value, str) else ""


def rows(value: Any) -> list[Any]:
    """A list; one thing alone stands for a list of it, as in streams."""
    return value if isinstance(value, list) else [] if value is None else [value]


def usage_of(usage: Any) -> TokenUsage | None:
    """The tokens that the model read and wrote, and the fewer ones that are billed; one stands for the other."""
    if not isinstance(usage, Mapping) or not usage:
        return None
    paid = usage.get("billed_units")
    tokens = usage.get("tokens") or paid
    given, made = count_of(member(tokens, "input_tokens")), count_of(member(tokens, "output_tokens"))
    return TokenUsage(
        input_tokens=given,
        output_tokens=made,
        cache_read_tokens=min(count_of(usage.get("cached_tokens")), given),
        reasoning_tokens=min(count_of(member(tokens, "reasoning_tokens")), made),
        billed=(count_of(member(paid, "input_tokens")), count_of(member(paid, "output_tokens"))) if paid else None,
        searches=count_of(member(usage, "billed_units", "search_units")),
    )


def parts_of(message: Any, logprobs: Any = None) -> tuple[Text | Thinking | ToolCall, ...]:
    """The parts of a whole answer: reasoning (a plan before tools is that too), text, calls."""
    plan = text(member(message, "tool_plan"))
    parts: list[Text | Thinking | ToolCall] = [Thinking(plan, vendor=VENDOR)] if plan else []
    offsets = Offsets()
    found = rows(member(message, "citations"))
    for index, item in enumerate(rows(member(message, "content"))):
        thought, said = text(member(item, "thinking")), text(member(item, "text"))
        if thought:
            parts.append(Thinking(thought, vendor=VENDOR))
        if said:
            here = [c for c in found if _block_of(c) == index]
            offsets.add(index, said)
            cited = tuple(c for citation in here for c in citations(citation, offsets))
            parts.append(Text(said, citations=cited, logprobs=tuple(tokens_of(logprobs))))
            logprobs = None
    return (*_placed(parts, found, offsets), *calls_of(message))


def _placed(
    parts: list[Text | Thinking | ToolCall], found: list[Any], offsets: Offsets
) -> list[Text | Thinking | ToolCall]:
    """`parts` with the citations that name no block of text that is there: they go to the first one."""
    homeless = [c for c in found if not offsets.knows(_block_of(c))]
    at = next((i for i, p in enumerate(parts) if isinstance(p, Text)), None)
    if homeless and at is not None:
        first = parts[at]
        assert isinstance(first, Text), "it was looked for"
        more = tuple(c for citation in homeless for c in citations(citation, offsets))
        parts[at] = Text(first.text, citations=(*first.citations, *more), logprobs=first.logprobs)
    return parts


def _block_of(citation: Any) -> int:
    """The block of text that a citation is about."""
    return count_of(member(citation, "content_index"))


class Offsets:
    """Where the blocks of text begin in the whole text; Cohere counts within a block."""

    def __init__(self) -> None:
        self._starts: dict[int, int] = {}
        self._length = 0

    def add(self, index: int, said: str) -> None:
        """More text of block `index`."""
        self._starts.setdefault(index, self._length)
        self._length += len(said)

    def knows(self, index: int) -> bool:
        """Whether there is text in the block."""
        return index in self._starts

    def of(self, index: int) -> int:
        """The first character of the block; 0 if it is not known."""
        return self._starts.get(index, 0)


def citations(citation: Any, offsets: Offsets) -> Iterator[Citation]:
    """One for each source. Of what is cited in a plan or in reasoning, the place is not told: it is not in the text."""
    start, end = member(citation, "start"), member(citation, "end")
    spoken = text(member(citation, "type")) in {"", "TEXT_CONTENT"}
    if not spoken or not _is_place(start) or not _is_place(end):
        start = end = None
    else:
        base = offsets.of(_block_of(citation))
        start, end = start + base, end + base
    for source in rows(member(citation, "sources")):
        document = member(source, "document")
        named = text(member(source, "id"))
        number = _DOCUMENT.fullmatch(named) if text(member(source, "type")) == "document" else None
        yield Citation(
            url=text(member(document, "url")),
            title=text(member(document, "title")) or named,
            start=start,
            end=end,
            document=int(number[1]) if number is not None else None,
        )


def _is_place(value: Any) -> TypeGuard[int]:
    return is_whole(value) and 0 <= value < MAX_COUNT


def calls_in(message: Any) -> list[Any]:
    """The calls of a message as they stand on the wire; what is empty stands for none."""
    return [call for call in rows(member(message, "tool_calls")) if call]


def is_call(call: Any) -> bool:
    """Whether a call is one that somebody can act on: an object with a function's name, and arguments that are text."""
    return bool(text(member(call, "function", "name"))) and has_arguments(call)


def has_arguments(call: Any) -> bool:
    """Whether a call, or a piece of one, is an object whose arguments are text, if it has any."""
    function = member(call, "function")
    if not isinstance(call, Mapping) or not (function is None or isinstance(function, Mapping)):
        return False
    arguments = member(function, "arguments")
    return arguments is None or isinstance(arguments, str)


def calls_of(message: Any) -> list[ToolCall]:
    """The tool calls of a message, all of which are calls."""
    found = []
    for index, call in enumerate(calls_in(message)):
        function = member(call, "function")
        arguments = text(member(function, "arguments"))
        found.append(
            ToolCall(text(member(call, "id")) or f"call_{index}", text(member(function, "name")), arguments or "{}")
        )
    return found


def tokens_of(logprobs: Any) -> Iterator[Mapping[str, Any]]:
    """Log probabilities as OpenAI tells them; of a piece of several tokens, the first one carries the text."""
    for item in rows(logprobs):
        piece = text(member(item, "text"))
        for value in rows(member(item, "logprobs")):
            if is_number(value):
                yield {"token": piece, "logprob": value, "bytes": list(piece.encode()), "top_logprobs": []}
                piece = ""
