"""Error statuses as providers send them: their bodies, and Retry-After in all its forms."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

from services.core.errors import FailureKind
from tests.support.evil import Fate, Fault, K, Phase, Scene, error_object
from tests.support.upstream import Step, whole

MAX_WAIT = 0.3
"""Seconds; the matrix's policy waits no longer on the same target."""


def _openai(kind: str | None, code: Any = None, **more: Any) -> Any:
    return {"error": {"message": "The upstream reports a problem.", "type": kind, "param": None, "code": code, **more}}


def _anthropic(kind: str, **details: Any) -> Any:
    error = {"type": kind, "message": "The upstream reports a problem.", **({"details": details} if details else {})}
    return {"type": "error", "error": error, "request_id": "req_1"}


def _google(code: int, status: str, told: str = "The upstream reports a problem.", **detail: Any) -> Any:
    return {"error": {"code": code, "message": told, "status": status, "details": [detail] if detail else []}}


def _bedrock(name: str, told: str = "The upstream reports a problem.") -> Any:
    return {"__type": f"com.amazon.coral.service#{name}", "message": told}


def _cohere(error_type: str = "") -> Any:
    return {
        "id": "c-1",
        "message": "The upstream reports a problem.",
        **({"error_type": error_type} if error_type else {}),
    }


Row = tuple[str, int, Any, Fate, FailureKind, int]
"""(name, the provider's status, its body, fate, kind, the caller's status)."""

OPENAI: tuple[Row, ...] = (
    ("invalid", 400, _openai("invalid_request_error", "invalid_value"), Fate.STOP, K.INVALID_REQUEST, 400),
    ("too-long", 400, _openai("invalid_request_error", "context_length_exceeded"), Fate.NEXT, K.CONTEXT_TOO_LONG, 400),
    ("filtered", 400, _openai(None, "content_filter", status=400), Fate.STOP, K.CONTENT_REFUSED, 400),
    ("policy", 400, _openai("invalid_request_error", "content_policy_violation"), Fate.STOP, K.CONTENT_REFUSED, 400),
    ("gone-model", 400, _openai("invalid_request_error", "model_not_found"), Fate.NEXT, K.MODEL_MISSING, 404),
    ("bad-tool", 400, _openai("invalid_request_error", "tool_use_failed"), Fate.NEXT, K.SERVER_ERROR, 502),
    ("bad-key", 401, _openai("invalid_request_error", "invalid_api_key"), Fate.NEXT, K.CREDENTIALS_REJECTED, 502),
    ("bare-number", 401, _openai(None, 401), Fate.NEXT, K.CREDENTIALS_REJECTED, 502),
    ("unpaid", 402, _openai(None, 402), Fate.NEXT, K.QUOTA_EXHAUSTED, 502),
    ("forbidden", 403, _openai("invalid_request_error"), Fate.NEXT, K.CREDENTIALS_REJECTED, 502),
    ("moderated", 403, {"error": {"code": 403, "message": "no", "metadata": {"error_type": "content_policy_violation"}}},
     Fate.STOP, K.CONTENT_REFUSED, 400),
    ("no-model", 404, _openai("invalid_request_error", "model_not_found"), Fate.NEXT, K.MODEL_MISSING, 404),
    ("no-page", 404, b"Not Found", Fate.NEXT, K.MODEL_MISSING, 404),
    ("no-method", 405, {"detail": "Method Not Allowed"}, Fate.STOP, K.INVALID_REQUEST, 405),
    ("too-large", 413, _openai("request_too_large"), Fate.STOP, K.REQUEST_TOO_LARGE, 413),
    ("unprocessable", 422, {"detail": [{"loc": ["body", "messages"], "msg": "wrong", "type": "value_error"}]},
     Fate.STOP, K.INVALID_REQUEST, 422),
    ("unlawful", 451, _openai(None, 451), Fate.STOP, K.CONTENT_REFUSED, 400),
    ("quota", 429, _openai("insufficient_quota", "insufficient_quota"), Fate.NEXT, K.QUOTA_EXHAUSTED, 502),
    ("html", 502, b"<html><body>Bad Gateway</body></html>", Fate.NEXT, K.SERVER_ERROR, 502),
    ("no-body", 500, b"", Fate.NEXT, K.SERVER_ERROR, 502),
)  # fmt: skip

