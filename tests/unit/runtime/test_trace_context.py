"""W3C trace context against hostile headers, and the sampler's arithmetic."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.runtime.trace_context import (
    Sampler,
    begin_span,
    parse_traceparent,
    passed_on,
    span_id_of,
)

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"
GOOD = f"00-{TRACE}-{SPAN}-01"
ALWAYS, NEVER = Sampler(1.0), Sampler(0.0)


def seeds() -> int:
    return 7


def test_a_good_header_is_read() -> None:
    assert parse_traceparent(GOOD) == (TRACE, SPAN, True)
    assert parse_traceparent(f"00-{TRACE}-{SPAN}-00") == (TRACE, SPAN, False)
    assert parse_traceparent(f"00-{TRACE}-{SPAN}-ff") == (TRACE, SPAN, True)
    assert parse_traceparent(f"cc-{TRACE}-{SPAN}-01-what-the-future-brings") == (TRACE, SPAN, True)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "00",
        GOOD[:-1],
        GOOD + "0",
        GOOD + "-",
        GOOD + "-extra",
        " " + GOOD,
        GOOD + "\n",
        GOOD.upper(),
        f"ff-{TRACE}-{SPAN}-01",
        f"0-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE[:-1]}g-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-0x",
        f"00-{TRACE}-{SPAN}-1",
        f"00_{TRACE}_{SPAN}_01",
        f"00-{TRACE}-{SPAN}-٠١",
        GOOD + "," + GOOD,
        "00-" + "a" * 100_000,
        "\x00" * 55,
    ],
)
def test_a_bad_header_begins_a_trace_of_its_own(header: str) -> None:
    assert parse_traceparent(header) is None
    context = begin_span(header, "vendor=1", seeds, ALWAYS)
    assert context.parent_span_id == ""
    assert context.tracestate == ""
    assert context.trace_id != TRACE
    assert parse_traceparent(context.traceparent) == (context.trace_id, context.span_id, True)


@given(st.text(max_size=80))
def test_no_header_whatever_breaks_the_reader(header: str) -> None:
    context = begin_span(header, "", seeds, ALWAYS)
    assert parse_traceparent(context.traceparent) is not None


def test_a_span_hangs_below_its_caller_and_passes_tracestate_on() -> None:
    context = begin_span(GOOD, "vendor=1", seeds, ALWAYS)
    assert (context.trace_id, context.parent_span_id, context.tracestate) == (TRACE, SPAN, "vendor=1")
    assert context.span_id == span_id_of(7)
    assert context.traceparent == f"00-{TRACE}-{span_id_of(7)}-01"


def test_the_parents_decision_counts_unless_the_sampler_says_otherwise() -> None:
    unsampled = GOOD[:-1] + "0"
    assert begin_span(unsampled, "", seeds, ALWAYS).sampled is False
    assert begin_span(GOOD, "", seeds, NEVER).sampled is True
    assert begin_span(unsampled, "", seeds, Sampler(1.0, respect_parent=False)).sampled is True
    assert begin_span("", "", seeds, NEVER).sampled is False


def test_ids_are_never_the_invalid_zeros() -> None:
    assert span_id_of(0) == "0" * 15 + "1"
    assert span_id_of(1 << 64) == "0" * 15 + "1"
    context = begin_span("", "", lambda: 0, ALWAYS)
    assert parse_traceparent(context.traceparent) is not None


@given(st.floats(0, 1), st.integers(0, 2**64 - 1))
def test_a_ratio_is_a_bound_on_the_low_half_of_the_trace_id(ratio: float, low: int) -> None:
    trace_id = f"{1:016x}{low:016x}"
    assert Sampler(ratio).sampled(trace_id, parent=None) == (low < round(ratio * 2**64))


def test_a_process_that_exports_nothing_hands_on_what_it_got() -> None:
    assert passed_on(GOOD, "vendor=1").traceparent == GOOD
    assert passed_on(GOOD, "vendor=1").tracestate == "vendor=1"
    assert passed_on("nonsense", "vendor=1").traceparent == ""
