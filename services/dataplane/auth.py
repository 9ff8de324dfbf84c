"""Who may call: a caller's key against the keys of the snapshot."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import grpc

from services.core.errors import PermissionDenied, RouterError, Unauthenticated
from services.core.policy.snapshot import CompiledKey, Snapshot
from services.dataplane.policy_holder import PolicyHolder
from services.runtime.grpc_server import headers_of
from services.runtime.keys import hash_key, presented_key
from services.wire.status import abort

INFERENCE = "inference"
READ = "read"
ADMIN = "admin"


def authenticate(snapshot: Snapshot, headers: Mapping[str, str], *scopes: str) -> CompiledKey:
    """The key that `headers` present, when it has one of `scopes`.

    Keys are looked up by their keyed hash, so the time taken tells nothing about them.

    Raises:
        Unauthenticated: No key, or one that the policy does not know.
        PermissionDenied: The key lacks the scope.
    """
    presented = presented_key(headers)
    if presented is None:
        raise Unauthenticated(
            "no API key: send it as 'Authorization: Bearer <key>', 'Authorization: Basic <key>', 'x-api-key: <key>' or"
            " 'x-goog-api-key: <key>'"
        )
    key = snapshot.keys.get(hash_key(presented))
    if key is None:
        raise Unauthenticated("the API key is not known; ask for one, or make one with 'turnout keys create'")
    if not key.scopes.intersection(scopes):
        raise PermissionDenied(
            f"the API key {key.name!r} lacks the scope {' or '.join(scopes)!r}", fields={"key": key.name}
        )
    return key


async def admit(policy: PolicyHolder, context: grpc.aio.ServicerContext[Any, Any], *scopes: str) -> None:
    """Let a call through, or end it with what `authenticate` says, or with the news that there is no policy yet."""
    try:
        authenticate(policy.required(), headers_of(context), *scopes)
    except RouterError as error:
        await abort(context, error)
