"""No request fails while parts of the control side come and go."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from turnout.policy.v1 import policy_service_pb2 as api
from turnout.policy.v1.policy_pb2 import Resource
from turnout.policy.v1.policy_service_pb2_grpc import PolicyServiceStub

from services.core.discovery.messages import documents_of
from services.wire.policy import to_resource
from tests.support.etcd import Etcd
from tests.support.inprocess import KEY, policy_set
from tests.support.llama import ROOT
from tests.support.ports import free_port
from tests.support.processes import running, stop, until
from tests.support.upstream import STREAM_END, STREAM_HEAD, chunk, openai_answer, openai_events, running_upstream, whole

pytestmark = pytest.mark.process

ENVIRONMENT = {"TURNOUT_ADMIN_KEY": KEY, "PYTHONPATH": f"{ROOT}:{ROOT / 'protos' / 'gen'}"}
STREAM = STREAM_HEAD + b"".join(chunk(f) for f in openai_events("a", "b", "c")) + STREAM_END


class Load:
    """Requests in a closed loop; keeps what went wrong."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.done = 0
        self.failures: list[str] = []
        self._stop = asyncio.Event()

    async def run(self) -> None:
        headers = {"authorization": f"Bearer {KEY}"}
        async with httpx.AsyncClient(base_url=self.url, headers=headers, trust_env=False, timeout=20) as client:
            while not self._stop.is_set():
                stream = self.done % 3 != 0
                body = {"model": "inworld/r", "stream": stream, "messages": [{"role": "user", "content": "x"}]}
                try:
                    answer = await client.post("/v1/chat/completions", json=body)
                except httpx.HTTPError as error:
                    self.failures.append(repr(error))
                    continue
                good = "[DONE]" in answer.text if stream else answer.status_code == 200
                if not good:
                    self.failures.append(f"{answer.status_code} {answer.text[:300]}")
                self.done += 1

    def stop(self) -> None:
        self._stop.set()


def serving(address: str) -> bool:
    with grpc.insecure_channel(address) as channel:
        try:
            grpc.channel_ready_future(channel).result(0.5)
        except grpc.FutureTimeoutError:
            return False
    return True


def ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=1, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def resources(upstream: str, label: str) -> list[Resource]:
    provider = {
        "kind": "Provider",
        "name": "up",
        "type": "openai_compatible",
        "base_url": upstream,
        "labels": {"n": label},
    }
    variant = {"weight": 100, "variant": {"variant_id": f"v{label}", "model_id": "up/m"}}
    router = {"kind": "Router", "name": "r", "default_route": {"route_id": "d", "variants": [variant]}}
    return [to_resource(d) for d in documents_of(policy_set(provider, router)).values()]


async def apply(address: str, documents: list[Resource]) -> None:
    metadata = (("authorization", f"Bearer {KEY}"),)
    async with grpc.aio.insecure_channel(address) as channel:
        stub: Any = PolicyServiceStub(channel)
        await stub.Apply(api.ApplyRequest(resources=documents), metadata=metadata, timeout=10)


def command(module: str, *flags: str) -> list[str]:
    return [sys.executable, "-m", f"services.{module}", *flags]


@pytest.mark.timeout(240)
async def test_no_request_fails_while_policy_storms_and_the_control_side_dies(tmp_path: Path, etcd: Etcd) -> None:
    ports = {name: free_port() for name in ("cp", "dp", "http")}
    cp, dp, url = f"127.0.0.1:{ports['cp']}", f"127.0.0.1:{ports['dp']}", f"http://127.0.0.1:{ports['http']}"
    control = command("controlplane", "--listen", cp, "--etcd", etcd.endpoint)
    worker = command("dataplane", "--listen", dp, "--controlplane", cp, "--data-dir", str(tmp_path / "w"))
    bridge = command("http_bridge", "--port", str(ports["http"]), "--dataplane", dp, "--controlplane", cp)
    async with running_upstream() as upstream:
        upstream.script([whole(200, openai_answer())])
        _answer_by_request(upstream)
        with (
            running(control, tmp_path / "cp.log", lambda: serving(cp), environment=ENVIRONMENT) as first,
            running(worker, tmp_path / "dp.log", lambda: serving(dp), environment=ENVIRONMENT) as dataplane,
            running(bridge, tmp_path / "http.log", lambda: _listens(url), environment=ENVIRONMENT),
        ):
            await apply(cp, resources(f"{upstream.url}/v1", "0"))
            await asyncio.to_thread(until, lambda: ready(url), 20)
            load = Load(url)
            tasks = [asyncio.create_task(load.run()) for _ in range(4)]
            await _storm(cp, upstream.url)
            first.send_signal(signal.SIGKILL)
            await asyncio.sleep(1.0)
            with running(control, tmp_path / "cp.log", lambda: serving(cp), environment=ENVIRONMENT):
                etcd.kill()
                await asyncio.sleep(1.0)
                await asyncio.to_thread(etcd.start)
                await asyncio.sleep(1.0)
            load.stop()
            await asyncio.gather(*tasks)
            assert not load.failures, load.failures[:3]
            assert load.done > 200
            # The control plane is gone for good now: a worker that starts serves from its disk.
            await asyncio.to_thread(stop, dataplane)
            with running(worker, tmp_path / "dp.log", lambda: serving(dp), environment=ENVIRONMENT):
                await asyncio.to_thread(until, lambda: ready(url), 20)
                last = Load(url)
                task = asyncio.create_task(last.run())
                await asyncio.to_thread(until, lambda: last.done > 20 or bool(last.failures), 20)
                last.stop()
                await task
                assert not last.failures, last.failures[:3]


async def _storm(cp: str, upstream: str, seconds: float = 8.0, per_second: int = 25) -> None:
    """Republish the policy at a steady pace."""
    loop = asyncio.get_running_loop()
    start = loop.time()
    for number in range(int(seconds * per_second)):
        await apply(cp, resources(f"{upstream}/v1", str(number + 1)))
        await asyncio.sleep(max(0.0, start + (number + 1) / per_second - loop.time()))


def _answer_by_request(upstream: Any) -> None:
    """Stream to those who ask for a stream."""

    async def play(script: Any, reader: Any, writer: Any) -> bool:
        del script, reader
        streamed = b'"stream":true' in upstream.journal[-1].body.replace(b" ", b"")
        writer.write(STREAM if streamed else whole(200, openai_answer()))
        await writer.drain()
        return True

    upstream._play = play


def _listens(url: str) -> bool:
    try:
        return httpx.get(f"{url}/healthz", timeout=1, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False
