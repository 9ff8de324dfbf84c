"""The table of routes."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from services.http_bridge.http import Request, Response
from services.http_bridge.routing import Match, Route, RouteTable


async def handle(request: Request, parameters: Mapping[str, str]) -> Response:
    del request, parameters
    return Response(200)


TABLE = RouteTable(
    Route(method, pattern, handle)
    for method, pattern in [
        ("GET", "/"),
        ("GET", "/v1/models"),
        ("GET", "/v1/models/{id...}"),
        ("POST", "/v1/chat/completions"),
        ("GET", "/router/v1/routers"),
        ("POST", "/router/v1/routers"),
        ("GET", "/router/v1/routers/{router_id}"),
        ("PATCH", "/router/v1/routers/{router_id}"),
        ("GET", "/lro/v1alpha/{name...}"),
    ]
)


@pytest.mark.parametrize(
    ("method", "path", "pattern", "parameters"),
    [
        ("GET", "/", "/", {}),
        ("GET", "/v1/models", "/v1/models", {}),
        ("GET", "/v1/models/", "/v1/models", {}),
        ("HEAD", "/v1/models", "/v1/models", {}),
        ("GET", "/v1/models/openai/gpt-5", "/v1/models/{id...}", {"id": "openai/gpt-5"}),
        ("POST", "/v1/chat/completions/", "/v1/chat/completions", {}),
        ("PATCH", "/router/v1/routers/x", "/router/v1/routers/{router_id}", {"router_id": "x"}),
        ("HEAD", "/router/v1/routers/x/", "/router/v1/routers/{router_id}", {"router_id": "x"}),
        ("GET", "/lro/v1alpha/operations/x-write", "/lro/v1alpha/{name...}", {"name": "operations/x-write"}),
    ],
)
def test_a_request_finds_its_route(method: str, path: str, pattern: str, parameters: dict[str, str]) -> None:
    match = TABLE.match(method, path)
    assert match.route is not None
    assert (match.route.pattern, match.parameters) == (pattern, parameters)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v1/chat/completions", ("POST",)),
        ("DELETE", "/router/v1/routers", ("GET", "POST")),
        ("PUT", "/router/v1/routers/x", ("GET", "PATCH")),
        ("POST", "/v1/models/a/b", ("GET",)),
    ],
)
def test_a_wrong_method_is_told_the_right_ones(method: str, path: str, allowed: tuple[str, ...]) -> None:
    assert TABLE.match(method, path) == Match(None, {}, allowed)


@pytest.mark.parametrize(
    "path",
    ["/v1", "/v2/models", "/router/v1/routers/x/y", "/lro/v1alpha", "/V1/models", "//v1/models", "", "/v1/modelsx"],
)
def test_an_unknown_path_has_no_route_and_no_methods(path: str) -> None:
    assert TABLE.match("GET", path) == Match(None, {})


@pytest.mark.parametrize(
    ("path", "meant"),
    [
        ("/chat/completions", "/v1/chat/completions"),
        ("/models", "/v1/models"),
        ("/v1/v1/models", "/v1/models"),
        ("/v1beta/v1/models/openai/gpt-5", "/v1/models/openai/gpt-5"),
        ("/v1/chat/completions/chat/completions", "/v1/chat/completions"),
        ("/v1/chat/completion", "/v1/chat/completions"),
        ("/nowhere", ""),
        ("/v1", ""),
        ("", ""),
        ("//", ""),
        ("/models" * 40, ""),
        ("/x" * 6 + "/v1/models", "/v1/models"),
        ("/x" * 20 + "/v1/models", ""),
    ],
)
def test_a_slip_of_the_base_url_is_seen(path: str, meant: str) -> None:
    assert TABLE.meant(path) == meant
