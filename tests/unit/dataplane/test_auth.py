"""Who may call a worker."""

from __future__ import annotations

import pytest

from services.core.errors import PermissionDenied, Unauthenticated
from services.core.policy.compile import Problems, compile
from services.core.policy.documents import ApiKey, key_of
from services.core.policy.snapshot import Snapshot
from services.dataplane.auth import ADMIN, INFERENCE, READ, authenticate
from services.runtime.catalogue.shipped import ShippedCatalogue
from services.runtime.conditions import CelCompiler
from services.runtime.keys import hash_key

KEYS = {"infer": (INFERENCE,), "read": (READ,), "admin": (ADMIN,), "all": (INFERENCE, READ, ADMIN)}


@pytest.fixture(scope="module")
def snapshot() -> Snapshot:
    documents = [ApiKey(name, hash_key(f"to-{name}"), scopes) for name, scopes in KEYS.items()]
    found = compile({key_of(d): d for d in documents}, CelCompiler(), ShippedCatalogue())
    assert not isinstance(found, Problems), found
    return found


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


@pytest.mark.parametrize(
    ("name", "scopes"),
    [
        ("infer", (INFERENCE,)),
        ("all", (INFERENCE,)),
        ("read", (READ, ADMIN)),
        ("admin", (READ, ADMIN)),
        ("infer", (INFERENCE, READ, ADMIN)),
    ],
)
def test_a_key_with_one_of_the_scopes_may(name: str, scopes: tuple[str, ...], snapshot: Snapshot) -> None:
    assert authenticate(snapshot, bearer(f"to-{name}"), *scopes).name == name
    assert authenticate(snapshot, {"x-api-key": f"to-{name}"}, *scopes).name == name


@pytest.mark.parametrize(
    ("name", "scopes"), [("read", (INFERENCE,)), ("admin", (INFERENCE,)), ("infer", (READ, ADMIN))]
)
def test_a_key_without_them_may_not_and_is_told_its_name(
    name: str, scopes: tuple[str, ...], snapshot: Snapshot
) -> None:
    with pytest.raises(PermissionDenied) as caught:
        authenticate(snapshot, bearer(f"to-{name}"), *scopes)
    assert caught.value.fields == {"key": name}
    assert f"to-{name}" not in caught.value.message


@pytest.mark.parametrize("headers", [{}, bearer("to-unknown"), bearer(hash_key("to-infer")), bearer("TO-INFER")])
def test_no_key_and_an_unknown_key_are_refused_without_repeating_it(
    headers: dict[str, str], snapshot: Snapshot
) -> None:
    with pytest.raises(Unauthenticated) as caught:
        authenticate(snapshot, headers, INFERENCE)
    assert "unknown" not in caught.value.message.replace("not known", "")
    assert not caught.value.fields
