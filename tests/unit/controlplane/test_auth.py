"""Who may call the control plane."""

from __future__ import annotations

from typing import Any

import pytest

from services.controlplane.auth import ADMIN, READ, Authoriser
from services.controlplane.board import Board
from services.core.discovery.messages import Entry, PolicySet
from services.core.errors import PermissionDenied, Unauthenticated
from services.core.policy.documents import ApiKey, key_of
from services.runtime.keys import hash_key

KEYS = {"infer": ("inference",), "read": ("read",), "admin": ("admin",)}


class Context:
    """A call with metadata."""

    def __init__(self, *metadata: tuple[str, Any]) -> None:
        self._metadata = metadata

    def invocation_metadata(self) -> Any:
        return self._metadata


def presenting(key: str) -> Context:
    return Context(("authorization", f"Bearer {key}"), ("binary-bin", b"\xff"))


@pytest.fixture
def authoriser() -> Authoriser:
    board = Board()
    documents = [ApiKey(name, hash_key(f"to-{name}"), scopes) for name, scopes in KEYS.items()]
    board.show(PolicySet({key_of(d): Entry(d, 1) for d in documents}, 1, "v", "s"))
    return Authoriser(board, hash_key("to-bootstrap"))


@pytest.mark.parametrize(
    ("key", "scopes"),
    [("to-admin", ADMIN), ("to-admin", READ), ("to-read", READ), ("to-bootstrap", ADMIN), ("to-bootstrap", READ)],
)
def test_a_key_with_the_scope_may(authoriser: Authoriser, key: str, scopes: frozenset[str]) -> None:
    authoriser.check(presenting(key), scopes)
    authoriser.check(Context(("x-api-key", key)), scopes)


@pytest.mark.parametrize(("key", "scopes"), [("to-read", ADMIN), ("to-infer", ADMIN), ("to-infer", READ)])
def test_a_key_without_it_may_not(authoriser: Authoriser, key: str, scopes: frozenset[str]) -> None:
    with pytest.raises(PermissionDenied, match="lacks the scope") as caught:
        authoriser.check(presenting(key), scopes)
    assert key not in caught.value.message


@pytest.mark.parametrize(
    "context", [Context(), presenting("to-other"), presenting(hash_key("to-admin")), presenting("")]
)
def test_no_key_and_an_unknown_key_are_refused(authoriser: Authoriser, context: Context) -> None:
    with pytest.raises(Unauthenticated):
        authoriser.check(context, READ)


def test_without_a_bootstrap_key_an_empty_store_lets_nobody_in() -> None:
    with pytest.raises(Unauthenticated):
        Authoriser(Board(), "").check(presenting("to-bootstrap"), ADMIN)


def test_a_revoked_key_is_refused_as_soon_as_the_board_shows_it(authoriser: Authoriser) -> None:
    authoriser.check(presenting("to-admin"), ADMIN)
    authoriser._board.show(PolicySet({}, 2, "w", "s"))
    with pytest.raises(Unauthenticated):
        authoriser.check(presenting("to-admin"), ADMIN)
