"""A name server on loopback that answers A questions from a table, so that tests decide what a name means."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

_A = 1
_HEADER = struct.Struct("!6H")
_ANSWER = struct.Struct("!3HIH4s")
_ANSWERED, _NO_SUCH_NAME = 0x8580, 0x8583
_NAME_OF_THE_QUESTION = 0xC00C


class NameServer(asyncio.DatagramProtocol):
    """Serves `addresses`, name to IPv4 addresses; a name without any does not exist."""

    def __init__(self) -> None:
        self.addresses: dict[str, list[str]] = {}
        self._transport: Any = None

    @property
    def port(self) -> int:
        return int(self._transport.get_extra_info("sockname")[1])

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        name, end = _name(data)
        question = data[_HEADER.size : end + 4]
        found = self.addresses.get(name, [])
        wanted = found if struct.unpack_from("!H", data, end)[0] == _A else []
        header = _HEADER.pack(
            struct.unpack_from("!H", data)[0], _ANSWERED if found else _NO_SUCH_NAME, 1, len(wanted), 0, 0
        )
        answers = [
            _ANSWER.pack(_NAME_OF_THE_QUESTION, _A, 1, 1, 4, bytes(int(part) for part in address.split(".")))
            for address in wanted
        ]
        self._transport.sendto(header + question + b"".join(answers), addr)

    def close(self) -> None:
        self._transport.close()


def _name(data: bytes) -> tuple[str, int]:
    """The name that a message asks for, and where the rest of the question begins."""
    labels, at = [], _HEADER.size
    while length := data[at]:
        labels.append(data[at + 1 : at + 1 + length].decode())
        at += 1 + length
    return ".".join(labels).lower(), at + 1


@asynccontextmanager
async def running_name_server() -> AsyncIterator[NameServer]:
    loop = asyncio.get_running_loop()
    _, server = await loop.create_datagram_endpoint(NameServer, local_addr=("127.0.0.1", 0))
    try:
        yield server
    finally:
        server.close()
        # The socket closes one loop turn later.
        await asyncio.sleep(0)
