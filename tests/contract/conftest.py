"""Fixtures of the contracts."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from services.controlplane.store.base import PolicyStore
from services.controlplane.store.etcd import EtcdOptions, EtcdStore
from services.controlplane.store.memory import MemoryStore
from services.runtime.clock import SystemClock
from tests.support.etcd import Etcd


@pytest.fixture(params=["memory", "etcd"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[PolicyStore]:
    """Each store that must keep the contract."""
    if request.param == "memory":
        yield MemoryStore()
        return
    etcd: Etcd = request.getfixturevalue("etcd")
    found = EtcdStore(EtcdOptions((etcd.endpoint,)), SystemClock())
    yield found
    await found.aclose()
