"""`turnout logs`: request records as they happen, with the attempt chain."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC
from typing import Annotated

import grpc
from cyclopts import Parameter
from turnout.record.v1.record_pb2 import AttemptRecord, RequestRecord
from turnout.record.v1.record_service_pb2 import FollowRecordsRequest
from turnout.record.v1.record_service_pb2_grpc import RecordServiceStub

from services.cli.connection import TIMEOUT_SECONDS, Connection
from services.cli.output import Fail, escape, out, show_json
from services.cli.policy_commands import DEFAULT_CONNECTION, Json
from services.cli.workers import addresses_of, follow_all

_USUAL_KINDS = ("", "first", "failover")
_COLOURS = {"ok": "green", "failed": "red", "broken": "red", "cancelled": "yellow", "refused": "yellow"}


def logs(
    *,
    tail: Annotated[int, Parameter(help="how many past records to show first")] = 10,
    follow: Annotated[bool, Parameter(help="go on with new ones")] = True,
    dataplane: Annotated[tuple[str, ...], Parameter(help="workers' gRPC addresses; default: all connected ones")] = (),
    as_json: Json = False,
    connection: Connection = DEFAULT_CONNECTION,
) -> None:
    """Follow request records with their attempt chain."""
    request = FollowRecordsRequest(tail=tail, no_follow=not follow)
    timeout = None if follow else TIMEOUT_SECONDS

    def records(channel: grpc.Channel) -> Iterable[RequestRecord]:
        stub = RecordServiceStub(channel)
        found: Iterable[RequestRecord] = stub.FollowRecords(request, timeout=timeout, metadata=connection.metadata())
        return found

    found = follow_all(addresses_of(dataplane, connection), connection, records)
    for record in found if follow else _in_order(found, tail):
        if as_json:
            show_json(record)
        else:
            _show(record)


def _in_order(found: Iterable[RequestRecord], tail: int) -> Iterator[RequestRecord]:
    """The last `tail` records of all workers, the oldest first; then the failure of workers that said nothing."""
    records: list[RequestRecord] = []
    failure: Fail | None = None
    try:
        records.extend(found)
    except Fail as error:
        failure = error
    records.sort(key=lambda record: record.started_at.ToNanoseconds())
    yield from records[-tail:] if tail else ()
    if failure is not None:
        raise failure


def _show(record: RequestRecord) -> None:
    at = record.started_at.ToDatetime(UTC).astimezone().strftime("%H:%M:%S.%f")[:-3]
    colour = _COLOURS.get(record.outcome, "default")
    line = f"{at} [{colour}]{record.outcome:<9}[/] {record.status}"
    line += f" {escape(record.requested_model)}" if record.requested_model else ""
    if record.router_id:
        line += f" [cyan]{escape(record.route_id)}/{escape(record.variant_id)}[/]"
    line += f" {record.duration_ms:.0f} ms"
    if record.HasField("time_to_first_token_ms"):
        line += f", first token {record.time_to_first_token_ms:.0f} ms"
    if record.HasField("time_to_first_audio_ms"):
        line += f", first sound {record.time_to_first_audio_ms:.0f} ms"
    if record.usage.input_tokens or record.usage.output_tokens:
        line += f", {record.usage.input_tokens}→{record.usage.output_tokens} tokens"
    for count, unit in (
        (record.usage.characters, "characters"),
        (record.usage.seconds, "s of sound"),
        (record.usage.images, "pictures"),
    ):
        line += f", {count:g} {unit}" if count else ""
    if record.usage.HasField("cost_usd"):
        line += f", ${record.usage.cost_usd:.6f}"
    if record.shadow_of:
        line += f", shadow of {escape(record.shadow_of)}"
    out.print(f"{line} [dim]{record.generation_id}[/]")
    for attempt in record.attempts:
        _show_attempt(attempt)
    if record.error_reason and not record.attempts:
        out.print(f"    [red]{escape(record.error_reason)}[/]")


def _show_attempt(attempt: AttemptRecord) -> None:
    lost = attempt.verdict == "lost"
    mark = "[green]✓[/]" if attempt.success else "[yellow]–[/]" if lost else "[red]✗[/]"
    kind = f" ({attempt.kind})" if attempt.kind not in _USUAL_KINDS else ""
    line = f"    {mark} {attempt.number}. {escape(attempt.model)}{kind} {attempt.duration_ms:.0f} ms"
    if lost:
        line += " [dim]cancelled[/]"
    if attempt.failure:
        clock = f", clock {attempt.clock}" if attempt.clock else ""
        line += f" [red]{attempt.failure}[/]{clock}: {escape(attempt.error_message)} [dim]→ {attempt.verdict}[/]"
    out.print(line)
