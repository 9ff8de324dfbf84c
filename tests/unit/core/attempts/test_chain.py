"""The chain where transcripts are too narrow: every event in every phase, pools over many seeds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from services.core.attempts.chain import Chain, IllegalEvent, Phase, start, step
from services.core.attempts.effects import Finish
from services.core.attempts.events import (
    AttemptFailed,
    Begin,
    CallerCancelled,
    Completed,
    DeadlineReached,
    Event,
    FirstContent,
    WaitElapsed,
)
from services.core.errors import Failure, FailureKind
from services.core.policy.rules import ClockRule, RetryRule
from services.core.policy.snapshot import CompiledProvider, Target
from services.core.routing.health import HEALTHY, HealthView
from services.core.routing.plan import Candidate, Plan

RATE_LIMIT = Failure(FailureKind.RATE_LIMITED, "x", retry_after=1.0)


def plan_of(*pools: int, seed: int = 1) -> Plan:
    candidates = []
    for number, size in enumerate(pools):
        keys = tuple(f"env:K{key}" for key in range(size))
        provider = CompiledProvider(f"p{number}", "openai", "http://provider", keys)
        candidates.append(Candidate(Target(f"p{number}/m", provider, "m"), ClockRule()))
    return Plan(tuple(candidates), RetryRule(), "v", 1, seed)


def chain_in(phase: Phase) -> Chain:
    """A chain that was led to `phase`; one target, one attempt."""
    chain = start(plan_of(0), 0.0, HEALTHY)
    ways: dict[Phase, tuple[Event, ...]] = {
        Phase.NEW: (),
        Phase.RUNNING: (Begin(),),
        Phase.WAITING: (Begin(), AttemptFailed(1, RATE_LIMIT)),
        Phase.COMMITTED: (Begin(), FirstContent(1)),
        Phase.DONE: (Begin(), Completed(1)),
    }
    for event in ways[phase]:
        chain, _ = step(chain, event, 0.0)
    assert chain.phase is phase
    return chain


EVENTS: dict[str, Callable[[int], Event]] = {
    "begin": lambda _: Begin(),
    "content": FirstContent,
    "completed": Completed,
    "failed": lambda attempt: AttemptFailed(attempt, RATE_LIMIT),
    "elapsed": lambda _: WaitElapsed(),
    "deadline": lambda _: DeadlineReached(),
    "cancelled": lambda _: CallerCancelled(),
}
LEGAL = {
    Phase.NEW: {"begin", "deadline", "cancelled"},
    Phase.RUNNING: {"content", "completed", "failed", "deadline", "cancelled"},
    Phase.WAITING: {"elapsed", "deadline", "cancelled"},
    Phase.COMMITTED: {"completed", "failed", "deadline", "cancelled"},
}


@pytest.mark.parametrize("phase", list(LEGAL))
@pytest.mark.parametrize("name", list(EVENTS))
def test_an_event_is_taken_in_its_phases_and_raises_in_all_others(phase: Phase, name: str) -> None:
    chain = chain_in(phase)
    event = EVENTS[name](chain.attempts)
    if name in LEGAL[phase]:
        _, effects = step(chain, event, 0.5)
        assert effects
    else:
        with pytest.raises(IllegalEvent, match=f"{type(event).__name__} in phase {phase.value}"):
            step(chain, event, 0.5)


@pytest.mark.parametrize("name", list(EVENTS))
def test_after_the_end_every_event_is_ignored(name: str) -> None:
    chain = chain_in(Phase.DONE)
    assert step(chain, EVENTS[name](chain.attempts), 0.5) == (chain, ())


@pytest.mark.parametrize("phase", list(LEGAL))
def test_a_caller_that_leaves_ends_the_chain_from_every_phase(phase: Phase) -> None:
    chain, effects = step(chain_in(phase), CallerCancelled(), 0.5)
    assert chain.phase is Phase.DONE
    assert isinstance(effects[-1], Finish)


def test_a_step_leaves_the_chain_that_it_was_given_as_it_was() -> None:
    chain = chain_in(Phase.RUNNING)
    before = repr(chain)
    step(chain, AttemptFailed(1, RATE_LIMIT), 0.5)
    assert repr(chain) == before


def test_the_keys_of_a_pool_share_the_load() -> None:
    first = Counter(start(plan_of(4, seed=seed), 0.0, HEALTHY).choices[0].credential for seed in range(4_000))
    assert sorted(first) == [0, 1, 2, 3]
    assert all(900 < count < 1_100 for count in first.values()), first


def test_the_pools_of_two_targets_are_turned_by_draws_of_their_own() -> None:
    turns = {tuple(c.credential for c in start(plan_of(2, 2, seed=s), 0.0, HEALTHY).choices) for s in range(64)}
    assert turns == {(a, 1 - a, b, 1 - b) for a in (0, 1) for b in (0, 1)}


def test_a_bench_that_ends_now_is_over() -> None:
    for until, order in ((10.0, [0, 1]), (10.001, [1, 0])):
        chain = start(plan_of(0, 0), 10.0, HealthView({"p0/m": until}))
        assert [choice.candidate for choice in chain.choices] == order


def test_every_key_of_every_target_is_a_choice_whatever_is_benched() -> None:
    health = HealthView({"p0/m": 50.0, "p1#env:K0": 60.0, "p2#env:K1": 5.0})
    chain = start(plan_of(0, 2, 2), 10.0, health)
    everything = {(0, 0), (1, 0), (1, 1), (2, 0), (2, 1)}
    assert {(c.candidate, c.credential) for c in chain.choices} == everything
    assert [(c.candidate, c.credential) for c in chain.choices[-2:]] == [(0, 0), (1, 0)]
