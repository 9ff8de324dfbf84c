"""A port that was free a moment ago."""

from __future__ import annotations

from services.runtime.listening import free_ports


def free_port() -> int:
    (port,) = free_ports(1)
    return port
