"""Converse as botocore knows it: an independent judge of requests, answers, signatures and event streams."""

from __future__ import annotations

import json
import re
import struct
from base64 import b64decode
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any
from urllib.parse import urlsplit
from zlib import crc32

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials
from botocore.eventstream import EventStream, EventStreamBuffer
from botocore.parsers import create_parser
from botocore.serialize import create_serializer
from botocore.session import get_session
from botocore.validate import ParamValidator

Value = dict[str, Any]


@cache
def _operation(name: str) -> Any:
    return get_session().get_service_model("bedrock-runtime").operation_model(name)


def converse_frame(event: Mapping[str, Any]) -> bytes:
    """A frame of ConverseStream: `{"contentBlockDelta": {…}}`, or `{"exception": {"throttlingException": {…}}}`."""
    ((name, payload),) = event.items()
    kind = "event"
    if name == "exception":
        kind = "exception"
        ((name, payload),) = payload.items()
    headers = {f":{kind}-type": name, ":content-type": "application/json", ":message-type": kind}
    return frame(headers, json.dumps(payload, ensure_ascii=False).encode())


def frame(headers: Mapping[str, str], payload: bytes) -> bytes:
    """A message of Amazon's event streams."""
    return raw_frame(head_of(headers), payload)


def head_of(headers: Mapping[str, str]) -> bytes:
    """Headers that are text, as they are written."""
    return b"".join(
        bytes([len(name)]) + name.encode() + b"\x07" + struct.pack(">H", len(value.encode())) + value.encode()
        for name, value in headers.items()
    )


def reframed(data: bytes, *, more_head: bytes = b"", padding: str = "") -> bytes:
    """The same frame with more headers, or with a member more in its payload, as Amazon pads them."""
    (message,) = _messages(data)
    payload = message.payload
    if padding:
        payload = json.dumps({**json.loads(payload), "p": padding}, ensure_ascii=False).encode()
    return raw_frame(head_of(message.headers) + more_head, payload)


def _messages(data: bytes) -> list[Any]:
    buffer = EventStreamBuffer()
    buffer.add_data(data)
    return list(buffer)


def raw_frame(head: bytes, payload: bytes) -> bytes:
    """A message with headers as they are written."""
    prelude = struct.pack(">II", len(head) + len(payload) + 16, len(head))
    message = prelude + struct.pack(">I", crc32(prelude)) + head + payload
    return message + struct.pack(">I", crc32(message))


def check_converse_request(body: Value) -> None:
    """The body is one that botocore would send: known members, right types, words of the lists, patterns, unions."""
    shape = _operation("Converse").input_shape
    report = ParamValidator().validate({"modelId": "amazon.nova-lite-v1:0", **body}, shape)
    assert not report.has_errors(), report.generate_report()
    _check(shape, body, "$")


def _check(shape: Any, value: Any, path: str) -> None:
    kind = shape.type_name
    if kind == "structure" and not shape.is_document_type:
        if shape.is_tagged_union:
            assert len(value) == 1, f"{path}: {list(value)} is no union"
        for name, inner in value.items():
            _check(shape.members[name], inner, f"{path}.{name}")
    elif kind == "list":
        for index, inner in enumerate(value):
            _check(shape.member, inner, f"{path}[{index}]")
    elif kind == "map":
        for name, inner in value.items():
            _check(shape.key, name, f"{path}.{name}")
            _check(shape.value, inner, f"{path}.{name}")
    elif kind == "blob":
        b64decode(value, validate=True)
    elif kind == "string":
        pattern = shape.metadata.get("pattern")
        assert not shape.enum or value in shape.enum, f"{path}: {value!r}"
        assert pattern is None or re.fullmatch(pattern, value), f"{path}: {value!r}"
        assert len(value) <= shape.metadata.get("max", 10**9), path


def sent_by_botocore(model: str, body: Value, *, stream: bool) -> tuple[str, Value]:
    """Path and body that botocore makes of the same parameters."""
    operation = _operation("ConverseStream" if stream else "Converse")
    serializer = create_serializer("rest-json")
    parameters = {"modelId": model, **_with_bytes(operation.input_shape, body)}
    request = serializer.serialize_to_request(parameters, operation)
    return request["url_path"], json.loads(request["body"])


def _with_bytes(shape: Any, value: Any) -> Any:
    if shape.type_name == "structure" and not shape.is_document_type:
        return {name: _with_bytes(shape.members[name], inner) for name, inner in value.items()}
    if shape.type_name == "list":
        return [_with_bytes(shape.member, inner) for inner in value]
    return b64decode(value) if shape.type_name == "blob" else value


def read_converse(body: bytes) -> Value:
    """A whole answer as botocore's client would give it.

    Raises:
        ResponseParserError: It is none.
    """
    operation = _operation("Converse")
    response = {"status_code": 200, "headers": {}, "body": body, "context": {"operation_name": "Converse"}}
    found: Value = create_parser("rest-json").parse(response, operation.output_shape)
    return found


class _Raw:
    def __init__(self, data: bytes) -> None:
        self._data = data

    def stream(self) -> Iterator[bytes]:
        yield self._data

    def close(self) -> None:
        """Nothing to close."""


def read_converse_stream(data: bytes) -> list[Value]:
    """The events of a stream as botocore's client would give them.

    Raises:
        EventStreamError: An exception inside the stream.
        ChecksumMismatch: It was changed on the way.
    """
    shape = _operation("ConverseStream").output_shape.members["stream"]
    parser = create_parser("rest-json")
    return list(EventStream(_Raw(data), shape, parser._event_stream_parser, "ConverseStream"))


def signature_of(method: str, url: str, headers: Mapping[str, str], body: bytes, credential: str) -> str:
    """The signature that botocore gives a request as it was received, at the time and for the region that it names.

    `headers` by lower-case name, `authorization` among them; the result is the last part of that header.
    """
    told = re.fullmatch(
        r"AWS4-HMAC-SHA256 Credential=(\w+)/(\d{8})/([\w-]+)/(\w+)/aws4_request, SignedHeaders=([\w;-]+), "
        r"Signature=([0-9a-f]{64})",
        headers["authorization"],
    )
    assert told is not None, headers["authorization"]
    access, _, region, service, signed, _ = told.groups()
    keys = [*credential.split(":", 2), None]
    assert access == keys[0]
    request = AWSRequest(method, url, data=body)
    request.context["timestamp"] = headers["x-amz-date"]
    for name in signed.split(";"):
        request.headers[name] = headers[name]
    signer = SigV4Auth(ReadOnlyCredentials(keys[0], keys[1], keys[2]), service, region)
    assert urlsplit(url).netloc == headers["host"]
    found: str = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
    return found
