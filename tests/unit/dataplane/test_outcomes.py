"""Outcomes: which requests have one, and what it says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from turnout.experiment.v1.experiment_service_pb2 import Outcome, ReportOutcomesRequest

from services.core.routing.learned.choice import Choice, Scored
from services.core.routing.plan import LearnedChoice
from services.dataplane import outcomes as under_test
from services.dataplane.outcomes import Outcomes, message_of
from services.runtime.testing import FakeClock
from services.wire.records import unit_hash
from tests.unit.dataplane.build import attempt, plan, trail

GOOD, OTHER = "openai/gpt-5", "anthropic/claude"
LEARNED = LearnedChoice(
    Choice((GOOD, OTHER), (0.9, 0.1), (Scored(GOOD, 0.8, 0.8, 0.0, 0.0), Scored(OTHER, 0.5, 0.5, 0.0, 0.0))),
    kinds="k",
    phi={3: 0.25, 1: 0.75},
    table="t",
    session="conversation-1",
)
NAMES = {"router_id": "r", "route_id": "d", "variant_id": "v"}


def ended(outcomes: Outcomes, number: int = 1, *, learned: bool = True, **more: Any) -> Outcome | None:
    """The outcome of a request that has ended; None: there is none."""
    decided = plan(**NAMES, learned=LEARNED if learned else None, **more.pop("plan", {}))
    values = {"attempts": [attempt(success=True)], "outcome": "ok", "model": GOOD, "prompt_hash": 1, **more}
    before = len(outcomes._waiting)
    outcomes.sink(trail(generation_id=f"g{number}", plan=decided, **values))
    return message_of(outcomes._waiting[-1]) if len(outcomes._waiting) > before else None


def some() -> Outcomes:
    return Outcomes("w", ("127.0.0.1:1",), FakeClock())


def test_a_request_that_was_decided_by_what_was_learned_has_an_outcome_without_a_unit() -> None:
    found = ended(some(), user_hash=unit_hash("user-1"))
    assert found is not None
    assert (found.unit_hash, found.user_hash, found.served_model) == ("", unit_hash("user-1"), GOOD)
    learned = found.learned
    assert (learned.kinds, learned.table, learned.chosen) == ("k", "t", GOOD)
    assert (list(learned.kind), list(learned.weight)) == ([1, 3], [0.75, 0.25])
    assert learned.session == unit_hash("conversation-1")
    assert (list(learned.models), list(learned.propensities)) == ([GOOD, OTHER], [0.9, 0.1])


def test_a_request_in_an_experiment_tells_its_unit_and_no_user() -> None:
    found = ended(some(), learned=False, plan={"exposed": True, "unit": "session-1"}, user_hash=unit_hash("user-1"))
    assert found is not None
    assert (found.unit_hash, found.user_hash) == (unit_hash("session-1"), "")
    assert not found.HasField("learned")


def test_a_request_in_neither_has_no_outcome() -> None:
    assert ended(some(), learned=False) is None
    assert ended(some(), attempts=[]) is None


def test_who_asks_the_same_again_within_a_minute_repeats_the_request_before() -> None:
    outcomes, user = some(), unit_hash("user-1")
    asked = [
        ended(outcomes, number, user_hash=user, started=started)
        for number, started in ((1, 100.0), (2, 159.0), (3, 200.0), (4, 260.0))
    ]
    assert [one.repeats for one in asked if one is not None] == ["", "g1", "g2", ""]


def test_others_other_prompts_and_nobody_repeat_nothing() -> None:
    outcomes = some()
    first = ended(outcomes, 1, user_hash="a")
    other, elsewhere = ended(outcomes, 2, user_hash="b"), ended(outcomes, 3, user_hash="a", prompt_hash=2)
    nobody = [ended(outcomes, number) for number in (4, 5)]
    assert [one.repeats for one in (first, other, elsewhere, *nobody) if one is not None] == [""] * 5


def test_a_repetition_counts_for_an_experiment_only_if_it_is_in_one() -> None:
    outcomes = some()
    inside = {"exposed": True, "unit": "u"}
    found = [ended(outcomes, number, plan=inside) for number in (1, 2)]
    assert [(one.repeated, one.repeats) for one in found if one is not None] == [(False, ""), (True, "g1")]
    outside = [ended(outcomes, number, user_hash="x") for number in (3, 4)]
    assert [(one.repeated, one.repeats) for one in outside if one is not None] == [(False, ""), (False, "g3")]


def test_a_shadow_tells_of_the_answered_request_beside_it_and_is_in_no_experiment() -> None:
    outcomes = some()
    inside = plan(**NAMES, exposed=True, unit="u")
    answered = trail(generation_id="g", plan=inside, cost_usd=0.5, content_at=100.25, invalid_json=False)
    found = ended(outcomes, 2, learned=False, answered=answered, cost_usd=0.125, invalid_json=True)
    assert found is not None
    assert (found.unit_hash, found.HasField("learned"), found.cost_usd, found.invalid_json) == ("", False, 0.125, True)
    beside = found.answered
    assert (beside.generation_id, beside.unit_hash, beside.cost_usd) == ("g", unit_hash("u"), 0.5)
    assert (beside.time_to_first_token_ms, beside.HasField("invalid_json"), beside.invalid_json) == (250.0, True, False)


def test_a_shadow_without_a_unit_stands_for_its_user_or_itself() -> None:
    outcomes = some()
    users = [
        ended(outcomes, n, learned=False, answered=trail(generation_id="g", plan=plan(**NAMES), user_hash=user))
        for n, user in ((1, "ab"), (2, ""))
    ]
    assert [one.answered.unit_hash for one in users if one is not None] == ["ab", "g"]
    assert not any(one.answered.HasField("cost_usd") for one in users if one is not None)


def test_a_shadow_that_the_workers_end_cut_off_has_no_outcome() -> None:
    assert ended(some(), learned=False, answered=trail(plan=plan(**NAMES)), outcome="cancelled") is None


def test_what_was_asked_is_remembered_for_the_newest_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(under_test, "KEPT", 3)
    outcomes = some()
    for number in range(20):
        outcomes._waiting.clear()
        ended(outcomes, number, user_hash=f"u{number}")
        again = ended(outcomes, 100 + number, user_hash=f"u{max(0, number - 1)}")
        assert again is not None
        assert again.repeats, "it is one of the three that asked last"
        assert len(outcomes._asked) + len(outcomes._asked_before) <= 2 * 3


class Quick(FakeClock):
    """A clock whose waits are over at once."""

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)


class ControlPlane:
    """Takes outcomes, or does not; `meanwhile` is what happens while it is asked or left."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.taken: list[str] = []
        self.away = False
        self.during: Callable[[], None] = lambda: None
        self.leaving: Callable[[], None] = lambda: None
        monkeypatch.setattr(under_test, "open_channel", self.channel)
        monkeypatch.setattr(under_test, "ExperimentServiceStub", lambda channel: channel)

    @asynccontextmanager
    async def channel(self, address: str) -> AsyncIterator[ControlPlane]:
        assert address == "127.0.0.1:1"
        yield self
        self.leaving()

    def ReportOutcomes(self, request: ReportOutcomesRequest, timeout: float) -> Awaitable[None]:
        assert timeout > 0
        return self.report(request)

    async def report(self, request: ReportOutcomesRequest) -> None:
        self.during()
        if self.away:
            raise grpc.aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, grpc.aio.Metadata(), grpc.aio.Metadata())
        self.taken += [one.generation_id for one in request.outcomes]


