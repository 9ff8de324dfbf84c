"""Callers' own requests, and ours, as Mistral takes them: it refuses every field that it does not document."""

from __future__ import annotations

import json
from typing import Any

import pytest

from services.core.errors import FailureKind
from services.core.policy.snapshot import CompiledProvider, Target
from services.dataplane.exchange import (
    ChatRequest,
    Citation,
    CitationDelta,
    Failed,
    Message,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    Tool,
    ToolCall,
    ToolResult,
)
from services.dataplane.members import Members, join_members, split_members
from services.dataplane.providers.mistral_fit import SPEAKERS_LOST, THOUGHTS_LOST, call_id
from services.dataplane.providers.mistral_words import translate_words
from services.dataplane.providers.openai_fit import fit
from services.dataplane.providers.registry import codec_of
from services.dataplane.translation import Untranslatable

CODEC = codec_of("mistral", "chat.completions")
HELLO = {"role": "user", "content": "Hi"}
UUID = "00000000-0000-4000-8000-000000000001"


def target(model: str = "mistral-large-latest") -> Target:
    return Target("mistral/m", CompiledProvider("mistral", "mistral", "https://api.mistral.ai/v1"), model)


def fitted(body: dict[str, Any], model: str = "mistral-large-latest") -> tuple[dict[str, Any], list[str]]:
    members: Members = split_members(json.dumps({"messages": [HELLO], **body}).encode())
    warnings = fit(members, target(model))
    return json.loads(join_members(members)), warnings


def message(given: dict[str, Any], model: str = "mistral-large-latest") -> tuple[dict[str, Any], list[str]]:
    """One message behind another of the user."""
    body, warnings = fitted({"messages": [given, HELLO]}, model)
    found: dict[str, Any] = body["messages"][0]
    return found, warnings


def test_names_of_fields_are_mistrals_and_unknown_ones_are_dropped_with_a_word() -> None:
    body, warnings = fitted(
        {"seed": 3, "max_completion_tokens": 9, "stream_options": {"include_usage": True}, "store": False, "user": "u"}
    )
    assert body == {"messages": [HELLO], "random_seed": 3, "max_tokens": 9}
    assert warnings == [
        "max_completion_tokens was sent as max_tokens",
        "store was dropped: mistral refuses it",
        "user was dropped: mistral refuses it",
    ]


def test_mistrals_own_seed_wins_and_one_below_zero_is_dropped() -> None:
    assert fitted({"seed": 3, "random_seed": 5})[0]["random_seed"] == 5
    assert fitted({"seed": -3}) == ({"messages": [HELLO]}, ["seed was dropped: Mistral takes none below 0"])


@pytest.mark.parametrize("name", ["logit_bias", "web_search_options", "functions", "audio"])
def test_demands_that_it_does_not_know_are_refused(name: str) -> None:
    with pytest.raises(Untranslatable, match=f"`{name}` is refused by mistral"):
        fitted({name: {"a": 1}})


def test_values_beyond_its_bounds_are_moved_or_dropped() -> None:
    body, warnings = fitted({"temperature": 1.9, "service_tier": "flex"})
    assert body == {"messages": [HELLO], "temperature": 1.5}
    assert warnings == [
        "service_tier was dropped: Mistral knows auto and standard_only",
        "temperature was lowered to 1.5, the highest that Mistral takes",
    ]


def test_a_request_that_needs_nothing_keeps_its_bytes() -> None:
    sent = b'{"messages":[{"role":"user","content" : "\\u00fc"}],"temperature":1.0,"n":2}'
    members = split_members(sent)
    assert fit(members, target()) == []
    assert join_members(members) == sent


@pytest.mark.parametrize(
    ("given", "found", "told"),
    [
        ({"role": "developer", "content": "Be"}, {"role": "system", "content": "Be"}, []),
        ({**HELLO, "name": "ada"}, HELLO, [SPEAKERS_LOST]),
        (
            {"role": "assistant", "content": None, "refusal": "No.", "annotations": [], "audio": None},
            {"role": "assistant", "content": "No."},
            [],
        ),
        (
            {**HELLO, "cache_control": {"type": "ephemeral"}},
            HELLO,
            ["cache_control in messages was dropped: Mistral's format has no such field"],
        ),
        (
            {"role": "tool", "tool_call_id": "call_1", "name": "time", "content": "12"},
            {"role": "tool", "tool_call_id": call_id("call_1"), "name": "time", "content": "12"},
            [],
        ),
        ({"role": "odd", "x": 1}, {"role": "odd", "x": 1}, []),
    ],
)
def test_messages_hold_what_their_role_allows(given: Any, found: Any, told: list[str]) -> None:
    assert message(given) == (found, told)


