"""The policy store in etcd. The sole importer of the etcd client's stubs, with `etcd_watch`.

Layout under the prefix, which ends with a slash:
    <prefix>policy/<Kind>/<name>    a document, a serialized turnout.policy.v1.Resource
    <prefix>policy-generation       rewritten by every policy write; writes compare it
    <prefix>nodes/<replica>/<node>  statuses under leases
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from aetcd import rpc
from google.protobuf.message import DecodeError
from turnout.policy.v1.policy_pb2 import Resource

from services.controlplane.store.base import Batch, GenerationMoved, Listing
from services.controlplane.store.etcd_watch import EtcdWatch, Metadata
from services.core.discovery.messages import Entry
from services.core.errors import Problem, StoreConflict, StoreUnavailable
from services.core.policy.documents import KINDS, Document, ResourceKey
from services.runtime.clock import Clock
from services.runtime.grpc_channel import CHANNEL_OPTIONS
from services.wire.policy import key_of_resource, to_document, to_resource

log = logging.getLogger(__name__)

CALL_SECONDS = 1.8
DEFAULT_PREFIX = "/turnout/default/"


@dataclass(frozen=True, slots=True, repr=False)
class EtcdOptions:
    """How to reach etcd. `endpoints` are HOST:PORT; the password never shows in a repr."""

    endpoints: tuple[str, ...]
    prefix: str = DEFAULT_PREFIX
    user: str = ""
    password: str = ""
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None


class EtcdStore:
    """Policy in etcd. Make it inside the running loop."""

    def __init__(self, options: EtcdOptions, clock: Clock) -> None:
        self._prefix = options.prefix.rstrip("/") + "/"
        self._policy = f"{self._prefix}policy/".encode()
        self._generation = f"{self._prefix}policy-generation".encode()
        self._nodes = f"{self._prefix}nodes/".encode()
        self._options = options
        self._clock = clock
        self._channel = _channel(options)
        self._kv = rpc.KVStub(self._channel)
        self._leases = rpc.LeaseStub(self._channel)
        self._token = ""
        self._lease_of: dict[int, tuple[int, float]] = {}

    async def listing(self) -> Listing:
        ranges = [
            rpc.RequestOp(request_range=rpc.RangeRequest(key=self._policy, range_end=_end_of(self._policy))),
            rpc.RequestOp(request_range=rpc.RangeRequest(key=self._generation)),
        ]
        answer = await self._call(self._kv.Txn, rpc.TxnRequest(success=ranges))
        documents = answer.responses[0].response_range.kvs
        counters = answer.responses[1].response_range.kvs
        entries: dict[ResourceKey, Entry] = {}
        problems: list[Problem] = []
        for pair in documents:
            self._read_pair(pair, entries, problems)
        generation = counters[0].mod_revision if counters else 0
        revision = max([generation, *(entry.revision for entry in entries.values())])
        store_id = f"{answer.header.cluster_id:016x}"
        return Listing(entries, revision, answer.header.revision, generation, store_id, tuple(problems))

    def watch(self, after: int) -> EtcdWatch:
        stub = rpc.WatchStub(self._channel)
        # From "policy-generation" to the end of "policy/": the two neighbours and nothing else.
        span = (self._generation, _end_of(self._policy))
        return EtcdWatch(stub, span, after, self._to_batch, self._metadata, self._clock)

    async def write(
        self,
        puts: Mapping[ResourceKey, Document],
        deletes: tuple[ResourceKey, ...],
        *,
        expected: Mapping[ResourceKey, int],
        generation: int,
    ) -> int:
        compares = [_unchanged(self._generation, generation)]
        compares += [_unchanged(self._path(key), revision) for key, revision in expected.items()]
        success = [
            rpc.RequestOp(request_put=rpc.PutRequest(key=self._path(key), value=_value(document)))
            for key, document in puts.items()
        ]
        success += [rpc.RequestOp(request_delete_range=rpc.DeleteRangeRequest(key=self._path(key))) for key in deletes]
        success.append(rpc.RequestOp(request_put=rpc.PutRequest(key=self._generation, value=b"policy")))
        failure = [rpc.RequestOp(request_range=rpc.RangeRequest(key=self._path(key))) for key in expected]
        answer = await self._call(self._kv.Txn, rpc.TxnRequest(compare=compares, success=success, failure=failure))
        if answer.succeeded:
            return int(answer.header.revision)
        for (key, revision), response in zip(expected.items(), answer.responses, strict=True):
            found = response.response_range.kvs
            current = found[0].mod_revision if found else 0
            if current != revision:
                raise StoreConflict(f"{key} is at revision {current}, not {revision}", current_revision=current)
        raise GenerationMoved

    async def put_status(self, name: str, value: bytes, ttl: int) -> None:
        lease = await self._lease(ttl)
        await self._call(self._kv.Put, rpc.PutRequest(key=self._nodes + name.encode(), value=value, lease=lease))

    async def _lease(self, ttl: int) -> int:
        """A lease that lasts `ttl` more seconds: one per ttl and half of its time, shared by all statuses."""
        now = self._clock.monotonic()
        lease, made = self._lease_of.get(ttl, (0, 0.0))
        if lease == 0 or now - made > ttl / 2:
            answer = await self._call(self._leases.LeaseGrant, rpc.LeaseGrantRequest(TTL=ttl + ttl // 2))
            lease = answer.ID
            self._lease_of[ttl] = (lease, now)
        return lease

    async def list_statuses(self) -> Mapping[str, bytes]:
        answer = await self._call(self._kv.Range, rpc.RangeRequest(key=self._nodes, range_end=_end_of(self._nodes)))
        return {pair.key[len(self._nodes) :].decode(): pair.value for pair in answer.kvs}

    async def aclose(self) -> None:
        await self._channel.close()

    def _path(self, key: ResourceKey) -> bytes:
        return self._policy + f"{key.kind}/{key.name}".encode()

    def _key(self, path: bytes) -> ResourceKey:
        kind, _, name = path[len(self._policy) :].decode("utf-8", "replace").partition("/")
        return ResourceKey(kind, name)

    def _to_batch(self, revision: int, events: Sequence[Any]) -> Batch:
        puts: dict[ResourceKey, Entry] = {}
        deletes: dict[ResourceKey, None] = {}
        problems: list[Problem] = []
        for event in events:
            if not event.kv.key.startswith(self._policy):
                continue
            key = self._key(event.kv.key)
            if event.type == event.DELETE:
                puts.pop(key, None)
                deletes[key] = None
            else:
                deletes.pop(key, None)
                self._read_pair(event.kv, puts, problems)
        return Batch(revision, puts, tuple(deletes), tuple(problems))

    def _read_pair(self, pair: Any, entries: dict[ResourceKey, Entry], problems: list[Problem]) -> None:
        """Read one value; one that is no document is reported and left out, so that it harms nothing else."""
        key = self._key(pair.key)
        try:
            resource = Resource.FromString(pair.value)
        except DecodeError:
            problems.append(Problem(key.kind, key.name, "", "the value in the store is not a document"))
            return
        if key.kind not in KINDS or key_of_resource(resource) != key:
            problems.append(Problem(key.kind, key.name, "", "the value in the store is not the document of its key"))
            return
        entries[key] = Entry(to_document(resource), pair.mod_revision)

    async def _metadata(self) -> Metadata:
        if not self._options.user:
            return ()
        if not self._token:
            request = rpc.AuthenticateRequest(name=self._options.user, password=self._options.password)
            answer = await rpc.AuthStub(self._channel).Authenticate(request, timeout=CALL_SECONDS)
            self._token = answer.token
        return (("token", self._token),)

    async def _call(self, method: Any, request: Any) -> Any:
        """Call etcd; a lost token is fetched anew once (simple tokens die with etcd).

        Raises:
            StoreUnavailable: No answer in time, or etcd refuses.
        """
        try:
            for attempt in (1, 2):
                try:
                    return await method(request, timeout=CALL_SECONDS, metadata=await self._metadata())
                except grpc.aio.AioRpcError as error:
                    lost = error.code() is grpc.StatusCode.UNAUTHENTICATED or "auth token" in (error.details() or "")
                    if attempt == 2 or not self._options.user or not lost:
                        raise
                    self._token = ""
        except grpc.aio.AioRpcError as error:
            told = f"etcd at {', '.join(self._options.endpoints)}: {error.code().name}"
            if error.code() is grpc.StatusCode.INVALID_ARGUMENT:
                told += f" ({error.details()}; start etcd with a larger --max-txn-ops)"
            raise StoreUnavailable(told, retry_after=1.0) from error
        raise AssertionError("the loop returns or raises")


def _channel(options: EtcdOptions) -> grpc.aio.Channel:
    target = f"ipv4:{','.join(options.endpoints)}" if len(options.endpoints) > 1 else options.endpoints[0]
    settings = (*CHANNEL_OPTIONS, ("grpc.lb_policy_name", "round_robin"))
    if options.ca_file is None:
        return grpc.aio.insecure_channel(target, options=settings)
    credentials = grpc.ssl_channel_credentials(
        options.ca_file.read_bytes(),
        options.key_file.read_bytes() if options.key_file is not None else None,
        options.cert_file.read_bytes() if options.cert_file is not None else None,
    )
    return grpc.aio.secure_channel(target, credentials, options=settings)


def _unchanged(path: bytes, revision: int) -> Any:
    return rpc.Compare(key=path, target=rpc.Compare.MOD, result=rpc.Compare.EQUAL, mod_revision=revision)


def _value(document: Document) -> bytes:
    return to_resource(document).SerializeToString(deterministic=True)


def _end_of(prefix: bytes) -> bytes:
    """The first key after all keys that start with `prefix`, which ends in a slash."""
    return prefix[:-1] + bytes((prefix[-1] + 1,))
