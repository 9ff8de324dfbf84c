"""The bridge's own errors, in the words of whoever called."""

from __future__ import annotations

import json

import pytest

from services.core.errors import Overloaded, PolicyRejected, Problem, StoreConflict, Unauthenticated
from services.http_bridge.control import status_response
from services.http_bridge.errors import error_response, router_error_response


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/models", "/nowhere"])
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (403, "permission_error"),
        (404, "not_found_error"),
        (405, "invalid_request_error"),
        (413, "invalid_request_error"),
        (500, "server_error"),
        (503, "server_error"),
    ],
)
def test_openais_clients_get_openais_shape(path: str, status: int, kind: str) -> None:
    response = error_response(path, status, "words", code="c")
    assert response.status == status
    assert json.loads(response.body) == {"error": {"message": "words", "type": kind, "param": None, "code": "c"}}


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, "authentication"),
        (404, "not_found"),
        (405, "invalid_request"),
        (413, "payload_too_large"),
        (503, "provider_unavailable"),
        (418, "unmapped"),
    ],
)
def test_openrouters_clients_get_the_status_as_code(status: int, kind: str) -> None:
    error = json.loads(error_response("/api/v1/chat/completions", status, "words", code="c").body)["error"]
    assert (error["code"], error["message"]) == (status, "words")
    assert error["metadata"] == {"error_type": kind, "code": "c"}
    assert error.keys() == {"code", "message", "metadata", "type", "param"}


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (404, "not_found_error"),
        (413, "request_too_large"),
        (429, "rate_limit_error"),
        (500, "api_error"),
        (503, "overloaded_error"),
    ],
)
def test_anthropics_clients_get_anthropics_shape(status: int, kind: str) -> None:
    for path in ("/v1/messages", "/api/v1/messages"):
        response = error_response(path, status, "words")
        assert json.loads(response.body) == {"type": "error", "error": {"type": kind, "message": "words"}}


@pytest.mark.parametrize("path", ["/router/v1/routers", "/lro/v1alpha/operations/x"])
@pytest.mark.parametrize(("status", "code"), [(400, 3), (401, 16), (403, 7), (404, 5), (405, 12), (503, 14), (418, 13)])
def test_clients_of_the_router_api_get_googles_status(path: str, status: int, code: int) -> None:
    assert json.loads(error_response(path, status, "words").body) == {"code": code, "message": "words", "details": []}


@pytest.mark.parametrize(("seconds", "shown"), [(0.2, "1"), (1.0, "1"), (1.2, "2"), (7.0, "7"), (7.5, "8")])
def test_a_wait_is_rounded_up_never_down(seconds: float, shown: str) -> None:
    error = Overloaded("busy", retry_after=seconds)
    assert router_error_response("/v1/messages", error).headers["retry-after"] == shown
    assert status_response(error).headers["retry-after"] == shown


def test_one_of_our_errors_keeps_its_status_and_reason() -> None:
    response = router_error_response("/v1/chat/completions", Unauthenticated("no key"))
    assert response.status == 401
    assert json.loads(response.body)["error"]["code"] == "unauthenticated"
    assert "retry-after" not in response.headers


def test_a_refused_policy_is_a_status_with_one_violation_per_problem() -> None:
    response = status_response(PolicyRejected([Problem("Router", "r", "routes", "is bad")]))
    body = json.loads(response.body)
    assert (response.status, body["code"]) == (400, 3)
    violations = next(d["fieldViolations"] for d in body["details"] if "fieldViolations" in d)
    assert violations == [{"field": "Router/r:routes", "description": "is bad", "reason": "ERROR"}]


def test_a_conflict_is_aborted_with_the_current_revision() -> None:
    body = json.loads(status_response(StoreConflict("x", current_revision=7)).body)
    assert body["code"] == 10
    assert body["details"][0]["metadata"]["current_revision"] == "7"
