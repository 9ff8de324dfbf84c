"""`turnout up`, but for the processes that it starts."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from turnout.policy.v1 import policy_service_pb2 as api
from turnout.policy.v1.policy_pb2 import Resource
from turnout.policy.v1.policy_service_pb2_grpc import PolicyServiceStub

from services.cli.output import Fail
from services.cli.standalone import up as module
from services.cli.standalone.children import ChildFailed, Children
from services.cli.standalone.etcd import EtcdMissing
from services.cli.standalone.policy import REAL_PROVIDERS, SIMULATED
from services.cli.standalone.up import Suite, UpOptions, up
from services.core.policy.compile import DEFAULT_NAMESPACE
from services.runtime.keys import PREFIX, hash_key
from services.runtime.listening import check_listen, free_ports
from services.wire.document_form import read_form
from tests.unit.cli.suite import ADMIN_KEY
from tests.unit.cli.suite import Suite as Running


def document(kind: str, name: str, **more: Any) -> Resource:
    found, problems = read_form({"kind": kind, "name": name, **more})
    assert found is not None, problems
    return found


def options(folder: Path, *policy: Resource, **more: Any) -> UpOptions:
    base = {"host": "127.0.0.1", "port": 1, "data_dir": folder, "policy": policy, "etcd": "", "workers": 1}
    return UpOptions(**{**base, "topology": "grpc", "simulated": False, **more})


def suite_of(folder: Path, *policy: Resource, **more: Any) -> Suite:
    return Suite(options(folder, *policy, **more), Children(lambda _text: None), ADMIN_KEY)


ROUTER = document(
    "Router",
    "fast",
    default_route={"route_id": "d", "variants": [{"weight": 100, "variant": {"variant_id": "v", "model_id": "p/m"}}]},
)
PROVIDER = document("Provider", "p", type="openai_compatible", base_url="http://127.0.0.1:1")


def test_a_data_folder_has_one_key_which_only_its_owner_reads(tmp_path: Path) -> None:
    key = module._key(tmp_path)
    assert key.startswith(PREFIX)
    assert module._key(tmp_path) == key
    assert stat.S_IMODE((tmp_path / "api_key").stat().st_mode) == 0o600
    (tmp_path / "api_key").write_text("\n")
    assert module._key(tmp_path) != key


def test_a_data_folder_serves_one_suite_at_a_time(tmp_path: Path) -> None:
    with module._lock(tmp_path), pytest.raises(Fail, match="another 'turnout up' runs"), module._lock(tmp_path):
        pass
    with module._lock(tmp_path):
        pass


def test_ports_are_free_and_no_two_are_the_same() -> None:
    ports = free_ports(20)
    assert len(set(ports)) == 20
    for port in ports:
        check_listen("127.0.0.1", port)


async def test_a_port_that_is_taken_is_told_before_anything_starts(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        options = module.UpOptions("127.0.0.1", port, tmp_path, (), "", 1, "grpc", simulated=True)
        suite = module.Suite(options, module.Children(lambda *told: None), "key")
        with pytest.raises(Fail, match=f"cannot listen on 127.0.0.1:{port}: address already in use; choose another"):
            await module._start(suite)
        assert not suite.children.pids()


@pytest.mark.parametrize(
    ("policy", "model"),
    [
        ([], f"{DEFAULT_NAMESPACE}/user-aware"),
        ([ROUTER], f"{DEFAULT_NAMESPACE}/fast"),
        ([document("Settings", "default", namespace="acme"), ROUTER], "acme/fast"),
        ([PROVIDER, document("Model", "p/m")], "p/m"),
        ([PROVIDER], ""),
    ],
)
def test_the_line_to_try_asks_for_something_that_the_policy_serves(policy: list[Resource], model: str) -> None:
    assert module._model_to_try(policy) == model


def test_the_banner_says_how_to_call_what_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    suite = suite_of(tmp_path, port=8080)
    suite.controlplane, suite.workers = "127.0.0.1:7001", ["127.0.0.1:7011"]
    suite.simulated = {spec.name: 9000 for spec in SIMULATED}
    module._banner(suite)
    told = capsys.readouterr().out
    assert "curl http://127.0.0.1:8080/v1/chat/completions" in told
    assert f'"Authorization: Bearer {ADMIN_KEY}"' in told
    assert '"messages": [{"role": "user", "content": "Hola"}]' in told
    assert "No provider key was found. The providers are simulated" in told
    assert 'curl http://127.0.0.1:9000/_faults -d \'{"kind": "none"}\'' in told
    body = told[told.index('-d \'{"model"') + 4 :].split("}'\n")[0] + "}"
    assert json.loads(body)["extra_body"]["metadata"] == {"language": "es", "plan": "pro"}


def test_the_banner_misses_no_key_where_simulated_providers_were_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    suite = suite_of(tmp_path, simulated=True)
    suite.simulated = {spec.name: 9000 for spec in SIMULATED}
    module._banner(suite)
    told = capsys.readouterr().out
    assert "The providers are simulated" in told
    assert "No provider key" not in told


def test_a_banner_without_anything_to_call_has_no_line_to_try(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    module._banner(suite_of(tmp_path, PROVIDER))
    told = capsys.readouterr().out
    assert "curl" not in told
    assert " logs shows each request" in told


@pytest.mark.parametrize(("path", "told"), [("/usr/bin/turnout", "turnout logs"), (None, ".venv/bin/turnout logs")])
def test_the_banner_names_the_command_as_it_can_be_typed(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    path: str | None,
    told: str,
) -> None:
    monkeypatch.setattr(module.shutil, "which", lambda _name: path)
    monkeypatch.setattr(module.sys, "argv", [".venv/bin/turnout", "up"])
    module._banner(suite_of(tmp_path, PROVIDER))
    assert f"\n{told} shows" in capsys.readouterr().out


def test_programs_are_told_where_everything_is_and_others_are_not(tmp_path: Path) -> None:
    suite = suite_of(tmp_path)
    suite.controlplane, suite.simulated = "127.0.0.1:7001", {"sim-openai": 9000}
    path = tmp_path / "ready.json"
    module._write_ready(path, suite)
    told = json.loads(path.read_text())
    assert (told["api_key"], told["controlplane"], told["pid"]) == (ADMIN_KEY, "127.0.0.1:7001", os.getpid())
    assert told["simulated"] == {"sim-openai": "http://127.0.0.1:9000"}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [p.name for p in tmp_path.iterdir()] == ["ready.json"]


@pytest.fixture
def no_keys(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for provider in REAL_PROVIDERS:
        monkeypatch.delenv(provider.variable, raising=False)
    return monkeypatch


async def names(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The documents to start with, by kind and name."""

    async def start(found: Suite) -> None:
        found.simulated = {spec.name: 9000 for spec in SIMULATED}

    monkeypatch.setattr(module, "_start_simulated", start)
    documents = await module._documents(suite)
    (key,) = [d.api_key for d in documents if d.WhichOneof("document") == "api_key"]
    assert (key.hash, list(key.scopes)) == (hash_key(ADMIN_KEY), ["inference", "read", "admin"])
    return [f"{d.WhichOneof('document')}/{getattr(d, str(d.WhichOneof('document'))).name}" for d in documents]


