"""A small corpus of our own, always there: one exchange for each habit of providers that recordings taught us.

Everything here is made up; only the shapes are real.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from tests.replay.traffic import Exchange

CHAT, MESSAGES = "chat.completions", "messages"
GENERATE, STREAM_GENERATE = "generateContent", "streamGenerateContent"
Value = dict[str, Any]


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def _chat(name: str, message: Value, finish: str | None = "stop", **more: Any) -> Exchange:
    """A whole answer of OpenAI's format; `usage` and the rest by keyword."""
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}
    usage = {"prompt_tokens": 20, "completion_tokens": 10, "total_tokens": 30}
    base = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
    return Exchange(f"own-{name}", "own", CHAT, stream=False, body=_json({**base, "usage": usage, **more}))


def _chunk(delta: Value | None, finish: str | None = None, **more: Any) -> Value:
    choice = {"index": 0, "delta": delta, "finish_reason": finish, **more.pop("choice", {})}
    base = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return {**base, "choices": [] if delta is None else [choice], **more}


USAGE = {"usage": {"prompt_tokens": 20, "completion_tokens": 10, "total_tokens": 30}}
ROLE = _chunk({"role": "assistant", "content": ""})
HELLO = [_chunk({"content": text}) for text in ("Hé", "llo", " 🙂")]


def _stream(name: str, chunks: Sequence[Value], end: bytes = b"data: [DONE]\n\n") -> Exchange:
    frames = b"".join(b"data: " + _json(chunk) + b"\n\n" for chunk in chunks)
    return Exchange(f"own-{name}", "own", CHAT, stream=True, body=frames + end)


def _call(index: int | None, name: str = "", arguments: str = "", id_: str = "") -> Value:
    found: Value = {"function": {"name": name, "arguments": arguments} if name else {"arguments": arguments}}
    found |= {"index": index} if index is not None else {}
    return {**found, "id": id_, "type": "function"} if id_ else found


def _calls(*calls: Value) -> Value:
    return _chunk({"tool_calls": list(calls)})


def _whole_answers() -> list[Exchange]:
    weather = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Rome"}'}}
    thinking = [{"type": "thinking", "thinking": [{"type": "text", "text": "Add."}]}, {"type": "text", "text": "4"}]
    details = [{"type": "reasoning.text", "text": "Add.", "signature": "s", "index": 0}]
    apart = {"prompt_tokens": 20, "completion_tokens": 3, "total_tokens": 93}
    return [
        _chat("whole", {"content": "Hello"}),
        _chat("whole-no-usage", {"content": "Hello"}, usage=None),
        _chat("whole-tools", {"content": None, "tool_calls": [weather]}, "tool_calls"),
        _chat("whole-forced-tool", {"content": None, "tool_calls": [weather]}, "stop"),
        _chat("whole-function-call", {"content": None, "function_call": weather["function"]}, "function_call"),
        _chat("whole-refusal", {"content": None, "refusal": "I will not."}),
        _chat("whole-no-finish", {"content": "Hello", "function_call": {"name": "", "arguments": ""}}, None),
        _chat("whole-thinking-field", {"content": "4", "reasoning": "Add."}),
        _chat("whole-thinking-parts", {"content": thinking}),
        _chat("whole-thinking-details", {"content": "4", "reasoning": None, "reasoning_details": details}),
        _chat("whole-json-object", {"content": {"city": "Rome"}}),
        _chat("whole-reasoning-apart", {"content": "4"}, usage=_reasoned(apart, 70)),
        _chat("whole-reasoning-not-in-total", {"content": "4"}, usage=_reasoned({**apart, "total_tokens": 23}, 70)),
        _chat("whole-thoughts-in-total-only", {"content": "4"}, usage=apart),
        _chat("whole-more-cached-than-sent", {"content": "4"}, usage={**apart, "total_tokens": 23, **_cached(161)}),
        _chat(
            "whole-audio-apart", {"content": "4"}, usage={**apart, "prompt_tokens_details": {"audio_tokens": 70}}
        ),
    ]  # fmt: skip


def _reasoned(usage: Value, tokens: int) -> Value:
    return {**usage, "completion_tokens_details": {"reasoning_tokens": tokens}}


def _cached(tokens: int) -> Value:
    return {"prompt_tokens_details": {"cached_tokens": tokens}}


