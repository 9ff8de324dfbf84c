"""Workers that a command listens to: which ones there are, and what all of them say as they say it."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

import grpc
from turnout.policy.v1 import policy_service_pb2 as api

from services.cli.connection import Connection
from services.cli.output import Fail, err, escape
from services.cli.policy_commands import call

Message = TypeVar("Message")


def addresses_of(given: Sequence[str], connection: Connection) -> list[str]:
    """The workers that were named, or all that are connected.

    Raises:
        Fail: There is none.
    """
    nodes = () if given else call(connection, "ListNodes", api.ListNodesRequest()).nodes
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


class _Ended:
    """A worker's stream has ended."""

    def __init__(self, failure: str) -> None:
        self.failure = failure


def warn(told: str) -> None:
    """Say what went wrong beside what the command goes on with."""
    err.print(f"[yellow]warning:[/] {escape(told)}")


def why(error: Any) -> str:
    """Why a call failed."""
    return str(error.details() or error.code().name)
