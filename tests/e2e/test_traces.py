"""One trace, one record and one set of counts per request, over real processes and real OTLP receivers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, SpanFlags, Status
from prometheus_client.parser import text_string_to_metric_families
from turnout.inference.v1 import chat_pb2
from turnout.inference.v1.inference_service_pb2_grpc import InferenceServiceStub
from turnout.record.v1.record_pb2 import AttemptRecord, RequestRecord
from turnout.record.v1.record_service_pb2 import FollowRecordsRequest, GetRecordRequest
from turnout.record.v1.record_service_pb2_grpc import RecordServiceStub

from tests.support.golden import check_text
from tests.support.inprocess import KEY
from tests.support.otlp import Collector, attributes, grpc_collector, http_collector, tree
from tests.support.processes import until
from tests.support.upstream import (
    STREAM_HEAD,
    Pause,
    Reset,
    Upstream,
    chunk,
    openai_answer,
    openai_events,
    streamed,
    whole,
)
from tests.support.workers import Served, serving, upstream_thread

pytestmark = pytest.mark.process

TREES = Path(__file__).parent / "traces"
PROMPT, ANSWER, PROVIDER_KEY = "canary prompt", "canary answer", "sk-canary-provider"
CANARIES = tuple(word.encode() for word in (PROMPT, ANSWER, PROVIDER_KEY, KEY))
MESSAGES = [{"role": "user", "content": PROMPT}]
STATE = "vendor=opaque,other=1"
CALLER = "b7ad6b7169203331"
ECHO = f"you sent {PROMPT} with {PROVIDER_KEY}"
ROUTERS = ("whole", "stream", "dead", "unsampled", "rootless", "typed", "broken", "left", "refused", "agree", "hidden")

BUSY = [whole(503, {"error": {"message": ECHO, "type": "overloaded_error"}}, x_debug=ECHO)]
DENIED = [whole(401, {"error": {"message": ECHO, "type": "invalid_request_error", "code": "invalid_api_key"}})]
GOOD = [whole(200, openai_answer(ANSWER))]
STREAM = streamed(openai_events(ANSWER, " and more"))
BEGUN = [STREAM_HEAD, *(chunk(frame) for frame in openai_events(ANSWER)[:2])]


def policy_forms(bad: Upstream, good: Upstream) -> list[dict[str, Any]]:
    def provider(name: str, upstream: Upstream) -> dict[str, Any]:
        base = {"kind": "Provider", "name": name, "type": "openai_compatible", "base_url": f"{upstream.url}/v1"}
        return {**base, "credentials": ["env:CANARY_KEY"]}

    def router(name: str) -> dict[str, Any]:
        # Models of its own for each test, so that none is set aside for what others did; and where credentials
        # are refused, providers of its own.
        suffix = {"dead": "-denied", "hidden": "-hidden"}.get(name, "")
        bad, good = f"bad{suffix}", f"good{suffix}"
        variant = {"variant_id": "v", "model_id": f"{bad}/{name}", "model_selection": {"models": [f"{good}/{name}"]}}
        route = {"route_id": "main", "variants": [{"weight": 100, "variant": variant}]}
        return {"kind": "Router", "name": name, "default_route": route}

    prices = {"input_per_million": 1.0, "output_per_million": 2.0}
    return [
        provider("bad", bad),
        provider("good", good),
        *(provider(f"bad-{what}", bad) for what in ("denied", "hidden")),
        *(provider(f"good-{what}", good) for what in ("denied", "hidden")),
        *({"kind": "Model", "name": f"good/{name}", "prices": prices} for name in ROUTERS),
        *(router(name) for name in ROUTERS),
    ]


Counts = Counter[tuple[str, frozenset[tuple[str, str]]]]


def grown(before: Counts, after: Counts, name: str, *labels: str) -> dict[tuple[str, ...], float]:
    """What metrics of `name` grew by, by the values of `labels`, which are all they have."""
    found = {}
    for key in after:
        if key[0] == name and after[key] != before[key]:
            values = dict(key[1])
            found[tuple(values.pop(label) for label in labels)] = after[key] - before[key]
            assert not values
    return found


@dataclass(frozen=True, slots=True)
class Stack:
    """What runs: the services, their collector, and two providers, of which the first one errs."""

    served: Served
    collector: Collector
    bad: Upstream
    good: Upstream
    http: httpx.Client

    def ask(self, router: str, trace: str, flags: str = "01", **body: Any) -> httpx.Response:
        found = self.http.post("/v1/chat/completions", **request(router, trace, flags, **body))
        found.raise_for_status() if router not in {"dead", "hidden", "refused"} else None
        return found

    def record(self, generation_id: str) -> RequestRecord:
        with grpc.insecure_channel(self.served.grpc) as channel:
            stub: Any = RecordServiceStub(channel)
            asked = GetRecordRequest(generation_id=generation_id)
            found: RequestRecord = stub.GetRecord(asked, metadata=(("authorization", f"Bearer {KEY}"),))
            return found

    def spans(self, trace: str, count: int) -> list[Span]:
        """The spans of a trace, which must be `count`."""
        spans = self.collector.trace(trace, count)
        assert len(spans) == count, tree(spans)
        return spans

    def counts(self) -> Counts:
        """All metrics of both processes added up, by name and labels."""
        found: Counts = Counter()
        for url in {self.served.worker_metrics, f"{self.served.url}/metrics"}:
            for family in text_string_to_metric_families(httpx.get(url, trust_env=False).text):
                for sample in family.samples:
                    found[sample.name, frozenset(sample.labels.items())] += sample.value
        return found


def request(router: str, trace: str, flags: str = "01", **body: Any) -> dict[str, Any]:
    headers = {"traceparent": f"00-{trace}-{CALLER}-{flags}", "tracestate": STATE} if trace else {}
    return {"json": {"model": f"inworld/{router}", "messages": MESSAGES, **body}, "headers": headers}


@pytest.fixture(scope="module", params=["grpc", "fused"])
def stack(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Bridge and worker apart with OTLP over HTTP, and fused with OTLP over gRPC."""
    collecting = http_collector if request.param == "grpc" else grpc_collector
    with ExitStack() as closing:
        bad, good = closing.enter_context(upstream_thread(2))
        collector = closing.enter_context(collecting())
        environment = {"CANARY_KEY": PROVIDER_KEY, **collector.environment}
        folder = tmp_path_factory.mktemp(f"traced-{request.param}")
        served = closing.enter_context(serving(folder, request.param, policy_forms(bad, good), environment))
        yield Stack(served, collector, bad, good, closing.enter_context(served.http()))


