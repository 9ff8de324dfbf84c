"""Secrets that are made for a time: minted and renewed before they expire, off the way of requests.

References such as `google:default` name no secret that lies somewhere: a vendor's library
makes one, which takes a call over the network and blocks. Each reference of the policy in force
has a task here; the library runs in a thread of its own. A request reads the present value, and
waits only for the very first one.

`token_sources.py` holds the vendors' adapters of the port `Minter`.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Thread
from typing import Protocol

from services.runtime.clock import Clock

log = logging.getLogger(__name__)

_MARGIN = 300.0
"""Seconds before its expiry at which a token is renewed; vendors' libraries do not give a new one much earlier."""

_UNDATED = 300.0
"""Seconds after which a secret without an expiry is looked up anew: its owner may have changed it."""

_SHORTEST_WAIT, _LONGEST_WAIT = 1.0, 60.0
"""Seconds between two failures: doubled each time."""


@dataclass(frozen=True, slots=True)
class Minted:
    """A secret, and when it expires, in seconds since the Unix epoch; None: it does not say."""

    secret: str = field(repr=False)
    expires: float | None = None


class MintFailed(Exception):
    """There is no secret to be had now; the message says why, without any part of a secret."""


class Minter(Protocol):
    """One source of secrets."""

    def mint(self) -> Minted:
        """Make a secret. Blocks; called in a thread, never in two at once.

        Raises:
            MintFailed: It cannot be had now.
        """


MinterOf = Callable[[str], Minter | None]
"""The source that a reference names; None: it names none."""


@dataclass(frozen=True, slots=True)
class Failing:
    """A reference without a secret that is good: since how many failures, and the monotonic instant of the next try."""

    told: str
    failures: int
    until: float


@dataclass(slots=True, repr=False)
class _Held:
    secret: str = ""
    until: float = 0.0
    failures: int = 0
    told: str = "it has not been made yet"
    next_at: float = 0.0
    tried: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None


class Tokens:
    """Keeps the secrets of references fresh. Use inside the running loop; `close` it at the end.

    Args:
        clock: Time.
        minter_of: The source of each reference.
    """

    def __init__(self, clock: Clock, minter_of: MinterOf) -> None:
        self._clock = clock
        self._minter_of = minter_of
        self._held: dict[str, _Held] = {}

    def keep(self, references: Collection[str]) -> None:
        """Keep these references fresh from now on and no others; those that name no source are left out.

        What another reference had stays, for requests that began before, until it expires.
        """
        for reference, held in self._held.items():
            if reference not in references and held.task is not None:
                held.task.cancel()
                held.task = None
        for reference in references:
            self._start(reference)

    def _start(self, reference: str) -> _Held | None:
        held = self._held.get(reference)
        if held is not None and held.task is not None:
            return held
        minter = self._minter_of(reference)
        if minter is None:
            return None
        held = self._held.setdefault(reference, _Held())
        held.task = asyncio.get_running_loop().create_task(self._refresh(reference, held, minter))
        return held

    def secret(self, reference: str) -> str | None:
        """The present secret of `reference`; None: there is none that is good."""
        held = self._held.get(reference)
        if held is None or self._clock.monotonic() >= held.until:
            return None
        return held.secret

    async def first(self, reference: str, seconds: float) -> str | None:
        """The secret of `reference`, for at most `seconds` waiting for it to be made the first time."""
        held = self._start(reference)
        if held is None:
            return None
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await held.tried.wait()
        return self.secret(reference)

    def failing(self) -> Mapping[str, Failing]:
        """The references in force that have no secret now, after at least one failure."""
        return {
            reference: Failing(held.told, held.failures, held.next_at)
            for reference, held in self._held.items()
            if held.failures and held.task is not None and self.secret(reference) is None
        }

    def why(self, reference: str) -> str:
        """Why `reference` has no secret, as the end of a sentence; empty: it names no source."""
        held = self._held.get(reference)
        return held.told if held is not None else ""

    async def _refresh(self, reference: str, held: _Held, minter: Minter) -> None:
        while True:
            await self._clock.sleep(await self._mint(reference, held, minter))

    async def _mint(self, reference: str, held: _Held, minter: Minter) -> float:
        """Make a secret once; how long to wait until the next time."""
        try:
            minted = await _in_thread(minter.mint)
        except MintFailed as error:
            wait = min(_LONGEST_WAIT, _SHORTEST_WAIT * 2.0**held.failures)
            if str(error) != held.told:
                log.warning("no secret for the credential %s: %s", reference, error)
            held.told, held.failures = str(error), held.failures + 1
        else:
            left = math.inf if minted.expires is None else minted.expires - self._clock.wall()
            wait = _UNDATED if left == math.inf else max(_SHORTEST_WAIT, _renewal(left))
            if held.failures:
                log.info("the credential %s has a secret again", reference)
            held.secret, held.failures, held.told = minted.secret, 0, "the last one has expired"
            held.until = self._clock.monotonic() + left
        held.next_at = self._clock.monotonic() + wait
        held.tried.set()
        return wait

    async def close(self) -> None:
        """Stop renewing. A call to a vendor that is under way ends by itself, unheard."""
        tasks = [held.task for held in self._held.values() if held.task is not None]
        self.keep(())
        await asyncio.gather(*tasks, return_exceptions=True)


def _renewal(seconds: float) -> float:
    """After how many seconds a secret that is good for `seconds` is renewed."""
    return seconds - _MARGIN if seconds > 2 * _MARGIN else seconds / 2


def _in_thread(work: Callable[[], Minted]) -> asyncio.Future[Minted]:
    """Run `work` in a thread that does not keep the process alive: a vendor's call may hang for minutes."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Minted] = loop.create_future()

    def settle(minted: Minted | None, error: BaseException | None) -> None:
        if future.done():
            return
        if minted is not None:
            future.set_result(minted)
        else:
            future.set_exception(error or MintFailed("the source gave nothing"))

    def run() -> None:
        minted: Minted | None = None
        failed: BaseException | None = None
        try:
            minted = work()
        except MintFailed as error:
            failed = error
        except Exception as error:  # noqa: BLE001 - of three vendors' libraries, and told like any other failure
            # What libraries say may quote what they sent.
            failed = MintFailed(f"its library failed ({type(error).__name__})")
        with suppress(RuntimeError):  # the loop is closed: nobody listens any more
            loop.call_soon_threadsafe(settle, minted, failed)

    Thread(target=run, name="mint", daemon=True).start()
    return future
