"""`turnout up`: starts the whole suite, one real process per part, and stops it again."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import grpc
from turnout.policy.v1 import policy_service_pb2 as api
from turnout.policy.v1.policy_pb2 import Resource
from turnout.policy.v1.policy_service_pb2_grpc import PolicyServiceStub

from services.cli.output import Fail, err, escape, out
from services.cli.standalone.children import Child, ChildFailed, Children
from services.cli.standalone.etcd import EtcdMissing, etcd_child, etcd_ready
from services.cli.standalone.policy import SIMULATED, real_policy, real_providers, simulated_policy
from services.cli.standalone.probes import grpc_ready, http_ready
from services.core.errors import PolicyRejected
from services.core.policy.compile import DEFAULT_NAMESPACE
from services.runtime.keys import hash_key, new_key
from services.runtime.listening import CannotListen, check_listen, free_ports
from services.wire.document_form import read_form
from services.wire.status import from_rpc_error

START_SECONDS = 60.0
_ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Ctrl-C, a supervisor's word, and a terminal that is closed."""
KEY_NAME = "local"


@dataclass(frozen=True, slots=True)
class UpOptions:
    """What `turnout up` was asked for.

    Attributes:
        policy: Documents of files that were named; empty: a policy is made here.
        etcd: Endpoints of an etcd that runs already; empty: start one.
        simulated: True: simulated providers, even if there are keys.
        allow_faults: Workers act on the faults that policy injects: this is where people rehearse.
    """

    host: str
    port: int
    data_dir: Path
    policy: Sequence[Resource]
    etcd: str
    workers: int
    topology: str
    simulated: bool
    allow_faults: bool = True


@dataclass(slots=True)
class Suite:
    """What runs: children, addresses, and the key."""

    options: UpOptions
    children: Children
    api_key: str
    etcd: str = ""
    controlplane: str = ""
    workers: list[str] = field(default_factory=list)
    simulated: dict[str, int] = field(default_factory=dict)
    metrics: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://{self.options.host}:{self.options.port}"


def up(options: UpOptions) -> int:
    """Run the suite until a signal; the exit code."""
    options.data_dir.mkdir(parents=True, exist_ok=True)
    with _lock(options.data_dir):
        return asyncio.run(_up(options))


async def _up(options: UpOptions) -> int:
    stop = asyncio.Event()
    for number in _ENDS:
        # What is ignored from the start, as SIGHUP is under nohup, goes on being ignored.
        if signal.getsignal(number) is not signal.SIG_IGN:
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
    ready_file = options.data_dir / "ready.json"
    ready_file.unlink(missing_ok=True)
    suite = Suite(options, Children(_say), _key(options.data_dir))
    starting = asyncio.create_task(_start(suite))
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            starting.result()
            _write_ready(ready_file, suite)
            suite.children.restarted = partial(_write_ready, ready_file, suite)
            _banner(suite)
            await stop.wait()
    except (ChildFailed, EtcdMissing) as error:
        raise Fail(str(error)) from error
    finally:
        starting.cancel()
        stopping.cancel()
        await asyncio.gather(starting, stopping, return_exceptions=True)
        with contextlib.suppress(OSError):  # the terminal may be gone
            err.print("[dim]stopping[/]")
        ready_file.unlink(missing_ok=True)
        await suite.children.stop()
    return 0


async def _start(suite: Suite) -> None:
    try:
        check_listen(suite.options.host, suite.options.port)
    except CannotListen as error:
        raise Fail(f"{error}; choose another port with --port") from error
    await _start_etcd(suite)
    await _start_controlplane(suite)
    await _apply(suite, await _documents(suite))
    if suite.options.topology == "fused":
        await _start_fused(suite)
    else:
        await _start_workers(suite)
        await _start_bridge(suite)
    async with _waiting_for("the suite to be ready"):
        await http_ready(f"{suite.url}/readyz")


async def _start_etcd(suite: Suite) -> None:
    options = suite.options
    if options.etcd:
        suite.etcd = options.etcd
        return
    client, peer = free_ports(2)
    suite.etcd = f"127.0.0.1:{client}"
    async with _waiting_for("etcd"):
        await suite.children.start(etcd_child(options.data_dir, client, peer), lambda: etcd_ready(client))


async def _start_controlplane(suite: Suite) -> None:
    port, metrics = free_ports(2)
    suite.controlplane = f"127.0.0.1:{port}"
    suite.metrics["controlplane"] = f"http://127.0.0.1:{metrics}/metrics"
    arguments = ["--listen", suite.controlplane, "--etcd", suite.etcd, "--metrics-port", str(metrics)]
    arguments += ["--data-dir", str(suite.options.data_dir / "controlplane")]
    child = _service(suite, "controlplane", "services.controlplane", arguments)
    child.environment = {"TURNOUT_ADMIN_KEY": suite.api_key}
    async with _waiting_for("the control plane"):
        await suite.children.start(child, lambda: grpc_ready(suite.controlplane))


