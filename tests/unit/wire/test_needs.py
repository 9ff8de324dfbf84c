"""What a request asks of a model is found in its bytes, and what a prompt says about JSON is not mistaken for it."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from services.wire.needs import (
    SMALLEST,
    SURE_BYTES_PER_TOKEN,
    body_needs,
    is_text,
    least_tokens,
    mime_needs,
    needs_of,
    part_needs,
)


def members(**body: Any) -> dict[str, msgspec.Raw]:
    return msgspec.json.decode(json.dumps(body), type=dict[str, msgspec.Raw])


def said(*parts: Any) -> list[Any]:
    return [{"role": "user", "content": list(parts)}]


@pytest.mark.parametrize(
    ("kind", "need"),
    [
        ("image_url", "vision"),
        ("input_image", "vision"),
        ("image", "vision"),
        ("input_audio", "audio"),
        ("video_url", "video"),
        ("file", "files"),
        ("input_file", "files"),
        ("document", "files"),
    ],
)
def test_a_part_asks_for_what_it_is(kind: str, need: str) -> None:
    assert needs_of(members(messages=said({"type": kind, kind: {}}))) == {need}
    assert part_needs(json.dumps(said({"type": kind}), separators=(",", ":")).encode()) == {need}
    assert part_needs(json.dumps(said({"type": kind}), indent=2).encode()) == {need}


@pytest.mark.parametrize(
    "text",
    ["image_url", '{"type":"image_url"}', '"type": "file"', "document", 'say {"type": "input_audio"} aloud'],
)
def test_a_prompt_about_json_asks_for_nothing(text: str) -> None:
    assert needs_of(members(messages=[{"role": "user", "content": text}])) == frozenset()
    assert needs_of(members(messages=said({"type": "text", "text": text}))) == frozenset()


@pytest.mark.parametrize(
    ("body", "needs"),
    [
        ({"tools": [{"type": "function"}]}, {"tools"}),
        ({"tools": []}, set()),
        ({"tools": None}, set()),
        ({"response_format": {"type": "json_schema", "json_schema": {}}}, {"json_schema"}),
        ({"response_format": {"type": "json_object"}}, set()),
        ({"modalities": ["text", "audio"]}, {"audio_output"}),
        ({"modalities": ["image", "text"]}, {"image_output"}),
        ({"modalities": ["text"]}, set()),
        ({"web_search_options": {"search_context_size": "low"}}, {"web_search"}),
        ({}, set()),
    ],
)
def test_members_ask_for_what_they_say(body: Any, needs: set[str]) -> None:
    assert needs_of(members(messages=[], **body)) == needs


def test_other_dialects_name_their_members() -> None:
    body = members(input=said({"type": "input_image"}), text={"format": {"type": "json_schema"}})
    assert needs_of(body, "input", "text") == {"vision", "json_schema"}
    assert needs_of(body) == frozenset()
    turns = b'[{"parts":[{"inlineData":{"mimeType":"audio/wav"}},{"file_data":{"mime_type": "application/pdf"}}]}]'
    assert mime_needs(turns) == {"audio", "files"}


def test_a_picture_from_a_file_is_no_file() -> None:
    body = members(messages=said({"type": "image", "source": {"type": "file", "file_id": "f"}}))
    assert needs_of(body, sources=True) == {"vision"}


def test_a_prompt_has_at_least_half_of_what_is_usual() -> None:
    text = json.dumps("word " * 100_000).encode()
    assert least_tokens(text) == len(text) // SURE_BYTES_PER_TOKEN == 62_500
    assert least_tokens(b"x" * (SMALLEST - 1)) == least_tokens(None) == 0
    assert least_tokens(text, {"vision"}) == 0, "media count by rules of their own"
    assert least_tokens(text, {"tools"}) == 62_500


def test_escaped_characters_count_as_one_byte_each() -> None:
    escaped = json.dumps("слово " * 10_000).encode()
    assert len(escaped) > 300_000
    assert least_tokens(escaped) < 10_000, "a Russian word is about two tokens"


def test_a_whole_body_is_read_for_a_simulation() -> None:
    body = json.dumps({"messages": said({"type": "text", "text": "word " * 10_000}), "tools": [{}]}).encode()
    needs, least = body_needs(body)
    assert needs == {"tools"}
    assert 6_000 < least < 6_400


TEXT_TURNS = [
    '[{"role":"user","content":"Hola"}]',
    '[ {"role": "system", "content": ""},\n {"content": "\\"type\\": \\"image_url\\"", "role": "user"} ]',
    "[]",
]
OTHER_TURNS = [
    '[{"role":"user","content":[{"type":"text","text":"Hola"}]}]',
    '[{"role":"user","content":"Hola"},{"role":"user","content":"and","content":[{"type":"image_url"}]}]',
    '[{"role":"user","content":[{"type":"image_url"}],"content":"and"}]',
    '[{"role":"user","content":"Hola","cache_control":{"type":"ephemeral"}}]',
    '[{"role":"assistant","content":null,"tool_calls":[]}]',
    '[{"role":"assistant","content":"Hola","prefix":true}]',
    '[{"role":"assistant","audio":{"id":"audio_turnout_1"}}]',
    '[{"role":"user"}]',
    '["Hola"]',
    '[{"role":"user","content":"\\ud800"}]',
    "null",
    "[" * 5_000,
]


@pytest.mark.parametrize("turns", TEXT_TURNS)
def test_turns_that_are_a_role_and_a_text_are_text_and_need_nothing(turns: str) -> None:
    assert is_text(msgspec.Raw(turns.encode()))
    assert part_needs(turns.encode()) == set()


@pytest.mark.parametrize("turns", OTHER_TURNS)
def test_turns_with_anything_else_are_not_text(turns: str) -> None:
    assert not is_text(msgspec.Raw(turns.encode()))