ANTHROPIC: tuple[Row, ...] = (
    ("invalid", 400, _anthropic("invalid_request_error"), Fate.STOP, K.INVALID_REQUEST, 400),
    ("too-long", 400, _anthropic("invalid_request_error", error_code="prompt_too_long"),
     Fate.NEXT, K.CONTEXT_TOO_LONG, 400),
    ("unpaid-400", 400, _anthropic("billing_error"), Fate.NEXT, K.QUOTA_EXHAUSTED, 502),
    ("bad-key", 401, _anthropic("authentication_error"), Fate.NEXT, K.CREDENTIALS_REJECTED, 502),
    ("unpaid", 402, _anthropic("billing_error"), Fate.NEXT, K.QUOTA_EXHAUSTED, 502),
    ("forbidden", 403, _anthropic("permission_error"), Fate.NEXT, K.CREDENTIALS_REJECTED, 502),
    ("no-model", 404, _anthropic("not_found_error"), Fate.NEXT, K.MODEL_MISSING, 404),
    ("no-page", 404, b"Not Found", Fate.NEXT, K.MODEL_MISSING, 404),
    ("no-method", 405, _anthropic("invalid_request_error"), Fate.STOP, K.INVALID_REQUEST, 405),
    ("too-large", 413, _anthropic("request_too_large"), Fate.STOP, K.REQUEST_TOO_LARGE, 413),
    ("unprocessable", 422, _anthropic("invalid_request_error"), Fate.STOP, K.INVALID_REQUEST, 422),
    ("unlawful", 451, _anthropic("invalid_request_error"), Fate.STOP, K.CONTENT_REFUSED, 400),
    ("html", 502, b"<html><body>Bad Gateway</body></html>", Fate.NEXT, K.SERVER_ERROR, 502),
    ("no-body", 500, b"", Fate.NEXT, K.SERVER_ERROR, 502),
)  # fmt: skip

GOOGLE: tuple[Row, ...] = (
    ("invalid", 400, _google(400, "INVALID_ARGUMENT"), Fate.STOP, K.INVALID_REQUEST, 400),
    ("bad-key-400", 400, _google(400, "INVALID_ARGUMENT", reason="API_KEY_INVALID"),
     Fate.NEXT, K.CREDENTIALS_REJECTED, 502),
    ("place", 400, _google(400, "FAILED_PRECONDITION"), Fate.NEXT, K.CREDENTIALS_REJECTED, 502),
    ("too-long", 400,
     _google(400, "INVALID_ARGUMENT", "The input token count (9) exceeds the maximum number of tokens allowed (8)."),
     Fate.NEXT, K.CONTEXT_TOO_LONG, 400),
    ("in-a-list", 400, [_google(400, "INVALID_ARGUMENT")], Fate.STOP, K.INVALID_REQUEST, 400),
    ("bad-key", 401, _google(401, "UNAUTHENTICATED"), Fate.NEXT, K.CREDENTIALS_REJECTED, 502),
    ("forbidden", 403, _google(403, "PERMISSION_DENIED"), Fate.NEXT, K.CREDENTIALS_REJECTED, 502),
    ("no-model", 404, _google(404, "NOT_FOUND"), Fate.NEXT, K.MODEL_MISSING, 404),
    ("no-page", 404, b"Not Found", Fate.NEXT, K.MODEL_MISSING, 404),
    ("no-method", 405, b"", Fate.STOP, K.INVALID_REQUEST, 405),
    ("too-large", 413, b"<html>413</html>", Fate.STOP, K.REQUEST_TOO_LARGE, 413),
    ("cancelled", 499, _google(499, "CANCELLED"), Fate.NEXT, K.SERVER_ERROR, 502),
    ("html", 502, b"<html><body>Bad Gateway</body></html>", Fate.NEXT, K.SERVER_ERROR, 502),
    ("no-body", 500, b"", Fate.NEXT, K.SERVER_ERROR, 502),
)  # fmt: skip

