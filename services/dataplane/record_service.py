"""`turnout.record.v1.RecordService`: this worker's evidence over gRPC."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import grpc
from turnout.record.v1 import record_service_pb2_grpc
from turnout.record.v1.record_pb2 import RequestRecord
from turnout.record.v1.record_service_pb2 import FollowRecordsRequest, GetRecordRequest

from services.core.errors import RouterError
from services.dataplane.auth import ADMIN, INFERENCE, READ, admit, authenticate
from services.dataplane.policy_holder import PolicyHolder
from services.dataplane.records import RecordLog, visible_record
from services.runtime.grpc_server import headers_of
from services.wire.status import abort

Context = grpc.aio.ServicerContext[Any, Any]
MAX_TAIL = 1_000


class RecordServicer(record_service_pb2_grpc.RecordServiceServicer):
    """Serves records to keys of scope `read` or `admin`; to others one of their own at a time."""

    def __init__(self, policy: PolicyHolder, records: RecordLog) -> None:
        self._policy = policy
        self._records = records

    async def FollowRecords(self, request: FollowRecordsRequest, context: Context) -> AsyncIterator[RequestRecord]:
        await admit(self._policy, context, READ, ADMIN)
        # Headers at once: a follower learns that it is connected before the first record exists.
        await context.send_initial_metadata(())
        tail = min(max(request.tail, 0), MAX_TAIL)
        async with aclosing(self._records.follow(tail, end=request.no_follow)) as records:
            async for record in records:
                yield record

    async def GetRecord(self, request: GetRecordRequest, context: Context) -> RequestRecord:
        try:
            key = authenticate(self._policy.required(), headers_of(context), INFERENCE, READ, ADMIN)
            return visible_record(self._records, request.generation_id, key)
        except RouterError as error:
            await abort(context, error)
            raise