def _streams() -> list[Exchange]:
    start, stop, usage = [ROLE, *HELLO], _chunk({}, "stop"), _chunk(None, **USAGE)
    logprobs = {"logprobs": {"content": [{"token": "!", "logprob": -0.1, "bytes": None, "top_logprobs": []}]}}
    last = _chunk({"content": "!"}, "stop", choice={**logprobs, "native_finish_reason": "STOP"})
    first = _call(0, "weather", "", "call_1")
    arguments = [_calls(_call(0, arguments=piece)) for piece in ('{"ci', 'ty":"Rome"}')]
    second = _call(1, "weather", '{"city":"Oslo"}', "call_2")
    tools = [ROLE, _calls(first), *arguments, _calls(second)]
    other = {**_chunk({"content": "other"}), "choices": [{"index": 1, "delta": {"content": "other"}}]}
    crlf = _stream("", [*start, stop, usage]).body.replace(b"\n", b"\r\n")
    return [
        _stream("stream", [*start, stop, usage]),
        _stream("stream-no-usage", [*start, stop]),
        _stream("stream-no-done", [*start, stop, usage], b""),
        _stream("stream-done-and-space", [*start, stop, usage], b"data: [DONE] \n\n"),
        _stream("stream-counted-not-finished", [*start, usage]),
        _stream("stream-content-with-finish", [*start, last, usage]),
        _stream("stream-usage-everywhere", [{**chunk, **USAGE} for chunk in [*start, stop]]),
        _stream("stream-finished-twice", [*start, stop, stop, usage]),
        _stream("stream-eos", [*start, _chunk({}, "eos"), usage]),
        _stream("stream-two-choices", [ROLE, HELLO[0], other, *HELLO[1:], stop, usage]),
        _stream("stream-tools", [*tools, _chunk({}, "tool_calls"), usage]),
        _stream("stream-forced-tool", [*tools, stop, usage]),
        _stream("stream-tools-cut", [*tools[:3], _chunk({}, "length"), usage]),
        _stream(
            "stream-tools-unnumbered", [_calls(_call(None, "weather", "{}", "c")), _chunk({}, "tool_calls"), usage]
        ),
        _stream("stream-refusal", [ROLE, _chunk({"refusal": "I will"}), _chunk({"refusal": " not."}), stop, usage]),
        _stream("stream-thinking", [ROLE, _chunk({"reasoning_content": "Add."}), *HELLO, stop, usage]),
        Exchange("own-stream-crlf", "own", CHAT, stream=True, body=b": PROCESSING\r\n\r\n" + crlf),
    ]


def _message(name: str, content: list[Value], stop: str = "end_turn", **usage: Any) -> Exchange:
    base = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": content}
    body = {**base, "stop_reason": stop, "stop_sequence": None, "usage": {**COUNTS, **usage}}
    return Exchange(f"own-{name}", "own", MESSAGES, stream=False, body=_json(body))


COUNTS = {"input_tokens": 20, "output_tokens": 10}
START = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [], "stop_reason": None}
MESSAGE_START = {"type": "message_start", "message": {**START, "stop_sequence": None, "usage": COUNTS}}
PING = {"type": "ping"}


def _block(index: int, block: Value, *deltas: Value) -> list[Value]:
    begin = {"type": "content_block_start", "index": index, "content_block": block}
    middle = [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
    return [begin, *middle, {"type": "content_block_stop", "index": index}]


def _text(index: int, *texts: str) -> list[Value]:
    return _block(index, {"type": "text", "text": ""}, *({"type": "text_delta", "text": t} for t in texts))


def _tool(index: int, *pieces: str) -> list[Value]:
    block = {"type": "tool_use", "id": f"toolu_{index}", "name": "weather", "input": {}}
    return _block(index, block, *({"type": "input_json_delta", "partial_json": p} for p in pieces))


def _events(name: str, events: Sequence[Value], stop: str = "end_turn", **usage: Any) -> Exchange:
    delta = {"stop_reason": stop, "stop_sequence": None}
    ending = [{"type": "message_delta", "delta": delta, "usage": {"output_tokens": 12, **usage}}]
    all_events = [MESSAGE_START, *events, *ending, {"type": "message_stop"}]
    frames = [f"event: {e['type']}\ndata: {json.dumps(e, ensure_ascii=False)}\n\n" for e in all_events]
    return Exchange(f"own-{name}", "own", MESSAGES, stream=True, body="".join(frames).encode())


def _messages() -> list[Exchange]:
    thinking = {"type": "thinking", "thinking": "Add.", "signature": "s"}
    tool = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Rome"}}
    search = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "Rome"}}
    hello = _text(0, "Hé", "llo", " 🙂")
    signed = ({"type": "thinking_delta", "thinking": "Add."}, {"type": "signature_delta", "signature": "s"})
    thought = _block(0, {"type": "thinking", "thinking": "", "signature": ""}, *signed)
    cached = {"cache_read_input_tokens": 7, "cache_creation_input_tokens": 5}
    return [
        _message("message", [{"type": "text", "text": "Hello"}]),
        _message("message-tools", [thinking, {"type": "text", "text": "Let me see."}, tool], "tool_use"),
        _message("message-cached", [{"type": "text", "text": "Hello"}], **cached),
        _message("message-paused", [search], "pause_turn"),
        _message("message-silent", [], "end_turn"),
        _message("message-refusal", [], "refusal", output_tokens=0),
        _events("events", [*hello[:2], PING, *hello[2:]]),
        _events("events-twice-started", [MESSAGE_START, *hello]),
        _events("events-tools", [*thought, *_text(1, "Let me see."), *_tool(2, '{"ci', 'ty":"Rome"}')], "tool_use"),
        _events("events-tool-without-input", _tool(0, ""), "tool_use"),
        _events("events-tools-cut", _tool(0, '{"city":"Rome","days":['), "max_tokens"),
        _events("events-redacted", [*_block(0, {"type": "redacted_thinking", "data": "x"}), *_text(1, "4")]),
        _events("events-server-tool", [*_block(0, search), *_text(1, "Hello")]),
        _events("events-refusal", _text(0), "refusal", output_tokens=0),
        _events("events-late-usage", hello, input_tokens=25, **cached),
    ]