BEDROCK: tuple[Row, ...] = (
    ("invalid", 400, _bedrock("ValidationException"), Fate.STOP, K.INVALID_REQUEST, 400),
    ("too-long", 400, _bedrock("ValidationException", "Input is too long for requested model."),
     Fate.NEXT, K.CONTEXT_TOO_LONG, 400),
    ("no-model", 400, _bedrock("ValidationException", "The provided model identifier is invalid."),
     Fate.NEXT, K.MODEL_MISSING, 404),
    ("quota", 400, _bedrock("ServiceQuotaExceededException"), Fate.NEXT, K.QUOTA_EXHAUSTED, 502),
    ("bad-key", 403, _bedrock("UnrecognizedClientException"), Fate.NEXT, K.CREDENTIALS_REJECTED, 502),
    ("no-access", 403, _bedrock("AccessDeniedException", "You don't have access to the model with the specified model ID."),
     Fate.NEXT, K.MODEL_MISSING, 404),
    ("gone", 404, _bedrock("ResourceNotFoundException"), Fate.NEXT, K.MODEL_MISSING, 404),
    ("too-large", 413, _bedrock("RequestEntityTooLargeException"), Fate.STOP, K.REQUEST_TOO_LARGE, 413),
    ("model-error", 424, _bedrock("ModelErrorException"), Fate.NEXT, K.SERVER_ERROR, 502),
    ("html", 502, b"<html><body>Bad Gateway</body></html>", Fate.NEXT, K.SERVER_ERROR, 502),
    ("no-body", 500, b"", Fate.NEXT, K.SERVER_ERROR, 502),
)  # fmt: skip

COHERE: tuple[Row, ...] = (
    ("invalid", 400, _cohere(), Fate.STOP, K.INVALID_REQUEST, 400),
    ("too-long", 400, _cohere("TOO_MANY_TOKENS"), Fate.NEXT, K.CONTEXT_TOO_LONG, 400),
    ("bad-key", 401, _cohere(), Fate.NEXT, K.CREDENTIALS_REJECTED, 502),
    ("unpaid", 402, _cohere(), Fate.NEXT, K.QUOTA_EXHAUSTED, 502),
    ("forbidden", 403, _cohere(), Fate.NEXT, K.CREDENTIALS_REJECTED, 502),
    ("no-model", 404, _cohere(), Fate.NEXT, K.MODEL_MISSING, 404),
    ("too-large", 413, _cohere(), Fate.STOP, K.REQUEST_TOO_LARGE, 413),
    ("unprocessable", 422, _cohere(), Fate.STOP, K.INVALID_REQUEST, 422),
    ("bad-token", 498, _cohere(), Fate.NEXT, K.CREDENTIALS_REJECTED, 502),
    ("html", 502, b"<html><body>Bad Gateway</body></html>", Fate.NEXT, K.SERVER_ERROR, 502),
    ("no-body", 500, b"", Fate.NEXT, K.SERVER_ERROR, 502),
)

ROWS: Mapping[str, tuple[Row, ...]] = {
    "openai": OPENAI,
    "anthropic": ANTHROPIC,
    "google": GOOGLE,
    "bedrock": BEDROCK,
    "responses": OPENAI,
    "cohere": COHERE,
}

