"""The messages of a chat request as Gemini's contents and parts."""

from __future__ import annotations

import mimetypes
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec

from services.dataplane.exchange import Audio, File, Image, Message, Part, Text, Thinking, ToolCall, ToolResult, Video
from services.dataplane.providers.google_models import GoogleModel
from services.dataplane.translation import Untranslatable

SYSTEM = {"system", "developer"}
"""Roles that Gemini holds apart from the turns."""
UNCHECKED = "c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I="
"""Google's word for a call without a signature of the model's: do not check it. In base64, as all signatures."""
_ADDRESSED: Mapping[type, str] = {Image: "image/jpeg", Video: "video/mp4", Audio: "audio/mpeg", File: "application/pdf"}
"""What an address most likely holds when neither the request nor its name tells."""
_TYPES = mimetypes.MimeTypes()
"""The types that Python knows by itself, whatever the machine's own tables say."""
_AUDIO_TYPES = {"mp3": "audio/mp3", "pcm16": "audio/pcm", "pcm": "audio/pcm", "": "audio/wav"}

Value = dict[str, Any]


def system_of(messages: tuple[Message, ...]) -> Value:
    """The system instruction; empty: there is none.

    Raises:
        Untranslatable: It holds media.
    """
    parts = [p for m in messages if m.role in SYSTEM for p in m.parts]
    if any(not isinstance(p, Text) for p in parts):
        raise Untranslatable.because("Google takes nothing but text in system messages")
    texts = [{"text": p.text} for p in parts if isinstance(p, Text) and p.text]
    return {"parts": texts} if texts else {}


def contents_of(messages: tuple[Message, ...], model: GoogleModel, dropped: list[str]) -> list[Value]:
    """The turns; neighbours of one role become one.

    Raises:
        Untranslatable: A part has no translation.
    """
    turns: list[Value] = []
    names: dict[str, str] = {}
    unsigned = False
    for message in messages:
        if message.role in SYSTEM:
            continue
        names.update({p.id: p.name for p in message.parts if isinstance(p, ToolCall)})
        parts = _parts(message.parts, names, model)
        if model.wants_signatures:
            unsigned |= _excuse(parts)
        if not parts:
            continue
        role = "model" if message.role == "assistant" else "user"
        if turns and turns[-1]["role"] == role:
            turns[-1]["parts"].extend(parts)
        else:
            turns.append({"role": role, "parts": parts})
    if unsigned:
        dropped.append("earlier tool calls come without Google's signature, so the model goes on without its reasoning")
    for turn in turns:
        # Results of functions come before what else the caller says.
        turn["parts"].sort(key=lambda part: "functionResponse" not in part)
    return turns


def note_losses(messages: tuple[Message, ...], dropped: list[str]) -> None:
    """What Gemini's contents cannot say, once each."""
    roles = [m.role in SYSTEM for m in messages]
    if True in roles[roles.index(False) if False in roles else 0 :]:
        dropped.append("system messages inside the conversation were moved to its beginning")
    if any(m.name for m in messages):
        dropped.append("names of participants were dropped: Google has no such field")
    parts = [p for m in messages for p in m.parts]
    inner = [p for part in parts if isinstance(part, ToolResult) for p in part.content]
    if any(isinstance(p, Image) and p.detail not in {"", "auto"} for p in (*parts, *inner)):
        dropped.append("the detail of images was dropped: Google has no such field")
    if any(isinstance(p, Thinking) and p.vendor != "google" for p in parts):
        dropped.append("reasoning of earlier turns was dropped: it is not Google's")
    if any(getattr(p, "cache_control", None) for p in (*parts, *inner)):
        dropped.append("cache_control was dropped: Google caches by itself")
    if any(isinstance(p, File) and p.citations for p in (*parts, *inner)):
        dropped.append("citations of documents were dropped: Google cites what it searched, not what it was given")


def _parts(parts: tuple[Part, ...], names: Mapping[str, str], model: GoogleModel) -> list[Value]:
    found: list[Value] = []
    for part in parts:
        if isinstance(part, Text):
            found += [{"text": part.text}] if part.text else []
        elif isinstance(part, Thinking):
            _put_thinking(part, found)
        elif isinstance(part, ToolCall):
            signature = {"thoughtSignature": part.signature} if part.signature else {}
            call = {"id": part.id, "name": part.name, "args": _arguments(part)}
            found.append({"functionCall": _filled(call), **signature})
        elif isinstance(part, ToolResult):
            found += _result(part, names, model)
        else:
            found += _media(part)
    return found


