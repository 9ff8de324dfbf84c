"""No secret leaves the process that holds it, whatever providers, callers and administrators do with it."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from turnout.inference.v1.chat_pb2 import ChatRequest, Message, Part
from turnout.inference.v1.inference_service_pb2_grpc import InferenceServiceStub

from services.cli.connection import Connection
from services.cli.offline import check
from services.controlplane.app import ControlPlaneSettings
from services.controlplane.store.etcd import EtcdOptions
from services.dataplane.app import WorkerSettings
from services.dataplane.credentials import Credentials
from services.dataplane.engine import Call
from services.dataplane.transport.port import UpstreamRequest
from services.http_bridge.app import BridgeSettings
from services.http_bridge.http import Request
from services.runtime.keys import hash_key
from services.wire.document_form import read_yaml
from tests.support.upstream import (
    STREAM_HEAD,
    Close,
    Step,
    Upstream,
    anthropic_answer,
    anthropic_events,
    chunk,
    openai_answer,
    openai_events,
    running_upstream,
    streamed,
    whole,
)
from tests.unit.cli.canaries import (
    ADMIN,
    ANSWER,
    CALLER,
    FILED,
    PASTED,
    PROMPT,
    PROVIDER,
    SECRETS,
    Suite,
    leaks,
    running,
    told,
)
from tests.unit.cli.conftest import Turnout

CONTENT = {"prompt": PROMPT, "answer": ANSWER}
MESSAGES = [{"role": "user", "content": PROMPT}]
MODELS = ("openai/gpt-5", "claude/claude-sonnet-4-5", "filed/m")


def error(key: str, **more: str) -> dict[str, Any]:
    told = {"message": f"not a good header: Bearer {key}", "type": "invalid_request_error", "param": None, **more}
    return {"type": "error", "error": told}


def frame(value: Any) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"


@dataclass(frozen=True, slots=True)
class Stage:
    suite: Suite
    upstream: Upstream
    log: pytest.LogCaptureFixture
    stderr: pytest.CaptureFixture[str]

    def places(self) -> dict[str, str]:
        captured = self.stderr.readouterr()
        return {
            **self.suite.places(),
            "logs": told([*self.log.get_records("setup"), *self.log.get_records("call")]),
            "console": captured.out + captured.err,
        }


@pytest.fixture
async def stage(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> AsyncIterator[Stage]:
    caplog.set_level(logging.DEBUG)
    key_file = tmp_path / "outside" / "key"
    key_file.parent.mkdir()
    key_file.write_text(FILED + "\n")
    environment = {"CANARY": PROVIDER, "BROKEN": f"{PROVIDER}\n{FILED}"}
    async with running_upstream() as upstream, running(tmp_path / "worker", monkeypatch, environment) as suite:
        url = f"{upstream.url}/v1"
        await suite.apply(
            {"kind": "Provider", "name": "openai", "type": "openai", "base_url": url, "credentials": ["env:CANARY"]},
            {
                "kind": "Provider",
                "name": "claude",
                "type": "anthropic",
                "base_url": url,
                "credentials": [f"file:{key_file}"],
            },
            {
                "kind": "Provider",
                "name": "filed",
                "type": "openai_compatible",
                "base_url": url,
                "credentials": [f"file:{key_file}"],
            },
            {"kind": "Provider", "name": "broken", "type": "openai", "base_url": url, "credentials": ["env:BROKEN"]},
            {"kind": "Provider", "name": "absent", "type": "openai", "base_url": url, "credentials": ["env:ABSENT"]},
            {"kind": "ApiKey", "name": "caller", "hash": hash_key(CALLER), "scopes": ["inference", "admin"]},
            {"kind": "Settings", "name": "default", "retry": {"max_retries": 0}},
        )
        yield Stage(suite, upstream, caplog, capfd)


async def ask(stage: Stage, model: str, *, stream: bool = False, anthropic: bool = False) -> None:
    path = "/v1/messages" if anthropic else "/v1/chat/completions"
    body = {"model": model, "max_tokens": 100, "messages": MESSAGES, "stream": stream, "user": "someone"}
    if anthropic:
        body["metadata"] = {"user_id": body.pop("user")}
    await stage.suite.call("POST", path, json=body)


async def typed(stage: Stage, model: str) -> None:
    request = ChatRequest(model=model, messages=[Message(role="user", parts=[Part(text=PROMPT)])])
    async with grpc.aio.insecure_channel(stage.suite.worker_address) as channel:
        try:
            call = InferenceServiceStub(channel).CreateChatCompletion
            answer = await call(request, metadata=(("authorization", f"Bearer {CALLER}"),))
            stage.suite.answers.append(str(answer))
        except grpc.aio.AioRpcError as failure:
            stage.suite.answers.append(f"{failure.details()} {failure.trailing_metadata()}")


async def test_a_request_that_is_served_leaves_neither_secrets_nor_content(stage: Stage) -> None:
    answers = {"openai": openai_answer(ANSWER), "claude": anthropic_answer(ANSWER), "filed": openai_answer(ANSWER)}
    events = {"openai": openai_events(ANSWER), "claude": anthropic_events(ANSWER), "filed": openai_events(ANSWER)}
    for model in MODELS:
        name = model.split("/")[0]
        for anthropic in (False, True):
            stage.upstream.script([whole(200, answers[name])])
            await ask(stage, model, anthropic=anthropic)
            stage.upstream.script(streamed(events[name]))
            await ask(stage, model, anthropic=anthropic, stream=True)
        stage.upstream.script([whole(200, answers[name])])
        await typed(stage, model)
    sent = "\n".join(str(seen.headers) for seen in stage.upstream.journal)
    assert len(stage.upstream.journal) == len(stage.suite.answers) == 15
    assert all(ANSWER in answer for answer in stage.suite.answers)
    assert PROVIDER in sent
    assert FILED in sent
    assert CALLER not in sent
    places = stage.places()
    assert leaks(places, {**SECRETS, **CONTENT}) == set()
    assert leaks({"answers": "\n".join(stage.suite.answers)}) == set()
    # Every place holds what it should, so the search looked at something.
    assert "env:CANARY" in places["spans"]
    assert "env:CANARY" in places["records"]
    assert "env:CANARY" in places["store"]
    assert "env:CANARY" in places["files"]
    assert 'provider="openai"' in places["metrics"]
    assert "policy revision" in places["logs"]


def quoting(key: str) -> dict[str, list[Step]]:
    """All the ways in which a provider may repeat the key that it was sent."""
    statuses = (400, 401, 402, 403, 404, 413, 422, 429, 500, 503, 529)
    hello = openai_events("Hi")[:2]
    return {
        **{f"status {status}": [whole(status, error(key, code="some_code"))] for status in statuses},
        "in the code": [whole(400, error(key, code=key))],
        "in the type": [whole(500, error(key, type=key))],
        "in a header": [whole(401, error(key), www_authenticate=key, retry_after=key)],
        "text": [whole(400, f"no: {key}".encode())],
        "a success that is an error": [whole(200, error(key, code=key))],
        "a success that is no JSON": [whole(200, key.encode())],
        "an error at the beginning of a stream": streamed([frame(error(key, type=key))]),
        "an error inside a stream": streamed([*hello, frame(error(key, code=key))]),
        "a stream that is no protocol": streamed([f"data: {key}\n\n".encode()]),
        "a stream that breaks": [STREAM_HEAD, chunk(hello[1]), chunk(f"data: {key}".encode()), Close],
        "no HTTP": [key.encode() + b"\r\n\r\n", Close],
    }


async def test_a_provider_that_quotes_its_key_is_not_repeated(stage: Stage) -> None:
    told_to_callers: dict[str, str] = {}
    for model, key in (("openai/gpt-5", PROVIDER), ("claude/claude-sonnet-4-5", FILED)):
        for name, script in quoting(key).items():
            stage.upstream.script(script)
            for anthropic in (False, True):
                await ask(stage, model, anthropic=anthropic)
                await ask(stage, model, anthropic=anthropic, stream=True)
            await typed(stage, model)
            told_to_callers[f"{model}: {name}"] = "\n".join(stage.suite.answers)
            stage.suite.answers.clear()
    assert len(stage.upstream.journal) == 5 * len(told_to_callers) > 200
    assert leaks(told_to_callers) == set()
    assert leaks(stage.places()) == set()
    # The words of a refusal that is the caller's to mend are kept.
    assert "not a good header: Bearer env:CANARY" in told_to_callers["openai/gpt-5: status 400"]


@pytest.mark.parametrize("model", ["broken/m", "absent/m"])
async def test_a_key_that_cannot_be_sent_is_told_by_its_reference(stage: Stage, model: str) -> None:
    stage.upstream.script([whole(200, openai_answer())])
    await ask(stage, model)
    await ask(stage, model, stream=True)
    await typed(stage, model)
    assert stage.upstream.journal == []
    places = stage.places()
    assert leaks({**places, "answers": "\n".join(stage.suite.answers)}) == set()
    assert f"env:{model.split('/', maxsplit=1)[0].upper()}" in places["records"]


async def test_keys_in_wrong_places_of_requests_are_not_repeated(stage: Stage) -> None:
    call = stage.suite.call
    for headers in (
        {"authorization": f"Bearer {PASTED}"},
        {"authorization": PASTED},
        {"authorization": f"Basic {PASTED}"},
        {"authorization": "", "x-api-key": PASTED},
        {"authorization": f"Bearer {PASTED}", "x-api-key": CALLER},
        {"cookie": PASTED},
    ):
        for method, path in (
            ("POST", "/v1/chat/completions"),
            ("POST", "/v1/messages"),
            ("GET", "/v1/models"),
            ("GET", "/router/v1/routers"),
        ):
            await call(method, path, headers=headers, content=b"{" if method == "POST" else None)
    await call("GET", f"/v1/models?api_key={PASTED}", headers={"authorization": ""})
    answers = "\n".join(stage.suite.answers)
    assert '"status":401' in answers.replace(" ", "") or "authentication_error" in answers
    assert leaks({**stage.places(), "answers": answers}) == set()


PASTES = {
    "as the credential": "kind: Provider\nname: p\ntype: openai\ncredentials: [{}]",
    "as text instead of a list": "kind: Provider\nname: p\ntype: openai\ncredentials: {}",
    "in a mapping": "kind: Provider\nname: p\ntype: openai\ncredentials: {{key: {}}}",
    "in a list of mappings": "kind: Provider\nname: p\ntype: openai\ncredentials: [{{key: {}}}]",
    "in a list of lists": "kind: Provider\nname: p\ntype: openai\ncredentials: [[{}]]",
    "behind a word of its own": "kind: Provider\nname: p\ntype: openai\ncredentials: ['key:{}']",
    "in a field that there is not": "kind: Provider\nname: p\ntype: openai\napi_key: {}",
    "as clocks": "kind: Provider\nname: p\ntype: openai\nclocks: {}",
    "as a duration": "kind: Provider\nname: p\ntype: openai\nclocks: {{total: {}}}",
    "in a header": "kind: Provider\nname: p\ntype: openai\nheaders: {{authorization: Bearer {}}}",
    "in a header of another vendor": "kind: Provider\nname: p\ntype: openai\nheaders: {{X-Api-Key: {}}}",
    "in a header of two lines": 'kind: Provider\nname: p\ntype: openai\nheaders: {{x-note: "{}\\n"}}',
    "as headers": "kind: Provider\nname: p\ntype: openai\nheaders: {}",
    "in a list of headers": "kind: Provider\nname: p\ntype: openai\nheaders: [{}]",
    "in a header's list": "kind: Provider\nname: p\ntype: openai\nheaders: {{x-note: [{}]}}",
    "as the user of the address": "kind: Provider\nname: p\ntype: openai\nbase_url: https://{}@example.com/v1",
    "in the address's query": "kind: Provider\nname: p\ntype: openai\nbase_url: https://example.com/v1?key={}",
    "as the hash": "kind: ApiKey\nname: k\nscopes: [read]\nhash: {}",
    "as the hash with its algorithm": "kind: ApiKey\nname: k\nscopes: [read]\nhash: 'blake2b:{}'",
    "as a list of hashes": "kind: ApiKey\nname: k\nscopes: [read]\nhash: [{}]",
    "beside the hash": "kind: ApiKey\nname: k\nscopes: [read]\nkey: {}",
    "as the document": "{}",
    "as a document in a list": "[{}]",
}


@pytest.mark.parametrize("text", PASTES.values(), ids=PASTES.keys())
def test_a_key_in_a_wrong_place_of_policy_is_refused_and_not_repeated(text: str) -> None:
    resources, problems = read_yaml(text.format(PASTED))
    wrong = [str(p) for p in problems] or [str(p) for p in check(resources)]
    assert wrong
    assert leaks({"problems": "\n".join(wrong)}) == set()


async def test_a_key_in_a_wrong_place_of_policy_goes_no_further(stage: Stage) -> None:
    for form in (
        {"kind": "Provider", "name": "p", "type": "openai", "credentials": [PASTED]},
        {"kind": "Provider", "name": "p", "type": "openai", "headers": {"authorization": PASTED}},
        {"kind": "Provider", "name": "p", "type": "openai", "base_url": f"https://{PASTED}@example.com"},
        {"kind": "ApiKey", "name": "k", "hash": PASTED, "scopes": ["read"]},
    ):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stage.suite.apply(form)
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        stage.suite.answers.append(f"{refused.value.details()} {refused.value.trailing_metadata()}")
    routers = {"name": "r", "default_route": {"route_id": PASTED[:0], "variants": PASTED}, "api_key": PASTED}
    await stage.suite.call("POST", "/router/v1/routers", json=routers)
    assert len(stage.suite.answers) == 5
    assert leaks({**stage.places(), "answers": "\n".join(stage.suite.answers)}) == set()


@pytest.mark.parametrize(
    "holder",
    [
        Credentials(lambda: 0.0, {"KEY": PROVIDER}),
        UpstreamRequest("https://example.com", {"authorization": f"Bearer {PROVIDER}"}, PROMPT.encode()),
        Call(PROMPT.encode(), {"authorization": f"Bearer {CALLER}"}),
        Request("POST", "/v1/messages", {"x-api-key": CALLER}, {}, PROMPT.encode()),
        WorkerSettings("n", ("127.0.0.1:1",), Path("data"), environment={"KEY": PROVIDER}),
        BridgeSettings(environment={"KEY": PROVIDER}),
        ControlPlaneSettings(EtcdOptions(("127.0.0.1:1",), user="u", password=PASTED), admin_key=ADMIN),
        EtcdOptions(("127.0.0.1:1",), user="u", password=PASTED),
        Connection(api_key=ADMIN),
    ],
    ids=lambda holder: type(holder).__name__,
)
def test_what_holds_a_secret_does_not_show_it(holder: object) -> None:
    assert leaks({"repr": f"{holder!r} {holder}"}, {**SECRETS, **CONTENT}) == set()


@pytest.mark.parametrize(
    "arguments",
    [("--help",), ("get", "--help"), ("keys", "create", "--help"), ("get", "Nothing"), ("doctor",), ("nodes",)],
)
def test_commands_do_not_show_the_key_that_they_present(
    turnout: Turnout, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    monkeypatch.setenv("TURNOUT_API_KEY", ADMIN)
    monkeypatch.setenv("TURNOUT_CONTROLPLANE", "127.0.0.1:1")
    ran = turnout(*arguments)
    assert ran.out + ran.err
    assert leaks({"console": ran.out + ran.err}) == set()
