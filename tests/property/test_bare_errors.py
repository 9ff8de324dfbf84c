"""An error that a provider writes into an event stream without `data:`, as servers do whose stream has begun already.

Wherever it comes before the end, the answer has failed: for every wire form and dialect, on one line or several, with any
line ends, and cut at any byte.
"""

from __future__ import annotations

import json

import pytest

from services.core.errors import FailureKind
from services.dataplane.sse import SseParser
from tests.property.test_truncation import APIS, WIRES, ended, has_terminal, translation
from tests.support.evil import TEXTS
from tests.support.evil import frames_of as evil_frames

EVENTS = [wire for wire in WIRES if wire != "bedrock"]
ERROR = {
    "error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE", "type": "overloaded_error"}
}
KINDS = {FailureKind.OVERLOADED, FailureKind.SERVER_ERROR}
FORMS = {
    "one line": json.dumps(ERROR),
    "several lines": json.dumps(ERROR, indent=2) + "\n",
    "a list": json.dumps([ERROR], indent=1),
    "all of it": "event: ping\n" + json.dumps(ERROR) + "\n\n",
}


def frames(wire: str) -> list[bytes]:
    """The frames of a whole answer, and how many come before it is over."""
    found = evil_frames(wire, *TEXTS)
    return found if wire == "google" else found[:-1]


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("wire", EVENTS)
@pytest.mark.parametrize("form", FORMS)
def test_a_bare_error_is_a_failure_wherever_it_comes(form: str, wire: str, api: str) -> None:
    before = frames(wire)
    bare = FORMS[form].encode()
    for count in range(len(before) + 1):
        for line_end in (b"\n", b"\r\n"):
            found = translation(api, WIRES[wire])
            progress = found.feed((b"".join(before[:count]) + bare).replace(b"\n", line_end))
            if progress.failure is None:
                progress = found.end()
            assert progress.failure is not None, f"behind {count} of {len(before)} frames"
            assert progress.failure.kind in KINDS, progress.failure
            assert not progress.done


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("wire", EVENTS)
def test_a_bare_error_that_is_cut_is_a_failure_as_well(wire: str, api: str) -> None:
    body, bare = b"".join(frames(wire)), FORMS["several lines"].encode()
    for size in range(1, len(bare)):
        found = translation(api, WIRES[wire])
        shown = found.feed(body).frames
        progress = found.feed(bare[:size])
        end = ended(found, shown + progress.frames) if progress.failure is None else None
        assert end is None or not end.whole, size
        if end is not None and size in (1, len(bare) - 1):
            assert not has_terminal(api, end.frames, strict=True)


def test_a_bare_object_is_an_event_by_itself_and_no_field_is() -> None:
    parser = SseParser()
    found = parser.feed(b'data: {"a": 1}\n{"error": 1}\n\nfoo\nbar: {x\n: {c\ndata:{d\n\n')
    assert [(e.event, e.data) for e in found] == [("", b'{"a": 1}'), ("error", b'{"error": 1}'), ("", b"{d")]


@pytest.mark.parametrize("junk", [b"[info] still here", b"{oops", b"<html>", b"[DONE", b"{{}}", b"503"])
@pytest.mark.parametrize("wire", EVENTS)
def test_junk_that_is_no_json_breaks_no_answer(wire: str, junk: bytes) -> None:
    for api in APIS:
        found = translation(api, WIRES[wire])
        shown = b""
        for each in evil_frames(wire, *TEXTS):
            progress = found.feed(junk + b"\n\n" + each)
            assert progress.failure is None, progress.failure
            shown += progress.frames
        end = ended(found, shown) if not progress.done else None
        assert end is None or end.whole
