"""JSON objects by their members, each value byte for byte."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core.errors import InvalidRequest
from services.dataplane.members import (
    NotAnObject,
    decoded,
    join_members,
    placed_before,
    raw,
    request_members,
    search_for,
    split_members,
)

ODD = b'{ "a" :\t[1, 2 ] ,\n"b":1e400,"c":123456789012345678901234567890,"d":-0.0,"e":"\\u00e9\\ud83d\\ude42","f":{"x":1,"x":2}}'


def test_values_keep_their_bytes() -> None:
    members = split_members(ODD)
    assert {name: bytes(value) for name, value in members.items()} == {
        "a": b"[1, 2 ]",
        "b": b"1e400",
        "c": b"123456789012345678901234567890",
        "d": b"-0.0",
        "e": b'"\\u00e9\\ud83d\\ude42"',
        "f": b'{"x":1,"x":2}',
    }
    assert join_members(members) == (
        b'{"a":[1, 2 ],"b":1e400,"c":123456789012345678901234567890,"d":-0.0,"e":"\\u00e9\\ud83d\\ude42","f":{"x":1,"x":2}}'
    )


def test_of_a_name_that_is_given_twice_the_last_one_counts() -> None:
    assert join_members(split_members(b'{"a":1,"b":2,"a":3}')) == b'{"a":3,"b":2}'
    assert join_members(split_members(b'{"\\u0061":1,"a":2}')) == b'{"a":2}'


@given(st.dictionaries(st.text(max_size=5), st.none() | st.integers() | st.text(max_size=5) | st.lists(st.floats())))
def test_what_is_split_and_joined_is_the_same_text(value: dict[str, Any]) -> None:
    value = json.loads(json.dumps(value).replace("NaN", "0").replace("Infinity", "1"))
    assert json.loads(join_members(split_members(json.dumps(value).encode()))) == value


@pytest.mark.parametrize("body", [b"[]", b"null", b"1", b'"x"', b"{", b'{"a":}', b"{'a':1}", b'{"a":1}x', b"\xff{}"])
def test_what_is_no_object_is_the_callers_fault(body: bytes) -> None:
    with pytest.raises(NotAnObject):
        split_members(body)
    with pytest.raises(InvalidRequest, match="not a JSON object"):
        request_members(body)


def test_nesting_without_end_is_refused_and_not_a_crash() -> None:
    deep = b'{"a":' + b"[" * 200_000 + b"]" * 200_000 + b"}"
    with pytest.raises(InvalidRequest):
        decoded(request_members(deep), ["a"])


@pytest.mark.parametrize("body", [b"", b"  \n"])
def test_an_empty_body_is_told_as_such(body: bytes) -> None:
    with pytest.raises(InvalidRequest, match="empty"):
        request_members(body)


def test_a_value_that_cannot_be_read_is_told_by_its_name() -> None:
    members = {"model": msgspec.Raw(b'"\\ud800"'), "n": msgspec.Raw(b"1")}
    assert decoded(members, ["n", "missing"]) == {"n": 1}
    with pytest.raises(InvalidRequest) as caught:
        decoded({"model": msgspec.Raw(b"{")}, ["model"])
    assert caught.value.param == "model"


@pytest.mark.parametrize(
    ("members", "result"),
    [
        (b'[ {"role": "user"} ]', b'[{"a":1},{"role": "user"}]'),
        (b"[]", b'[{"a":1}]'),
        (b"[ ]", b'[{"a":1}]'),
        (None, b'[{"a":1}]'),
    ],
)
def test_what_is_placed_before_a_list_leaves_its_bytes(members: bytes | None, result: bytes) -> None:
    placed = placed_before([{"a": 1}], msgspec.Raw(members) if members is not None else None)
    assert bytes(placed) == result


def test_a_value_becomes_bytes() -> None:
    assert bytes(raw({"é": 1.5})) == '{"é":1.5}'.encode()


@given(st.lists(st.text("abcdefgh_. *(", min_size=1, max_size=5), min_size=1), st.text('abcdefgh_. *("', max_size=60))
def test_a_search_for_words_finds_what_looking_for_each_one_finds(words: list[str], text: str) -> None:
    data = text.encode()
    assert bool(search_for(words)(data)) == any(f'"{word}"'.encode() in data for word in words)
