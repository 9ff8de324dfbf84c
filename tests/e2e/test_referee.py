"""An independent referee (llmock) judges how we behave towards a failing provider."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.forward import forwarding
from tests.support.inprocess import TOPOLOGIES, running_suite
from tests.support.llmock_server import LlmockServer, running_llmock

pytestmark = pytest.mark.process

# Short enough for a stall, and long enough for the referee's bookkeeping on a busy machine.
CLOCKS = {"headers": "5s", "first_event": "2s", "first_content": "2s", "idle": "1s"}


@pytest.fixture
def llmock(tmp_path: Path) -> Iterator[LlmockServer]:
    with running_llmock(tmp_path) as found:
        yield found


class Books:
    """Lets an attempt reach the referee only when its books on the attempt before are closed.

    It takes an attempt for a retry only if the one before had ended by its books, and a failover that follows within
    a millisecond is earlier than its bookkeeping. Books that do not close tell that we left an exchange open.
    """

    def __init__(self, llmock: LlmockServer) -> None:
        self._llmock = llmock
        self.attempts = 0
        self.left_open: list[int] = []

    async def gate(self, data: bytes) -> None:
        if not data.startswith(b"POST "):
            return
        # It waits itself for what is under way, and then answers without it.
        closed = (await asyncio.to_thread(self._llmock.requests))["count"]
        if closed != self.attempts:
            self.left_open.append(self.attempts)
        self.attempts += 1


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
    # Nearly every request meets a fault here; a budget that is right for a healthy day would refuse to go on.
    retry = {"max_attempts": 4, "max_wait": "3s", "budget": {"ratio": 1.0, "min_per_second": 1_000}}
    return [*providers, {"kind": "Settings", "name": "default", "retry": retry}]


def body(number: int, *, stream: bool) -> dict[str, Any]:
    content = f"request {number}"
    message = {"role": "user", "content": content}
    return {"model": "one/gpt-4o", "models": ["two/gpt-4o"], "stream": stream, "messages": [message]}


Fault = list[dict[str, Any]]


def fail(status: int, **more: Any) -> Fault:
    return [{"type": "fail", "status": status, "times": 1, **more}]


def stream(kind: str, after_chunks: int) -> Fault:
    """A fault within a stream; a malformed one goes on for longer than all buffers on the way can hold.

    Otherwise the referee could have sent all of it before we hung up, and would then say that we read on.
    """
    fault = {"type": "stream_fault", "kind": kind, "after_chunks": after_chunks}
    endless = {"type": "reply", "text": f"{'word' * 1024} " * 4096, "match": {"stream": True}}
    return [fault, endless] if kind == "malformed" else [fault]


FAULTS: list[tuple[bool, Fault]] = [
    *((False, fail(status)) for status in (500, 502, 503, 529)),
    (False, fail(429, retry_after=1)),
    (True, fail(429, retry_after=1)),
    (False, fail(400)),
    (True, fail(500)),
    *((True, stream(kind, after)) for after in (0, 1) for kind in ("truncate", "disconnect", "stall", "malformed")),
]


@pytest.mark.parametrize("topology", TOPOLOGIES)
async def test_the_referee_finds_nothing_to_complain_about(tmp_path: Path, llmock: LlmockServer, topology: str) -> None:
    environment = {"KEY": "sk-test"}
    books = Books(llmock)
    async with (
        forwarding(llmock.port, gate=books.gate) as way,
        running_suite(tmp_path, topology, *documents(f"http://127.0.0.1:{way.port}"), environment=environment) as suite,
    ):
        for number, (streamed, fault) in enumerate(FAULTS):
            await asyncio.to_thread(llmock.scenario, *fault)
            answer = await suite.http.post("/v1/chat/completions", json=body(number, stream=streamed))
            what = {**fault[0], "number": number}
            if what.get("status") == 400:
                assert answer.status_code == 400
            else:
                assert answer.status_code == 200, (what, answer.text)
                assert not streamed or answer.text.rstrip().endswith("data: [DONE]"), (what, answer.text)
        verdict = await asyncio.to_thread(llmock.verdict)
        seen = await asyncio.to_thread(llmock.requests)
        tried = 0
        async for record in suite.worker.records.follow(1_000, end=True):
            tried += len(record.attempts)
    assert verdict["findings"] == [], "\n".join(map(str, verdict["findings"]))
    assert books.left_open == [], "an exchange was still open when the next one began"
    assert verdict["faults_injected"] == len(FAULTS)
    # Every fault but the 400 costs one failover, which the referee saw as a retry of the same call.
    assert (verdict["calls"], seen["count"]) == (len(FAULTS), 2 * len(FAULTS) - 1)
    assert seen["count"] == tried == books.attempts, "the journal equals the attempt chains"
