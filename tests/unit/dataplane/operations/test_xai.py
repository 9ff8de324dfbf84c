"""Transcriptions by xAI: its form, and its answers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from services.core.errors import FailureKind
from services.dataplane.operations.forms import read_form
from services.dataplane.translation import TokenUsage, Untranslatable
from tests.unit.dataplane.operations.build import EVIDENCE, FORM_TYPE, form, rendered, to

K = FailureKind
TOLD = {"text": "Grüezi.", "language": "de", "duration": 3.5, "words": [{"text": "Grüezi.", "start": 0.1, "end": 0.9}]}


def asked(**fields: str) -> Any:
    body = form(("model", "p/stt"), ("file", b"RIFF", "a.wav"), *fields.items())
    return to("xai", "audio.transcriptions", body, FORM_TYPE)


def test_the_form_names_no_model_and_has_the_file_last() -> None:
    made = asked(language="de", keyterm="Zug", prompt="Names", response_format="json", stream="false")
    request = made.request("secret")
    assert request.url == "https://p.example.com/v1/stt"
    assert request.headers["authorization"] == "Bearer secret"
    sent = read_form(request.body, request.headers["content-type"])
    assert [part.name for part in sent.parts] == ["language", "keyterm", "file"]
    assert sent.file("file") == b"RIFF"
    assert made.facts.warnings == ["prompt was dropped: p does not take it"]


def test_the_answer_is_its_own_and_costs_by_its_length() -> None:
    made = asked()
    found = rendered(made, TOLD)
    assert {name: found[name] for name in TOLD} == TOLD
    assert found["metadata"] == EVIDENCE.metadata
    assert made.facts.usage == TokenUsage(seconds=3.5)


def test_text_is_the_transcript_alone() -> None:
    made = asked(response_format="text")
    assert made.answer(json.dumps(TOLD).encode()) is None
    assert made.render(EVIDENCE).decode() == "Grüezi."
    assert made.facts.usage == TokenUsage(seconds=3.5)


@pytest.mark.parametrize(
    "fields", [{"response_format": "srt"}, {"response_format": "verbose_json"}, {"stream": "true"}]
)
def test_what_xai_does_not_give_is_for_the_next_target(fields: dict[str, str]) -> None:
    with pytest.raises(Untranslatable, match="as json or text"):
        asked(**fields)


@pytest.mark.parametrize("form_of", ["json", "text"])
@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", K.BAD_RESPONSE),
        (b"[]", K.BAD_RESPONSE),
        (b'{"text":"Gr', K.BAD_RESPONSE),
        (b'{"duration":1}', K.BAD_RESPONSE),
        (b'{"error":{"code":"rate_limit_exceeded"}}', K.RATE_LIMITED),
    ],
)
def test_an_answer_that_is_none_is_a_failure(form_of: str, body: bytes, kind: FailureKind) -> None:
    found = asked(response_format=form_of).answer(body)
    assert found is not None
    assert found.kind is kind
