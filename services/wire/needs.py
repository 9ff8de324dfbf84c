"""What a request asks of a model, found in its bytes: nothing of a prompt is decoded for it.

One pass looks for the types of content parts; escaped quotes keep a prompt that talks about JSON apart
from JSON. Dialects say which of their members holds the turns, and the rest is the same for all.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

import msgspec

_PART = re.compile(
    rb'"type"\s*:\s*"(image_url|input_image|image|input_audio|video_url|input_video|video|file|input_file|document)"'
)
_NEED_OF = {
    b"image_url": "vision",
    b"input_image": "vision",
    b"image": "vision",
    b"input_audio": "audio",
    b"video_url": "video",
    b"input_video": "video",
    b"video": "video",
    b"file": "files",
    b"input_file": "files",
    b"document": "files",
}
_MIME = re.compile(rb'"mime_?[tT]ype"\s*:\s*"(image|audio|video|application)/')
_NEED_OF_MIME = {b"image": "vision", b"audio": "audio", b"video": "video", b"application": "files"}
_MEDIA = frozenset(("vision", "audio", "video", "files"))
_SCHEMA = re.compile(rb'"type"\s*:\s*"json_schema"')
_JSON = re.compile(rb'"type"\s*:\s*"json_(?:schema|object)"')
_EMPTY = {b"", b"null", b"[]", b"{}", b"false"}


class _TextTurn(msgspec.Struct, forbid_unknown_fields=True):
    """A turn that is a text and nothing else."""

    role: str
    content: str


_read_text_turns = msgspec.json.Decoder(list[_TextTurn]).decode

SURE_BYTES_PER_TOKEN = 8
"""Twice the usual: a prompt has at least a token per so many bytes, whatever it says."""
SMALLEST = 16_384
"""Bytes below which a prompt is not reckoned: every model takes it."""
_ESCAPED = b"\\u"
_ESCAPE_EXTRA = 5
"""Bytes of an escaped character beyond the one that it might be."""


def is_text(turns: Any) -> bool:
    """Whether each turn is a role and a text, as in most requests: no word that anybody looks for can be in these.

    To read them costs less than one search.
    """
    try:
        _read_text_turns(turns)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def part_needs(turns: Any, *, sources: bool = False) -> set[str]:
    """Media that the turns of a request hold, by the types of their parts; `turns` is JSON text."""
    data = bytes(turns)
    if b'"type"' not in data:
        return set()
    words = set(_PART.findall(data))
    if sources:
        words.discard(b"file")
    return {_NEED_OF[word] for word in words}


def mime_needs(turns: Any) -> set[str]:
    """Media that the turns of a request hold, by their media types, as Google writes them."""
    return {_NEED_OF_MIME[word] for word in set(_MIME.findall(turns))}


def needs_of(
    members: Mapping[str, Any],
    turns: str = "messages",
    form: str = "response_format",
    *,
    sources: bool = False,
    text: bool = False,
) -> frozenset[str]:
    """The capabilities that a request uses.

    Args:
        members: Members of the body, each JSON text.
        turns: Name of the member that holds the turns.
        form: Name of the member that may hold a JSON schema for the answer.
        sources: A part says where it is in a `source`, as Anthropic's do: "file" is the type of one, and no part's.
        text: The turns are known to be text.
    """
    held = None if text else members.get(turns)
    needs = part_needs(held, sources=sources) if held is not None else set()
    if _given(members, "tools"):
        needs.add("tools")
    if _given(members, "web_search_options"):
        needs.add("web_search")
    if _given(members, form) and _SCHEMA.search(members[form]):
        needs.add("json_schema")
    if "modalities" in members:
        asked = bytes(members["modalities"])
        needs |= {f"{kind}_output" for kind in ("audio", "image") if f'"{kind}"'.encode() in asked}
    return frozenset(needs)


def asks_json(members: Mapping[str, Any], form: str = "response_format") -> bool:
    """Whether the answer is to be JSON, by a schema or without one.

    Args:
        members: Members of the body, each JSON text.
        form: Name of the member that says so.
    """
    return _given(members, form) and _JSON.search(members[form]) is not None


def _given(members: Mapping[str, Any], name: str) -> bool:
    value = members.get(name)
    return value is not None and bytes(value) not in _EMPTY


def least_tokens(turns: Any, needs: Collection[str] = ()) -> int:
    """Tokens that the turns have at least; 0: few, or nobody can say.

    Half of what is usual, so that a target is left out only if the prompt surely does not fit. Media
    count by rules of their own, so nothing is said of a prompt with any.
    """
    data: bytes = b"" if turns is None else bytes(turns)
    if len(data) < SMALLEST or not _MEDIA.isdisjoint(needs):
        return 0
    return (len(data) - _ESCAPE_EXTRA * data.count(_ESCAPED)) // SURE_BYTES_PER_TOKEN


def body_needs(body: bytes) -> tuple[frozenset[str], int]:
    """The needs and least tokens of a whole chat body, for a simulation.

    Raises:
        msgspec.DecodeError: It is no JSON object.
    """
    members = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    needs = needs_of(members)
    return needs, least_tokens(members.get("messages"), needs)
