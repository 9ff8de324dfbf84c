"""`turnout logs`: request records as they happen, with the attempt chain."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from typing import Annotated, Any

import grpc
from cyclopts import Parameter
from turnout.policy.v1 import policy_service_pb2 as api
from turnout.record.v1.record_pb2 import AttemptRecord, RequestRecord
from turnout.record.v1.record_service_pb2 import FollowRecordsRequest
from turnout.record.v1.record_service_pb2_grpc import RecordServiceStub

from services.cli.connection import Connection
from services.cli.output import Fail, escape, out, show_json
from services.cli.policy_commands import DEFAULT_CONNECTION, Json, call

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
    addresses = list(dataplane) or _addresses(connection)
    if not addresses:
        raise Fail("no worker is connected")
    for record in _records(addresses, FollowRecordsRequest(tail=tail, no_follow=not follow), connection):
        if as_json:
            show_json(record)
        else:
            _show(record)


def _addresses(connection: Connection) -> list[str]:
    found = call(connection, "ListNodes", api.ListNodesRequest()).nodes
    return [n.address for n in found if n.connected]


def _records(addresses: list[str], request: FollowRecordsRequest, connection: Connection) -> Iterator[RequestRecord]:
    """Records of all workers, as they come; ends when all streams have ended."""
    arrived: queue.Queue[RequestRecord | Exception | None] = queue.Queue()

    def follow(address: str) -> None:
        try:
            with connection.channel(address) as channel:
                for record in RecordServiceStub(channel).FollowRecords(request, metadata=connection.metadata()):
                    arrived.put(record)
        except grpc.RpcError as error:
            arrived.put(Fail(f"{address}: {_why(error)}"))
        arrived.put(None)

    for address in addresses:
        threading.Thread(target=follow, args=(address,), daemon=True).start()
    running = len(addresses)
    while running:
        item = arrived.get()
        if item is None:
            running -= 1
        elif isinstance(item, Exception):
            raise item
        else:
            yield item


def _why(error: Any) -> str:
    return str(error.details() or error.code().name)


def _show(record: RequestRecord) -> None:
    at = record.started_at.ToDatetime().strftime("%H:%M:%S.%f")[:-3]
    colour = _COLOURS.get(record.outcome, "default")
    line = f"{at} [{colour}]{record.outcome:<9}[/] {record.status} {escape(record.requested_model)}"
    if record.router_id:
        line += f" [cyan]{escape(record.route_id)}/{escape(record.variant_id)}[/]"
    line += f" {record.duration_ms:.0f} ms"
    if record.HasField("time_to_first_token_ms"):
        line += f", first token {record.time_to_first_token_ms:.0f} ms"
    if record.usage.input_tokens or record.usage.output_tokens:
        line += f", {record.usage.input_tokens}→{record.usage.output_tokens} tokens"
    if record.usage.HasField("cost_usd"):
        line += f", ${record.usage.cost_usd:.6f}"
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
