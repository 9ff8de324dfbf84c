"""What is measured, by name. Each scenario adds its findings to the run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

from bench.orders import Order, Step
from bench.payloads import COUNTER, MODEL, http_request, openai_request, routed_anthropic, routed_openai
from bench.processes import BenchFailed
from bench.results import Failover, Run, Tail
from bench.rounds import Lab, measure, quantile
from bench.suite import DIRECT, HEDGED, KEY, Way, ask, counted, start_fused

CHAT, MESSAGES = "/v1/chat/completions", "/v1/messages"
_DONE, _MESSAGE_STOP = "data: [DONE]", "message_stop"

UNARY_RATE = 100.0
STREAM_RATE = 25.0
UNARY_CONNECTIONS = 32
STREAM_CONNECTIONS = 16
TAIL_RATE = 60.0
TAIL_FACTOR = 3
"""A p99 over 2 % of late streams needs more of them than other measures have."""
FAILOVERS_PER_SECOND = 25
"""Samples of each fault and way, per second of a measure's length."""


def _direct(way: Way, behaviour: str, *, stream: bool) -> Step:
    """The call that the caller would make without a router."""
    body = openai_request(MODEL, stream=stream, **({"stream_options": {"include_usage": True}} if stream else {}))
    request = http_request(way.port, f"/{behaviour}{CHAT}", body)
    return Step(way.port, request.decode(), _DONE if stream else "")


def _routed(way: Way, behaviour: str, *, stream: bool, anthropic: bool) -> Step:
    """The same through the router."""
    body = (routed_anthropic if anthropic else routed_openai)(behaviour, stream=stream)
    key = {"x-api-key": KEY, "anthropic-version": "2023-06-01"} if anthropic else {"Authorization": f"Bearer {KEY}"}
    request = http_request(way.port, MESSAGES if anthropic else CHAT, body, key)
    terminal = (_MESSAGE_STOP if anthropic else _DONE) if stream else ""
    return Step(way.port, request.decode(), terminal)


def _steps(lab: Lab, behaviour: str, *, stream: bool, anthropic: bool = False) -> Mapping[Way, Step]:
    return {
        way: _direct(way, behaviour, stream=stream)
        if way.name == DIRECT
        else _routed(way, behaviour, stream=stream, anthropic=anthropic)
        for way in lab.suite.ways
    }


async def _steady(lab: Lab, run: Run, name: str, title: str, steps: Mapping[Way, Step], *, stream: bool) -> None:
    rate = STREAM_RATE if stream else UNARY_RATE
    orders = {way: Order("open", [step], rate=rate) for way, step in steps.items()}
    what = "streams" if stream else "requests"
    run.measures.append(await measure(lab, name, title, f"{rate:g} {what}/s", orders, stream=stream))


async def _saturated(lab: Lab, run: Run, name: str, title: str, steps: Mapping[Way, Step], *, stream: bool) -> None:
    connections = STREAM_CONNECTIONS if stream else UNARY_CONNECTIONS
    orders = {way: Order("closed", [step], connections=connections) for way, step in steps.items()}
    load = f"{connections} connections, always busy"
    run.measures.append(await measure(lab, name, title, load, orders, stream=stream))


async def unary(lab: Lab, run: Run) -> None:
    """Whole answers, OpenAI's dialect on both sides."""
    steps = _steps(lab, "fast", stream=False)
    await _steady(lab, run, "unary", "unary", steps, stream=False)
    await _saturated(lab, run, "unary-max", "unary", steps, stream=False)


async def stream(lab: Lab, run: Run) -> None:
    """Streams, OpenAI's dialect on both sides."""
    fast, paced = _steps(lab, "fast", stream=True), _steps(lab, "paced", stream=True)
    await _steady(lab, run, "stream", "stream, chunks back to back", fast, stream=True)
    await _steady(lab, run, "paced", "stream, a chunk every 10 ms", paced, stream=True)
    await _saturated(lab, run, "stream-max", "stream, chunks back to back", fast, stream=True)


async def cross(lab: Lab, run: Run) -> None:
    """Callers who speak Anthropic's dialect to a provider that speaks OpenAI's."""
    whole = _steps(lab, "fast", stream=False, anthropic=True)
    fast = _steps(lab, "fast", stream=True, anthropic=True)
    paced = _steps(lab, "paced", stream=True, anthropic=True)
    await _steady(lab, run, "cross", "cross-dialect unary", whole, stream=False)
    await _saturated(lab, run, "cross-max", "cross-dialect unary", whole, stream=False)
    await _steady(lab, run, "cross-paced", "cross-dialect stream, a chunk every 10 ms", paced, stream=True)
    await _saturated(lab, run, "cross-stream-max", "cross-dialect stream, back to back", fast, stream=True)


async def coalescing(lab: Lab, run: Run) -> None:
    """Whether chunks that come together leave together."""
    steps = _steps(lab, "burst", stream=True)
    await _steady(lab, run, "burst", "stream, 8 chunks in one write every 10 ms", steps, stream=True)


