"""Documents of a chat request as Anthropic's blocks."""

from __future__ import annotations

import base64
from typing import Any

from services.dataplane.exchange import File
from services.dataplane.translation import Untranslatable

_PDF = "application/pdf"


def document_of(part: File) -> dict[str, Any]:
    """A document as a block; a picture that is kept as a file is one of its own kind.

    Raises:
        Untranslatable: Anthropic reads no document of this kind.
    """
    if part.media_type.startswith("image/"):
        return {"type": "image", "source": _picture(part), **cache_control(part.cache_control)}
    told: dict[str, Any] = {"type": "document", "source": _source(part)}
    if part.name:
        told["title"] = part.name
    if part.context:
        told["context"] = part.context
    if part.citations:
        told["citations"] = {"enabled": True}
    return {**told, **cache_control(part.cache_control)}


def cache_control(control: Any) -> dict[str, Any]:
    """A mark for the prompt cache as a member of a block; its time to live stays as it is."""
    return {"cache_control": control} if control else {}


def _source(part: File) -> dict[str, Any]:
    if part.file_id:
        return {"type": "file", "file_id": _own_id(part)}
    if part.url:
        return {"type": "url", "url": part.url}
    if part.text:
        return {"type": "text", "media_type": "text/plain", "data": part.text}
    if part.media_type.startswith("text/"):
        return {"type": "text", "media_type": "text/plain", "data": _decoded(part)}
    if part.media_type not in {"", _PDF}:
        raise Untranslatable.because(f"Anthropic reads no documents of the type {part.media_type!r}")
    return {"type": "base64", "media_type": _PDF, "data": part.data}


def _picture(part: File) -> dict[str, Any]:
    if part.file_id:
        return {"type": "file", "file_id": _own_id(part)}
    if part.url:
        return {"type": "url", "url": part.url}
    return {"type": "base64", "media_type": part.media_type, "data": part.data}


def _own_id(part: File) -> str:
    if part.file_id.startswith("file-"):
        raise Untranslatable.because("a file by its id can only be read by the provider that has it")
    return part.file_id


def _decoded(part: File) -> str:
    try:
        return base64.b64decode(part.data, validate=True).decode()
    except ValueError as error:
        raise Untranslatable.because(f"the document {part.name!r} is not text, as its type says") from error
