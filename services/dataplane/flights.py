"""The attempts of one request that are in flight: started, awaited, cancelled.

As long as there is one attempt and no hedge is due, it is awaited directly; a task is
made only when two things have to be awaited at once, so that the common case costs nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

from services.core.attempts.effects import StartAttempt
from services.core.attempts.events import Event, HedgeDue
from services.core.routing.plan import Candidate
from services.core.values import MutableValue, changed
from services.dataplane.attempt import Attempt
from services.dataplane.trail import AttemptTrail
from services.runtime.clock import Clock


class Flight(MutableValue, eq=False):
    """One attempt in flight.

    Attributes:
        attempt: Its exchange; None until the request is about to be sent.
        held: Frames that wait for the commit.
        done: The stream's terminal event was seen.
        secret: The credential that is sent, so that a failure that quotes it does not.
        booked: The health tracker knows how it ended.
    """

    effect: StartAttempt
    trail: AttemptTrail
    attempt: Attempt | None = None
    held: bytes = b""
    done: bool = False
    booked: bool = False
    secret: str = ""
    task: asyncio.Task[Event] | None = None

    def __repr__(self) -> str:
        """Not the secret, and nothing that holds an answer."""
        return f"Flight({self.effect!r}, done={self.done}, booked={self.booked})"

    def close(self) -> None:
        """Close its connection now."""
        # A flight that fails closes itself, out of its own task, which must live to say so.
        if self.task is not None and not self.task.done() and self.task is not asyncio.current_task():
            self.task.cancel()
        if self.attempt is not None:
            self.attempt.close()


class Flights:
    """The flights of one request."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._flights: dict[int, Flight] = {}
        self.hedge_at = 0.0

    def add(self, flight: Flight) -> None:
        """Put a flight in the air; it moves when `event` is awaited."""
        self._flights[flight.effect.number] = flight

    def get(self, number: int) -> Flight:
        """The flight of an attempt."""
        return self._flights[number]

    def pop(self, number: int) -> Flight | None:
        """Take a flight down; the caller closes it."""
        return self._flights.pop(number, None)

    def all(self) -> list[Flight]:
        """Every flight, in the order of their numbers."""
        return list(self._flights.values())

    async def event(self, lift: Callable[[Flight], Awaitable[Event]]) -> Event:
        """The next thing that happens to any flight, or `HedgeDue`.

        `lift` is not kept: it would tie the request's objects into a cycle that only the garbage
        collector can free.
        """
        flights = self.all()
        if len(flights) == 1 and not self.hedge_at and flights[0].task is None:
            return await lift(flights[0])
        for flight in flights:
            if flight.task is None:
                flight.task = asyncio.ensure_future(lift(flight))
        tasks = {flight.task for flight in flights if flight.task is not None}
        timeout = max(0.0, self.hedge_at - self._clock.monotonic()) if self.hedge_at else None
        done, _ = await asyncio.wait(tasks, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        if not done:
            self.hedge_at = 0.0
            return HedgeDue()
        first = next(flight for flight in flights if flight.task in done)
        assert first.task is not None, "it is among the done ones"
        task, first.task = first.task, None
        return task.result()


def addressed(candidate: Candidate, address: int) -> Candidate:
    """The candidate at one of its provider's addresses, by its place in `endpoints`."""
    provider = candidate.target.provider
    if not provider.endpoints:
        return candidate
    at = replace(provider, base_url=provider.endpoints[address].base_url)
    return changed(candidate, target=replace(candidate.target, provider=at))
