"""The policy store in etcd. The sole importer of the etcd client's stubs, with its neighbours `etcd_members` and
`etcd_watch`.

Layout under the prefix, which ends with a slash:
    <prefix>policy/<Kind>/<name>    a document, a serialized turnout.policy.v1.Resource
    <prefix>policy-generation       rewritten by every policy write, with their number; writes compare it
    <prefix>policy-canary           the canary that runs; empty: none
    <prefix>history/<number>        one write, in the same transaction; the last `KEPT_WRITES` are kept
    <prefix>drafts/<name>           a draft
    <prefix>nodes/<replica>/<node>  statuses under leases
    <prefix>claims/<name>           who does what only one replica may do, under a lease
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from aetcd import rpc
from google.protobuf.message import DecodeError
from turnout.policy.v1.policy_pb2 import Resource

from services.controlplane.store.base import Batch, Draft, GenerationMoved, Listing, Recorded
from services.controlplane.store.etcd_leases import Leases
from services.controlplane.store.etcd_members import Member, Members
from services.controlplane.store.etcd_requests import delete, end_of, equals, get, put, unchanged
from services.controlplane.store.etcd_watch import EtcdWatch, Metadata, store_id_of
from services.controlplane.store.forms import (
    Unreadable,
    canary_bytes,
    draft_bytes,
    read_canary,
    read_draft,
    read_record,
    record_bytes,
)
from services.core.discovery.canary import Canary
from services.core.discovery.messages import Entry
from services.core.errors import Problem, StoreConflict, StoreUnavailable
from services.core.policy.documents import KINDS, Document, ResourceKey
from services.runtime.clock import Clock
from services.wire.policy import key_of_resource, to_document, to_resource

log = logging.getLogger(__name__)

CALL_SECONDS = 1.8
ROUND_SECONDS = 0.1
"""Pause after all members were asked in vain."""
KEPT_WRITES = 1_000
"""Writes that history keeps; an older one goes with each new one."""
DEFAULT_PREFIX = "/turnout/default/"
_NO_ANSWER = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}

Method = Callable[[Member], Any]


@dataclass(frozen=True, slots=True, repr=False)
class EtcdOptions:
    """How to reach etcd.

    Attributes:
        endpoints: HOST:PORT each; a host is a name, an IPv4 address, or an IPv6 address in brackets.
        password: Never shows in a repr.
    """

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
        self._canary = f"{self._prefix}policy-canary".encode()
        self._history = f"{self._prefix}history/".encode()
        self._drafts = f"{self._prefix}drafts/".encode()
        self._nodes = f"{self._prefix}nodes/".encode()
        self._options = options
        self._clock = clock
        self._members = Members(options.endpoints, _credentials(options))
        self._token = ""
        self._leases = Leases(lambda request: self._call(lambda member: member.leases.LeaseGrant, request), clock)

    async def listing(self) -> Listing:
        ranges = [get(self._policy, end_of(self._policy)), get(self._generation), get(self._canary)]
        answer = await self._call(_txn, rpc.TxnRequest(success=ranges))
        documents = answer.responses[0].response_range.kvs
        counters = answer.responses[1].response_range.kvs
        entries: dict[ResourceKey, Entry] = {}
        problems: list[Problem] = []
        for pair in documents:
            self._read_pair(pair, entries, problems)
        generation = counters[0].mod_revision if counters else 0
        canary, canary_at = None, 0
        for pair in answer.responses[2].response_range.kvs:
            canary, canary_at = self._read_canary(pair, problems), pair.mod_revision
        return Listing(
            entries=entries,
            revision=max([generation, canary_at, *(entry.revision for entry in entries.values())]),
            at=answer.header.revision,
            generation=generation,
            store_id=store_id_of(answer.header),
            problems=tuple(problems),
            writes=_number(counters[0].value) if counters else 0,
            canary=canary,
            canary_at=canary_at,
        )

    def watch(self, listing: Listing) -> EtcdWatch:
        # From "policy-canary" to the end of "policy/": the three neighbours and nothing else.
        span = (self._canary, end_of(self._policy))
        return EtcdWatch(self._members, span, listing, self._to_batch, self._metadata, self._clock)

    async def write(
        self,
        puts: Mapping[ResourceKey, Document],
        deletes: tuple[ResourceKey, ...],
        *,
        expected: Mapping[ResourceKey, int],
        generation: int,
        record: Recorded | None = None,
        number: int = 0,
    ) -> int:
        compares = [unchanged(self._generation, generation)]
        compares += [unchanged(self._path(key), revision) for key, revision in expected.items()]
        success = [put(self._path(key), _value(document)) for key, document in puts.items()]
        success += [delete(self._path(key)) for key in deletes]
        success.append(put(self._generation, str(number + 1).encode()))
        if record is not None:
            success.append(put(self._numbered(number + 1), record_bytes(record)))
            if number >= KEPT_WRITES:
                success.append(delete(self._history, self._numbered(number + 2 - KEPT_WRITES)))
        failure = [get(self._path(key)) for key in expected]
        request = rpc.TxnRequest(compare=compares, success=success, failure=failure)
        # Once only: a member that fell silent may have written it, and a second try would see a conflict with the first.
        answer = await self._call(_txn, request, once=True)
        if answer.succeeded:
            return int(answer.header.revision)
        for (key, revision), response in zip(expected.items(), answer.responses, strict=True):
            found = response.response_range.kvs
            current = found[0].mod_revision if found else 0
            if current != revision:
                raise StoreConflict(f"{key} is at revision {current}, not {revision}", current_revision=current)
        raise GenerationMoved

    async def history(self, *, after: int = 0, before: int = 0, limit: int = 0) -> list[Recorded]:
        request = rpc.RangeRequest(
            key=self._history,
            range_end=end_of(self._history),
            limit=limit,
            sort_order=rpc.RangeRequest.DESCEND,
            sort_target=rpc.RangeRequest.KEY,
            min_mod_revision=after + 1 if after else 0,
            max_mod_revision=before - 1 if before else 0,
        )
        answer = await self._call(lambda member: member.kv.Range, request)
        found: list[Recorded] = []
        for pair in answer.kvs:
            try:
                found.append(read_record(pair.value, pair.mod_revision))
            except Unreadable as error:
                log.warning("left out of the history at revision %d: %s", pair.mod_revision, error)
        return found

    async def drafts(self) -> Mapping[str, Draft]:
        request = rpc.RangeRequest(key=self._drafts, range_end=end_of(self._drafts))
        answer = await self._call(lambda member: member.kv.Range, request)
        found: dict[str, Draft] = {}
        for pair in answer.kvs:
            name = pair.key[len(self._drafts) :].decode("utf-8", "replace")
            try:
                found[name] = read_draft(pair.value, pair.mod_revision)
            except Unreadable as error:
                log.warning("the draft %s cannot be read: %s", name, error)
        return found

    async def put_draft(self, draft: Draft, *, expected: int | None) -> int:
        key = self._drafts + draft.name.encode()
        compares = [] if expected is None else [unchanged(key, expected)]
        request = rpc.TxnRequest(compare=compares, success=[put(key, draft_bytes(draft))], failure=[get(key)])
        answer = await self._call(_txn, request, once=True)
        if answer.succeeded:
            return int(answer.header.revision)
        found = answer.responses[0].response_range.kvs
        current = found[0].mod_revision if found else 0
        raise StoreConflict(f"the draft {draft.name!r} is at revision {current}", current_revision=current)

    async def delete_draft(self, name: str, *, revision: int | None = None) -> bool:
        key = self._drafts + name.encode()
        compares = [] if revision is None else [unchanged(key, revision)]
        answer = await self._call(_txn, rpc.TxnRequest(compare=compares, success=[delete(key)]))
        return bool(answer.succeeded and answer.responses[0].response_delete_range.deleted)

    async def put_canary(self, canary: Canary | None) -> int:
        # Never deleted: its revision says when the last one ended, also to a replica that starts later.
        request = rpc.PutRequest(key=self._canary, value=canary_bytes(canary))
        answer = await self._call(lambda member: member.kv.Put, request)
        return int(answer.header.revision)

    async def claim(self, name: str, value: str, ttl: int) -> str:
        key = f"{self._prefix}claims/{name}".encode()
        return await self._leases.under(ttl, lambda lease: self._claim(key, value, lease))

    async def _claim(self, key: bytes, value: str, lease: int) -> str:
        claimed = rpc.RequestOp(request_put=rpc.PutRequest(key=key, value=value.encode(), lease=lease))
        for compare in (unchanged(key, 0), equals(key, value.encode())):
            request = rpc.TxnRequest(compare=[compare], success=[claimed], failure=[get(key)])
            answer = await self._call(_txn, request)
            if answer.succeeded:
                return value
            found = answer.responses[0].response_range.kvs
            if found and found[0].value != value.encode():
                return str(found[0].value.decode("utf-8", "replace"))
        return ""  # our claim ended between the two questions

    async def claimed(self, name: str) -> str:
        request = rpc.RangeRequest(key=f"{self._prefix}claims/{name}".encode())
        answer = await self._call(lambda member: member.kv.Range, request)
        return str(answer.kvs[0].value.decode("utf-8", "replace")) if answer.kvs else ""

    async def release(self, name: str, value: str) -> None:
        key = f"{self._prefix}claims/{name}".encode()
        await self._call(_txn, rpc.TxnRequest(compare=[equals(key, value.encode())], success=[delete(key)]))

    async def put_status(self, name: str, value: bytes, ttl: int) -> None:
        key = self._nodes + name.encode()

        async def put(lease: int) -> None:
            await self._call(lambda member: member.kv.Put, rpc.PutRequest(key=key, value=value, lease=lease))

        await self._leases.under(ttl, put)

    async def list_statuses(self) -> Mapping[str, bytes]:
        request = rpc.RangeRequest(key=self._nodes, range_end=end_of(self._nodes))
        answer = await self._call(lambda member: member.kv.Range, request)
        return {pair.key[len(self._nodes) :].decode(): pair.value for pair in answer.kvs}

    async def aclose(self) -> None:
        await self._members.aclose()

    def _path(self, key: ResourceKey) -> bytes:
        return self._policy + f"{key.kind}/{key.name}".encode()

    def _key(self, path: bytes) -> ResourceKey:
        kind, _, name = path[len(self._policy) :].decode("utf-8", "replace").partition("/")
        return ResourceKey(kind, name)

    def _to_batch(self, revision: int, events: Sequence[Any]) -> Batch:
        puts: dict[ResourceKey, Entry] = {}
        deletes: dict[ResourceKey, None] = {}
        problems: list[Problem] = []
        canary, canary_at = None, 0
        for event in events:
            if event.kv.key == self._canary:
                canary, canary_at = self._read_canary(event.kv, problems), event.kv.mod_revision
            if not event.kv.key.startswith(self._policy):
                continue
            key = self._key(event.kv.key)
            if event.type == event.DELETE:
                puts.pop(key, None)
                deletes[key] = None
            else:
                deletes.pop(key, None)
                self._read_pair(event.kv, puts, problems)
        return Batch(revision, puts, tuple(deletes), tuple(problems), canary, canary_at)

    def _numbered(self, number: int) -> bytes:
        return self._history + f"{number:012d}".encode()

    def _read_canary(self, pair: Any, problems: list[Problem]) -> Canary | None:
        """The canary of a value; one that cannot be read is none, and reported."""
        try:
            return read_canary(pair.value, pair.mod_revision)
        except Unreadable:
            problems.append(Problem("", "", "", "the canary in the store cannot be read; it is left out"))
            return None

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

    async def _metadata(self, member: Member) -> Metadata:
        if not self._options.user:
            return ()
        if not self._token:
            request = rpc.AuthenticateRequest(name=self._options.user, password=self._options.password)
            answer = await member.auth.Authenticate(request, timeout=CALL_SECONDS)
            self._token = answer.token
        return (("token", self._token),)

    async def _call(self, method: Method, request: Any, *, once: bool = False) -> Any:
        """Call etcd; a member that does not answer is passed over for the next one, unless `once`.

        All are asked at least once, and again while `CALL_SECONDS` have not passed: a cluster that elects
        a leader, or a member that is back and not connected yet, answers in a moment.

        Raises:
            StoreUnavailable: No answer in time, or etcd refuses.
        """
        end = self._clock.monotonic() + CALL_SECONDS
        tries = 0
        while True:
            member = self._members.present
            try:
                return await self._ask(member, method, request)
            except grpc.aio.AioRpcError as error:
                tries += 1
                silent = error.code() in _NO_ANSWER
                if silent:
                    self._members.lost(member)
                round_over = tries % len(self._members) == 0
                if once or not silent or (round_over and self._clock.monotonic() >= end):
                    raise self._unavailable(error) from error
            if round_over:
                await self._clock.sleep(ROUND_SECONDS)

    async def _ask(self, member: Member, method: Method, request: Any) -> Any:
        """Call one member; a lost token is fetched anew once (simple tokens die with etcd)."""
        for last in (False, True):
            try:
                return await method(member)(request, timeout=CALL_SECONDS, metadata=await self._metadata(member))
            except grpc.aio.AioRpcError as error:
                lost = error.code() is grpc.StatusCode.UNAUTHENTICATED or "auth token" in (error.details() or "")
                if last or not self._options.user or not lost:
                    raise
                self._token = ""
        raise AssertionError("the loop returns or raises")

    def _unavailable(self, error: grpc.aio.AioRpcError) -> StoreUnavailable:
        told = f"etcd at {', '.join(self._options.endpoints)}: {error.code().name}"
        if error.code() is grpc.StatusCode.INVALID_ARGUMENT:
            told += f" ({error.details()}; start etcd with a larger --max-txn-ops)"
        return StoreUnavailable(told, retry_after=1.0)


def _txn(member: Member) -> Any:
    return member.kv.Txn


def _credentials(options: EtcdOptions) -> grpc.ChannelCredentials | None:
    if options.ca_file is None:
        return None
    return grpc.ssl_channel_credentials(
        options.ca_file.read_bytes(),
        options.key_file.read_bytes() if options.key_file is not None else None,
        options.cert_file.read_bytes() if options.cert_file is not None else None,
    )


def _number(value: bytes) -> int:
    """The number of writes; a store of the first release has none."""
    return int(value) if value.isdigit() else 0


def _value(document: Document) -> bytes:
    return to_resource(document).SerializeToString(deterministic=True)