@pytest.mark.parametrize("away", [False, True])
async def test_outcomes_are_sent_or_counted_as_lost_even_when_more_come_meanwhile(
    monkeypatch: pytest.MonkeyPatch, away: bool
) -> None:
    monkeypatch.setattr(under_test, "KEPT", 5)
    monkeypatch.setattr(under_test, "BATCH", 4)
    monkeypatch.setattr(under_test, "AS_TRAILS", 2)
    server, lost = ControlPlane(monkeypatch), [0]
    outcomes = Outcomes("w", ("127.0.0.1:1",), FakeClock(), lost.append)
    for number in range(5):
        ended(outcomes, number)

    def flood() -> None:
        server.during = lambda: None
        for number in range(5, 9):
            outcomes.sink(trail(generation_id=f"g{number}", plan=plan(**NAMES, learned=LEARNED), attempts=[attempt()]))

    server.during, server.away = flood, away
    assert await outcomes._send(0) is not away
    if away:
        assert [message_of(one).generation_id for one in outcomes._waiting] == ["g4", "g5", "g6", "g7", "g8"], (
            "the newest"
        )
        server.away = False
        assert await outcomes._send(0)
    assert len(server.taken) + sum(lost) == 9, "none is forgotten, and none is told twice"
    assert len(set(server.taken)) == len(server.taken)
    assert sum(lost) == (4 if away else 0)


async def test_an_outcome_that_comes_while_the_channel_closes_is_sent_without_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server, lost = ControlPlane(monkeypatch), [0]
    outcomes = Outcomes("w", ("127.0.0.1:1",), Quick(), lost.append)
    sent = asyncio.Event()

    def late() -> None:
        server.leaving = sent.set
        ended(outcomes, 2)

    server.leaving = late
    running = asyncio.create_task(outcomes.run())
    ended(outcomes, 1)
    await asyncio.wait_for(sent.wait(), 10)
    assert server.taken == ["g1", "g2"]
    assert sum(lost) == 0
    outcomes.stop()
    await running


async def test_what_waits_at_the_end_and_what_comes_later_is_counted_as_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    server, lost = ControlPlane(monkeypatch), [0]
    server.away, asked = True, asyncio.Event()
    server.during = asked.set
    outcomes = Outcomes("w", ("127.0.0.1:1",), Quick(), lost.append)
    running = asyncio.create_task(outcomes.run())
    ended(outcomes, 1)
    await asyncio.wait_for(asked.wait(), 10)
    outcomes.stop()
    assert ended(outcomes, 2) is None
    await running
    assert (sum(lost), len(outcomes._waiting)) == (2, 0)


async def test_what_waits_when_the_worker_ends_is_sent_to_whichever_replica_takes_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server, lost = ControlPlane(monkeypatch), [0]
    server.away = True

    def next_one_is_there() -> None:
        server.away = False

    server.leaving = next_one_is_there
    outcomes = Outcomes("w", ("127.0.0.1:1", "127.0.0.1:1"), FakeClock(), lost.append)
    running = asyncio.create_task(outcomes.run())
    ended(outcomes, 1)
    await asyncio.sleep(0)  # it has begun to wait for others to send with it
    outcomes.stop()
    await asyncio.wait_for(running, 10)
    assert server.taken == ["g1"]
    assert sum(lost) == 0


def test_of_many_that_wait_the_messages_are_kept_and_say_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, kept = some(), some()
    monkeypatch.setattr(under_test, "AS_TRAILS", 0)
    as_bytes = ended(kept, 1, user_hash=unit_hash("u"), content_at=100.5, cost_usd=0.25)
    monkeypatch.setattr(under_test, "AS_TRAILS", 1)
    as_trail = ended(whole, 1, user_hash=unit_hash("u"), content_at=100.5, cost_usd=0.25)
    assert isinstance(kept._waiting[0], bytes)
    assert not isinstance(whole._waiting[0], bytes)
    assert as_bytes == as_trail
