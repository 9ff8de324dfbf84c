"""Routers in the exact shape of the Inworld Router API: outer members in camelCase, inner ones in snake_case."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from turnout.policy.v1.policy_pb2 import Resource, Router

from services.core.errors import InvalidRequest, PolicyRejected
from services.core.policy.names import bare_router_name, derive_name
from services.wire.document_form import message_form, read_form

_OUTER = {"display_name": "displayName", "default_route": "defaultRoute"}
_FIELDS = {field.name: field.name for field in Router.DESCRIPTOR.fields if field.name != "name"}
_FIELDS |= {outer: field for field, outer in _OUTER.items()}
"""Fields that a mask may name, in either spelling; a router keeps its name."""


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
    names = [raw.strip() for raw in mask.split(",")] if mask.strip() else list(_FIELDS)
    unknown = [name for name in names if name.split(".", 1)[0] not in _FIELDS]
    if unknown:
        raise InvalidRequest(f"update_mask: routers have no field {unknown[0]!r}", param="update_mask")
    wanted = {_FIELDS[name.split(".", 1)[0]] for name in names}
    result, picked = Router(), Router()
    result.CopyFrom(current)
    picked.CopyFrom(update)
    for field in Router.DESCRIPTOR.fields:
        (result if field.name in wanted else picked).ClearField(field.name)  # type: ignore[arg-type]
    result.MergeFrom(picked)
    return result
