"""The engine, with Idempotency-Keys: a request that repeats one in flight joins it instead of being run.

Requests without the header go straight to the engine. Whoever joins is authenticated first; the
joined request has one record, and its later callers are told by the header x-turnout-joined.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from services.core.errors import KeyInUse, RouterError
from services.core.policy.snapshot import CompiledKey
from services.core.values import changed
from services.dataplane.auth import INFERENCE, authenticate
from services.dataplane.engine import Call, Engine, Reply
from services.dataplane.idempotency import OtherRequest, SharedRuns, fingerprint, identity
from services.dataplane.translation import MODEL_HEADER, Dialect
from services.runtime.keys import presented_key

HEADER = "idempotency-key"
JOINED_HEADER = "x-turnout-joined"
_REPLY_BYTES = 256
"""About what a reply costs beside its data."""


class JoiningEngine:
    """Serves requests as the engine does. One per worker process."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.runs: SharedRuns[Reply] = SharedRuns(lambda reply: len(reply.data) + _REPLY_BYTES)

    async def whole(self, dialect: Dialect, call: Call) -> Reply:
        """Serve a request whole."""
        if HEADER not in call.headers:
            return await self.engine.whole(dialect, call)
        async with aclosing(self._joined(dialect, call, stream=False)) as replies:
            return await anext(replies)

    def stream(self, dialect: Dialect, call: Call) -> AsyncGenerator[Reply, None]:
        """Serve a request as a stream."""
        if HEADER not in call.headers:
            return self.engine.stream(dialect, call)
        return self._joined(dialect, call, stream=True)

    async def _joined(self, dialect: Dialect, call: Call, *, stream: bool) -> AsyncGenerator[Reply, None]:
        """The replies of an equal request that is in flight, or of this one."""

        def start() -> AsyncGenerator[Reply, None]:
            return self.engine.stream(dialect, call) if stream else self._once(dialect, call)

        caller = self._caller(call)
        if caller is None or not call.headers[HEADER]:
            async with aclosing(start()) as replies:
                async for reply in replies:
                    yield reply
            return
        name = identity(call.headers[HEADER], presented_key(call.headers) or "", dialect.api)
        try:
            async with aclosing(
                self.runs.parts(name, fingerprint(call.body, call.headers.get(MODEL_HEADER, ""), stream=stream), start)
            ) as parts:
                async for reply, joined in parts:
                    yield _marked(reply) if joined else reply
        except OtherRequest:
            told = f"the {HEADER} is in use for another request that still runs; send another key, or the same request"
            yield self.engine.refuse(dialect, call, KeyInUse(told), caller=caller.name, stream=stream)

    async def _once(self, dialect: Dialect, call: Call) -> AsyncGenerator[Reply, None]:
        yield await self.engine.whole(dialect, call)

    def _caller(self, call: Call) -> CompiledKey | None:
        """The caller's key; None: the engine will refuse the request, and say why."""
        snapshot = self.engine.policy.current()
        try:
            return authenticate(snapshot, call.headers, INFERENCE) if snapshot is not None else None
        except RouterError:
            return None


def _marked(reply: Reply) -> Reply:
    """A reply of a joined run; only its first one has headers."""
    return changed(reply, headers={**reply.headers, JOINED_HEADER: "true"}) if reply.status else reply
