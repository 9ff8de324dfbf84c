"""Fixtures for every kind of test."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.etcd import Etcd, running_etcd
from tests.support.llama import LlamaServer, running_llama


@pytest.fixture
def etcd(tmp_path: Path) -> Iterator[Etcd]:
    """A real etcd of this test's own."""
    with running_etcd(tmp_path / "etcd") as found:
        yield found


@pytest.fixture(scope="session")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LlamaServer]:
    """A real llama.cpp server with a tiny model."""
    with running_llama(tmp_path_factory.mktemp("llama")) as found:
        yield found


def pytest_collection_finish() -> None:
    """What was collected stays to the end: the garbage collector need not look at it again and again."""
    gc.collect()
    gc.freeze()
