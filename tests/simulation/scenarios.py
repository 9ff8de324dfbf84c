"""What the fleet goes through. Each scenario is run as we are, and as naive failover would be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from services.core.errors import FailureKind
from services.core.policy.rules import ClockRule, HedgeRule, RetryRule, TtftRule
from services.core.policy.snapshot import CompiledProvider, Target
from services.core.routing.plan import Candidate, Plan
from services.core.values import changed
from tests.simulation.workers import NaiveWorker, RouterWorker, Worker
from tests.simulation.world import Ledger, Timeline, Trouble, Upstream

WORKERS = 50
DRAIN = 60.0
"""How long the last requests may take to end."""
MakeWorker = Callable[[Timeline, dict[str, Upstream], Ledger], Worker]


@dataclass(frozen=True)
class Scenario:
    """What happens to whom.

    Attributes:
        rate: Requests per second of each worker.
        seconds: How long requests arrive.
        troubles: By target; the targets are tried in this order.
        timing: Fields of every `Upstream` that say how quick it is.
    """

    name: str
    seconds: float
    troubles: dict[str, tuple[Trouble, ...]]
    rate: float = 10.0
    plan: Plan = field(default_factory=lambda: plan_of("a/m", "b/m"))
    timing: dict[str, Any] = field(default_factory=dict)
    late: float = 0.0


@dataclass
class Run:
    """What came of it."""

    scenario: Scenario
    upstreams: dict[str, Upstream]
    ledger: Ledger
    workers: list[Worker]

    def calls(self, since: float, until: float, *names: str) -> int:
        """Attempts that arrived at the named targets, or at all, in [since, until)."""
        return sum(
            self.upstreams[name].calls[second]
            for name in (names or self.upstreams)
            for second in range(int(since), int(until))
        )

    def offered(self, since: float, until: float) -> int:
        return sum(self.ledger.offered[second] for second in range(int(since), int(until)))

    def load(self, since: float, until: float) -> float:
        """Attempts per request."""
        return self.calls(since, until) / self.offered(since, until)

    def success(self, since: float, until: float) -> float:
        """Share of requests that were served."""
        good = sum(self.ledger.good[second] for second in range(int(since), int(until)))
        return good / self.offered(since, until)

    def share(self, name: str, second: int) -> float:
        """Attempts at a target per request in one second."""
        return self.upstreams[name].calls[second] / max(1, self.ledger.offered[second])

    def ttft(self, p: float, since: float, until: float) -> float:
        """Percentile of the time to first content of requests that arrived then and were served."""
        times = sorted(seconds for arrived, seconds in self.ledger.content if since <= arrived < until)
        return times[min(len(times) - 1, int(p * len(times)))]


def plan_of(*models: str, ttft: TtftRule | None = None, hedge: bool = False) -> Plan:
    """A plan over `models` with the rules that hold when nobody sets any."""
    clocks = replace(ClockRule(), ttft=ttft)
    providers = [CompiledProvider(model.partition("/")[0], "openai", "http://x") for model in models]
    candidates = [
        Candidate(Target(model, provider, "m"), clocks) for model, provider in zip(models, providers, strict=True)
    ]
    return Plan(tuple(candidates), RetryRule(), "v", 1, 0, hedge=HedgeRule(enabled=hedge))


def simulate(scenario: Scenario, make: MakeWorker = RouterWorker, seed: int = 7, workers: int = WORKERS) -> Run:
    """Run a scenario to its end."""
    random = Random(seed)
    timeline, ledger = Timeline(), Ledger()
    upstreams = {
        name: Upstream(
            name, Random(seed + place), troubles, late=scenario.late if place == 1 else 0.0, **scenario.timing
        )
        for place, (name, troubles) in enumerate(scenario.troubles.items(), 1)
    }
    fleet = [make(timeline, upstreams, ledger) for _ in range(workers)]

    def arrive() -> None:
        if timeline.now >= scenario.seconds:
            return
        plan = changed(scenario.plan, seed=random.getrandbits(64))
        fleet[int(random.random() * workers)].take(plan)
        timeline.at(timeline.now + random.expovariate(scenario.rate * workers), arrive)

    timeline.at(random.expovariate(scenario.rate * workers), arrive)
    timeline.run(scenario.seconds + DRAIN)
    return Run(scenario, upstreams, ledger, fleet)


def naive(scenario: Scenario, seed: int = 7) -> Run:
    """The same with naive workers."""
    return simulate(scenario, NaiveWorker, seed)


WELL: tuple[Trouble, ...] = ()
BROWN_OUT, OUTAGE, SLOW, OVERLOAD, STORM = (15.0, 75.0), (10.0, 35.0), (10.0, 40.0), (10.0, 55.0), (10.0, 31.0)
"""When there is trouble, in seconds."""


def brown_out(rate: float = 10.0) -> Scenario:
    """All targets fail three times in ten, for a minute."""
    trouble = (Trouble(*BROWN_OUT, errors=0.3),)
    return Scenario("brown_out", 96.0, {"a/m": trouble, "b/m": trouble}, rate)


def outage(length: float = 25.0, rate: float = 20.0, tail: float = 25.0) -> Scenario:
    """The first target fails whatever it gets."""
    since = OUTAGE[0]
    troubles = {"a/m": (Trouble(since, since + length, errors=1.0),), "b/m": WELL}
    return Scenario("outage", since + length + tail, troubles, rate)


def weak() -> Scenario:
    """The first target fails whatever it gets, and when it is back it can take only 40 % of the requests."""
    rate, healed = 20.0, OUTAGE[1]
    back = Trouble(healed, healed + 40.0, capacity=0.4 * rate * WORKERS, refusal=FailureKind.OVERLOADED)
    return Scenario("weak", healed + 40.0, {"a/m": (Trouble(*OUTAGE, errors=1.0), back), "b/m": WELL}, rate)


def blackout() -> Scenario:
    """All targets fail whatever they get."""
    trouble = (Trouble(*STORM, errors=1.0),)
    return Scenario("blackout", 42.0, {"a/m": trouble, "b/m": trouble})


def slow() -> Scenario:
    """The first target becomes ten times slower."""
    plan = plan_of("a/m", "b/m", ttft=TtftRule())
    return Scenario("slow", 40.0, {"a/m": (Trouble(*SLOW, slower=10.0),), "b/m": WELL}, 20.0, plan)


def overload(share: float, refusal: FailureKind, rate: float = 10.0) -> Scenario:
    """The first target can take only a share of the requests, and refuses the rest."""
    trouble = (Trouble(*OVERLOAD, capacity=share * rate * WORKERS, refusal=refusal),)
    return Scenario("overload", 55.0, {"a/m": trouble, "b/m": WELL}, rate)


def storm() -> Scenario:
    """All targets refuse everything and ask for five seconds of peace."""
    trouble = (Trouble(*STORM, asks=5.0),)
    return Scenario("storm", 45.0, {"a/m": trouble, "b/m": trouble})


def late() -> Scenario:
    """One answer in fifty of the first target comes two seconds late; hedging is switched on, and nothing else set."""
    plan = plan_of("a/m", "b/m", hedge=True)
    timing = {"content": 0.05, "spread": 0.1, "length": 0.3}
    return Scenario("late", 50.0, {"a/m": WELL, "b/m": WELL}, plan=plan, timing=timing, late=0.02)
