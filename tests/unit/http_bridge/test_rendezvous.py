"""Which worker a bridge sends a request to."""

from __future__ import annotations

from services.http_bridge.grpc_backend import rank


def test_the_rank_of_workers_spreads_keys_and_moves_only_those_of_a_worker_that_is_gone() -> None:
    addresses = [f"10.0.0.{number}:7011" for number in range(5)]

    def owner(key: str, among: list[str]) -> str:
        return max(among, key=lambda address: rank(address, key))

    keys = [f"key-{number}" for number in range(2_000)]
    before = {key: owner(key, addresses) for key in keys}
    counts = [list(before.values()).count(address) for address in addresses]
    assert min(counts) > 300
    after = {key: owner(key, addresses[1:]) for key in keys}
    assert {before[key] for key in keys if before[key] != after[key]} == {addresses[0]}
