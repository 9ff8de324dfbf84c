"""A worker's records as they come, by the model that was asked for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from turnout.record.v1.record_pb2 import RequestRecord

from tests.support.inprocess import Running


class Followed:
    """The records of requests whose models are all different."""

    def __init__(self) -> None:
        self._found: dict[str, asyncio.Future[RequestRecord]] = {}

    def put(self, record: RequestRecord) -> None:
        self._of(record.requested_model).set_result(record)

    def _of(self, model: str) -> asyncio.Future[RequestRecord]:
        return self._found.setdefault(model, asyncio.get_running_loop().create_future())

    async def get(self, model: str) -> RequestRecord:
        """The record of the request for `model`; waits until the request has ended."""
        async with asyncio.timeout(30):
            return await self._of(model)


@asynccontextmanager
async def followed(suite: Running) -> AsyncIterator[Followed]:
    """The records of `suite` from here on."""
    found = Followed()

    async def follow() -> None:
        async for record in suite.worker.records.follow(0):
            found.put(record)

    task = asyncio.create_task(follow())
    try:
        yield found
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
