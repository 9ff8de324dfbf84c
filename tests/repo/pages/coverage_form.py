"""How a dialect is probed, and values that the probes of several have in common."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

PDF = "data:application/pdf;base64,JVBERi0x"
PNG = "data:image/png;base64,iVBORw0KGgo="
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False}
MARK = {"type": "ephemeral", "ttl": "1h"}


Change = Mapping[str, Any]
Pair = tuple[Change, Change]


@dataclass(frozen=True)
class Probes:
    """How to probe a dialect.

    Attributes:
        title: What the dialect is called.
        base: A request that says as little as it can.
        fields: A value by field of the request.
        parts: What messages may hold: the request without it, and with it, as changes of `base`.
        here: What the router itself does with a field, instead of sending it on.
        spec: Which of `fields` the official specification has; the others are of gateways. Empty: all.
    """

    title: str
    base: Mapping[str, Any]
    fields: Mapping[str, Any]
    parts: Mapping[str, Pair] = field(default_factory=dict)
    here: Mapping[str, str] = field(default_factory=dict)
    spec: frozenset[str] = frozenset()
