"""Thousands of requests under drawn faults, in both wire forms: the referee (llmock) stays content."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from turnout.record.v1.record_pb2 import RequestRecord

from tests.support.followed import Followed, followed
from tests.support.inprocess import TOPOLOGIES, Running, running_suite
from tests.support.llmock_server import LlmockServer, running_llmock
from tests.support.streams import read_stream, read_whole

pytestmark = [pytest.mark.process, pytest.mark.soak]

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


REQUESTS, BATCH, AT_ONCE, SEED = 2_000, 100, 20, 20261125
PATHS = {"chat": "/v1/chat/completions", "messages": "/v1/messages"}
POLICIES: dict[str, dict[str, Any]] = {
    "mending": {"recovery": "verified_resume"},
    "hedging": {"recovery": "verified_resume", "hedge": {"enabled": True, "after": "400ms", "budget": 1.0}},
}
STATUSES = (400, 408, 409, 422, 429, 500, 502, 503, 504, 529)
"""No 401, 403 or 404: the referee takes both providers for one, and one must not be asked again after those."""
WAITED_FOR = (429, 503, 529)
"""Statuses whose Retry-After is waited for at the same provider."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """One request of the long run, and what goes wrong."""

    number: int
    api: str
    stream: bool
    fault: dict[str, Any] | None

    @property
    def model(self) -> str:
        return f"m{self.number}"

    @property
    def body(self) -> dict[str, Any]:
        wire = "openai" if self.api == "chat" else "anthropic"
        message = {"role": "user", "content": f"request {self.number}"}
        models = {"model": f"one-{wire}/{self.model}", "models": [f"two-{wire}/{self.model}"]}
        more = {"max_tokens": 200} if self.api == "messages" else {}
        return {**models, "stream": self.stream, "messages": [message], **more}


def drawn(chance: random.Random) -> list[Drawn]:
    """Requests with faults: statuses with and without Retry-After, broken streams, delays; a third has none."""
    found = []
    for number in range(REQUESTS):
        api, stream = chance.choice(("chat", "messages")), chance.random() < 0.6
        kind = chance.choice(("none", "fail", "fail", "stream", "slow", "none"))
        fault: dict[str, Any] | None = None
        if kind == "fail":
            status = chance.choice(STATUSES)
            asked = chance.choice((0, 0.2, 1)) if status in WAITED_FOR else 0
            # A second refusal sends us to the other provider at once, which to the referee is the same one.
            times = 1 if asked else chance.choice((1, 1, 2))
            fault = {"type": "fail", "status": status, "times": times, "retry_after": asked}
        elif kind == "stream" and stream:
            broken = chance.choice(("truncate", "disconnect", "stall", "malformed"))
            fault = {"type": "stream_fault", "kind": broken, "after_chunks": chance.randrange(4)}
        elif kind == "slow":
            fault = {"type": "slow_first_token" if stream else "delay", "seconds": chance.choice((0.1, 0.3, 2.0))}
        found.append(Drawn(number, api, stream, fault))
    return found


def long_documents(url: str, policy: dict[str, Any]) -> list[dict[str, Any]]:
    forms: list[dict[str, Any]] = []
    for name in ("one", "two"):
        for wire, kind, path in (("openai", "openai_compatible", "/v1"), ("anthropic", "anthropic", "/anthropic")):
            provider = {"kind": "Provider", "name": f"{name}-{wire}", "type": kind, "base_url": f"{url}{path}"}
            forms.append({**provider, "clocks": CLOCKS, "credentials": ["env:KEY"]})
    return [*forms, {"kind": "Settings", "name": "default", "retry": RETRY, **policy}]


async def asked(suite: Running, request: Drawn, gate: asyncio.Semaphore) -> None:
    """Make a request; what comes back is whole, or an error that says so."""
    async with gate:
        answer = await suite.http.post(PATHS[request.api], json=request.body)
    fault = request.fault or {}
    if fault.get("status") in {400, 422}:
        assert answer.status_code == fault["status"], (request, answer.text)
    elif answer.status_code == 200 and request.stream:
        read = read_stream(request.api, answer.text)
        assert read.whole or read.error, (request, answer.text)
    elif answer.status_code == 200:
        assert read_whole(request.api, answer.json()), (request, answer.text)
    else:
        assert answer.json()["error"]["message"], (request, answer.text)


def differing(record: RequestRecord, journal: list[dict[str, Any]]) -> str:
    """What a record says of its attempts and the referee's journal does not; empty: they agree."""
    # A status that came after we had given up waiting is known to the referee only; and a hedge that lost while its
    # request was on its way is known to us only.
    ours = Counter(attempt.status for attempt in record.attempts if attempt.status)
    theirs = Counter(entry["status"] for entry in journal)
    unseen = sum(attempt.verdict == "lost" and not attempt.status for attempt in record.attempts)
    if not len(record.attempts) - unseen <= len(journal) <= len(record.attempts) or ours - theirs:
        return f"{record.requested_model}: attempts {list(record.attempts)}, journal {journal}"
    return ""


@pytest.mark.timeout(900)
@pytest.mark.parametrize("topology", TOPOLOGIES)
@pytest.mark.parametrize("policy", POLICIES)
async def test_thousands_of_drawn_faults_leave_the_referee_content(
    tmp_path: Path, llmock: LlmockServer, topology: str, policy: str
) -> None:
    requests = drawn(random.Random(SEED))
    gate = asyncio.Semaphore(AT_ONCE)
    async with (
        far_away(llmock) as far,
        running_suite(
            tmp_path, topology, *long_documents(far, POLICIES[policy]), environment={"KEY": "sk-test"}
        ) as suite,
        followed(suite) as records,
    ):
        for at in range(0, REQUESTS, BATCH):
            batch = requests[at : at + BATCH]
            faults = [{**r.fault, "match": {"model": r.model}} for r in batch if r.fault is not None]
            await asyncio.to_thread(llmock.scenario, *faults)
            await asyncio.gather(*(asked(suite, request, gate) for request in batch))
        verdict = await asyncio.to_thread(llmock.verdict)
        seen = await asyncio.to_thread(llmock.requests)
        wrong = await compared(records, requests, seen["requests"])
    assert not wrong, f"{len(wrong)} of {REQUESTS}\n" + "\n".join(wrong[:5])
    assert verdict["findings"] == [], "\n".join(map(str, verdict["findings"]))
    assert verdict["faults_injected"] > REQUESTS / 3


async def compared(records: Followed, requests: list[Drawn], seen: list[dict[str, Any]]) -> list[str]:
    """Every request whose chain of attempts is not what the referee saw."""
    journal: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for entry in seen:
        journal[entry["model"]].append(entry)
    pairs = [(await records.get(request.body["model"]), journal[request.model]) for request in requests]
    return [told for record, entries in pairs if (told := differing(record, entries))]
