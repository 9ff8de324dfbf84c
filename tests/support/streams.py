"""Reads streamed answers as strict clients do: the validator that every streamed test runs."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from turnout.inference.v1 import chat_pb2


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
    found = READERS[api](body)
    assert not (found.whole and found.error), "a stream ends well or with an error, never both"
    assert len(found.ids) <= 1 + found.restarts, f"one id: {found.ids}"
    return found


def read_contents(body: str) -> ReadStream:
    """Chunks of one answer: nothing behind the one finish reason, which comes with the usage."""
    found = ReadStream()
    for event, data in frames_of(body):
        assert not event, "Google's events have no names"
        assert not found.whole, "nothing follows the last chunk"
        chunk = json.loads(data)
        found.metadata = chunk.get("metadata", found.metadata)
        if chunk.get("restart"):
            found.restarts, found.text = found.restarts + 1, ""
            continue
        if "error" in chunk:
            assert next(iter(chunk)) == "error", "SDKs look at the beginning of a chunk for its error"
            found.error = chunk["error"]
            continue
        found.error = blocked_prompt(chunk) or found.error
        found.ids |= {chunk["responseId"]} if "responseId" in chunk else set()
        for candidate in chunk.get("candidates", ()):
            parts = candidate.get("content", {}).get("parts", ())
            found.text += "".join(part.get("text", "") for part in parts if not part.get("thought"))
            if "finishReason" in candidate and not candidate.get("index"):
                assert isinstance(chunk["metadata"], dict), "the last chunk carries the evidence"
                found.whole = True
    return found


def blocked_prompt(body: Any) -> Any:
    """Google's word for a prompt that was refused, which has the status 200; None: it was not."""
    feedback = body.get("promptFeedback", {})
    if "blockReason" not in feedback:
        return None
    assert not body.get("candidates"), "a refused prompt has no answer"
    return feedback


_LINE_END = re.compile(r"\r\n|\n|\r")


def frames_of(body: str) -> list[tuple[str, str]]:
    """(event, data) of the frames, read as the WHATWG standard says."""
    found = []
    name, data = "", []
    for line in _LINE_END.split(body):
        field_name, colon, value = line.partition(":")
        value = value.removeprefix(" ") if colon else ""
        if field_name == "event":
            name = value
        elif field_name == "data":
            data.append(value)
        elif not line:
            found += [(name, "\n".join(data))] if data else []
            name, data = "", []
    assert not data, "the last frame is whole"
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


METADATA = {"responses": "turnout_metadata"}
"""Where the evidence is in an API whose `metadata` is something else."""

_ITEM_EVENTS = ("response.output_text", "response.content_part", "response.function_call", "response.reasoning")


def read_responses(body: str) -> ReadStream:
    """One response: numbered events, items one after the other, one terminal event with what the deltas said."""
    found = ReadStream()
    seen: list[str] = []
    number, last, open_item = -1, -1, ""
    done: dict[int, Any] = {}
    for event, data in frames_of(body):
        assert not found.whole, "nothing follows the terminal event"
        value = json.loads(data)
        kind = value["type"]
        assert event in {kind, ""}, f"the event line of {kind} says {event!r}"
        if kind == "restart":
            found.restarts, found.text, seen, number, last, open_item = found.restarts + 1, "", [], -1, -1, ""
            done = {}
            found.metadata = value.get("turnout_metadata", found.metadata)
            continue
        assert value["sequence_number"] > number, f"numbers rise: {value['sequence_number']} behind {number}"
        number = value["sequence_number"]
        seen.append(kind)
        response = value.get("response")
        if response is not None:
            found.ids.add(response["id"])
            found.metadata = response.get("turnout_metadata", found.metadata)
        if kind == "response.output_item.added":
            assert not open_item, "one item is open at a time"
            assert value["output_index"] == last + 1, "items rise one by one"
            open_item, last = value["item"]["id"], value["output_index"]
        elif kind == "response.output_item.done":
            assert value["output_index"] == last
            assert value["item"]["id"] == open_item
            done[last], open_item = value["item"], ""
        elif kind.startswith(_ITEM_EVENTS):
            assert (value["output_index"], value["item_id"]) == (last, open_item), f"{kind} belongs to the open item"
            found.text += value["delta"] if kind == "response.output_text.delta" else ""
        elif kind in {"response.completed", "response.incomplete"}:
            found.whole = True
            assert response["status"] == kind.removeprefix("response.")
            said = _said(response["output"])
            assert not found.text or said == found.text, f"{said!r} at the end, {found.text!r} before"
            found.text = said
            assert all(response["output"][at] == item for at, item in done.items()), "items end as they were told"
        elif kind == "error":
            found.error = value["error"]
        elif kind == "response.failed":
            assert found.error is not None, "an error comes before"
            assert response["error"]["message"] == found.error["message"]
    assert seen[:1] in ([], ["response.created"], ["error"]), f"the start is first: {seen[:2]}"
    assert seen.count("response.created") <= 1, "exactly one start"
    assert (seen[-1:] == ["response.failed"]) == (found.error is not None), "a failure ends the stream"
    return found


