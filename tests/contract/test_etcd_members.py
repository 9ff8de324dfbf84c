"""Several endpoints of one etcd: names and addresses, dead ones and silent ones, members that die."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from services.controlplane.store import etcd as etcd_module
from services.controlplane.store.base import Batch
from services.controlplane.store.etcd import EtcdOptions, EtcdStore
from services.core.errors import StoreUnavailable
from services.core.policy.documents import Alias, Provider, key_of
from services.runtime.clock import SystemClock
from tests.support.etcd import Etcd, running_cluster
from tests.support.forward import Forward, forwarding
from tests.support.nodes import apply
from tests.support.ports import free_port

OPENAI = Provider(name="openai", type="openai")


@asynccontextmanager
async def opened(*endpoints: str) -> AsyncIterator[EtcdStore]:
    store = EtcdStore(EtcdOptions(endpoints), SystemClock())
    try:
        yield store
    finally:
        await store.aclose()


@contextmanager
def silent() -> Iterator[int]:
    """A port that lets clients in and says nothing, as a member behind a broken network."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


async def works(store: EtcdStore) -> None:
    """Every kind of call, and a watch."""
    listing = await store.listing()
    watch = store.watch(listing)
    revision = await store.write({key_of(OPENAI): OPENAI}, (), expected={}, generation=listing.generation)
    assert (await asyncio.wait_for(watch.next(), 10)).revision == revision
    await store.put_status("a/n", b"here", 10)
    assert await store.list_statuses() == {"a/n": b"here"}
    watch.cancel()


@pytest.mark.parametrize("hosts", [("localhost",), ("localhost", "localhost"), ("127.0.0.1", "localhost")])
async def test_names_and_addresses_lead_to_etcd(etcd: Etcd, hosts: tuple[str, ...]) -> None:
    async with opened(*(f"{host}:{etcd.port}" for host in hosts)) as store:
        await works(store)


def has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
async def test_ipv6_addresses_lead_to_etcd_among_others(etcd: Etcd) -> None:
    way: Forward
    async with forwarding(etcd.port, "::1") as way, opened(f"[::1]:{way.port}", f"localhost:{free_port()}") as store:
        await works(store)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
async def test_a_dead_first_endpoint_fails_no_call(etcd: Etcd, host: str) -> None:
    async with opened(f"{host}:{free_port()}", f"{host}:{etcd.port}") as store:
        await works(store)


async def test_an_endpoint_whose_name_is_not_known_fails_no_call(etcd: Etcd) -> None:
    async with opened("no-such-host.invalid:2379", f"localhost:{etcd.port}") as store:
        await works(store)


async def test_a_silent_first_endpoint_fails_no_call(etcd: Etcd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(etcd_module, "CALL_SECONDS", 0.5)
    with silent() as port:
        async with opened(f"127.0.0.1:{port}", f"localhost:{etcd.port}") as store:
            await works(store)


async def test_without_any_endpoint_that_answers_all_are_named() -> None:
    endpoints = (f"localhost:{free_port()}", f"localhost:{free_port()}")
    async with opened(*endpoints) as store:
        with pytest.raises(StoreUnavailable, match=f"etcd at {endpoints[0]}, {endpoints[1]}: UNAVAILABLE"):
            await store.listing()


async def test_a_write_whose_outcome_is_not_known_is_not_repeated(etcd: Etcd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(etcd_module, "CALL_SECONDS", 0.5)
    async with opened(f"localhost:{etcd.port}") as other:
        listing = await other.listing()
        with silent() as port:
            async with opened(f"127.0.0.1:{port}", f"localhost:{etcd.port}") as store:
                with pytest.raises(StoreUnavailable):
                    await store.write({key_of(OPENAI): OPENAI}, (), expected={}, generation=listing.generation)
                assert not (await other.listing()).entries
                # The member that said nothing is not asked again.
                await store.write({key_of(OPENAI): OPENAI}, (), expected={}, generation=listing.generation)


@pytest.mark.process
async def test_losing_members_of_a_cluster_costs_no_reading_and_no_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Long enough for an election on a busy machine.
    monkeypatch.setattr(etcd_module, "CALL_SECONDS", 15.0)
    members: list[Etcd]
    with running_cluster(tmp_path) as members:
        async with opened(*(f"localhost:{member.port}" for member in members)) as store:
            await apply(store, OPENAI)
            start = await store.listing()
            watch = store.watch(start)
            revisions: list[int] = []
            for member in members:
                await asyncio.to_thread(member.kill)
                for number in range(3):
                    name = f"a{len(revisions)}"
                    assert (await store.listing()).entries
                    revisions.append(await apply(store, Alias(name=name, model=f"openai/m{number}")))
                await asyncio.to_thread(member.start)
            seen: list[Batch] = []
            while not seen or seen[-1].revision < revisions[-1]:
                seen.append(await asyncio.wait_for(watch.next(), 30))
            watch.cancel()
    names = [key.name for batch in seen for key in batch.puts]
    assert names == [f"a{number}" for number in range(9)]
    found = [entry.revision for batch in seen for entry in batch.puts.values()]
    assert found == sorted(set(found))
