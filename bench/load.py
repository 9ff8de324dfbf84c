"""`python -m bench.load`: the load generator, a process of its own so that its cost is nobody else's.

It reads orders from standard input and writes tallies to standard output. No
HTTP library and no task per request: a library would cost more than the router
that it measures.
"""

from __future__ import annotations

import asyncio
import random
import socket
import sys
from collections import deque

import msgspec
import uvloop

from bench.http1 import Connection, Exchange, now
from bench.orders import Order, Step, Tally
from bench.payloads import COUNTER

DRAIN_SECONDS = 30.0
"""How long requests may take after the last one was sent."""
OPEN_CONNECTIONS = 48
"""Kept open to each port for open loops; what is due while all are busy waits, and its clock runs."""
KEPT_FAILURES = 5


class _Sender:
    """Sends one step's request; writes the running number into it."""

    numbers = iter(range(10**8))

    def __init__(self, step: Step) -> None:
        head, mark, tail = step.request.partition(COUNTER)
        self._head, self._tail, self._counted = head.encode(), tail.encode(), bool(mark)
        self.step = step
        self._terminal = step.terminal.encode()

    def send(self, connection: Connection, due: float, done: object) -> None:
        request = self._head
        if self._counted:
            request = b"%b%08d%b" % (self._head, next(self.numbers), self._tail)
        connection.send(request, due, done, terminal=self._terminal, expected=self.step.expected)  # type: ignore[arg-type]


class Pool:
    """Kept-alive connections by port."""

    def __init__(self) -> None:
        self._kept: dict[int, list[Connection]] = {}

    async def take(self, port: int, count: int) -> list[Connection]:
        """`count` usable connections to `port`."""
        loop = asyncio.get_running_loop()
        kept = [c for c in self._kept.get(port, ()) if c.usable]
        while len(kept) < count:
            _, connection = await loop.create_connection(Connection, "127.0.0.1", port)
            kept.append(connection)
        self._kept[port] = kept
        return kept[:count]


class Round:
    """Keeps the tally of one round and knows when its last request has ended."""

    def __init__(self) -> None:
        self.tally = Tally()
        self.began = now()
        self.in_flight = 0
        self.sending = True
        self._over = asyncio.Event()

    def note(self, exchange: Exchange) -> None:
        """Book one answer."""
        self.in_flight -= 1
        tally = self.tally
        if exchange.failure:
            tally.failed += 1
            if len(tally.failures) < KEPT_FAILURES:
                tally.failures.append(exchange.failure)
        else:
            tally.latencies.append(exchange.ended - exchange.due)
            tally.firsts.append(exchange.first - exchange.due)
            tally.writes += exchange.writes
            tally.size += exchange.size
        tally.seconds = exchange.ended - self.began
        if not self.sending and not self.in_flight:
            self._over.set()

    async def finished(self) -> Tally:
        """The tally, when the last request has ended."""
        self.sending = False
        if self.in_flight:
            async with asyncio.timeout(DRAIN_SECONDS):
                await self._over.wait()
        return self.tally


async def closed_loop(order: Order, pool: Pool) -> Tally:
    """Every connection sends again as soon as it is answered."""
    sender = _Sender(order.steps[0])
    connections = await pool.take(sender.step.port, order.connections)
    current = Round()
    until = current.began + order.seconds

    def again(connection: Connection, exchange: Exchange | None) -> None:
        if exchange is not None:
            current.note(exchange)
        due = now()
        if due < until and connection.usable:
            current.in_flight += 1
            sender.send(connection, due, again)

    for connection in connections:
        again(connection, None)
    await asyncio.sleep(order.seconds)
    return await current.finished()


async def open_loop(order: Order, pool: Pool) -> Tally:
    """Requests arrive at random at a mean rate, whatever comes back."""
    sender = _Sender(order.steps[0])
    loop = asyncio.get_running_loop()
    free = deque(await pool.take(sender.step.port, OPEN_CONNECTIONS))
    waiting: deque[float] = deque()
    current = Round()

    def done(connection: Connection, exchange: Exchange) -> None:
        current.note(exchange)
        if waiting and connection.usable:
            sender.send(connection, waiting.popleft(), done)
        else:
            free.append(connection)

    def arrive() -> None:
        current.in_flight += 1
        due = now()
        while free:
            connection = free.popleft()
            if connection.usable:
                sender.send(connection, due, done)
                return
        waiting.append(due)

    began = loop.time()
    for at in _arrivals(order):
        await asyncio.sleep(began + at - loop.time())
        current.tally.lag = max(current.tally.lag, loop.time() - began - at)
        arrive()
    return await current.finished()


def _arrivals(order: Order) -> list[float]:
    """Poisson arrivals, seconds from the start: the same for the same seed, so every way meets the same ones."""
    draws = random.Random(order.seed)
    times: list[float] = []
    at = draws.expovariate(order.rate)
    while at < order.seconds:
        times.append(at)
        at += draws.expovariate(order.rate)
    return times


async def series(order: Order, pool: Pool) -> Tally:
    """All steps one after the other, timed as a whole; what a caller would do who fails over by hand."""
    senders = [_Sender(step) for step in order.steps]
    current = Round()
    loop = asyncio.get_running_loop()
    for _ in range(order.count):
        whole = Exchange(now())
        current.in_flight += 1
        for sender in senders:
            if sender.step.expected == 0:
                whole.failure = _refused(sender.step.port)
                continue
            (connection,) = await pool.take(sender.step.port, 1)
            answered: asyncio.Future[Exchange] = loop.create_future()
            sender.send(connection, now(), lambda _connection, exchange, f=answered: f.set_result(exchange))
            exchange = await answered
            whole.failure = whole.failure or exchange.failure
            whole.first, whole.size = exchange.first, exchange.size
        whole.ended = now()
        current.note(whole)
    return await current.finished()


def _refused(port: int) -> str:
    """Meet a closed port; on loopback the refusal comes at once."""
    with socket.socket() as attempt:
        try:
            attempt.connect(("127.0.0.1", port))
        except ConnectionRefusedError:
            return ""
    return f"port {port} took the connection"


MODES = {"open": open_loop, "closed": closed_loop, "series": series}


async def main() -> None:
    """Carry out orders until standard input ends."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=1 << 24)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    pool = Pool()
    while line := await reader.readline():
        order = msgspec.json.decode(line, type=Order)
        tally = await MODES[order.mode](order, pool)
        sys.stdout.buffer.write(msgspec.json.encode(tally) + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    uvloop.run(main())