async def _start_workers(suite: Suite) -> None:
    for number, port in enumerate(free_ports(suite.options.workers), 1):
        address = f"127.0.0.1:{port}"
        suite.workers.append(address)
        (metrics,) = free_ports(1)
        suite.metrics[f"dataplane-{number}"] = f"http://127.0.0.1:{metrics}/metrics"
        arguments = [*_worker_arguments(suite, number, address), "--metrics-port", str(metrics)]
        child = _service(suite, f"dataplane-{number}", "services.dataplane", arguments)
        async with _waiting_for(f"data-plane worker {number}"):
            await suite.children.start(child, lambda address=address: grpc_ready(address))  # type: ignore[misc]


def _worker_arguments(suite: Suite, number: int, address: str) -> list[str]:
    return [
        *("--listen", address),
        *("--controlplane", suite.controlplane),
        *("--node-id", f"worker-{number}"),
        *("--data-dir", str(suite.options.data_dir / f"worker-{number}")),
        "--allow-faults" if suite.options.allow_faults else "--no-allow-faults",
    ]


async def _start_bridge(suite: Suite) -> None:
    options = suite.options
    arguments = [*("--host", options.host), *("--port", str(options.port))]
    arguments += [*("--dataplane", ",".join(suite.workers)), *("--controlplane", suite.controlplane)]
    child = _service(suite, "bridge", "services.http_bridge", arguments)
    async with _waiting_for("the HTTP bridge"):
        await suite.children.start(child, lambda: http_ready(f"{suite.url}/healthz"))
    suite.metrics["bridge"] = f"{suite.url}/metrics"


async def _start_fused(suite: Suite) -> None:
    options = suite.options
    (port,) = free_ports(1)
    address = f"127.0.0.1:{port}"
    suite.workers.append(address)
    arguments = _worker_arguments(suite, 1, address)
    arguments += [*("--host", options.host), *("--port", str(options.port))]
    child = _service(suite, "fused", "services.cli.standalone.fused", arguments)
    async with _waiting_for("the fused worker and bridge"):
        await suite.children.start(child, lambda: http_ready(f"{suite.url}/healthz"))
    suite.metrics["fused"] = f"{suite.url}/metrics"


def _service(suite: Suite, name: str, module: str, arguments: list[str]) -> Child:
    command = [sys.executable, "-m", module, *arguments]
    return Child(name, command, suite.options.data_dir / "logs" / f"{name}.log")


async def _documents(suite: Suite) -> list[Resource]:
    """The policy to start with; simulated providers are started if it needs them."""
    forms: list[dict[str, Any]] = []
    options = suite.options
    if not options.policy:
        found = [] if options.simulated else real_providers(os.environ)
        if found:
            forms = real_policy(found)
        else:
            await _start_simulated(suite)
            forms = simulated_policy(suite.simulated)
    forms.append(
        {"kind": "ApiKey", "name": KEY_NAME, "hash": hash_key(suite.api_key), "scopes": ["inference", "read", "admin"]}
    )
    resources = list(options.policy)
    for form in forms:
        resource, problems = read_form(form)
        assert resource is not None, problems
        resources.append(resource)
    return resources


async def _start_simulated(suite: Suite) -> None:
    for spec, port in zip(SIMULATED, free_ports(len(SIMULATED)), strict=True):
        suite.simulated[spec.name] = port
        command = [sys.executable, "-m", "services.cli.simulated", "--name", spec.name, "--wire", spec.wire]
        command += ["--port", str(port), "--fault", spec.fault]
        child = Child(spec.name, command, suite.options.data_dir / "logs" / f"{spec.name}.log")
        async with _waiting_for(f"the simulated provider {spec.name}"):
            url = f"http://127.0.0.1:{port}/_faults"
            await suite.children.start(child, lambda url=url: http_ready(url))  # type: ignore[misc]


async def _apply(suite: Suite, documents: list[Resource]) -> None:
    metadata = (("authorization", f"Bearer {suite.api_key}"),)
    async with grpc.aio.insecure_channel(suite.controlplane) as channel, _waiting_for("the policy"):
        stub: Any = PolicyServiceStub(channel)
        try:
            if not suite.options.policy:
                kept = await stub.ListResources(
                    api.ListResourcesRequest(kind="Router"), metadata=metadata, timeout=10.0
                )
                documents = _without_kept(documents, {r.router.name for r in kept.resources})
            await stub.Apply(api.ApplyRequest(resources=documents), metadata=metadata, timeout=10.0)
        except grpc.aio.AioRpcError as error:
            told = from_rpc_error(error)
            lines = [str(p) for p in told.problems] if isinstance(told, PolicyRejected) else [told.message]
            raise Fail("the policy was refused:\n" + "\n".join(lines), code=2) from error