@pytest.mark.parametrize(
    ("part", "found"),
    [
        ({"type": "refusal", "refusal": "No."}, {"type": "text", "text": "No."}),
        (
            {"type": "image_url", "image_url": {"url": "u", "detail": "low"}},
            {"type": "image_url", "image_url": {"url": "u", "detail": "low"}},
        ),
        (
            {"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}},
            {"type": "input_audio", "input_audio": "AA"},
        ),
        ({"type": "input_audio", "input_audio": "AA"}, {"type": "input_audio", "input_audio": "AA"}),
        (
            {"type": "audio_url", "audio_url": {"url": "https://a/b.mp3"}},
            {"type": "input_audio", "input_audio": "https://a/b.mp3"},
        ),
        (
            {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AA"}},
            {"type": "document_url", "document_url": "data:application/pdf;base64,AA", "document_name": "a.pdf"},
        ),
        ({"type": "file", "file": {"file_id": UUID}}, {"type": "file", "file_id": UUID}),
        ({"type": "file", "file_id": UUID}, {"type": "file", "file_id": UUID}),
        ({"type": "document_url", "document_url": "u"}, {"type": "document_url", "document_url": "u"}),
        ({"type": "reference", "reference_ids": [1]}, {"type": "reference", "reference_ids": [1]}),
    ],
)
def test_parts_are_mistrals(part: Any, found: Any) -> None:
    assert message({"role": "user", "content": [part]}) == ({"role": "user", "content": [found]}, [])


@pytest.mark.parametrize(
    "given",
    [
        {"role": "user", "content": [{"type": "video_url", "video_url": {"url": "u"}}]},
        {"role": "user", "content": [{"type": "file", "file": {"file_id": "file-1"}}]},
        {"role": "function", "name": "f", "content": "1"},
        {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},
        {"role": "assistant", "tool_calls": [{"id": "1", "type": "custom", "custom": {}}]},
    ],
)
def test_what_a_message_cannot_carry_is_refused(given: Any) -> None:
    with pytest.raises(Untranslatable):
        message(given)


def test_reasoning_goes_back_as_a_part_to_models_that_reason() -> None:
    for name in ("reasoning_content", "reasoning"):
        given = {"role": "assistant", "content": "4", name: "Add."}
        part = {"type": "thinking", "thinking": [{"type": "text", "text": "Add."}]}
        found = {"role": "assistant", "content": [part, {"type": "text", "text": "4"}]}
        assert message(given, "magistral-medium-latest") == (found, [])
        assert message(found, "magistral-medium-latest") == (found, [])
        assert message(given) == ({"role": "assistant", "content": "4"}, [THOUGHTS_LOST])
    body, warnings = fitted({"messages": [given, HELLO], "reasoning_effort": "high"})
    assert (body["messages"][0], warnings) == (found, [])


@pytest.mark.parametrize("named", ["call_1", "", "toolu_01ABC", "é" * 50, "123456789 "])
def test_ids_of_calls_are_nine_letters_and_digits_always_the_same(named: str) -> None:
    found = call_id(named)
    assert len(found) == 9
    assert found.isascii()
    assert found.isalnum()
    assert call_id(named) == found
    assert call_id(found) == found
    assert call_id(named + "x") != found


def test_a_call_and_its_result_keep_belonging_together() -> None:
    call = {
        "id": "call_1",
        "type": "function",
        "index": 0,
        "function": {"name": "f", "arguments": "{}", "x": 1},
        "y": 2,
    }
    body, _ = fitted(
        {
            "messages": [
                HELLO,
                {"role": "assistant", "content": None, "tool_calls": [call]},
                {"role": "tool", "tool_call_id": "call_1", "content": "1"},
            ]
        }
    )
    (sent,) = body["messages"][1]["tool_calls"]
    assert sent == {
        "id": call_id("call_1"),
        "index": 0,
        "type": "function",
        "function": {"name": "f", "arguments": "{}"},
    }
    assert body["messages"][2]["tool_call_id"] == sent["id"]


def test_tools_always_say_their_parameters_and_those_that_mistral_runs_pass() -> None:
    body, _ = fitted(
        {"tools": [{"type": "function", "function": {"name": "f", "strict": None}}, {"type": "image_generation"}]}
    )
    assert body["tools"] == [
        {"type": "function", "function": {"parameters": {"type": "object", "properties": {}}, "name": "f"}},
        {"type": "image_generation"},
    ]
    with pytest.raises(Untranslatable, match="custom tool"):
        fitted({"tools": [{"type": "custom", "custom": {"name": "x"}}]})


@pytest.mark.parametrize(
    "sent", [{"role": "assistant", "content": "It "}, {"role": "assistant", "content": "It ", "prefix": True}]
)
def test_an_answer_that_was_begun_is_gone_on_from(sent: Any) -> None:
    body, warnings = fitted({"messages": [HELLO, sent]})
    assert body["messages"][1] == {"role": "assistant", "content": "It ", "prefix": True}
    assert warnings == []


def test_requests_across_dialects_are_mistrals_as_well() -> None:
    call = ToolCall("toolu_01", "f", "{}")
    request = ChatRequest(
        (
            Message("developer", (Text("Be brief."),), "ada"),
            Message("user", (Text("Hi"),)),
            Message("assistant", (Thinking("Add.", "sig", vendor="anthropic"), call)),
            Message("user", (ToolResult("toolu_01", (Text("4"),)),)),
            Message("assistant", (Text("It is"),)),
        ),
        stream=True, tools=(Tool("f"),), max_tokens=9, seed=3, reasoning_effort="high", user="u", verbosity="low",
        cache_key="k", min_p=0.1,
    )  # fmt: skip
    data, dropped = CODEC.encode(request, target("magistral-medium-latest"))
    body = json.loads(data)
    assert body.keys() == {
        "model", "messages", "tools", "max_tokens", "random_seed", "reasoning_effort", "stream", "prompt_cache_key",
    }  # fmt: skip
    assert [m["role"] for m in body["messages"]] == ["system", "user", "assistant", "tool", "assistant"]
    assert body["messages"][2]["content"] == [{"type": "thinking", "thinking": [{"type": "text", "text": "Add."}]}]
    assert body["messages"][3]["tool_call_id"] == body["messages"][2]["tool_calls"][0]["id"] == call_id("toolu_01")
    assert body["messages"][4] == {"role": "assistant", "content": "It is", "prefix": True}
    assert sorted(line.split()[0] for line in dropped) == ["min_p", "names", "user", "verbosity"]


@pytest.mark.parametrize(
    ("sent", "found", "told"),
    [
        ({"random_seed": 3}, {"seed": 3}, 0),
        ({"random_seed": 3, "seed": 4}, {"seed": 4}, 0),
        ({"tool_choice": "any"}, {"tool_choice": "required"}, 0),
        (
            {"messages": [{"role": "assistant", "content": "a", "prefix": False}]},
            {"messages": [{"role": "assistant", "content": "a"}]},
            0,
        ),
        (
            {"messages": [{"role": "assistant", "content": [{"type": "thinking"}, {"type": "reference"}, 5]}]},
            {"messages": [{"role": "assistant", "content": [5]}]},
            1,
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "document_url", "document_url": "u"}]}]},
            {"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_data": "u"}}]}]},
            0,
        ),
    ],
)
def test_mistrals_own_words_are_translated_for_others(sent: Any, found: Any, told: int) -> None:
    members = split_members(json.dumps(sent).encode())
    assert len(translate_words(members)) == told
    assert json.loads(join_members(members)) == found


