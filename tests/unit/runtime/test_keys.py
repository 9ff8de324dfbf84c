"""API keys: made, presented, recognised."""

from __future__ import annotations

import pytest

from services.core.policy.checks import check
from services.core.policy.documents import ApiKey
from services.runtime.keys import HASH_PREFIX, PREFIX, hash_key, new_key, presented_key


def test_a_key_is_long_random_and_hashed_in_the_form_that_policy_takes() -> None:
    keys = {new_key() for _ in range(100)}
    assert len(keys) == 100
    assert all(key.startswith(PREFIX) and len(key) >= 43 for key in keys)
    hashes = {hash_key(key) for key in keys}
    assert len(hashes) == 100
    for digest in hashes:
        assert check(ApiKey("k", digest, ("inference",))) == []
        assert digest.startswith(HASH_PREFIX)


def test_a_hash_is_stable_over_releases() -> None:
    # Keys of running deployments live by it.
    digest = "0e268900cda5f5eeb70b64679b338c47c2fc44711c1b1298ed9358af57b474fc"
    assert hash_key("to-example") == HASH_PREFIX + digest
    assert hash_key("to-example") != hash_key("to-example ")


@pytest.mark.parametrize(
    ("headers", "key"),
    [
        ({"authorization": "Bearer to-1"}, "to-1"),
        ({"authorization": "bearer   to-1  "}, "to-1"),
        ({"authorization": "Basic dG86MQ=="}, "dG86MQ=="),
        ({"x-api-key": " to-2 "}, "to-2"),
        ({"authorization": "Bearer to-1", "x-api-key": "to-2"}, "to-1"),
        ({"authorization": "Digest x", "x-api-key": "to-2"}, "to-2"),
        ({"authorization": "Bearer ", "x-api-key": "to-2"}, "to-2"),
        ({"authorization": "to-1"}, None),
        ({"authorization": ""}, None),
        ({"x-api-key": "  "}, None),
        ({}, None),
    ],
)
def test_a_key_is_found_where_clients_put_it(headers: dict[str, str], key: str | None) -> None:
    assert presented_key(headers) == key
