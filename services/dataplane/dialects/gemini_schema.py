"""Google's schemas as JSON schema.

They are OpenAPI's of old: types in capitals, `nullable` beside them, limits as text, an order of properties by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from services.core.errors import InvalidRequest
from services.dataplane.dialects.gemini_form import message, whole
from services.dataplane.dialects.reading import items

_LIMITS = ("minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties")
_AS_THEY_ARE = ("title", "description", "default", "pattern", "minimum", "maximum", "required")
_TRANSLATED = frozenset(
    [
        *_LIMITS, *_AS_THEY_ARE, "type", "format", "example", "enum", "nullable", "propertyOrdering",
        "items", "properties", "anyOf", "additionalProperties", "ref", "defs", "$defs",
    ]
)  # fmt: skip
_DEEPEST = 100


def json_schema(schema: Any, path: str, depth: int = 0) -> dict[str, Any]:
    """The JSON schema that says the same. Properties come in the order that the schema asks for.

    Raises:
        InvalidRequest: It is not well formed.
    """
    if depth > _DEEPEST:
        raise InvalidRequest(f"`{path}` is nested too deeply", param=path)
    given = message(schema, path)
    found: dict[str, Any] = {}
    kind = given.get("type")
    if isinstance(kind, str) and kind != "TYPE_UNSPECIFIED":
        found["type"] = kind.lower()
    found |= {name: given[name] for name in _AS_THEY_ARE if name in given}
    found |= {name: whole(given, name, path) for name in _LIMITS if name in given}
    if given.get("format") not in (None, "enum"):
        found["format"] = given["format"]
    if "example" in given:
        found["examples"] = [given["example"]]
    found |= {name: value for name, value in given.items() if name not in _TRANSLATED}  # JSON schema's own words
    if given.get("enum"):
        found["enum"] = list(items(given["enum"], f"{path}.enum"))
    if "ref" in given:
        found["$ref"] = given["ref"]
    _put_inner(found, given, path, depth)
    return _nullable(found) if given.get("nullable") is True else found


def _put_inner(found: dict[str, Any], given: Mapping[str, Any], path: str, depth: int) -> None:
    """The schemas inside of one."""
    if "items" in given:
        found["items"] = json_schema(given["items"], f"{path}.items", depth + 1)
    if "properties" in given:
        found["properties"] = _properties(given, path, depth)
    if given.get("anyOf"):
        branches = items(given["anyOf"], f"{path}.anyOf")
        found["anyOf"] = [json_schema(each, f"{path}.anyOf[{at}]", depth + 1) for at, each in enumerate(branches)]
    if "additionalProperties" in given:
        rest = given["additionalProperties"]
        inner = isinstance(rest, Mapping)
        found["additionalProperties"] = json_schema(rest, f"{path}.additionalProperties", depth + 1) if inner else rest
    defs = given.get("defs", given.get("$defs"))
    if isinstance(defs, Mapping):
        found["$defs"] = {name: json_schema(each, f"{path}.defs.{name}", depth + 1) for name, each in defs.items()}


def _properties(given: Mapping[str, Any], path: str, depth: int) -> dict[str, Any]:
    inside = given["properties"]
    if not isinstance(inside, Mapping):
        raise InvalidRequest(f"`{path}.properties` must be an object", param=f"{path}.properties")
    wanted = items(given.get("propertyOrdering"), f"{path}.propertyOrdering")
    order = [name for name in wanted if isinstance(name, str) and name in inside]
    names = dict.fromkeys([*order, *inside])
    return {name: json_schema(inside[name], f"{path}.properties.{name}", depth + 1) for name in names}


def _nullable(schema: dict[str, Any]) -> dict[str, Any]:
    if "anyOf" in schema:
        return {**schema, "anyOf": [*schema["anyOf"], {"type": "null"}]}
    if "enum" in schema:
        schema = {**schema, "enum": [*schema["enum"], None]}
    return {**schema, "type": [schema["type"], "null"]} if "type" in schema else schema