async def failover(lab: Lab, run: Run) -> None:
    """One failed attempt and a good one, in the router and by hand."""
    count = max(10, int(FAILOVERS_PER_SECOND * lab.seconds / lab.rounds))
    good = _direct(lab.suite.direct, "fast", stream=False)
    for fault, bad in _faults(lab, good).items():
        lab.say(f"failover after {fault}")
        series = {"direct pair": [bad], "direct": [good]}
        series["direct pair"].append(good)
        routers = [way for way in lab.suite.ways if way.name != DIRECT]
        for way in routers:
            await _see_that_it_fails_over(way, fault)
            series[f"{way.name} failover"] = [_failing(way, fault)]
            series[way.name] = [_failing(way, "")]
        p50 = {name: value * 1e3 for name, value in (await _series(lab, series, count)).items()}
        added = {way.name: p50[f"{way.name} failover"] - p50["direct pair"] for way in routers}
        own = {way.name: added[way.name] - (p50[way.name] - p50["direct"]) for way in routers}
        routed = {way.name: p50[f"{way.name} failover"] for way in routers}
        run.failovers.append(Failover(fault, count * lab.rounds, p50["direct pair"], routed, added, own))


def _faults(lab: Lab, good: Step) -> dict[str, Step]:
    direct = lab.suite.direct

    def refusal(behaviour: str, status: int) -> Step:
        return Step(direct.port, good.request.replace("/fast/", f"/{behaviour}/", 1), expected=status)

    return {
        "refused": Step(lab.suite.refused_port, expected=0),
        "e500": refusal("e500", 500),
        "e429": refusal("e429", 429),
    }


async def _series(lab: Lab, series: Mapping[str, list[Step]], count: int) -> dict[str, float]:
    """The p50 of each series, over rounds that alternate between them."""
    found: dict[str, list[float]] = {name: [] for name in series}
    for _ in range(lab.rounds):
        for name, steps in series.items():
            tally = await lab.generator.run(Order("series", steps, count=count))
            found[name] += tally.latencies
    lab.suite.processes.check()
    return {name: quantile(values, 0.5) for name, values in found.items()}


def _failing_body(provider: str) -> bytes:
    """A request whose first model fails, each time another one, so that health benches none.

    Args:
        provider: Where it fails; empty: nothing fails, and all else is the same.
    """
    models = ["fast/stable"]
    return openai_request(f"{provider or 'fast'}/model-{COUNTER}", stream=False, models=models)


def _failing(way: Way, provider: str) -> Step:
    request = http_request(way.port, CHAT, _failing_body(provider), {"Authorization": f"Bearer {KEY}"})
    return Step(way.port, request.decode())


async def _see_that_it_fails_over(way: Way, provider: str) -> None:
    answer = await ask(way, CHAT, _failing_body(provider).replace(COUNTER.encode(), b"checking"))
    outcome = [attempt["success"] for attempt in answer["metadata"]["attempts"]]
    if outcome != [False, True]:
        raise BenchFailed(f"{way.name}: a failover after {provider} should be two attempts, but was {outcome}")


async def tail(lab: Lab, run: Run) -> None:
    """What hedging does for streams whose first token is late, and what it costs in upstream requests."""
    lab.say("late first tokens, with hedging")
    firsts: dict[str, list[float]] = {way.name: [] for way in lab.suite.ways}
    extras: dict[str, float] = {DIRECT: 0.0}
    seconds = TAIL_FACTOR * lab.seconds / lab.rounds
    routers = [way for way in lab.suite.ways if way.name != DIRECT]
    before = {way.name: await _upstream_requests(way) for way in routers}
    for number in range(lab.rounds):
        for way in lab.suite.ways:
            step = _direct(way, "late", stream=True) if way.name == DIRECT else _hedged(way)
            order = Order("open", [step], seconds=seconds, rate=TAIL_RATE, seed=number + 1)
            firsts[way.name] += (await lab.generator.run(order)).firsts
    for way in routers:
        asked = await _upstream_requests(way) - before[way.name]
        extras[way.name] = asked / len(firsts[way.name]) - 1.0
    for name, found in firsts.items():
        p50, p95, p99 = (quantile(found, q) * 1e3 for q in (0.5, 0.95, 0.99))
        run.tail[name] = Tail(len(found), p50, p95, p99, extras[name])


async def _upstream_requests(way: Way) -> int:
    return sum((await counted([way], "turnout_attempts_total", "provider")).values())


def _hedged(way: Way) -> Step:
    body = openai_request(f"inworld/{HEDGED}", stream=True)
    request = http_request(way.port, CHAT, body, {"Authorization": f"Bearer {KEY}"})
    return Step(way.port, request.decode(), _DONE)


async def sampling(lab: Lab, run: Run) -> None:
    """What exported traces cost: fused, unary, saturated, by the share of requests that are sampled."""
    orders = {}
    for share in ("0", "0.1", "1"):
        way = replace(await start_fused(lab.suite, f"sampling-{share}", float(share)), name=share)
        step = _routed(way, "fast", stream=False, anthropic=False)
        orders[way] = Order("closed", [step], connections=UNARY_CONNECTIONS)
    found = await measure(lab, "sampling", "unary, by share of traces exported", "saturated", orders, stream=False)
    run.sampling_cpu = {share: figures.cpu or 0.0 for share, figures in found.ways.items()}


Scenario = Callable[[Lab, Run], Awaitable[None]]

SCENARIOS: dict[str, Scenario] = {
    "unary": unary,
    "stream": stream,
    "cross": cross,
    "coalescing": coalescing,
    "failover": failover,
    "tail": tail,
    "sampling": sampling,
}
LONG = ("sampling",)
"""Left out of quick runs."""
