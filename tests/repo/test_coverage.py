"""The page of coverage is complete, and nothing that a caller may send is lost silently."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from turnout.inference.v1 import chat_pb2

from services.dataplane.dialects.registry import DIALECTS
from services.dataplane.providers.registry import CODECS
from tests.replay.specs import gemini_messages
from tests.repo.pages.coverage import LOST, columns, probed
from tests.repo.pages.coverage_gemini import GEMINI
from tests.repo.pages.coverage_probes import CHAT, MESSAGES, PROBES, RESPONSES, SAME_REQUESTS, TYPED

ROOT = Path(__file__).resolve().parents[2]


def folder() -> Path | None:
    """Where the official specifications are; None: nowhere."""
    named = os.environ.get("TURNOUT_SPECS")
    found = Path(named) if named else ROOT.parent / "shared" / "specs"
    return found if found.is_dir() else None


specifications = pytest.mark.skipif(folder() is None, reason="no specifications: set TURNOUT_SPECS")


@pytest.mark.parametrize("api", PROBES)
def test_nothing_is_lost_silently(api: str) -> None:
    names = [column.name for column in columns()]
    lost = [
        (row, at) for row, _, found in probed(api, PROBES[api]) for at, o in zip(names, found, strict=True) if o == LOST
    ]
    assert not lost, "neither sent, nor told, nor refused; or say in `here` what the router does with it"


def test_every_dialect_is_probed() -> None:
    apis = {dialect.api for dialect in DIALECTS}
    assert apis == PROBES.keys() | SAME_REQUESTS.keys(), "give the new dialect its probes"


def test_every_protocol_has_a_column() -> None:
    assert {p for codec in CODECS for p in codec.protocols} == {column.protocol for column in columns()}


@pytest.mark.parametrize("api", PROBES)
def test_what_the_router_acts_on_is_among_the_fields(api: str) -> None:
    probes = PROBES[api]
    assert probes.here.keys() <= probes.fields.keys()
    assert probes.spec <= probes.fields.keys()


def test_the_typed_fields_are_those_of_the_message() -> None:
    assert [f.name for f in chat_pb2.ChatRequest.DESCRIPTOR.fields] == sorted(
        TYPED.fields, key=lambda name: chat_pb2.ChatRequest.DESCRIPTOR.fields_by_name[name].number
    )


def openapi(name: str) -> Any:
    found = folder()
    assert found is not None
    with gzip.open(found / name) as file:
        return yaml.load(file, yaml.CSafeLoader)["components"]["schemas"]


def properties(schemas: Any, schema: Any) -> Iterator[str]:
    """The members of a schema and of those that it is made of."""
    if "$ref" in schema:
        yield from properties(schemas, schemas[schema["$ref"].rpartition("/")[2]])
    yield from schema.get("properties", {})
    for part in (*schema.get("allOf", ()), *schema.get("anyOf", ())):
        yield from properties(schemas, part)


@specifications
def test_the_chat_fields_are_those_of_the_specification() -> None:
    schemas = openapi("openai-openapi.yaml.gz")
    assert set(properties(schemas, schemas["CreateChatCompletionRequest"])) == CHAT.spec


@specifications
def test_the_response_fields_are_those_of_the_specification() -> None:
    schemas = openapi("openai-openapi.yaml.gz")
    assert set(properties(schemas, schemas["CreateResponse"])) == RESPONSES.spec
    schemas = openapi("openrouter-openapi.yaml.gz")
    assert set(properties(schemas, schemas["ResponsesRequest"])) <= RESPONSES.fields.keys()


@specifications
def test_the_contents_fields_are_those_of_the_specification() -> None:
    schemas = gemini_messages()
    assert set(schemas["GenerateContentRequest"]["fields"]) == GEMINI.spec
    # The two spellings of a schema are one field in JSON.
    config = set(schemas["GenerationConfig"]["fields"]) - {"responseJsonSchemaOrdered"}
    assert config <= {name.removeprefix("generationConfig.") for name in GEMINI.parts}


@specifications
def test_the_fields_of_openrouter_are_among_the_chat_fields() -> None:
    schemas = openapi("openrouter-openapi.yaml.gz")
    assert set(properties(schemas, schemas["ChatRequest"])) <= CHAT.fields.keys()


@specifications
def test_the_message_fields_are_those_of_the_official_types() -> None:
    found = folder()
    assert found is not None
    names: set[str] = set()
    for name in ("sdk-schema-anthropic.json.gz", "sdk-schema-anthropic-beta.json.gz"):
        with gzip.open(found / name) as file:
            names |= json.load(file)["$defs"]["MessageCreateParamsNonStreaming"]["properties"].keys()
    assert names | {"stream"} == MESSAGES.spec
