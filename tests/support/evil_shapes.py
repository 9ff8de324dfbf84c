"""Answers of odd shape: lengths that lie, encodings, redirects, several finishes, and what is odd but whole."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Sequence
from typing import Any

from tests.support.cohere_server import end, without_text
from tests.support.converse import converse_frame, frame, reframed
from tests.support.converse_server import converse_answer
from tests.support.evil import (
    BROKEN_OFF,
    FULL,
    NOT_WHOLE,
    TEXTS,
    TIMEOUTS,
    Fate,
    Fault,
    K,
    Phase,
    Scene,
    Script,
    before,
    error_event,
    error_object,
    frames_of,
    has_terminal,
    lifecycle,
    ping,
    stream_head,
    terminal,
    whole_body,
)
from tests.support.upstream import (
    STREAM_END,
    Close,
    Pause,
    Step,
    Trickle,
    chunk,
    google_answer,
    responses_answer,
    whole,
)

EMPTY = frozenset({K.EMPTY_ANSWER})
TRUNCATED = frozenset({K.STREAM_TRUNCATED})
CANARY = "/v1/canary"
"""Where redirects lead: to the same server, which tells when somebody comes."""
NOWHERE = BROKEN_OFF | NOT_WHOLE | TIMEOUTS | {K.SERVER_ERROR}


def shapes(wire: str, *, stream: bool) -> list[Fault]:
    """Every odd shape."""
    return [*_lengths(), *_encodings(), *_heads(), *_bodies(wire, stream=stream), *_events(wire, stream=stream)]


def _next(name: str, script: Script, phase: Phase = Phase.HEADERS, kinds: frozenset[K] = NOT_WHOLE) -> Fault:
    return Fault(name, phase, Fate.NEXT, kinds, script)


def _whole(name: str, script: Script, text: str = FULL) -> Fault:
    return Fault(name, Phase.TERMINAL, Fate.WHOLE, frozenset(), script, text=text)


def body_of(scene: Scene) -> bytes:
    """The whole body of a good answer, streamed or not."""
    return b"".join(frames_of(scene.wire, *TEXTS)) if scene.stream else whole_body(scene.wire)


def type_of(scene: Scene) -> str:
    if not scene.stream:
        return "application/json"
    return "application/vnd.amazon.eventstream" if scene.wire == "bedrock" else "text/event-stream"


def head_of(scene: Scene, *more: str, status: str = "200 OK", version: str = "1.1") -> bytes:
    lines = [f"HTTP/{version} {status}", f"content-type: {type_of(scene)}", *more]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def sized(scene: Scene, body: bytes, length: int, *end: Step) -> list[Step]:
    """A body under a content-length that may lie; a stream's first content comes by itself."""
    head = head_of(scene, f"content-length: {length}")
    if not scene.stream:
        return [head, body, *end]
    first = len(b"".join(frames_of(scene.wire, *TEXTS)[: lifecycle(scene.wire) + 1]))
    return [head, body[:first], scene.shown, body[first:], *end]


