"""The bridge's own errors, in the dialect of the path that was called."""

from __future__ import annotations

import math

import msgspec

from services.core.errors import RouterError
from services.http_bridge.http import JSON, Response, json_response
from services.wire.google_words import google_error, rpc_code
from services.wire.openrouter_words import status_type

GOOGLES_METHODS = frozenset(("generateContent", "streamGenerateContent", "countTokens"))
"""Methods of a model that are Google's."""

_GOOGLES = ("/v1beta/", "/v1beta1/", "/v1/publishers/", "/v1/projects/")

OPENROUTER_PREFIX = "/api/v1/"
"""Paths that OpenRouter's clients call."""

_OPENAI = {400: "invalid_request_error", 401: "authentication_error", 403: "permission_error", 404: "not_found_error"}
_ANTHROPIC = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
}


def error_response(
    path: str, status: int, message: str, *, code: str = "", retry_after: float | None = None
) -> Response:
    """An error whose body is what clients of `path` expect."""
    headers = {"retry-after": str(max(1, math.ceil(retry_after)))} if retry_after is not None else {}
    if path.startswith(("/router/", "/lro/", "/tts/")):
        return json_response(status, {"code": rpc_code(status), "message": message, "details": []}, headers)
    if is_googles(path):
        reason = code.upper()
        told = google_error(status, message, reason=reason, retry_after=retry_after)
        return json_response(status, {"error": told}, headers)
    if path.startswith(("/v1/messages", "/api/v1/messages")):
        kind = _ANTHROPIC.get(status, "api_error")
        return json_response(status, {"type": "error", "error": {"type": kind, "message": message}}, headers)
    kind = _OPENAI.get(status, "server_error" if status >= 500 else "invalid_request_error")
    error: dict[str, object] = {"message": message, "type": kind, "param": None, "code": code or None}
    if path.startswith(OPENROUTER_PREFIX):
        error |= {"code": status, "metadata": {"error_type": status_type(status), "code": code or None}}
    return json_response(status, {"error": error}, headers)


def unknown_path_response(path: str, meant: str) -> Response:
    """The error of a path that is not served, in the dialect of the one that was `meant`; empty: not known."""
    told = f"there is no {path} here; "
    if not meant:
        told += "see /v1/models for what can be called"
    elif meant.endswith(path):
        told += f"did you mean {meant}? Then your client's base URL has to end in {meant.removesuffix(path)}"
    elif path.endswith(meant):
        told += f"did you mean {meant}? Then your client's base URL must not end in {path.removesuffix(meant)}"
    else:
        told += f"did you mean {meant}?"
    return error_response(meant or path, 404, told, code="unknown_url")


def is_googles(path: str) -> bool:
    """Whether clients of Google's API call this address: by its version, or by a method behind a model's name."""
    return path.startswith(_GOOGLES) or path.rpartition(":")[2] in GOOGLES_METHODS


def router_error_response(path: str, error: RouterError) -> Response:
    """One of our errors, as a response."""
    return error_response(path, error.status, error.message, code=error.reason.lower(), retry_after=error.retry_after)


def in_openrouters_words(response: Response) -> Response:
    """An error in OpenAI's words, as OpenRouter's clients read it; any other answer as it is."""
    if response.status < 400 or not response.headers.get("content-type", "").startswith(JSON):
        return response
    try:
        body = msgspec.json.decode(response.body)
        error = body["error"]
        told = {**error, "code": response.status}
        told["metadata"] = {"error_type": status_type(response.status), "code": error.get("code")}
    except (msgspec.DecodeError, TypeError, KeyError, AttributeError):
        return response
    headers = {name: value for name, value in response.headers.items() if name != "content-length"}
    return Response(response.status, msgspec.json.encode({**body, "error": told}), headers)
