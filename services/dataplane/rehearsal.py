"""Rehearsals: which attempts fail because policy says so, and that everybody is told.

Faults are policy, and policy can be written by mistake. So only workers that were started
with --allow-faults act on them; others ignore them, and say so once per policy in the log and
in the answers. An attempt under a fault is marked wherever it is shown.
"""

from __future__ import annotations

import logging
from dataclasses import replace

from services.core.errors import Failure
from services.core.policy.snapshot import Snapshot
from services.dataplane.trail import AttemptTrail, Trail
from services.dataplane.transport.faults import FaultyTransport, strikes
from services.dataplane.transport.port import Transport
from services.runtime.clock import Clock

log = logging.getLogger(__name__)

FAULT_HEADER = "x-turnout-fault"


class Rehearsals:
    """Chooses the transport of attempts whose provider has a fault. One per worker."""

    def __init__(self, clock: Clock, *, allowed: bool = False) -> None:
        self.allowed = allowed
        self._clock = clock
        self._told = ""

    def announce(self, snapshot: Snapshot) -> None:
        """Say, once per policy, that it has faults and what becomes of them."""
        found = ", ".join(sorted(name for name, p in snapshot.providers.items() if p.fault is not None))
        if not found or snapshot.version == self._told:
            return
        self._told = snapshot.version
        if self.allowed:
            log.warning("attempts at %s fail on purpose: the policy rehearses faults", found)
        else:
            log.warning("the faults of %s are ignored: this worker does not run with --allow-faults", found)

    def transport(self, real: Transport, request: Trail, attempt: AttemptTrail) -> Transport:
        """The transport of `attempt`: the real one, or one that fails; in that case both trails say so."""
        target = attempt.candidate.target
        rule, plan = target.provider.fault, request.plan
        if rule is None or plan is None or not strikes(rule, target.model, request.fault, plan.seed, attempt.number):
            return real
        if not self.allowed:
            told = f"the fault {rule.kind!r} of provider {target.provider.name!r} was ignored: faults are not allowed"
            if told not in request.warnings:
                request.warnings.append(told)
            return real
        attempt.fault = rule.kind
        told = f"attempt {attempt.number} at {target.model} ran under the fault {rule.kind!r}, injected by policy"
        request.warnings.append(told)
        return FaultyTransport(real, rule, self._clock)


def marked(failure: Failure, fault: str) -> Failure:
    """`failure` of an attempt under `fault`, so that nobody takes a rehearsal for the real thing."""
    return replace(failure, message=f"{failure.message} (under the fault {fault!r}, injected by policy)")
