"""Bedrock's requests: addresses, signatures, and bodies that botocore would have sent."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from botocore.session import get_session
from yarl import URL

from services.core.errors import Failure, FailureKind
from services.core.policy.snapshot import CompiledProvider, Target
from services.dataplane.credentials import hide
from services.dataplane.providers.bedrock import BedrockCodec
from services.dataplane.providers.bedrock_models import claude_of, family_of
from services.dataplane.providers.bedrock_sign import region_of
from tests.golden.test_translation import FOLDER
from tests.golden.translation.harness import APIS, TARGETS, told_request
from tests.support.converse import check_converse_request, sent_by_botocore, signature_of

CODEC = BedrockCodec()
HOST = "https://bedrock-runtime.eu-central-1.amazonaws.com"
CLAUDE = "eu.anthropic.claude-sonnet-4-5-20250929-v1:0"
PROFILE = "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-3-7-sonnet-20250219-v1:0"
KEYS = "AKIDEXAMPLE:wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
SESSION = f"{KEYS}:IQoJb3JpZ2luX2VjE//////==:with:colons"


def target(model: str = CLAUDE, base_url: str = HOST, **more: Any) -> Target:
    return Target(f"p/{model}", CompiledProvider("p", "bedrock", base_url, **more), model)


@pytest.mark.parametrize("model", [CLAUDE, PROFILE, "amazon.nova-lite-v1:0", "odd model/with é?"])
@pytest.mark.parametrize("stream", [False, True])
def test_the_address_is_the_one_of_botocore_and_is_sent_as_it_stands(model: str, *, stream: bool) -> None:
    url = CODEC.request(target(model), "", b"{}", {}, stream=stream).url
    path, _ = sent_by_botocore(model, {}, stream=stream)
    assert url == HOST + path
    assert URL(url, encoded=True).raw_path == path


@pytest.mark.parametrize("credential", [KEYS, SESSION], ids=["keys", "session"])
@pytest.mark.parametrize("model", [CLAUDE, PROFILE])
@pytest.mark.parametrize(
    ("base_url", "region"),
    [
        (HOST, "eu-central-1"),
        ("http://127.0.0.1:8099", "us-east-1"),
        ("https://proxy.example.com/aws/bedrock", "us-east-1"),
        ("https://bedrock-runtime-fips.us-gov-west-1.amazonaws.com", "us-gov-west-1"),
        ("https://bedrock-runtime.cn-north-1.amazonaws.com.cn", "cn-north-1"),
        ("https://vpce-0a1b.bedrock-runtime.ap-southeast-2.vpce.amazonaws.com", "ap-southeast-2"),
    ],
)
def test_a_request_is_signed_as_amazon_checks_it(credential: str, model: str, base_url: str, region: str) -> None:
    body = b'{"messages": []}'
    headers = {"X-Amz-Extra": "1", "x-other": "2"}
    request = CODEC.request(target(model, base_url, headers=headers), credential, body, {}, stream=True)
    sent = {**request.headers, "host": request.url.split("/")[2]}
    told = sent["authorization"]
    assert f"/{region}/bedrock/aws4_request" in told
    assert "x-amz-extra" in told
    assert "x-other" not in told
    assert told.endswith(signature_of("POST", request.url, sent, body, credential))
    assert sent.get("x-amz-security-token", "") == ":".join(credential.split(":")[2:])
    for part in credential.split(":", 2)[1:]:
        assert part not in repr(request)


def test_what_is_signed_is_bound_to_the_body_and_the_path() -> None:
    request = CODEC.request(target(), KEYS, b"one", {}, stream=False)
    sent = {**request.headers, "host": request.url.split("/")[2]}
    signature = sent["authorization"].rpartition("=")[2]
    assert signature == signature_of("POST", request.url, sent, b"one", KEYS)
    assert signature != signature_of("POST", request.url, sent, b"two", KEYS)
    assert signature != signature_of("POST", request.url.replace("%3A", ":"), sent, b"one", KEYS)


def test_a_region_that_the_host_does_not_name_is_the_label_of_the_provider() -> None:
    assert region_of(target(base_url="http://127.0.0.1:1", labels={"region": "eu-west-3"}).provider) == "eu-west-3"
    assert region_of(target(labels={"region": "eu-west-3"}).provider) == "eu-central-1"


@pytest.mark.parametrize("key", ["ABSKQmVkcm9ja0FQSUtleS1leGFtcGxl", "bedrock-api-key-YmVkcm9jaw==", "a b:c"])
def test_any_other_credential_is_an_api_key(key: str) -> None:
    headers = CODEC.request(target(), key, b"{}", {}, stream=False).headers
    assert headers["authorization"] == f"Bearer {key}"
    assert "x-amz-date" not in headers
    assert "authorization" not in CODEC.request(target(), "", b"{}", {}, stream=False).headers


def test_a_worker_without_bedrock_loads_none_of_amazons_library_and_one_with_it_does_so_at_once() -> None:
    told = """
