"""The contents and parts of Google-style requests as messages of the exchange model.

Google's calls of functions need no ids: their results find them by name and order. Other protocols need ids, so
calls without one get one, the same whenever this conversation is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from services.core.errors import InvalidRequest
from services.core.values import changed
from services.dataplane.dialects.gemini_form import Losses, message, messages
from services.dataplane.exchange import Audio, File, Image, Message, Part, Text, Thinking, ToolCall, ToolResult, Video
from services.dataplane.proofs import opened_for_google
from services.dataplane.providers.google_turns import UNCHECKED
from services.dataplane.translation import Untranslatable

_PART = (
    "text", "thought", "thoughtSignature", "inlineData", "fileData", "functionCall", "functionResponse",
    "executableCode", "codeExecutionResult", "toolCall", "toolResponse",
)  # fmt: skip
_CALL = ("id", "name", "args")
_RESPONSE = ("id", "name", "response", "parts")
_ROLES: Mapping[str, str] = {"user": "user", "model": "assistant", "function": "user", "": "user"}
_VENDOR = "google"
_AUDIO: Mapping[str, str] = {"mpeg": "mp3", "x-wav": "wav", "wave": "wav", "pcm": "pcm16", "l16": "pcm16"}
"""Sound formats whose name in a media type is not the exchange model's."""


class ContentReader:
    """Reads the contents of one request."""

    def __init__(self, losses: Losses) -> None:
        self._losses = losses
        self._unanswered: list[ToolCall] = []
        self._calls = 0

    def conversation(self, contents: Any) -> tuple[Message, ...]:
        """The messages of a request.

        Raises:
            InvalidRequest: They are not well formed.
            Untranslatable: They hold what only Google's models can carry.
        """
        found = []
        for index, content in enumerate(messages(contents, "contents")):
            path = f"contents[{index}]"
            role = content.get("role", "")
            if not isinstance(role, str) or role not in _ROLES:
                raise InvalidRequest(f"`{path}.role` must be user or model", param=f"{path}.role")
            self._losses.unknown(content, ("role", "parts"), " of contents")
            parts = _joined(self._parts(content.get("parts"), f"{path}.parts"))
            if parts:
                found.append(Message(_ROLES[role], parts))
        return tuple(found)

    def system(self, content: Any) -> tuple[Message, ...]:
        """The system instruction, which some clients send as plain text.

        Raises:
            InvalidRequest: It is not well formed.
        """
        if isinstance(content, str):
            return (Message("system", (Text(content),)),) if content else ()
        given = message(content, "systemInstruction")
        parts = tuple(self._parts(given.get("parts"), "systemInstruction.parts"))
        return (Message("system", parts),) if parts else ()

    def _parts(self, given: Any, path: str) -> list[Part]:
        # One part alone is an object in old clients.
        listed = [given] if isinstance(given, Mapping) else given
        found: list[Part] = []
        for index, part in enumerate(messages(listed, path)):
            self._losses.unknown(part, _PART, " of parts")
            found += self._part(part, f"{path}[{index}]")
        return found

    def _part(self, part: Mapping[str, Any], path: str) -> list[Part]:
        proof = _text(part, "thoughtSignature", path)
        proof = "" if proof == UNCHECKED else proof
        if part.get("thought") is True:
            found = opened_for_google(proof)
            vendor = found.vendor if proof else _VENDOR
            return [changed(found, text=_text(part, "text", path), vendor=vendor)]
        if "functionCall" in part:
            return [self._call(message(part["functionCall"], f"{path}.functionCall"), proof, f"{path}.functionCall")]
        signed: list[Part] = [opened_for_google(proof)] if proof else []
        if "functionResponse" in part:
            name = f"{path}.functionResponse"
            return [self._response(message(part["functionResponse"], name), name)]
        if "inlineData" in part:
            return [_inline(message(part["inlineData"], f"{path}.inlineData"), f"{path}.inlineData"), *signed]
        if "fileData" in part:
            return [_addressed(message(part["fileData"], f"{path}.fileData"), f"{path}.fileData"), *signed]
        for name in ("executableCode", "codeExecutionResult"):
            if name in part:
                raise Untranslatable.because(f"{path}: {name} has no translation for this model's provider")
        if "toolCall" in part or "toolResponse" in part:
            self._losses.add("calls of Google's own tools in earlier turns were dropped: they have no translation")
            return []
        text = _text(part, "text", path)
        return [Text(text), *signed] if text else signed

    def _call(self, given: Mapping[str, Any], proof: str, path: str) -> ToolCall:
        name = _text(given, "name", path)
        if not name:
            raise InvalidRequest(f"`{path}.name` is missing", param=f"{path}.name")
        self._losses.unknown(given, _CALL, " of function calls")
        arguments = msgspec.json.encode(message_args(given.get("args"), f"{path}.args")).decode()
        self._calls += 1
        own = _text(given, "id", path) or f"call_{self._calls}_{name}"[:40]
        call = ToolCall(own, name, arguments, opened_for_google(proof).signature if proof else "")
        self._unanswered.append(call)
        return call

    def _response(self, given: Mapping[str, Any], path: str) -> ToolResult:
        self._losses.unknown(given, _RESPONSE, " of function responses")
        call = self._answered(_text(given, "id", path), _text(given, "name", path))
        if call is None:
            told = f"`{path}` answers no call of the conversation"
            raise InvalidRequest(told, param=path)
        text, failed = _told(message_args(given.get("response"), f"{path}.response"))
        content: list[Any] = [Text(text)] if text else []
        for index, part in enumerate(messages(given.get("parts"), f"{path}.parts")):
            where = f"{path}.parts[{index}]"
            if "inlineData" in part:
                content.append(_inline(message(part["inlineData"], f"{where}.inlineData"), f"{where}.inlineData"))
            elif "fileData" in part:
                content.append(_addressed(message(part["fileData"], f"{where}.fileData"), f"{where}.fileData"))
            self._losses.unknown(part, ("inlineData", "fileData"), " of parts of function responses")
        return ToolResult(call.id, tuple(content), failed)

    def _answered(self, call_id: str, name: str) -> ToolCall | None:
        """The first call that a response fits and nothing has answered yet."""
        fitting = [c for c in self._unanswered if call_id and c.id == call_id]
        fitting = fitting or [c for c in self._unanswered if c.name == name]
        if not fitting:
            return None
        self._unanswered.remove(fitting[0])
        return fitting[0]


