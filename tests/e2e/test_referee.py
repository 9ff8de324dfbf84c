"""An independent referee (llmock) judges how we behave towards a failing provider."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.inprocess import TOPOLOGIES, running_suite
from tests.support.llmock_server import LlmockServer, running_llmock

pytestmark = pytest.mark.process

RETRY = {"max_attempts": 4, "max_wait": "3s", "budget": {"ratio": 1.0, "min_per_second": 1_000}}
"""Nearly every request meets a fault here; a budget that is right for a healthy day would refuse to go on."""
CLOCKS = {"headers": "2s", "first_event": "1s", "first_content": "1s", "idle": "1s"}


@pytest.fixture
def llmock(tmp_path: Path) -> Iterator[LlmockServer]:
    """A referee that streams at the speed of a model; one that is done at once cannot see that its reader left."""
    with running_llmock(tmp_path, "--stream-chunk-delay-ms", "25") as found:
        yield found


@asynccontextmanager
async def far_away(llmock: LlmockServer) -> AsyncIterator[str]:
    """The same server a tenth of a second away.

    The referee takes an attempt for a retry only if the one before had ended by its books; a failover
    that follows within a millisecond is earlier than its bookkeeping.
    """
    port = int(llmock.url.rpartition(":")[2])

    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay: float) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65_536):
                await asyncio.sleep(delay)
                writer.write(data)
                await writer.drain()
        writer.close()

    serving: set[asyncio.Task[None] | None] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.add(asyncio.current_task())
        there, back = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(pipe(reader, back, 0.1), pipe(there, writer, 0.0))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await asyncio.gather(*(task for task in serving if task is not None), return_exceptions=True)


def documents(url: str) -> list[dict[str, Any]]:
    """Two providers, one server and one model name, so that the referee sees a failover as the same call."""
    providers = [
        {
            "kind": "Provider",
            "name": name,
            "type": "openai_compatible",
            "base_url": f"{url}/v1",
            "clocks": CLOCKS,
            "credentials": ["env:KEY"],
        }
        for name in ("one", "two")
    ]
    return [*providers, {"kind": "Settings", "name": "default", "retry": RETRY}]


def body(number: int, *, stream: bool) -> dict[str, Any]:
    content = f"request {number}"
    message = {"role": "user", "content": content}
    return {"model": "one/gpt-4o", "models": ["two/gpt-4o"], "stream": stream, "messages": [message]}


# Waits are short, so that no connection rests for the five seconds after which the referee closes it: a request
# that crosses with that never reaches its journal.
FAULTS: list[tuple[bool, dict[str, Any]]] = [
    *((False, {"type": "fail", "status": status, "times": 1}) for status in (500, 502)),
    *((False, {"type": "fail", "status": status, "retry_after": 0.3, "times": 1}) for status in (503, 529, 429)),
    (True, {"type": "fail", "status": 429, "retry_after": 0.3, "times": 1}),
    (False, {"type": "fail", "status": 400, "times": 1}),
    (True, {"type": "fail", "status": 500, "times": 1}),
    *(
        (True, {"type": "stream_fault", "kind": kind, "after_chunks": 0})
        for kind in ("truncate", "disconnect", "stall", "malformed")
    ),
    *(
        (True, {"type": "stream_fault", "kind": kind, "after_chunks": 1})
        for kind in ("truncate", "disconnect", "stall", "malformed")
    ),
]


@pytest.mark.parametrize("topology", TOPOLOGIES)
async def test_the_referee_finds_nothing_to_complain_about(tmp_path: Path, llmock: LlmockServer, topology: str) -> None:
    environment = {"KEY": "sk-test"}
    async with (
        far_away(llmock) as far,
        running_suite(tmp_path, topology, *documents(far), environment=environment) as suite,
    ):
        for number, (stream, fault) in enumerate(FAULTS):
            await asyncio.to_thread(llmock.scenario, fault)
            answer = await suite.http.post("/v1/chat/completions", json=body(number, stream=stream))
            if fault.get("status") == 400:
                assert answer.status_code == 400
            else:
                assert answer.status_code == 200, (fault, answer.text)
                assert not stream or answer.text.rstrip().endswith("data: [DONE]"), (fault, answer.text)
        verdict = await asyncio.to_thread(llmock.verdict)
        seen = await asyncio.to_thread(llmock.requests)
        tried = 0
        async for record in suite.worker.records.follow(1_000, end=True):
            tried += len(record.attempts)
    assert verdict["findings"] == [], "\n".join(map(str, verdict["findings"]))
    assert verdict["faults_injected"] >= len(FAULTS)
    assert len(seen["requests"] if isinstance(seen, dict) else seen) == tried, "the journal equals the attempt chains"
