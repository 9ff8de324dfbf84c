"""Chains under a shell that does everything a shell may do: random plans, random health, random events.

`Drive` performs no effect; it keeps the books of what the machine asked for and checks, after every
step, that it was legal. What holds of a whole chain is checked by the tests.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from services.core.attempts.chain import start, step
from services.core.attempts.effects import (
    ArmHedge,
    CancelAttempt,
    Commit,
    Effect,
    Finish,
    Kind,
    Outcome,
    StartAttempt,
    Wait,
)
from services.core.attempts.events import (
    AttemptFailed,
    Begin,
    CallerCancelled,
    Completed,
    DeadlineReached,
    Event,
    FirstContent,
    HedgeDue,
    Refused,
    Remains,
    WaitElapsed,
)
from services.core.attempts.moves import Chain, Phase
from services.core.attempts.verdicts import Verdict, disposition
from services.core.errors import Clock, Failure, FailureKind
from services.core.policy.documents import Capabilities
from services.core.policy.rules import (
    ClockRule,
    ExhaustedRule,
    HedgeRule,
    Recovery,
    RetryRule,
    TtftRule,
)
from services.core.policy.snapshot import CompiledEndpoint, CompiledProvider, Target
from services.core.routing.health import HealthView, Speed
from services.core.routing.plan import Candidate, Plan
from services.core.values import changed

NOW = 1_000.0
MENDING = (Kind.CONTINUE, Kind.RESUME, Kind.RESTART)


def candidate_of(
    index: int, *, addresses: int = 1, credentials: int = 0, window: int = 0, prefill: bool | None = None
) -> Candidate:
    """Candidate `index`, of a provider of its own."""
    references = tuple(f"env:K{n}" for n in range(credentials))
    endpoints = tuple(CompiledEndpoint(f"e{n}", "http://x", references) for n in range(addresses))
    provider = CompiledProvider(
        f"p{index}", "openai", "http://x", references, endpoints=endpoints if addresses > 1 else ()
    )
    target = Target(f"p{index}/m", provider, "m", window, Capabilities(prefill=prefill))
    return Candidate(target, ClockRule(total=5.0))


def plan_of(*candidates: Candidate, seed: int = 1, **rules: Any) -> Plan:
    """A plan of `candidates`; `rules` are the plan's own fields."""
    plan = Plan(candidates, RetryRule(), "v", 1, seed)
    return changed(plan, **rules)


candidate_facts = st.fixed_dictionaries(
    {
        "addresses": st.sampled_from([1, 1, 2, 3]),
        "credentials": st.integers(0, 2),
        "window": st.sampled_from([0, 1_000, 9_000]),
        "prefill": st.sampled_from([True, False, None]),
    }
)
plans = st.builds(
    lambda facts, clocks, seed, **rules: plan_of(
        *(changed(candidate_of(i, **f), clocks=clocks) for i, f in enumerate(facts)), seed=seed, **rules
    ),
    st.lists(candidate_facts, min_size=1, max_size=4),
    st.sampled_from([ClockRule(total=5.0), ClockRule(total=90.0, ttft=TtftRule(max=8.0)), ClockRule(ttft=TtftRule())]),
    st.integers(0, 2**64 - 1),
    retry=st.builds(
        RetryRule,
        st.integers(0, 3),
        st.integers(1, 8),
        st.sampled_from([0.0, 0.5, 3.0]),
        st.sampled_from([0.5, 5.0, 60.0]),
    ),
    hedge=st.sampled_from([HedgeRule(), HedgeRule(enabled=True), HedgeRule(True, 0.0, 0.3)]),
    recovery=st.sampled_from(Recovery),
    on_exhausted=st.builds(
        ExhaustedRule, st.sampled_from(["least_bad", "reject", "queue"]), st.sampled_from([0.25, 3.1, 5.0]), st.just(7)
    ),
)
failures = st.builds(
    Failure,
    st.sampled_from(FailureKind),
    st.just("x"),
    retry_after=st.sampled_from([None, None, 0.0, 0.4, 2.0, 100.0]),
)
names = st.sampled_from(
    [f"p{i}/m{at}{ref}" for i in range(3) for at in ("", "@e0", "@e1") for ref in ("", "#env:K0", "#env:K1")]
    + [f"p{i}#env:K{k}" for i in range(3) for k in range(2)]
)
views = st.builds(
    HealthView,
    benched_until=st.dictionaries(names, st.sampled_from([NOW - 1.0, NOW + 0.2, NOW + 3.0, NOW + 2_000.0]), max_size=8),
    asked=st.frozensets(names, max_size=4),
    shares=st.dictionaries(names, st.sampled_from([0.1, 0.5]), max_size=3),
    in_flight=st.dictionaries(names, st.integers(1, 9), max_size=4),
    speeds=st.sampled_from([{}, {f"p{i}/m": Speed((0.05,) * 25) for i in range(4)}]),
)


@dataclass(frozen=True)
class Turn:
    """What the world does next, as far as it can be done."""

    what: str
    failure: Failure
    seconds: float
    which: int
    remains: Remains


