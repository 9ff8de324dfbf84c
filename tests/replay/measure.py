"""Replays a provider's recorded successes, in the same dialect and across, and says what differs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from services.core.errors import FailureKind
from tests.replay.reading import Read, read
from tests.replay.run import TYPED, Refused, dialects_of, replay
from tests.replay.traffic import Exchange


@dataclass(frozen=True, slots=True)
class Difference:
    """How one exchange differs: the failure that the router found, or what the caller reads otherwise."""

    kind: FailureKind | None
    told: str


@dataclass(slots=True)
class Measure:
    """What a provider's exchanges gave; differences by exchange id."""

    total: int = 0
    same: dict[str, Difference] = field(default_factory=dict)
    crossing: dict[str, Difference] = field(default_factory=dict)


def measure(exchanges: Iterable[Exchange]) -> Measure:
    """Replay every success among `exchanges`."""
    found = Measure()
    for exchange in exchanges:
        if exchange.status >= 300:
            continue
        found.total += 1
        recorded = recorded_of(exchange)
        own, others = dialects_of(exchange)
        same = difference(exchange, own, recorded)
        differences = (difference(exchange, other, recorded) for other in others)
        crossing = next((found for found in differences if found is not None), None)
        if same is not None:
            found.same[exchange.id] = same
        if crossing is not None:
            found.crossing[exchange.id] = crossing
    return found


def recorded_of(exchange: Exchange) -> Read | None:
    """What a client reads from the recording itself; None: it is no answer to a client either."""
    try:
        return read(exchange.api, exchange.body, stream=exchange.stream)
    except Exception:
        return None


def difference(exchange: Exchange, inbound: str, recorded: Read | None) -> Difference | None:
    """How an exchange differs for a caller of `inbound`; None: it reads the same."""
    try:
        ours = replay(exchange, inbound)
    except Refused as refused:
        return Difference(refused.failure.kind, refused.failure.message)
    if recorded is None:
        return Difference(None, "the router serves what a client cannot read")
    got = read(inbound, ours, stream=exchange.stream)
    names = [n for n in got.said.__slots__ if getattr(got.said, n) != getattr(recorded.said, n)]
    if got.said.sources is None or recorded.said.sources is None:
        names = [n for n in names if n != "sources"]
    if inbound == TYPED:
        names = [n for n in names if n != "tokens"]  # they are in the record, which is no part of the answer
    if names:
        told = ", ".join(f"{n}: {_shown(recorded, n)} became {_shown(got, n)}" for n in names)
        return Difference(None, f"as {inbound}: {told}")
    if inbound == exchange.api and got.whole != recorded.whole:
        names = [n for n in {**recorded.whole, **got.whole} if got.whole.get(n) != recorded.whole.get(n)]
        return Difference(None, f"{', '.join(names)} differ")
    return None


def _shown(found: Read, name: str) -> str:
    return repr(getattr(found.said, name))[:120]
