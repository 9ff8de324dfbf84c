"""The `turnout` command."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

from services.cli import lifecycle_commands, policy_commands
from services.cli.backtest import backtest
from services.cli.catalogue import catalogue
from services.cli.connection import DEFAULT_DATA_DIR
from services.cli.doctor import doctor
from services.cli.experiments import experiments
from services.cli.health import health
from services.cli.keys import keys
from services.cli.learn import learn
from services.cli.logs import logs
from services.cli.models import models
from services.cli.output import Fail, show_failure
from services.cli.policy_commands import read_files
from services.cli.ramp import ramp
from services.runtime.version import VERSION

app = App(name="turnout", help="An open LLM router: policy, failover and evidence.", version=VERSION)

for command in ("apply", "validate", "diff", "get", "delete", "simulate", "nodes"):
    app.command(getattr(policy_commands, command), name=command)
for command in ("history", "rollback"):
    app.command(getattr(lifecycle_commands, command), name=command)
app.command(ramp)
app.command(backtest)
app.command(experiments)
app.command(learn)
app.command(lifecycle_commands.draft)
app.command(lifecycle_commands.canary)
app.command(logs)
app.command(health)
app.command(models)
app.command(doctor)
app.command(keys)
app.command(catalogue)


@app.command
def up(  # noqa: PLR0913 - one parameter per flag
    *,
    port: Annotated[int, Parameter(env_var="TURNOUT_PORT")] = 8080,
    host: str = "127.0.0.1",
    data_dir: Annotated[Path, Parameter(env_var="TURNOUT_DATA_DIR")] = DEFAULT_DATA_DIR,
    policy: Annotated[tuple[Path, ...], Parameter(help="policy file or folder; default: made from provider keys")] = (),
    etcd: Annotated[str, Parameter(help="HOST:PORT of an etcd that runs already, comma-separated")] = "",
    workers: int = 1,
    topology: Literal["grpc", "fused"] = "grpc",
    simulated: Annotated[bool, Parameter(help="simulated providers even if there are keys", negative=())] = False,
    allow_faults: Annotated[
        bool, Parameter(env_var="TURNOUT_ALLOW_FAULTS", help="let the faults of the policy happen, for rehearsals")
    ] = True,
) -> int:
    """Start the whole suite on this machine; Ctrl-C stops it.

    Args:
        port: Port of the HTTP bridge.
        host: Address that the HTTP bridge listens on.
        data_dir: Folder of what is kept: etcd's data, logs, the key, and `ready.json` while the suite runs.
        workers: How many data-plane workers to start.
        topology: grpc: bridge and workers are processes of their own; fused: one of each in one process.
    """
    from services.cli.standalone.up import UpOptions
    from services.cli.standalone.up import up as start

    if workers < 1 or (topology == "fused" and workers != 1):
        raise Fail("--workers: expected at least 1, and exactly 1 with --topology fused", code=2)
    documents = read_files(policy) if policy else []
    return start(UpOptions(host, port, data_dir, documents, etcd, workers, topology, simulated, allow_faults))


def _service(module: str) -> int:
    """Run a service with the rest of the command line as its flags."""
    from importlib import import_module

    return int(import_module(f"services.{module}.__main__").main(sys.argv[2:]))


_SERVICES = {"controlplane": "controlplane", "dataplane": "dataplane", "bridge": "http_bridge"}


@app.command(help_flags=[])
def controlplane(*flags: Annotated[str, Parameter(allow_leading_hyphen=True)]) -> int:
    """Run a replica of the control plane (--help lists its flags)."""
    del flags
    return _service(_SERVICES["controlplane"])


@app.command(help_flags=[])
def dataplane(*flags: Annotated[str, Parameter(allow_leading_hyphen=True)]) -> int:
    """Run a data-plane worker (--help lists its flags)."""
    del flags
    return _service(_SERVICES["dataplane"])


@app.command(help_flags=[])
def bridge(*flags: Annotated[str, Parameter(allow_leading_hyphen=True)]) -> int:
    """Run an HTTP bridge (--help lists its flags)."""
    del flags
    return _service(_SERVICES["bridge"])


def run() -> int:
    """Run the command line; failures are sentences, not tracebacks."""
    try:
        result = app(result_action="return_value")
    except Fail as failure:
        show_failure(failure)
        return failure.code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return 0
    return result if isinstance(result, int) else 0