@pytest.fixture(autouse=True)
def _scripts(stack: Stack) -> None:
    stack.bad.script(BUSY)
    stack.good.script(GOOD)


def check_tree(name: str, spans: list[Span]) -> None:
    """The tree as it is kept, the same for both topologies, and what holds for every tree."""
    check_text(TREES / f"{name}.txt", tree(spans))
    by_id = {span.span_id: span for span in spans}
    for span in spans:
        parent = by_id.get(span.parent_span_id)
        remote = bool(span.flags & SpanFlags.SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK)
        attempt = span.kind == Span.SPAN_KIND_CLIENT
        assert not (attempt and remote), "an attempt's parent is of its own process"
        if parent is not None:
            assert parent.start_time_unix_nano - MILLISECOND <= span.start_time_unix_nano
            assert span.end_time_unix_nano <= parent.end_time_unix_nano + MILLISECOND


MILLISECOND = 1_000_000
"""The two ends of a bridge are read from the wall clock, a worker's by a monotonic one."""


def server_of(spans: list[Span]) -> Span:
    return next(span for span in spans if span.kind == Span.SPAN_KIND_SERVER)


def test_a_failover_is_one_trace_with_a_span_for_every_attempt(stack: Stack) -> None:
    trace = "a1" * 16
    stack.ask("whole", trace)
    spans = stack.spans(trace, 4)
    check_tree("failover", spans)
    assert server_of(spans).parent_span_id.hex() == CALLER
    assert server_of(spans).flags & SpanFlags.SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK
    assert {span.trace_state for span in spans} == {STATE}


def test_a_stream_across_dialects_is_traced_like_any_other(stack: Stack) -> None:
    trace = "a2" * 16
    stack.good.script(STREAM)
    asked = request("stream", trace, max_tokens=9, stream=True)
    text = stack.http.post("/v1/messages", **asked).raise_for_status().text
    assert "event: message_stop" in text
    check_tree("stream", stack.spans(trace, 4))


def test_a_chain_that_fails_is_an_error_at_every_level(stack: Stack) -> None:
    trace = "a3" * 16
    stack.good.script(DENIED)
    assert stack.ask("dead", trace).status_code == 502
    check_tree("dead", stack.spans(trace, 4))


