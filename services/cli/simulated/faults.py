"""Faults of a simulated provider: what to do wrong, and how many more times."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

MAX_SECONDS = 86_400
KINDS = ("none", "status", "hang", "slow", "cut", "stall")
"""none; an error status; no answer; a late first token; a stream cut short; a stream that stops moving."""


@dataclass(slots=True)
class Fault:
    """What to do wrong.

    Attributes:
        kind: One of `KINDS`.
        status: For `status`: the HTTP status.
        seconds: For `slow`: how late the first token is.
        after: For `cut` and `stall`: after how many content chunks.
        retry_after: For `status`: value of the Retry-After header, seconds; None: no header.
        times: For how many more requests; -1: until switched off.
    """

    kind: str = "none"
    status: int = 503
    seconds: float = 2.0
    after: int = 2
    retry_after: float | None = None
    times: int = -1


class FaultSwitch:
    """The present fault of one provider."""

    def __init__(self, fault: Fault) -> None:
        self._fault = fault

    def take(self) -> Fault:
        """The fault of the next request; counts it."""
        fault = self._fault
        if fault.kind == "none" or fault.times == 0:
            return Fault()
        if fault.times > 0:
            fault.times -= 1
        return fault

    def set(self, wanted: dict[str, Any]) -> dict[str, Any]:
        """Switch to `wanted` and return the new state.

        Raises:
            ValueError: Unknown field or kind, or a value of the wrong type.
        """
        unknown = set(wanted) - set(Fault.__slots__)
        if unknown:
            raise ValueError(f"unknown field {sorted(unknown)[0]!r}; known are {', '.join(Fault.__slots__)}")
        fault = Fault(**wanted)
        if fault.kind not in KINDS:
            raise ValueError(f"unknown kind {fault.kind!r}; known are {', '.join(KINDS)}")
        for name in ("status", "after", "times"):
            if not isinstance(getattr(fault, name), int):
                raise ValueError(f"{name} must be an integer")
        for name in ("seconds", "retry_after"):
            value = getattr(fault, name)
            if value is not None and not (isinstance(value, (int, float)) and 0 <= value <= MAX_SECONDS):
                raise ValueError(f"{name} must be a number of seconds, 0 to {MAX_SECONDS}")
        if not 400 <= fault.status <= 599:
            raise ValueError("status must be an error status, 400 to 599")
        self._fault = fault
        return self.state()

    def state(self) -> dict[str, Any]:
        """The present fault, for `GET /_faults`."""
        return asdict(self._fault)