def test_words_that_only_look_like_mistrals_keep_their_bytes() -> None:
    sent = b'{"messages":[{"role":"user","content" : "say \\"prefix\\""},{"role":"assistant","prefix":true}]}'
    members = split_members(sent)
    assert translate_words(members) == []
    assert join_members(members) == sent


def chunk(content: Any, finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": {"content": content}, "finish_reason": finish}
    return b"data: " + json.dumps({"id": "m", "choices": [choice]}).encode() + b"\n\n"


def test_references_are_citations_and_reasoning_parts_are_reasoning() -> None:
    decoder = CODEC.decoder()
    events = decoder.feed(chunk([{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}]))
    assert events[1:] == [ThinkingDelta("Hm.")]
    parts = [{"type": "text", "text": "Paris"}, {"type": "reference", "reference_ids": [2, "a", None]}]
    assert decoder.feed(chunk(parts)) == [
        TextDelta("Paris"), CitationDelta(Citation(title="2")), CitationDelta(Citation(title="a")),
    ]  # fmt: skip


def test_an_answer_that_finishes_in_an_error_is_a_failure() -> None:
    decoder = CODEC.decoder()
    decoder.feed(chunk("He"))
    (failed,) = decoder.feed(chunk("", "error"))
    assert isinstance(failed, Failed)
    assert failed.failure.kind is FailureKind.SERVER_ERROR
    assert decoder.feed(chunk("llo", "stop")) == ()