def test_a_stream_that_breaks_after_its_first_content_is_an_error_too(stack: Stack) -> None:
    trace = "a4" * 16
    gate = Pause()
    stack.good.script([*BEGUN, gate, Reset])
    text = ""
    with stack.http.stream("POST", "/v1/chat/completions", **request("broken", trace, stream=True)) as answer:
        for piece in answer.iter_text():
            text += piece
            # A reset takes along what was not read yet, so it comes when the content has arrived here.
            if ANSWER in text:
                stack.good.release(gate)
    assert "[DONE]" not in text
    check_tree("broken", stack.spans(trace, 4))


def test_a_refused_request_has_no_attempt(stack: Stack) -> None:
    trace = "a5" * 16
    assert stack.ask("refused", trace, model="no/such-model").status_code == 404
    check_tree("refused", stack.spans(trace, 2))


def test_a_caller_who_leaves_is_no_error_of_the_provider(stack: Stack) -> None:
    trace = "a6" * 16
    before = stack.counts()
    stack.good.script([*BEGUN, Pause()])
    with stack.http.stream("POST", "/v1/chat/completions", **request("left", trace, stream=True)) as answer:
        next(answer.iter_bytes())
    check_tree("left", stack.spans(trace, 4))
    after = stack.counts()
    tried = grown(before, after, "turnout_attempts_total", "provider", "result")
    assert tried == {("bad", "OVERLOADED"): 1, ("good", "CANCELLED"): 1}
    ended = grown(before, after, "turnout_requests_total", "api", "router", "outcome", "status")
    assert ended == {("chat.completions", "left", "cancelled", "2xx"): 1}


def test_an_unsampled_request_leaves_a_record_and_no_span(stack: Stack) -> None:
    trace, later = "a7" * 16, "a8" * 16
    metadata = stack.ask("unsampled", trace, flags="00").json()["metadata"]
    stack.ask("unsampled", later)
    stack.spans(later, 4)
    assert not [span for span in stack.collector.everything() if span.trace_id.hex() == trace]
    record = stack.record(metadata["generation_id"])
    assert (record.trace_id, record.sampled, len(record.attempts)) == (trace, False, 2)


def test_a_request_without_a_trace_begins_one(stack: Stack) -> None:
    metadata = stack.ask("rootless", "").json()["metadata"]
    record = stack.record(metadata["generation_id"])
    spans = stack.spans(record.trace_id, 4)
    server = server_of(spans)
    assert server.parent_span_id == b""
    assert record.parent_span_id == server.span_id.hex()
    assert {span.trace_state for span in spans} == {""}


