"""Addresses to listen on: tried before anything has started, and what is wrong with one said in a sentence."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from itertools import cycle, islice
from secrets import SystemRandom
from typing import Any

MAX_PORT = 65_535
_MOST_TRIED = 5_000


class CannotListen(OSError):
    """An address cannot be listened on. The message is a sentence for people."""


def check_address(address: str) -> None:
    """Make sure that a server can listen on `address`, HOST:PORT.

    Raises:
        CannotListen: It cannot.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise CannotListen(f"cannot listen on {address!r}: expected HOST:PORT")
    check_listen(host, int(port))


def check_listen(host: str, port: int) -> None:
    """Make sure that a server can listen on every address of `host`; port 0: on any port.

    Servers themselves tell no reason (gRPC), take a number for a port that is none, or are content
    with one address of a name's several.

    Raises:
        CannotListen: The port is taken or forbidden, or no address of the host is this machine's.
    """
    where = f"cannot listen on {host}:{port}"
    if not 0 <= port <= MAX_PORT:
        raise CannotListen(f"{where}: a port is a number from 0 to {MAX_PORT}")
    try:
        found = socket.getaddrinfo(host.strip("[]") or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise CannotListen(f"{where}: the host name cannot be resolved") from error
    tried = [_bind(family, address) for family, _, _, _, address in found]
    refused = [error for error in tried if error is not None]
    # A name may have an address of a family that this machine has switched off: one that works is enough then.
    worst = [e for e in refused if e.errno in {errno.EADDRINUSE, errno.EACCES}]
    if worst or len(refused) == len(found):
        why = (worst or refused)[0]
        raise CannotListen(f"{where}: {os.strerror(why.errno or 0).lower()}") from why


def _bind(family: int, address: Any) -> OSError | None:
    """Bind for a moment; what is wrong, if something is."""
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        return error
    return None


def free_ports(count: int, order: Iterator[int] | None = None) -> list[int]:
    """Ports of loopback that were free a moment ago.

    They lie below those that systems give to outgoing connections, of which one could take a port before its server
    does. No port is given twice before all of `order` were.

    Args:
        order: Where ports are taken from, endless; None: this process's own order.

    Raises:
        CannotListen: Of very many ports, not so many are free.
    """
    tried = islice(_OWN_ORDER if order is None else order, _MOST_TRIED)
    found = list(islice((port for port in tried if _bind(socket.AF_INET, ("127.0.0.1", port)) is None), count))
    if len(found) < count:
        raise CannotListen(f"cannot listen on 127.0.0.1: {len(found)} of {_MOST_TRIED:,} ports are free, not {count}")
    return found


def shuffled(ports: range) -> Iterator[int]:
    """All of `ports` in a random order, again and again."""
    return cycle(SystemRandom().sample(ports, len(ports)))


_OWN_ORDER = shuffled(range(26_000, 32_768))
