"""What callers call a request in their own traces: bounded, and never a reason for anything."""

from __future__ import annotations

from typing import Any

import pytest

from services.core.errors import InvalidRequest
from services.wire.chat_facts import read_facts
from services.wire.trace_facts import MAX_CHARS, MAX_NAMES


def traced(**body: Any) -> tuple[dict[str, str], tuple[str, ...]]:
    facts = read_facts({"model": "m", **body})
    return dict(facts.caller_trace), facts.warnings


def test_plain_values_are_kept_as_text() -> None:
    trace = {"trace_id": "t", "environment": "production", "try": 2, "paid": True, "nothing": None}
    told = {"session_id": "s", "trace_id": "t", "environment": "production", "try": "2", "paid": "true"}
    assert traced(trace=trace, session_id="s") == (told, ())
    assert traced() == ({}, ())
    assert traced(trace={}, session_id=5) == ({}, ())


def test_nothing_grows_without_bound_and_what_is_lost_is_told() -> None:
    found, warnings = traced(trace={"a": "x" * 999, "b" * 99: "y", "deep": {"c": 1}}, session_id="s" * 999)
    assert found == {"session_id": "s" * MAX_CHARS, "a": "x" * MAX_CHARS}
    assert warnings == (
        "trace.a was cut to 256 characters",
        f"trace.{'b' * 64} was dropped: traces keep 16 plain values",
        "trace.deep was dropped: traces keep 16 plain values",
    )
    found, warnings = traced(trace={f"n{i}": "x" for i in range(MAX_NAMES + 3)})
    assert (len(found), len(warnings)) == (MAX_NAMES, 3)


def test_a_trace_that_is_no_object_is_refused_by_its_name() -> None:
    with pytest.raises(InvalidRequest) as refused:
        traced(trace="t")
    assert refused.value.param == "trace"
