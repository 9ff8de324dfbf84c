"""Forms (multipart/form-data): where their parts lie, what their fields say, and the form with another model.

A form holds files of many megabytes. It is searched, never decoded: parts are known by their offsets, and
what goes on to a provider is joined from pieces of what came. RFC 2046 §5.1, RFC 7578.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from python_multipart.multipart import parse_options_header

from services.core.errors import InvalidRequest

FORM = "multipart/form-data"
MAX_PARTS = 200
_MAX_PART_HEADERS = 8 * 1024
_MAX_LOOKALIKES = 1_000
_LONGEST_FIELD = 1024 * 1024
"""Of a field that is read; files, and fields that only pass, may be larger."""
_JSON_FIELDS = ("provider", "fallback", "metadata", "extra_body")
"""Fields of ours that are objects; a form has them as JSON text, or with brackets in the name."""
_TYPED = ("provider", "fallback")
"""Of those: objects with numbers and booleans in them, which a form has as text."""
_BROKEN = "the form breaks off: its last boundary is missing"


@dataclass(frozen=True, slots=True)
class Part:
    """One part: from `begin` (its boundary) to `stop`; its data from `start` to `end`."""

    name: str
    is_file: bool
    begin: int
    start: int
    end: int
    stop: int


@dataclass(frozen=True, slots=True)
class Form:
    """A form as it came. `closing` is where its last boundary begins."""

    body: bytes = field(repr=False)
    boundary: bytes
    content_type: str
    parts: Sequence[Part]
    closing: int

    def has(self, name: str) -> bool:
        """Whether there is a part of this name, be it empty."""
        return any(base_name(part.name) == name for part in self.parts)

    def file(self, name: str) -> bytes | None:
        """The bytes of the first file of this name; None: there is none."""
        part = next((part for part in self.parts if part.is_file and base_name(part.name) == name), None)
        return None if part is None else self.body[part.start : part.end]

    def fields(self) -> dict[str, Any]:
        """What the fields say: text, lists (`name[]`, or a name that comes twice) and objects (`name[key]`).

        Raises:
            InvalidRequest: A field is no text, or too long to be read.
        """
        found: dict[str, Any] = {}
        for part in self.parts:
            if not part.is_file:
                _place(found, _keys(part.name), self._text(part))
        for name in _JSON_FIELDS:
            if isinstance(found.get(name), str):
                found[name] = _json(found[name], name)
            elif name in _TYPED and name in found:
                found[name] = _typed(found[name])
        return found

    def rewritten(
        self, model: str, dropped: Callable[[str], bool], renamed: Mapping[str, str], *, files_last: bool = False
    ) -> bytes:
        """The form with `model` in it, without the fields that are dropped; everything else byte for byte.

        Args:
            model: Empty: the form names none.
            files_last: Fields go before files.
        """
        view = memoryview(self.body)
        pieces: list[bytes | memoryview] = [self._field("model", model)] if model else []
        parts = sorted(self.parts, key=lambda part: part.is_file) if files_last else self.parts
        for part in parts:
            name = base_name(part.name)
            if name == "model" or dropped(name):
                continue
            if name in renamed:
                pieces.append(self._field(renamed[name], self._text(part)))
            else:
                pieces.append(view[part.begin : part.stop])
        pieces.append(b"--" + self.boundary + b"--\r\n")
        return b"".join(pieces)

    def _field(self, name: str, value: str) -> bytes:
        head = f'\r\ncontent-disposition: form-data; name="{name}"\r\n\r\n'.encode()
        return b"--" + self.boundary + head + value.encode() + b"\r\n"

    def _text(self, part: Part) -> str:
        if part.end - part.start > _LONGEST_FIELD:
            raise InvalidRequest(f"`{part.name}` is longer than {_LONGEST_FIELD:,} bytes", param=part.name)
        try:
            return self.body[part.start : part.end].decode()
        except UnicodeDecodeError as error:
            raise InvalidRequest(f"`{part.name}` is not UTF-8 text", param=part.name) from error


def read_form(body: bytes, content_type: str) -> Form:
    """Find the parts of a form.

    Raises:
        InvalidRequest: It is none, or it is broken; the message says how.
    """
    kind, options = parse_options_header(content_type)
    if kind != FORM.encode():
        raise InvalidRequest(f"the request body must be {FORM}, not {content_type or 'of no content type'!r}")
    boundary = options.get(b"boundary", b"")
    if not boundary or len(boundary) > 200 or b"\r" in boundary or b"\n" in boundary:
        raise InvalidRequest("the content-type names no proper boundary")
    delimiter = b"--" + boundary
    at = 0 if body.startswith(delimiter) else body.find(b"\r\n" + delimiter) + 2
    if at == 1:
        raise InvalidRequest("the form is empty, or does not hold the boundary that its content-type names")
    parts: list[Part] = []
    while not body.startswith(b"--", at + len(delimiter)):
        if len(parts) == MAX_PARTS:
            raise InvalidRequest(f"the form has more than {MAX_PARTS} parts")
        part = _part(body, at, delimiter)
        parts.append(part)
        at = part.stop
    return Form(body, boundary, content_type, tuple(parts), at)


def _part(body: bytes, begin: int, delimiter: bytes) -> Part:
    """The part whose boundary begins at `begin`."""
    line_end = body.find(b"\r\n", begin)
    blank = body.find(b"\r\n\r\n", line_end, line_end + _MAX_PART_HEADERS)
    if line_end < 0 or blank < 0:
        raise InvalidRequest("the form is broken: a part has no end of its headers")
    name, is_file = _disposition(body[line_end + 2 : blank])
    end = _next_boundary(body, blank + 2, delimiter)
    return Part(name, is_file, begin, min(blank + 4, end), end, end + 2)


def _next_boundary(body: bytes, start: int, delimiter: bytes) -> int:
    """Where the line end before the next boundary is."""
    wanted, at = b"\r\n" + delimiter, start
    for _ in range(_MAX_LOOKALIKES):
        at = body.find(wanted, at)
        if at < 0:
            raise InvalidRequest(_BROKEN)
        behind = body[at + len(wanted) : at + len(wanted) + 80]
        if behind.startswith(b"--") or behind.lstrip(b" \t").startswith(b"\r\n"):
            return at
        at += len(wanted)  # data that begins like the boundary
    raise InvalidRequest("the form's boundary occurs in its data")


def _disposition(headers: bytes) -> tuple[str, bool]:
    """Name of a part, and whether it is a file."""
    for line in headers.split(b"\r\n"):
        header, _, value = line.partition(b":")
        if header.strip().lower() == b"content-disposition":
            kind, options = parse_options_header(value.strip())
            name = options.get(b"name", b"")
            if kind == b"form-data" and name:
                return name.decode("utf-8", "replace"), b"filename" in options or b"filename*" in options
    raise InvalidRequest("the form is broken: a part has no name")


def base_name(name: str) -> str:
    """`metadata` of `metadata[tier]`."""
    return name.partition("[")[0]


def _keys(name: str) -> list[str]:
    """The path that brackets spell: `a[b][]` is a, b, and a list."""
    first, bracket, rest = name.partition("[")
    if not bracket or not rest.endswith("]"):
        return [name]
    return [first, *rest[:-1].split("][")]


def _place(tree: dict[str, Any], keys: list[str], value: str) -> None:
    name, *deeper = keys
    if deeper and deeper[0]:
        inner = tree.setdefault(name, {})
        if isinstance(inner, dict):
            _place(inner, deeper, value)
        return
    there = tree.get(name)
    if isinstance(there, list):
        there.append(value)
    elif there is not None:
        tree[name] = [there, value]
    else:
        tree[name] = [value] if deeper else value


def _typed(value: Any) -> Any:
    """Text that spells a number or a boolean, as one; everything else as it is."""
    if isinstance(value, dict):
        return {name: _typed(inner) for name, inner in value.items()}
    if not isinstance(value, str):
        return value
    try:
        found = msgspec.json.decode(value)
    except (msgspec.DecodeError, RecursionError):
        return value
    return found if isinstance(found, (bool, int, float)) else value


def _json(text: str, name: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidRequest(f"`{name}` must be a JSON object", param=name) from error
