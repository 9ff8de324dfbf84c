"""The chain where transcripts are too narrow: every event in every phase, and pools over many seeds."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from services.core.attempts.chain import start, step
from services.core.attempts.effects import Finish
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
from services.core.attempts.moves import Chain, IllegalEvent, Phase
from services.core.errors import Failure, FailureKind
from services.core.policy.rules import ClockRule, Recovery, RetryRule
from services.core.policy.snapshot import CompiledProvider, Target
from services.core.routing.health import HEALTHY, HealthView
from services.core.routing.plan import Candidate, Plan

RATE_LIMIT = Failure(FailureKind.RATE_LIMITED, "x", retry_after=1.0)
BREAK = AttemptFailed(1, Failure(FailureKind.DISCONNECTED, "x"), Remains(text_only=True))


def plan_of(*pools: int, seed: int = 1) -> Plan:
    """A plan of one candidate per pool, with so many keys."""
    candidates = []
    for number, size in enumerate(pools):
        keys = tuple(f"env:K{key}" for key in range(size))
        provider = CompiledProvider(f"p{number}", "openai", "http://provider", keys)
        candidates.append(Candidate(Target(f"p{number}/m", provider, "m"), ClockRule()))
    return Plan(tuple(candidates), RetryRule(), "v", 1, seed, recovery=Recovery.SEAMLESS)


def chain_in(phase: Phase) -> Chain:
    """A chain that was led to `phase`; one target, and one attempt but where an answer is mended."""
    chain = start(plan_of(0), 0.0, HEALTHY)
    ways: dict[Phase, tuple[Event, ...]] = {
        Phase.NEW: (),
        Phase.RUNNING: (Begin(),),
        Phase.WAITING: (Begin(), AttemptFailed(1, RATE_LIMIT)),
        Phase.COMMITTED: (Begin(), FirstContent(1)),
        Phase.MENDING: (Begin(), FirstContent(1), BREAK),
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
    "refused": lambda attempt: Refused(attempt, 9.0, hard=False, why="SERVER_ERROR"),
    "elapsed": lambda _: WaitElapsed(),
    "hedge": lambda _: HedgeDue(),
    "deadline": lambda _: DeadlineReached(),
    "cancelled": lambda _: CallerCancelled(),
}
ENDS = {"deadline", "cancelled"}
ACTED_ON = {
    Phase.NEW: {"begin", *ENDS},
    Phase.RUNNING: {"content", "completed", "failed", "refused", *ENDS},
    Phase.WAITING: {"elapsed", *ENDS},
    Phase.COMMITTED: {"completed", "failed", *ENDS},
    Phase.MENDING: {"content", "completed", "failed", "refused", *ENDS},
}
IGNORED = {
    Phase.NEW: set[str](),
    Phase.RUNNING: {"hedge"},
    Phase.WAITING: {"content", "completed", "failed", "refused", "hedge"},
    Phase.COMMITTED: {"hedge"},
    Phase.MENDING: {"hedge"},
}
"""Events that cross with a decision: of an attempt that is over, or a hedge that is not wanted any more."""


@pytest.mark.parametrize("phase", list(ACTED_ON))
@pytest.mark.parametrize("name", list(EVENTS))
def test_each_event_is_acted_on_ignored_or_illegal(phase: Phase, name: str) -> None:
    chain = chain_in(phase)
    event = EVENTS[name](chain.attempts)
    if name in ACTED_ON[phase]:
        _, effects = step(chain, event, 0.5)
        assert effects
    elif name in IGNORED[phase]:
        assert step(chain, event, 0.5) == (chain, ())
    else:
        with pytest.raises(IllegalEvent, match=f"{type(event).__name__} in phase {phase.value}"):
            step(chain, event, 0.5)


@pytest.mark.parametrize("name", list(EVENTS))
def test_after_the_end_every_event_is_ignored(name: str) -> None:
    chain = chain_in(Phase.DONE)
    assert step(chain, EVENTS[name](chain.attempts), 0.5) == (chain, ())


@pytest.mark.parametrize("phase", list(ACTED_ON))
@pytest.mark.parametrize("name", sorted(ENDS))
def test_a_caller_that_leaves_and_the_deadline_end_the_chain_from_every_phase(phase: Phase, name: str) -> None:
    chain, effects = step(chain_in(phase), EVENTS[name](0), 0.5)
    assert chain.phase is Phase.DONE
    assert not chain.flights
    assert isinstance(effects[-1], Finish)


@pytest.mark.parametrize("phase", list(ACTED_ON))
def test_a_step_leaves_the_chain_that_it_was_given_as_it_was(phase: Phase) -> None:
    chain = chain_in(phase)
    before = repr(chain)
    for name in ACTED_ON[phase]:
        step(chain, EVENTS[name](chain.attempts), 0.5)
    assert repr(chain) == before


def test_the_pools_of_two_targets_are_turned_by_draws_of_their_own() -> None:
    turns = {tuple(c.credential for c in start(plan_of(2, 2, seed=s), 0.0, HEALTHY).choices) for s in range(64)}
    assert turns == {(a, 1 - a, b, 1 - b) for a in (0, 1) for b in (0, 1)}


def test_a_bench_that_ends_now_is_over() -> None:
    for until, order in ((10.0, [0, 1]), (10.001, [1, 0])):
        chain = start(plan_of(0, 0), 10.0, HealthView({"p0/m": until}))
        assert [choice.candidate for choice in chain.choices] == order
