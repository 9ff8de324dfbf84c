"""The way of finished spans out of a process: a bounded queue, one thread, the SDK's own exporters.

Configured by OpenTelemetry's standard environment variables only:
OTEL_TRACES_EXPORTER (otlp, console, none), OTEL_EXPORTER_OTLP_[TRACES_]ENDPOINT,
OTEL_EXPORTER_OTLP_[TRACES_]PROTOCOL (grpc, http/protobuf), the exporters' header,
certificate and timeout variables, OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES,
OTEL_TRACES_SAMPLER, OTEL_TRACES_SAMPLER_ARG, OTEL_BSP_MAX_QUEUE_SIZE,
OTEL_BSP_SCHEDULE_DELAY, OTEL_BSP_MAX_EXPORT_BATCH_SIZE, OTEL_SDK_DISABLED.
Without an endpoint and without OTEL_TRACES_EXPORTER nothing is exported.

A full queue drops and counts; a dead collector costs a request nothing, and a
shutdown at most its budget.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence

from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpanExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SpanExporter, SpanExportResult

from services.runtime.trace_context import Sampler
from services.runtime.version import VERSION

SHUTDOWN_SECONDS = 2.0

SpanMaker = Callable[[Resource], Sequence[ReadableSpan]]
"""Builds the spans of one request; called in the export thread, off the hot path."""

log = logging.getLogger(__name__)


def sampler_from(environment: Mapping[str, str]) -> Sampler:
    """The sampler that OTEL_TRACES_SAMPLER names; parentbased_always_on is the standard's default."""
    if environment.get("OTEL_SDK_DISABLED", "").lower() == "true" or not _exporter_name(environment):
        return Sampler(0.0, respect_parent=False)
    name = environment.get("OTEL_TRACES_SAMPLER", "parentbased_always_on").strip().lower()
    based, _, root = name.rpartition("parentbased_")
    ratio = {"always_on": 1.0, "always_off": 0.0}.get(root)
    if ratio is None:
        ratio = _ratio(environment.get("OTEL_TRACES_SAMPLER_ARG", "1.0")) if root == "traceidratio" else 1.0
    return Sampler(ratio, respect_parent="parentbased" in name or bool(based))


def _ratio(text: str) -> float:
    try:
        return min(1.0, max(0.0, float(text)))
    except ValueError:
        log.warning("OTEL_TRACES_SAMPLER_ARG=%r is not a number between 0 and 1; using 1.0", text)
        return 1.0


def _exporter_name(environment: Mapping[str, str]) -> str:
    """otlp, console, or empty for none."""
    name = environment.get("OTEL_TRACES_EXPORTER", "").strip().lower()
    if name:
        return "" if name == "none" else name.split(",")[0].strip()
    endpoints = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
    return "otlp" if any(environment.get(e) for e in endpoints) else ""


def exporter_from(environment: Mapping[str, str]) -> SpanExporter | None:
    """The exporter that the environment asks for; None: spans go nowhere."""
    if environment.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return None
    name = _exporter_name(environment)
    if name == "console":
        return ConsoleSpanExporter()
    if name != "otlp":
        if name:
            log.warning("OTEL_TRACES_EXPORTER=%r is not known here; spans are not exported", name)
        return None
    protocol = environment.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or environment.get(
        "OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"
    )
    return HttpSpanExporter() if protocol.startswith("http") else GrpcSpanExporter()


class SpanQueue:
    """A bounded queue of requests whose spans are to be exported, and the thread that does it."""

    def __init__(
        self,
        exporter: SpanExporter,
        service: str,
        *,
        environment: Mapping[str, str] = os.environ,
        count: Callable[[str, int], None] = lambda _what, _n: None,
    ) -> None:
        self._exporter = exporter
        self._resource = Resource.create(
            {"service.name": environment.get("OTEL_SERVICE_NAME") or service, "service.version": VERSION}
        )
        self._queue: deque[SpanMaker] = deque()
        self._limit = _integer(environment, "OTEL_BSP_MAX_QUEUE_SIZE", 2048)
        self._batch = _integer(environment, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 512)
        self._delay = _integer(environment, "OTEL_BSP_SCHEDULE_DELAY", 5000) / 1000.0
        self._count = count
        self._wake = threading.Event()
        self._stopping = False
        self._idle = threading.Event()
        self._idle.set()
        self._thread = threading.Thread(target=self._run, name="span-export", daemon=True)
        self._thread.start()

    def offer(self, maker: SpanMaker) -> None:
        """Queue one request's spans; drops it when the queue is full. Never blocks."""
        if len(self._queue) >= self._limit:
            self._count("dropped", 1)
            return
        # In this order: the thread says idle once more after every wake-up, but never with a request in the queue.
        self._queue.append(maker)
        self._idle.clear()
        if len(self._queue) >= self._batch:
            self._wake.set()

    def flush(self, seconds: float) -> bool:
        """Export what is queued; whether that was done within `seconds`."""
        self._wake.set()
        return self._idle.wait(seconds)

    def shutdown(self, seconds: float = SHUTDOWN_SECONDS) -> None:
        """Export what is queued and stop, within `seconds` whatever the collector does."""
        self._stopping = True
        self.flush(seconds)
        # The exporter's own shutdown may wait for its retries; the thread is a daemon, so nobody has to.
        threading.Thread(target=self._exporter.shutdown, daemon=True).start()

    def _run(self) -> None:
        while True:
            self._wake.wait(self._delay)
            self._wake.clear()
            while self._queue:
                makers = [self._queue.popleft() for _ in range(min(self._batch, len(self._queue)))]
                self._export([span for maker in makers for span in self._built(maker)])
            self._idle.set()
            if self._queue:
                # Offered after the last look: not idle after all.
                self._idle.clear()
                self._wake.set()
            elif self._stopping:
                return

    def _built(self, maker: SpanMaker) -> Sequence[ReadableSpan]:
        try:
            return maker(self._resource)
        except Exception as error:  # noqa: BLE001 - one request's spans must not cost the others theirs
            log.warning("spans were not built: %s", type(error).__name__)
            self._count("failed", 1)
            return ()

    def _export(self, spans: Sequence[ReadableSpan]) -> None:
        try:
            result = self._exporter.export(spans)
        except Exception as error:  # noqa: BLE001 - an exporter's fault must not end the thread
            log.warning("spans were not exported: %s", type(error).__name__)
            result = SpanExportResult.FAILURE
        self._count("exported" if result is SpanExportResult.SUCCESS else "failed", len(spans))


def _integer(environment: Mapping[str, str], name: str, default: int) -> int:
    try:
        return max(1, int(environment.get(name, default)))
    except ValueError:
        log.warning("%s is not an integer; using %d", name, default)
        return default
