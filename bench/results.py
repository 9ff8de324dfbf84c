"""What a run found, in the form in which it is written as JSON."""

from __future__ import annotations

import msgspec


class Figures(msgspec.Struct):
    """One way of one measure, all rounds together. Times in milliseconds, CPU in microseconds of the router.

    Attributes:
        first_p50: Time to the first byte of the body, which is the first content.
        added_p50: Over the direct way's p50. `added_p50_low` and `_high`: the same for the best and the worst round.
        cpu: User and system time per request; `cpu_parts`: by process. Absent on the direct way.
        cpu_chunk: The same per chunk of the upstream's stream.
        writes: How often the server wrote per answer (chunks of the transfer encoding).
    """

    requests: int
    per_second: float
    p50: float
    p99: float
    first_p50: float
    first_p99: float
    added_p50: float | None = None
    added_p50_low: float | None = None
    added_p50_high: float | None = None
    added_p99: float | None = None
    added_first_p50: float | None = None
    added_first_p99: float | None = None
    cpu: float | None = None
    cpu_chunk: float | None = None
    cpu_parts: dict[str, float] = {}
    generator_cpu: float = 0.0
    upstream_cpu: float = 0.0
    writes: float = 0.0
    bytes_per_write: float = 0.0
    lag_ms: float = 0.0


class Measure(msgspec.Struct):
    """One measure.

    Attributes:
        mode: "open" (a steady rate) or "closed" (saturation).
        load: The load in words, such as "100 requests/s".
    """

    name: str
    title: str
    mode: str
    load: str
    stream: bool
    ways: dict[str, Figures]


class Failover(msgspec.Struct):
    """One fault. Milliseconds, p50.

    Attributes:
        direct: The failed attempt and the good one, done one after the other by the caller itself.
        routed: One request through the router, which fails over, by way.
        added: `routed` - `direct`, by way.
        own: `added` without what the router adds to a request that does not fail, by way: the failover's own price.
    """

    fault: str
    samples: int
    direct: float
    routed: dict[str, float]
    added: dict[str, float]
    own: dict[str, float]


class Tail(msgspec.Struct):
    """The tail experiment on one way: how late the first content is, in milliseconds, and what that costs.

    Attributes:
        extra: Upstream requests beyond one per request, as a share.
    """

    requests: int
    first_p50: float
    first_p95: float
    first_p99: float
    extra: float


class Memory(msgspec.Struct):
    """Resident memory of one process in MiB: before its first request, and after the run."""

    process: str
    start: float
    after: float


class Bar(msgspec.Struct):
    """A bar and whether it was met."""

    name: str
    limit: str
    measured: str
    met: bool


class Machine(msgspec.Struct):
    """Where it ran.

    Attributes:
        others: Share of the machine's CPU that programs which are no part of the run took while it lasted.
    """

    cores: int
    cpu: str
    python: str
    system: str
    others: float = 0.0


class Cost(msgspec.Struct):
    """CPU microseconds per request of one load in one process: the best round, and the median one.

    Attributes:
        against_best: Of the other working tree, as `against_median`; absent: there is none.
    """

    load: str
    best: float
    median: float
    against_best: float | None = None
    against_median: float | None = None


class Pair(msgspec.Struct):
    """CPU microseconds of one dialect with one codec, the best of all rounds.

    Attributes:
        request: From the caller's bytes to the provider's.
        answer: From a whole answer's bytes to the caller's.
        event: One piece of text of a stream; `added`: over one from a provider of the caller's own protocol.
        same: It is that protocol: bytes pass through.
    """

    dialect: str
    codec: str
    request: float
    answer: float
    event: float
    same: bool = False
    added: float | None = None


class Run(msgspec.Struct):
    """A whole run."""

    date: str
    machine: Machine
    seconds: float
    rounds: int
    sampling: float
    took_seconds: float = 0.0
    measures: list[Measure] = []
    failovers: list[Failover] = []
    tail: dict[str, Tail] = {}
    sampling_cpu: dict[str, float] = {}
    """CPU microseconds per fused unary request at saturation, by share of traces exported."""
    memory: list[Memory] = []
    spans: dict[str, int] = {}
    bars: list[Bar] = []
    in_process: list[Cost] = []
    codecs: list[Pair] = []

    def figures(self, measure: str, way: str) -> Figures | None:
        """The figures of a way; None: not measured in this run."""
        for found in self.measures:
            if found.name == measure:
                return found.ways.get(way)
        return None
