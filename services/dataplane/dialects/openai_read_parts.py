"""The parts of OpenAI-style messages: text, pictures, sound, documents, and the videos of OpenRouter and vLLM."""

from __future__ import annotations

import mimetypes
from collections.abc import Mapping
from typing import Any

from services.core.errors import InvalidRequest
from services.dataplane.data_url import split_data_url
from services.dataplane.dialects.reading import objects
from services.dataplane.exchange import Audio, File, Image, Text, Thinking, Video
from services.dataplane.translation import Untranslatable

Content = Text | Image | Audio | Video | File


def read_content(content: Any, path: str) -> tuple[Content, ...]:
    """The parts of a content, which may be plain text.

    Raises:
        InvalidRequest: It is not well formed.
        Untranslatable: It holds what only this protocol can carry.
    """
    if content is None:
        return ()
    if isinstance(content, str):
        return (Text(content),) if content else ()
    if not isinstance(content, list):
        raise InvalidRequest(f"`{path}.content` must be text or a list of parts", param=f"{path}.content")
    return tuple(_part(p, f"{path}.content[{i}]") for i, p in enumerate(objects(content, f"{path}.content")))


def split_thoughts(content: Any) -> tuple[list[Thinking], Any]:
    """Reasoning in an assistant's content, as Mistral's clients send it back, and the rest; references say nothing here."""
    if not isinstance(content, list):
        return [], content
    thoughts, rest = [], []
    for part in content:
        kind = part.get("type") if isinstance(part, Mapping) else None
        if kind == "thinking":
            inner = part.get("thinking")
            pieces = inner if isinstance(inner, list) else []
            texts = [p["text"] for p in pieces if isinstance(p, Mapping) and isinstance(p.get("text"), str)]
            thoughts += [Thinking("".join(texts))] if any(texts) else []
        elif kind != "reference":
            rest.append(part)
    return thoughts, rest


def _document(part: Mapping[str, Any], path: str) -> File:
    """A document as Mistral's clients give it: by an address, which may hold it."""
    url, held = _address(part, "document_url", path)
    media_type, data = held or ("", "")
    return File(url=url, data=data, media_type=media_type, name=str(part.get("document_name") or ""))


def _part(part: Mapping[str, Any], path: str) -> Content:
    kind = part.get("type")
    if kind in ("text", "input_text", "refusal"):
        return Text(str(part.get("text") or part.get("refusal") or ""), part.get("cache_control"))
    if kind == "image_url":
        return _image(part, path)
    if kind == "input_audio":
        return _audio(part, path)
    if kind == "audio_url":
        return _audio_by_address(part, path)
    if kind in ("video_url", "input_video"):
        return _video(part, path)
    if kind == "file":
        return _file(part, path)
    if kind == "document_url":
        return _document(part, path)
    raise Untranslatable.because(f"`{path}`: a part of type {kind!r} has no translation for this model's provider")


def _address(part: Mapping[str, Any], name: str, path: str) -> tuple[str, tuple[str, str] | None]:
    """An address, and what it holds by value, of a part such as `{"image_url": {"url": …}}`."""
    value = part.get(name)
    url = value.get("url") if isinstance(value, Mapping) else value
    if not isinstance(url, str) or not url:
        raise InvalidRequest(f"`{path}.{name}.url` is missing", param=f"{path}.{name}.url")
    if not url.startswith("data:"):
        return url, None
    held = split_data_url(url)
    if held is None:
        raise InvalidRequest(f"`{path}.{name}.url` is not a base64 data URL", param=f"{path}.{name}.url")
    return "", held


def _image(part: Mapping[str, Any], path: str) -> Image:
    url, held = _address(part, "image_url", path)
    value = part["image_url"]
    detail = str(value.get("detail") or "") if isinstance(value, Mapping) else ""
    media_type, data = held or ("", "")
    return Image(url, data, media_type, detail, part.get("cache_control"))


def _audio(part: Mapping[str, Any], path: str) -> Audio:
    given = part.get("input_audio")
    data = given.get("data") if isinstance(given, Mapping) else None
    if not isinstance(given, Mapping) or not isinstance(data, str) or not data:
        raise InvalidRequest(f"`{path}.input_audio.data` is missing", param=f"{path}.input_audio.data")
    kind = str(given.get("format") or "")
    held = split_data_url(data)
    if held is not None:
        media_type, data = held
        kind = kind or media_type.partition("/")[2]
    return Audio(data, format=kind or "wav")


def _audio_by_address(part: Mapping[str, Any], path: str) -> Audio:
    url, held = _address(part, "audio_url", path)
    media_type, data = held or ("", "")
    return Audio(data, url, media_type.partition("/")[2])


def _video(part: Mapping[str, Any], path: str) -> Video:
    url, held = _address(part, "video_url", path)
    media_type, data = held or ("", "")
    return Video(url, data, media_type)


def _file(part: Mapping[str, Any], path: str) -> File:
    given = part.get("file")
    if not isinstance(given, Mapping):
        raise InvalidRequest(f"`{path}.file` is missing", param=f"{path}.file")
    name, control = str(given.get("filename") or ""), part.get("cache_control")
    named = given.get("file_id")
    if isinstance(named, str) and named:
        return File(file_id=named, name=name, cache_control=control)
    data = given.get("file_data")
    if not isinstance(data, str) or not data:
        raise InvalidRequest(f"`{path}.file` needs `file_data` or `file_id`", param=f"{path}.file")
    guessed = mimetypes.guess_type(name)[0] or "application/pdf"
    if data.startswith(("https://", "http://")):
        return File(url=data, media_type=mimetypes.guess_type(name or data)[0] or "", name=name, cache_control=control)
    if not data.startswith("data:"):
        return File(data=data, media_type=guessed, name=name, cache_control=control)
    held = split_data_url(data)
    if held is None:
        raise InvalidRequest(f"`{path}.file.file_data` is not a base64 data URL", param=f"{path}.file.file_data")
    return File(data=held[1], media_type=held[0] or guessed, name=name, cache_control=control)
