"""Pictures, films, sounds and documents as Converse's blocks: by value, or by an address of S3."""

from __future__ import annotations

import re
from base64 import b64encode
from typing import Any

from services.dataplane.exchange import Audio, File, Image, Video
from services.dataplane.translation import Untranslatable

_IMAGES = {"png", "jpeg", "gif", "webp"}
_VIDEOS = {"mkv", "mov", "mp4", "webm", "flv", "mpeg", "mpg", "wmv", "three_gp"}
_AUDIOS = {
    "mp3", "opus", "wav", "aac", "flac", "mp4", "ogg", "mkv", "mka", "x-aac", "m4a", "mpeg", "mpga", "pcm", "webm",
}  # fmt: skip
_DOCUMENTS = {"pdf", "csv", "doc", "docx", "xls", "xlsx", "html", "txt", "md"}

_OTHER_NAMES = {
    "jpg": "jpeg",
    "x-matroska": "mkv",
    "quicktime": "mov",
    "x-flv": "flv",
    "x-ms-wmv": "wmv",
    "3gpp": "three_gp",
    "x-wav": "wav",
    "wave": "wav",
    "x-m4a": "m4a",
    "pcm16": "pcm",
    "plain": "txt",
    "markdown": "md",
    "x-markdown": "md",
    "msword": "doc",
    "vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "vnd.ms-excel": "xls",
    "vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
}
"""Second parts of media types that Bedrock calls by another name."""

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9\s()\[\]-]+")
_SPACES = re.compile(r"\s+")
_LONGEST_NAME = 200


def image(part: Image) -> dict[str, Any]:
    form = _format(part.media_type, part.url, _IMAGES, "images") if part.media_type or part.url else "png"
    return {"image": {"format": form, "source": _source(part.url, part.data, "images")}}


def video(part: Video) -> dict[str, Any]:
    form = _format(part.media_type, part.url, _VIDEOS, "videos")
    return {"video": {"format": form, "source": _source(part.url, part.data, "videos")}}


def audio(part: Audio) -> dict[str, Any]:
    form = _format(part.format, part.url, _AUDIOS, "audio")
    return {"audio": {"format": form, "source": _source(part.url, part.data, "audio")}}


class Documents:
    """Makes the document blocks of one request; no two of them may have the same name."""

    def __init__(self) -> None:
        self._names: set[str] = set()

    def block(self, part: File) -> dict[str, Any]:
        """The block of `part`.

        Raises:
            Untranslatable: It is not here, or of a kind that Bedrock does not take.
        """
        if part.file_id:
            raise Untranslatable.because("documents by the id of another provider have no translation to Bedrock")
        if part.text:
            form = _known(part.media_type, _DOCUMENTS) or "txt"
        else:
            form = _format(part.media_type, part.name or part.url, _DOCUMENTS, "documents")
        body: dict[str, Any] = {"format": form, "name": self._name(part), "source": _document_source(part)}
        if part.context:
            body["context"] = part.context
        if part.citations:
            body["citations"] = {"enabled": True}
        return {"document": body}

    def _name(self, part: File) -> str:
        """A name in the characters that Bedrock takes; the model reads it."""
        stem = part.name.rsplit(".", 1)[0] if _ending(part.name) in _DOCUMENTS else part.name
        plain = _SPACES.sub(" ", _NOT_IN_NAMES.sub(" ", stem)).strip()[: _LONGEST_NAME - 8].strip() or "document"
        name, number = plain, 1
        while name in self._names:
            number += 1
            name = f"{plain} {number}"
        self._names.add(name)
        return name


def _document_source(part: File) -> dict[str, Any]:
    if not part.text:
        return _source(part.url, part.data, "documents")
    # Plain text is taken as such only where it is to be cited.
    return {"text": part.text} if part.citations else {"bytes": b64encode(part.text.encode()).decode()}


def _source(url: str, data: str, kind: str) -> dict[str, Any]:
    if data:
        return {"bytes": data}
    if url.startswith("s3://"):
        return {"s3Location": {"uri": url}}
    raise Untranslatable.because(
        f"{kind} by address have no translation to Bedrock, which takes bytes and S3's addresses"
    )


def _format(media_type: str, name: str, known: set[str], kind: str) -> str:
    """Bedrock's word for a format: of the media type, else of the ending of `name`."""
    found = _known(media_type, known) or ("" if media_type else _known(_ending(name), known))
    if not found:
        told = f"{kind} of this type" if not media_type else f"{kind} of the type {media_type[:60]!r}"
        raise Untranslatable.because(f"{told} have no translation to Bedrock")
    return found


def _known(media_type: str, known: set[str]) -> str:
    word = media_type.lower().partition(";")[0].rpartition("/")[2].strip()
    word = _OTHER_NAMES.get(word, word)
    return word if word in known else ""


def _ending(name: str) -> str:
    return name.rpartition(".")[2].lower() if "." in name else ""
