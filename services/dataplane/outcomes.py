"""Outcomes of requests that are in an experiment or were decided by what was learned, and of shadows, to the control plane.

The sink only appends; a task sends what has come together. While the control plane is away the newest outcomes are
kept, up to a bound, and the others counted as lost: an experiment may lose evidence, a worker never its memory.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence

import grpc
from google.protobuf.timestamp_pb2 import Timestamp
from turnout.experiment.v1 import experiment_service_pb2 as pb
from turnout.experiment.v1.experiment_service_pb2_grpc import ExperimentServiceStub

from services.core.routing.draw import uniform
from services.dataplane.trail import Trail
from services.runtime.clock import Clock
from services.runtime.grpc_channel import open_channel
from services.wire.learning import decision_message
from services.wire.records import unit_hash

log = logging.getLogger(__name__)

KEPT = 50_000
BATCH = 1_000
EVERY_SECONDS = 1.0
CALL_SECONDS = 5.0
MAX_WAIT_SECONDS = 30.0
REPEAT_SECONDS = 60.0
NEVER = (-REPEAT_SECONDS, "")


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
        self._waiting: deque[pb.Outcome] = deque()
        self._last: dict[tuple[str, int], tuple[float, str]] = {}
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
        if len(self._waiting) >= KEPT:
            self._waiting.popleft()
            self._lost(1)
        self._waiting.append(self._outcome(trail))
        self._some.set()

    def _outcome(self, trail: Trail) -> pb.Outcome:
        plan = trail.plan
        assert plan is not None, "only decided requests are in an experiment"
        micros = round(trail.started_wall * 1e6)
        unit = unit_hash(plan.unit) if plan.exposed else ""
        repeats = self._repeats(unit or trail.user_hash, trail)
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
        )
        if plan.learned is not None:
            outcome.learned.CopyFrom(decision_message(plan.learned))
            outcome.user_hash = trail.user_hash
        if trail.cost_usd is not None:
            outcome.cost_usd = trail.cost_usd
        if trail.invalid_json is not None:
            outcome.invalid_json = trail.invalid_json
        if trail.content_at:
            outcome.time_to_first_token_ms = (trail.content_at - trail.started) * 1000.0
        if trail.usage is not None:
            outcome.input_tokens, outcome.output_tokens = trail.usage.input_tokens, trail.usage.output_tokens
        if trail.answered is not None:
            outcome.answered.CopyFrom(_answered(trail.answered))
        return outcome

    def _repeats(self, unit: str, trail: Trail) -> str:
        """The request of the unit that asked the same less than a minute before: somebody pressed "regenerate".

        Empty: there is none, or nobody is known who could have asked it.
        """
        if not (unit and trail.prompt_hash):
            return ""
        key = (unit, trail.prompt_hash)
        before, request = self._last.pop(key, NEVER)
        self._last[key] = trail.started, trail.generation_id
        # In the order of their times, so the first is the oldest.
        while len(self._last) > KEPT:
            del self._last[next(iter(self._last))]
        return request if trail.started - before < REPEAT_SECONDS else ""

    async def run(self) -> None:
        """Send until `stop`."""
        failures = 0
        while not self._stopped.is_set():
            await self._some.wait()
            if self._stopped.is_set():
                break
            await self._clock.sleep(EVERY_SECONDS)
            if await self._send(failures):
                failures = 0
                continue
            failures += 1
            limit = min(MAX_WAIT_SECONDS, 0.5 * 2 ** min(failures, 6))
            await self._clock.sleep(limit * uniform(self._clock.seed(), "outcomes"))

    async def _send(self, turn: int) -> bool:
        """Send everything that waits; whether the control plane took it."""
        address = self._addresses[turn % len(self._addresses)]
        async with open_channel(address) as channel:
            stub = ExperimentServiceStub(channel)
            while self._waiting:
                batch = [self._waiting[i] for i in range(min(BATCH, len(self._waiting)))]
                try:
                    request = pb.ReportOutcomesRequest(node_id=self._node_id, outcomes=batch)
                    await stub.ReportOutcomes(request, timeout=CALL_SECONDS)
                except grpc.aio.AioRpcError as error:
                    log.debug("outcomes were not taken by %s: %s", address, error.code().name)
                    return False
                for _ in batch:
                    if self._waiting:
                        self._waiting.popleft()
        self._some.clear()
        return True

    def stop(self) -> None:
        """End `run`; what waits is lost."""
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
