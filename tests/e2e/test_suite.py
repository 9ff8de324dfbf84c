"""The whole suite as a user runs it: `turnout up`, real etcd, real processes, a real model server, official SDKs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import anthropic
import grpc
import httpx
import openai
import pytest
import yaml
from turnout.inference.v1 import chat_pb2
from turnout.inference.v1.inference_service_pb2_grpc import InferenceServiceStub

from tests.support.llama import ROOT, LlamaServer
from tests.support.ports import free_port
from tests.support.processes import running, until

pytestmark = pytest.mark.process


class Suite:
    """A running `turnout up`."""

    def __init__(self, folder: Path, closing: ExitStack) -> None:
        self.folder = folder
        self.closing = closing
        self.ready: dict[str, Any] = json.loads((folder / "ready.json").read_text())

    @property
    def url(self) -> str:
        return str(self.ready["url"])

    @property
    def key(self) -> str:
        return str(self.ready["api_key"])

    def openai(self, key: str = "") -> openai.OpenAI:
        client = openai.OpenAI(base_url=f"{self.url}/v1", api_key=key or self.key, max_retries=0)
        return self.closing.enter_context(client)

    def anthropic(self, key: str = "") -> anthropic.Anthropic:
        client = anthropic.Anthropic(base_url=self.url, api_key=key or self.key, max_retries=0)
        return self.closing.enter_context(client)


def policy_forms(llama: LlamaServer) -> list[dict[str, Any]]:
    dead = free_port()
    variant = {
        "variant_id": "stable",
        "model_id": "dead/m",
        "model_selection": {"models": ["local/tiny", "local-anthropic/tiny"]},
    }
    condition = {"cel_expression": 'language == "es" && plan != "free"'}
    default = {"variant_id": "default", "model_id": "local/tiny"}
    return [
        {"kind": "Provider", "name": "dead", "type": "openai_compatible", "base_url": f"http://127.0.0.1:{dead}/v1"},
        {
            "kind": "Provider",
            "name": "local",
            "type": "openai_compatible",
            "base_url": f"{llama.url}/v1",
            "credentials": ["env:LLAMA_KEY"],
        },
        {
            "kind": "Provider",
            "name": "local-anthropic",
            "type": "anthropic",
            "base_url": llama.url,
            "credentials": ["env:LLAMA_KEY"],
        },
        {"kind": "Model", "name": "local/tiny", "prices": {"input_per_million": 1.0, "output_per_million": 2.0}},
        {
            "kind": "Router",
            "name": "user-aware",
            "routes": [{"condition": condition, "route": {"variants": [{"weight": 100, "variant": variant}]}}],
            "default_route": {"route_id": "default", "variants": [{"weight": 100, "variant": default}]},
        },
    ]


@pytest.fixture(scope="module", params=["grpc", "fused"])
def suite(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, llama: LlamaServer
) -> Iterator[Suite]:
    folder = tmp_path_factory.mktemp(f"up-{request.param}")
    policy = folder / "policy.yaml"
    policy.write_text("---\n".join(yaml.safe_dump(form) for form in policy_forms(llama)))
    data = folder / "data"
    command = [sys.executable, "-m", "services.cli", "up", "--port", str(free_port()), "--data-dir", str(data)]
    command += ["--policy", str(policy), "--topology", request.param]
    environment = {"LLAMA_KEY": llama.api_key, "PYTHONPATH": f"{ROOT}:{ROOT / 'protos' / 'gen'}"}
    with running(command, folder / "up.log", (data / "ready.json").exists, environment=environment) as process:
        with ExitStack() as closing:
            yield Suite(data, closing)
        pids = json.loads((data / "ready.json").read_text())["pids"].values()
    assert process.returncode == 0, (folder / "up.log").read_text()
    assert not (data / "ready.json").exists()
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


PAID = {"extra_body": {"metadata": {"language": "es", "plan": "pro"}}}
MESSAGES: Any = [{"role": "user", "content": "Hello"}]


def test_the_openai_sdk_gets_a_whole_answer_after_a_failover(suite: Suite) -> None:
    answer = suite.openai().chat.completions.create(
        model="inworld/user-aware", messages=MESSAGES, max_tokens=8, user="u", extra_body=PAID
    )
    assert answer.choices[0].message.content
    assert answer.model == "local/tiny"
    metadata: Any = answer.metadata
    assert [a["success"] for a in metadata["attempts"]] == [False, True]
    assert metadata["attempts"][0]["error"] == "CONNECT_FAILED"
    assert metadata["route_id"] == "route-1"
    assert metadata["variant_id"] == "stable"
    usage: Any = answer.usage
    expected = (usage.prompt_tokens * 1.0 + usage.completion_tokens * 2.0) / 1e6
    assert usage.cost == pytest.approx(expected)


def test_the_openai_sdk_streams_with_usage_and_evidence(suite: Suite) -> None:
    chunks = list(
        suite.openai().chat.completions.create(
            model="inworld/user-aware",
            messages=MESSAGES,
            max_tokens=8,
            stream=True,
            stream_options={"include_usage": True},
            extra_body=PAID,
        )
    )
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    last: Any = chunks[-1]
    assert last.usage.completion_tokens == 8
    assert [a["success"] for a in last.metadata["attempts"]] == [False, True]


def test_the_anthropic_sdk_crosses_to_an_openai_provider(suite: Suite) -> None:
    answer: Any = suite.anthropic().messages.create(
        model="local/tiny", max_tokens=8, messages=[{"role": "user", "content": "Hello"}]
    )
    assert answer.content[0].text
    assert answer.stop_reason == "max_tokens"
    assert answer.metadata["attempts"][0]["model"] == "local/tiny"


def test_the_anthropic_sdk_streams_through_an_anthropic_provider(suite: Suite) -> None:
    with suite.anthropic().messages.stream(
        model="local-anthropic/tiny", max_tokens=8, messages=[{"role": "user", "content": "Hello"}]
    ) as stream:
        text = "".join(stream.text_stream)
        final: Any = stream.get_final_message()
    assert text
    assert final.usage.output_tokens == 8
    assert final.model == "local-anthropic/tiny"


def test_errors_raise_the_class_that_sdk_users_catch(suite: Suite) -> None:
    client = suite.openai()
    with pytest.raises(openai.NotFoundError, match="did you mean"):
        client.chat.completions.create(model="locl/tiny", messages=MESSAGES)
    with pytest.raises(openai.BadRequestError, match="messages"):
        client.chat.completions.create(model="local/tiny", messages="hi")  # type: ignore[call-overload]
    with pytest.raises(openai.AuthenticationError):
        suite.openai("wrong").models.list()
    with pytest.raises(anthropic.AuthenticationError):
        suite.anthropic("wrong").messages.create(
            model="local/tiny", max_tokens=5, messages=[{"role": "user", "content": "x"}]
        )
    with pytest.raises(openai.InternalServerError) as caught:
        client.chat.completions.create(model="dead/m", messages=MESSAGES)
    assert caught.value.status_code == 503
    long: Any = [{"role": "user", "content": "word " * 20_000}]
    with pytest.raises(openai.BadRequestError) as overflow:
        client.chat.completions.create(model="local/tiny", messages=long)
    assert overflow.value.code in {"context_length_exceeded", "400", 400}


def test_models_parse_in_both_sdks(suite: Suite) -> None:
    ids = {m.id for m in suite.openai().models.list()}
    assert {"local/tiny", "inworld/user-aware"} <= ids
    assert {m.id for m in suite.anthropic().models.list()} == ids


async def test_a_typed_grpc_client_gets_answer_stream_and_record(suite: Suite) -> None:
    metadata = (("authorization", f"Bearer {suite.key}"),)
    request = chat_pb2.ChatRequest(model="inworld/user-aware", max_tokens=8, user="u")
    request.messages.add(role="user").parts.add(text="Hello")
    request.metadata.update({"language": "es", "plan": "pro"})
    async with grpc.aio.insecure_channel(suite.ready["dataplane"][0]) as channel:
        stub: Any = InferenceServiceStub(channel)
        answer = await stub.CreateChatCompletion(request, metadata=metadata)
        assert answer.message.parts[0].text
        assert [a.success for a in answer.record.attempts] == [False, True]
        events = [event async for event in stub.StreamChatCompletion(request, metadata=metadata)]
        assert "".join(e.text for e in events)
        assert events[-1].end.record.outcome == "ok"
        request.model = "nothing/here"
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.CreateChatCompletion(request, metadata=metadata)
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND


def router_call(suite: Suite, method: str, path: str = "", body: Any = None, **query: str) -> httpx.Response:
    headers = {"authorization": f"Basic {suite.key}"}
    url = f"{suite.url}/router/v1/routers{path}"
    return httpx.request(method, url, json=body, params=query, headers=headers, trust_env=False)


def test_routers_are_made_read_changed_and_deleted_in_inworlds_shape(suite: Suite) -> None:
    route = {"variants": [{"weight": 100, "variant": {"modelId": "local/tiny"}}]}
    created = router_call(suite, "POST", body={"displayName": "Trial One", "defaultRoute": route, "novelty": 1}).json()
    assert created["done"] is True
    assert created["response"]["name"] == "trial-one"
    assert created["response"]["defaultRoute"]["variants"][0]["variant"]["model_id"] == "local/tiny"
    assert "novelty" in created["metadata"]["warnings"][0]
    again = router_call(suite, "POST", body={"displayName": "Trial One", "defaultRoute": route})
    assert (again.status_code, again.json()["code"]) == (409, 6)
    changed = router_call(suite, "PATCH", "/trial-one", {"displayName": "Renamed"}, update_mask="displayName").json()
    assert changed["response"]["displayName"] == "Renamed"
    assert changed["response"]["defaultRoute"]["variants"]
    bad = {"defaultRoute": {"variants": [{"weight": 70, "variant": {"model_id": "no-such/model"}}]}}
    refused = router_call(suite, "PATCH", "/trial-one", bad, update_mask="default_route")
    assert refused.status_code == 400
    told = json.dumps(refused.json()["details"])
    assert "weights must sum to exactly 100" in told
    assert "there is no Provider 'no-such'" in told
    names = [r["name"] for r in router_call(suite, "GET").json()["routers"]]
    assert names == ["trial-one", "user-aware"]
    page = router_call(suite, "GET", page_size="1").json()
    assert [r["name"] for r in page["routers"]] == ["trial-one"]
    assert router_call(suite, "GET", page_token=page["nextPageToken"]).json()["routers"][0]["name"] == "user-aware"
    answer = suite.openai().chat.completions.create(model="inworld/trial-one", messages=MESSAGES, max_tokens=4)
    assert answer.model == "local/tiny"
    assert router_call(suite, "DELETE", "/trial-one").status_code == 200
    assert router_call(suite, "GET", "/trial-one").status_code == 404


def turnout(suite: Suite, *arguments: str, input_text: str = "") -> tuple[int, str]:
    command = [sys.executable, "-m", "services.cli", *arguments]
    environment = {**os.environ, "TURNOUT_DATA_DIR": str(suite.folder), "COLUMNS": "200"}
    done = subprocess.run(
        command, check=False, input=input_text, capture_output=True, text=True, timeout=60, cwd=ROOT, env=environment
    )
    return done.returncode, done.stdout + done.stderr


def test_the_command_line_reads_checks_explains_and_follows(suite: Suite, tmp_path: Path) -> None:
    code, text = turnout(suite, "get", "router", "user-aware")
    assert (code, "language ==" in text) == (0, True), text
    changed = tmp_path / "router.yaml"
    changed.write_text(text.replace("plan != ", "plan == "))
    code, text = turnout(suite, "diff", "-f", str(changed))
    assert (code, "+  " in text) == (1, True), text
    broken = tmp_path / "broken.yaml"
    broken.write_text(
        "kind: Router\nname: x\nroutes:\n- condition: {cel_expression: 'a =='}\n  route: {variants: [{wieght: 1}]}\n"
    )
    code, text = turnout(suite, "validate", "-f", str(broken))
    assert (code, "did you mean 'weight'" in text) == (2, True), text
    code, text = turnout(suite, "simulate", "inworld/user-aware", "-m", "language=es", "-m", "plan=pro")
    assert (code, "dead/m" in text, "is true" in text) == (0, True, True), text
    code, text = turnout(suite, "nodes")
    assert (code, "worker-1" in text, "current" in text) == (0, True, True), text
    code, text = turnout(suite, "keys", "create", "ci", "--json")
    assert code == 0, text
    key = json.loads(text)["key"]
    client = suite.openai(key)
    until(lambda: bool(_lists(client)), 5)
    assert turnout(suite, "keys", "revoke", "ci")[0] == 0
    until(lambda: not _lists(client), 5)
    code, text = turnout(suite, "logs", "--no-follow", "--tail", "1000")
    assert (code, "CONNECT_FAILED" in text) == (0, True), text
    code, text = turnout(suite, "doctor")
    assert (code, "runs the current policy" in text) == (0, True), text
    assert suite.key not in (suite.folder / "logs" / "controlplane.log").read_text()


def _lists(client: openai.OpenAI) -> list[Any]:
    try:
        return list(client.models.list())
    except openai.AuthenticationError:
        return []


def test_a_killed_part_is_started_again(suite: Suite) -> None:
    name = "dataplane-1" if suite.ready["topology"] == "grpc" else "fused"
    os.kill(suite.ready["pids"][name], signal.SIGKILL)

    def serves() -> bool:
        try:
            suite.openai().chat.completions.create(model="local/tiny", messages=MESSAGES, max_tokens=2)
        except openai.APIError:
            return False
        return True

    until(serves, 30)
