"""google.protobuf.Struct as the JSON that it stands for."""

from __future__ import annotations

from typing import Any

from google.protobuf import json_format
from google.protobuf.struct_pb2 import Struct


def plain_struct(message: Struct) -> dict[str, Any]:
    """The object of `message`: whole numbers as integers, members by name.

    A Struct has doubles only, and its members have no order; both would otherwise show in a
    schema that a provider reads, and in its prompt cache.
    """
    found: dict[str, Any] = _plain(json_format.MessageToDict(message))
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(value[name]) for name in sorted(value)}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
