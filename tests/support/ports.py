"""A port that was free a moment ago, and that no other test process is given."""

from __future__ import annotations

import os

from services.runtime.listening import free_ports, shuffled

_FIRST, _EACH, _PROCESSES = 10_000, 2_000, 8
_NUMBER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _PROCESSES
_ORDER = shuffled(range(_FIRST + _NUMBER * _EACH, _FIRST + (_NUMBER + 1) * _EACH))


def free_port() -> int:
    (port,) = free_ports(1, _ORDER)
    return port
