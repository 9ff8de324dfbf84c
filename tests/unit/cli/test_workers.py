"""Listening to several workers: one that fails is told, and ends no other."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import grpc
import pytest
from turnout.policy.v1 import policy_service_pb2 as api

from services.cli import workers
from services.cli.connection import Connection
from services.cli.output import Fail
from services.cli.workers import addresses_of, follow_all


class Gone(grpc.RpcError):
    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.UNKNOWN

    def details(self) -> str:
        return "it is gone"

    def trailing_metadata(self) -> tuple[tuple[str, str], ...]:
        return ()


class Channels:
    """Stands for a connection whose channels are the workers' addresses."""

    @contextmanager
    def channel(self, address: str) -> Iterator[Any]:
        yield address


CONNECTION = cast("Connection", Channels())


def test_a_worker_that_fails_ends_no_other_and_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    warned = threading.Event()

    def stream(channel: Any) -> Iterator[str]:
        yield f"first of {channel}"
        if channel == "a:1":
            raise Gone
        warned.wait(5)
        yield f"second of {channel}"

    messages = follow_all(["a:1", "b:1"], CONNECTION, stream)
    seen = [next(messages), next(messages)]
    warned.set()
    with pytest.raises(Fail, match="a:1: it is gone"):
        seen.extend(messages)
    assert sorted(seen) == ["first of a:1", "first of b:1", "second of b:1"]


def test_streams_that_end_well_end_the_command_well() -> None:
    assert sorted(follow_all(["a:1", "b:1"], CONNECTION, lambda channel: [str(channel)])) == ["a:1", "b:1"]


def test_workers_that_are_not_connected_are_left_out_aloud(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    nodes = [api.Node(id="here", address="a:1", connected=True), api.Node(id="gone", address="b:1")]
    monkeypatch.setattr(workers, "call", lambda *_arguments: api.ListNodesResponse(nodes=nodes))
    assert addresses_of((), CONNECTION) == ["a:1"]
    assert "gone at b:1 is left out: it is not connected to the control plane" in capsys.readouterr().err


def test_workers_that_are_named_are_not_looked_up() -> None:
    assert addresses_of(("a:1",), CONNECTION) == ["a:1"]
