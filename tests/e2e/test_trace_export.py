"""Export is off the hot path: no collector, however dead, slows a request or holds up a shutdown."""

from __future__ import annotations

import time
from pathlib import Path
from subprocess import Popen

import httpx
import pytest

from services.runtime.telemetry import SHUTDOWN_SECONDS
from tests.support.inprocess import TOPOLOGIES, running_suite
from tests.support.otlp import deaf_collector
from tests.support.processes import stop
from tests.support.upstream import openai_answer, running_upstream, whole
from tests.support.workers import serving, upstream_thread

BODY = {"model": "up/m", "messages": [{"role": "user", "content": "Hello"}]}
CALLER = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")


def provider(url: str) -> dict[str, str]:
    return {"kind": "Provider", "name": "up", "type": "openai_compatible", "base_url": f"{url}/v1"}


@pytest.mark.process
@pytest.mark.parametrize(("topology", "protocol"), [("grpc", "http/protobuf"), ("fused", "grpc")])
def test_a_deaf_collector_slows_no_request_and_no_shutdown(tmp_path: Path, topology: str, protocol: str) -> None:
    small = {"OTEL_BSP_MAX_QUEUE_SIZE": "5", "OTEL_BSP_SCHEDULE_DELAY": "1"}
    with upstream_thread(1) as (upstream,), deaf_collector(protocol) as environment:
        upstream.script([whole(200, openai_answer())])
        with serving(tmp_path, topology, [provider(upstream.url)], {**environment, **small}) as served:
            with served.http() as http:
                slowest = max(_seconds(http) for _ in range(60))
            text = httpx.get(served.worker_metrics, trust_env=False).text
            took = [_stopped(process) for process in served.processes]
    # An exporter waits 10 s for its collector; a request that waited for it would show.
    assert slowest < 5.0
    assert 'turnout_spans_total{result="dropped"}' in text
    queues = 2 if topology == "fused" else 1
    assert max(took) < queues * SHUTDOWN_SECONDS + 3.0


def _seconds(http: httpx.Client) -> float:
    began = time.monotonic()
    http.post("/v1/chat/completions", json=BODY).raise_for_status()
    return time.monotonic() - began


def _stopped(process: Popen[bytes]) -> float:
    began = time.monotonic()
    assert stop(process) == 0
    return time.monotonic() - began


@pytest.mark.parametrize("topology", TOPOLOGIES)
async def test_a_bridge_that_exports_nothing_hands_the_callers_context_on(tmp_path: Path, topology: str) -> None:
    async with running_upstream() as upstream, running_suite(tmp_path, topology, provider(upstream.url)) as suite:
        upstream.script([whole(200, openai_answer())])
        headers = {"traceparent": f"00-{CALLER[0]}-{CALLER[1]}-01"}
        answer = await suite.http.post("/v1/chat/completions", json=BODY, headers=headers)
        record = suite.worker.records.get(answer.json()["metadata"]["generation_id"])
    assert (record.trace_id, record.parent_span_id) == CALLER
