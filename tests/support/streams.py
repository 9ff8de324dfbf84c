"""Reads streamed answers as strict clients do: the validator that every streamed test runs."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any


@dataclass
class ReadStream:
    """What a client has after a stream.

    Attributes:
        whole: The terminal event came.
        error: The in-band error, if one came.
    """

    text: str = ""
    whole: bool = False
    error: Any = None
    metadata: dict[str, Any] = field(default_factory=dict)
    ids: set[str] = field(default_factory=set)
    restarts: int = 0


def read_stream(api: str, body: str) -> ReadStream:
    """Read `body`, and fail on anything that a strict client would trip over."""
    found = read_chat(body) if api == "chat" else read_messages(body)
    assert not (found.whole and found.error), "a stream ends well or with an error, never both"
    assert len(found.ids) <= 1 + found.restarts, f"one id: {found.ids}"
    return found


def frames_of(body: str) -> list[tuple[str, str]]:
    found = []
    for block in body.split("\n\n"):
        lines = [line.partition(": ") for line in block.split("\n") if line and not line.startswith(":")]
        fields = {name: value for name, _, value in lines}
        if "data" in fields:
            found.append((fields.get("event", ""), fields["data"]))
    return found


def read_chat(body: str) -> ReadStream:
    found = ReadStream()
    starts = finishes = 0
    for _, data in frames_of(body):
        assert not found.whole, "nothing follows [DONE]"
        if data == "[DONE]":
            found.whole = True
            continue
        chunk = json.loads(data)
        found.metadata = chunk.get("metadata", found.metadata)
        if chunk.get("restart"):
            found.restarts, found.text, starts = found.restarts + 1, "", 0
            continue
        if "error" in chunk:
            found.error = chunk["error"]
            continue
        found.ids.add(chunk["id"])
        for choice in chunk["choices"]:
            starts += choice["delta"].get("role") == "assistant"
            found.text += choice["delta"].get("content") or ""
            finishes += choice.get("finish_reason") is not None
    assert starts <= 1, "exactly one start"
    assert finishes == (1 if found.whole else 0), "exactly one finish, and only at the end"
    return found


def read_messages(body: str) -> ReadStream:
    found = ReadStream()
    started, open_block, last = 0, -1, -1
    for event, data in frames_of(body):
        assert not found.whole, "nothing follows message_stop"
        value = json.loads(data)
        kind = value["type"]
        assert event == kind, f"the event line of {kind} says {event!r}"
        found.metadata = value.get("metadata", found.metadata)
        if kind == "restart":
            found.restarts, found.text, started, open_block, last = found.restarts + 1, "", 0, -1, -1
        elif kind == "message_start":
            started += 1
            found.ids.add(value["message"]["id"])
        elif kind == "content_block_start":
            assert open_block < 0, "one block is open at a time"
            assert value["index"] == last + 1, "blocks rise one by one"
            open_block = last = value["index"]
        elif kind == "content_block_delta":
            assert value["index"] == open_block, "a delta belongs to the open block"
            found.text += value["delta"].get("text", "")
        elif kind == "content_block_stop":
            assert value["index"] == open_block
            open_block = -1
        elif kind == "message_stop":
            found.whole = True
        elif kind == "error":
            found.error = value["error"]
    assert started <= 1, "exactly one start"
    assert not found.whole or open_block < 0, "every block is closed"
    return found