async def test_without_keys_the_providers_are_simulated(tmp_path: Path, no_keys: pytest.MonkeyPatch) -> None:
    found = await names(suite_of(tmp_path), no_keys)
    kinds = {name.partition("/")[0] for name in found}
    assert [n for n in found if n.startswith("provider/")] == [f"provider/{spec.name}" for spec in SIMULATED]
    assert found[-2:] == ["router/user-aware", "api_key/local"]
    assert kinds == {"provider", "model", "router", "api_key"}


async def test_with_keys_the_providers_are_real_unless_simulated_ones_are_asked_for(
    tmp_path: Path, no_keys: pytest.MonkeyPatch
) -> None:
    no_keys.setenv("ANTHROPIC_API_KEY", "sk-x")
    assert await names(suite_of(tmp_path), no_keys) == ["provider/anthropic", "router/user-aware", "api_key/local"]
    assert (await names(suite_of(tmp_path, simulated=True), no_keys))[0] == "provider/sim-flaky"


async def test_a_policy_of_files_is_taken_as_it_is_with_a_key(tmp_path: Path, no_keys: pytest.MonkeyPatch) -> None:
    no_keys.setenv("ANTHROPIC_API_KEY", "sk-x")
    found = await names(suite_of(tmp_path, PROVIDER, ROUTER), no_keys)
    assert found == ["provider/p", "router/fast", "api_key/local"]