def message_args(value: Any, path: str) -> Mapping[str, Any]:
    """An object whose names are the caller's own, and stay as they are.

    Raises:
        InvalidRequest: It is something else.
    """
    if value is None:
        return {}
    if isinstance(value, Mapping):
        return value
    raise InvalidRequest(f"`{path}` must be an object", param=path)


def _told(response: Mapping[str, Any]) -> tuple[str, bool]:
    """What a function said, as text, and whether it failed. Google's words for both are members of the object."""
    for name in ("output", "result", "error"):
        if response.keys() == {name}:
            value = response[name]
            text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
            return text, name == "error"
    return (msgspec.json.encode(response).decode() if response else ""), False


def _joined(parts: list[Part]) -> tuple[Part, ...]:
    """Parts of one turn; reasoning that a stream cut into pieces is one again."""
    found: list[Part] = []
    for part in parts:
        last = found[-1] if found else None
        if isinstance(part, Thinking) and isinstance(last, Thinking) and _goes_on(last, part):
            found[-1] = changed(part, text=last.text + part.text)
        else:
            found.append(part)
    return tuple(found)


def _goes_on(last: Thinking, part: Thinking) -> bool:
    """Whether reasoning goes on with the part before it: nothing has proved that one yet."""
    return bool(last.text) and not (last.signature or last.redacted or part.redacted)


def _inline(given: Mapping[str, Any], path: str) -> Image | Audio | Video | File:
    data, media_type = _text(given, "data", path), _text(given, "mimeType", path)
    if not data or not media_type:
        name = "mimeType" if data else "data"
        raise InvalidRequest(f"`{path}.{name}` is missing", param=f"{path}.{name}")
    data = data.replace("-", "+").replace("_", "/")  # SDKs write bytes in the alphabet for addresses
    data += "=" * (-len(data) % 4)
    kind, _, sub = media_type.partition("/")
    if kind == "image":
        return Image(data=data, media_type=media_type)
    if kind == "audio":
        return Audio(data=data, format=_sound(sub))
    if kind == "video":
        return Video(data=data, media_type=media_type)
    return File(data=data, media_type=media_type, name=_text(given, "displayName", path))


def _addressed(given: Mapping[str, Any], path: str) -> Image | Audio | Video | File:
    url, media_type = _text(given, "fileUri", path), _text(given, "mimeType", path)
    if not url:
        raise InvalidRequest(f"`{path}.fileUri` is missing", param=f"{path}.fileUri")
    if not url.startswith(("http://", "https://")) or "generativelanguage.googleapis.com" in url:
        # Files at Google's own stores: their address is an id to everybody else.
        return File(file_id=url, media_type=media_type, name=_text(given, "displayName", path))
    kind, _, sub = media_type.partition("/")
    if kind == "image":
        return Image(url=url, media_type=media_type)
    if kind == "audio":
        return Audio(url=url, format=_sound(sub))
    if kind == "video" or not kind:
        # Without a type it is a film at YouTube, which is the one address that needs none.
        return Video(url=url, media_type=media_type)
    return File(url=url, media_type=media_type, name=_text(given, "displayName", path))


def _sound(subtype: str) -> str:
    name = subtype.partition(";")[0].strip().lower()
    return _AUDIO.get(name, name)


def _text(given: Mapping[str, Any], name: str, path: str) -> str:
    """Text; empty when it is not there.

    Raises:
        InvalidRequest: It is something else.
    """
    value = given.get(name)
    if value is None or isinstance(value, str):
        return value or ""
    raise InvalidRequest(f"`{path}.{name}` must be text", param=f"{path}.{name}")
