"""Addresses and signatures of Amazon Bedrock.

A credential of the form ACCESS_KEY:SECRET or ACCESS_KEY:SECRET:SESSION_TOKEN signs the request
(Signature Version 4, by botocore); any other one is an API key of Bedrock's, sent as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from importlib import import_module
from threading import Thread
from typing import NamedTuple
from urllib.parse import quote

from services.core.policy.provider_types import BEDROCK
from services.core.policy.snapshot import CompiledProvider, Target

DEFAULT_REGION = "us-east-1"
_SERVICE = "bedrock"
_ACCESS_KEY = re.compile(r"\A\w+:[^\s:]+(?::\S+)?\Z")
_REGION_IN_HOST = re.compile(r"//(?:[^/]*\.)?bedrock-runtime(?:-fips)?\.([a-z]{2,}(?:-[a-z0-9]+)+)\.")


class _Keys(NamedTuple):
    """Keys as botocore reads them."""

    access_key: str
    secret_key: str
    token: str | None


def address(target: Target, *, stream: bool) -> str:
    """Where a request for `target` goes. Its model is one segment of the path, colons and slashes of ARNs included."""
    operation = "converse-stream" if stream else "converse"
    return f"{target.provider.base_url}/model/{quote(target.upstream_model, safe='-_.~')}/{operation}"


def region_of(provider: CompiledProvider) -> str:
    """The region to sign for: the one that the host names, else the provider's label `region`."""
    found = _REGION_IN_HOST.search(provider.base_url)
    return found[1] if found is not None else provider.labels.get("region", DEFAULT_REGION)


def authentication(url: str, headers: Mapping[str, str], body: bytes, credential: str, region: str) -> dict[str, str]:
    """The headers that authenticate a request; `headers` by lower-case name."""
    if not _ACCESS_KEY.match(credential):
        return {"authorization": f"Bearer {credential}"} if credential else {}
    return _signed(url, headers, body, credential, region)


def _signed(url: str, headers: Mapping[str, str], body: bytes, credential: str, region: str) -> dict[str, str]:
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest

    access, secret, token, *_ = [*credential.split(":", 2), ""]
    # Amazon wants its own headers signed; a proxy may change others.
    signed = {name: value for name, value in headers.items() if name == "content-type" or name.startswith("x-amz")}
    request = AWSRequest("POST", url, headers=signed, data=body)
    SigV4Auth(_Keys(access, secret, token or None), _SERVICE, region).add_auth(request)
    return {name.lower(): value for name, value in request.headers.items() if name.lower() not in signed}


def warm(providers: Iterable[CompiledProvider]) -> None:
    """If one of `providers` is Bedrock, import in a thread what signing needs: a fifth of a second, once."""
    if any(provider.protocol == BEDROCK for provider in providers):
        Thread(target=import_module, args=("botocore.auth",), name="botocore", daemon=True).start()
