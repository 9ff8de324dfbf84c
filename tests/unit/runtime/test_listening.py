"""Addresses that cannot be listened on are told in one sentence."""

from __future__ import annotations

import socket
from itertools import cycle

import pytest

from services.runtime.listening import CannotListen, check_address, check_listen, free_ports


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0"])
def test_a_port_that_is_taken_is_told(host: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(CannotListen) as caught:
            check_address(f"{host}:{port}")
    assert str(caught.value) == f"cannot listen on {host}:{port}: address already in use"
    # And the moment it is free, it is fine; nothing is left bound.
    check_address(f"{host}:{port}")
    check_address(f"{host}:{port}")


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("7001", "cannot listen on '7001': expected HOST:PORT"),
        (":7001", "cannot listen on ':7001': expected HOST:PORT"),
        ("localhost:http", "cannot listen on 'localhost:http': expected HOST:PORT"),
        ("127.0.0.1:65536", "cannot listen on 127.0.0.1:65536: a port is a number from 0 to 65535"),
        ("no-such-host.invalid:1", "cannot listen on no-such-host.invalid:1: the host name cannot be resolved"),
        ("203.0.113.1:8080", "cannot listen on 203.0.113.1:8080: cannot assign requested address"),
    ],
)
def test_an_address_that_is_none_of_ours_is_told(address: str, told: str) -> None:
    with pytest.raises(CannotListen) as caught:
        check_address(address)
    assert str(caught.value) == told


def test_a_negative_port_is_none() -> None:
    with pytest.raises(CannotListen, match="from 0 to 65535"):
        check_listen("127.0.0.1", -1)


@pytest.mark.parametrize("address", ["127.0.0.1:0", "localhost:0"])
def test_any_port_will_do(address: str) -> None:
    check_address(address)


def test_ports_that_are_all_taken_are_told_and_not_tried_for_ever() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(CannotListen, match=r"0 of .* ports are free"):
        free_ports(1, cycle([taken.getsockname()[1]]))
