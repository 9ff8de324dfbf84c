"""Minted secrets: made before they are needed, renewed before they expire, and never in anybody's way."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from services.core.errors import FailureKind
from services.dataplane.credentials import Credentials
from services.dataplane.policy_holder import PolicyHolder
from services.dataplane.tokens import Minted, MintFailed, Tokens
from services.runtime.catalogue.shipped import ShippedCatalogue
from services.runtime.conditions import CelCompiler
from services.runtime.testing import FakeClock
from tests.support.inprocess import eventually, policy_set

REFERENCE = "google:default"


@dataclass
class Source:
    """A source by script: secrets, failures, or whatever else a library raises; the last one goes on for ever."""

    script: list[Minted | Exception]
    gate: threading.Event = field(default_factory=threading.Event)
    calls: int = 0
    threads: set[int] = field(default_factory=set)

    def mint(self) -> Minted:
        assert self.gate.wait(20), "the gate stayed shut"
        self.threads.add(threading.get_ident())
        step = self.script[min(self.calls, len(self.script) - 1)]
        self.calls += 1
        if isinstance(step, Exception):
            raise step
        return step


def good(clock: FakeClock, number: int = 1, seconds: float = 3600.0) -> Minted:
    return Minted(f"secret-{number}", clock.wall() + seconds)


@asynccontextmanager
async def kept(
    clock: FakeClock, script: Sequence[Minted | Exception], *, shut: bool = False
) -> AsyncIterator[tuple[Tokens, Source]]:
    source = Source(list(script))
    if not shut:
        source.gate.set()
    tokens = Tokens(clock, lambda reference: source if reference == REFERENCE else None)
    tokens.keep({REFERENCE, "env:KEY"})
    try:
        yield tokens, source
    finally:
        source.gate.set()
        await tokens.close()


async def advanced(clock: FakeClock, seconds: float, until: Callable[[], bool]) -> None:
    clock.advance(seconds)
    await eventually(until)


async def test_a_secret_is_made_in_another_thread_as_soon_as_it_is_named() -> None:
    clock = FakeClock()
    async with kept(clock, [good(clock)]) as (tokens, source):
        await eventually(lambda: tokens.secret(REFERENCE) == "secret-1")
        assert threading.get_ident() not in source.threads
        assert tokens.secret("env:KEY") is None
        assert tokens.failing() == {}


async def test_it_is_renewed_before_it_expires_and_the_old_one_serves_meanwhile() -> None:
    clock = FakeClock()
    async with kept(clock, [good(clock), Minted("secret-2", clock.wall() + 9_000)]) as (tokens, source):
        await eventually(lambda: source.calls == 1 and tokens.secret(REFERENCE) == "secret-1")
        source.gate.clear()
        clock.advance(3_299)
        assert tokens.secret(REFERENCE) == "secret-1"
        clock.advance(2)
        await asyncio.sleep(0)
        assert tokens.secret(REFERENCE) == "secret-1"
        source.gate.set()
        await eventually(lambda: tokens.secret(REFERENCE) == "secret-2")
        assert source.calls == 2


async def test_a_library_that_gives_the_same_token_again_is_not_asked_in_a_whirl() -> None:
    clock = FakeClock()
    async with kept(clock, [good(clock, seconds=400.0)]) as (tokens, source):
        for calls in range(1, 6):
            await eventually(lambda calls=calls: source.calls == calls)  # type: ignore[misc]
            await eventually(lambda: bool(clock._sleepers))
            clock.advance(clock._sleepers[0][0] - clock.now)
        # 200 s, 100 s, 50 s, 25 s: half of what is left, each time.
        assert clock.now == 1_000.0 + 200 + 100 + 50 + 25 + 12.5
        assert tokens.secret(REFERENCE) == "secret-1"


async def test_the_first_request_waits_for_the_first_secret_and_no_longer_than_it_may() -> None:
    clock = FakeClock()
    async with kept(clock, [good(clock)], shut=True) as (tokens, source):
        assert await tokens.first(REFERENCE, 0.01) is None
        waiting = asyncio.create_task(tokens.first(REFERENCE, 20.0))
        await asyncio.sleep(0)
        source.gate.set()
        assert await waiting == "secret-1"
        assert source.calls == 1


async def test_a_reference_that_no_policy_announced_is_made_at_its_first_use() -> None:
    clock = FakeClock()
    source = Source([good(clock)])
    source.gate.set()
    tokens = Tokens(clock, lambda _: source)
    assert await tokens.first(REFERENCE, 20.0) == "secret-1"
    await tokens.close()


async def test_failures_are_told_once_and_tried_again_more_and_more_seldom(caplog: pytest.LogCaptureFixture) -> None:
    clock = FakeClock()
    script = [MintFailed("no keys"), MintFailed("no keys"), MintFailed("no keys"), good(clock)]
    caplog.set_level(logging.INFO)
    async with kept(clock, script) as (tokens, source):
        assert await tokens.first(REFERENCE, 20.0) is None
        assert tokens.failing()[REFERENCE].failures == 1
        assert tokens.failing()[REFERENCE].until == clock.now + 1.0
        await advanced(clock, 1.0, lambda: source.calls == 2 and bool(clock._sleepers))
        assert tokens.failing()[REFERENCE].until == clock.now + 2.0
        # A request that comes now is told at once; it waits for nothing.
        assert await tokens.first(REFERENCE, 20.0) is None
        await advanced(clock, 2.0, lambda: source.calls == 3 and bool(clock._sleepers))
        await advanced(
            clock, 4.0, lambda: tokens.secret(REFERENCE) == "secret-1" if tokens.secret(REFERENCE) else False
        )
        assert tokens.failing() == {}
    told = [record.getMessage() for record in caplog.records if record.name == "services.dataplane.tokens"]
    assert told == [
        "no secret for the credential google:default: no keys",
        "the credential google:default has a secret again",
    ]


async def test_what_a_library_says_goes_nowhere() -> None:
    clock = FakeClock()
    async with kept(clock, [RuntimeError("the canary was refused")]) as (tokens, _):
        assert await tokens.first(REFERENCE, 20.0) is None
        assert tokens.why(REFERENCE) == "its library failed (RuntimeError)"


async def test_an_expired_secret_is_none() -> None:
    clock = FakeClock()
    async with kept(clock, [good(clock, seconds=1000.0), MintFailed("gone")]) as (tokens, source):
        await eventually(lambda: tokens.secret(REFERENCE) == "secret-1" and bool(clock._sleepers))
        await advanced(clock, 701.0, lambda: source.calls == 2 and bool(clock._sleepers))
        # Renewing failed, but what is there is still good.
        assert tokens.secret(REFERENCE) == "secret-1"
        assert tokens.failing() == {}
        clock.advance(300.0)
        assert tokens.secret(REFERENCE) is None
        assert tokens.failing()[REFERENCE].told == "gone"


async def test_a_reference_that_the_policy_dropped_is_not_renewed_but_serves_those_who_began_before() -> None:
    clock = FakeClock()
    async with kept(clock, [good(clock)]) as (tokens, source):
        await eventually(lambda: tokens.secret(REFERENCE) == "secret-1" and bool(clock._sleepers))
        tokens.keep(())
        clock.advance(3_400)
        await asyncio.sleep(0)
        assert tokens.secret(REFERENCE) == "secret-1"
        assert source.calls == 1
        tokens.keep({REFERENCE})
        await eventually(lambda: source.calls == 2)


async def test_a_policy_that_is_put_in_force_has_its_secrets_made() -> None:
    clock = FakeClock()
    source = Source([good(clock)])
    source.gate.set()
    tokens = Tokens(clock, lambda reference: source if reference.startswith("google:") else None)
    credentials = Credentials(clock.monotonic, {"KEY": "plain"}, tokens)
    holder = PolicyHolder(CelCompiler(), ShippedCatalogue())
    holder.on_change = credentials.prepare
    endpoint = {"name": "eu", "base_url": "http://eu.test", "credentials": ["env:KEY", REFERENCE]}
    policy = policy_set({"kind": "Provider", "name": "p", "type": "openai_compatible", "endpoints": [endpoint]})
    compiled = holder.compile(policy)
    assert not isinstance(compiled, tuple)
    holder.put(policy, compiled)  # type: ignore[arg-type]
    await eventually(lambda: credentials.secret(REFERENCE) == "secret-1")
    assert credentials.secret("env:KEY") == "plain"
    assert "secret-1" not in repr(tokens) + repr(vars(tokens)) + repr(good(clock))
    await credentials.close()


async def test_a_missing_credential_says_why_without_a_secret() -> None:
    clock = FakeClock()
    async with kept(clock, [MintFailed("Amazon's chain finds no keys on this machine")]) as (tokens, _):
        credentials = Credentials(clock.monotonic, {}, tokens)
        assert await credentials.first(REFERENCE, 20.0) is None
        failure = credentials.missing(REFERENCE)
        assert failure.kind is FailureKind.CREDENTIAL_MISSING
        assert failure.message == (
            "the credential 'google:default' names nothing on this worker: Amazon's chain finds no keys on this machine"
        )
        assert credentials.missing("env:X").message == "the credential 'env:X' names nothing on this worker"
        assert await credentials.first("env:X", 20.0) is None
