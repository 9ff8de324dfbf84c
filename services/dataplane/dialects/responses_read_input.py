"""Input items of the Responses API as messages of the exchange model.

Everything that the model said in one go is one message, as it is everywhere else: reasoning, text and
calls that follow each other. State that only its keeper has cannot be translated.
"""

from __future__ import annotations

import mimetypes
from collections.abc import Mapping
from typing import Any

from services.core.errors import InvalidRequest
from services.core.values import changed
from services.dataplane.data_url import split_data_url
from services.dataplane.dialects.reading import objects, text
from services.dataplane.exchange import File, Image, Message, Part, Text, Thinking, ToolCall, ToolResult
from services.dataplane.proofs import CALL, opened
from services.dataplane.providers.responses_wire import call_id, text_in, thought_of, vendor_of
from services.dataplane.translation import Untranslatable

_ROLES = ("user", "assistant", "system", "developer")
_TEXTS = {"input_text": "text", "output_text": "text", "text": "text", "refusal": "refusal"}
_FORGOTTEN = {"web_search_call"}
"""What a tool of the provider did in an earlier turn; the text that came of it is a message of its own."""

Item = Mapping[str, Any]
Content = Text | Image | File


def read_input(given: Any, warnings: list[str]) -> tuple[Message, ...]:
    """The messages of `input`.

    Args:
        warnings: What is dropped is told here.

    Raises:
        InvalidRequest: An item is not well formed.
        Untranslatable: One holds what only this API can carry.
    """
    if isinstance(given, str):
        return (Message("user", (Text(given),)),)
    messages: list[Message] = []
    for index, item in enumerate(objects(given, "input")):
        message = _message(item, f"input[{index}]", warnings)
        if message is None:
            continue
        if messages and message.role == messages[-1].role == "assistant":
            messages[-1] = Message("assistant", _joined(messages[-1].parts, message.parts))
        else:
            messages.append(message)
    return tuple(messages)


def _message(item: Item, path: str, warnings: list[str]) -> Message | None:
    kind = text(item, "type", f"{path}.type") or ("message" if "role" in item else None)
    if kind == "message":
        return _spoken(item, path)
    if kind == "function_call":
        return Message("assistant", (_call(item, path),))
    if kind == "function_call_output":
        return Message("user", (_result(item, path),))
    if kind == "reasoning":
        return Message("assistant", (_reasoning(item),))
    if kind in _FORGOTTEN:
        warnings.append(f"`{path}` of type {kind!r} was dropped: it has no translation")
        return None
    if kind == "item_reference":
        raise Untranslatable.because(f"`{path}` refers to an item that only its own provider has; send the item itself")
    raise Untranslatable.because(f"`{path}`: an item of type {kind!r} has no translation for this model's provider")


def _reasoning(item: Item) -> Thinking:
    """Reasoning with its proof, which may be another vendor's, or that of the call behind it."""
    proof = text_in(item, "encrypted_content")
    found = opened(proof, vendor_of(proof))
    return changed(found, text=thought_of(item), id=found.id or text_in(item, "id"))


def _joined(before: tuple[Part, ...], after: tuple[Part, ...]) -> tuple[Part, ...]:
    """What the model said, in one; the proof of a call goes back into the call."""
    last = before[-1] if before else None
    call = after[0] if after else None
    if isinstance(last, Thinking) and last.vendor == CALL:
        if isinstance(call, ToolCall):
            return (*before[:-1], changed(call, signature=last.signature), *after[1:])
        return (*before[:-1], *after)
    return (*before, *after)


def _spoken(item: Item, path: str) -> Message:
    role = item.get("role")
    if not isinstance(role, str) or role not in _ROLES:
        raise InvalidRequest(f"`{path}.role` must be one of {', '.join(sorted(_ROLES))}", param=f"{path}.role")
    return Message(role, tuple(_content(item.get("content"), f"{path}.content")))


def _content(content: Any, path: str) -> list[Part]:
    if content is None:
        return []
    if isinstance(content, str):
        return [Text(content)] if content else []
    if not isinstance(content, list):
        raise InvalidRequest(f"`{path}` must be text or a list of parts", param=path)
    return [_part(part, f"{path}[{index}]") for index, part in enumerate(objects(content, path))]


def _part(part: Item, path: str) -> Content:
    kind = part.get("type")
    name = _TEXTS.get(kind) if isinstance(kind, str) else None
    if name is not None:
        return Text(text_in(part, name))
    if kind == "input_image":
        return _image(part, path)
    if kind == "input_file":
        return _file(part, path)
    raise Untranslatable.because(f"`{path}`: a part of type {kind!r} has no translation for this model's provider")


def _image(part: Item, path: str) -> Image | File:
    detail, named = text_in(part, "detail"), text_in(part, "file_id")
    if named:
        return File(file_id=named, media_type="image/*")
    url = part.get("image_url")
    if not isinstance(url, str) or not url:
        raise InvalidRequest(f"`{path}.image_url` is missing", param=f"{path}.image_url")
    if not url.startswith("data:"):
        return Image(url=url, detail=detail)
    held = split_data_url(url)
    if held is None:
        raise InvalidRequest(f"`{path}.image_url` is not a base64 data URL", param=f"{path}.image_url")
    return Image(data=held[1], media_type=held[0], detail=detail)


def _file(part: Item, path: str) -> File:
    name = text_in(part, "filename")
    if text_in(part, "file_id"):
        return File(file_id=text_in(part, "file_id"), name=name)
    if text_in(part, "file_url"):
        url = text_in(part, "file_url")
        return File(url=url, media_type=mimetypes.guess_type(name or url)[0] or "", name=name)
    data = text_in(part, "file_data")
    if not data:
        raise InvalidRequest(f"`{path}` needs `file_data`, `file_url` or `file_id`", param=path)
    guessed = mimetypes.guess_type(name)[0] or "application/pdf"
    if not data.startswith("data:"):
        return File(data=data, media_type=guessed, name=name)
    held = split_data_url(data)
    if held is None:
        raise InvalidRequest(f"`{path}.file_data` is not a base64 data URL", param=f"{path}.file_data")
    return File(data=held[1], media_type=held[0] or guessed, name=name)


def _call(item: Item, path: str) -> ToolCall:
    name, arguments = item.get("name"), item.get("arguments")
    if not isinstance(name, str) or not name:
        raise InvalidRequest(f"`{path}.name` is missing", param=f"{path}.name")
    if arguments is not None and not isinstance(arguments, str):
        raise InvalidRequest(f"`{path}.arguments` must be text", param=f"{path}.arguments")
    return ToolCall(call_id(item), name, arguments or "{}")


def _result(item: Item, path: str) -> ToolResult:
    output = item.get("output")
    if not isinstance(item.get("call_id"), str):
        raise InvalidRequest(f"`{path}.call_id` is missing", param=f"{path}.call_id")
    content = _content(output, f"{path}.output")
    return ToolResult(text_in(item, "call_id"), tuple(p for p in content if isinstance(p, (Text, Image, File))))
