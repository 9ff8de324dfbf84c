"""What a worker says of its targets' health: reports, events, metrics, and who may read them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from prometheus_client import CollectorRegistry
from turnout.health.v1 import health_service_pb2_grpc
from turnout.health.v1.health_pb2 import HealthEvent, TargetState
from turnout.health.v1.health_service_pb2 import ListTargetHealthRequest, WatchHealthRequest

from services.core.attempts.effects import Kind, StartAttempt
from services.core.errors import Failure, FailureKind
from services.core.policy.compile import Problems
from services.core.policy.rules import BreakerRule
from services.core.routing.context import RequestContext
from services.core.routing.decide import decide
from services.core.routing.health import HEALTHY, credential_name, target_name
from services.core.routing.plan import Plan
from services.dataplane.health_events import HealthEvents
from services.dataplane.health_metrics import BreakerMetrics
from services.dataplane.health_report import HealthReports, named
from services.dataplane.health_service import HealthServicer
from services.dataplane.health_tracker import HealthTracker
from services.dataplane.policy_holder import PolicyHolder
from services.dataplane.tokens import Failing
from services.runtime.catalogue.shipped import ShippedCatalogue
from services.runtime.clock import Clock, SystemClock
from services.runtime.conditions import CelCompiler
from services.runtime.keys import hash_key
from services.runtime.metrics import Metrics
from services.runtime.testing import FakeClock
from tests.support.inprocess import KEY, policy_set

PROVIDERS: tuple[dict[str, Any], ...] = (
    {"kind": "Provider", "name": "one", "type": "openai_compatible", "base_url": "http://one.test/v1"},
    {
        "kind": "Provider",
        "name": "pool",
        "type": "openai_compatible",
        "endpoints": [{"name": name, "base_url": f"http://{name}.test/v1"} for name in ("eu", "us")],
    },
    {"kind": "ApiKey", "name": "narrow", "hash": hash_key("to-narrow"), "scopes": ["inference"]},
)
RULE = BreakerRule(consecutive_failures=2, open_for=10.0)
CLOSED, OPEN = TargetState.TARGET_STATE_CLOSED, TargetState.TARGET_STATE_OPEN
DOWN = Failure(FailureKind.SERVER_ERROR, "no")
LIMITED = Failure(FailureKind.RATE_LIMITED, "slow down", retry_after=30.0)
REJECTED = Failure(FailureKind.CREDENTIALS_REJECTED, "no")


@dataclass
class Bench:
    """A tracker with everything that tells of it."""

    clock: Any
    tracker: HealthTracker
    policy: PolicyHolder
    reports: HealthReports
    events: HealthEvents
    registry: CollectorRegistry

    def fail(self, target: str, failure: Failure = DOWN, times: int = 1, credential: str = "") -> None:
        for _ in range(times):
            self.tracker.failed(self._attempt(target, credential), failure, RULE, self.clock.monotonic())

    def succeed(self, target: str) -> None:
        self.tracker.succeeded(self._attempt(target), RULE, self.clock.monotonic())

    def admit(self, target: str, kind: Kind = Kind.FIRST) -> bool:
        """Begin an attempt; whether it may be made."""
        snapshot, now = self.policy.current(), self.clock.monotonic()
        assert snapshot is not None
        plan = decide(snapshot, RequestContext(model=target), HEALTHY, now, 1)
        assert isinstance(plan, Plan)
        return self.tracker.admit(self._attempt(target, kind=kind), plan, now) is None

    def _attempt(self, target: str, credential: str = "", kind: Kind = Kind.FIRST) -> StartAttempt:
        at = self.clock.monotonic()
        return StartAttempt(1, 0, 0, 0, kind, target, credential, 60.0, 20.0, at=at)

    def metric(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, labels)


def bench(clock: Clock, *, backlog: int = 1_000) -> Bench:
    policy = PolicyHolder(CelCompiler(), ShippedCatalogue())
    found = policy_set(*PROVIDERS)
    compiled = policy.compile(found)
    assert not isinstance(compiled, Problems), compiled
    policy.put(found, compiled)
    tracker, registry = HealthTracker(), CollectorRegistry()
    reports = HealthReports("worker", policy, tracker, clock)
    events = HealthEvents(reports, clock, backlog=backlog)
    breakers = BreakerMetrics(Metrics(registry), reports)
    tracker.on_event, tracker.on_refused, events.sink = events.publish, breakers.refused, breakers.changed
    return Bench(clock, tracker, policy, reports, events, registry)


async def some(stream: AsyncIterator[HealthEvent], count: int) -> list[HealthEvent]:
    async with asyncio.timeout(30):
        return [await anext(stream) for _ in range(count)]


@pytest.mark.parametrize(
    ("model", "endpoint", "credential"),
    [
        ("one/m", "", ""),
        ("one/deep/m@20250101", "", "env:KEY"),
        ("pool/m", "eu", "file:/run/secrets/a@b#c"),
        ("pool/m@v1", "us", "env:KEY_2"),
        ("pool/m", "us", "aws:profile/prod"),
        ("one/m", "", "google:file:/run/secrets/account.json"),
        ("gone/m@x", "", ""),
    ],
)
def test_the_name_of_a_target_is_taken_apart_as_it_was_made(model: str, endpoint: str, credential: str) -> None:
    snapshot = bench(FakeClock()).policy.current()
    assert snapshot is not None
    found = named(target_name(model, endpoint, credential), snapshot.providers)
    assert (found.model, found.endpoint, found.credential) == (model, endpoint, credential)
    assert found.provider == model.partition("/")[0]


def test_the_name_of_a_credential_is_told_from_that_of_a_target() -> None:
    found = named(credential_name("one", "file:/a/b"), {})
    assert (found.provider, found.model, found.credential) == ("one", "", "file:/a/b")


def test_a_report_says_what_is_set_aside_why_and_until_when_on_the_walls_clock() -> None:
    clock = FakeClock(start=500.0, wall=1_800_000_000.0)
    found = bench(clock)
    found.fail("one/m", times=2)
    clock.advance(4.0)
    (target,) = found.reports.all().targets
    assert (target.name, target.state, target.why) == ("one/m", OPEN, "SERVER_ERROR")
    assert (target.consecutive_failures, target.provider, target.model) == (2, "one", "one/m")
    assert target.until.ToSeconds() == 1_800_000_010
    clock.advance(7.0)
    (target,) = found.reports.all().targets
    assert target.state == TargetState.TARGET_STATE_HALF_OPEN
    assert not target.HasField("until")


def test_a_credential_whose_secret_cannot_be_made_is_set_aside_until_the_next_try() -> None:
    clock = FakeClock()
    policy = PolicyHolder(CelCompiler(), ShippedCatalogue())
    provider = {**PROVIDERS[0], "credentials": ["google:default", "env:KEY"]}
    found = policy_set(provider, PROVIDERS[1])
    compiled = policy.compile(found)
    assert not isinstance(compiled, Problems), compiled
    policy.put(found, compiled)
    failing = {"google:default": Failing("no keys", 3, clock.monotonic() + 4.0), "azure:default": Failing("no", 1, 0.0)}
    reports = HealthReports("worker", policy, HealthTracker(), clock, lambda: failing)
    (target,) = reports.all().targets
    assert (target.name, target.credential, target.model) == ("one#google:default", "google:default", "")
    assert (target.state, target.why, target.consecutive_failures) == (OPEN, "CREDENTIAL_MISSING", 3)
    assert target.until.seconds == clock.wall() + 4.0
    failing.clear()
    assert not reports.all().targets


def test_every_state_is_told_apart() -> None:
    found = bench(FakeClock())
    found.fail("one/limited", LIMITED)
    found.fail("one/resting", Failure(FailureKind.RATE_LIMITED, "slow down"))
    found.fail("one/once")
    found.fail("one/keyed#env:K", REJECTED, credential="one#env:K")
    states = {t.name: TargetState.Name(t.state).removeprefix("TARGET_STATE_") for t in found.reports.all().targets}
    assert states == {"one/limited": "ASKED", "one/resting": "RESTING", "one/once": "CLOSED", "one#env:K": "OPEN"}


def test_speeds_are_told_in_milliseconds_for_healthy_targets_too() -> None:
    found = bench(FakeClock())
    for number in range(1, 101):
        found.tracker.seen_content("pool/m", number / 1000.0, stream=True)
    found.tracker.seen_content("one/m", 3.0, stream=False)
    found.fail(target_name("pool/m", "eu", ""), times=2)
    well, target = found.reports.all().targets
    assert (well.name, well.HasField("first_content_p50_ms")) == ("one/m", False), "only streams have a first content"
    assert (target.name, target.endpoint) == ("pool/m@eu", "eu")
    assert target.first_content_p50_ms == pytest.approx(50, abs=8)
    assert target.first_content_p95_ms == pytest.approx(95, abs=8)
    found.tracker.seen_content("one/m", 0.25, stream=True)
    well, _ = found.reports.all().targets
    assert (well.name, well.state, well.share, well.first_content_p50_ms) == ("one/m", CLOSED, 1.0, 250.0)


def test_what_the_policy_names_no_more_is_left_out() -> None:
    found = bench(FakeClock())
    found.fail("gone/m", times=2)
    assert not found.reports.all().targets
    assert not found.reports.open_breakers()


async def test_a_watcher_sees_what_is_set_aside_and_what_comes_back() -> None:
    clock = FakeClock()
    found = bench(clock)
    async with aclosing(found.events.watch(present=False)) as stream:
        first = asyncio.ensure_future(some(stream, 1))
        await asyncio.sleep(0)
        found.fail("one/m", times=2)
        (aside,) = await first
        assert (aside.set_aside, aside.target.name, aside.target.why) == (True, "one/m", "SERVER_ERROR")
        assert aside.node_id == "worker"
        assert aside.target.until.ToMilliseconds() - aside.at.ToMilliseconds() == 10_000
        clock.advance(11.0)
        found.succeed("one/m")
        (back,) = await some(stream, 1)
        assert (back.set_aside, back.target.name, back.target.state) == (False, "one/m", CLOSED)


async def test_a_watcher_may_begin_with_what_is_set_aside_now() -> None:
    found = bench(FakeClock())
    found.fail("one/a", times=2)
    found.fail("one/b", times=1)
    found.fail("one/c", LIMITED)
    async with aclosing(found.events.watch(present=True)) as stream:
        present = await some(stream, 2)
        assert [(e.target.name, e.set_aside) for e in present] == [("one/a", True), ("one/c", True)]
        found.fail("one/b", times=1)
        (event,) = await some(stream, 1)
        assert event.target.name == "one/b"


async def test_what_a_provider_asked_for_comes_back_by_time_alone() -> None:
    found = bench(SystemClock())
    async with aclosing(found.events.watch(present=True)) as stream:
        first = asyncio.ensure_future(some(stream, 2))
        await asyncio.sleep(0)
        found.fail("one/m", Failure(FailureKind.RATE_LIMITED, "slow down", retry_after=0.05))
        aside, back = await first
    assert (aside.set_aside, aside.target.state) == (True, TargetState.TARGET_STATE_ASKED)
    assert (back.set_aside, back.target.name, back.target.state) == (False, "one/m", CLOSED)
    assert back.at.ToMilliseconds() - aside.at.ToMilliseconds() >= 49


async def test_a_slow_watcher_loses_its_oldest_events_and_is_told_how_many() -> None:
    found = bench(FakeClock(), backlog=3)
    async with aclosing(found.events.watch(present=False)) as stream:
        waiting = asyncio.ensure_future(some(stream, 1))
        await asyncio.sleep(0)
        for number in range(8):
            found.fail(f"one/{number}", times=2)
        await waiting
        events = [*waiting.result(), *await some(stream, 2)]
    assert [e.target.name for e in events] == ["one/5", "one/6", "one/7"]
    assert [e.lost for e in events] == [5, 0, 0]


async def test_watchers_that_leave_are_forgotten() -> None:
    found = bench(FakeClock())
    async with aclosing(found.events.watch(present=True)) as stream:
        found.fail("one/m", times=2)
        waiting = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    assert not found.events._watchers


def test_breakers_are_counted_by_provider_whatever_their_provider_asked_for() -> None:
    clock = FakeClock()
    found = bench(clock)
    found.fail("one/a", times=2)
    found.fail("one/b", Failure(FailureKind.OVERLOADED, "no", retry_after=60.0), times=2)
    found.fail("one/c", LIMITED)
    found.fail(target_name("pool/m", "eu", ""), times=2)
    assert found.metric("turnout_breakers_open", provider="one") == 2
    assert found.metric("turnout_breakers_open", provider="pool") == 1
    assert found.metric("turnout_breaker_openings_total", provider="one") == 2
    clock.advance(11.0)
    assert found.admit("one/a")
    found.fail("one/a")
    assert found.metric("turnout_breaker_openings_total", provider="one") == 3, "a failed probe opens it again"
    clock.advance(100.0)
    found.succeed("one/a")
    found.succeed("one/b")
    assert found.metric("turnout_breakers_open", provider="one") == 0
    assert found.metric("turnout_breakers_open", provider="pool") == 1


def test_what_a_budget_refuses_is_counted_by_kind() -> None:
    found = bench(FakeClock())
    found.fail("one/m", times=2)
    assert not found.admit("one/m", Kind.HEDGE), "the target is shut: no matter of budgets"
    assert found.metric("turnout_hedges_total", result="refused") is None
    found.clock.advance(11.0)
    assert not found.admit("one/m", Kind.HEDGE), "no extra load on a target that fails"
    assert found.metric("turnout_hedges_total", result="refused") == 1
    assert found.metric("turnout_budget_refusals_total", kind="hedge") == 1


@asynccontextmanager
async def serving(found: Bench) -> AsyncIterator[Any]:
    server = grpc.aio.server()
    servicer = HealthServicer(found.policy, found.reports, found.events)
    health_service_pb2_grpc.add_HealthServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield health_service_pb2_grpc.HealthServiceStub(channel)
    await server.stop(None)


async def test_health_is_served_to_readers_and_to_nobody_else() -> None:
    found = bench(SystemClock())
    found.fail("one/m", times=2)
    metadata = (("authorization", f"Bearer {KEY}"),)
    async with serving(found) as stub:
        answer = await stub.ListTargetHealth(ListTargetHealthRequest(), metadata=metadata)
        assert (answer.node_id, [t.name for t in answer.targets]) == ("worker", ["one/m"])
        call = stub.WatchHealth(WatchHealthRequest(present=True), metadata=metadata)
        assert (await call.read()).target.name == "one/m"
        found.fail("one/n", times=2)
        assert (await call.read()).target.name == "one/n"
        call.cancel()
        for key, code in (
            (None, grpc.StatusCode.UNAUTHENTICATED),
            ("to-narrow", grpc.StatusCode.PERMISSION_DENIED),
        ):
            presented = (("x-api-key", key),) if key else ()
            for refused in (
                stub.ListTargetHealth(ListTargetHealthRequest(), metadata=presented),
                stub.WatchHealth(WatchHealthRequest(), metadata=presented).read(),
            ):
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await refused
                assert caught.value.code() is code
