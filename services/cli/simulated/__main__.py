"""`python -m services.cli.simulated`: one simulated provider as a process."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys

from services.cli.simulated.faults import KINDS, Fault
from services.cli.simulated.server import TOKEN_SECONDS, WIRES, SimulatedProvider, serve


async def _run(arguments: argparse.Namespace) -> None:
    fault = Fault(kind=arguments.fault, status=arguments.status)
    provider = SimulatedProvider(arguments.name, arguments.wire, fault, arguments.token_seconds)
    runner = await serve(provider, arguments.host, arguments.port)
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    print(f"simulated provider {arguments.name} listens on {arguments.host}:{arguments.port}", flush=True)
    await stop.wait()
    await runner.cleanup()


def main() -> int:
    """Run until a signal."""
    parser = argparse.ArgumentParser(prog="simulated", description=__doc__)
    parser.add_argument("--name", required=True)
    parser.add_argument("--wire", choices=sorted(WIRES), required=True)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--fault", choices=KINDS, default="none", help="the fault to start with")
    parser.add_argument("--status", type=int, default=503, help="status of the fault 'status'")
    parser.add_argument("--token-seconds", type=float, default=TOKEN_SECONDS, help="pace of streams")
    asyncio.run(_run(parser.parse_args()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
