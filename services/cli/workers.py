"""Workers that a command listens to: which ones there are, and what all of them say as they say it."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from typing import TypeVar

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from turnout.policy.v1 import policy_service_pb2 as api

from services.cli.connection import Connection, why
from services.cli.output import Fail, err, escape
from services.cli.policy_commands import call

_ASK_SECONDS = 3.0
Message = TypeVar("Message")


def addresses_of(given: Sequence[str], connection: Connection) -> list[str]:
    """The workers that were named, or all that are connected; of others it is said that they are left out.

    Raises:
        Fail: There is none.
    """
    nodes = () if given else call(connection, "ListNodes", api.ListNodesRequest()).nodes
    for node in nodes:
        if not node.connected:
            warn(f"{node.id} at {node.address} is left out: it is not connected to the control plane")
    addresses = list(given) or [node.address for node in nodes if node.connected]
    if not addresses:
        raise Fail("no worker is connected")
    return addresses


def follow_all(
    addresses: Sequence[str], connection: Connection, stream: Callable[[grpc.Channel], Iterable[Message]]
) -> Iterator[Message]:
    """Messages of all workers, as they come; ends when all streams have ended. One that fails ends no other.

    Raises:
        Fail: A stream failed; when all have ended.
    """
    arrived: queue.Queue[Message | _Ended] = queue.Queue()

    def follow(address: str) -> None:
        try:
            with connection.channel(address) as channel:
                for message in stream(channel):
                    arrived.put(message)
        except grpc.RpcError as error:
            arrived.put(_Ended(f"{address}: {why(error)}"))
        else:
            arrived.put(_Ended(""))

    for address in addresses:
        threading.Thread(target=follow, args=(address,), daemon=True).start()
    running = len(addresses)
    failures = []
    while running:
        item = arrived.get()
        if not isinstance(item, _Ended):
            yield item
            continue
        running -= 1
        if item.failure:
            failures.append(item.failure)
            if running:
                warn(item.failure)
    if failures:
        raise Fail("\n".join(failures))


SERVES = "it serves"


def serving(addresses: Sequence[str]) -> dict[str, str]:
    """What each worker says when it is asked whether it serves: `SERVES`, or why not. All are asked at once."""
    states = {}
    with ExitStack() as stack:
        asked = []
        for address in addresses:
            channel = stack.enter_context(grpc.insecure_channel(address, options=[("grpc.enable_retries", 0)]))
            check = health_pb2_grpc.HealthStub(channel).Check
            asked.append((address, check.future(health_pb2.HealthCheckRequest(), timeout=_ASK_SECONDS)))
        for address, answer in asked:
            try:
                serves = answer.result().status == health_pb2.HealthCheckResponse.SERVING
            except grpc.RpcError as error:
                states[address] = why(error)
            else:
                states[address] = SERVES if serves else "it is about to stop, or has no policy yet"
    return states


class _Ended:
    """A worker's stream has ended."""

    def __init__(self, failure: str) -> None:
        self.failure = failure


def warn(told: str) -> None:
    """Say what went wrong beside what the command goes on with."""
    err.print(f"[yellow]warning:[/] {escape(told)}")