PASSING: Mapping[int, FailureKind] = {
    408: K.SERVER_ERROR, 409: K.SERVER_ERROR, 425: K.SERVER_ERROR, 429: K.RATE_LIMITED, 500: K.SERVER_ERROR,
    502: K.SERVER_ERROR, 503: K.OVERLOADED, 504: K.SERVER_ERROR, 529: K.OVERLOADED,
}  # fmt: skip
"""Statuses that pass: the same request may succeed later or elsewhere."""


def _soon(seconds: float) -> str:
    return format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)


FORMS: Mapping[str, tuple[Callable[[], dict[str, str]], float | None]] = {
    "none": (dict, None),
    "zero": (lambda: {"retry-after": "0"}, 0.0),
    "fraction": (lambda: {"retry-after": "0.2"}, 0.2),
    "seconds": (lambda: {"retry-after": "30"}, 30.0),
    "huge": (lambda: {"retry-after": "99999999"}, 86_400.0),
    "negative": (lambda: {"retry-after": "-3"}, None),
    "garbage": (lambda: {"retry-after": "soon"}, None),
    "empty": (lambda: {"retry-after": ""}, None),
    "date": (lambda: {"retry-after": _soon(40)}, 38.0),
    "past-date": (lambda: {"retry-after": _soon(-40)}, 0.0),
    "ms": (lambda: {"retry-after-ms": "200", "retry-after": "1"}, 0.2),
    "ms-zero": (lambda: {"retry-after-ms": "0", "retry-after": "30"}, 30.0),
    "reset": (lambda: {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1m30s"}, 90.0),
    "reset-soon": (lambda: {"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "200ms"}, 0.2),
}
"""(headers, the seconds that they ask for)."""


def statuses(wire: str) -> list[Fault]:
    """Every error status with its body."""
    found = [_status(wire, row) for row in ROWS[wire]]
    return found + [
        _passing(wire, status, form)
        for status in PASSING
        for form in FORMS
        if form == "none" or status == 429 or (status == 503 and form in {"fraction", "seconds"})
    ]


def more_statuses(wire: str) -> list[Fault]:
    """The rest of the product of passing statuses and forms; for long runs."""
    known = {fault.name for fault in statuses(wire)}
    every = [_passing(wire, status, form) for status in PASSING for form in FORMS]
    return [fault for fault in every if fault.name not in known]


def _status(wire: str, row: Row) -> Fault:
    name, status, body, fate, kind, shown = row

    def script(scene: Scene) -> list[Step]:
        del scene
        return [whole(status, body if isinstance(body, bytes) else json.dumps(body).encode())]

    return Fault(f"{status}-{name}", Phase.HEADERS, fate, frozenset({kind}), script, status=shown)


def _passing(wire: str, status: int, form: str) -> Fault:
    headers, asked = FORMS[form]
    kind = PASSING[status]
    # A word on when to come back is a wait only where the status says "not now"; resets are a word only on rates.
    waits = kind in {K.RATE_LIMITED, K.OVERLOADED} and asked is not None and asked <= MAX_WAIT
    waits = waits and (status == 429 or not form.startswith("reset"))

    def script(scene: Scene) -> list[Step]:
        words = "server_error" if scene.wire in {"openai", "responses"} else "api_error"
        if status == 429:
            words = "rate_limit_error"
        # Amazon's names say more than its statuses, and Cohere has none for these; the rows are about statuses.
        body = error_object(scene.wire, words if scene.wire not in {"bedrock", "cohere"} else "")
        return [whole(status, body, **{name.replace("-", "_"): value for name, value in headers().items()})]

    return Fault(
        name=f"{status}-retry-after-{form}",
        phase=Phase.HEADERS,
        fate=Fate.NEXT,
        kinds=frozenset({kind}),
        script=script,
        requests=2 if waits else 1,
        wait=asked if waits and asked is not None else 0.0,
    )


__all__ = ["FORMS", "MAX_WAIT", "PASSING", "ROWS", "more_statuses", "statuses"]
