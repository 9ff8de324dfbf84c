"""Outcomes of requests that are in an experiment or were decided by what was learned, and of shadows, to the control plane.

The sink only notes; a task makes messages of what has come together, and sends them. While the control plane is away
the newest outcomes are kept, up to a bound, and the others counted as lost: an experiment may lose evidence, a worker
never its memory.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

import grpc
from google.protobuf.timestamp_pb2 import Timestamp
from turnout.experiment.v1 import experiment_service_pb2 as pb
from turnout.experiment.v1.experiment_service_pb2_grpc import ExperimentServiceStub

from services.core.routing.assign import USER
from services.core.routing.draw import uniform
from services.core.routing.plan import Plan
from services.dataplane.trail import Trail
from services.runtime.clock import Clock
from services.runtime.grpc_channel import open_channel
from services.runtime.waiting import first_of
from services.wire.learning import decision_message
from services.wire.records import unit_hash

log = logging.getLogger(__name__)

KEPT = 50_000
BATCH = 1_000
AS_TRAILS = 1_000
"""Of those that wait; of more, which only an absent control plane lets come together, the message is kept: it is small."""
EVERY_SECONDS = 1.0
CALL_SECONDS = 5.0
MAX_WAIT_SECONDS = 30.0
LAST_SECONDS = 2.0
"""Within which the last ones are sent when the worker ends; a call that is under way may take `CALL_SECONDS`."""
REPEAT_SECONDS = 60.0
NEVER = (-REPEAT_SECONDS, "")
AT_ONCE = 100
"""Messages that are made before requests get their turn."""


class _Noted(NamedTuple):
    """A finished request that waits.

    Attributes:
        unit: Hash of its unit in an experiment; empty: it is in none.
        repeats: The request that it asks again; empty: none.
    """

    plan: Plan
    trail: Trail
    unit: str
    repeats: str


def _unit_of(plan: Plan, trail: Trail) -> str:
    """The hash of the unit in an experiment; empty: there is none."""
    if not plan.exposed:
        return ""
    return trail.user_hash if plan.unit_kind == USER else unit_hash(plan.unit)


async def _messages(waiting: Sequence[_Noted | bytes]) -> list[pb.Outcome]:
    """The messages, made in small lots, so that no request waits for all of them."""
    found: list[pb.Outcome] = []
    for begin in range(0, len(waiting), AT_ONCE):
        found += map(message_of, waiting[begin : begin + AT_ONCE])
        await asyncio.sleep(0)
    return found


def message_of(waiting: _Noted | bytes) -> pb.Outcome:
    """The message of a finished request."""
    if isinstance(waiting, bytes):
        return pb.Outcome.FromString(waiting)
    plan, trail, unit, repeats = waiting
    micros = round(trail.started_wall * 1e6)
    outcome = pb.Outcome(
        generation_id=trail.generation_id,
        router_id=plan.router_id,
        route_id=plan.route_id,
        variant_id=plan.variant_id,
        unit_hash=unit,
        at=Timestamp(seconds=micros // 10**6, nanos=micros % 10**6 * 1000),
        outcome=trail.outcome,
        duration_ms=(trail.ended - trail.started) * 1000.0,
        finish_reason=trail.finish_reason,
        failed_over=trail.model not in {"", plan.candidates[0].target.model},
        repeated=bool(unit and repeats),
        repeats=repeats,
        served_model=trail.model,
        cost_usd=trail.cost_usd,
        invalid_json=trail.invalid_json,
    )
    if plan.learned is not None:
        outcome.learned.CopyFrom(decision_message(plan.learned))
        outcome.user_hash = trail.user_hash
    if trail.content_at:
        outcome.time_to_first_token_ms = (trail.content_at - trail.started) * 1000.0
    if trail.usage is not None:
        outcome.input_tokens, outcome.output_tokens = trail.usage.input_tokens, trail.usage.output_tokens
    if trail.answered is not None:
        outcome.answered.CopyFrom(_answered(trail.answered))
    return outcome


class Outcomes:
    """Collects and sends.

    Args:
        addresses: gRPC addresses of the control plane.
        lost: Told of outcomes that could not be kept.
    """

    def __init__(
        self, node_id: str, addresses: Sequence[str], clock: Clock, lost: Callable[[int], None] = lambda count: None
    ) -> None:
        self._node_id = node_id
        self._addresses = tuple(addresses)
        self._clock = clock
        self._lost = lost
        self._waiting: deque[_Noted | bytes] = deque()
        self._asked: dict[int, tuple[float, str]] = {}
        self._asked_before: dict[int, tuple[float, str]] = {}
        self._stopped = asyncio.Event()
        self._some = asyncio.Event()

    def sink(self, trail: Trail) -> None:
        """Take a finished trail, if it is in an experiment, was decided by what was learned, or is a shadow that ended."""
        plan = trail.plan
        if plan is None or not (plan.exposed or plan.learned is not None or trail.answered) or not trail.attempts:
            return
        if trail.answered is not None and trail.outcome == "cancelled":
            # The worker ended; it says nothing about the candidate.
            return
        if self._stopped.is_set():
            self._lost(1)
            return
        if len(self._waiting) >= KEPT:
            self._waiting.popleft()
            self._lost(1)
        unit = _unit_of(plan, trail)
        noted = _Noted(plan, trail, unit, self._repeats(unit or trail.user_hash, trail))
        self._waiting.append(noted if len(self._waiting) < AS_TRAILS else message_of(noted).SerializeToString())
        self._some.set()

    def _repeats(self, unit: str, trail: Trail) -> str:
        """The request of the unit that asked the same less than a minute before: somebody pressed "regenerate".

        Empty: there is none, or nobody is known who could have asked it.
        """
        if not (unit and trail.prompt_hash):
            return ""
        if len(self._asked) >= KEPT:
            # The oldest go together: a search for the oldest one, at every request, passes over all that went before it.
            self._asked_before, self._asked = self._asked, {}
        key = hash((unit, trail.prompt_hash))
        before, request = self._asked.get(key) or self._asked_before.get(key, NEVER)
        self._asked[key] = trail.started, trail.generation_id
        return request if trail.started - before < REPEAT_SECONDS else ""

    async def run(self) -> None:
        """Send until `stop`, and then once more: what waits after that is lost."""
        failures = 0
        while not self._stopped.is_set():
            await self._some.wait()
            await self._pause(EVERY_SECONDS)
            if self._stopped.is_set():
                break
            if await self._send(failures):
                failures = 0
                continue
            failures += 1
            limit = min(MAX_WAIT_SECONDS, 0.5 * 2 ** min(failures, 6))
            await self._pause(limit * uniform(self._clock.seed(), "outcomes"))
        await self._send_last(failures)
        self._lost(len(self._waiting))
        self._waiting.clear()

    async def _send_last(self, turn: int) -> None:
        """Send what waits to whichever replica takes it, within `LAST_SECONDS`."""
        ends = self._clock.monotonic() + LAST_SECONDS
        for more in range(len(self._addresses)):
            left = ends - self._clock.monotonic()
            if not self._waiting or left <= 0.0 or await self._send(turn + more, left):
                return

    async def _pause(self, seconds: float) -> None:
        await first_of(self._clock.sleep(seconds), self._stopped.wait())

    async def _send(self, turn: int, call_seconds: float = CALL_SECONDS) -> bool:
        """Send everything that waits; whether the control plane took it."""
        address = self._addresses[turn % len(self._addresses)]
        async with open_channel(address) as channel:
            stub = ExperimentServiceStub(channel)
            while self._waiting:
                taken = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
                request = pb.ReportOutcomesRequest(node_id=self._node_id, outcomes=await _messages(taken))
                try:
                    await stub.ReportOutcomes(request, timeout=call_seconds)
                except grpc.aio.AioRpcError as error:
                    log.debug("outcomes were not taken by %s: %s", address, error.code().name)
                    self._put_back(taken)
                    return False
            # Not later: closing the channel takes a while, and what is noted meanwhile has to wake the task.
            self._some.clear()
        return True

    def _put_back(self, taken: Sequence[_Noted | bytes]) -> None:
        """Let outcomes that were not taken wait again, before those that came meanwhile; the oldest are lost."""
        lost = max(0, len(self._waiting) + len(taken) - KEPT)
        self._waiting.extendleft(reversed(taken[lost:]))
        if lost:
            self._lost(lost)

    def stop(self) -> None:
        """End `run`, which sends what waits, within `LAST_SECONDS`; what comes later is lost."""
        self._stopped.set()
        self._some.set()


def _answered(trail: Trail) -> pb.Answered:
    """What counts of the request that a shadow is compared with."""
    plan = trail.plan
    unit = unit_hash(plan.unit) if plan is not None and plan.unit else ""
    message = pb.Answered(generation_id=trail.generation_id, unit_hash=unit or trail.user_hash or trail.generation_id)
    if trail.cost_usd is not None:
        message.cost_usd = trail.cost_usd
    if trail.content_at:
        message.time_to_first_token_ms = (trail.content_at - trail.started) * 1000.0
    if trail.invalid_json is not None:
        message.invalid_json = trail.invalid_json
    return message