turns = st.builds(
    Turn,
    st.sampled_from(
        ["fail"] * 6 + ["content"] * 3 + ["hedge"] * 3 + ["complete", "cancel", "deadline", "full", "stray"]
    ),
    failures,
    st.sampled_from([0.0, 0.05, 0.4, 3.0, 200.0]),
    st.integers(0, 1),
    st.builds(Remains, st.booleans(), st.booleans()),
)
refusals = st.one_of(st.none(), st.none(), st.sampled_from(["soft", "stale", "hard", "long", "budget"]))
scripts = st.tuples(st.lists(turns, max_size=20), st.lists(refusals, max_size=20))
Script = tuple[list[Turn], list[str | None]]


@dataclass
class Drive:
    """One chain driven to its end, with the books of what it asked for."""

    plan: Plan
    view: HealthView
    script: Script
    stream: bool = True
    now: float = NOW
    air: dict[int, StartAttempt] = field(default_factory=dict)
    began: dict[int, float] = field(default_factory=dict)
    admitted: list[StartAttempt] = field(default_factory=list)
    finished: list[Finish] = field(default_factory=list)
    steps: list[tuple[Event, float, tuple[Effect, ...]]] = field(default_factory=list)
    waits: list[Wait] = field(default_factory=list)
    asked: dict[str, float] = field(default_factory=dict)
    wait: Wait | None = None
    queued_at: float = 0.0
    hedge_at: float = 0.0
    committed: int = 0
    commits: int = 0
    tried: Counter[tuple[str, Kind]] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.chain: Chain = start(self.plan, self.now, self.view, stream=self.stream)
        self.deadline = self.now + self.plan.retry.deadline
        self.asked = {n: self.view.benched_until.get(n, 0.0) for n in self.view.asked}
        self.turns, self.refusals = iter(self.script[0]), iter(self.script[1])

    def run(self) -> Drive:
        """Drive the chain to its end."""
        self.tell(Begin())
        while not self.finished:
            assert len(self.steps) < 2_000, "the chain does not end"
            self.turn(next(self.turns, None))
        return self

    def turn(self, turn: Turn | None) -> None:
        """One thing that happens. A world without a script fails everything at once, so that chains end."""
        what = turn.what if turn is not None else "fail"
        if turn is not None and what == "cancel":
            self.tell(CallerCancelled())
        elif turn is not None and what == "deadline":
            self.now = self.deadline
            self.tell(DeadlineReached())
        elif turn is not None and what == "stray":
            self.tell(AttemptFailed(99, turn.failure))
        elif self.wait is not None:
            if what == "full" and self.wait.queue:
                self.tell(Refused(0, self.wait.until, False, "QUEUE_FULL"))
            else:
                self.now = max(self.now, self.wait.until)
                self.tell(WaitElapsed())
        else:
            self.fly(what, turn)

    def fly(self, what: str, turn: Turn | None) -> None:
        """Something happens to an attempt in flight."""
        assert self.air, "nothing flies and nothing is waited for"
        numbers = sorted(self.air)
        number = numbers[turn.which % len(numbers)] if turn is not None else numbers[0]
        first_end = min(self.began[n] + self.air[n].total for n in numbers)
        seconds = turn.seconds if turn is not None else 0.1
        hedge = what == "hedge" and self.hedge_at < first_end
        if self.now + seconds >= first_end and not hedge:
            number = min(numbers, key=lambda n: self.began[n] + self.air[n].total)
            self.now = first_end
            clock = Clock.DEADLINE if first_end >= self.deadline - 1e-9 else Clock.TOTAL
            self.fail(number, Failure(FailureKind.TOTAL_TIMEOUT, "late", clock=clock), turn)
        elif hedge:
            # Where none was armed, or it was armed for an attempt that is over, it must be ignored.
            self.now = max(self.now, self.hedge_at)
            self.tell(HedgeDue())
        else:
            self.now += seconds
            if what == "content" and number != self.committed:
                self.tell(FirstContent(number))
            elif what == "complete":
                self.tell(Completed(number))
            else:
                failure = turn.failure if turn is not None else Failure(FailureKind.SERVER_ERROR, "x")
                self.fail(number, failure, turn)

    def fail(self, number: int, failure: Failure, turn: Turn | None) -> None:
        effect = self.air[number]
        if failure.retry_after is not None:
            self.asked[effect.target] = max(self.asked.get(effect.target, 0.0), self.now + failure.retry_after)
        remains = turn.remains if turn is not None else Remains(text_only=True)
        self.tell(AttemptFailed(number, failure, remains))

    def tell(self, event: Event) -> None:
        """Report an event, check what the machine makes of it, and refuse what the script refuses."""
        pending: Event | None = event
        while pending is not None:
            assert len(self.steps) < 2_000, "the machine goes round in circles"
            told = pending
            before = self.chain
            self.chain, effects = step(self.chain, told, self.now)
            self.steps.append((told, self.now, effects))
            self.book(before, told, effects)
            pending = self.refused(told, effects)

    def refused(self, told: Event, effects: tuple[Effect, ...]) -> Refused | None:
        """The script's word on an attempt that was asked for; None: it is made."""
        effect = next((e for e in effects if isinstance(e, StartAttempt)), None)
        if effect is None:
            return None
        word = next(self.refusals, None)
        if word is None or (word == "budget" and effect.kind is Kind.FIRST):
            self.admit(effect)
            return None
        self.air.pop(effect.number)
        if word == "budget":
            return Refused(effect.number, 0.0, False, "BUDGET")
        seconds = {"soft": 0.2, "stale": -0.001, "hard": 2.0, "long": 5_000.0}[word]
        if word in {"hard", "long"}:
            self.asked[effect.target] = self.now + seconds
        return Refused(effect.number, self.now + seconds, word in {"hard", "long"}, "SERVER_ERROR")

    def admit(self, effect: StartAttempt) -> None:
        self.admitted.append(effect)
        self.tried[effect.target, effect.kind] += 1

    def book(self, before: Chain, event: Event, effects: tuple[Effect, ...]) -> None:
        """Check one step's effects against everything that came before."""
        assert not self.finished or not effects, "effects after the end"
        ended = event.attempt if isinstance(event, (AttemptFailed, Completed)) and event.attempt in self.air else 0
        if ended:
            del self.air[ended]
            self.committed = 0 if ended == self.committed else self.committed
        self.wait = None if isinstance(event, (WaitElapsed, Refused)) else self.wait
        for place, effect in enumerate(effects):
            if isinstance(effect, CancelAttempt):
                assert self.air.pop(effect.number, None) is not None, "only what flies is cancelled"
            elif isinstance(effect, StartAttempt):
                self.started(before, event, effect)
            elif isinstance(effect, ArmHedge):
                assert isinstance(effects[place - 1], StartAttempt)
                self.hedge_at = effect.at
            elif isinstance(effect, Commit):
                assert isinstance(event, FirstContent)
                assert effect.number == event.attempt
                assert list(self.air) == [effect.number], "the others are cancelled first"
                assert not self.committed, "no second commit without a break between"
                self.committed, self.commits = effect.number, self.commits + 1
            elif isinstance(effect, Wait):
                self.waited(effect)
            else:
                self.ended(event, effect)
            assert not isinstance(effect, (Finish, Wait)) or place == len(effects) - 1, "these come last"
        assert len(self.air) <= (1 if self.commits else 2)
        if isinstance(event, AttemptFailed) and ended and not self.commits and self.stops(event, before):
            assert self.finished, "a refusal ends the chain"

    def stops(self, event: AttemptFailed, before: Chain) -> bool:
        flight = next(f for f in before.flights if f.number == event.attempt)
        return disposition(event.failure).verdict is Verdict.STOP and flight.kind is not Kind.HEDGE

    def started(self, before: Chain, event: Event, effect: StartAttempt) -> None:
        retry, candidate = self.plan.retry, self.plan.candidates[effect.candidate]
        address = candidate.target.provider.addresses[effect.address]
        assert not address.credentials or effect.credential < len(address.credentials)
        assert effect.number == len(self.admitted) + 1 <= retry.max_attempts
        assert 0.0 < effect.total <= self.deadline - self.now + 1e-9
        assert effect.first_content > 0.0
        assert effect.at == self.now
        for name in (effect.target, effect.credential_cell):
            assert self.asked.get(name, 0.0) <= self.now, "the provider asked not to be called before"
        if effect.kind in MENDING:
            assert self.commits
            assert not self.committed
            able = candidate.target.capabilities.prefill is True
            assert effect.kind is not Kind.CONTINUE or able
        else:
            assert not self.commits
        if effect.kind is Kind.HEDGE:
            assert isinstance(event, HedgeDue)
            assert 0.0 < self.hedge_at <= self.now
            assert len(self.air) == 1
            assert before.phase is Phase.RUNNING
            assert not effect.forced
        elif effect.kind not in MENDING:
            assert not self.air, "one at a time, but for hedges"
        if effect.kind is not Kind.RETRY and effect.forced:
            assert self.plan.on_exhausted.mode == "least_bad"
        self.hedge_at = 0.0
        self.air[effect.number] = effect
        self.began[effect.number] = self.now

    def waited(self, wait: Wait) -> None:
        assert not self.air
        assert self.now <= wait.until < self.deadline
        if wait.queue:
            rule = self.plan.on_exhausted
            assert rule.mode == "queue"
            assert wait.queue == rule.max_len
            self.queued_at = self.queued_at or self.now
            assert wait.until <= self.queued_at + rule.max_wait + 1e-9
        else:
            assert wait.until - self.now <= self.plan.retry.max_wait + 1e-9
        self.wait = wait
        self.waits.append(wait)

    def ended(self, event: Event, finish: Finish) -> None:
        assert not self.air, "what still flies is cancelled before the end"
        self.wait = None
        self.finished.append(finish)
        if finish.outcome is Outcome.OK:
            assert isinstance(event, Completed)
        elif finish.outcome is Outcome.BROKEN:
            assert self.commits
        elif finish.outcome is Outcome.FAILED:
            assert not self.commits
        else:
            assert isinstance(event, CallerCancelled)
        assert (finish.failure is None) == (finish.outcome in {Outcome.OK, Outcome.CANCELLED})
