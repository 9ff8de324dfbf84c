"""JSON objects by their top-level members, each value kept byte for byte.

What a translation does not touch reaches the other side as it came: number
spellings, escapes and white space inside values survive, and so do prompt caches.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from services.core.errors import InvalidRequest

Members = dict[str, msgspec.Raw]

_decoder = msgspec.json.Decoder(Members)
_encode = msgspec.json.encode


class NotAnObject(Exception):
    """The bytes are not a JSON object."""


def split_members(body: bytes) -> Members:
    """The members of a JSON object, in order; of a name that is given twice, the last one.

    Raises:
        NotAnObject: It is not one; the message says where it breaks.
    """
    try:
        return _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise NotAnObject(str(error) or "nested too deeply") from error


def request_members(body: bytes) -> Members:
    """The members of a request body.

    Raises:
        InvalidRequest: It is not a JSON object.
    """
    if not body.strip():
        raise InvalidRequest("the request body is empty; expected a JSON object")
    try:
        return split_members(body)
    except NotAnObject as error:
        raise InvalidRequest(f"the request body is not a JSON object: {error}") from error


def join_members(members: Mapping[str, msgspec.Raw]) -> bytes:
    """The object of `members`, each value as it is."""
    return _encode(members)


def decoded(members: Members, names: Iterable[str]) -> dict[str, Any]:
    """The values of `names`, those that are there.

    Raises:
        InvalidRequest: A value is not JSON that can be read.
    """
    found = {}
    for name in names:
        raw = members.get(name)
        if raw is not None:
            try:
                found[name] = msgspec.json.decode(raw)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                raise InvalidRequest(f"`{name}` cannot be read: {error}", param=name) from error
    return found


def plain(value: Any) -> Any:
    """A value, decoded if it is a member's bytes.

    Raises:
        InvalidRequest: It is not JSON that can be read.
    """
    if not isinstance(value, msgspec.Raw):
        return value
    try:
        return msgspec.json.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest(f"a member of the request cannot be read: {error}") from error


def placed_before(items: Sequence[Any], members: msgspec.Raw | None) -> msgspec.Raw:
    """A JSON list that begins with `items` and goes on with the list `members`, whose bytes stay."""
    head = _encode(items)
    inside = bytes(members or b"[]").strip()[1:-1].strip()
    return msgspec.Raw(head[:-1] + (b"," + inside if inside else b"") + b"]")


def search_for(words: Iterable[str]) -> Callable[[bytes], object]:
    """A search of JSON text for any of `words` in quotes, in whatever place: a sign that decoding it is worth its while.

    One pass for all of them, since most requests hold none. `words` must not be empty.
    """
    return re.compile(b'"(?:%b)"' % b"|".join(re.escape(word.encode()) for word in words)).search


def raw(value: Any) -> msgspec.Raw:
    """A value as a member's bytes."""
    return msgspec.Raw(_encode(value))


def put_cost(members: Members, name: str, cost_usd: float | None) -> None:
    """Add what was paid, in US dollars, to the usage that `members` has under `name`; it may have none, or no object."""
    usage = members.get(name)
    if cost_usd is not None and usage is not None and bytes(usage).startswith(b"{"):
        members[name] = msgspec.Raw(join_members({**split_members(bytes(usage)), "cost": raw(cost_usd)}))
