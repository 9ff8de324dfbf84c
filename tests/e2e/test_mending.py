"""After the commit, and just before it: hold-back, continuation, resumption, restart, honest errors."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.test_failover import PATHS, request_body
from tests.support.inprocess import TOPOLOGIES, running_suite
from tests.support.streams import ReadStream, read_stream
from tests.support.upstream import (
    STREAM_HEAD,
    Close,
    Pause,
    Reset,
    Step,
    Upstream,
    anthropic_events,
    chunk,
    openai_events,
    running_upstream,
    streamed,
    whole,
)

TEXTS = ("The quick ", "brown fox ", "jumps over ", "the lazy dog.")
FULL = "".join(TEXTS)
WIRES = ("openai", "anthropic")


def frames(wire: str, *texts: str) -> list[bytes]:
    return openai_events(*texts) if wire == "openai" else anthropic_events(*texts)


def broken_after(wire: str, count: int, end: list[Step]) -> list[Step]:
    """A stream that breaks after `count` texts."""
    head = 1 if wire == "openai" else 2
    return [STREAM_HEAD, *(chunk(f) for f in frames(wire, *TEXTS)[: head + count]), *end]


ENDS = ("cut", "reset", "stall")


def ending(name: str) -> list[Step]:
    steps: dict[str, list[Step]] = {"cut": [b"ff\r\nda", Close], "reset": [Reset], "stall": [Pause()]}
    return steps[name]


def documents(first: Upstream, second: Upstream, wires: tuple[str, str], **router: Any) -> list[dict[str, Any]]:
    forms: list[dict[str, Any]] = []
    for name, found, wire in (("one", first, wires[0]), ("two", second, wires[1])):
        kind, suffix = ("openai_compatible", "/v1") if wire == "openai" else ("anthropic", "")
        forms.append({"kind": "Provider", "name": name, "type": kind, "base_url": f"{found.url}{suffix}"})
    forms.append({"kind": "Model", "name": "two/m", "capabilities": {"prefill": True}})
    variant = {"variant_id": "v", "model_id": "one/m", "model_selection": {"models": ["two/m"]}}
    route = {"route_id": "r", "variants": [{"weight": 100, "variant": variant}]}
    # Short clocks for the one that is to fail; a machine that stops for a moment must not fail the other.
    forms[0]["clocks"] = {"headers": "1s", "first_event": "1s", "first_content": "1s", "idle": "300ms"}
    forms.append({"kind": "Router", "name": "pair", "default_route": route, **router})
    return forms


@pytest.fixture
async def pair() -> AsyncIterator[tuple[Upstream, Upstream]]:
    async with running_upstream() as first, running_upstream() as second:
        yield first, second


async def served(
    folder: Path, topology: str, forms: list[dict[str, Any]], api: str, headers: dict[str, str] | None = None
) -> ReadStream:
    async with running_suite(folder, topology, *forms) as suite:
        body = request_body(api, stream=True)
        answer = await suite.http.post(PATHS[api], json=body, headers=headers or {})
    assert answer.status_code == 200, answer.text
    return read_stream(api, answer.text)


def kinds(read: ReadStream) -> list[tuple[str, bool]]:
    return [(a.get("kind", "plain"), a["success"]) for a in read.metadata["attempts"]]


@pytest.mark.parametrize("topology", TOPOLOGIES)
@pytest.mark.parametrize("api", ["chat", "messages"])
@pytest.mark.parametrize("wires", [(a, b) for a in WIRES for b in WIRES], ids=str)
@pytest.mark.parametrize("end", ENDS)
async def test_a_broken_stream_is_resumed_behind_what_the_caller_has(
    tmp_path: Path, pair: tuple[Upstream, Upstream], topology: str, api: str, wires: tuple[str, str], end: str
) -> None:
    first, second = pair
    first.script(broken_after(wires[0], 2, ending(end)))
    # The second answer is cut otherwise; only the text counts.
    second.script(streamed(frames(wires[1], "The qu", "ick brown fox jumps", " over the lazy dog.")))
    read = await served(tmp_path, topology, documents(first, second, wires, recovery="verified_resume"), api)
    assert (read.text, read.whole, read.error) == (FULL, True, None)
    assert kinds(read) == [("plain", False), ("resume", True)]


@pytest.mark.parametrize("topology", TOPOLOGIES)
@pytest.mark.parametrize("api", ["chat", "messages"])
@pytest.mark.parametrize("wires", [(a, b) for a in WIRES for b in WIRES], ids=str)
async def test_a_broken_stream_is_continued_from_the_text_so_far(
    tmp_path: Path, pair: tuple[Upstream, Upstream], topology: str, api: str, wires: tuple[str, str]
) -> None:
    first, second = pair
    first.script(broken_after(wires[0], 2, ending("cut")))
    second.script(streamed(frames(wires[1], "jumps over ", "the lazy dog.")))
    read = await served(tmp_path, topology, documents(first, second, wires, recovery="continue"), api)
    assert (read.text, read.whole, read.error) == (FULL, True, None)
    assert kinds(read) == [("plain", False), ("continue", True)]
    begun = second.journal[0].json["messages"][-1]
    assert begun["role"] == "assistant"
    assert "The quick brown fox" in str(begun["content"])


@pytest.mark.parametrize("topology", TOPOLOGIES)
@pytest.mark.parametrize("api", ["chat", "messages"])
@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("end", ENDS)
async def test_seamless_ends_in_the_full_answer_though_the_fallback_refuses_prefill(
    tmp_path: Path, pair: tuple[Upstream, Upstream], topology: str, api: str, wire: str, end: str
) -> None:
    first, second = pair
    first.script(broken_after(wire, 4, ending(end)))
    error = {"type": "error", "error": {"type": "invalid_request_error", "message": "no prefill here"}}
    second.script([whole(400, error)], streamed(frames(wire, *TEXTS)))
    forms = documents(first, second, (wire, wire), recovery="seamless", commit_after={"tokens": 3})
    read = await served(tmp_path, topology, forms, api)
    assert (read.text, read.whole, read.error) == (FULL, True, None)
    assert kinds(read) == [("plain", False), ("continue", False), ("resume", True)]


@pytest.mark.parametrize("api", ["chat", "messages"])
@pytest.mark.parametrize("wire", WIRES)
async def test_two_answers_are_never_glued_together(
    tmp_path: Path, pair: tuple[Upstream, Upstream], api: str, wire: str
) -> None:
    first, second = pair
    first.script(broken_after(wire, 2, ending("cut")))
    second.script(streamed(frames(wire, "The quick ", "red fox ", "sleeps.")))
    forms = documents(first, second, (wire, wire), recovery="verified_resume", retry={"max_retries": 0})
    read = await served(tmp_path, "fused", forms, api)
    assert (read.text, read.whole) == ("The quick brown fox ", False)
    assert read.error
    attempts = read.metadata["attempts"]
    assert [a["error"] for a in attempts] == ["DISCONNECTED", "DIVERGED"]


@pytest.mark.parametrize("topology", TOPOLOGIES)
@pytest.mark.parametrize("api", ["chat", "messages"])
@pytest.mark.parametrize("rule", [{"tokens": 5}, {"ms": 5_000}, {"sentence": True}], ids=str)
async def test_a_break_within_the_hold_back_is_invisible(
    tmp_path: Path, pair: tuple[Upstream, Upstream], topology: str, api: str, rule: dict[str, Any]
) -> None:
    first, second = pair
    first.script(broken_after("openai", 1, ending("cut")))
    second.script(streamed(frames("openai", "Another ", "answer. ", "Done.")))
    read = await served(tmp_path, topology, documents(first, second, ("openai", "openai"), commit_after=rule), api)
    assert (read.text, read.whole, read.error) == ("Another answer. Done.", True, None)
    assert kinds(read) == [("plain", False), ("plain", True)]


@pytest.mark.parametrize("api", ["chat", "messages"])
async def test_a_caller_that_asks_for_it_is_restarted(
    tmp_path: Path, pair: tuple[Upstream, Upstream], api: str
) -> None:
    first, second = pair
    forms = documents(first, second, ("openai", "openai"), recovery="restart")
    for header, text, restarts in ((None, "The quick brown fox ", 0), ("allow", "Something else.", 1)):
        first.script(broken_after("openai", 2, ending("cut")))
        second.script(streamed(frames("openai", "Something ", "else.")))
        headers = {"x-turnout-restart": header} if header else {}
        read = await served(tmp_path / str(restarts), "fused", forms, api, headers)
        assert (read.text, read.restarts, read.whole) == (text, restarts, bool(restarts))


async def test_tool_calls_and_reasoning_are_never_mended(tmp_path: Path, pair: tuple[Upstream, Upstream]) -> None:
    first, second = pair
    call = {"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a"'}}
    events = openai_events("x")
    events[1] = events[1].replace(
        b'{"content": "x"}', b'{"tool_calls": [' + str(call).replace("'", '"').encode() + b"]}"
    )
    events[1] = events[1].replace(b'"{"a""', b'"{\\"a\\""')
    first.script([STREAM_HEAD, *(chunk(f) for f in events[:2]), *ending("cut")])
    second.script(streamed(frames("openai", "x")))
    forms = documents(first, second, ("openai", "openai"), recovery="seamless", commit_after={"tokens": 1})
    read = await served(tmp_path, "fused", forms, "chat")
    assert read.error
    assert not second.journal
