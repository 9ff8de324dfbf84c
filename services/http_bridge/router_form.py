"""Routers in the exact shape of the Inworld Router API: outer members in camelCase, inner ones in snake_case."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from turnout.policy.v1.policy_pb2 import Resource, Router

from services.core.errors import InvalidRequest, PolicyRejected
from services.core.policy.names import bare_router_name, derive_name
from services.wire.document_form import message_form, read_form

_OUTER = {"display_name": "displayName", "default_route": "defaultRoute"}
_FIELDS = {"display_name": "display_name", "displayName": "display_name", "defaults": "defaults", "routes": "routes"}
_FIELDS |= {"default_route": "default_route", "defaultRoute": "default_route", "clocks": "clocks", "retry": "retry"}
_FIELDS |= {name: name for name in ("metadata", "hedge", "recovery")}


def router_form(router: Router) -> dict[str, Any]:
    """A router as clients read it."""
    form = message_form(router)
    return {_OUTER.get(name, name): value for name, value in form.items()}


def read_router(form: Any, *, name: str = "") -> tuple[Resource, list[str]]:
    """A router as clients write it, and what was not understood.

    Args:
        name: The name of the path, when there is one.

    Raises:
        InvalidRequest: It is not an object.
        PolicyRejected: Some fields are wrong; all of them are listed.
    """
    if not isinstance(form, Mapping):
        raise InvalidRequest("expected a JSON object")
    # Some clients wrap the router, as gRPC transcoding does.
    inner = form.get("router")
    values = dict(inner) if isinstance(inner, Mapping) else dict(form)
    given = values.get("name")
    own = bare_router_name(given) if isinstance(given, str) else ""
    shown = values.get("displayName", values.get("display_name", ""))
    values["name"] = name or own or derive_name(shown if isinstance(shown, str) else "")
    resource, problems = read_form(values, kind="Router", lenient=True)
    if resource is None:
        raise PolicyRejected(problems)
    return resource, [str(p) for p in problems]


def masked(current: Router, update: Router, mask: str) -> Router:
    """`current` with the fields of `mask` (comma-separated, either casing) from `update`; an empty mask means all.

    Raises:
        InvalidRequest: The mask names a field that routers do not have.
    """
    result = Router()
    if not mask.strip():
        result.CopyFrom(update)
        result.name = current.name
        return result
    result.CopyFrom(current)
    for raw in mask.split(","):
        field = _FIELDS.get(raw.strip().split(".", 1)[0])
        if field is None:
            raise InvalidRequest(f"update_mask: routers have no field {raw.strip()!r}", param="update_mask")
        result.ClearField(field)  # type: ignore[arg-type]
        value = getattr(update, field)
        if isinstance(value, str):
            setattr(result, field, value)
        elif field == "routes":
            result.routes.extend(value)
        elif update.HasField(field):  # type: ignore[arg-type]
            getattr(result, field).CopyFrom(value)
    return result
