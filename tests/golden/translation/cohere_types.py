"""What Cohere's v2 chat API documents of its requests, as a JSON schema: its SDK is not among our tools.

https://docs.cohere.com/reference/chat
"""

from __future__ import annotations

from typing import Any

import jsonschema

TEXT = {"type": "string"}


def _object(required: tuple[str, ...], **properties: Any) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "required": list(required), "properties": properties}


def _list(item: Any) -> dict[str, Any]:
    return {"type": "array", "items": item, "minItems": 1}


def _number(low: float, high: float, kind: str = "number") -> dict[str, Any]:
    return {"type": kind, "minimum": low, "maximum": high}


_SAID = _object(("type", "text"), type={"const": "text"}, text=TEXT)
_DETAIL = {"enum": ["auto", "low", "high"]}
_SEEN = _object(
    ("type", "image_url"), type={"const": "image_url"}, image_url=_object(("url",), url=TEXT, detail=_DETAIL)
)
_DATA = {"type": "object"}
_HELD = _object(("type", "document"), type={"const": "document"}, document=_object(("data",), data=_DATA, id=TEXT))
_FUNCTION = _object(("name", "arguments"), name=TEXT, arguments=TEXT)
_CALL = _object(("id", "type", "function"), id=TEXT, type={"const": "function"}, function=_FUNCTION)


def _content(*blocks: Any) -> dict[str, Any]:
    return {"anyOf": [TEXT, _list({"anyOf": list(blocks)})]}


_MESSAGES = {
    "anyOf": [
        _object(("role", "content"), role={"const": "system"}, content=_content(_SAID)),
        _object(("role", "content"), role={"const": "user"}, content=_content(_SAID, _SEEN)),
        _object(
            ("role",),
            role={"const": "assistant"},
            content=_content(_SAID),
            tool_calls=_list(_CALL),
            tool_plan=TEXT,
        ),
        _object(("role", "tool_call_id", "content"), role={"const": "tool"}, tool_call_id=TEXT,
                content=_content(_SAID, _HELD)),
    ]
}  # fmt: skip
_TOOL = _object(
    ("type", "function"),
    type={"const": "function"},
    function=_object(("name", "parameters"), name=TEXT, description=TEXT, parameters=_DATA),
)
REQUEST = _object(
    ("model", "stream", "messages"),
    model=TEXT,
    stream={"type": "boolean"},
    messages=_list(_MESSAGES),
    documents=_list(_object(("data",), data=_DATA, id=TEXT)),
    tools=_list(_TOOL),
    strict_tools={"type": "boolean"},
    tool_choice={"enum": ["REQUIRED", "NONE"]},
    response_format=_object(("type",), type={"enum": ["text", "json_object"]}, json_schema=_DATA),
    max_tokens=_number(0, 2**31, "integer"),
    stop_sequences={**_list(TEXT), "maxItems": 5},
    temperature=_number(0, 2),
    seed=_number(0, 2**64 - 1, "integer"),
    frequency_penalty=_number(0, 1),
    presence_penalty=_number(0, 1),
    k=_number(0, 500, "integer"),
    p=_number(0.01, 0.99),
    logprobs={"type": "boolean"},
    thinking=_object(("type",), type={"enum": ["enabled", "disabled"]}, token_budget=_number(1, 2**31, "integer")),
)


def check_cohere(body: dict[str, Any]) -> None:
    """The body is one that the documentation allows."""
    jsonschema.validate(body, REQUEST)
