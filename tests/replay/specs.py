"""The vendors' own descriptions of their APIs, from the folder that TURNOUT_SPECS names, or from beside the checkout.

Like the recordings they are not part of this repository; tests that need them skip without them.
"""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from tests.replay.traffic import ROOT

GEMINI = "gemini-generativelanguage-v1beta.protos.json.gz"
VERTEX = "vertex-aiplatform-v1.discovery-subset.json.gz"
NEWER: Mapping[str, set[str]] = {
    "GenerateContentRequest": {"serviceTier"},
    "ThinkingConfig": {"thinkingLevel"},
    "ToolConfig": {"includeServerSideToolInvocations"},
    "FunctionResponsePart": {"fileData"},
}
"""What Google's SDK and its recorded answers know of AI Studio, and this older description does not."""

_NUMBERS = {"int32", "int64", "float", "double"}
_OPEN = {"google.protobuf.Value", "google.protobuf.Struct"}
_PREFIX = "GoogleCloudAiplatformV1"


def folder() -> Path | None:
    """Where the descriptions are; None: nowhere."""
    named = os.environ.get("TURNOUT_SPECS")
    found = Path(named) if named else ROOT.parent / "shared" / "specs"
    return found if found.is_dir() else None


@cache
def _read(name: str) -> Any:
    where = folder()
    assert where is not None, "no specifications: set TURNOUT_SPECS"
    return json.loads(gzip.decompress((where / name).read_bytes()))


@cache
def gemini_messages() -> Mapping[str, Any]:
    """The messages of AI Studio's protos by name."""
    at = _read(GEMINI)
    while "GenerateContentRequest" not in at["nested"]:
        at = next(iter(at["nested"].values()))
    found: Mapping[str, Any] = at["nested"]
    return found


def gemini_problems(value: Any, name: str = "GenerateContentRequest", path: str = "") -> Iterator[str]:
    """What AI Studio's description does not know in a request's body."""
    message = gemini_messages()[name]
    if not isinstance(value, dict):
        yield f"{path}: not a {name}"
        return
    inner = {**gemini_messages(), **message.get("nested", {})}
    for member, item in value.items():
        if member in NEWER.get(name, ()):
            continue
        field = message["fields"].get(member)
        if field is None:
            yield f"{path}.{member}: {name} has no such field"
            continue
        repeated = field.get("rule") == "repeated"
        if repeated is not isinstance(item, list) and field["type"] not in _OPEN:
            yield f"{path}.{member}: a list or not"
            continue
        for index, each in enumerate(item if repeated else [item]):
            yield from _value_problems(each, field["type"], inner, f"{path}.{member}[{index}]")


def _value_problems(value: Any, kind: str, inner: Mapping[str, Any], path: str) -> Iterator[str]:
    if kind in _OPEN:
        return
    words = inner.get(kind, {}).get("values")
    fits = {
        "string": isinstance(value, str),
        "bytes": isinstance(value, str),
        "bool": isinstance(value, bool),
    }.get(kind, isinstance(value, (int, float)) and not isinstance(value, bool))
    if words is not None:
        if value not in words:
            yield f"{path}: {value!r} is no {kind}"
    elif kind in {"string", "bytes", "bool", *_NUMBERS}:
        if not fits or (kind == "int32" and not -(2**31) <= value < 2**31):
            yield f"{path}: {value!r} is no {kind}"
    elif "fields" in inner.get(kind, {}) and kind in gemini_messages():
        yield from gemini_problems(value, kind, path)


def vertex_problems(value: Any, name: str = f"{_PREFIX}GenerateContentRequest", path: str = "") -> Iterator[str]:
    """What Vertex AI's description does not know in a request's body."""
    schema = _read(VERTEX)["schemas"][name]
    if not isinstance(value, dict):
        yield f"{path}: not a {name}"
        return
    for member, item in value.items():
        known = schema.get("properties", {}).get(member)
        if known is None:
            yield f"{path}.{member}: {name.removeprefix(_PREFIX)} has no such field"
        else:
            yield from _schema_problems(item, known, f"{path}.{member}")


_TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,), "boolean": (bool,), "integer": (int,), "number": (int, float), "object": (dict,), "array": (list,),
}  # fmt: skip


def _schema_problems(value: Any, schema: Mapping[str, Any], path: str) -> Iterator[str]:
    if "$ref" in schema:
        yield from vertex_problems(value, schema["$ref"], path)
        return
    kind = schema["type"]
    if kind == "any":
        return
    if not isinstance(value, _TYPES[kind]) or (isinstance(value, bool) and kind != "boolean"):
        yield f"{path}: {value!r} is no {kind}"
    elif kind == "array":
        for index, item in enumerate(value):
            yield from _schema_problems(item, schema["items"], f"{path}[{index}]")
    elif "enum" in schema and value not in schema["enum"]:
        yield f"{path}: {value!r} is none of {schema['enum']}"
