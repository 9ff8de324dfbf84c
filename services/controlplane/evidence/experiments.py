"""The use cases over experiments: which there are, what is known of them, and the ramps that go by themselves."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from dataclasses import replace

from services.controlplane.board import Board
from services.controlplane.evidence.store import EvidenceStore, arms_of
from services.controlplane.lifecycle import PolicyLifecycle
from services.controlplane.policy import Note, PolicyAdmin, Write
from services.controlplane.store.base import Recorded
from services.core.discovery.messages import documents_of
from services.core.errors import InvalidRequest, NotFound, PolicyRejected, RouterError
from services.core.experiments.auto_ramp import Move, next_move
from services.core.experiments.metrics import INVALID_JSON_RATE, SECONDARY, MetricSpec, specs_of
from services.core.experiments.ramps import routes_of
from services.core.experiments.report import Arm, Report, report_of
from services.core.experiments.sums import Sums
from services.core.policy.compile import Problems
from services.core.policy.documents import Ramp, ResourceKey, Route, Router
from services.core.policy.snapshot import CompiledRoute, Snapshot
from services.core.values import Value
from services.runtime.clock import Clock

log = logging.getLogger(__name__)

RAMP_SECONDS = 60.0
SETTLE_SECONDS = 60.0
"""After a change of weights, until every worker has it: who comes before that says nothing about the new split."""
RAMP_AUTHOR = "auto-ramp"


class Experiment(Value, frozen=True):
    """A route with several variants.

    Attributes:
        weights_since: When its weights changed last, seconds since the Unix epoch; 0.0: before history begins.
    """

    router: str
    compiled: CompiledRoute
    route: Route
    weights_since: float

    @property
    def name(self) -> str:
        """Its name in the evidence."""
        return f"{self.router}/{self.compiled.route_id}"

    @property
    def variants(self) -> list[str]:
        """Ids of its variants, in order."""
        return [variant.variant_id for variant in self.compiled.variants]

    @property
    def control(self) -> str:
        """The variant that the others are compared with."""
        return self.variants[self.compiled.experiment.control]


class Experiments:
    """Experiments of the policy that is in force."""

    def __init__(self, admin: PolicyAdmin, lifecycle: PolicyLifecycle, board: Board, evidence: EvidenceStore) -> None:
        self._admin = admin
        self._lifecycle = lifecycle
        self._board = board
        self.evidence = evidence

    async def all(self) -> list[Experiment]:
        """Every experiment, by name."""
        return [found for found in await self._routes() if len(found.variants) > 1]

    async def _routes(self) -> list[Experiment]:
        """Every route that there can be evidence of: with several variants, or with a shadow."""
        current = self._board.current
        compiled = self._admin.compile(documents_of(current), current.revision)
        if isinstance(compiled, Problems):
            raise PolicyRejected(compiled.problems)
        history = await self._lifecycle.revisions(limit=0)
        found = [
            Experiment(router.name, place, route, _weights_since(history, router.name, route))
            for router in self._routers()
            for route, place in _pairs(router, compiled)
            if len(place.variants) > 1 or place.shadow is not None
        ]
        return sorted(found, key=lambda e: e.name)

    def _routers(self) -> Iterable[Router]:
        documents = (entry.document for entry in self._board.current.entries.values())
        return [d for d in documents if isinstance(d, Router)]

    async def one(self, router: str, route: str) -> Experiment:
        """An experiment by name, or a route with a shadow and a single variant.

        Raises:
            NotFound: There is none.
        """
        for found in await self._routes():
            if (found.router, found.compiled.route_id) == (router, route):
                return found
        raise NotFound(
            f"{router}/{route} is no experiment: a route with several variants, or a shadow, of a router of this policy"
        )

    async def report(
        self, experiment: Experiment, *, control: str = "", since: float = 0.0, alpha: float = 0.05, fixed: bool = False
    ) -> Report:
        """What can be said of an experiment; computed in a thread.

        Raises:
            InvalidRequest: The control is none of its variants, or alpha is no chance.
        """
        base = control or experiment.control
        if base not in experiment.variants:
            raise InvalidRequest(
                f"there is no variant {base!r}; there are {', '.join(experiment.variants)}", param="control"
            )
        if not 0.0 < alpha < 1.0:
            raise InvalidRequest("expected a chance above 0 and below 1", param="alpha")
        return await asyncio.to_thread(self._report, experiment, base, since, alpha, fixed=fixed)

    def _report(self, experiment: Experiment, control: str, since: float, alpha: float, *, fixed: bool) -> Report:
        store, name = self.evidence, experiment.name
        rule = experiment.route.experiment
        specs = specs_of(rule.metrics if rule is not None else (), store.feedback_names(name))
        slow = store.p95_ttft(name, control, since)
        sums = {spec.name: store.sums(name, spec, since, slow) for spec in specs}
        specs = [spec for spec in specs if not _is_idle(spec, sums[spec.name])]
        settled = experiment.weights_since + SETTLE_SECONDS if experiment.weights_since else 0.0
        counts = store.counts(name, since, max(since, settled))
        weights = {v.variant_id: v.weight for v in experiment.compiled.variants}
        arms = [
            Arm(
                variant=variant,
                weight=weights[variant],
                units=seen.units,
                requests=seen.requests,
                new_units=seen.new_units,
                sums={metric: found[variant] for metric, found in sums.items() if variant in found},
                p95_ttft=store.p95_ttft(name, variant, since),
            )
            for variant, seen in arms_of(experiment.variants, counts)
        ]
        return report_of(arms, control, specs, alpha=alpha, fixed=fixed)


class AutoRamps:
    """Carries out the ramps that policy leaves to the control plane; each step is an ordinary revision."""

    def __init__(self, experiments: Experiments, admin: PolicyAdmin, clock: Clock) -> None:
        self._experiments = experiments
        self._admin = admin
        self._clock = clock

    async def look_safely(self) -> None:
        """Take every step that is due; what stands in the way is told in the log."""
        try:
            await self.look()
        except RouterError as error:
            log.warning("ramps were not looked at: %s", error.message)

    async def look(self) -> None:
        """Take every step that is due."""
        for experiment in await self._experiments.all():
            rule = experiment.route.experiment
            if rule is None or rule.ramp is None or rule.ramp.variant not in experiment.variants:
                continue
            move = await self._judge(experiment, rule.ramp)
            log.debug("the ramp of %s: %s", experiment.name, move.why)
            if move.weight is not None:
                await self._take(experiment, rule.ramp, move)

    async def _judge(self, experiment: Experiment, ramp: Ramp) -> Move:
        report = await self._experiments.report(experiment, since=experiment.weights_since)
        weight = next(v.weight for v in experiment.compiled.variants if v.variant_id == ramp.variant)
        held = self._clock.wall() - experiment.weights_since if experiment.weights_since else 0.0
        return next_move(ramp, weight, held, report)

    async def _take(self, experiment: Experiment, ramp: Ramp, move: Move) -> None:
        """Write the new weights: the control gives, or gets back."""
        assert move.weight is not None, "a move has a weight"
        entry = await self._admin.get(ResourceKey("Router", experiment.router))
        document = entry.document
        assert isinstance(document, Router), "it is a router's key"
        changed = _with_weight(document, experiment.compiled.route_id, ramp.variant, experiment.control, move.weight)
        note = Note(RAMP_AUTHOR, f"{experiment.name} {ramp.variant} → {move.weight} %: {move.why}", self._clock.wall())
        try:
            await self._admin.apply([Write(changed, entry.revision)], note=note)
        except RouterError as error:
            log.warning("the ramp of %s was not moved: %s", experiment.name, error.message)
            return
        log.info("the ramp of %s: %s", experiment.name, note.message)


def _is_idle(spec: MetricSpec, sums: Mapping[str, Sums]) -> bool:
    """Whether a metric is about answers in JSON that nobody asks for: one more p value would only weaken the others."""
    return spec.name == INVALID_JSON_RATE and spec.role == SECONDARY and not any(found.x for found in sums.values())


def _pairs(router: Router, compiled: Snapshot) -> list[tuple[Route, CompiledRoute]]:
    """Each route as it is written, with its compiled form."""
    place = compiled.routers[router.name]
    return list(zip(routes_of(router), place.all_routes, strict=True))


def _weights_since(history: Iterable[Recorded], router: str, route: Route) -> float:
    """When the weights of a route became what they are; 0.0: before history begins."""
    key = ResourceKey("Router", router)
    for record, change in ((r, c) for r in history for c in r.changes if c.key == key):
        before = _route_in(change.before, route.route_id) if isinstance(change.before, Router) else None
        if before is None or _weights(before) != _weights(route):
            return record.at
    return 0.0


def _route_in(router: Router, route_id: str) -> Route | None:
    return next((route for route in routes_of(router) if route.route_id == route_id), None)


def _weights(route: Route) -> list[tuple[str, int]]:
    return [(w.variant.variant_id, w.weight) for w in route.variants if w.variant is not None]


def _with_weight(router: Router, route_id: str, variant: str, control: str, weight: int) -> Router:
    """`router` with another weight of a variant, at the cost of the control."""

    def moved(route: Route) -> Route:
        if route.route_id != route_id:
            return route
        now = dict(_weights(route))
        wanted = {**now, variant: weight, control: max(0, now[control] + now[variant] - weight)}
        variants = tuple(
            replace(w, weight=wanted[w.variant.variant_id]) if w.variant is not None else w for w in route.variants
        )
        return replace(route, variants=variants)

    rules = tuple(replace(r, route=moved(r.route)) if r.route is not None else r for r in router.routes)
    default = moved(router.default_route) if router.default_route is not None else None
    return replace(router, routes=rules, default_route=default)