def test_a_typed_grpc_call_has_its_servers_span(stack: Stack) -> None:
    trace = "a9" * 16
    asked = chat_pb2.ChatRequest(model="inworld/typed")
    asked.messages.add(role="user").parts.add(text=PROMPT)
    metadata = (
        ("authorization", f"Bearer {KEY}"),
        ("traceparent", f"00-{trace}-{CALLER}-01"),
        ("tracestate", STATE),
    )
    with grpc.insecure_channel(stack.served.grpc) as channel:
        stub: Any = InferenceServiceStub(channel)
        assert stub.CreateChatCompletion(asked, metadata=metadata).message.parts[0].text == ANSWER
    spans = stack.spans(trace, 4)
    check_tree("typed", spans)
    assert server_of(spans).parent_span_id.hex() == CALLER
    assert {span.trace_state for span in spans} == {STATE}


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the four witnesses say of one request. `attempts` in the order in which they began."""

    body: dict[str, Any]
    record: RequestRecord
    server: Span
    chat: Span
    attempts: list[Span]
    before: Counts
    after: Counts


def evidence_of(stack: Stack, router: str, trace: str) -> Evidence:
    """Serve one request and hear all witnesses, once every span has been counted."""
    exported = ("turnout_spans_total", frozenset({("result", "exported")}))
    until(lambda: stack.counts()[exported] == len(stack.collector.everything()), 10)
    before = stack.counts()
    body = stack.ask(router, trace).json()
    spans = sorted(stack.spans(trace, 4), key=lambda s: s.start_time_unix_nano)
    until(lambda: stack.counts()[exported] == before[exported] + 4, 10)
    return Evidence(
        body,
        stack.record(body["metadata"]["generation_id"]),
        server_of(spans),
        next(span for span in spans if span.kind == Span.SPAN_KIND_INTERNAL),
        [span for span in spans if span.kind == Span.SPAN_KIND_CLIENT],
        before,
        stack.counts(),
    )


def test_answer_record_spans_and_metrics_agree(stack: Stack) -> None:
    told = evidence_of(stack, "agree", "aa" * 16)
    shown, record, said = told.body["metadata"], told.record, attributes(told.chat)
    assert said["turnout.generation_id"] == record.generation_id == shown["generation_id"]
    assert said["turnout.policy.version"] == record.policy_version == shown["policy_version"]
    for name in ("router", "route", "variant"):
        assert said[f"turnout.{name}"] == getattr(record, f"{name}_id") == shown[f"{name}_id"]
    assert record.parent_span_id == told.server.span_id.hex()
    assert record.span_id == told.chat.span_id.hex()
    assert record.reasoning == shown["reasoning"]
    assert len(told.attempts) == len(record.attempts) == len(shown["attempts"]) == 2
    for span, kept, answer in zip(told.attempts, record.attempts, shown["attempts"], strict=True):
        check_attempt(span, kept, answer)
    check_spending(told)
    check_counts(told)


def check_attempt(span: Span, kept: AttemptRecord, shown: dict[str, Any]) -> None:
    said = attributes(span)
    assert span.span_id.hex() == kept.span_id
    assert kept.model == shown["model"] == f"{said['gen_ai.provider.name']}/{said['gen_ai.request.model']}"
    assert kept.success is shown["success"] is (span.status.code != Status.STATUS_CODE_ERROR)
    assert kept.failure == shown.get("error", "") == said.get("error.type", "")
    assert kept.error_message == shown.get("error_message", "") == span.status.message
    assert kept.provider_code == shown.get("error_code", "") == said.get("turnout.attempt.provider_code", "")
    assert str(kept.status) == said["http.response.status_code"]
    assert kept.duration_ms == pytest.approx((span.end_time_unix_nano - span.start_time_unix_nano) / 1e6, abs=0.01)
    assert kept.duration_ms == pytest.approx(shown["duration_ms"], abs=0.6)


def check_spending(told: Evidence) -> None:
    usage, kept, said = told.body["usage"], told.record.usage, attributes(told.chat)
    tokens = (usage["prompt_tokens"], usage["completion_tokens"])
    assert tokens == (9, 4) == (kept.input_tokens, kept.output_tokens)
    assert tokens == (int(said["gen_ai.usage.input_tokens"]), int(said["gen_ai.usage.output_tokens"]))
    assert usage["cost"] == kept.cost_usd == float(said["turnout.cost_usd"]) == (9 * 1.0 + 4 * 2.0) / 1e6
    spent = grown(told.before, told.after, "turnout_tokens_total", "provider", "class")
    assert spent == {("good", "input"): 9, ("good", "output"): 4}
    cost = grown(told.before, told.after, "turnout_cost_usd_total", "provider")
    assert cost == {("good",): pytest.approx(usage["cost"])}


def check_counts(told: Evidence) -> None:
    before, after, record = told.before, told.after, told.record
    requests = grown(before, after, "turnout_requests_total", "api", "router", "outcome", "status")
    assert requests == {(record.api, record.router_id, record.outcome, "2xx"): 1}
    tried = {(kept.provider, kept.failure or "OK"): 1 for kept in record.attempts}
    assert grown(before, after, "turnout_attempts_total", "provider", "result") == tried
    passed = grown(before, after, "turnout_http_requests_total", "route", "status")
    assert passed == {("/v1/chat/completions", "2xx"): 1}
    lasted = grown(before, after, "turnout_request_duration_seconds_sum", "api", "stream")
    assert lasted == {(record.api, "false"): pytest.approx(record.duration_ms / 1e3, abs=1e-6)}


def test_no_span_no_record_and_no_counter_holds_a_prompt_an_answer_or_a_key(stack: Stack) -> None:
    stack.good.script(DENIED)
    assert stack.ask("hidden", "ab" * 16).status_code == 502
    stack.spans("ab" * 16, 4)
    evidence = [span.SerializeToString() for span in stack.collector.everything()]
    assert len(evidence) >= 4
    with grpc.insecure_channel(stack.served.grpc) as channel:
        stub: Any = RecordServiceStub(channel)
        asked = FollowRecordsRequest(tail=1000, no_follow=True)
        records = list(stub.FollowRecords(asked, metadata=(("authorization", f"Bearer {KEY}"),)))
    assert records
    evidence += [record.SerializeToString() for record in records]
    evidence += [repr(key).encode() for key in stack.counts()]
    assert not [found for found in evidence if any(canary in found for canary in CANARIES)]
