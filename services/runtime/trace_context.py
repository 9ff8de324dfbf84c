"""W3C trace context by hand: a request's place in its trace, without an SDK on the hot path.

Spans are built from records after the request (`runtime/spans.py`), so all a
request needs while it runs are three ids and the sampling decision.
Format: https://www.w3.org/TR/trace-context/#traceparent-header
"""

from __future__ import annotations

import re
from collections.abc import Callable

from services.core.values import Value

_TRACEPARENT = re.compile(r"\A([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?\Z")
_NO_TRACE = "0" * 32
_NO_SPAN = "0" * 16
_MASK = (1 << 64) - 1


class TraceContext(Value, frozen=True):
    """One span's identity: ids in lower-case hex.

    Attributes:
        parent_span_id: The span above; empty: this is a root.
        sampled: True: the trace is exported.
        tracestate: What vendors handed along; passed on unread.
    """

    trace_id: str
    span_id: str
    parent_span_id: str
    sampled: bool
    tracestate: str = ""

    @property
    def traceparent(self) -> str:
        """The header that makes this span the parent of what is called; empty: there is no span."""
        if not self.trace_id:
            return ""
        return f"00-{self.trace_id}-{self.span_id}-{'01' if self.sampled else '00'}"


def parse_traceparent(value: str) -> tuple[str, str, bool] | None:
    """(trace id, span id, sampled) of a traceparent header; None when it is not valid, as the standard asks."""
    match = _TRACEPARENT.match(value)
    if match is None:
        return None
    version, trace_id, span_id, flags, rest = match.groups()
    if version == "ff" or (version == "00" and rest) or trace_id == _NO_TRACE or span_id == _NO_SPAN:
        return None
    return trace_id, span_id, bool(int(flags, 16) & 1)


def span_id_of(number: int) -> str:
    """A span id from 64 random bits; never the invalid all-zero id."""
    return f"{number & _MASK or 1:016x}"


class Sampler:
    """Decides by trace id which traces are exported: a parent's decision counts, roots draw by `ratio`.

    The draw reads the trace id's low 64 bits against the ratio, as the
    OpenTelemetry specification's TraceIdRatioBased sampler does.
    """

    def __init__(self, ratio: float, *, respect_parent: bool = True) -> None:
        self._bound = round(ratio * (1 << 64))
        self._respect_parent = respect_parent

    def sampled(self, trace_id: str, *, parent: bool | None) -> bool:
        """Whether the trace is exported."""
        if parent is not None and self._respect_parent:
            return parent
        return int(trace_id[16:], 16) < self._bound


def passed_on(traceparent: str, tracestate: str) -> TraceContext:
    """The caller's own context, for a process that exports nothing: what it calls hangs below its caller."""
    parent = parse_traceparent(traceparent) if traceparent else None
    if parent is None:
        return TraceContext("", "", "", sampled=False)
    trace_id, span_id, sampled = parent
    return TraceContext(trace_id, span_id, "", sampled, tracestate)


def begin_span(traceparent: str, tracestate: str, seed: Callable[[], int], sampler: Sampler) -> TraceContext:
    """The context of a new span below `traceparent`, or of a new trace when that is empty or not valid."""
    parent = parse_traceparent(traceparent) if traceparent else None
    if parent is not None:
        trace_id, parent_span, parent_sampled = parent
        sampled = sampler.sampled(trace_id, parent=parent_sampled)
        return TraceContext(trace_id, span_id_of(seed()), parent_span, sampled, tracestate)
    trace_id = f"{seed() & _MASK:016x}{seed() & _MASK or 1:016x}"
    return TraceContext(trace_id, span_id_of(seed()), "", sampler.sampled(trace_id, parent=None))
