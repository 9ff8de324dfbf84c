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
        names = ", ".join(p.variable for p in REAL_PROVIDERS)
        yield Finding("provider keys", WARN, f"none of {names} is set; 'turnout up' uses simulated providers")


def _suite(connection: Connection) -> Iterator[Finding]:
    try:
        address = connection.address()
    except Fail as failure:
        yield Finding("suite", WARN, failure.message)
        return
    url = str(connection.ready().get("url", ""))
    if url:
        yield _ready(url)
    try:
        answer = call(connection, "ListNodes", api.ListNodesRequest())
    except Fail as failure:
        yield Finding("control plane", BAD, failure.message)
        return
    yield Finding("control plane", OK, f"{address}, policy revision {answer.revision}")
    for node in answer.nodes:
        if node.nack_problems:
            told = "; ".join(p.message for p in node.nack_problems)
            yield Finding("worker", BAD, f"{node.id} refused the policy: {told}")
        elif node.connected and node.applied_version == answer.version:
            yield Finding("worker", OK, f"{node.id} at {node.address} runs the current policy")
        else:
            yield Finding("worker", WARN, f"{node.id} is {'behind' if node.connected else 'not connected'}")
    if not answer.nodes:
        yield Finding("worker", BAD, "none is connected; start one with 'turnout dataplane'")


def _ready(url: str) -> Finding:
    try:
        answer = httpx.get(f"{url}/readyz", timeout=3.0, trust_env=False)
    except httpx.HTTPError as error:
        return Finding("bridge", BAD, f"{url} cannot be reached: {type(error).__name__}")
    return Finding("bridge", OK if answer.status_code == 200 else BAD, f"{url} says {answer.json().get('status')}")