def _without_kept(documents: list[Resource], routers: set[str]) -> list[Resource]:
    """Without the routers that the data folder has already: what somebody changed there outlives a restart."""
    return [d for d in documents if d.WhichOneof("document") != "router" or d.router.name not in routers]


@contextlib.asynccontextmanager
async def _waiting_for(what: str) -> AsyncIterator[None]:
    """Say what is being waited for, and give up with its name."""
    with err.status(f"waiting for {escape(what)}"):
        try:
            async with asyncio.timeout(START_SECONDS):
                yield
        except TimeoutError as error:
            raise Fail(f"{what} did not come up within {START_SECONDS:.0f} s; see the logs folder") from error
    err.print(f"[green]✓[/] {escape(what)}")


def _say(text: str) -> None:
    with contextlib.suppress(OSError):  # the terminal may be gone
        err.print(f"[yellow]![/] {escape(text)}")


@contextlib.contextmanager
def _lock(data_dir: Path) -> Any:
    """One suite per data folder."""
    with (data_dir / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise Fail(f"another 'turnout up' runs with the data folder {data_dir}") from error
        yield


def _key(data_dir: Path) -> str:
    """The key of this data folder, made at its first use; readable by its owner only."""
    path = data_dir / "api_key"
    with contextlib.suppress(FileNotFoundError):
        found = path.read_text(encoding="utf-8").strip()
        if found:
            return found
    key = new_key()
    path.touch(mode=0o600)
    path.write_text(key + "\n", encoding="utf-8")
    return key


def _write_ready(path: Path, suite: Suite) -> None:
    """Tell programs where everything is; written whole or not at all."""
    content = {
        "url": suite.url,
        "api_key": suite.api_key,
        "controlplane": suite.controlplane,
        "dataplane": suite.workers,
        "etcd": suite.etcd,
        "simulated": {name: f"http://127.0.0.1:{port}" for name, port in suite.simulated.items()},
        "metrics": suite.metrics,
        "topology": suite.options.topology,
        "pid": os.getpid(),
        "pids": suite.children.pids(),
    }
    fresh = path.with_suffix(".new")
    fresh.touch(mode=0o600)
    fresh.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    fresh.replace(path)


CURL = """\
curl {url}/v1/chat/completions \\
  -H "Authorization: Bearer {key}" -H "Content-Type: application/json" \\
  -d '{{"model": "{model}", "messages": [{{"role": "user", "content": "Hola"}}], "user": "user-42",
       "extra_body": {{"metadata": {{"language": "es", "plan": "pro"}}}}}}'"""


def _model_to_try(policy: Sequence[Resource]) -> str:
    """What the curl line asks for: a router of the policy, else a model of it; empty: it names neither."""
    if not policy:
        return f"{DEFAULT_NAMESPACE}/user-aware"
    named = [r.settings.namespace for r in policy if r.WhichOneof("document") == "settings"]
    namespace = next(filter(None, named), DEFAULT_NAMESPACE)
    routers = [f"{namespace}/{r.router.name}" for r in policy if r.WhichOneof("document") == "router"]
    models = [r.model.name for r in policy if r.WhichOneof("document") == "model"]
    return next(iter(routers + models), "")


def _banner(suite: Suite) -> None:
    key_file = suite.options.data_dir / "api_key"
    out.print(f"\n[bold green]Turnout is ready[/] at [bold]{suite.url}[/]   key: {suite.api_key}")
    out.print(f"[dim]control plane {suite.controlplane}, workers {', '.join(suite.workers)}, key in {key_file}[/]")
    if suite.simulated:
        why = "" if suite.options.simulated else "No provider key was found. "
        out.print(f"[yellow]{why}The providers are simulated, and say so in every answer.[/]")
        flaky = f"http://127.0.0.1:{suite.simulated['sim-flaky']}/_faults"
        out.print(f'[dim]sim-flaky fails on purpose; heal it: curl {flaky} -d \'{{"kind": "none"}}\'[/]')
    model = _model_to_try(suite.options.policy)
    if model:
        out.print("\nTry it:\n")
        out.print(escape(CURL.format(url=suite.url, key=suite.api_key, model=model)))
    # `make run` has no virtual environment in the PATH, and neither has the reader's other terminal.
    program = "turnout" if shutil.which("turnout") else sys.argv[0]
    out.print(f"\n[dim]{escape(program)} logs[/] shows each request with its attempts; Ctrl-C stops everything.")
    sys.stdout.flush()
