"""Segments in order, a few ahead, bounded, and what becomes of failures."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from services.core.errors import NoProvider, RouterError
from services.dataplane.voice.pipeline import AHEAD, BACKLOG, Pipeline
from services.dataplane.voice.segmenter import Segment

WORDS = ("One. ", "Two. ", "Three. ", "Four. ", "Five. ")


class Provider:
    """Speaks at the test's word: each text waits for its event, if it has one."""

    def __init__(self, *held: str) -> None:
        self.go = {text: asyncio.Event() for text in held}
        self.asked: list[str] = []
        self.closed: list[str] = []
        self.changed = asyncio.Event()

    async def say(self, text: str) -> AsyncGenerator[bytes, None]:
        self.asked.append(text)
        self.changed.set()
        try:
            yield text[:1].encode()
            if text in self.go:
                await self.go[text].wait()
            if text == "Bad.":
                raise NoProvider("it broke")
            yield text[1:].encode()
        finally:
            self.closed.append(text)

    async def until_asked(self, count: int) -> None:
        async with asyncio.timeout(30):
            while len(self.asked) < count:
                self.changed.clear()
                await self.changed.wait()


class Listener:
    """Gathers what is heard."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str]] = []
        self.some = asyncio.Event()

    async def hear(self, transcript: str, piece: bytes) -> None:
        if transcript:
            self.heard.append((transcript, ""))
        told, before = self.heard[-1]
        self.heard[-1] = (told, before + piece.decode())
        self.some.set()


def spoken(*texts: str) -> list[tuple[str, str]]:
    return [(text, text.strip()) for text in texts]


async def test_segments_are_heard_in_order_whoever_is_quicker() -> None:
    provider, listener = Provider("Two."), Listener()
    pipeline = Pipeline(provider.say, listener.hear)
    for text in WORDS:
        pipeline.add(Segment(text))
    await provider.until_asked(2 + AHEAD)
    provider.go["Two."].set()
    await pipeline.finish()
    assert listener.heard == spoken(*WORDS)
    assert pipeline.spoken == 5
    await pipeline.stop()


async def test_the_others_wait_until_the_first_begins_and_then_only_a_few_are_ahead() -> None:
    begin = asyncio.Event()

    class Silent(Provider):
        async def say(self, text: str) -> AsyncGenerator[bytes, None]:
            if text == "One.":
                self.asked.append(text)
                self.changed.set()
                await begin.wait()
            async for piece in super().say(text):
                yield piece

    provider, listener = Silent("One."), Listener()
    pipeline = Pipeline(provider.say, listener.hear)
    for text in WORDS:
        pipeline.add(Segment(text))
    await provider.until_asked(1)
    for _ in range(20):
        await asyncio.sleep(0)
    assert provider.asked == ["One."]
    begin.set()
    await listener.some.wait()
    await provider.until_asked(2 + AHEAD)
    for _ in range(50):
        await asyncio.sleep(0)
    assert provider.asked[1:] == ["One.", "Two.", "Three."]
    provider.go["One."].set()
    await pipeline.finish()
    assert listener.heard == spoken(*WORDS)
    await pipeline.stop()


async def test_a_slow_listener_bounds_what_is_made() -> None:
    made = 0
    wait = asyncio.Event()

    async def endless(text: str) -> AsyncGenerator[bytes, None]:
        nonlocal made
        while True:
            made += 1
            yield b"x"

    async def slow(transcript: str, piece: bytes) -> None:
        await wait.wait()

    pipeline = Pipeline(endless, slow)
    for text in WORDS:
        pipeline.add(Segment(text))
    for _ in range(500):
        await asyncio.sleep(0)
    assert made <= (1 + AHEAD) * (BACKLOG + 2)
    await pipeline.stop()


async def test_a_failure_comes_behind_what_was_heard_before_it_and_ends_the_rest() -> None:
    told: list[bool] = []
    provider, listener = Provider("One."), Listener()
    pipeline = Pipeline(provider.say, listener.hear, lambda: told.append(True))
    for text in ("One. ", "Bad. ", "Three. ", "Four. "):
        pipeline.add(Segment(text))
    await provider.until_asked(3)
    for _ in range(20):
        await asyncio.sleep(0)
    assert pipeline.failure is None
    provider.go["One."].set()
    await pipeline.finish()
    assert isinstance(pipeline.failure, RouterError)
    assert (told, pipeline.spoken) == ([True], 1)
    assert listener.heard == [("One. ", "One."), ("Bad. ", "B")]
    pipeline.add(Segment("Six. "))
    await pipeline.stop()
    assert "Six." not in provider.asked
    assert sorted(provider.closed) == sorted(provider.asked)


async def test_a_listener_that_can_take_no_more_is_a_failure() -> None:
    async def full(transcript: str, piece: bytes) -> None:
        raise NoProvider("full")

    provider = Provider()
    pipeline = Pipeline(provider.say, full)
    pipeline.add(Segment("One. "))
    await pipeline.finish()
    assert str(pipeline.failure) == "full"
    await pipeline.stop()


async def test_what_no_failure_should_be_is_raised() -> None:
    async def buggy(text: str) -> AsyncGenerator[bytes, None]:
        raise ZeroDivisionError
        yield b""

    pipeline = Pipeline(buggy, Listener().hear)
    pipeline.add(Segment("One. "))
    with pytest.raises(ZeroDivisionError):
        await pipeline.finish()
    await pipeline.stop()


async def test_segments_without_words_or_sound_are_passed_over() -> None:
    async def mute(text: str) -> AsyncGenerator[bytes, None]:
        if text != "One.":
            yield text.encode()

    listener = Listener()
    pipeline = Pipeline(mute, listener.hear)
    for segment in (Segment("```\nx\n```\n", code=True), Segment("--- "), Segment("One. "), Segment("Two.")):
        pipeline.add(segment)
    await pipeline.finish()
    assert listener.heard == spoken("Two.")
    await pipeline.stop()


async def test_stopping_closes_everything() -> None:
    provider, listener = Provider("One."), Listener()
    pipeline = Pipeline(provider.say, listener.hear)
    for text in WORDS:
        pipeline.add(Segment(text))
    await provider.until_asked(1 + AHEAD)
    await pipeline.stop()
    assert sorted(provider.closed) == sorted(provider.asked)
    assert len(asyncio.all_tasks()) == 1