def _said(output: list[Any]) -> str:
    parts = [part for item in output if item["type"] == "message" for part in item["content"]]
    return "".join(part.get("text", "") for part in parts)


def read_typed(events: Sequence[chat_pb2.ChatEvent], error: Any = None) -> ReadStream:
    """Read a typed stream; `error` is the status that ended the call, None: it ended well."""
    found = ReadStream(error=error)
    calls: list[str] = []
    for event in events:
        assert not found.whole, "nothing follows the end"
        kind = event.WhichOneof("event")
        assert kind is not None, "every event says something"
        if kind == "text":
            assert event.text, "no event is empty"
            found.text += event.text
        elif kind == "tool_call":
            call = event.tool_call
            assert bool(call.id) == (call.index == len(calls)), "a call's first piece names it, and only that one"
            if call.id:
                calls.append(call.id)
            assert call.index == len(calls) - 1, "calls come one after the other"
        elif kind == "end":
            assert event.end.id, "the end says which answer it was"
            assert event.end.finish_reason, "the end says why"
            assert event.end.record.generation_id, "the end carries the record"
            found.ids.add(event.end.id)
            found.whole = True
    assert found.whole != bool(found.error), "a call ends well or with an error"
    return found


def read_whole(api: str, body: Any) -> str:
    """The text of a whole answer in any dialect; fails on anything that a strict client would trip over."""
    name = "responseId" if api == "generateContent" else "id"
    assert isinstance(body[name], str)
    assert body[name], "an answer has an id"
    assert isinstance(body[METADATA.get(api, "metadata")]["attempts"], list)
    if api == "generateContent":
        (candidate,) = body["candidates"]
        assert candidate["finishReason"]
        assert body["modelVersion"]
        return "".join(
            part.get("text", "") for part in candidate.get("content", {}).get("parts", ()) if not part.get("thought")
        )
    if api == "responses":
        assert body["object"] == "response"
        assert body["status"] in {"completed", "incomplete"}
        return _said(body["output"])
    if api == "chat":
        assert body["object"] == "chat.completion"
        (choice,) = body["choices"]
        assert choice["index"] == 0
        assert choice["finish_reason"]
        assert choice["message"]["role"] == "assistant"
        return choice["message"]["content"] or ""
    assert (body["type"], body["role"]) == ("message", "assistant")
    assert body["stop_reason"]
    return "".join(block["text"] for block in body["content"] if block["type"] == "text")


def read_error(api: str, body: Any) -> Any:
    """The error object of an error answer in any dialect."""
    error = body["error"]
    assert error["message"]
    if api == "generateContent":
        assert isinstance(error["code"], int)
        assert error["status"].isupper()
        return error
    assert error["type"]
    assert api != "messages" or body["type"] == "error"
    return error


READERS = {
    "chat": read_chat,
    "messages": read_messages,
    "responses": read_responses,
    "generateContent": read_contents,
}
"""The readers of streams by dialect."""
