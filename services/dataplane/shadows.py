"""Shadows: requests that are sent to a candidate once more, after their callers have their answers.

They go through a `Runner` of their own, the same class with a health tracker of its own: what happens to a shadow benches
nothing for callers, and takes nothing from their budgets. Each one is a record of its own.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass

from services.core.errors import RouterError
from services.core.policy.rules import ExhaustedRule, RetryRule
from services.core.policy.snapshot import ShadowRule
from services.core.pricing import cost, prices_at
from services.core.routing.plan import Plan, Shadowing
from services.dataplane.records import RecordLog
from services.dataplane.runner import Runner
from services.dataplane.trail import Trail, new_generation_id
from services.dataplane.translation import InboundRequest
from services.runtime.clock import Clock
from services.runtime.trace_context import TraceContext, span_id_of

MAX_RUNNING = 32
"""Of a worker. Each one holds its request in memory."""
AFTER_SECONDS = 0.05
"""A shadow begins this much later, so that it is in nobody's way while the answer leaves."""
_HOUR = 3_600.0


@dataclass(slots=True)
class _Spent:
    """What one shadow costs: what is expected, until it is known."""

    at: float
    cost_usd: float


class _Budget:
    """The bounds of one route's shadows at this worker."""

    def __init__(self) -> None:
        self._tokens = 1.0
        self._at = 0.0
        self._spent: deque[_Spent] = deque()

    def take(self, rule: ShadowRule, expected: float | None, now: float) -> _Spent | str:
        """Room for one more, or what there is none of."""
        full = max(1.0, rule.max_per_second)
        self._tokens = min(full, self._tokens + (now - self._at) * rule.max_per_second)
        self._at = now
        if self._tokens < 1.0:
            return "rate"
        while self._spent and now - self._spent[0].at >= _HOUR:
            self._spent.popleft()
        if rule.max_cost_per_hour:
            if expected is None:
                return "unpriced"
            if sum(spent.cost_usd for spent in self._spent) + expected > rule.max_cost_per_hour:
                return "cost"
        self._tokens -= 1.0
        taken = _Spent(now, expected or 0.0)
        self._spent.append(taken)
        return taken


class Shadows:
    """Sends shadows. One per worker."""

    def __init__(
        self,
        runner: Runner,
        records: RecordLog,
        clock: Clock,
        dropped: Callable[[str, str], None] = lambda router, why: None,
    ) -> None:
        """Make it.

        Args:
            runner: With a health tracker that no caller's request uses.
            dropped: Told of each one that was not sent: its router, and why (rate, cost, unpriced, busy, ending).
        """
        self._runner = runner
        self._records = records
        self._clock = clock
        self._dropped = dropped
        self._budgets: dict[tuple[str, str], _Budget] = {}
        self._running: set[asyncio.Task[None]] = set()
        self._ending = False

    def offer(self, inbound: InboundRequest, trail: Trail) -> None:
        """Shadow an answered request, if its plan says so and there is room. Returns at once."""
        plan = trail.plan
        if plan is None or plan.shadow is None or trail.outcome != "ok":
            return
        found = self._admitted(plan, plan.shadow, trail)
        if isinstance(found, str):
            self._dropped(plan.router_id, found)
            return
        task = asyncio.get_running_loop().create_task(self._run(inbound, plan, plan.shadow, trail, found))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    def _admitted(self, plan: Plan, shadowing: Shadowing, trail: Trail) -> _Spent | str:
        if self._ending:
            return "ending"
        if len(self._running) >= MAX_RUNNING:
            return "busy"
        target = shadowing.candidate.target
        expected = cost(prices_at(target.prices, target.spans, trail.started_wall), trail.usage)
        budget = self._budgets.setdefault((plan.router_id, plan.route_id), _Budget())
        return budget.take(shadowing.rule, expected, self._clock.monotonic())

    async def _run(
        self, inbound: InboundRequest, plan: Plan, shadowing: Shadowing, origin: Trail, spent: _Spent
    ) -> None:
        await self._clock.sleep(AFTER_SECONDS)
        trail = self._trail(plan, shadowing, origin)
        try:
            assert trail.plan is not None, "it was just made"
            if inbound.stream:
                async with aclosing(self._runner.stream(inbound, trail.plan, trail)) as frames:
                    async for _ in frames:
                        pass
            else:
                await self._runner.whole(inbound, trail.plan, trail)
            trail.status = 200
        except RouterError as error:
            trail.outcome = trail.outcome or "failed"
            trail.error_reason, trail.status = error.reason, error.status
        except asyncio.CancelledError:
            trail.outcome = "cancelled"
            trail.status = 499
            raise
        finally:
            trail.outcome = trail.outcome or "failed"
            trail.ended = self._clock.monotonic()
            if trail.cost_usd is not None:
                spent.cost_usd = trail.cost_usd
            self._records.append(trail)

    def _trail(self, plan: Plan, shadowing: Shadowing, origin: Trail) -> Trail:
        clock, model = self._clock, shadowing.candidate.target.model
        # One attempt at one target: nothing is tried again for an answer that nobody waits for.
        alone = RetryRule(max_retries=0, max_attempts=1, deadline=plan.retry.deadline)
        own = Plan(
            (shadowing.candidate,),
            alone,
            plan.policy_version,
            plan.policy_revision,
            plan.seed,
            plan.router_id,
            plan.route_id,
            f"shadow:{model}",
            on_exhausted=ExhaustedRule(mode="reject"),
        )
        return Trail(
            generation_id=new_generation_id(clock.seed(), clock.seed()),
            trace=TraceContext(origin.trace.trace_id, span_id_of(clock.seed()), origin.trace.span_id, sampled=False),
            api=origin.api,
            started=clock.monotonic(),
            started_wall=clock.wall(),
            stream=origin.stream,
            requested_model=origin.requested_model,
            user_hash=origin.user_hash,
            api_key_name=origin.api_key_name,
            plan=own,
            policy_version=origin.policy_version,
            policy_revision=origin.policy_revision,
            seed=plan.seed,
            shadow_of=origin.generation_id,
            answered=origin,
        )

    async def drain(self, seconds: float) -> None:
        """Take no more, let those that run finish for `seconds`, then end them."""
        self._ending = True
        if self._running:
            await asyncio.wait(tuple(self._running), timeout=max(0.0, seconds))
        left = tuple(self._running)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
