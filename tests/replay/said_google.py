"""What a recorded answer of Gemini's says, read as plain JSON: whole, as a list, or as server-sent events."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from tests.replay.said import Said, Tokens

_FINISHES = {"STOP": "stop", 1: "stop", "MAX_TOKENS": "length", "SAFETY": "content_filter"}
_FINISHES |= {"RECITATION": "content_filter"}

Value = dict[str, Any]


class NoAnswer(Exception):
    """The recording holds none: the prompt was blocked, the model failed, or there is nothing in it."""


def chunks_of(body: bytes) -> list[Value]:
    """The chunks of a recording, in order."""
    text = body.decode()
    if not text.lstrip().startswith(("{", "[")):
        lines = re.split(r"\r\n|\n|\r", text)
        return [json.loads(line.removeprefix("data:")) for line in lines if line.startswith("data:")]
    value = json.loads(text)
    return value if isinstance(value, list) else [value]


def parts_of(chunks: list[Value]) -> Iterator[Value]:
    """The parts of the first candidate, over all chunks."""
    for candidate in candidates_of(chunks):
        yield from (candidate.get("content") or {}).get("parts") or []


def candidates_of(chunks: list[Value]) -> Iterator[Value]:
    for chunk in chunks:
        yield from (c for c in chunk.get("candidates") or [] if not c.get("index"))


def text_of(chunks: list[Value]) -> str:
    return "".join(p.get("text") or "" for p in parts_of(chunks) if not p.get("thought"))


def read_google(body: bytes) -> Said:
    """The answer of a recording.

    Raises:
        NoAnswer: There is none.
    """
    chunks = chunks_of(body)
    feedback: Value = {name: v for c in chunks for name, v in (c.get("promptFeedback") or {}).items()}
    if any("error" in c for c in chunks) or feedback.keys() & {"blockReason", "blockReasonMessage"}:
        raise NoAnswer
    calls = tuple(_calls(chunks))
    parts = list(parts_of(chunks))
    finishes = [c["finishReason"] for c in candidates_of(chunks) if c.get("finishReason")]
    if finishes and finishes[-1] in {"OTHER", "UNEXPECTED_TOOL_CALL", "MALFORMED_FUNCTION_CALL"}:
        raise NoAnswer
    if not parts and not finishes:
        raise NoAnswer
    finish = _FINISHES.get(finishes[-1] if finishes else "STOP", "stop")
    reasoning = "".join(p.get("text") or "" for p in parts if p.get("thought"))
    return Said(
        text_of(chunks), calls, "tool_calls" if calls and finish == "stop" else finish, _tokens(chunks), reasoning
    )


def _tokens(chunks: list[Value]) -> Tokens:
    """The last usage that counts anything."""
    counted = [
        u for c in chunks if (u := c.get("usageMetadata") or {}).keys() & {"promptTokenCount", "candidatesTokenCount"}
    ]
    usage: Mapping[str, Any] = counted[-1] if counted else {}
    given = usage.get("promptTokenCount", 0) + usage.get("toolUsePromptTokenCount", 0)
    thoughts = usage.get("thoughtsTokenCount", 0)
    made = usage.get("candidatesTokenCount", 0) + thoughts
    return Tokens(given, made, usage.get("cachedContentTokenCount", 0), 0, thoughts)


def _calls(chunks: list[Value]) -> Iterator[tuple[str, Any]]:
    """Calls, whole or in pieces: a piece without a name goes on with the call before it."""
    name, args = "", {}
    for call in (p["functionCall"] for p in parts_of(chunks) if "functionCall" in p):
        if "name" in call:
            if name:
                yield name, args
            name, args = call["name"], dict(call.get("args") or {})
        for piece in call.get("partialArgs") or []:
            _put(args, piece)
    if name:
        yield name, args


def _put(args: Value, piece: Value) -> None:
    *path, last = [int(s) if s.isdigit() else s for s in re.findall(r"\w+", piece["jsonPath"])]
    at: Any = args
    for step, following in zip(path, [*path, last][1:], strict=True):
        fresh: Any = [] if isinstance(following, int) else {}
        if isinstance(at, list):
            at += [fresh] if len(at) == step else []
        else:
            at.setdefault(step, fresh)
        at = at[step]
    if isinstance(at, list) and len(at) == last:
        at.append("")
    if "numberValue" in piece:
        at[last] = piece["numberValue"]
    elif isinstance(at, list):
        at[last] += piece["stringValue"]
    else:
        at[last] = at.get(last, "") + piece["stringValue"]
