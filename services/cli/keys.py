"""Commands over API keys: create, list, revoke."""

from __future__ import annotations

from typing import Annotated

from cyclopts import App, Parameter
from turnout.policy.v1 import policy_service_pb2 as api
from turnout.policy.v1.policy_pb2 import ApiKey, Resource, ResourceName

from services.cli.connection import Connection
from services.cli.output import err, escape, out, show_json, show_table
from services.cli.policy_commands import DEFAULT_CONNECTION, Json, call
from services.runtime.keys import hash_key, new_key

keys = App(name="keys", help="Make, list and revoke callers' API keys.")


@keys.command
def create(
    name: str,
    /,
    *,
    scope: Annotated[tuple[str, ...], Parameter(help="inference, read or admin; may be repeated")] = ("inference",),
    as_json: Json = False,
    connection: Connection = DEFAULT_CONNECTION,
) -> None:
    """Make a key. It is shown once; only its hash is kept.

    Args:
        name: Name of the key, for people and logs.
    """
    key = new_key()
    document = Resource(api_key=ApiKey(name=name, hash=hash_key(key), scopes=scope))
    call(connection, "CreateResource", api.CreateResourceRequest(resource=document))
    if as_json:
        show_json({"name": name, "key": key, "scopes": list(scope)})
        return
    err.print(f"key [bold]{escape(name)}[/] with scopes {', '.join(scope)}; it is not shown again:")
    out.print(key)


@keys.command(name="list")
def list_keys(*, as_json: Json = False, connection: Connection = DEFAULT_CONNECTION) -> None:
    """Show the keys by name."""
    found = call(connection, "ListResources", api.ListResourcesRequest(kind="ApiKey")).resources
    if as_json:
        show_json([{"name": r.api_key.name, "scopes": list(r.api_key.scopes)} for r in found])
        return
    rows = [(r.api_key.name, ", ".join(r.api_key.scopes), r.etag) for r in found]
    show_table(("NAME", "SCOPES", "REVISION"), rows, empty="no keys; make one with 'turnout keys create NAME'")


@keys.command
def revoke(name: str, /, *, connection: Connection = DEFAULT_CONNECTION) -> None:
    """Revoke a key: workers refuse it within a second.

    Args:
        name: Name of the key.
    """
    request = api.DeleteResourceRequest(name=ResourceName(kind="ApiKey", name=name))
    answer = call(connection, "DeleteResource", request)
    out.print(f"[red]- revoked[/] {escape(name)} [dim](revision {answer.revision})[/]")
