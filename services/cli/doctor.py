"""`turnout doctor`: is everything here, does it run, and if not, what to do."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import httpx
from turnout.policy.v1 import policy_service_pb2 as api

from services.cli.connection import Connection
from services.cli.output import Fail, escape, out, show_json
from services.cli.policy_commands import DEFAULT_CONNECTION, Json, call
from services.cli.standalone.etcd import EtcdMissing, etcd_program
from services.cli.standalone.policy import REAL_PROVIDERS, real_providers
from services.cli.workers import SERVES, serving
from services.core.policy.documents import Settings
from services.runtime.version import VERSION

OK, WARN, BAD = "ok", "warning", "error"


@dataclass(frozen=True, slots=True)
class Finding:
    """One check's result and, where something is amiss, what to do."""

    name: str
    state: str
    told: str


def doctor(*, as_json: Json = False, connection: Connection = DEFAULT_CONNECTION) -> None:
    """Check this machine and the running suite."""
    findings = [finding for check in (_machine, _keys, _suite) for finding in check(connection)]
    if as_json:
        show_json([{"name": f.name, "state": f.state, "message": f.told} for f in findings])
    for finding in findings if not as_json else ():
        colour = {OK: "green", WARN: "yellow", BAD: "red"}[finding.state]
        out.print(f"[{colour}]{finding.state:<8}[/] {finding.name:<14} {escape(finding.told)}")
    if any(f.state == BAD for f in findings):
        raise SystemExit(1)


Check = Callable[[Connection], Iterator[Finding]]


def _machine(connection: Connection) -> Iterator[Finding]:
    del connection
    version = ".".join(map(str, sys.version_info[:3]))
    yield Finding("python", OK if sys.version_info >= (3, 11) else BAD, f"{version}, turnout {VERSION}")
    try:
        yield Finding("etcd", OK, etcd_program())
    except EtcdMissing as error:
        yield Finding("etcd", BAD, str(error))


def _keys(connection: Connection) -> Iterator[Finding]:
    del connection
    found = real_providers(os.environ)
    if found:
        yield Finding("provider keys", OK, ", ".join(p.variable for p in found))
    else:
        told = f"none is set, such as {REAL_PROVIDERS[0].variable}; all are listed in docs/policy.md (provider types)"
        yield Finding("provider keys", WARN, f"{told}; 'turnout up' uses simulated providers")


def _suite(connection: Connection) -> Iterator[Finding]:
    try:
        address = connection.address()
    except Fail as failure:
        yield Finding("suite", WARN, failure.message)
        return
    url = str(connection.ready().get("url", ""))
    if url:
        yield _bridge(url, connection)
    try:
        answer = call(connection, "ListNodes", api.ListNodesRequest())
    except Fail as failure:
        told = f"{failure.message}; requests go on, policy cannot be changed{_log(connection, 'controlplane')}"
        yield Finding("control plane", BAD, told)
        yield from _known_workers(connection)
        return
    yield Finding("control plane", OK, f"{address}, policy revision {answer.revision}")
    yield _store(connection)
    states = serving([node.address for node in answer.nodes])
    for node in answer.nodes:
        yield _worker(node, answer, states[node.address])
    if not answer.nodes:
        yield Finding("worker", BAD, "none is connected; start one with 'turnout dataplane'")


def _bridge(url: str, connection: Connection) -> Finding:
    try:
        answer = httpx.get(f"{url}/readyz", timeout=3.0, trust_env=False)
    except httpx.HTTPError as error:
        told = f"{url} cannot be reached: {type(error).__name__}{_log(connection, 'bridge')}"
        return Finding("bridge", BAD, told)
    return Finding("bridge", OK if answer.status_code == 200 else BAD, f"{url} says {answer.json().get('status')}")


def _store(connection: Connection) -> Finding:
    """Whether the control plane reaches etcd: it tells of workers without it, and of documents never."""
    try:
        call(connection, "ListResources", api.ListResourcesRequest(kind=Settings.__name__))
    except Fail as failure:
        told = f"{failure.message}; requests go on, policy cannot be changed{_log(connection, 'etcd')}"
        return Finding("store", BAD, told)
    return Finding("store", OK, "etcd answers")


def _known_workers(connection: Connection) -> Iterator[Finding]:
    """The workers of this folder's `turnout up`, as they say themselves: no control plane tells of them."""
    listed = connection.ready().get("dataplane")
    for address, state in serving(listed if isinstance(listed, list) else []).items():
        told = "serves by the policy that it has" if state == SERVES else f"does not serve: {state}"
        yield Finding("worker", OK if state == SERVES else BAD, f"{address} {told}")


def _worker(node: api.Node, policy: api.ListNodesResponse, state: str) -> Finding:
    """What is to be said of a worker that is asked itself, and known to the control plane."""
    name = f"{node.id} at {node.address}" if node.address else node.id
    if node.nack_problems:
        told = "; ".join(p.message for p in node.nack_problems)
        return Finding(
            "worker", BAD, f"{name} refused the policy: {told}; it serves by revision {node.applied_revision}"
        )
    if not node.connected:
        if state == SERVES:
            told = f"is cut off from the control plane, and serves by revision {node.applied_revision}"
            return Finding("worker", WARN, f"{name} {told}")
        return Finding("worker", WARN, f"{name} is gone: {state}; unless it was taken out, start it again")
    if state != SERVES:
        # Not an error: where workers have addresses of a cluster's own, nobody outside reaches them.
        told = f"{name} is connected, but does not serve who asks from here: {state}; see its log"
        return Finding("worker", WARN, told)
    if node.applied_version == policy.version:
        return Finding("worker", OK, f"{name} runs the current policy")
    if policy.canary_version and node.applied_version == policy.canary_version:
        return Finding("worker", OK, f"{name} runs the canary")
    told = f"{name} is behind: it runs revision {node.applied_revision}, the control plane has {policy.revision}"
    return Finding("worker", WARN, told)


def _log(connection: Connection, part: str) -> str:
    """Where a part of this folder's `turnout up` tells what happened to it; empty: it is not of this folder."""
    path = connection.data_dir / "logs" / f"{part}.log"
    return f"; see {path}" if path.is_file() else ""
