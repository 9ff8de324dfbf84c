"""Paired rounds: the same load on each way in turn, so that the machine's noise meets all of them alike.

A router's CPU is taken from before the first round to after the last one, with
time to settle, because some of its work comes later than the request: spans are
exported in batches. What it spends while it idles is thereby counted, too.
"""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import msgspec

from bench.generator import Generator
from bench.orders import Order, Tally
from bench.payloads import CHUNKS
from bench.processes import cpu_seconds
from bench.results import Figures, Measure
from bench.suite import DIRECT, EXPORT_DELAY_SECONDS, Suite, Way

MAX_WARM_SECONDS = 0.3
SETTLE_SECONDS = EXPORT_DELAY_SECONDS + 0.15


@dataclass(frozen=True, slots=True)
class Lab:
    """What a scenario works with.

    Attributes:
        seconds: Length of each measure on each way, all rounds together.
        say: Takes a line on progress.
    """

    suite: Suite
    generator: Generator
    seconds: float
    rounds: int
    say: Callable[[str], None]


@dataclass(slots=True)
class _Gathered:
    """All rounds of one way. CPU in seconds."""

    tallies: list[Tally] = field(default_factory=list)
    parts: dict[str, float] = field(default_factory=dict)
    generator: float = 0.0
    upstream: float = 0.0


async def measure(lab: Lab, name: str, title: str, load: str, orders: Mapping[Way, Order], *, stream: bool) -> Measure:
    """Carry out each way's order in turn, `lab.rounds` times; the way that goes first changes from round to round.

    Args:
        orders: What to do on each way; `seconds` and `seed` are set here.
    """
    lab.say(f"{title}, {load}")
    gathered = {way.name: _Gathered() for way in orders}
    ways = list(orders.items())
    mode = ways[0][1].mode
    for _, order in ways:
        await lab.generator.run(_lasting(order, seconds=min(MAX_WARM_SECONDS, lab.seconds / 5), seed=99))
    await asyncio.sleep(SETTLE_SECONDS)
    before = {way.name: _cpu(way) for way in orders}
    for number in range(lab.rounds):
        turned = ways[number % len(ways) :] + ways[: number % len(ways)]
        for way, order in turned:
            current = _lasting(order, seconds=lab.seconds / lab.rounds, seed=number + 1)
            await _round(lab, current, gathered[way.name])
    await asyncio.sleep(SETTLE_SECONDS)
    for way in orders:
        spent = _cpu(way)
        gathered[way.name].parts = {part: spent[part] - before[way.name][part] for part in spent}
    return Measure(name, title, mode, load, stream, _figures(gathered, stream=stream))


def _cpu(way: Way) -> dict[str, float]:
    return {part: cpu_seconds(pid) for part, pid in way.parts.items()}


def _lasting(order: Order, *, seconds: float, seed: int) -> Order:
    """`order` with another length and other arrival times."""
    return msgspec.structs.replace(order, seconds=seconds, seed=seed)


async def _round(lab: Lab, order: Order, gathered: _Gathered) -> None:
    generator, upstream = cpu_seconds(lab.generator.pid), cpu_seconds(lab.suite.upstream_pid)
    gathered.tallies.append(await lab.generator.run(order))
    gathered.generator += cpu_seconds(lab.generator.pid) - generator
    gathered.upstream += cpu_seconds(lab.suite.upstream_pid) - upstream
    lab.suite.processes.check()


def _figures(gathered: Mapping[str, _Gathered], *, stream: bool) -> dict[str, Figures]:
    found = {name: _one(rounds, stream=stream) for name, rounds in gathered.items()}
    direct = found.get(DIRECT)
    if direct is None:
        return found
    for name, figures in found.items():
        if name == DIRECT:
            continue
        figures.added_p50 = figures.p50 - direct.p50
        figures.added_p99 = figures.p99 - direct.p99
        figures.added_first_p50 = figures.first_p50 - direct.first_p50
        figures.added_first_p99 = figures.first_p99 - direct.first_p99
        pairs = zip(gathered[name].tallies, gathered[DIRECT].tallies, strict=True)
        added = [quantile(a.latencies, 0.5) - quantile(b.latencies, 0.5) for a, b in pairs]
        figures.added_p50_low, figures.added_p50_high = min(added) * 1e3, max(added) * 1e3
    return found


def _one(rounds: _Gathered, *, stream: bool) -> Figures:
    latencies = [value for tally in rounds.tallies for value in tally.latencies]
    firsts = [value for tally in rounds.tallies for value in tally.firsts]
    writes = sum(tally.writes for tally in rounds.tallies)
    count = len(latencies)
    cpu = sum(rounds.parts.values()) / count * 1e6 if rounds.parts else None
    return Figures(
        requests=count,
        per_second=count / sum(tally.seconds for tally in rounds.tallies),
        p50=quantile(latencies, 0.5) * 1e3,
        p99=quantile(latencies, 0.99) * 1e3,
        first_p50=quantile(firsts, 0.5) * 1e3,
        first_p99=quantile(firsts, 0.99) * 1e3,
        cpu=cpu,
        cpu_chunk=cpu / CHUNKS if cpu is not None and stream else None,
        cpu_parts={part: seconds / count * 1e6 for part, seconds in rounds.parts.items()},
        generator_cpu=rounds.generator / count * 1e6,
        upstream_cpu=rounds.upstream / count * 1e6,
        writes=writes / count,
        bytes_per_write=sum(tally.size for tally in rounds.tallies) / writes if writes else 0.0,
        lag_ms=max(tally.lag for tally in rounds.tallies) * 1e3,
    )


def quantile(values: list[float], share: float) -> float:
    """The value below which `share` of `values` lie (nearest rank for the tails, the median as usual)."""
    if share == 0.5:
        return statistics.median(values)
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
