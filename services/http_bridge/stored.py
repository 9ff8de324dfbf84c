"""The rest of OpenAI's Responses API: responses that a provider keeps.

Nothing is kept here, and an id does not say who made it, so these calls have no target; they are
answered, truthfully, in OpenAI's form.
"""

from __future__ import annotations

from collections.abc import Mapping

from services.http_bridge.errors import error_response
from services.http_bridge.http import Request, Response
from services.http_bridge.routing import Route

_METHODS = ("GET", "POST", "DELETE")
TOLD = "no response is kept here; ask the provider that made it, or send the whole conversation as `input`"


async def not_kept(request: Request, parameters: Mapping[str, str]) -> Response:
    """The answer to every call about a stored response."""
    del parameters
    return error_response(request.path, 501, TOLD, code="not_implemented")


def stored_routes() -> list[Route]:
    """The routes of calls about a stored response."""
    return [Route(method, "/v1/responses/{id...}", not_kept) for method in _METHODS]
