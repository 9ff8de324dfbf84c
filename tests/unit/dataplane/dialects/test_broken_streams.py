"""Streams that go wrong, between every dialect and every protocol: the failure is told by its kind, and nothing after."""

from __future__ import annotations

import json
from typing import Any

import pytest
from turnout.inference.v1.chat_pb2 import ChatRequest, Message, Part

from services.core.errors import FailureKind
from services.dataplane.dialects.registry import TYPED, dialect_of
from services.dataplane.sse import MAX_EVENT
from services.dataplane.translation import STREAM_HEADER, Progress, Translation
from tests.support.upstream import anthropic_events, openai_events
from tests.unit.dataplane.build import candidate

BODY = {"model": "m", "max_tokens": 9, "stream": True, "messages": [{"role": "user", "content": "Hola"}]}
GOOD = {"openai": openai_events("Hel", "lo"), "anthropic": anthropic_events("Hel", "lo")}
APIS = ("chat.completions", "messages", "typed")
ALL = [(api, protocol) for api in APIS for protocol in GOOD]
EVERY = pytest.mark.parametrize(("api", "protocol"), ALL, ids=[f"{a}-{p}" for a, p in ALL])


def translation(api: str, protocol: str) -> Translation:
    target = candidate(f"{protocol}/up-1", protocol)
    if api == "typed":
        body = ChatRequest(model="m", messages=[Message(role="user", parts=[Part(text="Hola")])])
        return TYPED.read(body.SerializeToString(), {STREAM_HEADER: "true"}).translate(target)
    return dialect_of(api).read(json.dumps(BODY).encode(), {}).translate(target)


def frame(protocol: str, value: Any) -> bytes:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    name = b"event: x\n" if protocol == "anthropic" else b""
    return name + b"data: " + data + b"\n\n"


def shown(progress: Progress, text: str) -> bool:
    return text.encode() in progress.frames


@EVERY
def test_a_stream_that_ends_early_is_truncated(api: str, protocol: str) -> None:
    found = translation(api, protocol)
    # What came before the cut: all but the finish and what follows.
    keep = 2 if protocol == "openai" else 3
    progress = found.feed(b"".join(GOOD[protocol][:keep]))
    assert progress.content
    assert shown(progress, "Hel")
    end = found.end()
    assert not end.done
    assert end.failure is not None
    assert end.failure.kind is FailureKind.STREAM_TRUNCATED


@EVERY
def test_a_last_event_without_its_blank_line_counts(api: str, protocol: str) -> None:
    found = translation(api, protocol)
    found.feed(b"".join(GOOD[protocol]).rstrip(b"\n"))
    end = found.end()
    assert end.failure is None
    assert end.done
    assert found.facts.finish_reason == "stop"


@EVERY
def test_half_an_event_at_the_end_is_no_event(api: str, protocol: str) -> None:
    found = translation(api, protocol)
    found.feed(GOOD[protocol][0] + b'data: {"half": ')
    end = found.end()
    assert end.failure is not None
    assert end.failure.kind in {FailureKind.BAD_RESPONSE, FailureKind.STREAM_TRUNCATED}


@EVERY
@pytest.mark.parametrize("data", [b"{", b"Service Unavailable", b"[1]", b"\xff\xfe", b"[" * 5_000])
def test_an_event_that_is_no_json_is_a_failure_and_what_came_before_stands(
    api: str, protocol: str, data: bytes
) -> None:
    found = translation(api, protocol)
    before = b"".join(GOOD[protocol][: 2 if protocol == "openai" else 3])
    progress = found.feed(before + frame(protocol, data) + b"".join(GOOD[protocol]))
    assert progress.failure is not None
    assert progress.failure.kind is FailureKind.BAD_RESPONSE
    assert shown(progress, "Hel")
    assert not shown(progress, '"lo"')
    assert not progress.done


@EVERY
def test_an_event_that_never_ends_is_a_failure(api: str, protocol: str) -> None:
    found = translation(api, protocol)
    found.feed(GOOD[protocol][0])
    progress = found.feed(b"data: " + b"x" * (MAX_EVENT + 1))
    assert progress.failure is not None
    assert progress.failure.kind is FailureKind.BAD_RESPONSE


ERRORS = {
    "openai": {"error": {"message": "too much", "type": "server_error", "code": "server_is_overloaded"}},
    "anthropic": {"type": "error", "error": {"type": "overloaded_error", "message": "too much"}},
}


@EVERY
@pytest.mark.parametrize("after", [0, 3])
def test_an_error_in_the_stream_is_the_failure_that_it_names(api: str, protocol: str, after: int) -> None:
    found = translation(api, protocol)
    progress = found.feed(b"".join(GOOD[protocol][:after]) + frame(protocol, ERRORS[protocol]))
    assert progress.failure is not None
    assert progress.failure.kind is FailureKind.OVERLOADED
    assert progress.content is bool(after)
    assert b"too much" not in progress.frames


@EVERY
def test_nothing_comes_after_the_terminal_event(api: str, protocol: str) -> None:
    found = translation(api, protocol)
    progress = found.feed(b"".join(GOOD[protocol]) + b"".join(GOOD[protocol]).replace(b"Hel", b"Again"))
    assert progress.done
    assert progress.failure is None
    assert not shown(progress, "Again")


@pytest.mark.parametrize("api", APIS)
def test_a_second_message_among_the_blocks_of_the_first_is_a_failure(api: str) -> None:
    found = translation(api, "anthropic")
    events = GOOD["anthropic"]
    progress = found.feed(b"".join(events[:3]) + b"".join(events))
    assert progress.failure is not None
    assert progress.failure.kind is FailureKind.BAD_RESPONSE


@pytest.mark.parametrize("api", APIS)
def test_a_message_that_is_announced_twice_before_its_blocks_is_one(api: str) -> None:
    found = translation(api, "anthropic")
    events = GOOD["anthropic"]
    progress = found.feed(events[0] + b"".join(events))
    assert progress.failure is None
    assert progress.done
    if api == "messages":
        assert progress.frames.count(b"event: message_start") == 1


EMPTY = {
    "openai": [GOOD["openai"][0], GOOD["openai"][3], GOOD["openai"][-1]],
    "anthropic": [GOOD["anthropic"][0], GOOD["anthropic"][-1]],
}


@EVERY
def test_a_stream_that_says_nothing_and_why_is_no_answer(api: str, protocol: str) -> None:
    found = translation(api, protocol)
    progress = found.feed(b"".join(EMPTY[protocol]))
    failure = progress.failure or found.end().failure
    assert failure is not None
    # Anthropic's streams always say why they stop; one that does not is no whole answer either.
    wanted = FailureKind.STREAM_TRUNCATED if protocol == "anthropic" else FailureKind.EMPTY_ANSWER
    assert failure.kind is wanted
