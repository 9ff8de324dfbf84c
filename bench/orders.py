"""What the generator is told to do, and what it tells of it: one JSON object per line, both ways."""

from __future__ import annotations

import msgspec


class Step(msgspec.Struct, frozen=True):
    """One request, ready to send.

    Attributes:
        request: The whole HTTP request; ASCII. May hold `payloads.COUNTER`.
        terminal: What a chunked answer must hold to count as whole.
        expected: The status that counts as success; 0: the port refuses the connection.
    """

    port: int
    request: str = ""
    terminal: str = ""
    expected: int = 200


class Order(msgspec.Struct, frozen=True):
    """One round.

    Attributes:
        mode: "open": `rate` a second, whatever comes back; "closed": `connections` that each send again as soon as
            they are answered; "series": `count` times all steps, one after the other, each time timed as a whole.
        seed: Of the arrival times of "open": rounds with the same seed have the same ones.
    """

    mode: str
    steps: list[Step]
    seconds: float = 1.0
    rate: float = 100.0
    connections: int = 32
    count: int = 0
    seed: int = 1


class Tally(msgspec.Struct):
    """What a round brought.

    Attributes:
        latencies: Seconds from due to the end of the answer, of those that succeeded.
        firsts: Seconds from due to the first byte of the body.
        writes: Chunks of the transfer encoding in all.
        size: Bytes of all bodies.
        lag: The largest delay between an arrival's time and the generator's waking up for it, seconds.
        failures: The first few failures, and how many there were in all.
    """

    latencies: list[float] = []
    firsts: list[float] = []
    writes: int = 0
    size: int = 0
    seconds: float = 0.0
    lag: float = 0.0
    failed: int = 0
    failures: list[str] = []
