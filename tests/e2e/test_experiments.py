"""An experiment from its requests to its report, over real gRPC and HTTP: control plane, worker, bridge, a provider."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry

from services.controlplane.app import ControlPlane, ControlPlaneSettings
from services.controlplane.evidence.store import Seen
from services.controlplane.policy import Note, PolicyAdmin, Write
from services.controlplane.store.etcd import EtcdOptions
from services.controlplane.store.memory import MemoryStore
from services.core.policy.documents import Router
from services.dataplane.app import Worker, WorkerSettings
from services.http_bridge.app import BridgeSettings, start_bridge
from services.runtime.catalogue.shipped import ShippedCatalogue
from services.runtime.clock import SystemClock
from services.runtime.conditions import CelCompiler
from services.runtime.grpc_channel import open_channel
from services.runtime.keys import hash_key
from services.runtime.metrics import Metrics
from services.runtime.supervise import Background, Stop
from services.wire.document_form import read_form
from services.wire.policy import to_document
from tests.support.inprocess import eventually
from tests.support.ports import free_port

KEY = "to-test-key"
SHARES = {"a": 100, "b": 0}
ROUTER = {
    "kind": "Router",
    "name": "split",
    "default_route": {
        "route_id": "main",
        "experiment": {"metrics": [{"name": "thumbs", "role": "primary"}]},
        "variants": [
            {"weight": 50, "variant": {"variant_id": "a", "model_id": "good/m"}},
            {"weight": 50, "variant": {"variant_id": "b", "model_id": "bad/m"}},
        ],
    },
}


async def answer(request: web.Request) -> web.Response:
    if request.path.startswith("/bad") and (await request.json())["messages"][0]["content"] == "fail":
        return web.json_response({"error": {"message": "no"}}, status=500)
    good = request.path.startswith("/good")
    message = {"role": "assistant", "content": '{"hello": true}' if good else "Sure! {}"}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
    return web.json_response(
        {"id": "x", "object": "chat.completion", "created": 1, "choices": [choice], "usage": usage}
    )


@asynccontextmanager
async def provider() -> AsyncIterator[int]:
    app = web.Application()
    app.router.add_post("/{name}/chat/completions", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    yield port
    await runner.cleanup()


@dataclass
class Suite:
    http: httpx.AsyncClient
    plane: ControlPlane
    admin: PolicyAdmin
    store: MemoryStore

    async def ask(self, user: str, text: str = "hi", **more: Any) -> Any:
        body = {"model": "inworld/split", "user": user, "messages": [{"role": "user", "content": text}], **more}
        return await self.http.post("/v1/chat/completions", json=body)

    async def report(self, **query: str) -> Any:
        found = await self.http.get("/admin/v1/experiments/split/main", params=query)
        assert found.status_code == 200, found.text
        return found.json()

    async def seen(self, requests: int) -> Any:
        """The report, once so many requests are in it."""
        async with asyncio.timeout(30):
            while True:
                found = await self.report()
                if sum(int(arm["requests"]) for arm in found["arms"]) >= requests:
                    return found
                await asyncio.sleep(0.05)


async def put(admin: PolicyAdmin, *forms: dict[str, Any]) -> None:
    writes = []
    for form in forms:
        resource, problems = read_form(form)
        assert resource is not None, problems
        writes.append(Write(to_document(resource)))
    await admin.apply(writes, note=Note("somebody", "", time.time()))


def plane_over(store: MemoryStore, port: int, replica: str, folder: Path | None = None) -> ControlPlane:
    settings = ControlPlaneSettings(
        EtcdOptions(()), f"127.0.0.1:{port}", admin_key="to-admin", replica=replica, data_dir=folder
    )
    return ControlPlane(store, settings, SystemClock())


@pytest.fixture
async def suite(tmp_path: Path) -> AsyncIterator[Suite]:
    store, ports = MemoryStore(), (free_port(), free_port())
    admin = PolicyAdmin(store, CelCompiler(), ShippedCatalogue())
    async with AsyncExitStack() as stack:
        upstream = await stack.enter_async_context(provider())
        await put(
            admin,
            *(
                {
                    "kind": "Provider",
                    "name": n,
                    "type": "openai_compatible",
                    "base_url": f"http://127.0.0.1:{upstream}/{n}",
                }
                for n in ("good", "bad")
            ),
            {"kind": "Model", "name": "good/m", "prices": {"input_per_million": 1.0, "output_per_million": 1.0}},
            ROUTER,
            {"kind": "ApiKey", "name": "k", "hash": hash_key(KEY), "scopes": ["inference", "read"]},
        )
        background = Background(Stop())
        # Two replicas: the worker reports to the second one, which does not collect and hands on.
        planes = [plane_over(store, port, f"replica-{port}", tmp_path) for port in ports]
        for plane in planes:
            server = await plane.start(background)
            await plane.leader.claim()
            stack.push_async_callback(plane.stop, server, background)
        assert planes[0].leader.is_mine
        assert not planes[1].leader.is_mine
        settings = WorkerSettings(
            "w", (f"127.0.0.1:{ports[1]}",), tmp_path / "w", "127.0.0.1:0", "", grace=0.1, environment={}
        )
        metrics = Metrics(CollectorRegistry())
        worker = Worker(settings, metrics)
        worker_server = await worker.start(background)
        await worker._ready.wait()
        channel = await stack.enter_async_context(open_channel(f"127.0.0.1:{ports[1]}"))
        bridge = await start_bridge(BridgeSettings(port=0, environment={}), worker.local, channel, metrics)
        headers = {"authorization": f"Bearer {KEY}"}
        client = httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{bridge.port}", headers=headers, trust_env=False, timeout=30
        )
        http = await stack.enter_async_context(client)
        yield Suite(http, planes[0], admin, store)
        await bridge.stop(0.0, 1.0)
        await worker.stop(worker_server, background)


async def test_an_experiment_is_listed_reported_and_fed(suite: Suite) -> None:
    listed = (await suite.http.get("/admin/v1/experiments")).json()["experiments"]
    assert [(e["router_id"], e["route_id"], e["variants"]) for e in listed] == [("split", "main", ["a", "b"])]
    answers = {user: (await suite.ask(user)).json() for user in (f"user-{n}" for n in range(12))}
    await suite.ask("user-0")
    variants = {user: a["metadata"]["variant_id"] for user, a in answers.items()}
    report = await suite.seen(13)
    units = {arm["variant_id"]: int(arm["units"]) for arm in report["arms"]}
    assert units == {v: list(variants.values()).count(v) for v in ("a", "b")}
    assert report["control"] == "a"
    assert report["split_broken"] is False

    liked = {"generation_id": answers["user-0"]["metadata"]["generation_id"], "metric": "thumbs", "value": True}
    rows = [
        liked,
        {"user": "user-1", "metric": "revenue", "value": 3},
        {"user": "nobody", "metric": "revenue", "value": 1},
    ]
    told = await suite.http.post("/v1/feedback", json={"feedback": rows})
    assert (told.status_code, told.json()) == (202, {"counted": 2, "unknown": 1})
    report = await suite.report()
    found = {arm["variant_id"]: arm["metrics"] for arm in report["arms"]}
    assert found[variants["user-0"]].get("thumbs") == 1.0
    assert found[variants["user-1"]].get("revenue") == 3.0
    assert found["a"].get("cost_per_request", 15e-6) == pytest.approx(15e-6)


async def test_failures_and_repetitions_are_seen(suite: Suite) -> None:
    users = [f"user-{n}" for n in range(20)]
    for user in users:
        await suite.ask(user, "fail")
        await suite.ask(user, "fail")
    report = await suite.seen(40)
    metrics = {arm["variant_id"]: arm["metrics"] for arm in report["arms"]}
    assert metrics["b"]["error_rate"] == 1.0
    assert metrics["a"]["error_rate"] == 0.0
    assert metrics["a"]["repeat_rate"] == pytest.approx(0.5)


async def test_answers_that_were_to_be_json_and_are_none_count_against_their_variant(suite: Suite) -> None:
    for n in range(20):
        await suite.ask(f"user-{n}")
    report = await suite.seen(20)
    assert {c["metric"] for c in report["comparisons"]}.isdisjoint({"invalid_json_rate"}), "nobody asked for JSON"
    for n in range(40):
        assert (await suite.ask(f"user-{n}", response_format={"type": "json_object"})).status_code == 200
    report = await suite.seen(60)
    metrics = {arm["variant_id"]: arm["metrics"] for arm in report["arms"]}
    assert (metrics["a"]["invalid_json_rate"], metrics["b"]["invalid_json_rate"]) == (0.0, 1.0)
    (compared,) = [c for c in report["comparisons"] if c["metric"] == "invalid_json_rate"]
    assert (compared["role"], compared["goal"], compared["difference"]) == ("secondary", "decrease", 1.0)


async def test_a_shadow_is_shown_beside_the_answered_requests_and_apart_from_the_variants(suite: Suite) -> None:
    alone = {"variants": [{"weight": 100, "variant": {"variant_id": "a", "model_id": "good/m"}}]}
    shadow = {"model_id": "bad/m", "percent": 100, "max_per_second": 100, "max_cost_per_hour_usd": 0}
    route = {"route_id": "main", **alone, "shadow": shadow}
    await put(suite.admin, {**ROUTER, "default_route": route})
    asked = {"response_format": {"type": "json_object"}}
    async with asyncio.timeout(30):
        # Until the worker has the new policy, and the control plane the first pair.
        while not (report := await suite.report()).get("shadows"):
            await suite.ask("user-0", **asked)
            await asyncio.sleep(0.05)
    (found,) = report["shadows"]
    assert (found["model"], found["error_rate"]) == ("bad/m", 0.0)
    metrics = {m["metric"]: m for m in found["metrics"]}
    assert (metrics["invalid_json_rate"]["answered"], metrics["invalid_json_rate"]["shadow"]) == (0.0, 1.0)
    assert metrics["invalid_json_rate"]["difference"] == 1.0
    assert [arm["variant_id"] for arm in report["arms"]] == ["a"]
    assert report["verdict"] == "The route has a single variant: nothing is split."
    listed = (await suite.http.get("/admin/v1/experiments")).json()
    assert listed.get("experiments", []) == [], "a route with one variant is no experiment"


async def test_evidence_is_kept_while_the_control_plane_is_away(suite: Suite) -> None:
    suite.store.available = False
    for n in range(3):
        assert (await suite.ask(f"user-{n}")).status_code == 200
    suite.store.available = True
    assert int((await suite.seen(3))["experiment"]["requests"]) == 3


async def test_requests_that_a_worker_still_decides_by_the_old_weights_do_not_break_the_split(suite: Suite) -> None:
    only_a = {
        "variants": [{"weight": w, "variant": {"variant_id": v, "model_id": "good/m"}} for v, w in SHARES.items()]
    }
    await put(suite.admin, {**ROUTER, "default_route": {"route_id": "main", **only_a}})
    now = time.time()
    late = [Seen(f"late-{n}", "split/main", "b", f"unit-{n}", now + 0.2) for n in range(5)]
    suite.plane.evidence.add(late)
    report = await suite.seen(5)
    assert report["experiment"]["weights"] == [100, 0]
    assert report["split_broken"] is False
    suite.plane.evidence.add([Seen("wrong", "split/main", "b", "unit", now + 120.0)])
    assert (await suite.report())["split_broken"] is True, "a minute later no worker has the old weights"


async def test_a_ramp_goes_back_by_itself_when_a_guardrail_is_worse(
    suite: Suite, caplog: pytest.LogCaptureFixture
) -> None:
    ramping = {
        **ROUTER,
        "default_route": {
            **ROUTER["default_route"],  # type: ignore[dict-item]
            "experiment": {"ramp": {"variant": "b", "steps": [10, 60], "hold": "1h"}},
        },
    }
    await put(suite.admin, ramping)
    await eventually(
        lambda: any(
            isinstance(e.document, Router)
            and e.document.default_route is not None
            and e.document.default_route.experiment is not None
            and e.document.default_route.experiment.ramp is not None
            for e in suite.plane.board.current.entries.values()
        )
    )
    with caplog.at_level("DEBUG", "services.controlplane.evidence.experiments"):
        await suite.plane._ramps.look()
    assert "the ramp of split/main: held for" in caplog.text
    for n in range(160):
        await suite.ask(f"user-{n}", "fail")
    await suite.seen(160)
    await suite.plane._ramps.look()
    entry = next(e for k, e in (await suite.store.listing()).entries.items() if k.name == "split")
    assert isinstance(entry.document, Router)
    assert entry.document.default_route is not None
    assert [w.weight for w in entry.document.default_route.variants] == [100, 0]
    newest = (await suite.store.history(limit=1))[0]
    assert newest.author == "auto-ramp"
    assert "error_rate 0 → 1" in newest.message


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"metric": "x", "value": 1},
        {"generation_id": "g", "user": "u", "metric": "x", "value": 1},
        {"generation_id": "g", "metric": "not a name", "value": 1},
        {"generation_id": "g", "metric": "x", "value": "high"},
        {"generation_id": "g", "metric": "x", "value": 1, "at": "yesterday"},
        {"feedback": []},
        [1],
    ],
)
async def test_bad_feedback_is_a_400(suite: Suite, body: Any) -> None:
    assert (await suite.http.post("/v1/feedback", json=body)).status_code == 400


async def test_what_is_no_experiment_is_a_404(suite: Suite) -> None:
    assert (await suite.http.get("/admin/v1/experiments/split/other")).status_code == 404
    assert (await suite.http.get("/admin/v1/experiments/split/main", params={"control": "z"})).status_code == 400
    assert (await suite.http.get("/admin/v1/experiments/split/main", params={"alpha": "2"})).status_code == 400
