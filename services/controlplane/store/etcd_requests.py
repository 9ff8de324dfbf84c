"""Requests of etcd's API: the parts that transactions are made of."""

from __future__ import annotations

from typing import Any

from aetcd import rpc


def put(path: bytes, value: bytes) -> Any:
    """Write a key."""
    return rpc.RequestOp(request_put=rpc.PutRequest(key=path, value=value))


def get(path: bytes, end: bytes = b"") -> Any:
    """Read a key, or those before `end`."""
    return rpc.RequestOp(request_range=rpc.RangeRequest(key=path, range_end=end))


def delete(path: bytes, end: bytes = b"") -> Any:
    """Delete a key, or those before `end`."""
    return rpc.RequestOp(request_delete_range=rpc.DeleteRangeRequest(key=path, range_end=end))


def unchanged(path: bytes, revision: int) -> Any:
    """That a key was written last at this revision; 0: it is not there."""
    return rpc.Compare(key=path, target=rpc.Compare.MOD, result=rpc.Compare.EQUAL, mod_revision=revision)


def end_of(prefix: bytes) -> bytes:
    """The first key after all keys that start with `prefix`, which ends in a slash."""
    return prefix[:-1] + bytes((prefix[-1] + 1,))


def equals(path: bytes, value: bytes) -> Any:
    """That a key has this value."""
    return rpc.Compare(key=path, target=rpc.Compare.VALUE, result=rpc.Compare.EQUAL, value=value)
