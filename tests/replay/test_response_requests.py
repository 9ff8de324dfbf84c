"""Recorded requests at the Responses API: as they were where the dialect is the same, and by its specification across."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from services.core.errors import InvalidRequest
from services.core.policy.rules import ClockRule
from services.core.policy.snapshot import CompiledProvider, Target
from services.core.routing.plan import Candidate
from services.dataplane.dialects.registry import dialect_of
from services.dataplane.dialects.responses_read import read_response_request
from services.dataplane.providers.responses import ResponsesCodec
from services.dataplane.translation import Untranslatable
from tests.replay.traffic import PROVIDERS, ROOT, Exchange, exchanges, folder

recordings = pytest.mark.skipif(folder() is None, reason="no recordings: set TURNOUT_TRAFFIC")

ROUTED = {"provider"}
"""Members of recorded bodies that are for a router, and go no further."""
NOT_OURS = {
    "anthropic-messages-473002d34bfe": "top_p is -1",
    "openai-responses-5f731fff6d5e": "temperature is -1",
    "groq-chat.completions-acb0e76744ba": "service_tier is a word of Groq's",
    "groq-chat.completions-b4843f9d6aca": "service_tier is a word of Groq's",
}
"""Recorded requests that ask for what the specification forbids, and are sent as they ask."""
UNREADABLE = {"anthropic-messages-c3b0ec7178df": "a message that is no object"}
CANDIDATE = Candidate(
    Target("p/m", CompiledProvider("p", "openai", "http://127.0.0.1:1"), "gpt-4.1", api="responses"), ClockRule()
)
"""A model of OpenAI's that takes every field, called by this API."""


def specification() -> Path | None:
    """Where OpenAI's specification is; None: nowhere."""
    named = os.environ.get("TURNOUT_SPECS")
    found = (Path(named) if named else ROOT.parent / "shared" / "specs") / "openai-openapi.yaml.gz"
    return found if found.exists() else None


@cache
def validator() -> Draft202012Validator:
    where = specification()
    assert where is not None
    with gzip.open(where) as file:
        components = yaml.load(file, yaml.CSafeLoader)["components"]
    return Draft202012Validator({"$ref": "#/components/schemas/CreateResponse", "components": _loose(components)})


def _loose(value: Any) -> Any:
    """The specification with its choices that overlap, such as the two forms of a message, taken for what they mean."""
    if isinstance(value, dict):
        return {"anyOf" if name == "oneOf" else name: _loose(item) for name, item in value.items()}
    return [_loose(item) for item in value] if isinstance(value, list) else value


def requests(provider: str, *apis: str) -> list[tuple[Exchange, dict[str, Any]]]:
    """Recorded bodies; those whose model stands in the address get one."""
    found = [(e, e.request.get("body")) for e in exchanges(provider) if e.api in apis]
    return [(e, {"model": "m", **body}) for e, body in found if isinstance(body, dict)]


@recordings
@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_recorded_request_reaches_the_same_api_as_it_was(provider: str) -> None:
    for exchange, body in requests(provider, "responses"):
        data = json.dumps(body).encode()
        sent = dialect_of("responses").read(data, {}).translate(CANDIDATE).request("key")
        wanted = {name: value for name, value in body.items() if name not in ROUTED}
        assert json.loads(sent.body) == {**wanted, "model": "gpt-4.1"}, exchange.id


@recordings
@pytest.mark.skipif(specification() is None, reason="no specifications: set TURNOUT_SPECS")
@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_translated_request_is_one_by_the_specification(provider: str) -> None:
    wrong: dict[str, str] = {}
    for exchange, body in requests(provider, "chat.completions", "messages", "responses"):
        sent = _translated(exchange, body)
        errors = list(validator().iter_errors(_named(sent))) if sent is not None else []
        if bool(errors) != (exchange.id in NOT_OURS):
            wrong[exchange.id] = errors[0].message[:200] if errors else "is valid now"
    assert not wrong


def _named(body: dict[str, Any]) -> dict[str, Any]:
    """`body` with ids for reasoning that callers sent without: recorded ones were taken, whatever the specification says."""
    items = [{"id": "rs_1", **item} if item["type"] == "reasoning" else item for item in body["input"]]
    return {**body, "input": items}


def _translated(exchange: Exchange, body: Mapping[str, Any]) -> Any:
    """What the API is sent of a request, through the exchange model; None: it refuses, in words."""
    try:
        if exchange.api == "responses":
            chat = read_response_request(body, body.get("reasoning") or {})
            return json.loads(ResponsesCodec().encode(chat, CANDIDATE.target)[0])
        inbound = dialect_of(exchange.api).read(json.dumps(body).encode(), {})
        return json.loads(inbound.translate(CANDIDATE).request("key").body)
    except Untranslatable:
        return None
    except InvalidRequest:
        if exchange.id not in UNREADABLE:
            raise
        return None
