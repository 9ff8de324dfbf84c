"""Structs as the JSON that they stand for."""

from __future__ import annotations

import json

from google.protobuf.struct_pb2 import Struct

from services.wire.structs import plain_struct


def test_whole_numbers_are_integers_and_members_are_in_order_whatever_the_map_says() -> None:
    message = Struct()
    message.update({"z": 1, "a": {"y": 2.5, "b": [1, None, True, {"d": 0, "c": "x"}]}, "big": 2**60})
    text = json.dumps(plain_struct(message))
    assert text == '{"a": {"b": [1, null, true, {"c": "x", "d": 0}], "y": 2.5}, "big": 1152921504606846976, "z": 1}'


def test_an_empty_struct_is_an_empty_object() -> None:
    assert plain_struct(Struct()) == {}
