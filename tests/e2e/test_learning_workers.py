"""The whole loop with a real worker: requests over HTTP, feedback, a table, and better choices by kind of request."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiohttp import web

from services.core.discovery.messages import documents_of
from services.core.routing.learned.clusters import weights
from services.core.routing.learned.features import features
from services.runtime.kinds import shipped_kinds
from services.wire.policy import to_resource
from tests.e2e.test_chaos import ENVIRONMENT, apply, command, ready, serving
from tests.e2e.test_learning import GOOD, MODELS, Plane
from tests.support.etcd import Etcd
from tests.support.inprocess import KEY, policy_set
from tests.support.ports import free_port
from tests.support.processes import running

pytestmark = pytest.mark.process

PROMPTS = (
    "Solve for x: 3x + 7 = 22. Show the steps and give the number.",
    "Write a short poem about autumn leaves and a quiet river.",
)
"""Of two kinds."""
EXPLORE = 0.1


def policy(upstream: str) -> Any:
    learned = {"metric": "thumbs", "explore": EXPLORE}
    variant = {
        "variant_id": "v",
        "model_id": MODELS[0],
        "model_selection": {"models": [MODELS[1]], "learned": learned},
    }
    route = {"route_id": "d", "variants": [{"weight": 100, "variant": variant}]}
    providers = [
        {"kind": "Provider", "name": n, "type": "openai_compatible", "base_url": f"{upstream}/{n}"}
        for n in ("one", "two")
    ]
    router = {"kind": "Router", "name": "r", "default_route": route}
    return [to_resource(d) for d in documents_of(policy_set(*providers, router)).values()]


@asynccontextmanager
async def provider() -> AsyncIterator[str]:
    async def answer(request: web.Request) -> web.Response:
        del request
        choice = {"index": 0, "message": {"role": "assistant", "content": "so"}, "finish_reason": "stop"}
        body = {"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
        return web.json_response(body)

    app = web.Application()
    app.router.add_post("/{name}/chat/completions", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        await runner.cleanup()


@pytest.fixture
def plane(etcd: Etcd, tmp_path: Path) -> Iterator[Plane]:
    found = Plane(etcd, tmp_path)
    try:
        found.start()
        yield found
    finally:
        found.close()


class Caller:
    """Asks, and tells what answers were worth."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http
        self._number = 0

    async def ask(self, kind: int) -> tuple[str, str]:
        """A request of a kind: the model that served it, and its id."""
        self._number += 1
        text = f"{PROMPTS[kind]} ({self._number})"
        body = {"model": "inworld/r", "user": f"u{self._number}", "messages": [{"role": "user", "content": text}]}
        answered = await self._http.post("/v1/chat/completions", json=body)
        assert answered.status_code == 200, answered.text
        metadata = answered.json()["metadata"]
        return metadata["attempts"][-1]["model"], metadata["generation_id"]

    async def share(self, count: int = 40) -> float:
        """The smaller share of both kinds that the good model gets; feedback is given."""
        asked = [(kind, await self.ask(kind)) for _ in range(count) for kind in GOOD]
        rows = [
            {"generation_id": name, "metric": "thumbs", "value": model == GOOD[kind]} for kind, (model, name) in asked
        ]
        told = await self._http.post("/v1/feedback", json={"feedback": rows})
        # The control plane may be away, which is what some of it is about.
        assert told.status_code in {202, 429, 503}, told.text
        return min(sum(model == GOOD[kind] for k, (model, _) in asked if k == kind) / count for kind in GOOD)

    async def learned(self, least: float) -> None:
        """Return when the good model gets at least this share of both kinds."""
        async with asyncio.timeout(90):
            while await self.share() < least:
                pass

    async def report(self) -> Any:
        return (await self._http.get("/admin/v1/learned/r/d")).json()


def test_the_prompts_are_of_two_kinds() -> None:
    kinds = shipped_kinds()
    first, second = (weights(kinds.clusters, features(f"{prompt} (17)")) for prompt in PROMPTS)
    assert max(first, key=first.__getitem__) != max(second, key=second.__getitem__)


@pytest.mark.timeout(300)
async def test_a_worker_chooses_the_better_model_of_each_kind_and_goes_on_without_a_control_plane(
    plane: Plane, tmp_path: Path
) -> None:
    dp = f"127.0.0.1:{free_port()}"
    worker = command("dataplane", "--listen", dp, "--controlplane", plane.address, "--data-dir", str(tmp_path / "w"))
    bridge = command(
        "http_bridge", "--port", plane.url.rpartition(":")[2], "--dataplane", dp, "--controlplane", plane.address
    )
    headers = {"authorization": f"Bearer {KEY}"}
    async with (
        provider() as upstream,
        httpx.AsyncClient(base_url=plane.url, headers=headers, trust_env=False, timeout=20) as http,
    ):
        await apply(plane.address, policy(upstream))
        with (
            running(worker, tmp_path / "dp.log", lambda: serving(dp), environment=ENVIRONMENT),
            running(bridge, tmp_path / "http.log", lambda: ready(plane.url), environment=ENVIRONMENT),
        ):
            caller = Caller(http)
            await caller.learned(0.8)
            report = await caller.report()
            rewards = {model["model"]: model["reward"] for model in report["models"]}
            assert set(rewards) == set(MODELS)
            assert report["metric"] == "thumbs"

            await asyncio.to_thread(plane.kill)
            assert await caller.share() >= 0.7, "the worker goes on with its table"
            await asyncio.to_thread(plane.start)
            assert await caller.share() >= 0.7, "a control plane that knows nothing yet takes no table away"
            await caller.learned(0.8)
            again = await caller.report()
    assert int(again["table"]["decisions"]) >= int(report["table"]["decisions"])
    assert int(again["table"]["rewarded"]) > 0
