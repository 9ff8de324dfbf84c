"""`turnout health`: what is set aside, why, and until when, in plain words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC
from typing import Annotated

import grpc
from cyclopts import Parameter
from google.protobuf.timestamp_pb2 import Timestamp
from turnout.health.v1.health_pb2 import HealthEvent, TargetHealth, TargetState
from turnout.health.v1.health_service_pb2 import (
    ListTargetHealthRequest,
    ListTargetHealthResponse,
    WatchHealthRequest,
)
from turnout.health.v1.health_service_pb2_grpc import HealthServiceStub

from services.cli.connection import TIMEOUT_SECONDS, Connection, why
from services.cli.output import Fail, escape, out, show_json, show_table
from services.cli.policy_commands import DEFAULT_CONNECTION, Json
from services.cli.workers import addresses_of, follow_all, warn
from services.core.attempts.verdicts import TABLE
from services.core.errors import FailureKind

_CLOSED = TargetState.TARGET_STATE_CLOSED
_TOLD_FAILURES = 2
"""Failures in a row from which on a target is named although it is in use: a single one is nothing."""
_STATES: Mapping[TargetState.ValueType, str] = {
    _CLOSED: "in use",
    TargetState.TARGET_STATE_OPEN: "set aside",
    TargetState.TARGET_STATE_HALF_OPEN: "on trial",
    TargetState.TARGET_STATE_ASKED: "asked to wait",
    TargetState.TARGET_STATE_RESTING: "resting",
}


def health(
    *,
    follow: Annotated[bool, Parameter(help="go on with what changes", negative=())] = False,
    every: Annotated[bool, Parameter(name="--all", help="list every known target", negative=())] = False,
    dataplane: Annotated[tuple[str, ...], Parameter(help="workers' gRPC addresses; default: all connected ones")] = (),
    as_json: Json = False,
    connection: Connection = DEFAULT_CONNECTION,
) -> None:
    """Show which targets are set aside, why, and until when, as each worker sees it."""
    addresses = addresses_of(dataplane, connection)
    if follow:

        def watch(channel: grpc.Channel) -> Iterable[HealthEvent]:
            stub = HealthServiceStub(channel)
            events: Iterable[HealthEvent] = stub.WatchHealth(
                WatchHealthRequest(present=True), metadata=connection.metadata()
            )
            return events

        for event in follow_all(addresses, connection, watch):
            if as_json:
                show_json(event)
            else:
                out.print(event_line(event))
        return
    answers = _answers(addresses, connection)
    for answer in answers if as_json else ():
        show_json(answer)
    if not as_json:
        _show(answers, every=every)


def _answers(addresses: Sequence[str], connection: Connection) -> list[ListTargetHealthResponse]:
    """What every worker that can be reached says.

    Raises:
        Fail: None can be reached, or the key is not good for it.
    """
    answers, failures = [], []
    with ExitStack() as stack:
        # All at once: one that hangs costs its own time only.
        asked = [(address, _ask(stack.enter_context(connection.channel(address)), connection)) for address in addresses]
        for address, answer in asked:
            try:
                answers.append(answer.result())
            except grpc.RpcError as error:
                failures.append(f"{address}: {why(error)}")
    if not answers:
        raise Fail("\n".join(failures))
    for failure in failures:
        warn(failure)
    return answers


def _ask(channel: grpc.Channel, connection: Connection) -> grpc.Future[ListTargetHealthResponse]:
    ask = HealthServiceStub(channel).ListTargetHealth.future
    answer: grpc.Future[ListTargetHealthResponse] = ask(
        ListTargetHealthRequest(), timeout=TIMEOUT_SECONDS, metadata=connection.metadata()
    )
    return answer


def _show(answers: Sequence[ListTargetHealthResponse], *, every: bool) -> None:
    ill = failing = 0
    for answer in answers:
        for target in answer.targets:
            shut = target.state != _CLOSED or target.share < 1.0
            if shut or target.consecutive_failures >= _TOLD_FAILURES:
                ill, failing = ill + shut, failing + (not shut)
                out.print(f"{told(target)} [dim]({escape(answer.node_id)})[/]")
    if not ill:
        workers = f"{len(answers)} worker{'s' if len(answers) != 1 else ''}"
        out.print(f"{'' if failing else '[green]well[/]: '}nothing is set aside on {workers}")
    if every:
        columns = ("target", "worker", "state", "share", "failures", "in flight", "p50", "p95")
        rows = [_row(target, answer.node_id) for answer in answers for target in answer.targets]
        show_table(columns, rows, empty="no worker has seen any traffic yet")
        out.print("[dim]p50 and p95: time to first content of recent streams[/]")


def _row(target: TargetHealth, node_id: str) -> list[str]:
    p50 = f"{target.first_content_p50_ms:.0f} ms" if target.HasField("first_content_p50_ms") else ""
    p95 = f"{target.first_content_p95_ms:.0f} ms" if target.HasField("first_content_p95_ms") else ""
    numbers = [f"{target.share:.0%}", str(target.consecutive_failures), str(target.in_flight)]
    return [target.name, node_id, _STATES.get(target.state, "?"), *numbers, p50, p95]


def told(target: TargetHealth) -> str:
    """One sentence on a target that is not quite well, with markup."""
    because = f": {escape(reason(target))}" if target.why else ""
    until = f" until {_clock(target.until)}" if target.HasField("until") else ""
    name = _named(target)
    if target.state == TargetState.TARGET_STATE_OPEN:
        return f"[red]set aside[/] {name}{until}{because}"
    if target.state == TargetState.TARGET_STATE_ASKED:
        return f"[red]set aside[/] {name}{until}, as its provider asked{because}"
    if target.state == TargetState.TARGET_STATE_RESTING:
        return f"[yellow]resting[/]   {name}{until}{because}"
    if target.state == TargetState.TARGET_STATE_HALF_OPEN:
        return f"[yellow]on trial[/]  {name}: one attempt at a time shows whether it has recovered{because}"
    if target.share >= 1.0:
        return f"[yellow]failing[/]   {name}, and still in use{because}"
    return f"[yellow]reduced[/]   {name}: it takes {target.share:.0%} of its traffic{because}"


def reason(target: TargetHealth) -> str:
    """Why it is not well: what its last failure means, and how many there were."""
    told_why = target.why
    if target.why in FailureKind.__members__:
        meaning = TABLE[FailureKind(target.why)].meaning.rstrip(".")
        told_why = f"{meaning[:1].lower()}{meaning[1:]} ({target.why})"
    count = target.consecutive_failures
    return f"{told_why}, {count} failures in a row" if count > 1 else told_why


def event_line(event: HealthEvent) -> str:
    """One line on an event, with markup."""
    lost = f"[dim]({event.lost} events were lost) [/]" if event.lost else ""
    what = told(event.target) if event.set_aside else f"[green]back[/]      {_named(event.target)}"
    return f"{_clock(event.at)} {lost}{what} [dim]({escape(event.node_id)})[/]"


def _named(target: TargetHealth) -> str:
    if not target.model:
        return escape(f"the credential {target.credential} of {target.provider}")
    place = f" at {target.endpoint}" if target.endpoint else ""
    key = f" with {target.credential}" if target.credential else ""
    return escape(f"{target.model}{place}{key}")


def _clock(stamp: Timestamp) -> str:
    """The local time of day."""
    return stamp.ToDatetime(UTC).astimezone().strftime("%H:%M:%S")
