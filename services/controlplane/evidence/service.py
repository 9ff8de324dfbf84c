"""`turnout.experiment.v1.ExperimentService`: thin handlers; a replica that does not collect hands on."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import AsyncIterator, Iterable

from turnout.experiment.v1 import experiment_service_pb2 as pb
from turnout.experiment.v1 import experiment_service_pb2_grpc
from turnout.experiment.v1.experiment_service_pb2_grpc import ExperimentServiceStub

from services.controlplane.auth import READ, Authoriser
from services.controlplane.evidence.copying import Copies
from services.controlplane.evidence.experiments import Experiment, Experiments
from services.controlplane.evidence.leader import Leader, collected
from services.controlplane.evidence.shadow_form import pair_of, shadow_message
from services.controlplane.evidence.shadow_pairs import add_pairs, shadow_data
from services.controlplane.evidence.store import Counts, Observed, Seen
from services.controlplane.handlers import Context, authorised
from services.controlplane.learning.intake import Decisions
from services.core.errors import InvalidRequest
from services.core.experiments.intervals import Interval
from services.core.experiments.report import Comparison, Report, value_of
from services.runtime.clock import Clock
from services.wire.lifecycle import seconds_of, timestamp
from services.wire.records import unit_hash

FEEDBACK = frozenset({"inference", "admin"})
MAX_FEEDBACK = 1_000
_METRIC = re.compile(r"\A[A-Za-z0-9_.-]{1,64}\Z")
_FAILED = {"failed", "broken"}


class ExperimentServicer(experiment_service_pb2_grpc.ExperimentServiceServicer):
    """The service."""

    stub = ExperimentServiceStub

    def __init__(
        self,
        experiments: Experiments,
        decisions: Decisions,
        copies: Copies,
        authoriser: Authoriser,
        leader: Leader,
        clock: Clock,
    ) -> None:
        self.authoriser = authoriser
        self._experiments = experiments
        self._decisions = decisions
        self._copies = copies
        self.leader = leader
        self._clock = clock

    # From workers, as their policy streams: no key.
    @authorised(frozenset())
    @collected
    async def ReportOutcomes(self, request: pb.ReportOutcomesRequest, context: Context) -> pb.ReportOutcomesResponse:
        # A request without a unit is in no experiment.
        seen = [_seen(o) for o in request.outcomes if o.unit_hash]
        await asyncio.to_thread(self._experiments.evidence.add, seen)
        pairs = [pair_of(o) for o in request.outcomes if o.HasField("answered")]
        if pairs:
            await asyncio.to_thread(add_pairs, self._experiments.evidence, pairs)
        return pb.ReportOutcomesResponse(refused=await asyncio.to_thread(self._decisions.add, request.outcomes))

    # From other replicas: no key, as for workers. Nothing is in it that outcomes do not tell, and users are hashes.
    async def CopyEvidence(
        self, request: pb.CopyEvidenceRequest, context: Context
    ) -> AsyncIterator[pb.CopyEvidenceResponse]:
        del context
        async for rows in self._copies.since(request):
            yield rows

    @authorised(FEEDBACK)
    @collected
    async def SubmitFeedback(self, request: pb.SubmitFeedbackRequest, context: Context) -> pb.SubmitFeedbackResponse:
        if not 1 <= len(request.feedback) <= MAX_FEEDBACK:
            raise InvalidRequest(f"expected 1 to {MAX_FEEDBACK:,} observations", param="feedback")
        now = self._clock.wall()
        observed = [_observed(f, index, now, self._clock.seed()) for index, f in enumerate(request.feedback)]
        in_experiments = await asyncio.to_thread(self._experiments.evidence.observe, observed)
        learned = await asyncio.to_thread(self._decisions.observe, observed, self._decisions.metrics())
        counted = sum(map(max, in_experiments, learned))
        return pb.SubmitFeedbackResponse(counted=counted, unknown=len(observed) - counted)

    @authorised(READ)
    @collected
    async def ListExperiments(self, request: pb.ListExperimentsRequest, context: Context) -> pb.ListExperimentsResponse:
        infos = [await self._info(experiment) for experiment in await self._experiments.all()]
        return pb.ListExperimentsResponse(experiments=infos)

    @authorised(READ)
    @collected
    async def GetReport(self, request: pb.GetReportRequest, context: Context) -> pb.Report:
        experiment = await self._experiments.one(request.router_id, request.route_id)
        report = await self._experiments.report(
            experiment,
            control=request.control,
            since=seconds_of(request.since) if request.HasField("since") else 0.0,
            alpha=request.alpha or 0.05,
            fixed=request.fixed_horizon,
        )
        moved = await asyncio.to_thread(self._experiments.evidence.moved_units, experiment.name)
        message = _report(await self._info(experiment), report, moved)
        since = seconds_of(request.since) if request.HasField("since") else 0.0
        shadows = await asyncio.to_thread(shadow_data, self._experiments.evidence, experiment.name, since)
        alpha = request.alpha or 0.05
        message.shadows.extend(shadow_message(data, alpha=alpha, fixed=request.fixed_horizon) for data in shadows)
        return message

    async def _info(self, experiment: Experiment) -> pb.ExperimentInfo:
        counts = await asyncio.to_thread(self._experiments.evidence.counts, experiment.name, 0.0, 0.0)
        info = pb.ExperimentInfo(
            router_id=experiment.router,
            route_id=experiment.compiled.route_id,
            variants=experiment.variants,
            weights=[v.weight for v in experiment.compiled.variants],
            units=_total(counts.values(), "units"),
            requests=_total(counts.values(), "requests"),
        )
        if experiment.weights_since:
            info.weights_since.CopyFrom(timestamp(experiment.weights_since))
        return info


def _total(counts: Iterable[Counts], name: str) -> int:
    return sum(getattr(count, name) for count in counts)


def _seen(outcome: pb.Outcome) -> Seen:
    return Seen(
        id=outcome.generation_id,
        experiment=f"{outcome.router_id}/{outcome.route_id}",
        arm=outcome.variant_id,
        unit=outcome.unit_hash,
        at=seconds_of(outcome.at),
        failed=outcome.outcome in _FAILED,
        aborted=outcome.outcome == "cancelled",
        refused=outcome.finish_reason == "content_filter",
        repeated=outcome.repeated,
        failed_over=outcome.failed_over,
        cost=outcome.cost_usd if outcome.HasField("cost_usd") else None,
        ttft=outcome.time_to_first_token_ms if outcome.HasField("time_to_first_token_ms") else None,
        duration=outcome.duration_ms,
        output=outcome.output_tokens,
        invalid_json=outcome.invalid_json if outcome.HasField("invalid_json") else None,
    )


def _observed(feedback: pb.Feedback, index: int, now: float, seed: int) -> Observed:
    path = f"feedback[{index}]"
    if bool(feedback.generation_id) == bool(feedback.user):
        raise InvalidRequest(f"`{path}` needs either generation_id or user", param=path)
    if not _METRIC.match(feedback.metric):
        raise InvalidRequest(f"`{path}.metric` must be a name", param=f"{path}.metric")
    if not math.isfinite(feedback.value):
        raise InvalidRequest(f"`{path}.value` must be a number", param=f"{path}.value")
    return Observed(
        id=f"{seed & (1 << 64) - 1:016x}-{index}",
        metric=feedback.metric,
        value=feedback.value,
        at=seconds_of(feedback.at) if feedback.HasField("at") else now,
        request=feedback.generation_id,
        unit=unit_hash(feedback.user) if feedback.user else "",
    )


def _report(info: pb.ExperimentInfo, report: Report, moved: int) -> pb.Report:
    message = pb.Report(
        experiment=info,
        control=report.control,
        split_p=report.split_p,
        split_broken=report.split_broken,
        moved_units=moved,
        verdict=report.verdict,
    )
    specs = {c.spec.name: c.spec for c in report.comparisons}
    for arm in report.arms:
        metrics = {name: value_of(arm, spec) for name, spec in specs.items() if name in arm.sums}
        message.arms.add(
            variant_id=arm.variant,
            units=arm.units,
            requests=arm.requests,
            metrics={} if report.split_broken else metrics,
            p95_ttft_ms=arm.p95_ttft,
        )
    message.comparisons.extend(_comparison(c, broken=report.split_broken) for c in report.comparisons)
    return message


def _comparison(found: Comparison, *, broken: bool) -> pb.Comparison:
    message = pb.Comparison(
        variant_id=found.variant,
        metric=found.spec.name,
        role=found.spec.role,
        goal=found.spec.goal,
        p=found.p,
        verdict=found.verdict,
        detectable=found.detectable,
        explained=found.found.explained,
    )
    if broken:
        return message
    message.difference = found.found.value
    if found.found.relative is not None:
        message.relative = found.found.relative
    if _is_known(found.interval):
        message.low, message.high = found.interval.low, found.interval.high
    return message


def _is_known(interval: Interval) -> bool:
    return math.isfinite(interval.low) and math.isfinite(interval.high)