def _google(name: str, chunks: Sequence[Value], *, end: str = "\n\n", stream: bool = True) -> Exchange:
    """Gemini's chunks as a stream; not a stream: as one answer, or as the list that a stream without SSE is."""
    if not stream:
        body = _json(list(chunks) if len(chunks) > 1 else chunks[0])
        return Exchange(f"own-{name}", "own", GENERATE, stream=False, body=body)
    frames = "".join(f"data: {json.dumps(chunk, ensure_ascii=False)}{end}" for chunk in chunks)
    return Exchange(f"own-{name}", "own", STREAM_GENERATE, stream=True, body=frames.encode())


def _gemini(*parts: Value, finish: Any = None, counts: Value | None = None, **more: Any) -> Value:
    content = {"content": {"parts": list(parts), "role": "model"}} if parts else {}
    candidate = {**content, **({"finishReason": finish} if finish is not None else {}), "index": 0}
    usage = {"promptTokenCount": 20, "totalTokenCount": 20} if counts is None else counts
    return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "m", "responseId": "r1", **more}


def _googles() -> list[Exchange]:
    told = {"promptTokenCount": 20, "candidatesTokenCount": 10, "thoughtsTokenCount": 7, "totalTokenCount": 37}
    cached = {**told, "cachedContentTokenCount": 8, "toolUsePromptTokenCount": 5}
    hello = [_gemini({"text": text}) for text in ("Hé", "llo", " 🙂")]
    call: Value = {"functionCall": {"name": "weather", "args": {"city": "Rome", "days": [1, 2.5]}}}
    other = {"functionCall": {"id": "c2", "name": "weather", "args": {}}, "thoughtSignature": "c2ln"}
    thought = {"text": "Add.", "thought": True}
    stop = _gemini({"text": ""}, finish="STOP", counts=told)
    pieces: list[Value] = [
        {"name": "weather", "willContinue": True},
        {"partialArgs": [{"jsonPath": "$.places[0].city", "stringValue": "Ro", "willContinue": True}], "willContinue": True},
        {"partialArgs": [{"jsonPath": "$.places[0].city", "stringValue": "me"}], "willContinue": True},
        {"partialArgs": [{"jsonPath": "$.days", "numberValue": 3}], "willContinue": True},
        {},
    ]  # fmt: skip
    whole = _gemini(thought, {"text": "Hello", "thoughtSignature": "c2ln"}, finish="STOP", counts=cached)
    return [
        _google("gemini", [whole], stream=False),
        _google("gemini-tools", [_gemini({"text": "Let me see."}, call, other, finish="STOP", counts=told)], stream=False),
        _google("gemini-numbers", [_gemini({"text": "Hello"}, finish=1, counts=told)], stream=False),
        _google("gemini-cut", [_gemini({"text": "Hel"}, finish="MAX_TOKENS", counts=told)], stream=False),
        _google("gemini-nothing-left", [_gemini(finish="MAX_TOKENS", counts=told)], stream=False),
        _google("gemini-unsafe", [_gemini({"text": "Hel"}, finish="SAFETY", counts=told)], stream=False),
        _google("gemini-no-finish", [_gemini({"text": "Hello"}, counts=told)], stream=False),
        _google("gemini-list", [*hello, stop], stream=False),
        _google("gemini-stream", [*hello, stop]),
        _google("gemini-stream-crlf", [*hello, stop], end="\r\n\r\n"),
        _google("gemini-stream-thought", [_gemini(thought), *hello, stop]),
        _google("gemini-stream-signed", [*hello, _gemini({"text": "", "thoughtSignature": "c2ln"}, finish="STOP")]),
        _google("gemini-stream-tools", [_gemini(call), _gemini(call, other), _gemini(finish="STOP", counts=told)]),
        _google("gemini-stream-pieces", [*(_gemini({"functionCall": piece}) for piece in pieces), stop]),
        _google("gemini-stream-usage-behind", [*hello, _gemini(finish="STOP"), {"usageMetadata": told}]),
        _google("gemini-stream-finish-everywhere", [_gemini({"text": t}, finish="STOP") for t in ("He", "llo")]),
        _google("gemini-stream-recited", [*hello, _gemini(finish="RECITATION", counts=told)]),
    ]  # fmt: skip


OWN = [*_whole_answers(), *_streams(), *_messages(), *_googles()]