def test_routers_that_the_data_folder_has_already_are_kept() -> None:
    mine = [PROVIDER, ROUTER, document("Alias", "fast", model="p/m")]
    assert module._without_kept(mine, {"fast"}) == [mine[0], mine[2]]
    assert module._without_kept(mine, {"other"}) == mine


async def test_the_made_policy_does_not_undo_what_somebody_changed(
    suite: Running, tmp_path: Path, no_keys: pytest.MonkeyPatch
) -> None:
    starting = suite_of(tmp_path)
    starting.controlplane = suite.controlplane
    await names(starting, no_keys)
    documents = await module._documents(starting)
    await module._apply(starting, documents)
    changed = Resource()
    changed.CopyFrom(next(d for d in documents if d.WhichOneof("document") == "router"))
    changed.router.display_name = "changed by somebody"
    metadata = (("authorization", f"Bearer {ADMIN_KEY}"),)
    async with grpc.aio.insecure_channel(suite.controlplane) as channel:
        stub: Any = PolicyServiceStub(channel)
        await stub.Apply(api.ApplyRequest(resources=[changed]), metadata=metadata)
        await module._apply(starting, documents)
        kept = await stub.ListResources(api.ListResourcesRequest(kind="Router"), metadata=metadata)
    assert [r.router.display_name for r in kept.resources] == ["changed by somebody"]


async def test_a_policy_that_is_refused_is_told_problem_by_problem(suite: Running, tmp_path: Path) -> None:
    starting = suite_of(tmp_path, PROVIDER)
    starting.controlplane = suite.controlplane
    wrong = [document("Alias", "a", model="nobody/m"), document("Alias", "b", model="nobody/m")]
    with pytest.raises(Fail, match=r"(?s)the policy was refused:\n.*Alias/a.*\n.*Alias/b") as failed:
        await module._apply(starting, wrong)
    assert failed.value.code == 2


async def test_waiting_ends_with_the_name_of_what_did_not_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "START_SECONDS", 0.01)

    async def wait() -> None:
        async with module._waiting_for("the moon"):
            await asyncio.Event().wait()

    with pytest.raises(Fail, match="the moon did not come up within 0 s"):
        await wait()


def start_with(monkeypatch: pytest.MonkeyPatch, result: BaseException | None) -> None:
    async def start(_suite: Suite) -> None:
        if result is not None:
            raise result

    monkeypatch.setattr(module, "_start", start)


def test_a_suite_runs_until_a_signal_and_leaves_no_word_that_it_is_ready(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bool] = []

    def banner(_suite: Suite) -> None:
        seen.append((tmp_path / "new" / "ready.json").is_file())
        os.kill(os.getpid(), signal.SIGTERM)

    start_with(monkeypatch, None)
    monkeypatch.setattr(module, "_banner", banner)
    assert up(options(tmp_path / "new")) == 0
    assert seen == [True]
    assert not (tmp_path / "new" / "ready.json").exists()


def test_a_signal_while_the_suite_starts_stops_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left: list[str] = []

    async def start(_suite: Suite) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        try:
            await asyncio.Event().wait()
        finally:
            left.append("starting")

    monkeypatch.setattr(module, "_start", start)
    assert up(options(tmp_path)) == 0
    assert left == ["starting"]


@pytest.mark.parametrize(
    "make", [lambda: ChildFailed("etcd ended with code 1"), lambda: EtcdMissing("no etcd"), lambda: Fail("port taken")]
)
def test_a_suite_that_does_not_start_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[], Exception]
) -> None:
    start_with(monkeypatch, make())
    with pytest.raises(Fail, match=str(make())):
        up(options(tmp_path))
