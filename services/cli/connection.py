"""Which suite a command talks to: flags, then the environment, then the `turnout up` of this folder."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import grpc
from cyclopts import Parameter

from services.cli.output import Fail
from services.runtime.grpc_channel import MAX_MESSAGE
from services.wire.status import from_rpc_error

TIMEOUT_SECONDS = 10.0
DEFAULT_DATA_DIR = Path(".turnout")


@Parameter(name="*")
@dataclass(frozen=True, slots=True, repr=False)
class Connection:
    """Where the suite is and who asks.

    Attributes:
        controlplane: gRPC address of the control plane, HOST:PORT.
        api_key: Key to present.
        data_dir: Data folder of a `turnout up`, whose ready.json fills in what is missing.
    """

    controlplane: Annotated[str, Parameter(env_var="TURNOUT_CONTROLPLANE")] = ""
    api_key: Annotated[str, Parameter(env_var="TURNOUT_API_KEY")] = ""
    data_dir: Annotated[Path, Parameter(env_var="TURNOUT_DATA_DIR")] = DEFAULT_DATA_DIR

    def ready(self) -> dict[str, object]:
        """What `turnout up` wrote when it was ready; empty when there is none."""
        try:
            found = json.loads((self.data_dir / "ready.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def address(self) -> str:
        """The control plane's address.

        Raises:
            Fail: None is known.
        """
        address = self.controlplane or str(self.ready().get("controlplane", ""))
        if not address:
            raise Fail(
                "no control plane is known: start one with 'turnout up' in this folder, or name it with "
                "--controlplane HOST:PORT or TURNOUT_CONTROLPLANE"
            )
        return address

    def metadata(self) -> tuple[tuple[str, str], ...]:
        """Call metadata with the key."""
        key = self.api_key or str(self.ready().get("api_key", ""))
        return (("authorization", f"Bearer {key}"),) if key else ()

    @contextmanager
    def channel(self, address: str = "") -> Iterator[grpc.Channel]:
        """A channel to the control plane, or to `address`."""
        options = [("grpc.max_receive_message_length", MAX_MESSAGE), ("grpc.enable_retries", 0)]
        channel = grpc.insecure_channel(address or self.address(), options=options)
        try:
            yield channel
        finally:
            channel.close()


def why(error: grpc.RpcError) -> str:
    """Why a call failed: the server's words, or few of gRPC's own."""
    call: Any = error
    code, details = call.code(), str(call.details() or "")
    if not call.trailing_metadata():
        # No server said this.
        if code is grpc.StatusCode.DEADLINE_EXCEEDED:
            return "no answer in time"
        if code is grpc.StatusCode.UNAVAILABLE and details:
            # "failed to connect to all addresses; last error: UNKNOWN: ipv4:…: Connection refused"
            return details.rpartition(": ")[2]
    return details or str(code.name)


@contextmanager
def rpc_errors(address: str) -> Iterator[None]:
    """Turn a failed call into a sentence for people.

    Raises:
        Fail: The call failed.
    """
    unheard = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}
    try:
        yield
    except grpc.RpcError as error:
        if error.code() in unheard and not error.trailing_metadata():
            raise Fail(f"cannot reach {address}: {why(error)}") from error
        failure = from_rpc_error(error)
        problems = getattr(failure, "problems", ())
        lines = [str(p) for p in problems] or [failure.message]
        raise Fail("\n".join(lines), code=2 if problems else 1) from error
