"""Who may call the control plane: keys of the policy by scope, and the deployment's bootstrap key."""

from __future__ import annotations

import hmac
from typing import Any

from services.controlplane.board import Board
from services.core.errors import PermissionDenied, Unauthenticated
from services.core.policy.documents import ApiKey
from services.runtime.grpc_server import headers_of
from services.runtime.keys import hash_key, presented_key

BOOTSTRAP = "bootstrap"
"""Name of the deployment's own key in the history."""
ADMIN = frozenset({"admin"})
READ = frozenset({"admin", "read"})


class Authoriser:
    """Checks the key of a call.

    Args:
        bootstrap_hash: Hash of a key that may do everything, for a store that has no key yet; empty: none.
    """

    def __init__(self, board: Board, bootstrap_hash: str) -> None:
        self._board = board
        self._bootstrap_hash = bootstrap_hash

    def check(self, context: Any, scopes: frozenset[str]) -> str:
        """Let a call through; the name of its key.

        Raises:
            Unauthenticated: No key, or one that is not known.
            PermissionDenied: The key lacks the scope.
        """
        presented = presented_key(headers_of(context))
        if presented is None:
            raise Unauthenticated("no API key: send it as 'authorization: Bearer <key>' or 'x-api-key: <key>'")
        digest = hash_key(presented)
        if self._bootstrap_hash and hmac.compare_digest(digest, self._bootstrap_hash):
            return BOOTSTRAP
        for entry in self._board.current.entries.values():
            document = entry.document
            if isinstance(document, ApiKey) and hmac.compare_digest(document.hash, digest):
                if scopes.isdisjoint(document.scopes):
                    raise PermissionDenied(
                        f"the API key {document.name!r} lacks the scope {' or '.join(sorted(scopes))}"
                    )
                return document.name
        raise Unauthenticated("the API key is not known")