def _put_thinking(part: Thinking, found: list[Value]) -> None:
    """Google's own reasoning; a signature without text belongs to the text before it."""
    if part.vendor != "google" or not (part.text or part.signature):
        return
    signature = {"thoughtSignature": part.signature} if part.signature else {}
    last = found[-1] if found else {}
    if part.text:
        found.append({"text": part.text, "thought": True, **signature})
    elif last.keys() == {"text"}:
        last.update(signature)
    else:
        found.append({"text": "", **signature})


def _excuse(parts: list[Value]) -> bool:
    """Excuse a turn's calls that nobody signed; whether there were any. The first call speaks for its neighbours."""
    calls = [part for part in parts if "functionCall" in part]
    if not calls or any("thoughtSignature" in part for part in calls):
        return False
    calls[0]["thoughtSignature"] = UNCHECKED
    return True


def _arguments(call: ToolCall) -> Value:
    try:
        value = msgspec.json.decode(call.arguments or "{}")
    except (msgspec.DecodeError, RecursionError) as error:
        told = f"the arguments of the tool call {call.id!r} are not JSON, which Google requires"
        raise Untranslatable.because(told) from error
    return value if isinstance(value, dict) else {"value": value}


def _result(result: ToolResult, names: Mapping[str, str], model: GoogleModel) -> list[Value]:
    """A function's response, and behind it the media that older models do not take inside of it."""
    name = names.get(result.call_id)
    if name is None:
        told = f"the tool result {result.call_id!r} answers no call of the conversation, and Google needs its name"
        raise Untranslatable.because(told)
    pieces = [piece for p in result.content for piece in ([{"text": p.text}] if isinstance(p, Text) else _media(p))]
    text = "\n".join(piece["text"] for piece in pieces if "text" in piece)
    media = [piece for piece in pieces if "text" not in piece]
    response = _filled({"id": result.call_id, "name": name, "response": _output(text, error=result.is_error)})
    if media and model.mixes_tools:
        response["parts"] = media
        media = []
    return [{"functionResponse": response}, *media]


def _output(text: str, *, error: bool) -> Value:
    """A response is an object; text that is JSON goes in as what it is."""
    value: Any = text
    if text[:1] in {"{", "["}:
        try:
            value = msgspec.json.decode(text)
        except (msgspec.DecodeError, RecursionError):
            value = text
    return {"error" if error else "output": value}


def _media(part: Image | Audio | Video | File) -> list[Value]:
    if isinstance(part, File):
        return _document(part)
    if part.url:
        return [_addressed(part, part.url, "" if isinstance(part, Audio) else part.media_type)]
    if not part.data:
        told = f"{type(part).__name__.lower()} input by its id has no translation for Google"
        raise Untranslatable.because(told)
    if isinstance(part, Audio):
        media_type = _AUDIO_TYPES.get(part.format, f"audio/{part.format}")
    else:
        media_type = part.media_type or ("image/png" if isinstance(part, Image) else "video/mp4")
    return [_inline(media_type, part.data)]


def _document(part: File) -> list[Value]:
    """A document, behind what the caller says about it."""
    about: list[Value] = [{"text": part.context}] if part.context else []
    if part.text:
        return [*about, {"text": part.text}]
    if part.data:
        return [*about, _inline(part.media_type or _guessed(part.name) or "application/pdf", part.data)]
    if part.url:
        return [*about, _addressed(part, part.url, part.media_type)]
    known = _known(part.media_type) or _guessed(part.file_id)
    return [*about, {"fileData": {**({"mimeType": known} if known else {}), "fileUri": part.file_id}}]


def _inline(media_type: str, data: str) -> Value:
    return {"inlineData": {"mimeType": media_type, "data": data}}


def _addressed(part: Image | Audio | Video | File, url: str, media_type: str) -> Value:
    """A file by its address, with the media type that Vertex AI demands."""
    likely = _ADDRESSED[type(part)]
    guessed = _guessed(urlsplit(url).path)
    fits = isinstance(part, File) or guessed.partition("/")[0] == likely.partition("/")[0]
    return {"fileData": {"mimeType": _known(media_type) or (guessed if fits else "") or likely, "fileUri": url}}


def _known(media_type: str) -> str:
    """A media type; empty: it is none, or a pattern such as image/*."""
    return "" if "*" in media_type else media_type


def _guessed(name: str) -> str:
    """The media type that a file's name tells; empty: it tells none."""
    return _TYPES.guess_type(name, strict=False)[0] or ""


def _filled(value: Value) -> Value:
    """`value` without an id that is empty."""
    return value if value["id"] else {name: item for name, item in value.items() if name != "id"}