import sys, threading
import services.dataplane.app
from services.core.policy.snapshot import CompiledProvider
from services.dataplane.providers.bedrock_sign import warm
def here(): return [name for name in sys.modules if name.split(".")[0] in {"botocore", "azure"}]
warm([CompiledProvider("p", "openai", "http://x")])
assert not here(), here()
warm([CompiledProvider("p", "bedrock", "http://x")])
for thread in threading.enumerate():
    if thread.name == "botocore": thread.join()
assert "botocore.auth" in here()
"""
    done = subprocess.run([sys.executable, "-c", told], env=_with_path(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def _with_path() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


def test_the_parts_of_a_secret_are_hidden_too() -> None:
    told = "The canonical string was x-amz-security-token:IQoJb3JpZ2luX2VjE//////==, by AKIDEXAMPLE"
    failure = Failure(FailureKind.CREDENTIALS_REJECTED, told, body=told.encode())
    hidden = hide(failure, f"{KEYS}:IQoJb3JpZ2luX2VjE//////==", "aws:default")
    assert hidden.message == "The canonical string was x-amz-security-token:aws:default, by aws:default"
    assert b"IQoJ" not in hidden.body


def _all_requests() -> list[tuple[str, str, str]]:
    cases = [(api, path.name) for api in APIS for path in sorted((FOLDER / "requests" / api).glob("*.in.json"))]
    targets = [name for name in TARGETS if name.startswith("bedrock")]
    return [(api, name, found) for api, name in cases for found in targets]


def _load(api: str, name: str) -> Any:
    return json.loads(Path(FOLDER / "requests" / api / name).read_text(encoding="utf-8"))


def test_every_request_of_every_dialect_becomes_one_that_botocore_would_send_or_is_refused() -> None:
    sent = 0
    for api, name, found in _all_requests():
        told = told_request(api, found, _load(api, name))
        if "upstream" not in told:
            assert set(told) <= {"invalid", "untranslatable"}
            continue
        sent += 1
        body = told["upstream"]["body"]
        check_converse_request(body)
        # botocore makes the same JSON of the same parameters.
        assert sent_by_botocore(TARGETS[found][1], body, stream=False)[1] == body, (api, name, found)
    assert sent > 250


FAMILIES = [
    ("anthropic.claude-v2", "anthropic", "claude-2"),
    ("anthropic.claude-v2:1", "anthropic", "claude-2"),
    ("anthropic.claude-instant-v1", "anthropic", "claude-instant"),
    ("anthropic.claude-3-5-sonnet-20240620-v1:0", "anthropic", "claude-3-5-sonnet-20240620"),
    ("us.anthropic.claude-sonnet-4-6", "anthropic", "claude-sonnet-4-6"),
    ("global.anthropic.claude-opus-4-1-20250805-v1:0", "anthropic", "claude-opus-4-1-20250805"),
    ("anthropic.claude-3-sonnet-20240229-v1:0:200k", "anthropic", "claude-3-sonnet-20240229"),
    (PROFILE, "anthropic", "claude-3-7-sonnet-20250219"),
    ("arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-lite-v1:0", "amazon", ""),
    ("us.amazon.nova-2-lite-v1:0", "amazon", ""),
    ("openai.gpt-oss-120b-1:0", "openai", ""),
    ("us.meta.llama4-maverick-17b-instruct-v1:0", "meta", ""),
    ("zai.glm-4.7-flash", "", ""),
    ("arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/1arbu5hu2sjr", "", ""),
]


@pytest.mark.parametrize(("model", "family", "claude"), FAMILIES)
def test_a_models_vendor_is_in_its_id(model: str, family: str, claude: str) -> None:
    assert family_of(target(model)) == family
    if claude:
        assert claude_of(model) == claude


def test_a_label_names_the_vendor_that_an_id_does_not() -> None:
    assert family_of(target(FAMILIES[-1][0], labels={"family": "anthropic"})) == "anthropic"
    assert family_of(target("amazon.nova-lite-v1:0", labels={"family": "anthropic"})) == "amazon"


def test_botocore_knows_every_exception_of_converse_that_has_a_kind() -> None:
    from services.dataplane.providers.bedrock_errors import BY_NAME

    operation = get_session().get_service_model("bedrock-runtime").operation_model("ConverseStream")
    inside = operation.output_shape.members["stream"].members
    names = {shape.name for shape in operation.error_shapes}
    names |= {name[:1].upper() + name[1:] for name in inside if name.endswith("Exception")}
    assert names <= BY_NAME.keys()
