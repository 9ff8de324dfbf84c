"""The health tracker's cells as messages: names taken apart, monotonic instants as wall time.

Cells are named by `target_name` and `credential_name` (`core/routing/health.py`); this is the only place
that reads such a name. A model's own name may hold an "@", so the policy says what an endpoint is.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping

from google.protobuf.timestamp_pb2 import Timestamp
from turnout.health.v1.health_pb2 import TargetHealth, TargetState
from turnout.health.v1.health_service_pb2 import ListTargetHealthResponse

from services.core.errors import FailureKind
from services.core.policy.names import MINTED, STORED
from services.core.policy.snapshot import CompiledProvider
from services.core.routing.health import WHOLE, Speed, credential_name
from services.dataplane.health_tracker import CellReport, HealthTracker
from services.dataplane.policy_holder import PolicyHolder
from services.dataplane.tokens import Failing
from services.runtime.clock import Clock

_CREDENTIAL = re.compile(rf"#({STORED}|{MINTED})\Z")

STATES: Mapping[str, TargetState.ValueType] = {
    "closed": TargetState.TARGET_STATE_CLOSED,
    "open": TargetState.TARGET_STATE_OPEN,
    "half_open": TargetState.TARGET_STATE_HALF_OPEN,
    "asked": TargetState.TARGET_STATE_ASKED,
    "resting": TargetState.TARGET_STATE_RESTING,
}

_UNKNOWN = Speed()


def named(name: str, providers: Mapping[str, CompiledProvider]) -> TargetHealth:
    """A message that says what the cell `name` is about, and nothing else."""
    found = _CREDENTIAL.search(name)
    subject, credential = (name[: found.start()], found[1]) if found else (name, "")
    provider, slash, _ = subject.partition("/")
    health = TargetHealth(name=name, provider=provider, credential=credential)
    if not slash:
        return health
    health.model = subject
    compiled = providers.get(provider)
    for endpoint in compiled.endpoints if compiled is not None else ():
        if subject.endswith(f"@{endpoint.name}"):
            health.model, health.endpoint = subject.removesuffix(f"@{endpoint.name}"), endpoint.name
    return health


def timestamp(seconds: float) -> Timestamp:
    """Seconds since the Unix epoch as a message, in whole milliseconds: two clocks agree on no more."""
    stamp = Timestamp()
    stamp.FromMilliseconds(round(seconds * 1e3))
    return stamp


class HealthReports:
    """What this worker can say about the health of targets."""

    def __init__(
        self,
        node_id: str,
        policy: PolicyHolder,
        health: HealthTracker,
        clock: Clock,
        failing: Callable[[], Mapping[str, Failing]] = dict,
    ) -> None:
        """`failing`: the credentials whose secrets cannot be made now."""
        self.node_id = node_id
        self._failing = failing
        self._policy = policy
        self._health = health
        self._clock = clock

    def all(self) -> ListTargetHealthResponse:
        """Everything that is known, by name; what the policy does not name any more is left out."""
        now, speeds = self._clock.monotonic(), self._speeds()
        found = {report.name: self._target(report, speeds) for report in self._health.report(now)}
        models = {target.model for target in found.values()}
        for model in {name.removesuffix(WHOLE) for name in speeds} - models:
            found[model] = self._target(self._health.report_of(model, now), speeds)
        known = self._providers()
        found |= self._without_secret(known)
        targets = [found[name] for name in sorted(found) if found[name].provider in known]
        return ListTargetHealthResponse(node_id=self.node_id, targets=targets)

    def _without_secret(self, providers: Mapping[str, CompiledProvider]) -> Mapping[str, TargetHealth]:
        """The credentials that have no secret, as set aside until the next try."""
        failing = self._failing()
        found: dict[str, TargetHealth] = {}
        for provider in providers.values() if failing else ():
            for reference in {r for address in provider.addresses for r in address.credentials} & failing.keys():
                cell = named(credential_name(provider.name, reference), providers)
                cell.state, cell.why = STATES["open"], FailureKind.CREDENTIAL_MISSING.value
                cell.share, cell.consecutive_failures = 1.0, failing[reference].failures
                cell.until.CopyFrom(self._wall(failing[reference].until))
                found[cell.name] = cell
        return found

    def _wall(self, instant: float) -> Timestamp:
        return timestamp(self._clock.wall() + instant - self._clock.monotonic())

    def open_breakers(self) -> Mapping[str, int]:
        """How many breakers are open or half-open, by provider of the policy."""
        known = self._providers()
        reports = self._health.report(self._clock.monotonic())
        providers = (named(report.name, known).provider for report in reports if report.is_open)
        return Counter(provider for provider in providers if provider in known)

    def one(self, name: str) -> tuple[TargetHealth, float]:
        """One target or credential, and the monotonic instant until which it is set aside; 0.0: it is not."""
        report = self._health.report_of(name, self._clock.monotonic())
        return self._target(report, self._speeds()), report.until

    def _target(self, report: CellReport, speeds: Mapping[str, Speed]) -> TargetHealth:
        target = named(report.name, self._providers())
        target.state = STATES[report.state]
        target.why = report.why
        target.share = report.share
        target.consecutive_failures = report.consecutive
        target.in_flight = report.in_flight
        if report.until:
            target.until.CopyFrom(self._wall(report.until))
        speed = speeds.get(target.model, _UNKNOWN)
        if speed.samples:
            target.first_content_p50_ms = speed.percentile(0.5) * 1000.0
            target.first_content_p95_ms = speed.percentile(0.95) * 1000.0
        return target

    def _providers(self) -> Mapping[str, CompiledProvider]:
        snapshot = self._policy.current()
        return snapshot.providers if snapshot is not None else {}

    def _speeds(self) -> Mapping[str, Speed]:
        return self._health.view(self._clock.monotonic()).speeds