def _lengths() -> list[Fault]:
    def short(scene: Scene) -> list[Step]:
        body = body_of(scene)
        return sized(scene, body, len(body) * 3 // 4)

    def long(scene: Scene) -> list[Step]:
        body = body_of(scene)[: -len(frames_of(scene.wire)[-1]) if scene.stream else None]
        return sized(scene, body, len(body) + 50, Close)

    def until_close(scene: Scene) -> list[Step]:
        return [head_of(scene, version="1.0"), body_of(scene), Close]

    def cut_at_close(scene: Scene) -> list[Step]:
        steps = before(scene, Phase.MID_JSON, head_of(scene, version="1.0"), bytes)
        return [*steps, Close]

    def ripple(scene: Scene) -> list[Step]:
        data = head_of(scene, f"content-length: {len(body_of(scene))}") + body_of(scene)
        # Long answers in pieces of a few, so that they take no longer than short ones; every byte is cut in unit tests.
        return [Trickle(data, max(1, len(data) // 500))]

    return [
        _next("short-length", short, Phase.CONTENT, NOT_WHOLE | BROKEN_OFF),
        _next("long-length", long, Phase.CONTENT, BROKEN_OFF),
        _next("until-close-cut", cut_at_close, Phase.CONTENT, NOT_WHOLE | BROKEN_OFF),
        _whole("until-close", until_close),
        _whole("byte-by-byte", ripple),
    ]


def _encodings() -> list[Fault]:
    def packed(name: str, pack: Callable[[bytes], bytes]) -> Fault:
        def script(scene: Scene) -> list[Step]:
            body = pack(body_of(scene))
            return [head_of(scene, f"content-encoding: {name}", f"content-length: {len(body)}"), body]

        return _next(f"encoded-{name}", script)

    def unsaid(scene: Scene) -> list[Step]:
        body = gzip.compress(body_of(scene))
        return [head_of(scene, f"content-length: {len(body)}"), body]

    def identity(scene: Scene) -> list[Step]:
        body = body_of(scene)
        return [head_of(scene, "content-encoding: identity", f"content-length: {len(body)}"), body]

    return [
        packed("gzip", gzip.compress),
        packed("deflate", zlib.compress),
        packed("br", bytes),
        _next("gzip-unsaid", unsaid),
        _whole("encoded-identity", identity),
    ]


def _heads() -> list[Fault]:
    def status(code: int, words: str, *headers: str, body: bytes = b"") -> Script:
        def script(scene: Scene) -> list[Step]:
            del scene
            head = "\r\n".join([f"HTTP/1.1 {code} {words}", *headers]) + "\r\n\r\n"
            return [head.encode() + body]

        return script

    def half(scene: Scene) -> list[Step]:
        head = head_of(scene, "transfer-encoding: chunked", status="206 Partial Content")
        return [*before(scene, Phase.MID_JSON, head), STREAM_END]

    def informed(scene: Scene) -> list[Step]:
        body = body_of(scene)
        hints = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </x>; rel=preload\r\n\r\n"
        return [hints, head_of(scene, f"content-length: {len(body)}"), body]

    def both(scene: Scene) -> list[Step]:
        return [head_of(scene, "content-length: 5", "transfer-encoding: chunked"), chunk(body_of(scene)), STREAM_END]

    def raw(data: bytes) -> Script:
        return lambda scene: [data, Pause()]

    switched = status(101, "Switching Protocols", "upgrade: websocket", "connection: upgrade")
    huge = b"HTTP/1.1 200 OK\r\nx-padding: " + b"x" * 1_000_000 + b"\r\n\r\n"
    return [
        _next("redirect", status(302, "Found", f"location: {CANARY}", "content-length: 0")),
        _next("redirect-307", status(307, "Temporary Redirect", f"location: {CANARY}", "content-length: 0")),
        _next("switching", lambda scene: [*switched(scene), Pause()], Phase.HEADERS, NOWHERE),
        _next("no-content", status(204, "No Content")),
        _next("not-modified", status(304, "Not Modified")),
        _next("partial-content", half, Phase.CONTENT),
        _next("huge-header", raw(huge), Phase.REQUEST, NOWHERE),
        _next("not-http", raw(b"220 mail.example.com ESMTP ready\r\n\r\n"), Phase.REQUEST, NOWHERE),
        _next("bad-status-line", raw(b"HTTP/9.9 banana\r\n\r\n"), Phase.REQUEST, NOWHERE),
        _next("two-lengths", both, Phase.HEADERS, NOWHERE),
        _whole("informed-first", informed),
    ]


def _bodies(wire: str, *, stream: bool) -> list[Fault]:
    def html(scene: Scene) -> list[Step]:
        del scene
        page = b"<!doctype html><title>Sign in</title><h1>Please sign in to the network</h1>"
        return [b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: %d\r\n\r\n" % len(page) + page]

    def told(kind: str) -> Script:
        return lambda scene: [whole(200, error_object(scene.wire, kind))]

    def other_shape(scene: Scene) -> list[Step]:
        other = Scene(scene.wire, not scene.stream, scene.shown)
        body = body_of(other)
        return [head_of(other, f"content-length: {len(body)}"), body]

    def other_wire(scene: Scene) -> list[Step]:
        other = Scene("anthropic" if scene.wire == "openai" else "openai", scene.stream, scene.shown)
        return [head_of(scene, f"content-length: {len(body_of(other))}"), body_of(other)]

    def literal(body: bytes) -> Script:
        def script(scene: Scene) -> list[Step]:
            return [head_of(scene, f"content-length: {len(body)}"), body]

        return script

    return [
        _next("html", html),
        _next("error-in-200", told("api_error"), kinds=frozenset({K.SERVER_ERROR, K.STREAM_ERROR})),
        _next("overloaded-in-200", told("overloaded_error"), kinds=frozenset({K.OVERLOADED})),
        Fault(
            "refusal-in-200",
            Phase.HEADERS,
            Fate.STOP,
            frozenset({K.INVALID_REQUEST}),
            told("invalid_request_error"),
        ),
        _next("other-shape", other_shape),
        _next("other-wire", other_wire, kinds=NOT_WHOLE | EMPTY),
        _next("null", literal(b"null")),
        _next("list", literal(b"[]")),
        _next("nested", literal(b"[" * 200_000)),
        *_answers(wire, stream=stream),
    ]


def _answers(wire: str, *, stream: bool) -> list[Fault]:
    """Answers without text: empty ones, and those that have a reason."""

    def of(make: Callable[[str, bool], list[bytes] | bytes]) -> Script:
        def script(scene: Scene) -> list[Step]:
            made = make(scene.wire, scene.stream)
            pieces = [made] if isinstance(made, bytes) else made
            return [
                head_of(scene, "transfer-encoding: chunked"),
                *(chunk(piece) for piece in pieces),
                STREAM_END,
            ]

        return script

    del wire, stream
    return [
        _next("empty-answer", of(lambda w, s: answer_without_text(w, "stop", stream=s)), kinds=EMPTY),
        _whole("refused-answer", of(lambda w, s: answer_without_text(w, "refused", stream=s)), text=""),
        _whole("tool-only", of(lambda w, s: answer_without_text(w, "tool", stream=s)), text=""),
        _whole("reasoning-only", of(lambda w, s: answer_without_text(w, "thought", stream=s)), text=""),
    ]


def answer_without_text(wire: str, why: str, *, stream: bool) -> list[bytes] | bytes:
    """An answer that says nothing: empty (`stop`), `refused`, a `tool` call or a `thought`."""
    if wire == "cohere":
        return without_text(why, stream=stream)
    make = {
        "openai": (_openai_whole, _openai_stream),
        "anthropic": (_anthropic_whole, _anthropic_stream),
        "google": (_google_whole, _google_stream),
        "bedrock": (_bedrock_whole, _bedrock_stream),
        "responses": (_responses_whole, _responses_stream),
    }[wire]
    return make[1](why) if stream else make[0](why)


_OPENAI_FINISH = {"stop": "stop", "refused": "content_filter", "tool": "tool_calls", "thought": "stop"}
_ANTHROPIC_STOP = {"stop": "end_turn", "refused": "refusal", "tool": "tool_use", "thought": "end_turn"}
_CALL = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{}"}}


_GOOGLE_PARTS = {"tool": {"functionCall": {"name": "look", "args": {}}}, "thought": {"text": "Hm.", "thought": True}}


def _google_whole(why: str) -> bytes:
    answer = google_answer("", "SAFETY" if why == "refused" else "STOP", 3 if why in _GOOGLE_PARTS else 0)
    answer["candidates"][0]["content"] = {"parts": [_GOOGLE_PARTS[why]]} if why in _GOOGLE_PARTS else {}
    return json.dumps(answer).encode()


def _google_stream(why: str) -> list[bytes]:
    return [frames_of("google", "x")[0], b"data: " + _google_whole(why) + b"\n\n"]


_BEDROCK_STOP = {"stop": "end_turn", "refused": "content_filtered", "tool": "tool_use", "thought": "end_turn"}
_BEDROCK_BLOCKS = {
    "tool": {"toolUse": {"toolUseId": "t1", "name": "look", "input": {}}},
    "thought": {"reasoningContent": {"reasoningText": {"text": "Hm.", "signature": "c2ln"}}},
}


def _bedrock_usage(why: str) -> dict[str, int]:
    made = 3 if why in _BEDROCK_BLOCKS else 0
    return {"inputTokens": 9, "outputTokens": made, "totalTokens": 9 + made}


def _bedrock_whole(why: str) -> bytes:
    answer = converse_answer("", _BEDROCK_STOP[why])
    answer["output"]["message"]["content"] = [_BEDROCK_BLOCKS[why]] if why in _BEDROCK_BLOCKS else []
    return json.dumps({**answer, "usage": _bedrock_usage(why)}).encode()


def _bedrock_stream(why: str) -> list[bytes]:
    index = {"contentBlockIndex": 0}
    start = {"contentBlockStart": {**index, "start": {"toolUse": {"toolUseId": "t1", "name": "look"}}}}
    thought = {"contentBlockDelta": {**index, "delta": {"reasoningContent": {"text": "Hm."}}}}
    blocks = {"tool": [start], "thought": [thought]}.get(why, [])
    closed = [{"contentBlockStop": index}] if blocks else []
    ends = [{"messageStop": {"stopReason": _BEDROCK_STOP[why]}}, {"metadata": {"usage": _bedrock_usage(why)}}]
    return [converse_frame(event) for event in [{"messageStart": {"role": "assistant"}}, *blocks, *closed, *ends]]


def _openai_delta(why: str) -> dict[str, object]:
    return {"tool": {"tool_calls": [_CALL]}, "thought": {"reasoning_content": "Hm."}}.get(why, {"content": ""})


def _openai_whole(why: str) -> bytes:
    answer = json.loads(whole_body("openai", ""))
    choice = answer["choices"][0]
    choice["finish_reason"] = _OPENAI_FINISH[why]
    choice["message"].update(_openai_delta(why))
    answer["usage"]["completion_tokens"] = 0 if why in {"stop", "refused"} else 3
    return json.dumps(answer).encode()


def _openai_stream(why: str) -> list[bytes]:
    role, _, finish, *_, done = frames_of("openai", "x")
    delta = json.dumps(_openai_delta(why)).encode()
    content = [role.replace(b'{"role": "assistant", "content": ""}', delta)] if why in {"tool", "thought"} else []
    finish = finish.replace(b'"finish_reason": "stop"', f'"finish_reason": "{_OPENAI_FINISH[why]}"'.encode())
    return [role, *content, finish, done]


def _anthropic_block(why: str) -> dict[str, object]:
    if why == "tool":
        return {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}}
    return {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}


def _anthropic_whole(why: str) -> bytes:
    answer = json.loads(whole_body("anthropic", ""))
    answer["content"] = [_anthropic_block(why)] if why in {"tool", "thought"} else []
    answer["stop_reason"] = _ANTHROPIC_STOP[why]
    answer["usage"]["output_tokens"] = 0 if why in {"stop", "refused"} else 3
    return json.dumps(answer).encode()


def _anthropic_stream(why: str) -> list[bytes]:
    start, *_, delta, stop = frames_of("anthropic", "x")
    spent = 0 if why in {"stop", "refused"} else 3
    told = json.loads(delta.partition(b"data: ")[2])
    told["delta"]["stop_reason"], told["usage"]["output_tokens"] = _ANTHROPIC_STOP[why], spent
    blocks: list[bytes] = []
    if why in {"tool", "thought"}:
        block, moves = _anthropic_block(why), _anthropic_moves(why)
        empty = {**block, "thinking": "", "signature": ""} if why == "thought" else block
        blocks = [_named("content_block_start", index=0, content_block=empty)]
        blocks += [_named("content_block_delta", index=0, delta=move) for move in moves]
        blocks += [_named("content_block_stop", index=0)]
    start = start.replace(b'"output_tokens": 1', b'"output_tokens": 0')
    return [start, *blocks, _named("message_delta", delta=told["delta"], usage=told["usage"]), stop]


def _anthropic_moves(why: str) -> list[dict[str, str]]:
    if why == "tool":
        return [{"type": "input_json_delta", "partial_json": "{}"}]
    return [{"type": "thinking_delta", "thinking": "Hm."}, {"type": "signature_delta", "signature": "c2ln"}]


def _responses_form(why: str) -> dict[str, Any]:
    """The last state of a response."""
    item: dict[str, Any] = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "look"}
    item |= {"status": "completed", "arguments": "{}"}
    if why == "thought":
        item = {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Hm."}]}
    answer = responses_answer("", output=[item] if why in {"tool", "thought"} else [])
    answer["usage"]["output_tokens"] = 0 if why in {"stop", "refused"} else 3
    if why == "refused":
        answer |= {"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}
    return answer


def _responses_whole(why: str) -> bytes:
    return json.dumps(_responses_form(why)).encode()


def _responses_stream(why: str) -> list[bytes]:
    created, in_progress = frames_of("responses", "x")[:2]
    form = _responses_form(why)
    at: dict[str, Any] = {"output_index": 0}
    moves: list[bytes] = []
    for item in form["output"]:
        begun = {**item, "status": "in_progress"}
        moves = [_named("response.output_item.added", sequence_number=2, **at, item=begun)]
        at = {"sequence_number": 3, "item_id": item["id"], **at}
        if why == "tool":
            moves.append(_named("response.function_call_arguments.delta", **at, delta="{}"))
        else:
            moves.append(_named("response.reasoning_summary_text.delta", **at, summary_index=0, delta="Hm."))
        moves.append(_named("response.output_item.done", sequence_number=4, output_index=0, item=item))
    return [created, in_progress, *moves, _named(f"response.{form['status']}", sequence_number=5, response=form)]


def _named(name: str, **body: object) -> bytes:
    return f"event: {name}\ndata: {json.dumps({'type': name, **body})}\n\n".encode()


def _behind(wire: str, streamed: Callable[..., Script], *, stream: bool, body: bytes) -> list[Fault]:
    """What comes behind the terminal event is nothing; where a protocol has none, it is more of the answer."""
    frames, head = frames_of(wire, *TEXTS), lifecycle(wire)
    error = [*frames, error_event(wire, "server_error")]
    more = streamed([*frames, *frames[head:]], body=body)
    if has_terminal(wire) or not stream:
        return [
            _whole("more-behind-terminal", more),
            _whole("error-behind-terminal", streamed(error, body=body)),
        ]
    failed = frozenset({K.SERVER_ERROR, K.STREAM_ERROR})
    return [
        _whole("more-behind-terminal", more, FULL + FULL),
        _next("error-behind-terminal", streamed(error, shown=True), Phase.TERMINAL, failed),
    ]


def _ended_as_error(streamed: Callable[..., Script]) -> Fault:
    """Cohere's finish reason of an answer that failed behind its content."""
    failed = json.dumps({**json.loads(whole_body("cohere")), "finish_reason": "ERROR"}).encode()
    frames = [*frames_of("cohere", *TEXTS)[:-1], end("ERROR", error="The model failed.")]
    script = streamed(frames, shown=True, body=failed)
    return _next("ended-as-error", script, Phase.CONTENT, frozenset({K.SERVER_ERROR}))


def _syntax(wire: str, frames: Sequence[bytes]) -> dict[str, list[bytes]]:
    """What a stream's syntax allows, and few providers do; of event streams, other things under the same names."""
    joined = b"".join(frames)
    if wire != "bedrock":
        return {
            "crlf": [joined.replace(b"\n", b"\r\n")],
            "cr": [joined.replace(b"\n", b"\r")],
            "no-space": [joined.replace(b"data: ", b"data:")],
            "ids-and-retries": [b"id: 7\nretry: 5\n" + piece for piece in frames],
            "no-last-newline": [joined.rstrip(b"\n")],
        }
    unknown = converse_frame({"newEvent": {"text": "odd"}})
    first = frame({":message-type": "event", ":event-type": "initial-response"}, b"{}")
    return {
        "crlf": [reframed(piece, more_head=b"\x05:date\x08" + bytes(8)) for piece in frames],
        "cr": [piece for known in frames for piece in (unknown, known)],
        "no-space": [reframed(piece, padding="abcdefghij") for piece in frames],
        "ids-and-retries": [first, *frames],
        "no-last-newline": [half for piece in frames for half in (piece[:11], piece[11:])],
    }


def _events(wire: str, *, stream: bool) -> list[Fault]:
    """Streams whose events are odd; a whole answer has none, so the same rows put the oddity around its body."""
    frames, head, last = frames_of(wire, *TEXTS), lifecycle(wire), terminal(wire)

    def streamed(pieces: Sequence[bytes], *, shown: bool = False, body: bytes = b"") -> Script:
        def script(scene: Scene) -> list[Step]:
            if not scene.stream:
                return [head_of(scene, "transfer-encoding: chunked"), chunk(body or whole_body(wire)), STREAM_END]
            steps: list[Step] = [stream_head(wire), *(chunk(piece) for piece in pieces), STREAM_END]
            if shown:
                steps.insert(2 + head, scene.shown)
            return steps

        return script

    without_finish = [*frames[: head + len(TEXTS)], frames[-1]]
    joined = b"".join(frames)
    finish = frames[-last - 1]
    spread = [piece for known in frames for piece in (ping(wire, stream=True), known)]
    padded = b" \n\t" + whole_body(wire) + b"\n\n"
    cut = whole_body(wire)[:-1]
    syntax = _syntax(wire, frames)
    no_finish = streamed(without_finish, shown=True, body=cut)
    over = end(tokens=0) if wire == "cohere" else frames[-1]
    at_once = streamed([*frames[:head], over], body=b" ")
    kinds = TRUNCATED if stream else NOT_WHOLE
    found = [
        Fault("terminal-without-finish", Phase.CONTENT, Fate.NEXT, kinds, no_finish),
        _next("terminal-at-once", at_once, kinds=NOT_WHOLE | EMPTY),
    ]
    if stream and wire == "responses":
        # The terminal event holds all of the answer.
        found = [_whole("terminal-without-finish", no_finish), _whole("terminal-at-once", at_once)]
    if wire == "cohere":
        # The terminal event tells the finish reason, which may be that there is no answer.
        found[0] = _whole("terminal-without-finish", no_finish) if stream else found[0]
        found.append(_ended_as_error(streamed))
    found += [
        _whole("two-finishes", streamed([*frames[:-last], finish, *frames[-last:]], body=padded)),
        _whole("two-terminals", streamed([*frames, frames[-1]], body=padded)),
        *_behind(wire, streamed, stream=stream, body=padded),
        _whole("two-starts", streamed([frames[0], *frames], body=padded)),
        _whole("pings-between", streamed(spread, body=padded)),
        _whole("crlf", streamed(syntax["crlf"], body=padded.replace(b"\n", b"\r\n"))),
        _whole("cr", streamed(syntax["cr"], body=padded.replace(b"\n", b"\r"))),
        _whole("no-space", streamed(syntax["no-space"], body=padded)),
        _whole("ids-and-retries", streamed(syntax["ids-and-retries"], body=padded)),
        _whole("one-burst", streamed([joined], body=padded)),
        _whole("no-last-newline", streamed(syntax["no-last-newline"], body=padded.rstrip())),
    ]
    if stream and wire != "bedrock":
        # JSON may not begin with a byte order mark, so a whole answer that does is no answer; nor may a binary stream.
        found.append(_whole("byte-order-mark", streamed([b"\xef\xbb\xbf" + joined])))
    else:
        marked = b"\xef\xbb\xbf" + whole_body(wire)
        found.append(_next("byte-order-mark", streamed([b"\xef\xbb\xbf" + joined], body=marked)))
    return found
