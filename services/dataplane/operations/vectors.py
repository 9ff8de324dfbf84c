"""Embeddings: vectors as numbers or as base64, and how many of them a request asks for.

Base64 holds little-endian 32-bit floats. OpenAI's SDKs ask for it unless told otherwise, and decode it; many
providers know numbers only.
"""

from __future__ import annotations

import sys
from array import array
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from services.core.errors import Failure, FailureKind, InvalidRequest
from services.core.numbers import is_whole
from services.dataplane.members import Members, join_members, raw
from services.dataplane.operations.call import OperationCall
from services.dataplane.operations.translations import Answer
from services.dataplane.translation import TokenUsage, Untranslatable

BASE64 = "base64"
_WIDTH = 4
BAD_VECTORS = Failure(FailureKind.BAD_RESPONSE, "the provider's answer holds no proper embeddings")

Rows = list[Members]
_rows = msgspec.json.Decoder(Rows).decode


def packed(vector: Sequence[float]) -> str:
    """A vector as base64.

    Raises:
        TypeError, OverflowError: It holds something that is no number.
    """
    floats = array("f", vector)
    if sys.byteorder == "big":
        floats.byteswap()
    return b64encode(floats.tobytes()).decode()


def unpacked(text: str) -> list[float]:
    """A vector out of base64.

    Raises:
        ValueError: It is none.
    """
    data = b64decode(text, validate=True)
    if len(data) % _WIDTH:
        raise ValueError("not a whole number of floats")
    floats = array("f", data)
    if sys.byteorder == "big":
        floats.byteswap()
    return floats.tolist()


def inputs_of(call: OperationCall) -> list[Any]:
    """The inputs of a request, each a text or a list of tokens.

    Raises:
        InvalidRequest: `input` is empty, or nothing of that kind.
    """
    value = call.value("input")
    if isinstance(value, str):
        found: list[Any] = [value]
    elif isinstance(value, list):
        found = [value] if value and all(is_whole(token) for token in value) else value
    else:
        raise InvalidRequest("`input` must be text, a list of texts, or lists of tokens", param="input")
    if not found:
        raise InvalidRequest("`input` is empty", param="input")
    return found


def count_inputs(call: OperationCall) -> int:
    """How many vectors the answer has to hold."""
    return len(inputs_of(call))


def texts_of(call: OperationCall) -> list[str]:
    """The inputs, all of them texts.

    Raises:
        Untranslatable: There are tokens among them, which are numbers of OpenAI's own vocabulary.
    """
    found = inputs_of(call)
    if not all(isinstance(text, str) for text in found):
        raise Untranslatable.because("this provider embeds texts; token numbers mean nothing to it")
    return found


def answer_of(vectors: Any, wanted: int, encoding: Any, usage: TokenUsage | None, **more: Any) -> Answer | Failure:
    """OpenAI's answer for the vectors of another provider, in the order of the inputs."""
    if not isinstance(vectors, list) or len(vectors) != wanted or not all(_is_vector(v) for v in vectors):
        return BAD_VECTORS
    rows = [
        {"object": "embedding", "index": index, "embedding": packed(vector) if encoding == BASE64 else vector}
        for index, vector in enumerate(vectors)
    ]
    tokens = usage.input_tokens if usage is not None else 0
    members = {
        "object": raw("list"),
        "data": raw(rows),
        "model": raw(""),
        "usage": raw({"prompt_tokens": tokens, "total_tokens": tokens}),
    }
    return Answer({**members, **{name: raw(value) for name, value in more.items()}}, usage)


_NUMBERS = {int, float}
_LARGEST = 3e38
"""About what a 32-bit float holds."""


def _is_vector(value: Any) -> bool:
    """Whether it is a list of numbers that fit. Looked at as a whole: an answer may hold a million of them."""
    if not isinstance(value, list) or not value or not _NUMBERS.issuperset(map(type, value)):
        return False
    return bool(max(value) < _LARGEST and min(value) > -_LARGEST)


def read_answer(
    read: Callable[[bytes, Mapping[str, str]], Answer | Failure],
    encoding: Any,
    wanted: int,
    body: bytes,
    headers: Mapping[str, str],
) -> Answer | Failure:
    """An answer in OpenAI's form, with as many vectors as inputs, each in the encoding that the caller wants."""
    found = read(body, headers)
    if isinstance(found, Failure):
        return found
    try:
        rows = _rows(found.members["data"])
        if len(rows) != wanted or not all("embedding" in row for row in rows):
            return BAD_VECTORS
        if not any(_differs(row, encoding) for row in rows):
            return found
        data = b"[" + b",".join(join_members(_encoded(row, encoding)) for row in rows) + b"]"
    except (msgspec.DecodeError, UnicodeDecodeError, Base64Error, ValueError, TypeError, OverflowError):
        return BAD_VECTORS
    return replace(found, members={**found.members, "data": msgspec.Raw(data)})


def _differs(row: Members, encoding: Any) -> bool:
    """Whether a vector comes as numbers and is wanted as base64, or the other way round."""
    if encoding not in (BASE64, "float"):
        return False  # the provider's own default, or its own encoding
    is_text = bytes(row["embedding"]).lstrip().startswith(b'"')
    return is_text is not bool(encoding == BASE64)


def _encoded(row: Members, encoding: Any) -> Members:
    if not _differs(row, encoding):
        return row
    value = msgspec.json.decode(row["embedding"])
    if not isinstance(value, str) and not _is_vector(value):
        raise ValueError("no vector")
    return {**row, "embedding": raw(unpacked(value) if isinstance(value, str) else packed(value))}
