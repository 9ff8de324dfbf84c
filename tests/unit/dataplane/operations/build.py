"""Requests for operations, and translations to targets, without an engine."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from services.core.routing.plan import Candidate
from services.dataplane.dialects.operations import COUNT_TOKENS, OPERATIONS, OperationDialect
from services.dataplane.operations.registry import translate
from services.dataplane.translation import Evidence, InboundRequest, Translation
from tests.unit.dataplane.build import candidate

DIALECTS = {operation.api: OperationDialect(operation, translate) for operation in (*OPERATIONS, COUNT_TOKENS)}
EVIDENCE = Evidence({"generation_id": "gen-1"}, 0.5, "openai/gpt-5", "gen-1")
JSON_TYPE = {"content-type": "application/json"}
BOUNDARY = "----boundary"
FORM_TYPE = {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}


def form(*parts: tuple[str, bytes | str] | tuple[str, bytes | str, str]) -> bytes:
    """A form of (name, value) and (name, value, file name)."""
    out = b""
    for name, value, *file in parts:
        tail = f'; filename="{file[0]}"\r\nContent-Type: audio/wav' if file else ""
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{tail}\r\n\r\n'
        out += head.encode() + (value if isinstance(value, bytes) else value.encode()) + b"\r\n"
    return out + f"--{BOUNDARY}--\r\n".encode()


def read(api: str, body: Any, headers: Mapping[str, str] | None = None) -> InboundRequest:
    """A request as its dialect reads it; `body` as bytes or as a value for JSON."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return DIALECTS[api].read(data, headers or JSON_TYPE)


def to(kind: str, api: str, body: Any, headers: Mapping[str, str] | None = None, model: str = "p/m") -> Translation:
    """The translation of a request to a provider of type `kind`."""
    return read(api, body, headers).translate(target(kind, model))


def target(kind: str, model: str = "p/m") -> Candidate:
    return candidate(model, kind)


def sent(translation: Translation) -> Any:
    """The JSON body that goes to the provider."""
    request = translation.request("secret")
    assert request is not None
    return json.loads(request.body)


def rendered(translation: Translation, answer: Any, headers: Mapping[str, str] | None = None) -> Any:
    """What the caller gets for a provider's whole answer."""
    translation.facts.headers = headers or JSON_TYPE
    failure = translation.answer(answer if isinstance(answer, bytes) else json.dumps(answer).encode())
    assert failure is None, failure
    return json.loads(translation.render(EVIDENCE))
